#include "cli/mbox.h"

#include "common/buf.h"

#include <criterion/criterion.h>

#define DATE   "Sat Jan  3 01:05:34 1996"
#define FROM   "From a@b.example " DATE "\n"
#define FROM_2 "From c@d.example " DATE "\n"

struct source {
    struct span all;
    size_t step;   /* octets in one read */
    size_t broken; /* reads from here on fail; 0: none does */
};

static int64_t read_at(void *arg, uint64_t offset, char *out, size_t n)
{
    const struct source *s = arg;
    if (s->broken > 0 && offset + n >= s->broken)
        return -1;
    if (offset >= s->all.n)
        return 0;
    size_t left = s->all.n - (size_t)offset;
    n = n < s->step ? n : s->step;
    n = n < left ? n : left;
    memcpy(out, s->all.p + offset, n);
    return (int64_t)n;
}

/* Messages, each with '|' in front, and '!' if it ends badly. */
static struct span cut(struct source *s, struct buf *out)
{
    static struct mbox m;
    struct span piece;
    int rc;
    mbox_begin(&m, read_at, s);
    while ((rc = mbox_next(&m)) == 1) {
        cr_assert(strncmp(m.from, "From ", 5) == 0);
        cr_assert_eq(buf_add(out, "|", 1), 0);
        while ((rc = mbox_piece(&m, &piece)) == 1) {
            cr_assert(piece.n > 0, "no progress");
            cr_assert_eq(buf_add_span(out, piece), 0);
        }
        if (rc < 0)
            break;
    }
    if (rc < 0)
        cr_assert_eq(buf_add(out, "!", 1), 0);
    return buf_span(out);
}

static void expect(struct span in, struct span wanted)
{
    static const size_t steps[] = {SIZE_MAX, 1, 7};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct source s = {.all = in, .step = steps[i]};
        struct buf out;
        buf_init(&out, SIZE_MAX / 4);
        struct span got = cut(&s, &out);
        cr_expect(span_eq(got, wanted), "%.*s, %zu at a time: %.*s", (int)in.n, in.p, steps[i],
                  (int)got.n, got.p);
        buf_free(&out);
    }
}

#define ROW(in, out)                                                                               \
    {                                                                                              \
        {in, sizeof(in) - 1},                                                                      \
        {                                                                                          \
            out, sizeof(out) - 1                                                                   \
        }                                                                                          \
    }
static const struct {
    struct span in, out;
} rows[] = {
    ROW("", ""),
    ROW("\n\n", ""),
    ROW("no mbox\n", "!"),
    ROW("From a@b.example without a time\n", "!"),
    ROW(FROM, "|"),
    ROW(FROM "S: 1\n\nbody\n", "|S: 1\n\nbody\n"),
    ROW("\n\r\n" FROM "S: 1\n\nbody\n", "|S: 1\n\nbody\n"),
    ROW(FROM "S: 1\n\nno end", "|S: 1\n\nno end"),
    ROW(FROM "S: 1\n\none\n\n" FROM_2 "S: 2\n\ntwo\n", "|S: 1\n\none\n|S: 2\n\ntwo\n"),
    /* without the empty line that should stand there */
    ROW(FROM "S: 1\n" FROM_2 "S: 2\n", "|S: 1\n|S: 2\n"),
    ROW(FROM "S: 1\n\n" FROM_2 "S: 2\n\n", "|S: 1\n\n|S: 2\n\n"),
    ROW(FROM FROM_2 "S: 2\n\nx\n", "||S: 2\n\nx\n"),
    /* only an empty line and a time make a "From " line a border */
    ROW(FROM "\nFrom here on\nFrom a b\n", "|\nFrom here on\nFrom a b\n"),
    ROW(FROM "\na\n\nFrom here on\n", "|\na\n\nFrom here on\n"),
    /* mboxrd and mboxo; a header is not quoted */
    ROW(FROM "\n>From a\n>>From b\n> From c\n>from d\n", "|\nFrom a\n>From b\n> From c\n>from d\n"),
    ROW(FROM ">From: x\nS: 1\n\nx\n", "|>From: x\nS: 1\n\nx\n"),
    /* mboxcl2: a length that leads to a border or the end */
    ROW(FROM "Content-Length: 8\n\n" FROM "\n", "|Content-Length: 8\n\n|\n"),
    ROW(FROM "content-length:  9 \n\n>From a\n\n\n" FROM_2, "|content-length:  9 \n\n>From a\n\n|"),
    ROW(FROM "Content-Length: 42\n\n" FROM_2 "\n", "|Content-Length: 42\n\n" FROM_2),
    ROW(FROM "Content-Length: 5\n\nabcde", "|Content-Length: 5\n\nabcde"),
    ROW(FROM "Content-Length: 0\n\n\n" FROM_2 "\nx\n", "|Content-Length: 0\n\n|\nx\n"),
    ROW(FROM "Content-Length: 99\n\nabc\n", "|Content-Length: 99\n\nabc\n"),
    ROW(FROM "Content-Length: -3\n\nabc\n", "|Content-Length: -3\n\nabc\n"),
    ROW(FROM "Content-Length: 18446744073709551615\n\nabc\n",
        "|Content-Length: 18446744073709551615\n\nabc\n"),
    ROW(FROM "Content-Length: 9223372036854775807\n\nabc\n",
        "|Content-Length: 9223372036854775807\n\nabc\n"),
    /* octets as they are */
    ROW(FROM "S: \0\n\n\0\r\r\n\0From x\n", "|S: \0\n\n\0\r\r\n\0From x\n"),
    ROW("From a@b.example " DATE "\r\nS: 1\r\n\r\nx\r\n\r\nFrom c@d.example " DATE "\r\n\r\ny\r\n",
        "|S: 1\r\n\r\nx\r\n|\r\ny\r\n"),
};

Test(mbox, cuts_what_programs_write)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(rows[i].in, rows[i].out);
}

/* A line longer than the room, which would be a border if its second half were a line. */
Test(mbox, a_huge_line_is_one_line)
{
    struct buf in, wanted;
    buf_init(&in, SIZE_MAX / 4);
    buf_init(&wanted, SIZE_MAX / 4);
    cr_assert_eq(buf_add(&in, FROM "\n", sizeof FROM), 0);
    cr_assert_eq(buf_add(&wanted, "|\n", 2), 0);
    for (int i = 0; i < 3 * MBOX_LINE; i++) {
        cr_assert_eq(buf_add(&in, "x", 1), 0);
        cr_assert_eq(buf_add(&wanted, "x", 1), 0);
        if (i % MBOX_LINE == MBOX_LINE - 1) {
            cr_assert_eq(buf_add(&in, FROM, sizeof FROM - 2), 0); /* no LF: the same line */
            cr_assert_eq(buf_add(&wanted, FROM, sizeof FROM - 2), 0);
        }
    }
    struct source s = {.all = buf_span(&in), .step = SIZE_MAX};
    struct buf out;
    buf_init(&out, SIZE_MAX / 4);
    cr_expect(span_eq(cut(&s, &out), buf_span(&wanted)));
    buf_free(&out);
    buf_free(&in);
    buf_free(&wanted);
}

/* It says that it could not, wherever that was; what came before is right. */
Test(mbox, a_read_that_fails_is_no_end)
{
    static const char in[] = FROM "S: 1\n\none\n\n" FROM_2 "Content-Length: 4\n\ntwo\n";
    struct source s = {.all = {in, sizeof in - 1}, .step = 3};
    struct buf whole, out;
    buf_init(&whole, SIZE_MAX / 4);
    struct span wanted = cut(&s, &whole);
    for (s.broken = 1; s.broken <= s.all.n; s.broken++) {
        buf_init(&out, SIZE_MAX / 4);
        struct span got = cut(&s, &out);
        cr_expect(got.n > 0 && got.p[got.n - 1] == '!', "at %zu", s.broken);
        cr_expect(got.n > 0 && got.n <= wanted.n + 1 && memcmp(got.p, wanted.p, got.n - 1) == 0);
        buf_free(&out);
    }
    buf_free(&whole);
}

Test(mbox, times)
{
    static const struct {
        const char *from;
        int64_t at;
    } times[] = {
        {"From a@b Sat Jan  3 01:05:34 1996", 820631134},
        {"From a@b  Sat Jan  3 01:05:34 1996", 820631134},
        {"From a@b Sat Jan  3 01:05 1996", 820631100},
        {"From a@b Sat Jan  3 01:05:34 UTC 1996", 820631134},
        {"From a@b Sat Jan  3 01:05:34 1900", -1},
        {"From a@b yesterday 01:05", -1},
        {"From", -1},
        {"From a@b", -1},
        {"", -1},
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        cr_expect_eq(mbox_time(times[i].from), times[i].at, "%s: %lld", times[i].from,
                     (long long)mbox_time(times[i].from));
}
