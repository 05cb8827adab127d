/* The quota warning: when a delivery takes a mailbox over [mailbox] quota_warning, its user gets
 * one message that says so, in the same transaction. It comes again only after the mailbox was
 * below that mark. It is let in where other mail would not be, and warns of nothing itself. */
#ifndef BARID_QUEUE_WARNING_H
#define BARID_QUEUE_WARNING_H

#include "queue/deliver.h"
#include "queue/queue.h"

/* As deliver (deliver.h), with the warnings that follow from it. A warning that cannot be written
 * for want of memory is left out: mail is more. */
enum intake_reason warning_deliver(struct queue *q, const struct delivery *d);

#endif
