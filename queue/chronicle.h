/* What becomes of messages in mailboxes, as rows of event, for `barid trace`: "retrieved" by a
 * login or a device for the first time, "deleted", "undeleted", "purged" (its time to be brought
 * back is over), "retention" (it was too old). Written in the transaction of what is done; nothing
 * with [queue] trace = 0s.
 *
 * It costs a row for each, so large numbers are left out: of a session more than RETRIEVED_MAX
 * messages, deletions of more messages than are deleted at once (and what comes after them), more
 * than some hundred a minute by retention, mailboxes that are forgotten, and what goes because a
 * device was removed. The log has them. */
#ifndef BARID_QUEUE_CHRONICLE_H
#define BARID_QUEUE_CHRONICLE_H

#include "queue/queue.h"

/* Whose doing it is. Without an address: nobody's who logged in. */
struct actor {
    uint64_t box;
    uint64_t device; /* of that mailbox; 0: none */
    struct span address, client;
};

/* One event of several messages; what it points to is the caller's. */
struct chronicle {
    struct incident event;
    uint64_t box;
    char place[64 + DEVICE_NAME_MAX]; /* "mailbox 17, device phone" */
};

/* 0, or -1: the store. */
int chronicle_begin(struct chronicle *c, struct queue *q, const struct actor *by, const char *what);
/* For the message at this place, which is still there. */
int chronicle_note(struct queue *q, const struct chronicle *c, uint64_t seq);
/* A message of this mailbox that was deleted is brought back or removed, if its deletion was noted.
 */
int chronicle_after_deletion(struct queue *q, uint64_t box, uint64_t message, const char *what);
/* From mailbox, within a transaction of its turn; nobody waits for it. */
void chronicle_collected(struct queue *q, const struct msg_box_collected *m);

#endif
