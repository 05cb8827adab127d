#include "cli/letter.h"
#include "cli/mbox.h"
#include "cli/pop3in.h"
#include "cli/textin.h"
#include "cli/uidlist.h"
#include "tests/fuzz/fuzz.h"

static void fuzz_lines(struct span in)
{
    while (in.n > 0) {
        struct span text = {NULL, 0};
        size_t used;
        enum pop3in_result status = pop3in_status(in, &text, &used);
        if (status == POP3IN_OK || status == POP3IN_ERR)
            fuzz_check(text.p >= in.p && text.p + text.n <= in.p + used, "pop3in: outside");
        enum pop3in_result r = pop3in_line(in, &text, &used);
        fuzz_check(used <= in.n && used <= POP3IN_LINE_MAX, "pop3in: read past its end");
        if (r == POP3IN_MORE || r == POP3IN_BAD)
            break;
        fuzz_check(used > 0, "pop3in: no progress");
        in = span_from(in, used);
    }
}

/* Whatever the pieces, content comes out the same; in `step` octets at a time. */
static size_t content_of(struct span in, size_t step, struct buf *all)
{
    struct pop3in_content c = {.state = CONTENT_START};
    size_t taken = 0;
    while (in.n > 0 && c.state != CONTENT_OVER) {
        char out[2 * 4096 + 2];
        size_t n_out;
        struct span piece = {in.p, in.n < step ? in.n : step};
        size_t used = pop3in_content(&c, piece, out, &n_out);
        fuzz_check(used <= piece.n && n_out <= 2 * piece.n + 2, "pop3in: over its room");
        fuzz_check(used == piece.n || c.state == CONTENT_OVER, "pop3in: stopped without an end");
        buf_add(all, out, n_out);
        taken += used;
        in = span_from(in, used);
    }
    return taken;
}

void fuzz_pop3in(struct span in)
{
    struct buf whole, bytewise;
    fuzz_lines(in);
    buf_init(&whole, SIZE_MAX / 4);
    buf_init(&bytewise, SIZE_MAX / 4);
    fuzz_check(content_of(in, 4096, &whole) == content_of(in, 1, &bytewise), "pop3in: another end");
    fuzz_check(span_eq(buf_span(&whole), buf_span(&bytewise)), "pop3in: other content");
    buf_free(&whole);
    buf_free(&bytewise);
}

/* What a program writes into sendmail's stdin, up to the header section that is sent. */
void fuzz_letter(struct span in)
{
    struct textin t = {.ignores_dots = false};
    struct letter letter = {.n = 0};
    struct letter_frame frame = {.domain = SPAN("mx.test"), .from = SPAN("joe@mx.test"), .id = 1};
    struct buf text, out;
    struct error e;
    buf_init(&text, SIZE_MAX / 4);
    buf_init(&out, SIZE_MAX / 4);
    fuzz_check(textin_take(&t, in, &text) == 0 && textin_end(&t, &text) == 0, "textin: failed");
    struct span lines = buf_span(&text);
    for (size_t i = 0, line = 0; i < lines.n; i++, line++) {
        fuzz_check(lines.p[i] != '\0' && line <= 999, "textin: NUL or a long line");
        if (lines.p[i] != '\n')
            continue;
        fuzz_check(i > 0 && lines.p[i - 1] == '\r', "textin: a bare LF");
        line = SIZE_MAX;
    }
    letter_add_from_header(&letter, lines, &e);
    for (size_t i = 0; i < letter.n; i++)
        fuzz_check(strpbrk(letter.rcpts[i], "\r\n<>") == NULL || letter.rcpts[i][0] == '"',
                   "letter: not a path");
    fuzz_check(letter_header(&out, lines, &frame) == 0, "letter: failed");
    letter_free(&letter);
    buf_free(&text);
    buf_free(&out);
}

/* --- mailboxes that other programs wrote --- */

struct mbox_source {
    struct span all;
    size_t step;
};

static int64_t mbox_read(void *arg, uint64_t offset, char *out, size_t n)
{
    const struct mbox_source *s = arg;
    if (offset >= s->all.n)
        return 0;
    size_t left = s->all.n - (size_t)offset;
    n = n < s->step ? n : s->step;
    n = n < left ? n : left;
    memcpy(out, s->all.p + offset, n);
    return (int64_t)n;
}

/* All messages, with a NUL and the "From " line before each. */
static void cut_mbox(struct span in, size_t step, struct buf *all)
{
    static struct mbox m;
    struct mbox_source s = {in, step};
    struct span piece;
    size_t given = 0;
    int rc;
    mbox_begin(&m, mbox_read, &s);
    while ((rc = mbox_next(&m)) == 1) {
        fuzz_check(m.from_at < in.n && strlen(m.from) < sizeof m.from, "mbox: no From line");
        mbox_time(m.from);
        buf_add(all, m.from, strlen(m.from) + 1);
        while ((rc = mbox_piece(&m, &piece)) == 1) {
            fuzz_check(piece.n > 0, "mbox: no progress");
            given += piece.n;
            fuzz_check(given <= in.n, "mbox: more than there is");
            buf_add_span(all, piece);
        }
        if (rc < 0)
            break;
    }
    buf_add(all, rc < 0 ? "!" : ".", 1);
}

void fuzz_mbox(struct span in)
{
    struct buf whole, bytewise;
    buf_init(&whole, SIZE_MAX / 4);
    buf_init(&bytewise, SIZE_MAX / 4);
    cut_mbox(in, SIZE_MAX, &whole);
    cut_mbox(in, 1, &bytewise);
    fuzz_check(span_eq(buf_span(&whole), buf_span(&bytewise)), "mbox: other messages");
    buf_free(&whole);
    buf_free(&bytewise);
}

/* The first line is a pop3_uidl_format, or "courier"; then the list. */
void fuzz_uidlist(struct span in)
{
    char format[200];
    struct uidlist u;
    struct span first = span_cut(&in, '\n');
    bool is_courier = span_eq(first, SPAN("courier"));
    if (span_copy(format, sizeof format, first) < 0 || strlen(format) != first.n ||
        (!is_courier && !uidlist_is_format(format)))
        return;
    uidlist_begin(&u, is_courier ? UIDLIST_COURIER : UIDLIST_DOVECOT, format);
    while (in.n > 0)
        fuzz_check(uidlist_line(&u, span_cut(&in, '\n')) == 0, "uidlist: failed");
    for (size_t i = 0; i < u.n; i++)
        fuzz_check(uidlist_is_uidl(uidlist_uidl(&u, &u.list[i])), "uidlist: no UIDL");
    uidlist_find(&u, first);
    for (size_t i = 1; i < u.n; i++)
        fuzz_check(u.list[i - 1].name <= u.list[i].name, "uidlist: not sorted");
    uidlist_free(&u);
}
