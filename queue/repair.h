/* `barid fsck --repair`, queue's side: sets right what can be made again from what is right, and
 * puts into quarantine (quarantine.h) what cannot. Each command looks for itself at what it was
 * told is damaged; what is in order stays as it is. Mail never goes without being in the
 * quarantine first. */
#ifndef BARID_QUEUE_REPAIR_H
#define BARID_QUEUE_REPAIR_H

#include "common/admin.h"
#include "queue/queue.h"

/* NAME: is it a file in spool that nothing needs, not even what is arriving or a backup? */
void repair_stray(void *queue, struct admin_call *call);
/* Each answers with one row, whose `done` says what was done. */
void repair_indexes(void *queue, struct admin_call *call);
void repair_message(void *queue, struct admin_call *call);    /* ID */
void repair_recipients(void *queue, struct admin_call *call); /* ID */
void repair_box(void *queue, struct admin_call *call);        /* NUMBER */
void repair_nobodys(void *queue, struct admin_call *call); /* NUMBER of a mailbox without a user */
void repair_removals(void *queue, struct admin_call *call);
void repair_orphans(void *queue, struct admin_call *call);
void repair_file(void *queue, struct admin_call *call); /* NAME */

#endif
