#include "cli/pop3in.h"

#include <criterion/criterion.h>

static const struct row {
    struct span in, text;
    enum pop3in_result status, line;
} rows[] = {
    {SPAN("+OK hello\r\n"), SPAN("hello"), POP3IN_OK, POP3IN_LINE},
    {SPAN("+OK\r\n"), SPAN(""), POP3IN_OK, POP3IN_LINE},
    {SPAN("+OK \n"), SPAN(""), POP3IN_OK, POP3IN_LINE},
    {SPAN("-ERR [IN-USE] no\r\n"), SPAN("[IN-USE] no"), POP3IN_ERR, POP3IN_LINE},
    {SPAN("-ERRor\r\n"), SPAN(""), POP3IN_BAD, POP3IN_LINE},
    {SPAN("HTTP/1.1 400\r\n"), SPAN(""), POP3IN_BAD, POP3IN_LINE},
    {SPAN("+ok x\r\n"), SPAN(""), POP3IN_BAD, POP3IN_LINE},
    {SPAN("\r\n"), SPAN(""), POP3IN_BAD, POP3IN_LINE},
    {SPAN(".\r\n"), SPAN(""), POP3IN_BAD, POP3IN_END},
    {SPAN("a\0b\r\n"), SPAN(""), POP3IN_BAD, POP3IN_BAD},
};

Test(pop3in, lines)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span text = {NULL, 0};
        size_t used;
        const struct row *r = &rows[i];
        for (size_t n = 0; n < r->in.n; n++) {
            cr_expect_eq(pop3in_status((struct span){r->in.p, n}, &text, &used), POP3IN_MORE);
            cr_expect_eq(used, 0);
        }
        cr_expect_eq(pop3in_status(r->in, &text, &used), r->status, "row %zu", i);
        if (r->status == POP3IN_OK || r->status == POP3IN_ERR)
            cr_expect(span_eq(text, r->text), "row %zu", i);
        cr_expect_eq(pop3in_line(r->in, &text, &used), r->line, "row %zu", i);
        cr_expect_eq(used, r->in.n, "row %zu", i);
    }
    char endless[POP3IN_LINE_MAX];
    struct span text;
    size_t used;
    memset(endless, 'x', sizeof endless);
    cr_expect_eq(pop3in_line((struct span){endless, sizeof endless}, &text, &used), POP3IN_BAD);
    cr_expect_eq(pop3in_line((struct span){endless, sizeof endless - 1}, &text, &used),
                 POP3IN_MORE);
    cr_expect_eq(pop3in_line(SPAN("..x\r\n"), &text, &used), POP3IN_LINE);
    cr_expect(span_eq(text, SPAN(".x")));
}

static const struct {
    struct span in, out;
    size_t left; /* octets behind the end; SIZE_MAX: no end */
} contents[] = {
    {SPAN(".\r\n"), SPAN(""), 0},
    {SPAN("a\r\n.\r\n+OK"), SPAN("a\r\n"), 3},
    {SPAN("..\r\n..a\r\n.\r\n"), SPAN(".\r\n.a\r\n"), 0},
    {SPAN("a\n.\nb\n.\r\nc\r\n.\r\n"), SPAN("a\n.\nb\n.\r\nc\r\n"), 0},
    {SPAN("a\r.\r\n.\r\n"), SPAN("a\r.\r\n"), 0},
    {SPAN("a\r\n.\rb\r\n.\r\n"), SPAN("a\r\n\rb\r\n"), 0},
    {SPAN("a\r\n.\r\r\n.\r\n"), SPAN("a\r\n\r\r\n"), 0},
    {SPAN("a\r\r\n.\r\n"), SPAN("a\r\r\n"), 0},
    {SPAN("a\0b\r\n.\r\n"), SPAN("a\0b\r\n"), 0},
    {SPAN("no end\r\n."), SPAN("no end\r\n"), SIZE_MAX},
    {SPAN("no end\r\n.\r"), SPAN("no end\r\n"), SIZE_MAX},
};

Test(pop3in, content)
{
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++)
        for (size_t step = 1; step <= 100; step += 99) {
            struct pop3in_content c = {.state = CONTENT_START};
            char all[300];
            size_t n = 0, taken = 0;
            struct span in = contents[i].in;
            while (in.n > 0 && c.state != CONTENT_OVER) {
                char out[202];
                size_t n_out;
                struct span piece = {in.p, in.n < step ? in.n : step};
                size_t used = pop3in_content(&c, piece, out, &n_out);
                cr_assert_leq(n_out, 2 * piece.n + 2);
                memcpy(all + n, out, n_out);
                n += n_out;
                taken += used;
                in = span_from(in, used);
            }
            cr_expect(span_eq((struct span){all, n}, contents[i].out), "row %zu step %zu: %.*s", i,
                      step, (int)n, all);
            cr_expect_eq(c.state == CONTENT_OVER ? contents[i].in.n - taken : SIZE_MAX,
                         contents[i].left, "row %zu", i);
        }
}
