#include "cli/textin.h"

#include <criterion/criterion.h>

#define TEN    "0123456789"
#define NINETY TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define LONG   NINETY NINETY NINETY NINETY NINETY NINETY NINETY NINETY NINETY NINETY NINETY

static const struct row {
    struct span in, out;
    bool ignores_dots, is_over;
} rows[] = {
    {SPAN(""), SPAN(""), false, false},
    {SPAN("a\nb\r\nc\rd"), SPAN("a\r\nb\r\nc\r\nd\r\n"), false, false},
    {SPAN("\n\n\r\r\n"), SPAN("\r\n\r\n\r\n\r\n"), false, false},
    {SPAN("a\n.\nb\n"), SPAN("a\r\n"), false, true},
    {SPAN("a\r\n.\r\nb\n"), SPAN("a\r\n"), false, true},
    {SPAN("a\n.\nb\n"), SPAN("a\r\n.\r\nb\r\n"), true, false},
    {SPAN("a\n."), SPAN("a\r\n"), false, true},
    {SPAN("a\n."), SPAN("a\r\n.\r\n"), true, false},
    {SPAN("..\n.x\n. \nx.\n"), SPAN("..\r\n.x\r\n. \r\nx.\r\n"), false, false},
    {SPAN("a\0b\n"), SPAN("ab\r\n"), false, false},
    {SPAN(LONG "\n"), SPAN(LONG "\r\n"), false, false},
    {SPAN(LONG "xy\n"), SPAN(LONG "\r\n xy\r\n"), false, false},
    {SPAN(LONG "\xc3\xa4z\n"), SPAN(LONG "\r\n \xc3\xa4z\r\n"), false, false},
    {SPAN(NINETY NINETY NINETY NINETY NINETY NINETY NINETY NINETY NINETY NINETY NINETY "\x80\x80"),
     SPAN(LONG "\x80\x80\r\n"), false, false},
    {SPAN(LONG LONG "\n"),
     SPAN(LONG "\r\n " NINETY NINETY NINETY NINETY NINETY NINETY NINETY NINETY NINETY NINETY TEN TEN
              TEN TEN TEN TEN TEN TEN "012345678\r\n 9\r\n"),
     false, false},
};

Test(textin, table)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t step = 1; step <= 5000; step += 4999) {
            struct textin t = {.ignores_dots = rows[i].ignores_dots};
            struct buf out;
            buf_init(&out, 10000);
            for (struct span in = rows[i].in; in.n > 0;) {
                struct span piece = {in.p, in.n < step ? in.n : step};
                cr_assert_eq(textin_take(&t, piece, &out), 0);
                in = span_from(in, piece.n);
            }
            cr_assert_eq(textin_end(&t, &out), 0);
            cr_expect(span_eq(buf_span(&out), rows[i].out), "row %zu step %zu: %.*s", i, step,
                      (int)buf_span(&out).n, buf_span(&out).p);
            cr_expect_eq(t.is_over, rows[i].is_over, "row %zu", i);
            buf_free(&out);
        }
}
