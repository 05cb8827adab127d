#include "authd/cache.h"

#include "common/clock.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SETS 1024 /* a power of two; with the ways: 4,096 logins in 100 KiB */
#define WAYS 4

struct place {
    struct cache_key key;
    int64_t until_ms; /* 0: free */
    struct credential which;
};

struct cache {
    unsigned char secret[crypto_generichash_KEYBYTES];
    struct place places[SETS][WAYS];
};

struct cache *cache_new(void)
{
    struct cache *c = calloc(1, sizeof *c);
    if (c != NULL)
        randombytes_buf(c->secret, sizeof c->secret);
    return c;
}

void cache_free(struct cache *c)
{
    if (c == NULL)
        return;
    sodium_memzero(c->secret, sizeof c->secret);
    free(c);
}

struct cache_key cache_key(const struct cache *c, const struct user *user,
                           enum login_service service, struct span password)
{
    const uint64_t head[] = {user->box, user->generation, service};
    struct cache_key key;
    crypto_generichash_state state;
    crypto_generichash_init(&state, c->secret, sizeof c->secret, sizeof key.mac);
    crypto_generichash_update(&state, (const unsigned char *)head, sizeof head);
    crypto_generichash_update(&state, (const unsigned char *)password.p, password.n);
    crypto_generichash_final(&state, key.mac, sizeof key.mac);
    sodium_memzero(&state, sizeof state);
    return key;
}

static size_t set_of(const struct cache_key *key)
{
    return (key->mac[0] | (size_t)key->mac[1] << 8) % SETS;
}

bool cache_has(const struct cache *c, const struct cache_key *key, struct credential *which)
{
    const struct place *set = c->places[set_of(key)];
    bool found = false;
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].until_ms > clock_mono_ms() &&
            sodium_memcmp(set[i].key.mac, key->mac, sizeof key->mac) == 0) {
            *which = set[i].which;
            found = true;
        }
    return found;
}

void cache_put(struct cache *c, const struct cache_key *key, struct credential which)
{
    struct place *set = c->places[set_of(key)], *oldest = &set[0];
    for (size_t i = 1; i < WAYS; i++)
        if (set[i].until_ms < oldest->until_ms)
            oldest = &set[i];
    *oldest = (struct place){*key, clock_mono_ms() + CACHE_TTL_MS, which};
}
