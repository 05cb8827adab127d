/* For `barid explain`: what QUEUE_ROOM would answer about one mailbox, or about one recipient of a
 * domain that is taken for another host. Changes nothing. */
#ifndef BARID_QUEUE_EXPLAIN_H
#define BARID_QUEUE_EXPLAIN_H

#include "common/admin.h"
#include "queue/queue.h"

/* BOX QUOTA SIZE, all numbers; a quota of 0: none; a size of 0: nothing was declared. */
void explain_room(void *owner, struct admin_call *call);
/* ADDRESS, of a domain with 'backup_mx = yes'. */
void explain_recipient(void *owner, struct admin_call *call);

#endif
