/* Keeps MTA-STS policies for the policy process, which fetches them and opens no file. */
#ifndef BARID_QUEUE_STS_H
#define BARID_QUEUE_STS_H

#include "common/admin.h"
#include "queue/queue.h"

void sts_keep(struct queue *q, const struct msg_sts_keep *m);
void sts_next(struct queue *q, struct ipc *from, const struct msg_sts_next *m);
void sts_list(void *owner, struct admin_call *call); /* `barid tls policies` */

#endif
