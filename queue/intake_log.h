/* What the log says of messages on their way in: one line for each, and one for what is special.
 * For intake.c. */
#ifndef BARID_QUEUE_INTAKE_LOG_H
#define BARID_QUEUE_INTAKE_LOG_H

#include "queue/deliver.h"

/* id: 0 if what was named cannot be one. */
void intake_log_refused(uint64_t id, struct span sender, enum intake_reason reason);
void intake_log_accepted(const struct message *m, const struct targets *t, uint64_t session,
                         bool is_held);

#endif
