/* Which addresses the public can reach. */
#include "policy/public.h"

#include <criterion/criterion.h>

static bool is_public(const char *text)
{
    struct netaddr a;
    cr_assert_eq(netaddr_parse(span_of(text), &a), 0, "%s", text);
    return public_has(&a);
}

/* The first and the last of each network. */
Test(public, not_of_the_public)
{
    static const char *const addresses[] = {"0.0.0.0",
                                            "0.255.255.255",
                                            "10.0.0.0",
                                            "10.255.255.255",
                                            "100.64.0.0",
                                            "100.127.255.255",
                                            "127.0.0.0",
                                            "127.255.255.255",
                                            "169.254.0.0",
                                            "169.254.255.255",
                                            "172.16.0.0",
                                            "172.31.255.255",
                                            "192.0.0.0",
                                            "192.0.0.255",
                                            "192.168.0.0",
                                            "192.168.255.255",
                                            "198.18.0.0",
                                            "198.19.255.255",
                                            "224.0.0.0",
                                            "255.255.255.255",
                                            "::",
                                            "::1",
                                            "::10.0.0.1",
                                            "::ffff:10.0.0.1",
                                            "64:ff9b::10.0.0.1",
                                            "64:ff9b::127.0.0.1",
                                            "64:ff9b:1::",
                                            "64:ff9b:1:ffff::8.8.8.8",
                                            "2002:a00:1::",
                                            "2002:7f00:1::1",
                                            "2002:c0a8:101::5",
                                            "fc00::",
                                            "fdff::1",
                                            "fe80::1",
                                            "febf:ffff::1",
                                            "fec0::1",
                                            "ff00::",
                                            "ff02::1",
                                            "ffff::ffff"};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
        cr_expect_not(is_public(addresses[i]), "%s", addresses[i]);
}

/* What is next to them. */
Test(public, of_the_public)
{
    static const char *const addresses[] = {"1.0.0.0",
                                            "9.255.255.255",
                                            "11.0.0.0",
                                            "100.63.255.255",
                                            "100.128.0.0",
                                            "126.255.255.255",
                                            "128.0.0.0",
                                            "169.253.255.255",
                                            "169.255.0.0",
                                            "172.15.255.255",
                                            "172.32.0.0",
                                            "191.255.255.255",
                                            "192.0.1.0",
                                            "192.167.255.255",
                                            "192.169.0.0",
                                            "198.17.255.255",
                                            "198.20.0.0",
                                            "223.255.255.255",
                                            "::9.9.9.9",
                                            "::ffff:9.9.9.9",
                                            "::1:a00:1:a00:1",
                                            "64:ff9b::9.9.9.9",
                                            "64:ff9b:2::10.0.0.1",
                                            "2002:909:909::",
                                            "2001:db9::1",
                                            "2003::1",
                                            "fbff::1",
                                            "fe7f::1"};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
        cr_expect(is_public(addresses[i]), "%s", addresses[i]);
}

/* A mapped address may come in without having been turned into IPv4. */
Test(public, as_octets)
{
    struct netaddr mapped = {.n = 16, .octets = {[10] = 0xff, 0xff, 10, 0, 0, 1}, .port = 443};
    cr_expect_not(public_has(&mapped));
    mapped.octets[12] = 9;
    cr_expect(public_has(&mapped));
}
