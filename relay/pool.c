#include "relay/pool.h"

/* A connection without a mail. */
struct kept {
    struct kept *next;          /* of its destination */
    struct kept *older, *newer; /* of all that do not quit */
    struct pool *pool;
    struct pool_dest *dest;
    struct client *client;
    struct timer idle;
    bool is_quitting;
};

struct pool_dest {
    struct pool_dest *next;        /* in its bucket */
    struct pool_dest *next_asking; /* among those that may have a turn to grant */
    bool is_asking;
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
    p->last_asking = &p->asking;
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

static void append_asking(struct pool *p, struct pool_dest *d)
{
    if (d->first == NULL || d->is_asking)
        return;
    d->is_asking = true;
    d->next_asking = NULL;
    *p->last_asking = d;
    p->last_asking = &d->next_asking;
}

static struct pool_dest *take_asking(struct pool *p)
{
    struct pool_dest *d = p->asking;
    p->asking = d->next_asking;
    if (p->asking == NULL)
        p->last_asking = &p->asking;
    d->is_asking = false;
    return d;
}

static void free_unused(struct pool *p, struct pool_dest *d)
{
    if (d->first != NULL || d->n_held > 0 || d->is_asking)
        return;
    struct pool_dest **at = &p->buckets[bucket_of((struct span){d->key, d->n_key})];
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    free(d);
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
    p->n_waiting++;
    append_asking(p, t->dest);
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
    p->n_waiting--;
    free_unused(p, d);
    schedule(p);
}

static void release(struct pool *p, struct pool_dest *d)
{
    d->n_held--;
    p->n_held--;
    append_asking(p, d);
    free_unused(p, d);
    schedule(p);
}

/* --- kept connections --- */

static void append_kept(struct pool *p, struct kept *k)
{
    k->older = p->newest;
    *(k->older != NULL ? &k->older->newer : &p->oldest) = k;
    p->newest = k;
}

static void leave_kept(struct pool *p, struct kept *k)
{
    *(k->older != NULL ? &k->older->newer : &p->oldest) = k->newer;
    *(k->newer != NULL ? &k->newer->older : &p->newest) = k->older;
}

static struct client *unlink_kept(struct kept *k)
{
    struct kept **at = &k->dest->kept;
    struct client *c = k->client;
    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    if (k->is_quitting)
        k->pool->n_quitting--;
    else
        leave_kept(k->pool, k);
    timer_stop(&k->idle);
    free(k);
    return c;
}

static void quit(struct kept *k)
{
    k->is_quitting = true;
    leave_kept(k->pool, k);
    k->pool->n_quitting++;
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
    append_kept(p, k);
    client_own(c, &kept_ops, k);
    timer_init(&k->idle, p->loop, idle_too_long, k);
    timer_set(&k->idle, POOL_IDLE_MS);
    if (client_mails(c) >= POOL_MAILS_MAX)
        quit(k);
    append_asking(p, d);
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

/* What came of a destination's first turn. */
enum grant { GRANTED, GRANT_NOT_HERE, GRANT_NO_ROOM };

/* The turn may end within this call, and the destination with it. */
static enum grant grant_one(struct pool *p, struct pool_dest *d)
{
    struct pool_turn *t = d->first;
    struct client *c = take_kept(d);
    if (c == NULL && d->n_held >= d->n_max)
        return GRANT_NOT_HERE;
    if (c == NULL && p->n_held >= POOL_CONNECTIONS_MAX)
        return GRANT_NO_ROOM;
    if (c == NULL) {
        d->n_held++;
        p->n_held++;
    }
    d->first = t->next;
    if (d->first == NULL)
        d->last = &d->first;
    t->is_waiting = false;
    p->n_waiting--;
    append_asking(p, d);
    t->granted(t, c);
    return GRANTED;
}

/* Destinations take turns, one at a time. Those that have their connections are asked again when
 * one of them is free (release, pool_give); for each that finds no room in all, the connection
 * that has been idle the longest makes some. */
static void grant_all(void *arg)
{
    struct pool *p = arg;
    struct pool_dest *no_room = NULL, **last = &no_room;
    size_t n_no_room = 0, n = p->n_waiting;
    while (p->asking != NULL) {
        struct pool_dest *d = take_asking(p);
        if (d->first == NULL) {
            free_unused(p, d);
            continue;
        }
        if (n-- == 0) { /* those who asked meanwhile: the loop has other work too */
            append_asking(p, d);
            schedule(p);
            break;
        }
        if (grant_one(p, d) != GRANT_NO_ROOM)
            continue;
        d->is_asking = true;
        *last = d;
        last = &d->next_asking;
        n_no_room++;
    }
    while (p->n_quitting < n_no_room && p->oldest != NULL)
        quit(p->oldest); /* whoever wanted a kept one has it now */
    *last = p->asking;
    if (p->asking == NULL && no_room != NULL)
        p->last_asking = last;
    p->asking = no_room;
}

void pool_quit_idle(struct pool *p)
{
    while (p->oldest != NULL)
        quit(p->oldest);
}

bool pool_is_empty(const struct pool *p)
{
    return p->n_held == 0;
}
