#include "cli/textin.h"

#define BREAK_AT   990
#define BREAK_LAST 997 /* here even within a character */

static int end_line(struct textin *t, struct buf *out)
{
    if (t->is_lone_dot && !t->ignores_dots) {
        t->is_over = true;
        return 0;
    }
    if (t->is_lone_dot && buf_add(out, ".", 1) < 0)
        return -1;
    t->is_lone_dot = false;
    t->line = 0;
    return buf_add(out, "\r\n", 2);
}

static int add_octet(struct textin *t, char c, struct buf *out)
{
    bool is_inside_character = ((unsigned char)c & 0xc0) == 0x80; /* of UTF-8 */
    if (t->line == 0 && c == '.') {
        t->is_lone_dot = true;
        t->line = 1;
        return 0;
    }
    if (t->is_lone_dot && buf_add(out, ".", 1) < 0)
        return -1;
    t->is_lone_dot = false;
    if (t->line >= (is_inside_character ? BREAK_LAST : BREAK_AT)) {
        if (buf_add(out, "\r\n ", 3) < 0)
            return -1;
        t->line = 1;
    }
    t->line++;
    return buf_add(out, &c, 1);
}

int textin_take(struct textin *t, struct span in, struct buf *out)
{
    int rc = 0;
    for (size_t i = 0; i < in.n && rc == 0 && !t->is_over; i++) {
        char c = in.p[i];
        bool is_rest_of_crlf = c == '\n' && t->was_cr;
        t->was_cr = c == '\r';
        if (c == '\0' || is_rest_of_crlf)
            continue;
        rc = c == '\r' || c == '\n' ? end_line(t, out) : add_octet(t, c, out);
    }
    return rc;
}

int textin_end(struct textin *t, struct buf *out)
{
    return t->line > 0 && !t->is_over ? end_line(t, out) : 0;
}
