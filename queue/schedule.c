#include "queue/schedule.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/route.h"
#include "queue/addressees.h"
#include "queue/callout.h"
#include "queue/counts.h"
#include "queue/dispatch.h"
#include "queue/parties.h"
#include "queue/postpone.h"
#include "queue/release.h"
#include "queue/secured.h"

#include <sodium.h>

#define STEP         500 /* rows looked at in one turn */
#define LOOK_AGAIN_S 60  /* at the latest */
#define REWIND_S                                                                                   \
    300 /* how often the search starts over: whatever was passed over is found then                \
         */
#define SOON_S        30
#define AT_ONCE_S     2
#define HELD_STEP     100 /* of held ones that expire, in one turn */
#define TRACE_SWEEP_S 60
#define CLOCK_SLACK_S 60 /* a clock that goes back by less delays nothing by much */
#define POSTPONE_S                                                                                 \
    60 /* and up to five times that: a lane has more waiting than memory is for it                 \
        */

struct schedule {
    struct queue *q;
    struct timer timer;
    bool is_wanted;
    int64_t planned_s;   /* what the timer is set for */
    bool waits_for_room; /* the agenda is full */
    struct due after;    /* everything due up to here is in the agenda, was tried, or did not fit */
    bool is_refilling;   /* a second search, for what did not fit */
    struct due refilled; /* how far it got */
    int64_t rewound_s;
    int64_t seen_s;  /* what the clock showed last */
    bool pulls_in;   /* the clock went back: what was put off by the time before waits too long */
    int64_t swept_s; /* when the trace was last swept */
};

int64_t schedule_next(const struct delivery_config *c, uint64_t attempts, int64_t now_s,
                      int64_t expires_s, uint32_t dice)
{
    size_t at = attempts > 0 ? (size_t)(attempts - 1) : 0;
    int64_t wait_ms = SOON_S * 1000;
    if (c->n_retry > 0)
        wait_ms = c->retry_ms[at < c->n_retry ? at : c->n_retry - 1];
    wait_ms += wait_ms / 10 * (int64_t)(dice % 1001) / 1000;
    int64_t wait_s = (wait_ms + 500) / 1000;
    int64_t next = now_s + (wait_s > 0 ? wait_s : 1);
    return next > expires_s && expires_s > now_s ? expires_s : next;
}

int64_t schedule_soon(int64_t now_s, bool first, uint32_t dice)
{
    int64_t most_s = first ? AT_ONCE_S : SOON_S;
    return now_s + most_s + dice % most_s;
}

static void fire(void *arg)
{
    struct schedule *s = arg;
    s->is_wanted = true;
}

struct schedule *schedule_new(struct queue *q)
{
    struct schedule *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->q = q;
    s->is_wanted = true;
    timer_init(&s->timer, q->loop, fire, s);
    return s;
}

void schedule_free(struct queue *q)
{
    if (q->schedule != NULL)
        timer_stop(&q->schedule->timer);
    free(q->schedule);
    q->schedule = NULL;
}

void schedule_look(struct queue *q)
{
    fire(q->schedule);
}

void schedule_at(struct queue *q, int64_t at_s)
{
    struct schedule *s = q->schedule;
    int64_t now_s = clock_wall_s(), wait_s = at_s - now_s + 1; /* a second counts when it is over */
    if (s->timer.is_set && s->planned_s <= at_s)
        return;
    wait_s = wait_s < 1 ? 1 : wait_s > LOOK_AGAIN_S ? LOOK_AGAIN_S : wait_s;
    s->planned_s = now_s + wait_s - 1;
    timer_set(&s->timer, wait_s * 1000);
}

void schedule_kick(struct queue *q)
{
    schedule_at(q, clock_wall_s());
}

void schedule_rewind(struct queue *q)
{
    q->schedule->after = (struct due){0};
    q->schedule->is_wanted = true;
}

void schedule_room(struct queue *q)
{
    struct schedule *s = q->schedule;
    if (!s->waits_for_room || dispatch_count(q) > AGENDA_MAX / 2)
        return; /* row by row it would cost a search for each */
    s->waits_for_room = false;
    s->is_wanted = true;
}

/* A row that we cannot have written: out of the way, for a person to look at. */
static void set_aside(struct queue *q, const struct due *d)
{
    LOG(d->message, "damaged-recipient", LN("number", d->number), LZ("state", "held"));
    if (batch_begin(&q->batch) < 0)
        return;
    if (store_rcpt_set_state(q->store, d->message, d->number, RCPT_HELD, 0) == 0)
        batch_keep(&q->batch, NULL);
    else
        batch_undo(&q->batch);
}

struct rows {
    struct due list[STEP];
    char domains[STEP][DOMAIN_MAX + 1];
    char senders[STEP][ADDRESS_MAX + 1];
    uint64_t flows[STEP];
    bool is_damaged[STEP];
    size_t n;
};

/* The rows are copied before anything is written: a search goes on over rows that do not move. */
static void read_rows(struct queue *q, const struct due *after, int64_t now_s, struct rows *r)
{
    enum found f;
    r->n = 0;
    store_due_begin(q->store, after, now_s, STEP);
    while (r->n < STEP &&
           ((f = store_due_next(q->store, &r->list[r->n])) == FOUND_YES || f == FOUND_DAMAGED)) {
        const struct due *d = &r->list[r->n];
        struct span sender = parties_sender(d->sender, d->forward_sender);
        r->is_damaged[r->n] = f == FOUND_DAMAGED ||
                              span_copy(r->domains[r->n], sizeof r->domains[r->n], d->domain) < 0 ||
                              span_copy(r->senders[r->n], sizeof r->senders[r->n], sender) < 0;
        r->flows[r->n] =
            dispatch_forward_flow(dispatch_flow(d->login, d->client, d->sender), d->forward_sender);
        r->n++;
    }
    store_due_end(q->store);
}

enum step { STEP_MORE, STEP_END, STEP_NO_ROOM };

static enum agenda_result add(struct queue *q, const struct rows *r, size_t i)
{
    struct dispatch_item item = {.message = r->list[i].message,
                                 .number = r->list[i].number,
                                 .domain = r->domains[i],
                                 .sender = span_of(r->senders[i]),
                                 .is_report = r->list[i].is_report,
                                 .flow = r->flows[i]};
    return dispatch_add(q, &item);
}

/* Brings some of what comes after *at into the agenda, and moves *at. What its lane has no room for
 * stays in the database: the lane gets hungry when it has some. */
static enum step load_step(struct queue *q, struct due *at, int64_t now_s)
{
    static struct rows rows;
    read_rows(q, at, now_s, &rows);
    for (size_t i = 0; i < rows.n; i++) {
        const struct due *d = &rows.list[i];
        if (rows.is_damaged[i])
            set_aside(q, d);
        else if (d->is_local)
            release_add(q, d->message, d->number);
        else if (add(q, &rows, i) == AGENDA_FULL)
            return STEP_NO_ROOM;
        *at = (struct due){.at = d->at, .message = d->message, .number = d->number};
    }
    return rows.n == STEP ? STEP_MORE : STEP_END;
}

static void rewind_if_time(struct schedule *s, int64_t now_s)
{
    bool clock_went_back = now_s < s->rewound_s || now_s < s->after.at;
    if (!clock_went_back && now_s - s->rewound_s < REWIND_S)
        return;
    s->after = (struct due){0};
    s->rewound_s = now_s;
}

static void watch_clock(struct schedule *s, int64_t now_s)
{
    if (s->seen_s - now_s > CLOCK_SLACK_S) {
        LOG(0, "clock-went-back", LN("seconds", s->seen_s - now_s));
        s->after = (struct due){0};
        s->rewound_s = now_s;
        s->pulls_in = s->is_wanted = true;
    }
    s->seen_s = now_s;
}

static void plan_next_look(struct queue *q, int64_t now_s)
{
    int64_t at;
    /* Not before this second: what is due earlier is in the agenda, or waits for room there. */
    timer_stop(&q->schedule->timer);
    bool is_known = store_due_when(q->store, now_s, &at) == FOUND_YES;
    schedule_at(q, is_known && at - now_s < LOOK_AGAIN_S ? at : now_s + LOOK_AGAIN_S);
}

/* True: there is more of it. */
static bool sweep_trace(struct queue *q, int64_t now_s)
{
    int64_t keep_ms = q->config->trace_ms;
    store_trace(q->store, keep_ms > 0);
    bool is_early = now_s - q->schedule->swept_s < TRACE_SWEEP_S && now_s >= q->schedule->swept_s;
    if (is_early || batch_begin(&q->batch) < 0)
        return false;
    int64_t before = store_changes(q->store);
    if (store_trace_sweep(q->store, now_s - keep_ms / 1000) < 0 || secured_sweep(q, now_s) < 0 ||
        counts_sweep(q, now_s) < 0 || addressees_sweep(q, now_s) < 0 ||
        callouts_sweep(q, now_s) < 0 ||
        store_dialogues_sweep(q->store, now_s - q->config->dialogues_ms / 1000,
                              q->config->dialogues_max) < 0)
        batch_undo(&q->batch);
    else
        batch_keep(&q->batch, NULL);
    bool has_more = store_changes(q->store) - before >= TRACE_STEP;
    if (!has_more)
        q->schedule->swept_s = now_s;
    return has_more;
}

/* Some of what waits for a time that comes much later than was meant. True if there is more. */
static bool pull_in(struct queue *q, int64_t now_s)
{
    if (!q->schedule->pulls_in || batch_begin(&q->batch) < 0)
        return false; /* again at the next look */
    int n = store_due_pull_in(q->store, now_s, STEP);
    if (n < 0) {
        batch_undo(&q->batch);
        return false;
    }
    batch_keep(&q->batch, NULL);
    q->schedule->pulls_in = n == STEP;
    return n == STEP;
}

/* Held mail is not kept for longer than other mail. */
static void expire_held(struct queue *q, int64_t now_s)
{
    struct agenda_job one = {.n = 1};
    for (int i = 0; i < HELD_STEP; i++) {
        if (store_held_too_long(q->store, now_s, &one.message, &one.numbers[0]) != FOUND_YES ||
            postpone(q, &one, 0, SPAN("")) < 0)
            return;
    }
}

/* The search goes on. True if there is more to do at once. */
static bool search(struct queue *q, int64_t now_s)
{
    struct schedule *s = q->schedule;
    rewind_if_time(s, now_s);
    expire_held(q, now_s);
    bool has_more = sweep_trace(q, now_s);
    has_more |= pull_in(q, now_s);
    enum step result = load_step(q, &s->after, now_s);
    s->waits_for_room = result == STEP_NO_ROOM;
    s->is_wanted = result == STEP_MORE || has_more;
    if (!s->is_wanted)
        plan_next_look(q, now_s);
    return s->is_wanted;
}

/* From the start, through what is due and did not fit, until all lanes have enough. Rows that are
 * done are gone from there, so the first to be met are mostly those wanted. */
static bool refill(struct queue *q, int64_t now_s)
{
    struct schedule *s = q->schedule;
    if (!s->is_refilling)
        s->refilled = (struct due){0};
    enum step result = load_step(q, &s->refilled, now_s);
    if (result == STEP_NO_ROOM) {
        s->after = s->refilled; /* the search goes on here when there is room */
        s->waits_for_room = true;
    }
    if (result != STEP_MORE)
        dispatch_sated(q);
    s->is_refilling = result == STEP_MORE && dispatch_is_hungry(q);
    return s->is_refilling;
}

bool schedule_run(struct queue *q)
{
    struct schedule *s = q->schedule;
    bool has_more = false;
    if (q->relay == NULL || q->is_draining)
        return false; /* nobody could try it; what is wanted stays wanted */
    int64_t now_s = clock_wall_s();
    watch_clock(s, now_s);
    has_more = dispatch_put_off(q);
    if (s->is_wanted)
        has_more |= search(q, now_s);
    if (s->is_refilling || dispatch_is_hungry(q))
        has_more |= refill(q, now_s);
    return has_more;
}
