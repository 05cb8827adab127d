/* How long mail stays in a mailbox: what was set for its user, else for the domain, else the
 * setting (maildb_retention_s). What it means for messages is carried out by trash.h.
 *
 * Only authd knows in which domain a mailbox is. It is asked when retention was set for some
 * domain and a mailbox comes up whose domain queue does not know yet; the answer is kept in its
 * row, as it never changes. Mail of which this cannot be told is not removed. */
#ifndef BARID_QUEUE_RETENTION_H
#define BARID_QUEUE_RETENTION_H

#include "common/admin.h"
#include "queue/queue.h"

struct retention;

struct retention *retention_new(struct queue *q);
void retention_free(struct queue *q);

/* Is there mail that gets too old in mailboxes without a retention of their own? */
enum found retention_is_general(struct queue *q);
/* *seconds: 0 for ever. FOUND_NONE: authd is asked, trash_age_on is called when it has answered. */
enum found retention_of(struct queue *q, const struct box *box, uint64_t *seconds);

/* Two columns about a mailbox for `barid mailbox show`: seconds and by whom they were set. `domain`
 * is what authd told the asker, if the row does not say. 0, or -1. */
int retention_show(struct queue *q, const struct box *box, struct admin_row *row);

/* Commands: "box retention" NUMBER SECONDS, "domain retention" NUMBER [SECONDS]. */
void retention_set_box(void *queue, struct admin_call *call);
void retention_set_domain(void *queue, struct admin_call *call);

#endif
