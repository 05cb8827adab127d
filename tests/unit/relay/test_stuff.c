#include "relay/stuff.h"

#include <criterion/criterion.h>

static const struct {
    const char *in, *out;
} rows[] = {
    {"", ""},
    {"a\r\n", "a\r\n"},
    {".", ".."},
    {".\r\n", "..\r\n"},
    {"..\r\n", "...\r\n"},
    {"a.b\r\n.c\r\nd.\r\n", "a.b\r\n..c\r\nd.\r\n"},
    {"\r\n.\r\n", "\r\n..\r\n"},
    {".\r\n.\r\n.\r\n", "..\r\n..\r\n..\r\n"},
    {"a\r\n\r\n.", "a\r\n\r\n.."},
    {"Subject: x\r\n\r\n.a\r\nb\r\n", "Subject: x\r\n\r\n..a\r\nb\r\n"},
};

static void check_row(size_t i, size_t step)
{
    char out[256];
    size_t n = 0;
    struct stuff s = {.in_line = false};
    struct span in = span_of(rows[i].in);
    for (size_t at = 0; at < in.n; at += step) {
        struct span piece = {in.p + at, in.n - at < step ? in.n - at : step};
        while (piece.n > 0) {
            bool needs_dot;
            struct span run = stuff_next(&s, &piece, &needs_dot);
            if (needs_dot)
                out[n++] = '.';
            memcpy(out + n, run.p, run.n);
            n += run.n;
        }
    }
    cr_expect(span_eq((struct span){out, n}, span_of(rows[i].out)), "%s by %zu: %.*s", rows[i].in,
              step, (int)n, out);
}

Test(stuff, any_pieces)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t step = 1; step < 30; step++)
            check_row(i, step);
}
