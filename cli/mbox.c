#include "cli/mbox.h"

void mbox_begin(struct mbox *m, mbox_read_fn *read, void *arg)
{
    m->read = read;
    m->arg = arg;
    m->at = m->room_at = m->room_n = 0;
    m->is_begun = m->is_over = m->has_failed = false;
}

/* What is buffered from m->at on, at least one octet unless at the end. With `whole`, as much as
 * fits. */
static struct span look(struct mbox *m, bool whole)
{
    uint64_t past = m->at - m->room_at;
    if (m->at < m->room_at || past > m->room_n)
        past = m->room_n = 0, m->room_at = m->at;
    if (past == m->room_n || (whole && past > 0)) {
        size_t rest = m->room_n - (size_t)past;
        if (rest > 0)
            memmove(m->room, m->room + past, rest);
        m->room_at = m->at;
        m->room_n = rest;
        past = 0;
    }
    while (m->room_n < sizeof m->room && (whole || m->room_n == 0)) {
        int64_t n = m->read(m->arg, m->room_at + m->room_n, m->room + m->room_n,
                            sizeof m->room - m->room_n);
        if (n < 0)
            m->has_failed = true;
        if (n <= 0 || (uint64_t)n > sizeof m->room - m->room_n)
            break;
        m->room_n += (size_t)n;
    }
    return (struct span){m->room + past, m->room_n - (size_t)past};
}

/* The next line, or as much of it as fits into the room; empty at the end. */
static struct span line(struct mbox *m)
{
    struct span s = look(m, false);
    const char *lf = s.n > 0 ? memchr(s.p, '\n', s.n) : NULL;
    if (lf == NULL && s.n > 0) {
        s = look(m, true);
        lf = memchr(s.p, '\n', s.n);
    }
    if (lf != NULL)
        s.n = (size_t)(lf - s.p) + 1;
    return s;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "From somebody Sun Nov 22 01:34:29 2026": only a line with a time in it begins a message. */
static bool is_from(struct span s)
{
    if (!span_starts(s, SPAN("From ")))
        return false;
    for (size_t i = 5; i + 5 <= s.n && i < 500; i++)
        if (is_digit(s.p[i]) && is_digit(s.p[i + 1]) && s.p[i + 2] == ':' && is_digit(s.p[i + 3]) &&
            is_digit(s.p[i + 4]))
            return true;
    return false;
}

static bool is_blank(struct span s)
{
    return span_eq(s, SPAN("\n")) || span_eq(s, SPAN("\r\n"));
}

static void take_from(struct mbox *m, struct span s)
{
    size_t n = s.n < sizeof m->from ? s.n : sizeof m->from - 1;
    while (n > 0 && (s.p[n - 1] == '\n' || s.p[n - 1] == '\r'))
        n--;
    memcpy(m->from, s.p, n);
    m->from[n] = '\0';
    m->from_at = m->at;
    m->at += s.n;
    m->in_header = m->is_first_line = true;
    m->holds_blank = m->has_length = m->is_exact = m->in_line = m->is_over = false;
}

int mbox_next(struct mbox *m)
{
    struct span s;
    int rc = 1;
    while (m->is_begun && !m->is_over && (rc = mbox_piece(m, &s)) == 1)
        ;
    if (rc < 0)
        return -1;
    do {
        s = line(m);
        if (is_blank(s))
            m->at += s.n;
    } while (is_blank(s));
    if (s.n == 0)
        return m->has_failed ? -1 : 0;
    if (!is_from(s))
        return -1;
    m->is_begun = true;
    take_from(m, s);
    return 1;
}

/* Does a message (or nothing) begin at this place, perhaps after an empty line? */
static bool is_border(struct mbox *m, uint64_t at)
{
    uint64_t here = m->at;
    m->at = at - 1; /* a length that leads past the end leads nowhere */
    bool is_inside = look(m, false).n > 0;
    m->at = at;
    struct span s = line(m);
    if (is_blank(s)) {
        m->at += s.n;
        s = line(m);
    }
    bool is_it = is_inside && (s.n == 0 || is_from(s));
    m->at = here;
    return is_it && !m->has_failed;
}

static void look_at_field(struct mbox *m, struct span s)
{
    static const struct span name = {"Content-Length:", 15};
    if (!span_istarts(s, name))
        return;
    s = span_from(s, name.n);
    while (s.n > 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
        s.n--;
    m->has_length = span_u64(span_trim(s), &m->length) == 0;
}

static int give(struct mbox *m, struct span s, struct span *piece)
{
    m->in_line = s.p[s.n - 1] != '\n';
    m->at += s.n;
    *piece = s;
    return 1;
}

static int end(struct mbox *m)
{
    m->is_over = true;
    return m->has_failed ? -1 : 0;
}

static int exact_piece(struct mbox *m, struct span *piece)
{
    struct span s = m->left > 0 ? look(m, false) : SPAN("");
    if (s.n == 0)
        return end(m);
    s.n = s.n < m->left ? s.n : (size_t)m->left;
    m->left -= s.n;
    m->at += s.n;
    *piece = s;
    return 1;
}

static struct span unquoted(struct span s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] == '>')
        n++;
    return n > 0 && span_starts(span_from(s, n), SPAN("From ")) ? span_from(s, 1) : s;
}

static int body_piece(struct mbox *m, struct span *piece)
{
    struct span s = line(m);
    if (!m->in_line && m->holds_blank) {
        if (s.n == 0 || is_from(s))
            return end(m);
        static const char blanks[2][3] = {"\n", "\r\n"};
        *piece = span_of(blanks[m->blank_n - 1]);
        m->holds_blank = false;
        return 1;
    }
    if (s.n == 0)
        return end(m);
    if (m->in_line)
        return give(m, s, piece);
    if (m->is_first_line && is_from(s)) /* a message without a body, and no empty line after it */
        return end(m);
    m->is_first_line = false;
    if (is_blank(s)) {
        m->holds_blank = true;
        m->blank_n = s.n;
        m->at += s.n;
        return body_piece(m, piece);
    }
    give(m, s, piece);
    *piece = unquoted(s);
    return 1;
}

static int header_piece(struct mbox *m, struct span *piece)
{
    struct span s = line(m);
    if (s.n == 0 || (!m->in_line && is_from(s)))
        return end(m);
    if (!m->in_line && is_blank(s)) {
        m->in_header = false;
        m->is_first_line = true;
        uint64_t body = m->at + s.n;
        if (m->has_length && m->length < INT64_MAX - body && is_border(m, body + m->length)) {
            m->is_exact = true;
            m->left = m->length;
            s = line(m); /* the look ahead moved the room */
        }
        return give(m, s, piece);
    }
    if (!m->in_line)
        look_at_field(m, s);
    return give(m, s, piece);
}

int mbox_piece(struct mbox *m, struct span *piece)
{
    *piece = SPAN("");
    if (m->is_over)
        return 0;
    int rc = m->in_header  ? header_piece(m, piece)
             : m->is_exact ? exact_piece(m, piece)
                           : body_piece(m, piece);
    return m->has_failed ? -1 : rc;
}

int64_t mbox_time(const char *from)
{
    static const char *const forms[] = {"%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M %Y",
                                        "%a %b %d %H:%M:%S %Z %Y"};
    const char *at = strncmp(from, "From ", 5) == 0 ? strchr(from + 5, ' ') : NULL;
    while (at != NULL && *at == ' ')
        at++;
    for (size_t i = 0; at != NULL && i < sizeof forms / sizeof forms[0]; i++) {
        struct tm tm = {0};
        if (strptime(at, forms[i], &tm) != NULL) {
            time_t t = timegm(&tm);
            return t >= 0 ? (int64_t)t : -1;
        }
    }
    return -1;
}
