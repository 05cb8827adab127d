#include "common/peers.h"

#include "common/clock.h"

#include <sodium.h>

#define BUCKETS 1024

struct known {
    struct known *next;
    struct netaddr key;
    uint64_t connections;
    uint64_t fresh;   /* new ones in this period */
    int64_t until_ms; /* end of the period */
};

struct peers {
    unsigned char hash_key[crypto_shorthash_KEYBYTES]; /* nobody can choose one bucket for all */
    uint64_t workers;
    size_t n_known, n_connections;
    struct known *buckets[BUCKETS];
};

struct peers *peers_new(uint64_t workers)
{
    struct peers *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->workers = workers;
    crypto_shorthash_keygen(p->hash_key);
    return p;
}

void peers_free(struct peers *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (p->buckets[i] != NULL) {
            struct known *k = p->buckets[i];
            p->buckets[i] = k->next;
            free(k);
        }
    free(p);
}

/* Forgets what is over on the way. */
static struct known *find(struct peers *p, const struct netaddr *key, struct known ***bucket)
{
    unsigned char hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, key->octets, sizeof key->octets, p->hash_key);
    *bucket = &p->buckets[(hash[0] | (size_t)hash[1] << 8) % BUCKETS];
    struct known *found = NULL;
    for (struct known **at = *bucket; *at != NULL;) {
        struct known *k = *at;
        if (netaddr_eq(&k->key, key)) {
            found = k;
        } else if (k->connections == 0 && k->until_ms <= clock_mono_ms()) {
            *at = k->next;
            free(k);
            p->n_known--;
            continue;
        }
        at = &k->next;
    }
    return found;
}

static struct known *find_or_add(struct peers *p, const struct netaddr *key)
{
    struct known **bucket;
    struct known *k = find(p, key, &bucket);
    if (k != NULL || p->n_known >= PEERS_MAX || (k = calloc(1, sizeof *k)) == NULL)
        return k;
    k->key = *key;
    k->next = *bucket;
    *bucket = k;
    p->n_known++;
    return k;
}

static bool is_too_fast(struct known *k, const struct rate *rate)
{
    int64_t now = clock_mono_ms();
    if (k->until_ms <= now) {
        k->until_ms = now + rate->period_ms;
        k->fresh = 0;
    }
    if (rate->is_off)
        return false;
    if (k->fresh >= rate->count)
        return true;
    k->fresh++;
    return false;
}

enum peers_answer peers_enter(struct peers *p, const struct netaddr *from,
                              const struct limits_config *limits, bool is_trusted)
{
    if (p->n_connections >= (limits->connections + p->workers - 1) / p->workers)
        return PEERS_FULL;
    struct netaddr key = netaddr_limit_key(from);
    struct known *k = find_or_add(p, &key);
    if (k == NULL && !is_trusted)
        return PEERS_FULL; /* whom we cannot count we cannot limit */
    if (k != NULL && !is_trusted && k->connections >= limits->connections_per_address)
        return PEERS_TOO_MANY;
    if (k != NULL && !is_trusted && is_too_fast(k, &limits->connection_rate))
        return PEERS_TOO_FAST;
    if (k != NULL)
        k->connections++;
    p->n_connections++;
    return PEERS_WELCOME;
}

void peers_leave(struct peers *p, const struct netaddr *from)
{
    struct netaddr key = netaddr_limit_key(from);
    struct known **bucket, *k = find(p, &key, &bucket);
    if (k != NULL && k->connections > 0)
        k->connections--;
    p->n_connections--;
}

size_t peers_count(const struct peers *p)
{
    return p->n_connections;
}
