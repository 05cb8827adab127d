/* What happens to mailboxes besides delivery: a POP3 session's deletions, which mailbox asks for,
 * and the end of a mailbox, which authd asks for when its user was removed. */
#ifndef BARID_QUEUE_BOXES_H
#define BARID_QUEUE_BOXES_H

#include "queue/queue.h"

struct boxes *boxes_new(struct queue *q);
void boxes_free(struct queue *q);
/* Deletions come in parts and are done in one transaction after the last: all or none. A message
 * that is not there (any more) counts as deleted. */
void boxes_delete(struct queue *q, struct ipc *from, const struct msg_box_delete *m);
/* Answered when nothing can get into the mailbox any more; its mail then goes step by step, also
 * after a restart. */
void boxes_forget(struct queue *q, struct ipc *from, const struct msg_box_forget *m);
void boxes_channel_closed(struct queue *q, struct ipc *from);
/* One step of the removal of forgotten mailboxes. True if there is more to do. */
bool boxes_sweep(struct queue *q);

#endif
