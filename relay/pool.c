#include "relay/pool.h"

/* A connection without a mail. */
struct kept {
    struct kept *next;
    struct pool *pool;
    struct pool_dest *dest;
    struct client *client;
    struct timer idle;
    bool is_quitting;
};

struct pool_dest {
    struct pool_dest *next;          /* in its bucket */
    struct pool_turn *first, **last; /* who waits, in order */
    struct kept *kept;
    uint64_t n_held; /* turns granted and connections kept */
    uint64_t n_max;
    size_t n_key;
    char key[];
};

static void grant_all(void *arg);

void pool_init(struct pool *p, struct loop *l)
{
    *p = (struct pool){.loop = l};
    timer_init(&p->soon, l, grant_all, p);
}

/* Turns are granted from the loop, not where one ends: a job that fails at once would else grant
 * the next one on its own stack. */
static void schedule(struct pool *p)
{
    if (!p->soon.is_set)
        timer_set(&p->soon, 0);
}

static unsigned bucket_of(struct span key)
{
    uint32_t h = 2166136261U;
    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (unsigned char)key.p[i]) * 16777619U;
    return h % POOL_BUCKETS;
}

static struct pool_dest *find_or_make(struct pool *p, struct span key)
{
    struct pool_dest **head = &p->buckets[bucket_of(key)];
    for (struct pool_dest *d = *head; d != NULL; d = d->next)
        if (span_eq(key, (struct span){d->key, d->n_key}))
            return d;
    struct pool_dest *d = calloc(1, sizeof *d + key.n);
    if (d == NULL)
        return NULL;
    d->last = &d->first;
    d->n_key = key.n;
    memcpy(d->key, key.p, key.n);
    d->next = *head;
    *head = d;
    return d;
}

int pool_ask(struct pool *p, struct span key, uint64_t n_max, struct pool_turn *t)
{
    t->dest = key.n > 0 && key.n <= POOL_KEY_MAX ? find_or_make(p, key) : NULL;
    if (t->dest == NULL)
        return -1;
    t->dest->n_max = n_max;
    t->next = NULL;
    t->is_waiting = true;
    *t->dest->last = t;
    t->dest->last = &t->next;
    schedule(p);
    return 0;
}

void pool_withdraw(struct pool *p, struct pool_turn *t)
{
    struct pool_dest *d = t->dest;
    if (d == NULL || !t->is_waiting)
        return;
    for (struct pool_turn **at = &d->first; *at != NULL; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            if (d->last == &t->next)
                d->last = at;
            break;
        }
    t->dest = NULL;
    t->is_waiting = false;
    schedule(p);
}

static void release(struct pool *p, struct pool_dest *d)
{
    d->n_held--;
    p->n_held--;
    schedule(p);
}

/* --- kept connections --- */

static struct client *unlink_kept(struct kept *k)
{
    struct kept **at = &k->dest->kept;
    struct client *c = k->client;
    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    timer_stop(&k->idle);
    free(k);
    return c;
}

static void quit(struct kept *k)
{
    if (k->is_quitting)
        return;
    k->is_quitting = true;
    timer_stop(&k->idle);
    client_quit(k->client);
}

static void idle_too_long(void *arg)
{
    quit(arg);
}

static void kept_ready(void *owner)
{
    (void)owner;
}

static void kept_result(void *owner, size_t rcpt, enum verdict v, struct span text)
{
    (void)owner, (void)rcpt, (void)v, (void)text;
}

static void kept_ended(void *owner, const struct client_end *e)
{
    (void)e;
    struct kept *k = owner;
    struct pool *p = k->pool;
    struct pool_dest *d = k->dest;
    client_free(unlink_kept(k));
    release(p, d);
}

static const struct client_ops kept_ops = {
    .ready = kept_ready, .result = kept_result, .ended = kept_ended};

void pool_give(struct pool *p, struct pool_turn *t, struct client *c)
{
    struct pool_dest *d = t->dest;
    struct kept *k = c != NULL ? calloc(1, sizeof *k) : NULL;
    t->dest = NULL;
    if (k == NULL) {
        client_free(c);
        release(p, d);
        return;
    }
    *k = (struct kept){.next = d->kept, .pool = p, .dest = d, .client = c};
    d->kept = k;
    client_own(c, &kept_ops, k);
    timer_init(&k->idle, p->loop, idle_too_long, k);
    timer_set(&k->idle, POOL_IDLE_MS);
    if (client_mails(c) >= POOL_MAILS_MAX)
        quit(k);
    schedule(p);
}

static struct client *take_kept(struct pool_dest *d)
{
    for (struct kept *k = d->kept; k != NULL; k = k->next)
        if (!k->is_quitting)
            return unlink_kept(k);
    return NULL;
}

/* --- granting --- */

static void quit_one_elsewhere(struct pool *p, const struct pool_dest *not_this)
{
    for (unsigned i = 0; i < POOL_BUCKETS; i++)
        for (struct pool_dest *d = p->buckets[i]; d != NULL; d = d->next)
            for (struct kept *k = d != not_this ? d->kept : NULL; k != NULL; k = k->next) {
                quit(k);
                return;
            }
}

/* One turn of a destination. False: nobody waits, or there is no room. */
static bool grant_one(struct pool *p, struct pool_dest *d)
{
    struct pool_turn *t = d->first;
    if (t == NULL)
        return false;
    struct client *c = take_kept(d);
    if (c == NULL && d->n_held >= d->n_max)
        return false;
    if (c == NULL && p->n_held >= POOL_CONNECTIONS_MAX) {
        quit_one_elsewhere(p, d);
        return false;
    }
    if (c == NULL) {
        d->n_held++;
        p->n_held++;
    }
    d->first = t->next;
    if (d->first == NULL)
        d->last = &d->first;
    t->is_waiting = false;
    t->granted(t, c);
    return true;
}

/* Destinations are only freed here, where nobody is in the middle of one. */
static void grant_bucket(struct pool *p, struct pool_dest **at)
{
    while (*at != NULL) {
        struct pool_dest *d = *at;
        while (grant_one(p, d))
            ;
        if (d->first != NULL || d->n_held > 0) {
            at = &d->next;
            continue;
        }
        *at = d->next;
        free(d);
    }
}

static void grant_all(void *arg)
{
    struct pool *p = arg;
    p->first_bucket = (p->first_bucket + 1) % POOL_BUCKETS;
    for (unsigned i = 0; i < POOL_BUCKETS; i++)
        grant_bucket(p, &p->buckets[(p->first_bucket + i) % POOL_BUCKETS]);
}

void pool_quit_idle(struct pool *p)
{
    for (unsigned i = 0; i < POOL_BUCKETS; i++)
        for (struct pool_dest *d = p->buckets[i]; d != NULL; d = d->next)
            for (struct kept *k = d->kept; k != NULL; k = k->next)
                quit(k);
}

bool pool_is_empty(const struct pool *p)
{
    return p->n_held == 0;
}
