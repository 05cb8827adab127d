#include "cli/pop3in.h"

#include <string.h>

/* A line without its end; POP3IN_LINE, POP3IN_MORE or POP3IN_BAD. */
static enum pop3in_result take(struct span in, struct span *line, size_t *used)
{
    size_t n = in.n < POP3IN_LINE_MAX ? in.n : POP3IN_LINE_MAX;
    const char *lf = n > 0 ? memchr(in.p, '\n', n) : NULL;
    *used = 0;
    if (lf == NULL)
        return in.n >= POP3IN_LINE_MAX ? POP3IN_BAD : POP3IN_MORE;
    *line = (struct span){in.p, (size_t)(lf - in.p)};
    *used = line->n + 1;
    if (line->n > 0 && line->p[line->n - 1] == '\r')
        line->n--;
    return line->n > 0 && memchr(line->p, '\0', line->n) != NULL ? POP3IN_BAD : POP3IN_LINE;
}

static bool is_word(struct span line, struct span word)
{
    return span_starts(line, word) && (line.n == word.n || line.p[word.n] == ' ');
}

enum pop3in_result pop3in_status(struct span in, struct span *text, size_t *used)
{
    struct span line;
    enum pop3in_result r = take(in, &line, used);
    if (r != POP3IN_LINE)
        return r;
    bool is_ok = is_word(line, SPAN("+OK"));
    if (!is_ok && !is_word(line, SPAN("-ERR")))
        return POP3IN_BAD;
    *text = span_trim(span_from(line, is_ok ? 3 : 4));
    return is_ok ? POP3IN_OK : POP3IN_ERR;
}

enum pop3in_result pop3in_challenge(struct span in, struct span *text, size_t *used)
{
    struct span line;
    enum pop3in_result r = take(in, &line, used);
    if (r != POP3IN_LINE || !is_word(line, SPAN("+")))
        return pop3in_status(in, text, used);
    *text = span_trim(span_from(line, 1));
    return POP3IN_CHALLENGE;
}

enum pop3in_result pop3in_line(struct span in, struct span *text, size_t *used)
{
    enum pop3in_result r = take(in, text, used);
    if (r != POP3IN_LINE)
        return r;
    if (span_eq(*text, SPAN(".")))
        return POP3IN_END;
    if (text->n > 0 && text->p[0] == '.')
        *text = span_from(*text, 1);
    return POP3IN_LINE;
}

/* One octet behind the dot that may be stuffing or the end, or behind its CR. */
static void after_dot(struct pop3in_content *c, char octet, char *out, size_t *n)
{
    if (c->state == CONTENT_DOT && octet == '\r') {
        c->state = CONTENT_DOT_CR;
        return;
    }
    if (c->state == CONTENT_DOT_CR && octet == '\n') {
        c->state = CONTENT_OVER;
        return;
    }
    if (c->state == CONTENT_DOT_CR) /* a line that begins with a CR: the dot was stuffing */
        out[(*n)++] = '\r';
    out[(*n)++] = octet;
    c->state = octet == '\r' ? CONTENT_CR : CONTENT_TEXT;
}

size_t pop3in_content(struct pop3in_content *c, struct span in, char *out, size_t *n_out)
{
    size_t n = 0, i = 0;
    for (; i < in.n && c->state != CONTENT_OVER; i++) {
        char octet = in.p[i];
        if (c->state == CONTENT_DOT || c->state == CONTENT_DOT_CR) {
            after_dot(c, octet, out, &n);
            continue;
        }
        if (c->state == CONTENT_START && octet == '.') {
            c->state = CONTENT_DOT;
            continue;
        }
        out[n++] = octet;
        if (octet == '\r')
            c->state = CONTENT_CR;
        else
            c->state = octet == '\n' && c->state == CONTENT_CR ? CONTENT_START : CONTENT_TEXT;
    }
    *n_out = n;
    return i;
}
