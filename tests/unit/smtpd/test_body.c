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
    char content[8192];
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
        size_t room = body_room(&r->body, piece.n);
        cr_assert_leq(r->n + room, sizeof r->content);
        r->taken += body_take(&r->body, piece, r->content + r->n, &n_out);
        cr_assert_leq(n_out, room);
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
            size_t n_out, room;
            body_begin(&r.body, 4096, 100, chunks[i].normalises);
            r.body.is_chunked = true;
            run(&r, chunks[i].in, step);
            cr_expect_eq(r.taken, chunks[i].in.n);
            room = body_room(&r.body, 0);
            body_end(&r.body, r.content + r.n, &n_out);
            cr_expect_leq(n_out, room);
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

#define D "Date: d\r\n"
#define M "Message-ID: <m>\r\n"

/* RFC 6409 8.2, 8.3. */
static const struct row completed[] = {
    {OCTETS("A: b\r\n\r\nx\r\n"), OCTETS("A: b\r\n" D M "\r\nx\r\n"), BODY_FINE, 0},
    {OCTETS("Date: x\r\nA: b\r\n\r\nx\r\n"), OCTETS("Date: x\r\nA: b\r\n" M "\r\nx\r\n"), BODY_FINE,
     0},
    {OCTETS("mEssage-iD:x\r\n\r\nx\r\n"), OCTETS("mEssage-iD:x\r\n" D "\r\nx\r\n"), BODY_FINE, 0},
    {OCTETS("DATE:\r\n x\r\nmessage-id:\r\n\tx\r\n\r\n"),
     OCTETS("DATE:\r\n x\r\nmessage-id:\r\n\tx\r\n\r\n"), BODY_FINE, 0},
    {OCTETS("Date \t: x\r\nMessage-ID : x\r\n\r\n"), OCTETS("Date \t: x\r\nMessage-ID : x\r\n\r\n"),
     BODY_FINE, 0},
    /* what only looks like them */
    {OCTETS("A: b\r\n Date: x\r\nDates: x\r\nDat: x\r\nX-Message-ID: x\r\n\r\nDate: x\r\n"),
     OCTETS("A: b\r\n Date: x\r\nDates: x\r\nDat: x\r\nX-Message-ID: x\r\n" D M "\r\nDate: x\r\n"),
     BODY_FINE, 0},
    {OCTETS("Resent-Date: x\r\nResent-Message-ID: x\r\n\r\n"),
     OCTETS("Resent-Date: x\r\nResent-Message-ID: x\r\n" D M "\r\n"), BODY_FINE, 0},
    /* a header section only */
    {OCTETS(""), OCTETS(D M), BODY_FINE, 0},
    {OCTETS("\r\n"), OCTETS(D M "\r\n"), BODY_FINE, 0},
    {OCTETS("A: b\r\n"), OCTETS("A: b\r\n" D M), BODY_FINE, 0},
    {OCTETS("A: b\r\n c\r\n"), OCTETS("A: b\r\n c\r\n" D M), BODY_FINE, 0},
    /* none at all: it gets one */
    {OCTETS("hello\r\nDate: x\r\n"), OCTETS(D M "\r\nhello\r\nDate: x\r\n"), BODY_FINE, 0},
    {OCTETS(" hello\r\n\r\n"), OCTETS(D M "\r\n hello\r\n\r\n"), BODY_FINE, 0},
    {OCTETS(":hello\r\n"), OCTETS(D M "\r\n:hello\r\n"), BODY_FINE, 0},
    {OCTETS("hel lo: x\r\n"), OCTETS(D M "\r\nhel lo: x\r\n"), BODY_FINE, 0},
    {OCTETS("h\xc3\xa9: x\r\n"), OCTETS(D M "\r\nh\xc3\xa9: x\r\n"), BODY_FINE, 0},
    {OCTETS("hello  \t\r\n"), OCTETS(D M "\r\nhello  \t\r\n"), BODY_FINE, 0},
    /* one that breaks off */
    {OCTETS("Date: x\r\nhello you\r\nMessage-ID: x\r\n\r\n"),
     OCTETS("Date: x\r\n" M "\r\nhello you\r\nMessage-ID: x\r\n\r\n"), BODY_FINE, 0},
    {OCTETS("Date: x\r\nMessage-ID: x\r\nhello you\r\nA: b\r\n\r\n"),
     OCTETS("Date: x\r\nMessage-ID: x\r\nhello you\r\nA: b\r\n\r\n"), BODY_FINE, 0},
    /* from an mbox file */
    {OCTETS("From ann  Mon\r\nDate: x\r\n\r\n"), OCTETS("From ann  Mon\r\nDate: x\r\n" M "\r\n"),
     BODY_FINE, 0},
    {OCTETS(">From ann\r\nDate: x\r\n\r\n"), OCTETS(">From ann\r\nDate: x\r\n" M "\r\n"), BODY_FINE,
     0},
    {OCTETS("A: b\r\nFrom ann\r\n"), OCTETS("A: b\r\n" D M "\r\nFrom ann\r\n"), BODY_FINE, 0},
    {OCTETS("A: b\r\nx\0y\r\n\r\n"), OCTETS(""), BODY_NUL, 0},
    {OCTETS("A: b\r\nxy\rz\r\n\r\n"), OCTETS(""), BODY_BARE, 0},
    {OCTETS("A: b\r\n\nz\r\n\r\n"), OCTETS(""), BODY_BARE, 0},
};

static const struct row completed_normalised[] = {
    {OCTETS("A: b\n\nx\n"), OCTETS("A: b\r\n" D M "\r\nx\r\n"), BODY_FINE, 0},
    {OCTETS("A: b\r\rDate: x\n"), OCTETS("A: b\r\n" D M "\r\nDate: x\r\n"), BODY_FINE, 0},
    {OCTETS("A: b\nDate: x\rhello\r\n"), OCTETS("A: b\r\nDate: x\r\n" M "\r\nhello\r\n"), BODY_FINE,
     0},
    {OCTETS("hello\r"), OCTETS(D M "\r\nhello\r\n"), BODY_FINE, 0},
    {OCTETS("\r"), OCTETS(D M "\r\n"), BODY_FINE, 0},
};

static void begin_completed(struct body *b, bool normalises, bool is_chunked)
{
    body_begin(b, 8192, 100, normalises);
    b->is_chunked = is_chunked;
    body_complete(b, SPAN(D), SPAN(M));
}

static void end_chunks(struct result *r)
{
    size_t n_out;
    size_t room = body_room(&r->body, 0);
    body_end(&r->body, r->content + r->n, &n_out);
    cr_assert_leq(n_out, room);
    r->n += n_out;
}

/* The row as BDAT, and as DATA with dots stuffed and the end behind it, in pieces of `step`. */
static void check_completed(const struct row *row, bool normalises, size_t step)
{
    char stuffed[256];
    size_t n = 0;
    for (size_t i = 0; i < row->in.n; i++) {
        if (row->in.p[i] == '.' && (i == 0 || row->in.p[i - 1] == '\n'))
            stuffed[n++] = '.';
        stuffed[n++] = row->in.p[i];
    }
    bool is_ended = n == 0 || (n > 1 && memcmp(stuffed + n - 2, "\r\n", 2) == 0);
    memcpy(stuffed + n, is_ended ? ".\r\n" : "\r\n.\r\n", is_ended ? 3 : 5);
    n += is_ended ? 3 : 5;
    for (int is_chunked = 0; is_chunked < 2; is_chunked++) {
        struct result r;
        if (is_chunked == 0 && !is_ended && normalises)
            continue; /* the CR would be that of the end */
        begin_completed(&r.body, normalises, is_chunked != 0);
        run(&r, is_chunked != 0 ? row->in : (struct span){stuffed, n}, step);
        if (is_chunked != 0)
            end_chunks(&r);
        cr_expect_eq(r.body.problem, row->problem, "%s: problem %d", row->in.p, r.body.problem);
        if (row->problem == BODY_FINE)
            cr_expect(span_eq(row->content, (struct span){r.content, r.n}),
                      "%s in steps of %zu, %d: %.*s", row->in.p, step, is_chunked, (int)r.n,
                      r.content);
    }
}

Test(body, missing_fields_are_added)
{
    for (size_t i = 0; i < sizeof completed / sizeof completed[0]; i++)
        for (size_t step = 1; step <= completed[i].in.n + 5; step++)
            for (int normalises = 0; normalises < (completed[i].problem == BODY_BARE ? 1 : 2);
                 normalises++)
                check_completed(&completed[i], normalises != 0, step);
    for (size_t i = 0; i < sizeof completed_normalised / sizeof completed_normalised[0]; i++)
        for (size_t step = 1; step <= completed_normalised[i].in.n + 5; step++)
            check_completed(&completed_normalised[i], true, step);
    for (size_t i = 0; i < sizeof completed / sizeof completed[0]; i++)
        check_completed(&completed[i], false, 4096);
}

/* The limit of the size is about what the client sends. */
Test(body, added_fields_cost_the_client_nothing)
{
    struct result r;
    body_begin(&r.body, 6, 100, false);
    body_complete(&r.body, SPAN(D), SPAN(M));
    run(&r, SPAN("A: b\r\n.\r\n"), 3);
    cr_expect_eq(r.body.problem, BODY_FINE);
    cr_expect_eq(r.body.octets, 6);
    cr_expect(span_eq(SPAN("A: b\r\n" D M), (struct span){r.content, r.n}));
}

Test(body, a_name_too_long_to_be_held)
{
    char in[BODY_NAME_MAX + 16], want[sizeof in + 64];
    for (size_t n = BODY_NAME_MAX - 2; n <= BODY_NAME_MAX + 1; n++) {
        memset(in, 'x', n);
        memcpy(in + n, " y\r\n", 4);
        bool is_held = n < BODY_NAME_MAX - 1;
        int w = is_held ? snprintf(want, sizeof want, D M "\r\n%.*s", (int)n + 4, in)
                        : snprintf(want, sizeof want, "%.*s" D M, (int)n + 4, in);
        for (size_t step = 1; step < n + 4; step++) {
            struct result r;
            begin_completed(&r.body, false, true);
            run(&r, (struct span){in, n + 4}, step);
            end_chunks(&r);
            cr_assert(span_eq((struct span){want, (size_t)w}, (struct span){r.content, r.n}),
                      "%zu by %zu: %.*s", n, step, (int)r.n, r.content);
        }
    }
}

static const char *const pieces[] = {
    "Date: x\r\n",
    "Message-ID: x\r\n",
    "Subject: x\r\n",
    " folded\r\n",
    "no field\r\n",
    "\r\n",
    "From ann\r\n",
    "Date",
    ": x\r\n",
    "\r\n.\r\n",
    "x",
    ".",
    " ",
    "\r",
    "\n",
    "Received: x\r\n",
};

/* Random messages: however they are cut, the same content comes out. */
Test(body, any_split_gives_the_same_octets)
{
    unsigned seed = 1;
    for (size_t round = 0; round < 20000; round++) {
        char in[256];
        size_t n = 0, count = (size_t)rand_r(&seed) % 10;
        for (size_t i = 0; i < count; i++) {
            const char *piece = pieces[(size_t)rand_r(&seed) % (sizeof pieces / sizeof *pieces)];
            memcpy(in + n, piece, strlen(piece));
            n += strlen(piece);
        }
        bool normalises = round % 2 != 0, is_chunked = round % 4 > 1;
        struct result whole, cut;
        begin_completed(&whole.body, normalises, is_chunked);
        run(&whole, (struct span){in, n}, n + 1);
        begin_completed(&cut.body, normalises, is_chunked);
        cut.n = cut.taken = 0;
        while (cut.taken < n && !body_is_over(&cut.body)) {
            size_t n_out, step = 1 + (size_t)rand_r(&seed) % 6;
            struct span piece = span_from((struct span){in, n}, cut.taken);
            piece.n = piece.n < step ? piece.n : step;
            cut.taken += body_take(&cut.body, piece, cut.content + cut.n, &n_out);
            cut.n += n_out;
        }
        if (is_chunked || !body_is_over(&whole.body)) {
            end_chunks(&whole);
            end_chunks(&cut);
        }
        cr_assert_eq(cut.body.problem, whole.body.problem, "%.*s", (int)n, in);
        cr_assert_eq(cut.taken, whole.taken, "%.*s", (int)n, in);
        if (whole.body.problem == BODY_FINE)
            cr_assert(
                span_eq((struct span){whole.content, whole.n}, (struct span){cut.content, cut.n}),
                "%.*s: %.*s", (int)n, in, (int)cut.n, cut.content);
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
