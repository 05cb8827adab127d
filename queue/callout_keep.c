#include "queue/callout_state.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/stats.h"
#include "queue/listed.h"

#include <stdlib.h>

#define KEPT_MAX  10000  /* addresses in memory */
#define ROWS_MAX  100000 /* in the table */
#define TRIM_ROWS 1000   /* more than is needed: it is not done for each row */
#define SAVE_MOST 200    /* rows in one transaction; so many do not wait for another one */
#define RETRY_MS  60000  /* after a row could not be written */
#define SLACK_S   60     /* a clock may have been put back by that */

/* --- whose word it is --- */

static void hash_text(crypto_generichash_state *h, const char *text)
{
    if (text == NULL)
        text = "";
    crypto_generichash_update(h, (const unsigned char *)text, strlen(text) + 1);
}

int64_t callout_host(const struct queue *q, struct span address)
{
    const struct route_config *r = route_backup(q->config, address);
    unsigned char sum[crypto_generichash_BYTES_MIN];
    crypto_generichash_state h;
    uint64_t host;
    if (r == NULL)
        return 0;
    crypto_generichash_init(&h, NULL, 0, sizeof sum);
    hash_text(&h, r->domain);
    for (size_t i = 0; i < r->n_to; i++) {
        char how[40];
        snprintf(how, sizeof how, "%d %u", (int)r->to[i].kind, (unsigned)r->to[i].port);
        hash_text(&h, how);
        hash_text(&h, r->to[i].host);
    }
    crypto_generichash_final(&h, sum, sizeof sum);
    memcpy(&host, sum, sizeof host);
    return (int64_t)(host >> 1 | 1);
}

/* --- in memory --- */

static uint64_t hash_of(const struct callouts *all, const char *key)
{
    unsigned char out[crypto_shorthash_BYTES];
    uint64_t h;
    crypto_shorthash(out, (const unsigned char *)key, strlen(key), all->key);
    memcpy(&h, out, sizeof h);
    return h;
}

static struct callout *find(const struct callouts *all, const char *key)
{
    uint64_t h = hash_of(all, key);
    struct callout *c = all->buckets[h % CALLOUT_BUCKETS];
    while (c != NULL && (c->hash != h || strcmp(c->address, key) != 0))
        c = c->next;
    return c;
}

static void link_newest(struct callouts *all, struct callout *c)
{
    c->newer = NULL;
    c->older = all->newest;
    *(c->older != NULL ? &c->older->newer : &all->oldest) = c;
    all->newest = c;
}

static void unlink_age(struct callouts *all, struct callout *c)
{
    *(c->older != NULL ? &c->older->newer : &all->oldest) = c->newer;
    *(c->newer != NULL ? &c->newer->older : &all->newest) = c->older;
}

static void unmark(struct callouts *all, struct callout *c)
{
    if (!c->is_unsaved)
        return;
    *c->at_unsaved = c->next_unsaved;
    *(c->next_unsaved != NULL ? &c->next_unsaved->at_unsaved : &all->last_unsaved) = c->at_unsaved;
    c->is_unsaved = false;
    all->n_unsaved--;
}

/* Who exists comes first: that is what counts when the host is gone. */
static void mark(struct callouts *all, struct callout *c)
{
    unmark(all, c);
    c->at_unsaved = c->known_ms > c->nobody_ms ? &all->unsaved : all->last_unsaved;
    c->next_unsaved = *c->at_unsaved;
    *c->at_unsaved = c;
    *(c->next_unsaved != NULL ? &c->next_unsaved->at_unsaved : &all->last_unsaved) =
        &c->next_unsaved;
    c->is_unsaved = true;
    all->n_unsaved++;
}

static void drop(struct callouts *all, struct callout *c)
{
    struct callout **at = &all->buckets[c->hash % CALLOUT_BUCKETS];
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    unlink_age(all, c);
    unmark(all, c);
    all->n--;
    timer_stop(&c->patience);
    while (c->waiting != NULL) {
        struct callout_waiting *w = c->waiting;
        c->waiting = w->next;
        free(w);
    }
    free(c);
}

/* As if its host had said nothing yet. */
static void make_void(struct callout *c)
{
    c->known_ms = c->nobody_ms = c->failed_ms = CALLOUT_NEVER_MS;
    unmark(c->q->callouts, c);
}

/* The one nobody asked about for longest makes room, but none that is being asked about. */
static void make_room(struct callouts *all)
{
    struct callout *c = all->oldest;
    while (c != NULL && c->tag != 0)
        c = c->newer;
    if (all->n >= KEPT_MAX && c != NULL)
        drop(all, c);
}

struct callout *callout_add(struct queue *q, const char *key)
{
    struct callouts *all = q->callouts;
    make_room(all);
    struct callout *c = calloc(1, sizeof *c + strlen(key) + 1);
    if (c == NULL)
        return NULL;
    memcpy(c->address, key, strlen(key) + 1);
    c->q = q;
    make_void(c);
    c->host = callout_host(q, span_of(key));
    c->hash = hash_of(all, key);
    struct callout **bucket = &all->buckets[c->hash % CALLOUT_BUCKETS];
    c->next = *bucket;
    *bucket = c;
    link_newest(all, c);
    all->n++;
    timer_init(&c->patience, q->loop, callout_answer_waiting, c);
    return c;
}

void callout_touch(struct callout *c)
{
    unlink_age(c->q->callouts, c);
    link_newest(c->q->callouts, c);
}

/* --- out of the table --- */

/* What has ended, or was learned at a time that is still to come, is not used. */
static bool row_counts(const struct callout_row *row, int64_t now_s)
{
    return row->expires > now_s && row->learned <= now_s + SLACK_S;
}

struct callout *callout_find(struct queue *q, const char *key)
{
    struct callout *c = find(q->callouts, key);
    struct callout_row row = {.address = span_of(key)};
    int64_t now_s = clock_wall_s(), host = callout_host(q, row.address);
    if (c != NULL && c->host != host) { /* the configuration names another one now */
        make_void(c);
        c->host = c->tag == 0 ? host : c->host;
    }
    if (c != NULL || q->callouts->n_rows == 0)
        return c;
    enum found f = store_callout_get(q->store, &row);
    if (f == FOUND_DAMAGED)
        LOG(0, "damaged-callout", LZ("then", "it is asked again"));
    bool counts = f == FOUND_YES && row_counts(&row, now_s) && row.host == host;
    c = counts ? callout_add(q, key) : NULL;
    if (c == NULL)
        return NULL;
    int64_t age_s = row.learned < now_s ? now_s - row.learned : 0;
    int64_t at_ms = clock_mono_ms() - age_s * 1000;
    *(row.exists ? &c->known_ms : &c->nobody_ms) = at_ms;
    c->learned_s = row.learned;
    return c;
}

/* --- into the table --- */

/* By its domain, which has a host of its own where a route is for many. */
static uint64_t failing_of(const struct callout *c)
{
    const char *at = strrchr(c->address, '@');
    return hash_of(c->q->callouts, at != NULL ? at : c->address);
}

bool callout_is_failing(const struct callout *c)
{
    const struct callouts *all = c->q->callouts;
    uint64_t domain = failing_of(c);
    for (size_t i = 0; i < CALLOUT_FAILING; i++)
        if (all->failing[i].domain == domain)
            return clock_mono_ms() < all->failing[i].until_ms;
    return false;
}

/* In the place it has, else in that of the one that failed first. until_ms: 0 if it works. */
static void set_failing(const struct callout *c, int64_t until_ms)
{
    struct callouts *all = c->q->callouts;
    struct callout_failing *at = &all->failing[0];
    uint64_t domain = failing_of(c);
    for (size_t i = 0; i < CALLOUT_FAILING && at->domain != domain; i++)
        if (all->failing[i].domain == domain || all->failing[i].until_ms < at->until_ms)
            at = &all->failing[i];
    if (until_ms > 0 || at->domain == domain)
        *at = (struct callout_failing){.domain = domain, .until_ms = until_ms};
}

void callout_learn(struct callout *c, enum verdict v)
{
    int64_t now_ms = clock_mono_ms();
    if (v != VERDICT_OK && v != VERDICT_NEVER) {
        c->failed_ms = now_ms;
        set_failing(c, now_ms + CALLOUT_FAILED_MS);
        return;
    }
    set_failing(c, 0);
    c->known_ms = v == VERDICT_OK ? now_ms : CALLOUT_NEVER_MS;
    c->nobody_ms = v == VERDICT_NEVER ? now_ms : CALLOUT_NEVER_MS;
    c->learned_s = clock_wall_s();
    mark(c->q->callouts, c);
}

/* As long as it can be of use. */
static int64_t lifetime_s(const struct callout *c)
{
    const struct route_config *r = route_backup(c->q->config, span_of(c->address));
    if (r == NULL || r->callout != SWITCH_ON)
        return 0;
    bool exists = c->known_ms > c->nobody_ms;
    return (exists ? CALLOUT_STALE_FACTOR * r->callout_positive_ms : r->callout_negative_ms) / 1000;
}

static int save_one(struct store *s, const struct callout *c)
{
    struct callout_row row = {.address = span_of(c->address),
                              .exists = c->known_ms > c->nobody_ms,
                              .learned = c->learned_s,
                              .expires = c->learned_s + lifetime_s(c),
                              .host = c->host};
    return row.expires > row.learned ? store_callout_set(s, &row) : 0;
}

/* Those make room that do not exist, then those of the host that has most of them: random names at
 * a host that takes all of them do not push out what another one said. */
static int trim(struct callouts *all, struct store *s)
{
    uint64_t n;
    if (all->n_rows + all->n_saving <= ROWS_MAX)
        return 0;
    enum found f = store_callouts_count(s, &n); /* some may have been there before */
    if (f != FOUND_YES)
        return f == FOUND_FAULT ? -1 : 0;
    all->n_rows = n > all->n_saving ? n - all->n_saving : 0;
    if (n <= ROWS_MAX)
        return 0;
    int64_t gone = store_callouts_trim(s, n - ROWS_MAX + TRIM_ROWS);
    all->n_gone = gone > 0 ? (uint64_t)gone : 0;
    return gone < 0 ? -1 : 0;
}

static int save(struct batch_part *part)
{
    struct callouts *all = (struct callouts *)part;
    struct store *s = all->q->store;
    size_t most = all->is_flushing ? KEPT_MAX : SAVE_MOST;
    int rc = 0;
    all->n_saving = all->n_gone = 0;
    if (all->unsaved == NULL || clock_mono_ms() < all->retry_ms)
        return 0;
    for (const struct callout *c = all->unsaved; c != NULL && rc == 0 && all->n_saving < most;
         c = c->next_unsaved) {
        rc = save_one(s, c);
        all->n_saving += rc == 0;
    }
    if (rc == 0)
        rc = trim(all, s);
    if (rc == 0)
        return 0;
    all->retry_ms = clock_mono_ms() + RETRY_MS; /* mail does not wait for it a second time */
    if (!store_is_open(s) || store_fault(s) != STORE_FAULT_OTHER)
        return -1;
    store_clear_fault(s);
    return 0;
}

static void saved(struct batch_part *part)
{
    struct callouts *all = (struct callouts *)part;
    for (; all->n_saving > 0 && all->unsaved != NULL; all->n_saving--) {
        unmark(all, all->unsaved);
        all->n_rows++; /* or it was there before: it is counted when that matters */
    }
    all->n_rows -= all->n_gone < all->n_rows ? all->n_gone : all->n_rows;
    all->n_saving = all->n_gone = 0;
}

/* Perhaps for want of room, which mail needs more: what it asks for is not to be lost with ours a
 * second time, nor is the same to be tried at each turn. */
static void lost(struct batch_part *part)
{
    struct callouts *all = (struct callouts *)part;
    all->n_saving = all->n_gone = 0;
    all->retry_ms = clock_mono_ms() + RETRY_MS;
}

int callouts_flush(struct queue *q)
{
    struct callouts *all = q->callouts;
    if (all->unsaved == NULL)
        return 0;
    all->is_flushing = true;
    all->retry_ms = CALLOUT_NEVER_MS;
    if (batch_begin(&q->batch) == 0)
        batch_finish(&q->batch);
    all->is_flushing = false;
    return all->unsaved == NULL ? 0 : -1;
}

void callouts_run(struct queue *q)
{
    struct callouts *all = q->callouts;
    if (q->is_draining && !all->was_flushed) {
        all->was_flushed = true;
        callouts_flush(q); /* with a full disk it is lost, and asked again */
    }
    bool is_due = all->n_unsaved >= SAVE_MOST || (q->is_draining && all->n_unsaved > 0);
    if (is_due && clock_mono_ms() >= all->retry_ms && batch_begin(&q->batch) == 0)
        batch_keep(&q->batch, NULL); /* the turn commits it */
}

/* --- the end of what is kept --- */

static void show_rows(struct callouts *all)
{
    stats_gauge(STAT_CALLOUTS_KEPT, (int64_t)all->n_rows - (int64_t)all->n_shown);
    all->n_shown = all->n_rows;
}

static bool is_over(const struct callout *c, int64_t now_ms)
{
    bool exists = c->known_ms > c->nobody_ms;
    int64_t at_ms = exists ? c->known_ms : c->nobody_ms;
    return c->tag == 0 && now_ms - at_ms >= lifetime_s(c) * 1000 &&
           now_ms - c->failed_ms >= CALLOUT_FAILED_MS;
}

int callouts_sweep(struct queue *q, int64_t now_s)
{
    struct callouts *all = q->callouts;
    int64_t now_ms = clock_mono_ms();
    uint64_t n;
    for (struct callout *c = all->oldest, *newer; c != NULL; c = newer) {
        newer = c->newer;
        if (is_over(c, now_ms))
            drop(all, c);
    }
    if (store_callouts_sweep(q->store, now_s) < 0 ||
        store_callouts_count(q->store, &n) != FOUND_YES)
        return -1;
    all->n_rows = n;
    show_rows(all);
    return 0;
}

void callouts_forget(struct queue *q, struct span what)
{
    struct callouts *all = q->callouts;
    for (struct callout *c = all->oldest, *newer; c != NULL; c = newer) {
        struct span address = span_of(c->address);
        newer = c->newer;
        bool is_meant =
            span_eq(address, what) || (span_starts(what, SPAN("@")) && address.n > what.n &&
                                       span_eq(span_from(address, address.n - what.n), what));
        if (!is_meant)
            continue;
        make_void(c);
        if (c->tag == 0)
            drop(all, c);
    }
}

struct callouts *callouts_new(struct queue *q)
{
    struct callouts *all = calloc(1, sizeof *all);
    if (all == NULL)
        return NULL;
    crypto_shorthash_keygen(all->key);
    all->q = q;
    all->last_unsaved = &all->unsaved;
    all->retry_ms = CALLOUT_NEVER_MS;
    all->part.write = save;
    all->part.written = saved;
    all->part.lost = lost;
    batch_add_part(&q->batch, &all->part);
    if (store_callouts_count(q->store, &all->n_rows) != FOUND_YES)
        all->n_rows = 0; /* then they are not looked at before the first sweep */
    show_rows(all);
    return all;
}

void callouts_free(struct queue *q)
{
    struct callouts *all = q->callouts;
    if (all == NULL)
        return;
    callouts_drop_lists(q);
    while (all->oldest != NULL) {
        if (all->oldest->tag != 0)
            ipc_cancel(q->relay, all->oldest->tag);
        drop(all, all->oldest);
    }
    all->n_rows = 0;
    show_rows(all);
    batch_remove_part(&q->batch, &all->part);
    free(all);
    q->callouts = NULL;
}
