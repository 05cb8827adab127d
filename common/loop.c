#include "common/loop.h"

#include <stddef.h>

#define PAY_MS 20

struct loop {
    struct event_base *base;
    struct owed *owed;  /* the first */
    struct event again; /* to look at them */
    bool is_stopping;
};

static void woke(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

struct loop *loop_new(void)
{
    struct loop *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->base = event_base_new();
    if (l->base == NULL) {
        free(l);
        return NULL;
    }
    evtimer_assign(&l->again, l->base, woke, NULL);
    return l;
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    event_base_free(l->base);
    free(l);
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

/* --- what is owed --- */

static void owe(struct loop *l, struct owed *o)
{
    if (o->link != NULL)
        return;
    o->next = l->owed;
    o->link = &l->owed;
    if (o->next != NULL)
        o->next->link = &o->next;
    l->owed = o;
}

static void forgive(struct owed *o)
{
    if (o->link == NULL)
        return;
    *o->link = o->next;
    if (o->next != NULL)
        o->next->link = o->link;
    o->link = NULL;
}

/* How the next turn may wait: not at all if something is owed and nothing would wake it. */
static int pay(struct loop *l)
{
    struct owed *o = l->owed;
    l->owed = NULL;
    while (o != NULL) { /* what cannot be paid yet is owed again */
        struct owed *next = o->next;
        o->link = NULL;
        o->pay(o);
        o = next;
    }
    if (l->owed == NULL)
        return EVLOOP_ONCE;
    struct timeval soon = {.tv_usec = PAY_MS * 1000};
    return evtimer_add(&l->again, &soon) == 0 ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK;
}

/* --- turns --- */

void loop_turn(struct loop *l, int64_t max_ms)
{
    struct event limit;
    if (max_ms >= 0) {
        struct timeval tv = {max_ms / 1000, (max_ms % 1000) * 1000};
        evtimer_assign(&limit, l->base, woke, NULL);
        if (evtimer_add(&limit, &tv) < 0)
            max_ms = 0;
    }
    event_base_loop(l->base, pay(l) | (max_ms == 0 ? EVLOOP_NONBLOCK : 0));
    if (max_ms >= 0)
        evtimer_del(&limit);
}

void loop_run(struct loop *l, void (*after)(void *arg), void *arg)
{
    while (!l->is_stopping) {
        if (event_base_loop(l->base, pay(l)) != 0 && l->owed == NULL)
            break; /* nothing left to wait for */
        if (after != NULL)
            after(arg);
    }
}

void loop_stop(struct loop *l)
{
    l->is_stopping = true;
    event_base_loopbreak(l->base);
}

static void fire_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct timer *t = arg;
    t->is_set = false;
    t->fire(t->arg);
}

static void pay_timer(struct owed *o)
{
    struct timer *t = (struct timer *)((char *)o - offsetof(struct timer, owed));
    timer_set(t, t->in_ms);
}

void timer_init(struct timer *t, struct loop *l, void (*fire)(void *arg), void *arg)
{
    *t = (struct timer){.loop = l, .fire = fire, .arg = arg, .owed.pay = pay_timer};
    evtimer_assign(&t->ev, l->base, fire_timer, t);
}

void timer_set(struct timer *t, int64_t in_ms)
{
    struct timeval tv = {in_ms / 1000, (in_ms % 1000) * 1000};
    t->in_ms = in_ms;
    t->is_set = true;
    forgive(&t->owed);
    if (evtimer_add(&t->ev, &tv) < 0)
        owe(t->loop, &t->owed);
}

void timer_stop(struct timer *t)
{
    if (t->is_set)
        evtimer_del(&t->ev);
    forgive(&t->owed);
    t->is_set = false;
}

static void watched(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct watch *w = arg;
    w->ready(w->arg, (what & EV_READ) != 0, (what & EV_WRITE) != 0);
}

static void pay_watch(struct owed *o)
{
    struct watch *w = (struct watch *)((char *)o - offsetof(struct watch, owed));
    if ((w->wants_in && event_add(&w->in, NULL) < 0) ||
        (w->wants_out && event_add(&w->out, NULL) < 0))
        owe(w->loop, o);
}

void watch_init(struct watch *w, struct loop *l, int fd,
                void (*ready)(void *arg, bool readable, bool writable), void *arg)
{
    *w = (struct watch){.ready = ready, .arg = arg, .loop = l, .owed.pay = pay_watch};
    event_assign(&w->in, l->base, fd, EV_READ | EV_PERSIST, watched, w);
    event_assign(&w->out, l->base, fd, EV_WRITE | EV_PERSIST, watched, w);
}

static void want(struct watch *w, struct event *ev, bool *now, bool wanted)
{
    if (*now == wanted)
        return;
    *now = wanted;
    if (!wanted)
        event_del(ev);
    else if (event_add(ev, NULL) < 0)
        owe(w->loop, &w->owed);
}

void watch_set(struct watch *w, bool wants_in, bool wants_out)
{
    want(w, &w->in, &w->wants_in, wants_in);
    want(w, &w->out, &w->wants_out, wants_out);
}

void watch_stop(struct watch *w)
{
    watch_set(w, false, false);
    forgive(&w->owed);
}
