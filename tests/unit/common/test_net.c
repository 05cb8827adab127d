#include "common/net.h"

#include <criterion/criterion.h>

static const struct {
    const char *text, *plain, *with_port, *literal; /* plain NULL: refused */
} addresses[] = {
    {"192.0.2.1", "192.0.2.1", "192.0.2.1:0", "[192.0.2.1]"},
    {"2001:db8::1", "2001:db8::1", "[2001:db8::1]:0", "[IPv6:2001:db8::1]"},
    {"[2001:db8::1]", "2001:db8::1", "[2001:db8::1]:0", "[IPv6:2001:db8::1]"},
    {"::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1:0", "[192.0.2.1]"},
    {"[192.0.2.1]", NULL, NULL, NULL},
    {"192.0.2", NULL, NULL, NULL},
    {"192.0.2.256", NULL, NULL, NULL},
    {"192.0.2.1 ", NULL, NULL, NULL},
    {"", NULL, NULL, NULL},
    {"[", NULL, NULL, NULL},
    {"[]", NULL, NULL, NULL},
    {"fe80::1%eth0", NULL, NULL, NULL},
    {"localhost", NULL, NULL, NULL},
    {"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc", NULL, NULL, NULL},
};

Test(net, addresses)
{
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        struct netaddr a;
        char out[NETADDR_TEXT];
        int rc = netaddr_parse(span_of(addresses[i].text), &a);
        cr_expect_eq(rc, addresses[i].plain ? 0 : -1, "%s", addresses[i].text);
        if (rc < 0) {
            cr_expect_eq(a.n, 0);
            continue;
        }
        netaddr_format(out, &a);
        cr_expect_str_eq(out, addresses[i].plain);
        netaddr_format_port(out, &a);
        cr_expect_str_eq(out, addresses[i].with_port);
        netaddr_format_literal(out, &a);
        cr_expect_str_eq(out, addresses[i].literal);
    }
    struct netaddr a;
    cr_expect_eq(netaddr_parse((struct span){"1.2.3.4\0", 8}, &a), -1, "NUL is data");
    cr_expect_eq(netaddr_parse((struct span){NULL, 0}, &a), -1);
}

static const struct {
    const char *text;
    char sep;
    const char *out; /* NULL: refused */
} ports[] = {
    {"192.0.2.1:25", ':', "192.0.2.1:25"},
    {"[2001:db8::1]:65535", ':', "[2001:db8::1]:65535"},
    {"0.0.0.0:0", ':', "0.0.0.0:0"},
    {"[::ffff:10.0.0.1]:25", ':', "10.0.0.1:25"},
    {"2001:db8::1:25", ':', NULL},
    {"192.0.2.1", ':', NULL},
    {"192.0.2.1:", ':', NULL},
    {":25", ':', NULL},
    {"192.0.2.1:65536", ':', NULL},
    {"192.0.2.1:+25", ':', NULL},
    {"192.0.2.1:000025", ':', NULL},
    {"[::1]", ':', NULL},
    {"localhost:25", ':', NULL},
    {"127.0.0.1@5353", '@', "127.0.0.1:5353"},
    {"::1@53", '@', "[::1]:53"},
    {"127.0.0.1:53", '@', NULL},
};

Test(net, ports)
{
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
        struct netaddr a;
        char out[NETADDR_TEXT];
        int rc = netaddr_parse_port(span_of(ports[i].text), ports[i].sep, &a);
        cr_expect_eq(rc, ports[i].out ? 0 : -1, "%s", ports[i].text);
        if (rc < 0)
            continue;
        netaddr_format_port(out, &a);
        cr_expect_str_eq(out, ports[i].out);
    }
}

Test(net, sockaddr_round_trip)
{
    static const char *const texts[] = {"192.0.2.1:25", "[2001:db8::1]:110"};
    for (size_t i = 0; i < 2; i++) {
        struct netaddr a, b;
        struct sockaddr_storage ss;
        cr_assert_eq(netaddr_parse_port(span_of(texts[i]), ':', &a), 0);
        cr_expect_gt(netaddr_to_sockaddr(&a, &ss), 0);
        cr_expect_eq(netaddr_from_sockaddr(&ss, &b), 0);
        cr_expect(netaddr_eq(&a, &b));
        b.port++;
        cr_expect_not(netaddr_eq(&a, &b));
    }
    struct sockaddr_storage other = {.ss_family = AF_UNIX};
    struct netaddr a;
    cr_expect_eq(netaddr_from_sockaddr(&other, &a), -1);
}

Test(net, mapped_peer_becomes_ipv4)
{
    struct netaddr v6 = {.n = 16, .port = 7, .octets = {[10] = 0xff, 0xff, 127, 0, 0, 1}}, got;
    struct sockaddr_storage ss;
    netaddr_to_sockaddr(&v6, &ss);
    cr_expect_eq(netaddr_from_sockaddr(&ss, &got), 0);
    cr_expect_eq(got.n, 4);
    cr_expect_eq(got.port, 7);
    cr_expect(netaddr_is_loopback(&got));
}

static const struct {
    const char *network, *address;
    int has; /* -1: the network is refused */
} networks[] = {
    {"10.0.0.0/8", "10.255.0.1", 1},
    {"10.0.0.0/8", "11.0.0.1", 0},
    {"0.0.0.0/0", "203.0.113.9", 1},
    {"0.0.0.0/0", "::1", 0},
    {"::/0", "2001:db8::1", 1},
    {"::/0", "192.0.2.1", 0},
    {"192.0.2.128/25", "192.0.2.127", 0},
    {"192.0.2.128/25", "192.0.2.200", 1},
    {"::1", "::1", 1},
    {"::1", "::2", 0},
    {"fe80::/10", "febf::1", 1},
    {"fe80::/10", "fec0::1", 0},
    {"224.0.0.0/3", "255.1.1.1", 1},
    {"127.0.0.1", "127.0.0.1", 1},
    {"::ffff:10.0.0.0/104", "10.1.2.3", 1},
    {"10.0.0.1/8", "10.0.0.1", -1},
    {"10.0.0.0/33", "10.0.0.1", -1},
    {"10.0.0.0/", "10.0.0.1", -1},
    {"10.0.0.0/-1", "10.0.0.1", -1},
    {"/8", "10.0.0.1", -1},
    {"", "10.0.0.1", -1},
    {"10.0.0.0/8/8", "10.0.0.1", -1},
};

Test(net, networks)
{
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        struct network n;
        struct netaddr a;
        int rc = network_parse(span_of(networks[i].network), &n);
        cr_expect_eq(rc, networks[i].has < 0 ? -1 : 0, "%s", networks[i].network);
        cr_assert_eq(netaddr_parse(span_of(networks[i].address), &a), 0);
        cr_expect_eq(rc == 0 && network_has(&n, &a), networks[i].has == 1, "%s has %s",
                     networks[i].network, networks[i].address);
    }
}

Test(net, limits_count_a_v6_network_as_one)
{
    struct netaddr a, b, c, ka, kb, kc;
    netaddr_parse_port(span_of("[2001:db8:1:2:3::1]:9"), ':', &a);
    netaddr_parse_port(span_of("[2001:db8:1:2:4::1]:8"), ':', &b);
    netaddr_parse_port(span_of("[2001:db8:1:3:4::1]:8"), ':', &c);
    ka = netaddr_limit_key(&a), kb = netaddr_limit_key(&b), kc = netaddr_limit_key(&c);
    cr_expect(netaddr_eq(&ka, &kb));
    cr_expect_not(netaddr_eq(&ka, &kc));
}

/* Rows without a second address stay as they are. */
static const struct {
    const char *address, *meaning;
    bool is_reached; /* by 10.0.0.0/8, 2001:db8::/32 and ::/128 */
} meanings[] = {
    {"10.0.0.1", NULL, true},
    {"11.0.0.1", NULL, false},
    {"2001:db8::1", NULL, true},
    {"2001:db9::a00:1", NULL, false},
    {"::ffff:10.0.0.1", "10.0.0.1", true},
    {"::ffff:11.0.0.1", "11.0.0.1", false},
    {"::fffe:a00:1", NULL, false},
    {"::10.0.0.1", "10.0.0.1", true},
    {"::11.0.0.1", "11.0.0.1", false},
    {"::", "0.0.0.0", true},
    {"::1", "0.0.0.1", false},
    {"::1:a00:1", NULL, false},
    {"64:ff9b::10.0.0.1", "10.0.0.1", true},
    {"64:ff9b::10.255.255.255", "10.255.255.255", true},
    {"64:ff9b::11.0.0.0", "11.0.0.0", false},
    {"64:ff9b::9.255.255.255", "9.255.255.255", false},
    {"64:ff9b::1:a00:1", NULL, false},
    {"64:ff9b:1::10.0.0.1", NULL, false}, /* RFC 8215: where the IPv4 address is, nobody knows */
    {"64:ff9a::10.0.0.1", NULL, false},
    {"2002:a00:1::", "10.0.0.1", true},
    {"2002:aff:ffff:1:2:3:4:5", "10.255.255.255", true},
    {"2002:b00:1::", "11.0.0.1", false},
    {"2003:a00:1::", NULL, false},
};

Test(net, what_an_address_stands_for)
{
    static const char *const list[] = {"10.0.0.0/8", "2001:db8::/32", "::/128"};
    struct network excluded[3];
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(network_parse(span_of(list[i]), &excluded[i]), 0);
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        struct netaddr a, wanted;
        const char *meaning =
            meanings[i].meaning != NULL ? meanings[i].meaning : meanings[i].address;
        cr_assert_eq(netaddr_parse(span_of(meanings[i].address), &a), 0);
        cr_assert_eq(netaddr_parse(span_of(meaning), &wanted), 0);
        a.port = wanted.port = 25;
        struct netaddr meant = netaddr_meaning(&a);
        cr_expect(netaddr_eq(&meant, &wanted), "%s", meanings[i].address);
        cr_expect_eq(networks_reach(excluded, 3, &a), meanings[i].is_reached, "%s",
                     meanings[i].address);
    }
}

/* A mapped address may come in without having been turned into IPv4. */
Test(net, mapped_as_octets)
{
    struct netaddr mapped = {.n = 16, .octets = {[10] = 0xff, 0xff, 10, 0, 0, 1}, .port = 443};
    struct netaddr meant = netaddr_meaning(&mapped);
    struct network ten;
    cr_assert_eq(network_parse(SPAN("10.0.0.0/8"), &ten), 0);
    cr_expect(meant.n == 4 && meant.octets[0] == 10 && meant.octets[3] == 1 && meant.port == 443);
    cr_expect_not(networks_have(&ten, 1, &mapped));
    cr_expect(networks_reach(&ten, 1, &mapped));
}
