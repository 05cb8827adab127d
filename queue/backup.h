/* The queue's part of `barid backup`: a copy of mail.db, made in steps between transactions, then
 * the spool files that it names, as read-only descriptors, to one CLI at a time. Files of messages
 * that are removed meanwhile stay until it is over; a crash leaves them to the next start. */
#ifndef BARID_QUEUE_BACKUP_H
#define BARID_QUEUE_BACKUP_H

#include "queue/queue.h"

struct backup;

void backup_next(struct queue *q, struct ipc *from, const struct msg_backup_next *m);
/* The next step, outside of a transaction. True if there is more. */
bool backup_run(struct queue *q);
void backup_channel_closed(struct queue *q, const struct ipc *from);
void backup_end(struct queue *q);
/* At the start: the copy that a crash left. */
void backup_clear(void);

#endif
