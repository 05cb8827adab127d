#include "queue/schedule.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/route.h"
#include "queue/dispatch.h"

#include <sodium.h>

#define STEP         500 /* rows looked at in one turn */
#define LOOK_AGAIN_S 60  /* at the latest */
#define REWIND_S                                                                                   \
    300 /* how often the search starts over: whatever was passed over is found then                \
         */
#define SOON_S 30
#define POSTPONE_S                                                                                 \
    60 /* and up to five times that: a lane has more waiting than memory is for it                 \
        */

struct schedule {
    struct queue *q;
    struct timer timer;
    bool is_wanted;
    int64_t planned_s;   /* what the timer is set for */
    bool waits_for_room; /* the agenda is full */
    struct due after;    /* everything due up to here is in the agenda, or was tried */
    int64_t rewound_s;
};

int64_t schedule_next(const struct relay_config *c, uint64_t attempts, int64_t now_s,
                      int64_t expires_s, uint32_t dice)
{
    size_t at = attempts > 0 ? (size_t)(attempts - 1) : 0;
    int64_t wait_ms = SOON_S * 1000;
    if (c->n_retry > 0)
        wait_ms = c->retry_ms[at < c->n_retry ? at : c->n_retry - 1];
    wait_ms += wait_ms / 10 * ((int64_t)(dice % 2001) - 1000) / 1000;
    int64_t wait_s = (wait_ms + 500) / 1000;
    int64_t next = now_s + (wait_s > 0 ? wait_s : 1);
    return next > expires_s && expires_s > now_s ? expires_s : next;
}

int64_t schedule_soon(int64_t now_s, uint32_t dice)
{
    return now_s + SOON_S + dice % SOON_S;
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
    q->schedule->is_wanted |= q->schedule->waits_for_room;
    q->schedule->waits_for_room = false;
}

/* A lane that is full leaves the row in the database for a while. */
static void postpone(struct queue *q, const struct due *d, int64_t now_s)
{
    int64_t next = now_s + POSTPONE_S + randombytes_uniform(4 * POSTPONE_S);
    if (batch_begin(&q->batch) < 0)
        return;
    if (store_rcpt_set_state(q->store, d->message, d->number, RCPT_WAITING, next) == 0)
        batch_keep(&q->batch, NULL);
    else
        batch_undo(&q->batch);
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
    bool is_damaged[STEP];
    size_t n;
};

/* The rows are copied before anything is written: a search goes on over rows that do not move. */
static void read_rows(struct queue *q, int64_t now_s, struct rows *r)
{
    enum found f;
    r->n = 0;
    store_due_begin(q->store, &q->schedule->after, now_s, STEP);
    while (r->n < STEP &&
           ((f = store_due_next(q->store, &r->list[r->n])) == FOUND_YES || f == FOUND_DAMAGED)) {
        r->is_damaged[r->n] =
            f == FOUND_DAMAGED ||
            span_copy(r->domains[r->n], sizeof r->domains[r->n], r->list[r->n].domain) < 0;
        r->n++;
    }
    store_due_end(q->store);
}

/* False if the agenda is full. */
static bool load_row(struct queue *q, const struct due *d, const char *domain, int64_t now_s)
{
    switch (dispatch_add(q, d->message, d->number, domain)) {
    case AGENDA_FULL:
        q->schedule->waits_for_room = true;
        return false;
    case AGENDA_LANE_FULL:
        postpone(q, d, now_s);
        return true;
    default:
        return true;
    }
}

static void rewind_if_time(struct schedule *s, int64_t now_s)
{
    bool clock_went_back = now_s < s->rewound_s || now_s < s->after.at;
    if (!clock_went_back && now_s - s->rewound_s < REWIND_S)
        return;
    s->after = (struct due){0};
    s->rewound_s = now_s;
}

static void plan_next_look(struct queue *q, int64_t now_s)
{
    int64_t at;
    /* Not before this second: what is due earlier is in the agenda, or waits for room there. */
    timer_stop(&q->schedule->timer);
    bool is_known = store_due_when(q->store, now_s, &at) == FOUND_YES;
    schedule_at(q, is_known && at - now_s < LOOK_AGAIN_S ? at : now_s + LOOK_AGAIN_S);
}

bool schedule_run(struct queue *q)
{
    static struct rows rows;
    struct schedule *s = q->schedule;
    if (!s->is_wanted || q->is_draining)
        return false;
    s->is_wanted = false;
    int64_t now_s = clock_wall_s();
    rewind_if_time(s, now_s);
    read_rows(q, now_s, &rows);
    bool has_room = true;
    for (size_t i = 0; i < rows.n && has_room; i++) {
        struct due *d = &rows.list[i];
        if (rows.is_damaged[i])
            set_aside(q, d);
        else
            has_room = load_row(q, d, rows.domains[i], now_s);
        if (has_room)
            s->after = (struct due){.at = d->at, .message = d->message, .number = d->number};
    }
    s->is_wanted = has_room && rows.n == STEP;
    if (!s->is_wanted)
        plan_next_look(q, now_s);
    return s->is_wanted;
}
