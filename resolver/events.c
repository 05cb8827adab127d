#include "resolver/events.h"

/* libunbound's bits have libevent's values. */
_Static_assert(UB_EV_TIMEOUT == EV_TIMEOUT && UB_EV_READ == EV_READ && UB_EV_WRITE == EV_WRITE &&
                   UB_EV_SIGNAL == EV_SIGNAL && UB_EV_PERSIST == EV_PERSIST,
               "the bits of events");

struct one {
    struct ub_event head; /* first */
    struct event ev;
};

typedef void callback_fn(int fd, short bits, void *arg);

static struct one *one_of(struct ub_event *u)
{
    return (struct one *)(void *)u;
}

static struct event_base *base_of(struct ub_event_base *u)
{
    return ((struct events *)(void *)u)->base;
}

/* It is not waited for: libunbound says so of all three, and of a timer. */
static void assign(struct ub_event *u, int fd, short bits)
{
    struct event *ev = &one_of(u)->ev;
    event_assign(ev, event_get_base(ev), fd, bits, event_get_callback(ev),
                 event_get_callback_arg(ev));
}

static void add_bits(struct ub_event *u, short bits)
{
    const struct event *ev = &one_of(u)->ev;
    assign(u, event_get_fd(ev), (short)(event_get_events(ev) | bits));
}

static void del_bits(struct ub_event *u, short bits)
{
    const struct event *ev = &one_of(u)->ev;
    assign(u, event_get_fd(ev), (short)(event_get_events(ev) & ~bits));
}

static void set_fd(struct ub_event *u, int fd)
{
    assign(u, fd, event_get_events(&one_of(u)->ev));
}

static void free_event(struct ub_event *u)
{
    event_del(&one_of(u)->ev);
    free(one_of(u));
}

static int add(struct ub_event *u, struct timeval *timeout)
{
    return event_add(&one_of(u)->ev, timeout);
}

static int del(struct ub_event *u)
{
    return event_del(&one_of(u)->ev);
}

static int add_timer(struct ub_event *u, struct ub_event_base *base, callback_fn *fn, void *arg,
                     struct timeval *in)
{
    evtimer_assign(&one_of(u)->ev, base_of(base), fn, arg);
    return evtimer_add(&one_of(u)->ev, in);
}

/* --- what it has no reason to call --- */

static void keep(struct ub_event_base *base)
{
    (void)base;
}

static int refuse_to_run(struct ub_event_base *base)
{
    (void)base;
    return -1;
}

static int refuse_to_stop(struct ub_event_base *base, struct timeval *in)
{
    (void)base, (void)in;
    return -1;
}

static struct ub_event *refuse_signal(struct ub_event_base *base, int fd, callback_fn *fn,
                                      void *arg)
{
    (void)base, (void)fd, (void)fn, (void)arg;
    return NULL;
}

static struct ub_event *refuse_windows(struct ub_event_base *base, void *what, callback_fn *fn,
                                       void *arg)
{
    (void)base, (void)what, (void)fn, (void)arg;
    return NULL;
}

static void ignore(struct ub_event *u)
{
    (void)u;
}

static void ignore_bits(struct ub_event *u, int bits)
{
    (void)u, (void)bits;
}

/* --- tables, which libunbound does not take as constants --- */

static struct ub_event_vmt of_event = {.add_bits = add_bits,
                                       .del_bits = del_bits,
                                       .set_fd = set_fd,
                                       .free = free_event,
                                       .add = add,
                                       .del = del,
                                       .add_timer = add_timer,
                                       .del_timer = del,
                                       .add_signal = add,
                                       .del_signal = del,
                                       .winsock_unregister_wsaevent = ignore,
                                       .winsock_tcp_wouldblock = ignore_bits};

static struct ub_event *new_event(struct ub_event_base *base, int fd, short bits, callback_fn *fn,
                                  void *arg)
{
    struct one *o = calloc(1, sizeof *o);
    if (o == NULL)
        return NULL;
    o->head = (struct ub_event){UB_EVENT_MAGIC, &of_event};
    if (event_assign(&o->ev, base_of(base), fd, bits, fn, arg) == 0)
        return &o->head;
    free(o);
    return NULL;
}

static struct ub_event_base_vmt of_base = {.free = keep,
                                           .dispatch = refuse_to_run,
                                           .loopexit = refuse_to_stop,
                                           .new_event = new_event,
                                           .new_signal = refuse_signal,
                                           .winsock_register_wsaevent = refuse_windows};

void events_init(struct events *e, struct loop *l)
{
    *e = (struct events){{UB_EVENT_MAGIC, &of_base}, loop_base(l)};
}
