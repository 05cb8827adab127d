/* Questions to PAM: a bounded number at once, each with a worker of its own (worker.h); others wait
 * for their turn, in order, also bounded. Every question is answered once, at the latest when its
 * time is over; a slow one keeps its place until its worker has ended, and no other waits for it
 * while there are places. Passwords are wiped as soon as a worker has them. */
#ifndef BARID_PAMD_POOL_H
#define BARID_PAMD_POOL_H

#include "common/config.h"
#include "common/loop.h"
#include "pamd/worker.h"

#define POOL_PLACES      PAM_CHECKS
#define POOL_WAITING_MAX 256

struct pool;

struct pool_spec {
    check_fn *check;
    /* Never called from inside pool_ask. */
    void (*answered)(void *arg, uint64_t tag, const struct worker_answer *a);
    void *arg;
};

struct pool *pool_new(struct loop *l, const struct pool_spec *spec); /* NULL without memory */
/* Without answers. Workers end by themselves. NULL is allowed. */
void pool_free(struct pool *p);
void pool_configure(struct pool *p, uint64_t places, int64_t timeout_ms);
/* 0, or -1: too many wait, or no memory. What is asked is copied; the caller wipes his. */
int pool_ask(struct pool *p, uint64_t tag, const struct check_ask *ask);
/* Nobody waits for answers any more. */
void pool_abandon(struct pool *p);

#endif
