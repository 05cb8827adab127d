#include "queue/contain.h"

#include "common/clock.h"
#include "common/log.h"
#include "queue/deliver.h"

#include <inttypes.h>

#define BUCKETS     1024
#define COUNTED_MAX 20000 /* users counted at a time; one more takes the place of another */
#define RATIO_LEAST 20    /* refused recipients, before their share says anything */
#define RATIO_MS    (3600 * 1000LL)
#define SWEEP_STEP  200 /* messages looked at in one turn */
#define AT_ONCE     500 /* recipients held in one step */
#define WHY_MAX     100

/* In a time that began with the first of them. */
struct count {
    int64_t until_ms;
    uint64_t n;
};

/* What one user sent lately. */
struct counted {
    struct counted *next; /* in its bucket */
    struct count messages, recipients, taken, refused;
    bool is_mostly_refused; /* to be contained in the queue's turn */
    struct span who;
    char octets[];
};

struct contains {
    struct counted *buckets[BUCKETS];
    size_t n;
    bool has_refused; /* one of them is_mostly_refused */
    bool is_sweeping; /* there may be a user whose mail in the queue is not held yet */
};

struct contains *contains_new(struct queue *q)
{
    (void)q;
    struct contains *c = calloc(1, sizeof *c);
    if (c != NULL)
        c->is_sweeping = true;
    return c;
}

void contains_free(struct queue *q)
{
    for (size_t i = 0; q->contains != NULL && i < BUCKETS; i++)
        while (q->contains->buckets[i] != NULL) {
            struct counted *u = q->contains->buckets[i];
            q->contains->buckets[i] = u->next;
            free(u);
        }
    free(q->contains);
    q->contains = NULL;
}

struct span contain_who(struct span login, struct span client)
{
    if (login.n > 0)
        return login;
    bool is_local = span_starts(client, SPAN("uid:")) && !span_eq(client, SPAN("uid:0"));
    return is_local ? client : SPAN("");
}

/* --- counting --- */

static bool is_over(const struct counted *u, int64_t now_ms)
{
    return u->messages.until_ms <= now_ms && u->recipients.until_ms <= now_ms &&
           u->taken.until_ms <= now_ms && u->refused.until_ms <= now_ms && !u->is_mostly_refused;
}

static void drop(struct contains *c, struct counted **at)
{
    struct counted *u = *at;
    *at = u->next;
    c->n--;
    free(u);
}

static struct counted **bucket_of(struct contains *c, struct span who)
{
    uint64_t h = 0xcbf29ce484222325U;
    for (size_t i = 0; i < who.n; i++)
        h = (h ^ (unsigned char)who.p[i]) * 0x100000001b3U;
    return &c->buckets[(h ^ h >> 32) % BUCKETS];
}

/* NULL: he is not counted, for lack of memory. */
static struct counted *find(struct contains *c, struct span who, int64_t now_ms)
{
    struct counted **bucket = bucket_of(c, who);
    for (struct counted **at = bucket; *at != NULL;) {
        if (span_eq((*at)->who, who))
            return *at;
        if (is_over(*at, now_ms))
            drop(c, at);
        else
            at = &(*at)->next;
    }
    if (c->n >= COUNTED_MAX && *bucket != NULL)
        drop(c, bucket);
    struct counted *u =
        c->n < COUNTED_MAX && who.n <= ADDRESS_MAX ? calloc(1, sizeof *u + who.n) : NULL;
    if (u == NULL)
        return NULL;
    memcpy(u->octets, who.p, who.n);
    u->who = (struct span){u->octets, who.n};
    u->next = *bucket;
    *bucket = u;
    c->n++;
    return u;
}

static uint64_t add(struct count *c, uint64_t n, int64_t now_ms, int64_t period_ms)
{
    if (c->until_ms <= now_ms)
        *c = (struct count){.until_ms = now_ms + period_ms};
    c->n += n;
    return c->n;
}

/* Counts n; over the limit, says so in `why`. */
static bool exceeds(struct count *c, uint64_t n, const struct rate *limit, const char *what,
                    char why[WHY_MAX])
{
    if (limit->is_off || add(c, n, clock_mono_ms(), limit->period_ms) <= limit->count)
        return false;
    snprintf(why, WHY_MAX, "more than %" PRIu32 " %s in %" PRId64 " s", limit->count, what,
             limit->period_ms / 1000);
    return true;
}

/* --- the mark --- */

/* Writes it as a request of its own. A fault of the store is that of all who write just now; the
 * next message tries again. */
static void begin(struct queue *q, struct span who, const char *why)
{
    struct batch *b = &q->batch;
    struct containment new = {.who = who, .since = clock_wall_s(), .why = span_of(why)};
    if (batch_begin(b) < 0)
        return;
    if (store_contained_add(q->store, &new) < 0) {
        batch_undo(b);
        return;
    }
    batch_keep(b, NULL);
    q->contains->is_sweeping = true;
    notices_kick(q);
}

bool contain_accept(struct queue *q, const struct message *m, size_t n_remotes)
{
    struct span who = contain_who(m->login, m->client);
    struct containment known;
    if (who.n == 0 || n_remotes == 0)
        return false;
    enum found f = store_contained_get(q->store, who, &known);
    store_contained_end(q->store);
    if (f != FOUND_NONE)
        return f == FOUND_YES; /* a fault of the store will show when the message is written */
    struct counted *u = find(q->contains, who, clock_mono_ms());
    const struct containment_config *limits = &q->config->containment;
    char why[WHY_MAX] = "";
    if (u == NULL)
        return false;
    bool is_too_much = exceeds(&u->messages, 1, &limits->messages_per_user, "messages", why);
    is_too_much |=
        exceeds(&u->recipients, n_remotes, &limits->recipients_per_user, "recipients", why);
    if (is_too_much)
        begin(q, who, why);
    return is_too_much;
}

void contain_results(struct queue *q, struct span who, size_t n_taken, size_t n_refused)
{
    uint64_t percent = q->config->containment.bounce_ratio;
    int64_t now_ms = clock_mono_ms();
    struct counted *u = who.n > 0 && percent != UINT64_MAX ? find(q->contains, who, now_ms) : NULL;
    if (u == NULL)
        return;
    uint64_t taken = add(&u->taken, n_taken, now_ms, RATIO_MS);
    uint64_t refused = add(&u->refused, n_refused, now_ms, RATIO_MS);
    if (n_refused == 0 || refused < RATIO_LEAST || refused * 100 <= percent * (taken + refused))
        return;
    u->is_mostly_refused = q->contains->has_refused = true;
}

/* --- in the queue's turn --- */

static void contain_refused(struct queue *q)
{
    struct contains *c = q->contains;
    char why[WHY_MAX];
    c->has_refused = false;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct counted *u = c->buckets[i]; u != NULL; u = u->next) {
            if (!u->is_mostly_refused)
                continue;
            u->is_mostly_refused = false;
            snprintf(why, sizeof why, "%" PRIu64 " of %" PRIu64 " recipients refused", u->refused.n,
                     u->refused.n + u->taken.n);
            begin(q, u->who, why);
        }
}

struct waiting {
    uint32_t numbers[AT_ONCE];
    size_t n;
};

/* Some of its recipients that wait. */
static enum found waiting_of(struct queue *q, uint64_t message, struct waiting *w)
{
    struct recipient r;
    enum found f = FOUND_NONE;
    w->n = 0;
    store_rcpts_begin(q->store, message);
    while (w->n < AT_ONCE &&
           ((f = store_rcpts_next(q->store, &r)) == FOUND_YES || f == FOUND_DAMAGED))
        if (f == FOUND_YES && r.state == RCPT_WAITING)
            w->numbers[w->n++] = r.number;
    store_rcpts_end(q->store);
    return f;
}

static int hold_one(struct queue *q, const struct message *m, uint32_t number)
{
    struct recipient r;
    if (store_rcpt_get(q->store, m->id, number, &r) != FOUND_YES)
        return -1;
    r.state = RCPT_HELD;
    r.next_attempt = m->expires;
    r.last_reply = SPAN(CONTAIN_REPLY);
    struct incident e = {.message = m->id,
                         .at = clock_wall_s(),
                         .what = "held",
                         .address = r.address,
                         .remote = SPAN(""),
                         .reply = r.last_reply};
    return store_event_add(q->store, &e) < 0 ? -1 : store_rcpt_set(q->store, &r);
}

/* 1: all of it is held that waited; 0: there is more of it; -1. */
static int hold(struct queue *q, const struct message *m)
{
    static struct waiting w;
    if (waiting_of(q, m->id, &w) == FOUND_FAULT)
        return -1;
    for (size_t i = 0; i < w.n; i++)
        if (hold_one(q, m, w.numbers[i]) < 0)
            return -1;
    if (w.n > 0)
        LOG(m->id, "held", LN("recipients", (int64_t)w.n),
            LZ("because", "its sender is contained"));
    return w.n < AT_ONCE;
}

/* Goes on from *at through all messages with recipients. 1: to the end. */
static int sweep_step(struct queue *q, struct span who, uint64_t *at)
{
    for (int i = 0; i < SWEEP_STEP; i++) {
        uint64_t id;
        struct message m;
        enum found f = store_queued_next(q->store, *at, SPAN(""), &id);
        if (f != FOUND_YES)
            return f == FOUND_FAULT ? -1 : 1;
        f = store_message_get(q->store, id, &m);
        int rc = f == FOUND_YES && span_eq(contain_who(m.login, m.client), who) ? hold(q, &m) : 1;
        store_message_end(q->store);
        if (rc < 0 || f == FOUND_FAULT)
            return -1;
        if (rc == 0)
            return 0;
        *at = id;
    }
    return 0;
}

/* True if there is more of it. */
static bool sweep(struct queue *q)
{
    char who[ADDRESS_MAX + 1];
    uint64_t at;
    if (store_contained_unswept(q->store, who, &at) != FOUND_YES || batch_begin(&q->batch) < 0)
        return false;
    int rc = sweep_step(q, span_of(who), &at);
    if (rc < 0 || store_contained_swept(q->store, span_of(who), rc == 1 ? INT64_MAX : at) < 0) {
        batch_undo(&q->batch); /* again at the next start, or when somebody else is contained */
        return false;
    }
    batch_keep(&q->batch, NULL);
    return true;
}

bool contain_run(struct queue *q)
{
    if (q->is_draining)
        return false;
    if (q->contains->is_sweeping)
        q->contains->is_sweeping = sweep(q);
    if (q->contains->has_refused)
        contain_refused(q);
    notices_run(q);
    return q->contains->is_sweeping;
}

/* --- commands --- */

static struct span argument(struct admin_call *call)
{
    if (call->n_args >= 1 && call->args[0].n > 0 && call->args[0].n <= ADDRESS_MAX)
        return call->args[0];
    admin_fail(call, VERDICT_NEVER, "which user? Name his address, or uid:NUMBER");
    return SPAN("");
}

void contain_show(void *queue, struct admin_call *call)
{
    static struct admin_row row;
    struct queue *q = queue;
    struct span who = argument(call);
    struct containment known;
    uint64_t held = 0;
    if (who.n == 0)
        return;
    enum found f = store_contained_get(q->store, who, &known);
    row_begin(&row);
    row_time(&row, "contained_since", f == FOUND_YES ? known.since : 0);
    if (f == FOUND_YES)
        row_text(&row, "contained_because", known.why);
    else
        row_null(&row, "contained_because");
    store_contained_end(q->store);
    if (f == FOUND_FAULT || store_held_of(q->store, who, &held) != FOUND_YES) {
        admin_fail(call, VERDICT_TRY_LATER, "the queue cannot be read: see the log");
        return;
    }
    row_number(&row, "held", (int64_t)held);
    row_send(&row, call, 0, "");
    admin_done(call, 0);
}

static void forget_counts(struct contains *c, struct span who)
{
    for (struct counted **at = bucket_of(c, who); *at != NULL; at = &(*at)->next)
        if (span_eq((*at)->who, who)) {
            drop(c, at);
            return;
        }
}

/* His counts begin anew, or else the next message would contain him again. */
void contain_end(void *queue, struct admin_call *call)
{
    static struct admin_row row;
    struct queue *q = queue;
    struct span who = argument(call);
    if (who.n == 0)
        return;
    enum found f = FOUND_FAULT;
    if (batch_begin(&q->batch) == 0) {
        f = store_contained_remove(q->store, who);
        if (f == FOUND_FAULT)
            batch_undo(&q->batch);
        else
            batch_keep(&q->batch, NULL);
        batch_commit(&q->batch);
    }
    if (f == FOUND_FAULT || q->batch.is_broken || store_fault(q->store) != STORE_FAULT_NONE) {
        admin_fail(call, VERDICT_TRY_LATER, "the store cannot be written: see the log");
        return;
    }
    forget_counts(q->contains, who);
    if (f == FOUND_YES)
        LOG(0, "user-released", LS("user", who), LZ("by", "administrator"));
    row_begin(&row);
    row_bool(&row, "was_contained", f == FOUND_YES);
    row_send(&row, call, 0, "");
    admin_done(call, 0);
}
