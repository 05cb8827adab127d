/* For `barid explain`: what QUEUE_ROOM would answer about one mailbox. Changes nothing. */
#ifndef BARID_QUEUE_EXPLAIN_H
#define BARID_QUEUE_EXPLAIN_H

#include "common/admin.h"
#include "queue/queue.h"

/* BOX QUOTA SIZE, all numbers; a quota of 0: none; a size of 0: nothing was declared. */
void explain_room(void *owner, struct admin_call *call);

#endif
