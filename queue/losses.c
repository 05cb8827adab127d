#include "queue/losses.h"

/* Its place, or the one that it gets. */
static struct loss *place_of(struct losses *l, uint64_t message)
{
    struct loss *oldest = &l->list[0];
    for (size_t i = 0; i < l->n; i++) {
        if (l->list[i].message == message)
            return &l->list[i];
        if (l->list[i].at_ms < oldest->at_ms)
            oldest = &l->list[i];
    }
    if (l->n < LOSSES_MAX)
        oldest = &l->list[l->n++];
    *oldest = (struct loss){.message = message};
    return oldest;
}

uint64_t losses_add(struct losses *l, uint64_t message, int64_t now_ms, int64_t one_death_ms)
{
    struct loss *it = place_of(l, message);
    if (it->n == 0 || now_ms - it->at_ms >= one_death_ms) {
        it->n++;
        it->at_ms = now_ms;
    }
    return it->n;
}
