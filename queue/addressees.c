#include "queue/addressees.h"

#include "common/clock.h"

#include <sodium.h>

#define RENEW_S (30 * 24 * 3600)

static int64_t hash(struct span text)
{
    unsigned char sum[crypto_generichash_BYTES_MIN];
    char lower[ADDRESS_MAX];
    size_t n = text.n < sizeof lower ? text.n : sizeof lower;
    int64_t h;
    for (size_t i = 0; i < n; i++)
        lower[i] = ascii_lower(text.p[i]);
    crypto_generichash(sum, sizeof sum, (const unsigned char *)lower, n, NULL, 0);
    memcpy(&h, sum, sizeof h);
    return h;
}

static struct addressee addressee_of(struct span who, struct span address)
{
    return (struct addressee){.user = hash(who), .address = hash(address), .at = clock_wall_s()};
}

uint64_t addressees_look(struct queue *q, struct span who, struct targets *t)
{
    uint64_t n_new = 0;
    for (size_t i = 0; i < t->n_remotes; i++) {
        struct remote_target *r = &t->remotes[i];
        if (r->is_local || r->is_forwarded)
            continue;
        struct addressee a = addressee_of(who, span_of(r->address));
        int64_t now_s = a.at;
        enum found f = store_addressee_get(q->store, &a);
        bool is_fresh = f == FOUND_YES && a.at <= now_s && now_s - a.at < RENEW_S;
        r->is_noteworthy = f != FOUND_FAULT && !is_fresh;
        n_new += f == FOUND_NONE;
    }
    return n_new;
}

int addressees_note_one(struct queue *q, struct span who, struct span address)
{
    struct addressee a = addressee_of(who, address);
    return store_addressee_set(q->store, &a);
}

int addressees_note(struct queue *q, struct span who, const struct targets *t)
{
    for (size_t i = 0; i < t->n_remotes; i++)
        if (t->remotes[i].is_noteworthy &&
            addressees_note_one(q, who, span_of(t->remotes[i].address)) < 0)
            return -1;
    return 0;
}

int addressees_forget(struct queue *q, struct span who)
{
    return store_addressees_forget(q->store, hash(who));
}

int addressees_sweep(struct queue *q, int64_t now_s)
{
    return store_addressees_sweep(q->store, now_s - ADDRESSEE_KEEP_S, ADDRESSEE_MAX);
}
