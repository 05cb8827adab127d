#include "smtpd/body.h"

#include <criterion/criterion.h>

#define OCTETS(literal)                                                                            \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

struct row {
    struct span in;
    struct span content; /* if fine */
    enum body_problem problem;
    size_t left; /* octets behind the end */
};

static const struct row rows[] = {
    {OCTETS(".\r\n"), OCTETS(""), BODY_FINE, 0},
    {OCTETS("a\r\n.\r\n"), OCTETS("a\r\n"), BODY_FINE, 0},
    {OCTETS("a\r\n.\r\nQUIT\r\n"), OCTETS("a\r\n"), BODY_FINE, 6},
    {OCTETS("\r\n.\r\n"), OCTETS("\r\n"), BODY_FINE, 0},
    {OCTETS("..\r\n.\r\n"), OCTETS(".\r\n"), BODY_FINE, 0},
    {OCTETS("..a\r\n...\r\n.\r\n"), OCTETS(".a\r\n..\r\n"), BODY_FINE, 0},
    {OCTETS(".a\r\n.\r\n"), OCTETS("a\r\n"), BODY_FINE, 0},
    {OCTETS("a.\r\nb..\r\n.\r\n"), OCTETS("a.\r\nb..\r\n"), BODY_FINE, 0},
    {OCTETS("\xe9\xff\r\n.\r\n"), OCTETS("\xe9\xff\r\n"), BODY_FINE, 0},
    /* none of these is an end: the first dot line after it is */
    {OCTETS("a\n.\r\nb\r\n.\r\n"), OCTETS(""), BODY_BARE, 0},
    {OCTETS("a\r\n.\nb\r\n.\r\n"), OCTETS(""), BODY_BARE, 0},
    {OCTETS("a\n.\nb\r\n.\r\n"), OCTETS(""), BODY_BARE, 0},
    {OCTETS("a\r.\r\nb\r\n.\r\n"), OCTETS(""), BODY_BARE, 0},
    {OCTETS("a\r\n.\rb\r\n.\r\n"), OCTETS(""), BODY_BARE, 0},
    {OCTETS("a\r\n.\r\rb\r\n.\r\n"), OCTETS(""), BODY_BARE, 0},
    {OCTETS("a\r\r\n.\r\nb"), OCTETS(""), BODY_BARE, 1},
    {OCTETS("a\r\n\n.\r\nb\r\n.\r\n"), OCTETS(""), BODY_BARE, 0},
    {OCTETS("a\r\n.\0\r\n.\r\n"), OCTETS(""), BODY_NUL, 0},
    {OCTETS("\0\r\n.\r\n"), OCTETS(""), BODY_NUL, 0},
};

static const struct row normalised[] = {
    {OCTETS("a\nb\r\n.\r\n"), OCTETS("a\r\nb\r\n"), BODY_FINE, 0},
    {OCTETS("a\rb\r\n.\r\n"), OCTETS("a\r\nb\r\n"), BODY_FINE, 0},
    {OCTETS("a\n.\r\nb\r\n.\r\n"), OCTETS("a\r\n.\r\nb\r\n"), BODY_FINE, 0},
    {OCTETS("a\n.\nb\n\r\n.\r\n"), OCTETS("a\r\n.\r\nb\r\n\r\n"), BODY_FINE, 0},
    {OCTETS("a\r\n.\nb\r\n.\r\n"), OCTETS("a\r\n\r\nb\r\n"), BODY_FINE, 0},
    {OCTETS("a\r\n.\r.\r\n.\r\n"), OCTETS("a\r\n\r\n.\r\n"), BODY_FINE, 0},
    {OCTETS("a\r\r\n.\r\n"), OCTETS("a\r\n\r\n"), BODY_FINE, 0},
    {OCTETS("\n\n\r\r.\r\n.\r\n"), OCTETS("\r\n\r\n\r\n\r\n.\r\n"), BODY_FINE, 0},
    {OCTETS("a\0\n.\r\n\r\n.\r\n"), OCTETS(""), BODY_NUL, 0},
};

struct result {
    char content[4096];
    size_t n, taken;
    struct body body;
};

static void run(struct result *r, struct span in, size_t step)
{
    r->n = r->taken = 0;
    while (r->taken < in.n && !body_is_over(&r->body)) {
        struct span piece = span_from(in, r->taken);
        size_t n_out;
        piece.n = piece.n < step ? piece.n : step;
        cr_assert_leq(r->n + body_room(&r->body, piece.n), sizeof r->content);
        r->taken += body_take(&r->body, piece, r->content + r->n, &n_out);
        cr_assert_leq(n_out, body_room(&r->body, piece.n));
        r->n += n_out;
    }
}

static void check(const struct row *row, bool normalises)
{
    for (size_t step = 1; step <= row->in.n; step++) {
        struct result r;
        body_begin(&r.body, 4096, 100, normalises);
        run(&r, row->in, step);
        cr_expect(body_is_over(&r.body), "%s in steps of %zu", row->in.p, step);
        cr_expect_eq(r.body.problem, row->problem, "%s: problem %d", row->in.p, r.body.problem);
        cr_expect_eq(r.taken, row->in.n - row->left, "%s took %zu", row->in.p, r.taken);
        if (row->problem != BODY_FINE)
            continue;
        cr_expect(span_eq(row->content, (struct span){r.content, r.n}), "%s in steps of %zu: %.*s",
                  row->in.p, step, (int)r.n, r.content);
        cr_expect_eq(r.body.octets, r.n);
    }
}

/* Chunked: no dot and no CRLF.CRLF means anything; an unfinished last line is finished. */
Test(body, chunked)
{
    static const struct {
        struct span in, content;
        enum body_problem problem;
        bool normalises;
    } chunks[] = {
        {OCTETS(""), OCTETS(""), BODY_FINE, false},
        {OCTETS("a\r\n"), OCTETS("a\r\n"), BODY_FINE, false},
        {OCTETS("a"), OCTETS("a\r\n"), BODY_FINE, false},
        {OCTETS(".\r\n..\r\n.a\r\n.\r\nb"), OCTETS(".\r\n..\r\n.a\r\n.\r\nb\r\n"), BODY_FINE,
         false},
        {OCTETS("a\r"), OCTETS(""), BODY_BARE, false},
        {OCTETS("a\nb"), OCTETS(""), BODY_BARE, false},
        {OCTETS("a\0b"), OCTETS(""), BODY_NUL, false},
        {OCTETS("a\r"), OCTETS("a\r\n"), BODY_FINE, true},
        {OCTETS("a\n.\rb\n"), OCTETS("a\r\n.\r\nb\r\n"), BODY_FINE, true},
    };
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++)
        for (size_t step = 1; step <= chunks[i].in.n + 1; step++) {
            struct result r;
            size_t n_out;
            body_begin(&r.body, 4096, 100, chunks[i].normalises);
            r.body.is_chunked = true;
            run(&r, chunks[i].in, step);
            cr_expect_eq(r.taken, chunks[i].in.n);
            body_end(&r.body, r.content + r.n, &n_out);
            cr_expect_leq(n_out, BODY_END_ROOM);
            r.n += n_out;
            cr_expect_eq(r.body.problem, chunks[i].problem, "row %zu by %zu", i, step);
            if (r.body.problem != BODY_FINE)
                continue;
            cr_expect(span_eq(chunks[i].content, (struct span){r.content, r.n}), "row %zu by %zu",
                      i, step);
            cr_expect_eq(r.body.octets, r.n);
        }
}

Test(body, table)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check(&rows[i], false);
}

Test(body, table_normalised)
{
    for (size_t i = 0; i < sizeof normalised / sizeof normalised[0]; i++)
        check(&normalised[i], true);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].problem == BODY_FINE)
            check(&rows[i], true);
}

/* The same by the plainest means: one octet at a time, looking back at the input. */
static size_t reference(struct span in, bool normalises, struct result *r)
{
    bool at_start = true, is_stuffed = false, is_bare = false;
    r->n = 0;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        bool is_crlf = c == '\r' && i + 1 < in.n && in.p[i + 1] == '\n';
        if (is_crlf && is_stuffed && in.p[i - 1] == '.') {
            r->body.problem = is_bare ? BODY_BARE : BODY_FINE;
            return i + 2;
        }
        is_stuffed = at_start && c == '.';
        at_start = false;
        if (is_stuffed)
            continue;
        if (is_crlf || ((c == '\r' || c == '\n') && normalises)) {
            r->content[r->n++] = '\r';
            r->content[r->n++] = '\n';
            at_start = is_crlf;
            i += is_crlf;
        } else {
            is_bare = is_bare || c == '\r' || c == '\n';
            r->content[r->n++] = c;
        }
    }
    return 0;
}

/* All strings of seven octets of this alphabet, with an end behind them. */
Test(body, every_short_input_is_read_as_the_reference_reads_it)
{
    static const char alphabet[] = "a.\r\n";
    char in[16];
    for (unsigned code = 0; code < 1U << 14; code++) {
        for (unsigned i = 0; i < 7; i++)
            in[i] = alphabet[code >> (2 * i) & 3];
        memcpy(in + 7, "x\r\n.\r\n", 6);
        for (int normalises = 0; normalises < 2; normalises++) {
            struct result want, got;
            struct span all = {in, 13};
            size_t end = reference(all, normalises != 0, &want);
            for (size_t step = 1; step <= 13; step += 12) {
                body_begin(&got.body, 100, 100, normalises != 0);
                run(&got, all, step);
                cr_assert_eq(got.taken, end, "%x: %zu, not %zu", code, got.taken, end);
                cr_assert_eq(got.body.problem, want.body.problem, "%x: %d", code, got.body.problem);
                if (want.body.problem == BODY_FINE)
                    cr_assert(span_eq((struct span){got.content, got.n},
                                      (struct span){want.content, want.n}),
                              "%x", code);
            }
        }
    }
}

Test(body, size_is_counted_without_dots)
{
    for (uint64_t max = 5; max <= 9; max++) {
        struct result r;
        body_begin(&r.body, max, 100, false);
        run(&r, SPAN("..a\r\nbc\r\n.\r\n"), 1);
        cr_expect(body_is_over(&r.body));
        cr_expect_eq(r.body.problem, max < 8 ? BODY_SIZE : BODY_FINE, "%d", (int)max);
    }
}

static enum body_problem hops(const char *in, uint64_t max, size_t step)
{
    struct result r;
    body_begin(&r.body, 4096, max, true);
    run(&r, span_of(in), step);
    cr_expect(body_is_over(&r.body));
    return r.body.problem;
}

Test(body, received_fields)
{
    for (size_t step = 1; step < 30; step++) {
        const char *two = "Received: a\r\n\tx\r\nSubject: Received:\r\nRECEIVED:b\r\n"
                          "Received-SPF: x\r\n Received: c\r\n\r\nReceived: d\r\n.\r\n";
        cr_expect_eq(hops(two, 1, step), BODY_HOPS);
        cr_expect_eq(hops(two, 2, step), BODY_FINE, "in steps of %zu", step);
        cr_expect_eq(hops("received:\r\n.\r\n", 1, step), BODY_FINE);
        cr_expect_eq(hops("A: b\nReceived: x\nReceived: y\r\n.\r\n", 1, step), BODY_HOPS);
        cr_expect_eq(hops("..Received: x\r\n.Received: y\r\n.\r\n", 0, step), BODY_HOPS);
        cr_expect_eq(hops("..Received: x\r\n.\r\n", 0, step), BODY_FINE);
    }
}

/* Feeds `lines` lines of `n` octets without CRLF, then the end. */
static enum body_problem lines_of(size_t n, size_t lines, const char *before)
{
    static char line[BODY_LINE_MAX + 64], out[2 * sizeof line + 2];
    struct body b;
    size_t n_out;
    body_begin(&b, UINT64_MAX, 100, false);
    body_take(&b, span_of(before), out, &n_out);
    memset(line, 'x', n);
    memcpy(line + n, "\r\n", 2);
    for (size_t i = 0; i < lines; i++)
        cr_assert_eq(body_take(&b, (struct span){line, n + 2}, out, &n_out), n + 2);
    body_take(&b, SPAN(".\r\n"), out, &n_out);
    cr_expect(body_is_over(&b));
    return b.problem;
}

Test(body, long_lines)
{
    cr_expect_eq(lines_of(BODY_LINE_MAX - 2, 1, ""), BODY_FINE);
    cr_expect_eq(lines_of(BODY_LINE_MAX - 1, 1, ""), BODY_LINE);
}

Test(body, long_header_sections)
{
    cr_expect_eq(lines_of(1022, BODY_HEADER_MAX / 1024, ""), BODY_FINE);
    cr_expect_eq(lines_of(1022, BODY_HEADER_MAX / 1024 + 1, ""), BODY_HEADER);
    cr_expect_eq(lines_of(1022, BODY_HEADER_MAX / 1024 + 1, "A: b\r\n\r\n"), BODY_FINE);
}
