#include "cli/letter.h"
#include "cli/pop3in.h"
#include "cli/textin.h"
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
