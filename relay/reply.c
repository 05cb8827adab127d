#include "relay/reply.h"

#include "common/line.h"

void reply_begin(struct reply *r)
{
    r->code = 0;
    r->enhanced[0] = '\0';
    r->n_text = r->n_lines = r->n_octets = 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Octets of digits at `at`, at most max. */
static size_t digits(struct span s, size_t at, size_t max)
{
    size_t n = 0;
    while (n < max && at + n < s.n && is_digit(s.p[at + n]))
        n++;
    return n;
}

/* RFC 2034 4: class "." subject "." detail, then a space or the end. Octets of it, or 0. */
static size_t enhanced_at_start(struct span s, unsigned code)
{
    if (s.n < 5 || s.p[0] != (char)('0' + code / 100) || s.p[1] != '.')
        return 0;
    size_t subject = digits(s, 2, 3);
    size_t dot = 2 + subject;
    if (subject == 0 || dot >= s.n || s.p[dot] != '.')
        return 0;
    size_t detail = digits(s, dot + 1, 3);
    size_t n = dot + 1 + detail;
    return detail > 0 && (n == s.n || s.p[n] == ' ') ? n : 0;
}

static void add_text(struct reply *r, struct span s)
{
    for (size_t i = 0; i < s.n && r->n_text < sizeof r->text; i++) {
        unsigned char c = (unsigned char)s.p[i];
        r->text[r->n_text++] = c == '\t' ? ' ' : c >= ' ' && c < 0x7f ? (char)c : '?';
    }
}

/* Servers repeat the enhanced code on each line; once is enough for people. */
static void keep_line(struct reply *r, struct span digits_of_code)
{
    size_t n = enhanced_at_start(r->line, r->code);
    struct span text = r->line;
    if (r->n_lines == 1) {
        span_copy(r->enhanced, sizeof r->enhanced, (struct span){text.p, n});
        add_text(r, digits_of_code);
    } else if (n > 0 && span_eq((struct span){text.p, n}, span_of(r->enhanced))) {
        text = span_from(text, n);
    }
    text = span_trim(text);
    if (text.n == 0)
        return;
    add_text(r, SPAN(" "));
    add_text(r, text);
}

enum reply_result reply_take(struct reply *r, struct span in, size_t *used)
{
    struct span line;
    *used = 0;
    enum line_result result = line_take(in, REPLY_LINE_MAX, &line, used);
    if (result == LINE_MORE)
        return REPLY_MORE;
    r->n_octets += *used;
    r->n_lines++;
    if (result != LINE_OK || r->n_octets > REPLY_OCTETS_MAX || r->n_lines > REPLY_LINES_MAX)
        return REPLY_BAD;
    if (digits(line, 0, 3) != 3 || line.p[0] < '2' || line.p[0] > '5')
        return REPLY_BAD;
    if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
        return REPLY_BAD;
    unsigned code = (unsigned)(line.p[0] - '0') * 100 + (unsigned)(line.p[1] - '0') * 10 +
                    (unsigned)(line.p[2] - '0');
    if (r->n_lines > 1 && code != r->code)
        return REPLY_BAD;
    r->code = code;
    r->line = span_from(line, 4);
    keep_line(r, (struct span){line.p, 3});
    return line.n > 3 && line.p[3] == '-' ? REPLY_LINE : REPLY_DONE;
}

enum verdict reply_verdict(const struct reply *r)
{
    if (r->code / 100 == 2)
        return VERDICT_OK;
    return r->code / 100 == 5 ? VERDICT_NEVER : VERDICT_TRY_LATER;
}

struct span reply_text(const struct reply *r)
{
    return (struct span){r->text, r->n_text};
}
