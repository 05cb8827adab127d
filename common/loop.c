#include "common/loop.h"

struct loop {
    struct event_base *base;
    bool is_stopping;
};

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

static void woke(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

void loop_turn(struct loop *l, int64_t max_ms)
{
    struct event limit;
    if (max_ms >= 0) {
        struct timeval tv = {max_ms / 1000, (max_ms % 1000) * 1000};
        evtimer_assign(&limit, l->base, woke, NULL);
        evtimer_add(&limit, &tv);
    }
    event_base_loop(l->base, EVLOOP_ONCE);
    if (max_ms >= 0)
        evtimer_del(&limit);
}

void loop_run(struct loop *l, void (*after)(void *arg), void *arg)
{
    while (!l->is_stopping) {
        if (event_base_loop(l->base, EVLOOP_ONCE) != 0)
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

void timer_init(struct timer *t, struct loop *l, void (*fire)(void *arg), void *arg)
{
    *t = (struct timer){.loop = l, .fire = fire, .arg = arg};
    evtimer_assign(&t->ev, l->base, fire_timer, t);
}

void timer_set(struct timer *t, int64_t in_ms)
{
    struct timeval tv = {in_ms / 1000, (in_ms % 1000) * 1000};
    evtimer_add(&t->ev, &tv);
    t->is_set = true;
}

void timer_stop(struct timer *t)
{
    if (t->is_set)
        evtimer_del(&t->ev);
    t->is_set = false;
}

static void watched(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct watch *w = arg;
    w->ready(w->arg, (what & EV_READ) != 0, (what & EV_WRITE) != 0);
}

void watch_init(struct watch *w, struct loop *l, int fd,
                void (*ready)(void *arg, bool readable, bool writable), void *arg)
{
    *w = (struct watch){.ready = ready, .arg = arg};
    event_assign(&w->in, l->base, fd, EV_READ | EV_PERSIST, watched, w);
    event_assign(&w->out, l->base, fd, EV_WRITE | EV_PERSIST, watched, w);
}

static void want(struct event *ev, bool *now, bool wanted)
{
    if (*now == wanted)
        return;
    *now = wanted;
    if (wanted)
        event_add(ev, NULL);
    else
        event_del(ev);
}

void watch_set(struct watch *w, bool wants_in, bool wants_out)
{
    want(&w->in, &w->wants_in, wants_in);
    want(&w->out, &w->wants_out, wants_out);
}

void watch_stop(struct watch *w)
{
    watch_set(w, false, false);
}
