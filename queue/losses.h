/* Which messages relay did not answer for, and how often: it may be one of them that it dies of,
 * and what it dies of must not come back at once for ever, nor with all that waits beside it.
 *
 * In memory, and bounded: of more than LOSSES_MAX messages the one that was lost longest ago is
 * forgotten, and after a restart each begins anew. For dispatch.c. */
#ifndef BARID_QUEUE_LOSSES_H
#define BARID_QUEUE_LOSSES_H

#include <stddef.h>
#include <stdint.h>

#define LOSSES_MAX 2048

struct losses {
    struct loss {
        uint64_t message;
        int64_t at_ms; /* the last time, on the monotonic clock */
        uint64_t n;
    } list[LOSSES_MAX];
    size_t n;
};

/* One more job of this message was lost; the jobs of one message that were lost within
 * `one_death_ms` count once. How many times that makes, at least 1. All zero is an empty table. */
uint64_t losses_add(struct losses *l, uint64_t message, int64_t now_ms, int64_t one_death_ms);

#endif
