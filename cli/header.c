#include "cli/header.h"

#include <string.h>

/* --- fields --- */

/* The octets of the first line with its CRLF; 0: it is not complete. */
static size_t line_of(struct span text)
{
    const char *lf = text.n > 0 ? memchr(text.p, '\n', text.n) : NULL;
    return lf != NULL ? (size_t)(lf - text.p) + 1 : 0;
}

static bool is_fold(struct span text)
{
    return text.n > 0 && (text.p[0] == ' ' || text.p[0] == '\t');
}

/* Octets of the name in front of the colon; 0: none. Blanks before the colon are obsolete, and
 * allowed. */
static size_t name_of(struct span line)
{
    size_t n = 0;
    while (n < line.n && line.p[n] > ' ' && line.p[n] < 127 && line.p[n] != ':')
        n++;
    size_t colon = n;
    while (colon < line.n && (line.p[colon] == ' ' || line.p[colon] == '\t'))
        colon++;
    return colon < line.n && line.p[colon] == ':' ? n : 0;
}

bool field_next(struct span *rest, struct field *out)
{
    size_t n = line_of(*rest);
    out->name = (struct span){rest->p, name_of((struct span){rest->p, n})};
    if (out->name.n == 0)
        return false;
    for (size_t more; is_fold(span_from(*rest, n)); n += more)
        if ((more = line_of(span_from(*rest, n))) == 0)
            break;
    out->whole = (struct span){rest->p, n};
    out->value = out->whole;
    span_cut(&out->value, ':');
    while (out->value.n > 0 &&
           (out->value.p[out->value.n - 1] == '\n' || out->value.p[out->value.n - 1] == '\r'))
        out->value.n--;
    *rest = span_from(*rest, n);
    return true;
}

bool field_is(const struct field *f, const char *name)
{
    return span_ieq(f->name, span_of(name));
}

int header_find_end(struct span text, bool is_all, size_t *end, size_t *body)
{
    size_t at = 0;
    for (;;) {
        struct span rest = span_from(text, at);
        size_t n = line_of(rest);
        bool is_empty = n == 2 && rest.p[0] == '\r';
        if (n == 0 && !is_all)
            return -1;
        if (n == 0 || is_empty ||
            (name_of((struct span){rest.p, n}) == 0 && !(at > 0 && is_fold(rest)))) {
            *end = at;
            *body = at + (is_empty ? n : 0);
            return 0;
        }
        at += n;
    }
}

/* --- addresses --- */

struct walk {
    struct span value;
    size_t at;
    char text[FIELD_ADDRESS_MAX];
    size_t n, behind;
    bool is_too_long;
};

static void clear(struct walk *w)
{
    w->n = 0;
    w->is_too_long = false;
}

static void keep(struct walk *w, char c)
{
    if (w->n < sizeof w->text)
        w->text[w->n++] = c;
    else
        w->is_too_long = true;
    w->behind = w->at;
}

/* Behind the ')' that closes the comment; comments nest. */
static void skip_comment(struct walk *w)
{
    size_t depth = 0;
    do {
        char c = w->value.p[w->at++];
        if (c == '\\')
            w->at++;
        else if (c == '(')
            depth++;
        else if (c == ')')
            depth--;
    } while (depth > 0 && w->at < w->value.n);
}

static void take_quoted(struct walk *w)
{
    bool is_open = false;
    while (w->at < w->value.n) {
        char c = w->value.p[w->at++];
        if (c == '\r' || c == '\n') /* of a fold */
            continue;
        keep(w, c);
        if (c == '\\' && w->at < w->value.n)
            keep(w, w->value.p[w->at++]);
        else if (c == '"' && is_open)
            return;
        is_open = true;
    }
}

static int give(struct walk *w, field_address_fn *fn, void *arg)
{
    struct span text = {w->text, w->is_too_long ? 0 : w->n};
    int rc = w->n > 0 ? fn(arg, text, w->behind) : 0;
    clear(w);
    return rc;
}

/* What stands in <>; the name before it was no address, and what follows up to the comma is none.
 */
static int take_angle(struct walk *w, field_address_fn *fn, void *arg)
{
    clear(w);
    w->at++;
    while (w->at < w->value.n && w->value.p[w->at] != '>') {
        char c = w->value.p[w->at];
        if (c == '"') {
            take_quoted(w);
        } else if (c == '(') {
            skip_comment(w);
        } else {
            w->at++;
            if (strchr(" \t\r\n", c) == NULL)
                keep(w, c);
        }
    }
    int rc = give(w, fn, arg);
    while (w->at < w->value.n && strchr(",;", w->value.p[w->at]) == NULL) {
        if (w->value.p[w->at] == '(')
            skip_comment(w);
        else
            w->at++;
    }
    return rc;
}

int field_addresses(struct span value, field_address_fn *fn, void *arg)
{
    struct walk w = {.value = value};
    int rc = 0;
    while (rc == 0 && w.at < value.n) {
        char c = value.p[w.at];
        if (c == '"') {
            take_quoted(&w);
        } else if (c == '(') {
            skip_comment(&w);
        } else if (c == '<') {
            rc = take_angle(&w, fn, arg);
        } else if (c == '[') { /* a domain literal may hold colons */
            while (w.at < value.n && c != ']') {
                c = value.p[w.at++];
                keep(&w, c);
            }
        } else {
            w.at++;
            if (c == ',' || c == ';')
                rc = give(&w, fn, arg);
            else if (c == ':') /* the name of a group */
                clear(&w);
            else if (c != '\0' && strchr(" \t\r\n", c) == NULL)
                keep(&w, c);
        }
    }
    return rc != 0 ? rc : give(&w, fn, arg);
}
