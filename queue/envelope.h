/* What smtpd says of a message before its recipients come: is it something that smtpd can have
 * said, and what does it allow? It is checked here although smtpd has checked it. */
#ifndef BARID_QUEUE_ENVELOPE_H
#define BARID_QUEUE_ENVELOPE_H

#include "queue/queue.h"

/* *client: who it is from. */
bool envelope_is_plausible(const struct queue *q, const struct msg_queue_open *m,
                           struct netaddr *client);
/* By the address that smtpd names, or by the connection `fd`, which only a user of this machine can
 * have made. A login is another matter. */
bool envelope_may_relay(const struct queue *q, const struct netaddr *client, int fd);
/* sender, client, helo, envid and hold_request, as the receive buffer does not last: in one piece
 * of memory, which the caller frees. NULL: there is none. */
char *envelope_copy(struct message *to, const struct msg_queue_open *m);
/* Recipients of a message: as many as the most generous listener takes. */
uint64_t envelope_rcpts_max(const struct config *c);

#endif
