/* What is deleted, by a user or by age. A deletion is decided in one small transaction; what it
 * means for each message, the grace period of [mailbox] undelete_for, its end, and the retention of
 * mail are worked off in steps of some hundred messages, each a transaction like any other, so that
 * nothing ever waits for them.
 *
 * States of an entry: in the mailbox (entry) -> named in removal, if it is one of very many -> in
 * the trash -> gone; and from the trash back into the mailbox, for all devices. */
#ifndef BARID_QUEUE_TRASH_H
#define BARID_QUEUE_TRASH_H

#include "queue/queue.h"

struct chronicle;
struct trash;

struct trash *trash_new(struct queue *q);
void trash_free(struct queue *q);

/* Who deletes where. */
struct deletion {
    uint64_t box;
    uint64_t device; /* it drops them for itself; they go when no other has them; 0: for all */
    int64_t at;      /* seconds since 1970 */
    struct span address, client;
    const struct chronicle *note; /* ours: of each message, if there are not too many */
};
/* Deletes these messages, within the caller's transaction: all of them when it is committed. One
 * that is not there counts as deleted. 0, or -1. */
int trash_delete(struct queue *q, const struct deletion *d, const uint64_t *sequences, size_t n);
/* Deletes what no device has any more, after one of a mailbox was removed: some entries above
 * *cursor in this transaction. FOUND_NONE: that was all. */
enum found trash_review(struct queue *q, uint64_t box, uint64_t *cursor);
/* Removes an entry for good, and the message if this was the last that needed it; the counts of the
 * box are the caller's. *octets: 0 if it was not there. */
int trash_remove_entry(struct queue *q, uint64_t box, uint64_t seq, uint64_t *octets);
/* One of what is in the trash of a mailbox, for good. */
enum found trash_remove_first(struct queue *q, uint64_t box);
/* Brings back up to a page of what was deleted at or after `since`, with numbers above *cursor, in
 * a transaction of its own that it commits. *cursor: where to go on, 0 at the end. The number, or
 * -1. */
long trash_undelete(struct queue *q, uint64_t box, int64_t since, uint64_t *cursor);

/* Looks anew for what has become too old; done every minute, too. */
void trash_look(struct queue *q);
/* It is known now how long mail of the next mailbox stays. */
void trash_age_on(struct queue *q);
/* The next step of what is left to do. True if there is more. */
bool trash_run(struct queue *q);

#endif
