#include "queue/counts.h"

#include "common/clock.h"

#define BUCKETS     1024
#define COUNTED_MAX 20000 /* users in memory at a time; one more takes the place of another */
#define COUNT_MOST  1000000000000U
#define LONGEST_S   INT32_MAX

struct count {
    int64_t until_ms; /* of the monotonic clock */
    int64_t until_s;  /* the same, of the wall clock; it does not change while it lasts */
    uint64_t n;
    bool is_unsaved;
};

struct counted {
    struct counted *next;         /* in its bucket */
    struct counted *next_unsaved; /* while is_unsaved */
    bool is_unsaved;
    struct count counts[COUNTS];
    struct span who;
    char octets[];
};

struct counts {
    struct batch_part part; /* first: the batch gives it back */
    struct queue *q;
    struct counted *buckets[BUCKETS];
    size_t n;
    struct counted *unsaved;
};

/* --- into the transaction --- */

static int save_one(struct store *s, const struct counted *u)
{
    for (unsigned what = 0; what < COUNTS; what++) {
        const struct count *c = &u->counts[what];
        struct counted_row row = {.who = u->who, .what = what, .n = c->n, .until = c->until_s};
        if (c->is_unsaved && store_counted_set(s, &row) < 0)
            return -1;
    }
    return 0;
}

static int save(struct batch_part *part)
{
    struct counts *all = (struct counts *)part;
    for (const struct counted *u = all->unsaved; u != NULL; u = u->next_unsaved)
        if (save_one(all->q->store, u) < 0)
            return -1;
    return 0;
}

static void saved(struct batch_part *part)
{
    struct counts *all = (struct counts *)part;
    while (all->unsaved != NULL) {
        struct counted *u = all->unsaved;
        all->unsaved = u->next_unsaved;
        u->is_unsaved = false;
        for (unsigned what = 0; what < COUNTS; what++)
            u->counts[what].is_unsaved = false;
    }
}

static void mark(struct counts *all, struct counted *u, struct count *c)
{
    c->is_unsaved = true;
    if (u->is_unsaved)
        return;
    u->is_unsaved = true;
    u->next_unsaved = all->unsaved;
    all->unsaved = u;
}

/* --- who is counted --- */

struct counts *counts_new(struct queue *q)
{
    struct counts *all = calloc(1, sizeof *all);
    if (all == NULL)
        return NULL;
    all->q = q;
    all->part.write = save;
    all->part.written = saved;
    batch_add_part(&q->batch, &all->part);
    return all;
}

void counts_free(struct queue *q)
{
    for (size_t i = 0; q->counts != NULL && i < BUCKETS; i++)
        while (q->counts->buckets[i] != NULL) {
            struct counted *u = q->counts->buckets[i];
            q->counts->buckets[i] = u->next;
            free(u);
        }
    if (q->counts != NULL)
        batch_remove_part(&q->batch, &q->counts->part);
    free(q->counts);
    q->counts = NULL;
}

static bool is_over(const struct counted *u, int64_t now_ms)
{
    for (unsigned what = 0; what < COUNTS; what++)
        if (u->counts[what].until_ms > now_ms)
            return false;
    return !u->is_unsaved;
}

static struct counted **bucket_of(struct counts *all, struct span who)
{
    uint64_t h = 0xcbf29ce484222325U;
    for (size_t i = 0; i < who.n; i++)
        h = (h ^ (unsigned char)who.p[i]) * 0x100000001b3U;
    return &all->buckets[(h ^ h >> 32) % BUCKETS];
}

static void drop(struct counts *all, struct counted **at)
{
    struct counted *u = *at;
    *at = u->next;
    all->n--;
    free(u);
}

/* Those whose time is over go, and one more if there are too many: it is in the table. */
static struct counted *look(struct counts *all, struct span who, struct counted **bucket)
{
    int64_t now_ms = clock_mono_ms();
    for (struct counted **at = bucket; *at != NULL;) {
        if (span_eq((*at)->who, who))
            return *at;
        if (is_over(*at, now_ms) || (all->n >= COUNTED_MAX && !(*at)->is_unsaved))
            drop(all, at);
        else
            at = &(*at)->next;
    }
    return NULL;
}

/* What an earlier process counted. 0, or -1. */
static int load(struct store *s, struct counted *u)
{
    int64_t now_s = clock_wall_s(), now_ms = clock_mono_ms();
    for (unsigned what = 0; what < COUNTS; what++) {
        struct counted_row row = {.who = u->who, .what = what};
        enum found f = store_counted_get(s, &row);
        if (f == FOUND_FAULT)
            return -1;
        if (f == FOUND_NONE || row.until <= now_s)
            continue;
        int64_t left_s = row.until - now_s < LONGEST_S ? row.until - now_s : LONGEST_S;
        u->counts[what] = (struct count){.until_ms = now_ms + left_s * 1000,
                                         .until_s = row.until,
                                         .n = row.n < COUNT_MOST ? row.n : COUNT_MOST};
    }
    return 0;
}

static struct counted *find(struct queue *q, struct span who)
{
    struct counts *all = q->counts;
    struct counted **bucket = bucket_of(all, who), *u = look(all, who, bucket);
    if (u != NULL || who.n == 0 || who.n > ADDRESS_MAX || all->n >= COUNTED_MAX)
        return u;
    u = calloc(1, sizeof *u + who.n);
    if (u == NULL)
        return NULL;
    memcpy(u->octets, who.p, who.n);
    u->who = (struct span){u->octets, who.n};
    if (load(q->store, u) < 0) {
        free(u);
        return NULL;
    }
    u->next = *bucket;
    *bucket = u;
    all->n++;
    return u;
}

/* --- counting --- */

uint64_t counts_add(struct queue *q, struct span who, enum count_of what, uint64_t n,
                    int64_t period_ms)
{
    struct counted *u = find(q, who);
    if (u == NULL)
        return 0;
    struct count *c = &u->counts[what];
    int64_t end_ms = clock_mono_ms() + period_ms;
    int64_t end_s = clock_wall_s() + (period_ms + 999) / 1000;
    if (c->until_ms <= clock_mono_ms())
        *c = (struct count){.until_ms = end_ms, .until_s = end_s, .is_unsaved = c->is_unsaved};
    if (c->until_ms > end_ms) {
        c->until_ms = end_ms;
        c->until_s = end_s;
    }
    c->n = n < COUNT_MOST - c->n ? c->n + n : COUNT_MOST;
    if (n > 0)
        mark(q->counts, u, c);
    return c->n;
}

/* What is not saved yet is in memory. */
void counts_take_back(struct queue *q, struct span who, enum count_of what, uint64_t n)
{
    struct counted *u = look(q->counts, who, bucket_of(q->counts, who));
    if (u == NULL || n == 0)
        return;
    struct count *c = &u->counts[what];
    c->n -= n < c->n ? n : c->n;
    mark(q->counts, u, c);
}

static void unmark(struct counts *all, struct counted *u)
{
    struct counted **at = &all->unsaved;
    while (*at != NULL && *at != u)
        at = &(*at)->next_unsaved;
    if (*at == u)
        *at = u->next_unsaved;
}

/* Memory has nothing of him then: if the rows come back, because this is not committed, so does he.
 */
int counts_forget(struct queue *q, struct span who)
{
    struct counted **bucket = bucket_of(q->counts, who), *u = look(q->counts, who, bucket);
    struct counted **at = bucket;
    while (u != NULL && *at != u)
        at = &(*at)->next;
    if (u != NULL) {
        unmark(q->counts, u);
        drop(q->counts, at);
    }
    return store_counted_forget(q->store, who);
}

int counts_sweep(struct queue *q, int64_t now_s)
{
    return store_counted_sweep(q->store, now_s);
}
