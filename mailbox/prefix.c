#include "mailbox/prefix.h"

#include "common/maildb.h"

static size_t add(char *out, size_t at, struct span s)
{
    if (s.n > 0)
        memcpy(out + at, s.p, s.n);
    return at + s.n;
}

struct span prefix_make(char out[PREFIX_MAX], const struct store_message *m)
{
    if ((m->flags & CONTENT_BARE) != 0)
        return (struct span){out, 0};
    size_t n = add(out, 0, SPAN(MAILDB_PREFIX_BEGIN));
    n = add(out, n, m->sender); /* at most ADDRESS_MAX: the store checked it */
    return (struct span){out, add(out, n, SPAN(MAILDB_PREFIX_END))};
}
