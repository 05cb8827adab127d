#include "queue/tidy.h"

#include "common/log.h"

#define LOOK_MS       10000
#define STEP_MS       20 /* from one step to the next */
#define AGAIN_MS      60000
#define STATISTICS_MS (24 * 3600 * 1000)
#define FIRST_MS      (3600 * 1000) /* after the start, when there is something to know */

struct tidy {
    struct waiter waiter; /* first: the commit gives it back */
    struct timer look, step, statistics;
    bool is_working; /* space is being given back */
    bool is_due;     /* a step */
    bool is_last;    /* the step that waits for its commit */
    bool wants_end, wants_statistics;
    uint64_t n_steps;
};

static void settled(struct waiter *w, enum outcome o)
{
    struct tidy *t = (struct tidy *)w;
    if (o != OUTCOME_SAVED) { /* giving back takes room on disk, too */
        t->is_working = false;
        timer_set(&t->look, AGAIN_MS);
    } else if (t->is_last) {
        t->is_working = false;
        t->wants_end = true;
        timer_set(&t->step, 0);
    } else {
        timer_set(&t->step, STEP_MS);
    }
}

static void due(void *arg)
{
    ((struct tidy *)arg)->is_due = true;
}

static void look(void *arg)
{
    struct queue *q = arg;
    tidy_look(q);
}

void tidy_look(struct queue *q)
{
    struct tidy *t = q->tidy;
    timer_set(&t->look, LOOK_MS);
    if (t->is_working || !store_has_room(q->store))
        return;
    t->is_working = true;
    t->n_steps = 0;
    timer_set(&t->step, 0);
}

static void want_statistics(void *arg)
{
    struct tidy *t = arg;
    t->wants_statistics = true;
    timer_set(&t->statistics, STATISTICS_MS);
}

struct tidy *tidy_new(struct queue *q)
{
    struct tidy *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->waiter.settled = settled;
    timer_init(&t->look, q->loop, look, q);
    timer_init(&t->step, q->loop, due, t);
    timer_init(&t->statistics, q->loop, want_statistics, t);
    timer_set(&t->look, LOOK_MS);
    timer_set(&t->statistics, FIRST_MS);
    return t;
}

void tidy_free(struct queue *q)
{
    if (q->tidy == NULL)
        return;
    timer_stop(&q->tidy->look);
    timer_stop(&q->tidy->step);
    timer_stop(&q->tidy->statistics);
    free(q->tidy);
    q->tidy = NULL;
}

static void give_back(struct queue *q)
{
    struct tidy *t = q->tidy;
    if (batch_begin(&q->batch) < 0) {
        settled(&t->waiter, OUTCOME_FAULT);
        return;
    }
    int rc = store_give_back(q->store);
    if (rc < 0) {
        settled(&t->waiter, batch_undo(&q->batch) == OUTCOME_FULL ? OUTCOME_FULL : OUTCOME_FAULT);
        return;
    }
    t->n_steps++;
    t->is_last = rc == 0;
    batch_keep(&q->batch, &t->waiter);
}

void tidy_run(struct queue *q)
{
    struct tidy *t = q->tidy;
    if (q->is_draining || q->backup != NULL || batch_is_open(&q->batch)) {
        if (t->is_due || t->wants_end) /* not now, but soon */
            timer_set(&t->step, STEP_MS);
        return;
    }
    if (t->wants_end) {
        t->wants_end = false;
        store_given_back(q->store);
        LOG(0, "space-given-back", LN("steps", (int64_t)t->n_steps));
    } else if (t->is_working && t->is_due) {
        t->is_due = false;
        give_back(q);
    } else if (t->wants_statistics) {
        t->wants_statistics = false;
        store_statistics(q->store);
    }
}
