/* The devices of mailboxes: which there are says authd, what they dropped is in mail.db. When one
 * is removed, what only it still had is due; that is worked off in steps. */
#ifndef BARID_QUEUE_DEVICES_H
#define BARID_QUEUE_DEVICES_H

#include "queue/queue.h"

struct devices;

struct devices *devices_new(struct queue *q);
void devices_free(struct queue *q);
/* All devices that a mailbox has now. Answered when that is on disk. */
void devices_set(struct queue *q, struct ipc *from, const struct msg_box_devices *m);
void devices_channel_closed(struct queue *q, struct ipc *from);
/* One step of the work that removed devices left. True if there is more to do. */
bool devices_review(struct queue *q);

#endif
