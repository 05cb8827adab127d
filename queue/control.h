/* What the administrator asks of the queue: the rows of its command table. */
#ifndef BARID_QUEUE_CONTROL_H
#define BARID_QUEUE_CONTROL_H

#include "queue/queue.h"

/* The handler of ADMIN. A command that changes something is answered after it was committed. */
void control_run(struct queue *q, struct ipc *from, const struct msg_admin *m);

#endif
