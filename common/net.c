#include "common/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

/* RFC 4291 2.5.5.2: ::ffff:192.0.2.1 is the IPv4 address in disguise. */
static void unmap(struct netaddr *a)
{
    if (a->n != 16 || memcmp(a->octets, mapped_prefix, sizeof mapped_prefix) != 0)
        return;
    memmove(a->octets, a->octets + 12, 4);
    memset(a->octets + 4, 0, 12);
    a->n = 4;
}

static int parse_plain(struct span text, struct netaddr *out)
{
    char s[INET6_ADDRSTRLEN + 1];
    if (span_copy(s, sizeof s, text) < 0)
        return -1;
    *out = (struct netaddr){.n = 4};
    if (inet_pton(AF_INET, s, out->octets) == 1)
        return 0;
    out->n = 16;
    if (inet_pton(AF_INET6, s, out->octets) == 1)
        return 0;
    *out = (struct netaddr){.n = 0};
    return -1;
}

static bool in_brackets(struct span text)
{
    return text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']';
}

static int parse_host(struct span text, struct netaddr *out)
{
    bool brackets = in_brackets(text);
    if (brackets)
        text = (struct span){text.p + 1, text.n - 2};
    if (parse_plain(text, out) < 0)
        return -1;
    if (brackets && out->n != 16) {
        *out = (struct netaddr){.n = 0};
        return -1;
    }
    return 0;
}

int netaddr_parse(struct span text, struct netaddr *out)
{
    if (parse_host(text, out) < 0)
        return -1;
    unmap(out);
    return 0;
}

/* The place of the separator in front of the port. With ':' an IPv6 address must be in brackets, or
 * its last group would be taken for a port. */
static int split_port(struct span text, char sep, struct span *host, struct span *port)
{
    size_t at = text.n;
    while (at > 0 && text.p[at - 1] != sep)
        at--;
    if (at == 0)
        return -1;
    *host = (struct span){text.p, at - 1};
    *port = span_from(text, at);
    if (sep == ':' && !in_brackets(*host) && memchr(host->p, ':', host->n) != NULL)
        return -1;
    return 0;
}

int netaddr_parse_port(struct span text, char sep, struct netaddr *out)
{
    struct span host, digits;
    uint64_t port;
    *out = (struct netaddr){.n = 0};
    if (split_port(text, sep, &host, &digits) < 0 || digits.n > 5 || span_u64(digits, &port) < 0 ||
        port > UINT16_MAX || netaddr_parse(host, out) < 0)
        return -1;
    out->port = (uint16_t)port;
    return 0;
}

struct netaddr netaddr_of_uid(uint32_t uid)
{
    struct netaddr a = {.n = NETADDR_LOCAL};
    memcpy(a.octets, &uid, sizeof uid);
    return a;
}

uint32_t netaddr_uid(const struct netaddr *a)
{
    uint32_t uid;
    memcpy(&uid, a->octets, sizeof uid);
    return uid;
}

int netaddr_parse_uid(struct span text, struct netaddr *out)
{
    uint64_t uid;
    if (!span_starts(text, SPAN("uid:")) || span_u64(span_from(text, 4), &uid) < 0 ||
        uid > UINT32_MAX)
        return -1;
    *out = netaddr_of_uid((uint32_t)uid);
    return 0;
}

/* A Unix socket has no address to write: true if it was written otherwise. */
static bool format_local(char out[NETADDR_TEXT], const struct netaddr *a)
{
    if (a->n == NETADDR_LOCAL)
        snprintf(out, NETADDR_TEXT, "uid:%u", (unsigned)netaddr_uid(a));
    return a->n == NETADDR_LOCAL;
}

/* The octets as text in host, for which there is more to write. False: out has it all. */
static bool format_host(char out[NETADDR_TEXT], char host[INET6_ADDRSTRLEN],
                        const struct netaddr *a)
{
    if (format_local(out, a))
        return false;
    if (a->n > 0 &&
        inet_ntop(a->n == 4 ? AF_INET : AF_INET6, a->octets, host, INET6_ADDRSTRLEN) != NULL)
        return true;
    snprintf(out, NETADDR_TEXT, "-");
    return false;
}

void netaddr_format(char out[NETADDR_TEXT], const struct netaddr *a)
{
    char host[INET6_ADDRSTRLEN];
    if (format_host(out, host, a))
        snprintf(out, NETADDR_TEXT, "%s", host);
}

void netaddr_format_port(char out[NETADDR_TEXT], const struct netaddr *a)
{
    char host[INET6_ADDRSTRLEN];
    if (format_host(out, host, a))
        snprintf(out, NETADDR_TEXT, a->n == 16 ? "[%s]:%u" : "%s:%u", host, (unsigned)a->port);
}

void netaddr_format_literal(char out[NETADDR_TEXT], const struct netaddr *a)
{
    char host[INET6_ADDRSTRLEN];
    if (format_host(out, host, a))
        snprintf(out, NETADDR_TEXT, a->n == 16 ? "[IPv6:%s]" : "[%s]", host);
}

int netaddr_from_sockaddr(const struct sockaddr_storage *ss, struct netaddr *out)
{
    *out = (struct netaddr){.n = 0};
    if (ss->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, ss, sizeof in);
        memcpy(out->octets, &in.sin_addr, 4);
        out->port = ntohs(in.sin_port);
        out->n = 4;
        return 0;
    }
    if (ss->ss_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, ss, sizeof in);
        memcpy(out->octets, &in.sin6_addr, 16);
        out->port = ntohs(in.sin6_port);
        out->n = 16;
        unmap(out);
        return 0;
    }
    return -1;
}

socklen_t netaddr_to_sockaddr(const struct netaddr *a, struct sockaddr_storage *ss)
{
    memset(ss, 0, sizeof *ss);
    if (a->n == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
        memcpy(&in.sin_addr, a->octets, 4);
        memcpy(ss, &in, sizeof in);
        return sizeof in;
    }
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
    memcpy(&in.sin6_addr, a->octets, 16);
    memcpy(ss, &in, sizeof in);
    return sizeof in;
}

bool netaddr_eq(const struct netaddr *a, const struct netaddr *b)
{
    return a->n == b->n && a->port == b->port && memcmp(a->octets, b->octets, a->n) == 0;
}

bool netaddr_is_loopback(const struct netaddr *a)
{
    static const uint8_t one[16] = {[15] = 1};
    return (a->n == 4 && a->octets[0] == 127) ||
           (a->n == 16 && memcmp(a->octets, one, sizeof one) == 0);
}

struct netaddr netaddr_limit_key(const struct netaddr *a)
{
    struct netaddr key = {.n = a->n};
    memcpy(key.octets, a->octets, a->n == 16 ? 8 : a->n);
    return key;
}

static bool bits_after_are_zero(const struct netaddr *a, unsigned bits)
{
    for (unsigned i = bits; i < a->n * 8U; i++)
        if (a->octets[i / 8] & (0x80U >> (i % 8)))
            return false;
    return true;
}

int network_parse(struct span text, struct network *out)
{
    struct span host = text, rest = text;
    uint64_t bits = 0;
    bool has_bits = memchr(text.p ? text.p : "", '/', text.n) != NULL;
    if (has_bits)
        host = span_cut(&rest, '/');
    *out = (struct network){.bits = 0};
    struct netaddr base;
    if (parse_host(host, &base) < 0)
        return -1;
    if (!has_bits)
        bits = base.n * 8U;
    else if (rest.n > 3 || span_u64(rest, &bits) < 0 || bits > base.n * 8U)
        return -1;
    if (!bits_after_are_zero(&base, (unsigned)bits))
        return -1;
    uint8_t before = base.n;
    if (bits >= 96)
        unmap(&base);
    *out = (struct network){.base = base, .bits = (uint8_t)(before == base.n ? bits : bits - 96)};
    return 0;
}

bool network_has(const struct network *n, const struct netaddr *a)
{
    if (n->base.n == 0 || n->base.n != a->n)
        return false;
    size_t whole = n->bits / 8;
    if (memcmp(n->base.octets, a->octets, whole) != 0)
        return false;
    unsigned left = n->bits % 8U;
    if (left == 0)
        return true;
    unsigned mask = 0xffU << (8 - left) & 0xffU;
    return (n->base.octets[whole] & mask) == (a->octets[whole] & mask);
}

bool networks_have(const struct network *list, size_t n, const struct netaddr *a)
{
    for (size_t i = 0; i < n; i++)
        if (network_has(&list[i], a))
            return true;
    return false;
}

static struct netaddr four_octets_of(const struct netaddr *a, size_t at)
{
    struct netaddr inner = {.n = 4, .port = a->port};
    memcpy(inner.octets, a->octets + at, 4);
    return inner;
}

bool netaddr_is_6to4(const struct netaddr *a)
{
    static const struct network six_to_four = {.base = {.n = 16, .octets = {0x20, 0x02}},
                                               .bits = 16};
    return network_has(&six_to_four, a);
}

struct netaddr netaddr_meaning(const struct netaddr *a)
{
    static const struct network translated[] = {
        {.base = {.n = 16}, .bits = 96}, /* ::a.b.c.d; of :: and ::1 comes 0.0.0.0 and 0.0.0.1 */
        {.base = {.n = 16, .octets = {[10] = 0xff, 0xff}}, .bits = 96},
        {.base = {.n = 16, .octets = {0, 0x64, 0xff, 0x9b}}, .bits = 96},
    };
    if (networks_have(translated, sizeof translated / sizeof translated[0], a))
        return four_octets_of(a, 12);
    return netaddr_is_6to4(a) ? four_octets_of(a, 2) : *a;
}

bool networks_reach(const struct network *list, size_t n, const struct netaddr *a)
{
    struct netaddr meant = netaddr_meaning(a);
    return networks_have(list, n, a) || networks_have(list, n, &meant);
}
