#include "authd/ticket.h"

#include "common/clock.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096 /* a power of two */
#define WORKERS 64

struct tickets {
    struct ticket *buckets[BUCKETS];
    size_t n, n_of[WORKERS];
};

struct tickets *tickets_new(void)
{
    return calloc(1, sizeof(struct tickets));
}

size_t tickets_count(const struct tickets *t)
{
    return t->n;
}

/* By session, so that its end needs no more than its number. */
static size_t bucket_of(uint64_t session)
{
    return (session ^ session >> 16 ^ session >> 32) % BUCKETS;
}

static size_t worker_of(const struct ticket *k)
{
    return k->instance % WORKERS;
}

static void remove_at(struct tickets *t, struct ticket **at)
{
    struct ticket *gone = *at;
    *at = gone->next;
    t->n--;
    t->n_of[worker_of(gone)]--;
    sodium_memzero(gone->octets, sizeof gone->octets);
    free(gone);
}

/* Removes those of a channel, or (NULL) those whose time is over. */
static void sweep(struct tickets *t, const struct ipc *ch)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct ticket **at = &t->buckets[i]; *at != NULL;) {
            if (ch != NULL ? (*at)->ch == ch : (*at)->until_ms <= clock_mono_ms())
                remove_at(t, at);
            else
                at = &(*at)->next;
        }
}

const struct ticket *ticket_issue(struct tickets *t, const struct ipc *ch, uint64_t session,
                                  const struct user *user)
{
    size_t worker = ipc_mark(ch) % WORKERS, n = user->node.name.n;
    if (t->n_of[worker] >= TICKETS_PER_WORKER)
        sweep(t, NULL);
    struct ticket *k = t->n_of[worker] < TICKETS_PER_WORKER ? malloc(sizeof *k + n + 1) : NULL;
    if (k == NULL)
        return NULL;
    *k = (struct ticket){.ch = ch,
                         .instance = ipc_mark(ch),
                         .session = session,
                         .generation = user->generation,
                         .until_ms = clock_mono_ms() + TICKET_TTL_MS};
    memcpy(k->address, user->node.name.p, n);
    k->address[n] = '\0';
    randombytes_buf(k->octets, sizeof k->octets);
    struct ticket **bucket = &t->buckets[bucket_of(session)];
    k->next = *bucket;
    *bucket = k;
    t->n++;
    t->n_of[worker]++;
    return k;
}

const struct ticket *ticket_find(const struct tickets *t, struct span octets, uint64_t instance,
                                 uint64_t session)
{
    const struct ticket *k = octets.n == TICKET_OCTETS ? t->buckets[bucket_of(session)] : NULL;
    while (k != NULL && sodium_memcmp(k->octets, octets.p, TICKET_OCTETS) != 0)
        k = k->next;
    bool holds = k != NULL && k->instance == instance && k->session == session &&
                 k->until_ms > clock_mono_ms();
    return holds ? k : NULL;
}

void tickets_session_gone(struct tickets *t, const struct ipc *ch, uint64_t session)
{
    struct ticket **at = &t->buckets[bucket_of(session)];
    while (*at != NULL) {
        if ((*at)->ch == ch && (*at)->session == session)
            remove_at(t, at);
        else
            at = &(*at)->next;
    }
}

void tickets_channel_gone(struct tickets *t, const struct ipc *ch)
{
    sweep(t, ch);
}
