#include "queue/shares.h"

#define PART 3 /* times what is free */

static size_t find(const struct shares *s, uint64_t flow)
{
    size_t i = 0;
    while (i < s->n && s->list[i].flow != flow)
        i++;
    return i;
}

bool shares_may(const struct shares *s, uint64_t flow, uint64_t n_free)
{
    size_t i = find(s, flow);
    return i == s->n || (s->list[i].n + PART - 1) / PART <= n_free;
}

void shares_take(struct shares *s, uint64_t flow)
{
    size_t i = find(s, flow);
    if (i == SHARES_MAX)
        return; /* then it is not counted */
    if (i == s->n)
        s->list[s->n++] = (struct share){.flow = flow};
    s->list[i].n++;
}

void shares_give(struct shares *s, uint64_t flow)
{
    size_t i = find(s, flow);
    if (i < s->n && --s->list[i].n == 0)
        s->list[i] = s->list[--s->n];
}
