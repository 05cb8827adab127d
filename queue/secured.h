/* Which domains' mail exchangers were spoken to through TLS, where mail is free to go without: so
 * that it is noticed when TLS is gone, which is what somebody in between would do. A domain is
 * remembered for a month after the last time, and there is a bound to how many are. */
#ifndef BARID_QUEUE_SECURED_H
#define BARID_QUEUE_SECURED_H

#include "queue/queue.h"

#define SECURED_MAX    100000 /* domains */
#define SECURED_KEEP_S (30 * 24 * 3600)

/* To be called within a batch, with what the attempt for this message saw. -1: the batch is to be
 * undone. */
int secured_learn(struct queue *q, uint64_t message, struct span domain, enum secured what);
/* Must it have TLS, by [relay] tls_seen? */
bool secured_expects(struct queue *q, struct span domain);
/* Within a batch: forgets. */
int secured_sweep(struct queue *q, int64_t now_s);

#endif
