/* How long a recipient is tried, and when its sender is told that it waits. Both are of the route
 * its mail takes, like the list of retries, and are asked for by the configuration of the moment:
 * what a message carries itself (message.expires) is what [relay] said when it came.
 *
 * The time counts from when the message came, or from when it was to be let go (RFC 4865). */
#ifndef BARID_QUEUE_LIFETIME_H
#define BARID_QUEUE_LIFETIME_H

#include "common/config.h"
#include "queue/store.h"

/* Seconds since 1970. */
struct lifetime {
    int64_t expires;
    int64_t late; /* from then on the sender is told that it waits; INT64_MAX: he never is */
};

/* Of one recipient of a message; what the store cannot say now counts as if it had not been held.
 * `c` and the store are only read. */
struct lifetime lifetime_of(const struct config *c, struct store *s, const struct message *m,
                            const struct recipient *r);
/* Until when its sender asked to hold it; 0: he did not. */
int64_t lifetime_held_until(struct store *s, uint64_t message);

#endif
