#include "queue/contain.h"

#include "common/clock.h"
#include "common/log.h"
#include "queue/addressees.h"
#include "queue/counts.h"
#include "queue/deliver.h"
#include "queue/lifetime.h"

#include <inttypes.h>

#define RATIO_LEAST 20 /* refused recipients, before their share says anything */
#define RATIO_MS    (3600 * 1000LL)
#define SWEEP_STEP  200 /* messages looked at in one turn */
#define AT_ONCE     500 /* recipients held in one step */
#define WHY_MAX     100
#define LIST_PAGE   1000

/* One that a user may pass. */
struct limit {
    const struct rate *rate;
    enum count_of what;
    uint64_t n; /* of the message */
    const char *name;
};

struct contains {
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

/* --- the mark --- */

/* As a part of the request under way. 0, or -1: the store failed. */
static int contain(struct queue *q, struct span who, const char *why)
{
    struct containment new = {.who = who, .since = clock_wall_s(), .why = span_of(why)};
    if (store_contained_add(q->store, &new) < 0)
        return -1;
    q->contains->is_sweeping = true;
    notices_kick(q);
    return 0;
}

/* As a request of its own. A fault of the store is that of all who write just now; the next message
 * tries again. */
static void begin(struct queue *q, struct span who, const char *why)
{
    struct batch *b = &q->batch;
    if (batch_begin(b) < 0)
        return;
    if (contain(q, who, why) < 0)
        batch_undo(b);
    else
        batch_keep(b, NULL);
}

/* --- counting --- */

/* Counts it; over the limit, says so in `why`. */
static bool exceeds(struct queue *q, struct span who, const struct limit *limit, char why[WHY_MAX])
{
    const struct rate *rate = limit->rate;
    if (limit->n == 0 || rate->is_off ||
        counts_add(q, who, limit->what, limit->n, rate->period_ms) <= rate->count)
        return false;
    snprintf(why, WHY_MAX, "more than %" PRIu32 " %s in %" PRId64 " s", rate->count, limit->name,
             rate->period_ms / 1000);
    return true;
}

bool contain_accept(struct queue *q, const struct message *m, struct targets *t, struct charge *c)
{
    const struct containment_config *limits = &q->config->containment;
    struct span who = contain_who(m->login, m->client);
    struct containment known;
    if (who.n == 0 || c->recipients == 0)
        return false;
    enum found f = store_contained_get(q->store, who, &known);
    store_contained_end(q->store);
    if (f != FOUND_NONE)
        return f == FOUND_YES; /* a fault of the store will show when the message is written */
    const struct rate *new = &limits->new_recipients_per_user;
    c->messages = 1;
    c->n_new = new->is_off ? 0 : addressees_look(q, who, t);
    struct limit all[] = {
        {&limits->messages_per_user, COUNT_MESSAGES, c->messages, "messages"},
        {&limits->recipients_per_user, COUNT_RECIPIENTS, c->recipients, "recipients"},
        {new, COUNT_NEW, c->n_new, "new recipients"},
    };
    char why[WHY_MAX] = "";
    bool is_too_much = false;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        is_too_much |= exceeds(q, who, &all[i], why);
    if (is_too_much)
        begin(q, who, why);
    return is_too_much;
}

void contain_refund(struct queue *q, const struct message *m, const struct charge *c)
{
    struct span who = contain_who(m->login, m->client);
    if (who.n == 0 || c->messages == 0)
        return;
    counts_take_back(q, who, COUNT_MESSAGES, c->messages);
    counts_take_back(q, who, COUNT_RECIPIENTS, c->recipients);
    counts_take_back(q, who, COUNT_NEW, c->n_new);
}

int contain_remember(struct queue *q, const struct message *m, const struct targets *t)
{
    return addressees_note(q, contain_who(m->login, m->client), t);
}

bool contain_holds(const struct recipient *r)
{
    return r->state == RCPT_HELD && r->is_contained;
}

int contain_trust(struct queue *q, struct span who, struct span address)
{
    bool is_kept = who.n > 0 && !q->config->containment.new_recipients_per_user.is_off;
    return is_kept ? addressees_note_one(q, who, address) : 0;
}

int contain_forget(struct queue *q, struct span who)
{
    bool is_done = store_contained_remove(q->store, who) != FOUND_FAULT &&
                   counts_forget(q, who) == 0 && addressees_forget(q, who) == 0;
    return is_done ? 0 : -1;
}

int contain_results(struct queue *q, struct span who, uint64_t n_taken, uint64_t n_refused,
                    bool is_counted)
{
    uint64_t percent = q->config->containment.bounce_ratio;
    char why[WHY_MAX];
    if (who.n == 0 || percent == UINT64_MAX)
        return 0;
    uint64_t taken = counts_add(q, who, COUNT_TAKEN, is_counted ? 0 : n_taken, RATIO_MS);
    uint64_t refused = counts_add(q, who, COUNT_REFUSED, is_counted ? 0 : n_refused, RATIO_MS);
    if (n_refused == 0 || refused < RATIO_LEAST || refused * 100 <= percent * (taken + refused))
        return 0;
    snprintf(why, sizeof why, "%" PRIu64 " of %" PRIu64 " recipients refused", refused,
             refused + taken);
    return contain(q, who, why);
}

/* --- in the queue's turn --- */

struct waiting {
    uint32_t numbers[AT_ONCE];
    size_t n;
};

/* Some of its recipients that wait; not those with a mailbox here, which wait for a time they were
 * given. */
static enum found waiting_of(struct queue *q, uint64_t message, struct waiting *w)
{
    struct recipient r;
    enum found f = FOUND_NONE;
    w->n = 0;
    store_rcpts_begin(q->store, message);
    while (w->n < AT_ONCE &&
           ((f = store_rcpts_next(q->store, &r)) == FOUND_YES || f == FOUND_DAMAGED))
        if (f == FOUND_YES && r.state == RCPT_WAITING && r.outcome != DONE_DELIVERED)
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
    r.next_attempt = lifetime_of(q->config, q->store, m, &r).expires;
    r.last_reply = SPAN(CONTAIN_REPLY);
    r.is_contained = true;
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
    notices_run(q);
    return q->contains->is_sweeping;
}

/* --- commands --- */

void contain_list(void *queue, struct admin_call *call)
{
    static struct admin_row row;
    struct queue *q = queue;
    struct containment known;
    uint64_t held, n = 0;
    enum found f;
    store_contained_list(q->store, call->cursor, LIST_PAGE);
    while ((f = store_contained_next(q->store, &known, &held)) == FOUND_YES) {
        row_begin(&row);
        row_text(&row, "address", known.who);
        row_time(&row, "contained_since", known.since);
        row_text(&row, "contained_because", known.why);
        row_number(&row, "held", (int64_t)held);
        row_send(&row, call, 0, "");
        n++;
    }
    if (f == FOUND_FAULT)
        admin_fail(call, VERDICT_TRY_LATER, "the queue cannot be read: see the log");
    else
        admin_done(call, n == LIST_PAGE ? call->cursor + n : 0);
}

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
        if (f != FOUND_FAULT && counts_forget(q, who) < 0)
            f = FOUND_FAULT;
        if (f == FOUND_FAULT)
            batch_undo(&q->batch);
        else if (batch_finish(&q->batch) != OUTCOME_SAVED)
            f = FOUND_FAULT;
    }
    if (f == FOUND_FAULT) {
        admin_fail(call, VERDICT_TRY_LATER, "the store cannot be written: see the log");
        return;
    }
    if (f == FOUND_YES)
        LOG(0, "user-released", LS("user", who), LZ("by", "administrator"));
    row_begin(&row);
    row_bool(&row, "was_contained", f == FOUND_YES);
    row_send(&row, call, 0, "");
    admin_done(call, 0);
}
