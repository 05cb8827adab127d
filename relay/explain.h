/* For `barid explain`: where would mail of a domain go at this moment? The same plan and the same
 * questions to the resolver as for a job (plan.h), but nobody is connected to. */
#ifndef BARID_RELAY_EXPLAIN_H
#define BARID_RELAY_EXPLAIN_H

#include "relay/job.h"

/* A command of the administrator: "plan DOMAIN [from=SENDER]". Rows: the servers in the order in
 * which they would be tried; without one, why mail would go nowhere. */
void explain_command(void *proc, struct ipc *from, const union msg *m, int fd);
/* The channel is gone: nobody wants these answers any more. */
void explain_forget(struct relay *r, const struct ipc *from);

#endif
