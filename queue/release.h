/* Mail that its sender asked to be held for a while (RFC 4865), when its time has come: recipients
 * elsewhere just become due like any others; those of our domains (waiting, with the outcome
 * DONE_DELIVERED) are resolved then, by authd, and put into mailboxes here. So an alias that was
 * changed meanwhile, or a user who is gone, counts. A mailbox that is full then is a failure: its
 * sender is told.
 *
 * What was not done is a row that is due, so a restart just goes on; entries in mailboxes and the
 * mark that it was done are one transaction. */
#ifndef BARID_QUEUE_RELEASE_H
#define BARID_QUEUE_RELEASE_H

#include "queue/queue.h"

struct releases *releases_new(struct queue *q);
void releases_free(struct queue *q);
/* This row is due. False: there is no room now; the search begins anew when there is. */
bool release_add(struct queue *q, uint64_t message, uint32_t number);
size_t release_count(const struct queue *q);

#endif
