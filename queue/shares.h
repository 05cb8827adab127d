/* How many of the jobs at relay each sender has (a flow, see agenda.h), so that one large mailing
 * does not take them all: if its servers are slow or silent, nobody else's mail could go until they
 * are done. A sender may have three times as many as are still free: alone three quarters of them
 * all, and each further one three quarters of what those before left. */
#ifndef BARID_QUEUE_SHARES_H
#define BARID_QUEUE_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHARES_MAX 512 /* senders with jobs: there are not more jobs (config: 500) */

struct shares {
    struct share {
        uint64_t flow;
        uint64_t n;
    } list[SHARES_MAX];
    size_t n;
};

/* n_free: jobs that nobody has. */
bool shares_may(const struct shares *s, uint64_t flow, uint64_t n_free);
void shares_take(struct shares *s, uint64_t flow);
void shares_give(struct shares *s, uint64_t flow);

#endif
