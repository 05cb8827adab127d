#include "common/proxy.h"

#include <criterion/criterion.h>

#define V2   "\r\n\r\n\0\r\nQUIT\n"
#define IPV4 "\xc0\0\2\x09\xc0\0\2\x01\x30\x39\0\x19"
#define IPV6                                                                                       \
    "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x30\x39\0\x19"

static const struct {
    struct span in; /* EHLO follows */
    enum proxy_result result;
    const char *peer; /* NULL: as before */
} rows[] = {
    {SPAN("PROXY TCP4 192.0.2.9 192.0.2.1 12345 25\r\n"), PROXY_DONE, "192.0.2.9:12345"},
    {SPAN("PROXY TCP6 2001:db8::9 2001:db8::1 12345 25\r\n"), PROXY_DONE, "[2001:db8::9]:12345"},
    {SPAN("PROXY UNKNOWN\r\n"), PROXY_DONE, NULL},
    {SPAN("PROXY UNKNOWN ffff::1 ::2 1 2\r\n"), PROXY_DONE, NULL},
    {SPAN(V2 "\x21\x11\0\x0c" IPV4), PROXY_DONE, "192.0.2.9:12345"},
    {SPAN(V2 "\x21\x11\0\x10" IPV4 "\4\0\1x"), PROXY_DONE, "192.0.2.9:12345"},
    {SPAN(V2 "\x21\x21\0\x24" IPV6), PROXY_DONE, "[2001:db8::9]:12345"},
    {SPAN(V2 "\x20\0\0\0"), PROXY_DONE, NULL},
    {SPAN(V2 "\x20\x11\0\x0c" IPV4), PROXY_DONE, NULL},
    {SPAN(V2 "\x21\x31\0\x04path"), PROXY_DONE, NULL},
    {SPAN("EHLO client.example\r\n"), PROXY_BAD, NULL},
    {SPAN("PROXY\r\n"), PROXY_BAD, NULL},
    {SPAN("PROXY  TCP4 192.0.2.9 192.0.2.1 12345 25\r\n"), PROXY_BAD, NULL},
    {SPAN("PROXY TCP4 192.0.2.9 192.0.2.1 12345 25 \r\n"), PROXY_BAD, NULL},
    {SPAN("PROXY TCP4 192.0.2.9 192.0.2.1 12345\r\n"), PROXY_BAD, NULL},
    {SPAN("PROXY TCP4 192.0.2.9 192.0.2.1 65536 25\r\n"), PROXY_BAD, NULL},
    {SPAN("PROXY TCP4 2001:db8::9 192.0.2.1 12345 25\r\n"), PROXY_BAD, NULL},
    {SPAN("PROXY TCP6 192.0.2.9 ::1 12345 25\r\n"), PROXY_BAD, NULL},
    {SPAN("PROXY TCP5 192.0.2.9 192.0.2.1 12345 25\r\n"), PROXY_BAD, NULL},
    {SPAN(V2 "\x11\x11\0\x0c" IPV4), PROXY_BAD, NULL},
    {SPAN(V2 "\x22\x11\0\x0c" IPV4), PROXY_BAD, NULL},
    {SPAN(V2 "\x21\x11\0\x0b" IPV4), PROXY_BAD, NULL},
    {SPAN(V2 "\x21\x21\0\x0c" IPV4), PROXY_BAD, NULL},
    {SPAN(V2 "\x21\x11\xff\xff" IPV4), PROXY_BAD, NULL},
};

/* Whole, with what the client says behind it, and one octet at a time. */
Test(proxy, headers)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char octets[300], text[NETADDR_TEXT];
        struct netaddr before = {.octets = {10, 0, 0, 1}, .n = 4, .port = 1}, peer = before;
        size_t used = 0, n = rows[i].in.n;
        memcpy(octets, rows[i].in.p, n);
        memcpy(octets + n, "EHLO x\r\n", 8);
        cr_expect_eq(proxy_parse((struct span){octets, n + 8}, &peer, &used), rows[i].result,
                     "row %zu", i);
        if (rows[i].result == PROXY_DONE) {
            cr_expect_eq(used, n, "row %zu", i);
            for (size_t k = 0; k < n; k++)
                cr_expect_eq(proxy_parse((struct span){octets, k}, &peer, &used), PROXY_MORE,
                             "row %zu cut at %zu", i, k);
        }
        netaddr_format_port(text, &peer);
        cr_expect(rows[i].result == PROXY_BAD || rows[i].peer == NULL
                      ? rows[i].result == PROXY_BAD || netaddr_eq(&peer, &before)
                      : strcmp(text, rows[i].peer) == 0,
                  "row %zu: %s", i, text);
    }
}

Test(proxy, endless)
{
    char octets[PROXY_MAX];
    struct netaddr peer;
    size_t used;
    memset(octets, 'A', sizeof octets);
    memcpy(octets, "PROXY UNKNOWN ", 14);
    cr_expect_eq(proxy_parse((struct span){octets, 106}, &peer, &used), PROXY_MORE);
    cr_expect_eq(proxy_parse((struct span){octets, 107}, &peer, &used), PROXY_BAD);
}
