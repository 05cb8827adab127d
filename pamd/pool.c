#include "pamd/pool.h"

#include "common/clock.h"

#include <signal.h>
#include <sodium.h>
#include <stdlib.h>

#define FORK_AGAIN_MS 50

struct job {
    struct job *next;
    uint64_t tag;
    int64_t until_ms;
    struct check_ask ask;
};

struct place {
    struct worker worker;
    uint64_t tag;
    int64_t until_ms;
    bool is_answered; /* its time was over, or nobody waits: the worker still has to end */
};

struct pool {
    struct loop *loop;
    struct pool_spec spec;
    struct event *ended;
    struct timer due; /* the next end of somebody's time, or the next try to fork */
    size_t n_places;
    int64_t timeout_ms;
    struct place places[POOL_PLACES];
    struct job *first, **last;
    size_t n_jobs;
};

static const struct worker_answer too_late = {PAM_REASON_BUSY, "no answer in time"};

static void wipe(struct job *j)
{
    sodium_memzero(&j->ask, sizeof j->ask);
}

/* In a worker: the questions of others, and what was answered of its own. */
static void forget_others(void *arg, const struct check_ask *but)
{
    struct pool *p = arg;
    for (struct job *j = p->first; j != NULL; j = j->next)
        if (&j->ask != but)
            wipe(j);
}

static struct place *free_place(struct pool *p)
{
    for (size_t i = 0; i < p->n_places; i++)
        if (p->places[i].worker.pid == 0)
            return &p->places[i];
    return NULL;
}

static void drop_first(struct pool *p)
{
    struct job *j = p->first;
    p->first = j->next;
    if (p->first == NULL)
        p->last = &p->first;
    p->n_jobs--;
    wipe(j);
    free(j);
}

/* False: no process can be made now. */
static bool begin(struct pool *p, struct place *at)
{
    const struct job *j = p->first;
    int64_t left_ms = j->until_ms - clock_mono_ms();
    if (worker_start(&at->worker, p->spec.check, &j->ask, left_ms > 1 ? left_ms : 1, forget_others,
                     p) < 0)
        return false;
    at->tag = j->tag;
    at->until_ms = j->until_ms;
    at->is_answered = false;
    drop_first(p);
    return true;
}

static void expire(struct pool *p, int64_t now)
{
    for (size_t i = 0; i < POOL_PLACES; i++) {
        struct place *at = &p->places[i];
        if (at->worker.pid == 0 || at->is_answered || at->until_ms > now)
            continue;
        at->is_answered = true; /* the kernel ends the worker about now */
        p->spec.answered(p->spec.arg, at->tag, &too_late);
    }
    while (p->first != NULL && p->first->until_ms <= now) {
        uint64_t tag = p->first->tag;
        drop_first(p);
        p->spec.answered(p->spec.arg, tag, &too_late);
    }
}

static void set_due(struct pool *p, bool is_short)
{
    int64_t now = clock_mono_ms(), next = INT64_MAX;
    for (size_t i = 0; i < POOL_PLACES; i++) {
        const struct place *at = &p->places[i];
        if (at->worker.pid != 0 && !at->is_answered && at->until_ms < next)
            next = at->until_ms;
    }
    if (p->first != NULL && p->first->until_ms < next)
        next = p->first->until_ms;
    if (is_short && now + FORK_AGAIN_MS < next)
        next = now + FORK_AGAIN_MS;
    if (next == INT64_MAX)
        timer_stop(&p->due);
    else
        timer_set(&p->due, next > now ? next - now : 0);
}

static void go_on(void *pool)
{
    struct pool *p = pool;
    struct place *at;
    bool is_short = false;
    expire(p, clock_mono_ms());
    while (p->first != NULL && !is_short && (at = free_place(p)) != NULL)
        is_short = !begin(p, at);
    set_due(p, is_short);
}

static void some_ended(evutil_socket_t fd, short what, void *pool)
{
    (void)fd, (void)what;
    struct pool *p = pool;
    struct worker_answer a;
    for (size_t i = 0; i < POOL_PLACES; i++) {
        struct place *at = &p->places[i];
        if (at->worker.pid == 0 || !worker_ended(&at->worker, &a))
            continue;
        bool is_late = a.reason == PAM_REASON_BUSY && at->until_ms <= clock_mono_ms();
        if (!at->is_answered) /* our timer may come after the kernel's */
            p->spec.answered(p->spec.arg, at->tag, is_late ? &too_late : &a);
    }
    go_on(p);
}

struct pool *pool_new(struct loop *l, const struct pool_spec *spec)
{
    struct pool *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->loop = l;
    p->spec = *spec;
    p->last = &p->first;
    pool_configure(p, 1, 1000);
    timer_init(&p->due, l, go_on, p);
    p->ended = evsignal_new(loop_base(l), SIGCHLD, some_ended, p);
    if (p->ended != NULL && evsignal_add(p->ended, NULL) == 0)
        return p;
    if (p->ended != NULL)
        event_free(p->ended);
    free(p);
    return NULL;
}

void pool_free(struct pool *p)
{
    if (p == NULL)
        return;
    timer_stop(&p->due);
    event_free(p->ended);
    while (p->first != NULL)
        drop_first(p);
    for (size_t i = 0; i < POOL_PLACES; i++)
        if (p->places[i].worker.pid != 0)
            close(p->places[i].worker.fd);
    free(p);
}

void pool_configure(struct pool *p, uint64_t places, int64_t timeout_ms)
{
    p->n_places = places < 1 ? 1 : places > POOL_PLACES ? POOL_PLACES : (size_t)places;
    p->timeout_ms = timeout_ms;
}

/* gcc's analyzer does not see that the list holds it. */
#if defined __GNUC__ && !defined __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

int pool_ask(struct pool *p, uint64_t tag, const struct check_ask *ask)
{
    struct job *j = p->n_jobs < POOL_WAITING_MAX ? malloc(sizeof *j) : NULL;
    if (j == NULL)
        return -1;
    j->next = NULL; /* field by field: a copy on the stack would be left to all later workers */
    j->tag = tag;
    j->until_ms = clock_mono_ms() + p->timeout_ms;
    memcpy(&j->ask, ask, sizeof j->ask);
    *p->last = j;
    p->last = &j->next;
    p->n_jobs++;
    timer_set(&p->due, 0);
    return 0;
}

void pool_abandon(struct pool *p)
{
    while (p->first != NULL)
        drop_first(p);
    for (size_t i = 0; i < POOL_PLACES; i++)
        p->places[i].is_answered = true;
}
