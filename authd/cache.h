/* Logins that succeeded a short time ago, so that a client that comes every minute does not cost a
 * hash of 19 MiB each time. Kept is a MAC with a random key over all that the answer depends on:
 * user, generation of the password, service, password; never the password. Bounded; the oldest goes
 * first. */
#ifndef BARID_AUTHD_CACHE_H
#define BARID_AUTHD_CACHE_H

#include "authd/directory.h"

#define CACHE_TTL_MS (10 * 60 * 1000)

struct cache;

/* What a user logged in with. */
struct credential {
    uint64_t number; /* of an app password; 0: his password */
    bool is_device;
};

struct cache *cache_new(void); /* NULL without memory */
void cache_free(struct cache *c);

struct cache_key {
    unsigned char mac[16];
};
/* A new generation of the user makes another key: what was cached before is never found again. */
struct cache_key cache_key(const struct cache *c, const struct user *user,
                           enum login_service service, struct span password);
bool cache_has(const struct cache *c, const struct cache_key *key, struct credential *which);
void cache_put(struct cache *c, const struct cache_key *key, struct credential which);

#endif
