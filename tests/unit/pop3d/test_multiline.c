#include "pop3d/multiline.h"

#include <criterion/criterion.h>

#define OUT 4096

static const struct {
    const char *in;
    const char *out;
} whole[] = {
    {"a\r\nb\r\n", "a\r\nb\r\n.\r\n"},
    {".\r\n", "..\r\n.\r\n"},
    {"..\r\n", "...\r\n.\r\n"},
    {"a\r\n.b\r\n..c\r\n", "a\r\n..b\r\n...c\r\n.\r\n"},
    {"a.b\r\n.", "a.b\r\n..\r\n.\r\n"},
    {"\r\n\r\n.\r\n", "\r\n\r\n..\r\n.\r\n"},
    {"", ".\r\n"},
    /* cannot exist; the end must be an end all the same */
    {"a", "a\r\n.\r\n"},
    {"a\r", "a\r\r\n.\r\n"},
    {"a\n", "a\n\r\n.\r\n"},
    {"a\n.\r\n", "a\n..\r\n.\r\n"},
    {"a\n.\n", "a\n..\n\r\n.\r\n"},
};

/* header: octets before the body; lines: asked for */
static const struct {
    const char *in;
    uint64_t header, lines;
    const char *out;
} tops[] = {
    {"A: b\r\n\r\n1\r\n2\r\n3\r\n", 8, 0, "A: b\r\n\r\n.\r\n"},
    {"A: b\r\n\r\n1\r\n2\r\n3\r\n", 8, 1, "A: b\r\n\r\n1\r\n.\r\n"},
    {"A: b\r\n\r\n1\r\n2\r\n3\r\n", 8, 2, "A: b\r\n\r\n1\r\n2\r\n.\r\n"},
    {"A: b\r\n\r\n1\r\n2\r\n3\r\n", 8, 9, "A: b\r\n\r\n1\r\n2\r\n3\r\n.\r\n"},
    {"A: b\r\n\r\n.1\r\n.2\r\n3\r\n", 8, 2, "A: b\r\n\r\n..1\r\n..2\r\n.\r\n"},
    {".A: b\r\n\r\n.1\r\n", 9, 0, "..A: b\r\n\r\n.\r\n"},
    {"A: b\r\n", 6, 3, "A: b\r\n.\r\n"},
    {"\r\n1\r\n2\r\n", 2, 1, "\r\n1\r\n.\r\n"},
    {"1\r\n2\r\n", 0, 1, "1\r\n.\r\n"},
    {"1\r\n2\r\n", 0, 0, ".\r\n"},
    {"A: b\r\n\r\n\r\n\r\n3\r\n", 8, 2, "A: b\r\n\r\n\r\n\r\n.\r\n"},
};

static size_t run(struct multiline *m, struct span in, size_t piece, char out[OUT])
{
    size_t n = 0;
    while (in.n > 0 && !multiline_is_done(m)) {
        struct span part = {in.p, in.n < piece ? in.n : piece};
        in = span_from(in, part.n);
        for (struct span s; (s = multiline_next(m, &part)).n > 0; n += s.n)
            memcpy(out + n, s.p, s.n);
    }
    struct span end = multiline_end(m);
    memcpy(out + n, end.p, end.n);
    out[n + end.n] = '\0';
    return n + end.n;
}

/* Any piece size gives the same: whole, one octet, and some between. */
static const size_t pieces[] = {OUT, 1, 2, 3, 5};
#define PIECES (sizeof pieces / sizeof *pieces)

Test(multiline, whole_messages)
{
    char out[OUT];
    struct multiline m;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        for (size_t k = 0; k < PIECES; k++) {
            multiline_begin(&m, true);
            run(&m, span_of(whole[i].in), pieces[k], out);
            cr_expect_str_eq(out, whole[i].out, "row %zu in pieces of %zu", i, pieces[k]);
        }
}

Test(multiline, tops)
{
    char out[OUT];
    struct multiline m;
    for (size_t i = 0; i < sizeof tops / sizeof *tops; i++)
        for (size_t k = 0; k < PIECES; k++) {
            multiline_begin_top(&m, true, tops[i].header, tops[i].lines);
            run(&m, span_of(tops[i].in), pieces[k], out);
            cr_expect_str_eq(out, tops[i].out, "row %zu in pieces of %zu", i, pieces[k]);
        }
}

/* Without the flag nothing is searched for dots, and TOP still cuts. */
Test(multiline, without_dots)
{
    char out[OUT];
    struct multiline m;
    for (size_t k = 0; k < PIECES; k++) {
        multiline_begin(&m, false);
        run(&m, SPAN("a\r\nb.\r\n"), pieces[k], out);
        cr_expect_str_eq(out, "a\r\nb.\r\n.\r\n");
        multiline_begin_top(&m, false, 6, 1);
        run(&m, SPAN("a\r\n\r\n.1\r\n2\r\n"), pieces[k], out);
    }
    multiline_begin_top(&m, false, 5, 1);
    run(&m, SPAN("a\r\n\r\n1\r\n2\r\n"), OUT, out);
    cr_expect_str_eq(out, "a\r\n\r\n1\r\n.\r\n");
}

/* The simplest thing that is right: one octet after the other. */
static size_t reference(struct span in, bool is_top, uint64_t header, uint64_t lines, char out[OUT])
{
    size_t n = 0;
    char last = '\n';
    for (size_t i = 0; i < in.n; i++) {
        if (is_top && i >= header && lines == 0)
            break;
        if (last == '\n' && in.p[i] == '.')
            out[n++] = '.';
        out[n++] = last = in.p[i];
        if (i >= header && last == '\n')
            lines--;
    }
    if (n > 0 && !(n > 1 && out[n - 1] == '\n' && out[n - 2] == '\r')) {
        memcpy(out + n, "\r\n", 2);
        n += 2;
    }
    memcpy(out + n, ".\r\n", 4);
    return n + 3;
}

Test(multiline, agrees_with_the_reference)
{
    static const char alphabet[] = "..\r\n\nx";
    char in[40], want[OUT], got[OUT];
    uint32_t seed = 1;
    for (int round = 0; round < 200000; round++) {
        size_t n = 0;
        for (uint32_t want_n = (seed >> 8) % sizeof in; n < want_n; n++) {
            seed = seed * 1664525 + 1013904223;
            in[n] = alphabet[(seed >> 16) % 6];
        }
        seed = seed * 1664525 + 1013904223;
        bool is_top = seed & 0x10000;
        uint64_t header = (seed >> 17) % (n + 2), lines = (seed >> 24) % 5;
        struct multiline m;
        if (is_top)
            multiline_begin_top(&m, true, header, lines);
        else
            multiline_begin(&m, true);
        struct span all = {in, n};
        size_t want_n = reference(all, is_top, header, lines, want);
        size_t got_n = run(&m, all, pieces[(size_t)round % PIECES], got);
        cr_assert(want_n == got_n && memcmp(want, got, got_n) == 0, "round %d", round);
    }
}
