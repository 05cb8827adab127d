#include "authd/throttle.h"

#include "common/clock.h"

#include <sodium.h>
#include <stdlib.h>

#define SETS                                                                                       \
    2048 /* a power of two; with the ways: 16,384 addresses, under 1 MiB when all are used */
#define WAYS 8

struct place {
    struct netaddr who; /* n 0: free */
    uint32_t failures;
    int64_t since_ms;
};

struct throttle {
    unsigned char key[crypto_shorthash_KEYBYTES]; /* nobody can aim at a set */
    struct place places[SETS][WAYS];
};

struct throttle *throttle_new(void)
{
    struct throttle *t = calloc(1, sizeof *t);
    if (t != NULL)
        randombytes_buf(t->key, sizeof t->key);
    return t;
}

void throttle_free(struct throttle *t)
{
    free(t);
}

static size_t set_of(const struct throttle *t, const struct netaddr *who)
{
    unsigned char h[crypto_shorthash_BYTES];
    crypto_shorthash(h, who->octets, who->n, t->key);
    return (h[0] | (size_t)h[1] << 8) % SETS;
}

static bool is_current(const struct place *p, const struct rate *limit)
{
    return p->who.n != 0 && clock_mono_ms() - p->since_ms < limit->period_ms;
}

/* Its way in the set, or WAYS. */
static size_t find(const struct place set[WAYS], const struct rate *limit,
                   const struct netaddr *who)
{
    size_t i = 0;
    while (i < WAYS && !(is_current(&set[i], limit) && netaddr_eq(&set[i].who, who)))
        i++;
    return i;
}

bool throttle_is_over(const struct throttle *t, const struct rate *limit,
                      const struct netaddr *client)
{
    if (limit->is_off)
        return false;
    struct netaddr who = netaddr_limit_key(client);
    const struct place *set = t->places[set_of(t, &who)];
    size_t way = find(set, limit, &who);
    return way < WAYS && set[way].failures >= limit->count;
}

/* A free or outdated place; else the one with the fewest failures, the oldest of these. */
static struct place *pick(struct place set[WAYS], const struct rate *limit)
{
    struct place *best = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (!is_current(&set[i], limit))
            return &set[i];
        if (set[i].failures < best->failures ||
            (set[i].failures == best->failures && set[i].since_ms < best->since_ms))
            best = &set[i];
    }
    return best;
}

void throttle_failed(struct throttle *t, const struct rate *limit, const struct netaddr *client)
{
    if (limit->is_off)
        return;
    struct netaddr who = netaddr_limit_key(client);
    struct place *set = t->places[set_of(t, &who)];
    size_t way = find(set, limit, &who);
    if (way == WAYS)
        *pick(set, limit) = (struct place){who, 1, clock_mono_ms()};
    else if (set[way].failures < UINT32_MAX)
        set[way].failures++;
}
