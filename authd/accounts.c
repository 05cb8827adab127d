#include "authd/accounts.h"

#include "authd/throttle.h"
#include "common/clock.h"

#include <sodium.h>
#include <stdlib.h>

/* One login is enough to be known there in this half of a month and the next. */
#define HALF_MS (15LL * 24 * 3600 * 1000)
static const struct rate known = {.count = 1, .period_ms = 2 * HALF_MS};

struct accounts {
    unsigned char key[crypto_shorthash_KEYBYTES]; /* nobody can aim at a place */
    struct throttle *failures;                    /* by account */
    struct throttle *homes;                       /* by account and client: logins */
};

struct accounts *accounts_new(void)
{
    struct accounts *a = calloc(1, sizeof *a);
    if (a == NULL)
        return NULL;
    randombytes_buf(a->key, sizeof a->key);
    a->failures = throttle_new();
    a->homes = throttle_new();
    if (a->failures != NULL && a->homes != NULL)
        return a;
    accounts_free(a);
    return NULL;
}

void accounts_free(struct accounts *a)
{
    if (a == NULL)
        return;
    throttle_free(a->failures);
    throttle_free(a->homes);
    free(a);
}

static uint64_t hash(const struct accounts *a, const void *octets, size_t n)
{
    uint64_t h;
    _Static_assert(sizeof h == crypto_shorthash_BYTES, "one number");
    crypto_shorthash((unsigned char *)&h, octets, n, a->key);
    return h;
}

uint64_t accounts_key(const struct accounts *a, struct span name)
{
    return hash(a, name.p, name.n);
}

/* throttle.h counts by the first half of an IPv6 address: here that is the hash. */
static struct netaddr place_of(uint64_t h)
{
    struct netaddr place = {.n = 16};
    memcpy(place.octets, &h, sizeof h);
    return place;
}

static struct netaddr home_of(const struct accounts *a, uint64_t account,
                              const struct netaddr *client, int64_t half)
{
    struct {
        uint64_t account;
        int64_t half;
        uint8_t octets[16];
    } all = {.account = account, .half = half};
    struct netaddr who = netaddr_limit_key(client);
    memcpy(all.octets, who.octets, who.n <= sizeof all.octets ? who.n : 0);
    return place_of(hash(a, &all, sizeof all));
}

static bool is_home(const struct accounts *a, uint64_t account, const struct netaddr *client)
{
    int64_t half = clock_mono_ms() / HALF_MS;
    struct netaddr now = home_of(a, account, client, half);
    struct netaddr before = home_of(a, account, client, half - 1);
    return throttle_is_over(a->homes, &known, &now) || throttle_is_over(a->homes, &known, &before);
}

bool accounts_is_over(const struct accounts *a, const struct rate *limit, uint64_t account,
                      const struct netaddr *client)
{
    struct netaddr place = place_of(account);
    return throttle_is_over(a->failures, limit, &place) && !is_home(a, account, client);
}

void accounts_failed(struct accounts *a, const struct rate *limit, uint64_t account,
                     const struct netaddr *client)
{
    struct netaddr place = place_of(account);
    if (!is_home(a, account, client))
        throttle_failed(a->failures, limit, &place);
}

void accounts_succeeded(struct accounts *a, uint64_t account, const struct netaddr *client)
{
    struct netaddr home = home_of(a, account, client, clock_mono_ms() / HALF_MS);
    throttle_failed(a->homes, &known, &home);
}
