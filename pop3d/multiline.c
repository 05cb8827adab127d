#include "pop3d/multiline.h"

void multiline_begin(struct multiline *m, bool has_dots)
{
    *m = (struct multiline){.has_dots = has_dots, .is_line_start = true, .ends_in_crlf = true};
}

void multiline_begin_top(struct multiline *m, bool has_dots, uint64_t header, uint64_t lines)
{
    multiline_begin(m, has_dots);
    m->is_top = true;
    m->header_left = header;
    m->lines_left = lines;
    m->is_done = header == 0 && lines == 0;
}

/* How many octets go out as they are: up to a line that needs a dot, the end of the header, or the
 * last line that was asked for. Any LF counts as the end of a line: in content that should not
 * exist, one dot too many is better than an end that is none. */
static size_t plain_octets(struct multiline *m, struct span in)
{
    bool is_header = m->header_left > 0;
    size_t limit = is_header && m->header_left < in.n ? (size_t)m->header_left : in.n;
    bool counts = m->is_top && !is_header;
    for (size_t at = 0; at < limit && (m->has_dots || counts);) {
        const char *lf = memchr(in.p + at, '\n', limit - at);
        if (lf == NULL)
            break;
        at = (size_t)(lf - in.p) + 1;
        if (counts && --m->lines_left == 0)
            return at;
        if (m->has_dots && at < limit && in.p[at] == '.')
            return at;
    }
    return limit;
}

static void remember_end(struct multiline *m, struct span sent)
{
    char last = sent.p[sent.n - 1];
    bool after_cr = sent.n > 1 ? sent.p[sent.n - 2] == '\r' : m->ends_in_cr;
    m->ends_in_crlf = last == '\n' && after_cr;
    m->ends_in_cr = last == '\r';
    m->is_line_start = last == '\n';
}

struct span multiline_next(struct multiline *m, struct span *in)
{
    if (m->is_done)
        *in = span_from(*in, in->n);
    if (in->n == 0)
        return *in;
    if (m->has_dots && m->is_line_start && !m->is_stuffed && in->p[0] == '.') {
        m->is_stuffed = true;
        return SPAN(".");
    }
    m->is_stuffed = false;
    struct span sent = {in->p, plain_octets(m, *in)};
    *in = span_from(*in, sent.n);
    remember_end(m, sent);
    if (m->header_left > 0)
        m->header_left -= sent.n;
    m->is_done = m->is_top && m->header_left == 0 && m->lines_left == 0;
    return sent;
}

bool multiline_is_plain(const struct multiline *m)
{
    return !m->has_dots && !m->is_top;
}

bool multiline_is_done(const struct multiline *m)
{
    return m->is_done;
}

struct span multiline_end(const struct multiline *m)
{
    return m->ends_in_crlf ? SPAN(".\r\n") : SPAN("\r\n.\r\n");
}
