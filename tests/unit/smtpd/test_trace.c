#include "common/clock.h"
#include "common/id.h"
#include "smtpd/trace.h"

#include <criterion/criterion.h>

#define ID UINT64_C(0x123456789)

static const struct row {
    struct span helo;
    const char *client;
    const char *protocol;
    const char *rcpt;
    const char *field; /* %s: the id */
} rows[] = {
    {{"mail.test", 9},
     "192.0.2.7",
     "ESMTP",
     "a@b.test",
     "Received: from mail.test ([192.0.2.7])\r\n\tby mx.test with ESMTP id %s\r\n"
     "\tfor <a@b.test>;\r\n\tSun, 22 Nov 2026 01:34:29 +0000\r\n"},
    {{"mail.test", 9},
     "2001:db8::1",
     "SMTP",
     "",
     "Received: from mail.test ([IPv6:2001:db8::1])\r\n\tby mx.test with SMTP id %s;\r\n"
     "\tSun, 22 Nov 2026 01:34:29 +0000\r\n"},
    {{"[192.0.2.9]", 11},
     "192.0.2.7",
     "ESMTP",
     "postmaster",
     "Received: from [192.0.2.9] ([192.0.2.7])\r\n\tby mx.test with ESMTP id %s;\r\n"
     "\tSun, 22 Nov 2026 01:34:29 +0000\r\n"},
    {{"mx.test", 7},
     "uid:1000",
     "local",
     "a@b.test",
     "Received: by mx.test (barid, from userid 1000)\r\n\twith local id %s\r\n"
     "\tfor <a@b.test>;\r\n\tSun, 22 Nov 2026 01:34:29 +0000\r\n"},
    {{"my_pc (x\\y) \xe9", 13},
     "192.0.2.7",
     "ESMTP",
     "",
     "Received: from [192.0.2.7] ([192.0.2.7]) (HELO my_pc ?x?y? ?)\r\n"
     "\tby mx.test with ESMTP id %s;\r\n\tSun, 22 Nov 2026 01:34:29 +0000\r\n"},
};

Test(trace, table)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct trace t = {.helo = rows[i].helo,
                          .hostname = SPAN("mx.test"),
                          .protocol = span_of(rows[i].protocol),
                          .id = ID,
                          .rcpt = span_of(rows[i].rcpt),
                          .wall_s = 1795311269};
        char out[TRACE_MAX], want[TRACE_MAX], id[ID_TEXT];
        cr_assert(netaddr_parse(span_of(rows[i].client), &t.client) == 0 ||
                  netaddr_parse_uid(span_of(rows[i].client), &t.client) == 0);
        size_t n = trace_received(out, &t);
        id_format(id, ID);
        const char *at = strstr(rows[i].field, "%s");
        snprintf(want, sizeof want, "%.*s%s%s", (int)(at - rows[i].field), rows[i].field, id,
                 at + 2);
        cr_expect(span_eq((struct span){out, n}, span_of(want)), "%.*s", (int)n, out);
    }
}

Test(trace, longest_of_everything)
{
    char name[256], out[TRACE_MAX];
    memset(name, '_', sizeof name);
    struct trace t = {.helo = {name, 255},
                      .client = {.n = 16, .octets = {0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}},
                      .hostname = {name, 255},
                      .protocol = SPAN("ESMTP"),
                      .id = UINT64_MAX >> 1,
                      .rcpt = {name, 254}};
    name[0] = '@';
    size_t n = trace_received(out, &t);
    cr_assert_lt(n, TRACE_MAX);
    struct span rest = {out, n};
    while (rest.n > 0)
        cr_expect_leq(span_cut(&rest, '\n').n, 998);
    cr_expect_eq(out[n - 1], '\n');
}

Test(trace, date_and_message_id)
{
    char date[TRACE_DATE_MAX], id[TRACE_MESSAGE_ID_MAX], longest[512];
    struct span d = {date, trace_date(date, 0)};
    cr_expect(span_eq(d, SPAN("Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n")), "%.*s", (int)d.n, d.p);
    struct span m = {id, trace_message_id(id, 1, SPAN("mx.example.org"))};
    cr_expect(span_eq(m, SPAN("Message-ID: <0000000000001@mx.example.org>\r\n")), "%.*s", (int)m.n,
              m.p);
    memset(longest, 'x', sizeof longest);
    size_t n = trace_message_id(id, UINT64_MAX >> 1, (struct span){longest, sizeof longest});
    cr_expect_eq(n, 12 + 1 + ID_TEXT - 1 + 1 + HOSTNAME_SHOWN + 3, "%zu", n);
}

Test(trace, a_client_that_is_hidden)
{
    struct trace t = {.helo = SPAN("laptop.home"),
                      .hostname = SPAN("mx.test"),
                      .protocol = SPAN("ESMTPSA"),
                      .id = 1,
                      .rcpt = SPAN("a@b.test"),
                      .wall_s = 1795311269,
                      .is_hidden = true};
    char out[TRACE_MAX];
    cr_assert_eq(netaddr_parse(SPAN("192.0.2.7"), &t.client), 0);
    struct span got = {out, trace_received(out, &t)};
    cr_expect(
        span_eq(got, SPAN("Received: by mx.test (barid)\r\n\twith ESMTPSA id 0000000000001\r\n"
                          "\tfor <a@b.test>;\r\n\tSun, 22 Nov 2026 01:34:29 +0000\r\n")),
        "%.*s", (int)got.n, got.p);
}
