#include "cli/header.h"

#include "common/buf.h"

#include <criterion/criterion.h>

static int collect(void *arg, struct span text, size_t behind)
{
    (void)behind;
    return buf_addf(arg, "%.*s|", (int)text.n, text.p);
}

Test(header, addresses)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"alice@example.org", "alice@example.org|"},
        {" alice@example.org ,\r\n\tbob@example.org", "alice@example.org|bob@example.org|"},
        {"Alice <alice@example.org>, bob", "alice@example.org|bob|"},
        {"\"Smith, Alice\" <alice@example.org>", "alice@example.org|"},
        {"root (Cron, (nested) \\) Daemon)", "root|"},
        {"\"a b\"@example.org", "\"a b\"@example.org|"},
        {"\"a\\\"b\"@example.org", "\"a\\\"b\"@example.org|"},
        {"friends: a@b.test, C <c@d.test>;, e@f.test", "a@b.test|c@d.test|e@f.test|"},
        {"undisclosed-recipients:;", ""},
        {"a @ b . test", "a@b.test|"},
        {"x@[IPv6:::1], y@b", "x@[IPv6:::1]|y@b|"},
        {"<a@b.test> trailing, c@d.test", "a@b.test|c@d.test|"},
        {"<>", ""},
        {",,;", ""},
        {"(unclosed", ""},
        {"\"unclosed", "\"unclosed|"},
        {"<unclosed", "unclosed|"},
        {"(x\\", ""},
        {"[unclosed", "[unclosed|"},
        {"<@relay.test:a@b.test>", "@relay.test:a@b.test|"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out;
        buf_init(&out, 10000);
        cr_assert_eq(field_addresses(span_of(rows[i][0]), collect, &out), 0);
        cr_expect(span_eq(buf_span(&out), span_of(rows[i][1])), "%s: %.*s", rows[i][0],
                  (int)buf_span(&out).n, buf_span(&out).p);
        buf_free(&out);
    }
}

Test(header, end)
{
    static const struct {
        const char *text;
        size_t end, body;
        bool is_open; /* more text could belong to it */
    } rows[] = {
        {"", 0, 0, true},
        {"A: b\r\n\r\nbody\r\n", 6, 8, false},
        {"A: b\r\n c\r\nD:\r\n\r\n", 15 - 1, 17 - 1, false},
        {"A: b\r\nno field\r\n", 6, 6, false},
        {"hello\r\n", 0, 0, false},
        {"\r\nhello\r\n", 0, 2, false},
        {" fold of nothing\r\n", 0, 0, false},
        {"A: b\r\n", 6, 6, true},
        {"A : b\r\n\r\n", 7, 9, false},
        {": b\r\n\r\n", 0, 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t end = 99, body = 99;
        cr_expect_eq(header_find_end(span_of(rows[i].text), false, &end, &body),
                     rows[i].is_open ? -1 : 0, "row %zu", i);
        cr_expect_eq(header_find_end(span_of(rows[i].text), true, &end, &body), 0);
        cr_expect_eq(end, rows[i].end, "row %zu: %zu", i, end);
        cr_expect_eq(body, rows[i].body, "row %zu: %zu", i, body);
    }
}
