/* `barid trace ADDRESS`: the messages from and to an address, the newest first, a row each. They
 * are found by indexes (store_trail), in one answer of at most 200.
 *
 * Arguments: the address; box=N, the number of its mailbox if it has one here; limit=N; before=ID.
 * What is not found: a message here that went through an alias, and what went from a mailbox
 * without ever having been collected or deleted there. */
#ifndef BARID_QUEUE_TRAIL_H
#define BARID_QUEUE_TRAIL_H

#include "common/admin.h"
#include "queue/queue.h"

#define TRAIL_LIMIT     20
#define TRAIL_LIMIT_MAX ADMIN_PAGE

void trail_show(void *owner, struct admin_call *call);

#endif
