/* Recipients that are not tried although their time has come: their destination cannot be reached,
 * or they are held and their message has expired. */
#ifndef BARID_QUEUE_POSTPONE_H
#define BARID_QUEUE_POSTPONE_H

#include "queue/agenda.h"
#include "queue/queue.h"

/* Those of one message. Who is still waiting waits until a little after `until_ms` (wall clock),
 * and `why` becomes the last reply; it costs no attempt. If the message has expired they fail
 * instead, held ones too. -1: it could not be written; they stay as they are. */
int postpone(struct queue *q, const struct agenda_job *what, int64_t until_ms, struct span why);

#endif
