/* How often passwords were wrong, per address of the client: at most `count` failures in a period
 * that begins with the first of them; after that logins from there are refused unseen until it
 * ends. Bounded: under an attack from very many addresses the places go to those that failed most
 * and last. */
#ifndef BARID_AUTHD_THROTTLE_H
#define BARID_AUTHD_THROTTLE_H

#include "common/config.h"

struct throttle;

struct throttle *throttle_new(void); /* NULL without memory */
void throttle_free(struct throttle *t);
/* `client` is turned into what limits count by (netaddr_limit_key). */
bool throttle_is_over(const struct throttle *t, const struct rate *limit,
                      const struct netaddr *client);
void throttle_failed(struct throttle *t, const struct rate *limit, const struct netaddr *client);

#endif
