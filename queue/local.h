/* The users of this machine, who hand over mail through the submit socket. smtpd passes on their
 * connection with each message: the kernel tells who made it, so smtpd cannot speak for somebody
 * who was never there. */
#ifndef BARID_QUEUE_LOCAL_H
#define BARID_QUEUE_LOCAL_H

#include "common/config.h"

/* Is this a stream connection over a Unix socket that `uid` made? */
bool local_is_user(int fd, uint32_t uid);

struct locals;
struct locals *locals_new(void); /* NULL without memory */
void locals_free(struct locals *l);
/* Counts a message of this user against the rate; root is not counted. */
bool local_is_too_fast(struct locals *l, uint32_t uid, const struct rate *rate);

#endif
