#include "relay/stuff.h"

/* Where the first line after the start of `in` begins with a dot; in.n if none does. */
static size_t find_dot_line(struct span in)
{
    for (size_t at = 0; at < in.n;) {
        const char *lf = memchr(in.p + at, '\n', in.n - at);
        if (lf == NULL)
            return in.n;
        at = (size_t)(lf - in.p) + 1;
        if (at < in.n && in.p[at] == '.')
            return at;
    }
    return in.n;
}

struct span stuff_next(struct stuff *s, struct span *in, bool *needs_dot)
{
    struct span run = {in->p, find_dot_line(*in)};
    *needs_dot = !s->in_line && run.p[0] == '.';
    s->in_line = run.p[run.n - 1] != '\n';
    *in = span_from(*in, run.n);
    return run;
}
