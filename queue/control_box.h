/* What the administrator asks about mailboxes: rows of the table in control.c. */
#ifndef BARID_QUEUE_CONTROL_BOX_H
#define BARID_QUEUE_CONTROL_BOX_H

#include "common/admin.h"
#include "queue/queue.h"

/* NUMBER: what is in it, and what each device still has to collect. */
void box_show(void *queue, struct admin_call *call);
/* NUMBER [since=SECONDS]: removed messages come back, a page at a time. */
void box_undelete(void *queue, struct admin_call *call);
/* All, a page at a time. */
void box_list(void *queue, struct admin_call *call);

#endif
