/* How often passwords were wrong, per account, from wherever: against who guesses one from very
 * many addresses. A stranger must not lock a user out: from where a user has logged in lately (an
 * IPv4 address, an IPv6 /64) his account is never over, and failures there do not count. Names of
 * nobody are counted like those of users, so nothing tells them apart. In memory, bounded
 * (throttle.h). */
#ifndef BARID_AUTHD_ACCOUNTS_H
#define BARID_AUTHD_ACCOUNTS_H

#include "common/config.h"

struct accounts;

struct accounts *accounts_new(void); /* NULL without memory */
void accounts_free(struct accounts *a);
/* What an account is known by here: its address, or what was given, if that is none. */
uint64_t accounts_key(const struct accounts *a, struct span name);
bool accounts_is_over(const struct accounts *a, const struct rate *limit, uint64_t account,
                      const struct netaddr *client);
void accounts_failed(struct accounts *a, const struct rate *limit, uint64_t account,
                     const struct netaddr *client);
void accounts_succeeded(struct accounts *a, uint64_t account, const struct netaddr *client);

#endif
