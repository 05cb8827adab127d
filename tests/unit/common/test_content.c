#include "common/content.h"
#include "common/maildb.h"
#include "common/proto.h"

#include <criterion/criterion.h>

struct row {
    struct span in;
    uint64_t header;
    unsigned flags;
    bool is_damaged;
};

static const struct row rows[] = {
    {{"", 0}, 0, 0, false},
    {{"A: b\r\n\r\nx\r\n", 11}, 8, 0, false},
    {{"A: b\r\n", 6}, 6, 0, false},
    {{"\r\n", 2}, 2, 0, false},
    {{"\r\n\r\n", 4}, 2, 0, false},
    {{"A: b\r\n\r\n\r\nx\r\n", 13}, 8, 0, false},
    {{"a\r\n.\r\n", 6}, 6, CONTENT_DOTS, false},
    {{".a\r\n", 4}, 4, CONTENT_DOTS, false},
    {{"a.\r\n", 4}, 4, 0, false},
    {{"\xe9\r\n", 3}, 3, CONTENT_8BIT | CONTENT_HEADER8, false},
    {{"a\r\n\r\n\xe9\r\n", 8}, 5, CONTENT_8BIT, false},
    {{"0123456789\xe9_\r\n", 14}, 14, CONTENT_8BIT | CONTENT_HEADER8, false},
    {{"a\n", 2}, 2, 0, true},
    {{"\n", 1}, 1, 0, true},
    {{"a\n\r\n", 4}, 4, 0, true},
    {{"a\r", 2}, 2, 0, true},
    {{"a\rb\r\n", 5}, 5, 0, true},
    {{"a\r\r\n", 4}, 4, 0, true},
    {{"\r\r\n", 3}, 3, 0, true},
    {{"a", 1}, 1, 0, true},
    {{"a\r\nb", 4}, 4, 0, true},
    {{"a\0\r\n", 4}, 4, 0, true},
};

static void expect(const struct row *r, const struct content_scan *s, size_t step)
{
    cr_expect_eq(s->octets, r->in.n, "%s", r->in.p);
    cr_expect_eq(s->flags, r->flags, "%s: flags %u in steps of %zu", r->in.p, s->flags, step);
    cr_expect_eq(s->is_damaged, r->is_damaged, "%s in steps of %zu", r->in.p, step);
    cr_expect(r->is_damaged || s->header == r->header, "%s: header %d", r->in.p, (int)s->header);
}

Test(content, table)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t step = 1; step <= rows[i].in.n + 1; step++) {
            struct content_scan s;
            content_begin(&s);
            for (size_t at = 0; at < rows[i].in.n; at += step) {
                struct span chunk = span_from(rows[i].in, at);
                chunk.n = chunk.n < step ? chunk.n : step;
                content_add(&s, chunk);
            }
            content_end(&s);
            expect(&rows[i], &s, step);
        }
}

Test(content, long_lines)
{
    for (size_t n = 995; n < 1003; n++)
        for (size_t step = 1; step < 2000; step += 333) {
            char line[1024];
            struct content_scan s;
            memset(line, 'x', n);
            memcpy(line + n, "\r\n", 2);
            content_begin(&s);
            for (size_t at = 0; at < n + 2; at += step)
                content_add(&s, (struct span){line + at, n + 2 - at < step ? n + 2 - at : step});
            content_end(&s);
            cr_expect_eq((s.flags & CONTENT_LONGLINE) != 0, n + 2 > 1000, "%zu", n);
            cr_expect_not(s.is_damaged);
        }
}

/* No scan, and no client, can make a message look imported: it would lose its Return-Path. */
Test(content, flags_are_not_that_of_an_import)
{
    unsigned found = CONTENT_UTF8;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        found |= rows[i].flags;
    cr_expect_eq(found & CONTENT_BARE, 0);
    cr_expect_gt(maildb_prefix_octets(SPAN("a@b.example"), (uint8_t)found), 0);
}

/* RFC 8689 3. */
static const struct {
    const char *in;
    bool is_optional;
} wishes[] = {
    {"TLS-Required: No\r\n\r\nx\r\n", true},
    {"Subject: x\r\ntls-required:no\r\nTo: y\r\n\r\n", true},
    {"TLS-Required:\t\r\n \tNO \r\n\r\n", true},
    {"TLS-Required: No\r\n", true},
    {"A: b\r\nTLS-Required: No\r\nTLS-Required: Yes\r\n\r\n", true},
    {"TLS-Required: Yes\r\n\r\n", false},
    {"TLS-Required: No\r\n way\r\n\r\n", false},
    {"TLS-Required: None\r\n\r\n", false},
    {"TLS-Required: N o\r\n\r\n", false},
    {"TLS-Required: No 0123456789012345678901234567890\r\n\r\n", false},
    {"TLS-Required: No                                 \r\n Way\r\n\r\n", false},
    {"X-TLS-Required: No\r\n\r\n", false},
    {"Subject:\r\n TLS-Required: No\r\n\r\n", false},
    {"Subject: 0123456789012345678901234567890123456789\r\n TLS-Required: No\r\n\r\n", false},
    {"Subject: x\r\n\r\nTLS-Required: No\r\n", false},
    {"TLS-Required:\r\n\r\nNo\r\n", false},
    {"TLS-Required\r\n\r\n", false},
};

Test(content, no_need_of_tls)
{
    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++) {
        struct span in = span_of(wishes[i].in);
        for (size_t step = 1; step <= in.n; step++) {
            struct content_scan s;
            content_begin(&s);
            for (size_t at = 0; at < in.n; at += step) {
                struct span chunk = span_from(in, at);
                chunk.n = chunk.n < step ? chunk.n : step;
                content_add(&s, chunk);
            }
            content_end(&s);
            cr_expect_eq(s.is_tls_optional, wishes[i].is_optional, "row %zu by %zu", i, step);
        }
    }
}
