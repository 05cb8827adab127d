/* Telling senders what became of their mail: when recipients failed for good, and once when it is
 * late. "Failed, and not told yet" is a state in the database, so a restart just goes on; the
 * notification and the mark that it was sent are one transaction, so it is sent exactly once.
 *
 * Nobody is told about mail with a null sender (RFC 5321 4.5.5): so never about a bounce. */
#ifndef BARID_QUEUE_BOUNCE_H
#define BARID_QUEUE_BOUNCE_H

#include "queue/queue.h"

struct bounces *bounces_new(struct queue *q);
void bounces_free(struct queue *q);
/* There may be failed recipients, or some for which something stood in the way is over. */
void bounce_kick(struct queue *q);
/* The message is late and its sender was not told. If that is lost, the next attempt says it again.
 */
void bounce_late(struct queue *q, uint64_t message);
/* In the queue's turn: starts what can be started. */
void bounce_run(struct queue *q);
size_t bounce_count(const struct queue *q);

#endif
