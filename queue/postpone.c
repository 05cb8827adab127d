#include "queue/postpone.h"

#include "common/clock.h"
#include "common/log.h"
#include "queue/bounce.h"
#include "queue/lifetime.h"
#include "queue/schedule.h"

#include <sodium.h>

struct postponing {
    struct queue *q;
    const struct message *message;
    int64_t now_s, until_s;
    struct span why;
    size_t n_put_off, n_expired;
};

/* What waited together does not come back together: over a quarter of the time. */
static int64_t spread(const struct postponing *p, int64_t expires)
{
    int64_t wait = p->until_s - p->now_s;
    int64_t at = p->until_s + 1 + (int64_t)(randombytes_random() % (uint32_t)(wait / 4 + 1));
    return at < expires ? at : expires;
}

static int put_off(struct postponing *p, struct recipient *r)
{
    int64_t expires = lifetime_of(p->q->config, p->q->store, p->message, r).expires;
    bool is_expired = p->now_s >= expires;
    if (r->state == RCPT_HELD && !is_expired) {
        r->next_attempt = expires; /* it was something else */
        return store_rcpt_set(p->q->store, r);
    }
    if (p->why.n > 0)
        r->last_reply = p->why;
    if (is_expired) {
        r->state = RCPT_FAILED;
        r->status = SPAN("4.4.7"); /* RFC 3463 3.5 */
        r->next_attempt = 0;
        p->n_expired++;
    } else {
        r->next_attempt = spread(p, expires);
        p->n_put_off++;
    }
    struct incident e = {.message = r->message,
                         .at = p->now_s,
                         .what = is_expired ? "expired" : "put-off",
                         .address = r->address,
                         .remote = SPAN(""),
                         .reply = r->last_reply};
    if (store_event_add(p->q->store, &e) < 0)
        return -1;
    return store_rcpt_set(p->q->store, r);
}

static int put_off_all(struct postponing *p, const struct agenda_job *what)
{
    for (size_t i = 0; i < what->n; i++) {
        struct recipient r;
        enum found f = store_rcpt_get(p->q->store, what->message, what->numbers[i], &r);
        if (f == FOUND_FAULT)
            return -1;
        if (f == FOUND_DAMAGED &&
            store_rcpt_set_state(p->q->store, what->message, what->numbers[i], RCPT_HELD, 0) < 0)
            return -1;
        bool is_pending = f == FOUND_YES && (r.state == RCPT_WAITING || r.state == RCPT_HELD);
        if (is_pending && put_off(p, &r) < 0)
            return -1;
    }
    return 0;
}

/* A message that cannot be read takes its recipients out of the way. */
static int set_aside(struct queue *q, const struct agenda_job *what)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < what->n; i++)
        rc = store_rcpt_set_state(q->store, what->message, what->numbers[i], RCPT_HELD, 0);
    return rc;
}

static void log_it(const struct postponing *p)
{
    if (p->n_put_off > 0)
        LOG(p->message->id, "put-off", LN("recipients", (int64_t)p->n_put_off),
            LN("seconds", p->until_s - p->now_s), LS("because", p->why));
    if (p->n_expired > 0)
        LOG(p->message->id, "expired", LN("recipients", (int64_t)p->n_expired),
            LS("because", p->why));
}

int postpone(struct queue *q, const struct agenda_job *what, int64_t until_ms, struct span why)
{
    struct message m;
    struct postponing p = {.q = q, .message = &m, .now_s = clock_wall_s(), .why = why};
    p.until_s = until_ms / 1000 > p.now_s ? until_ms / 1000 : p.now_s;
    if (batch_begin(&q->batch) < 0)
        return -1;
    enum found f = store_message_get(q->store, what->message, &m);
    int rc = f == FOUND_FAULT ? -1 : f == FOUND_YES ? put_off_all(&p, what) : set_aside(q, what);
    if (rc == 0 && f == FOUND_YES)
        log_it(&p);
    store_message_end(q->store);
    if (rc < 0) {
        batch_undo(&q->batch);
        return -1;
    }
    batch_keep(&q->batch, NULL);
    if (p.n_expired > 0)
        bounce_kick(q);
    if (p.n_put_off > 0)
        schedule_at(q, p.until_s + 1);
    return 0;
}
