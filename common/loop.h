/* The event loop of a process: libevent's core behind timers, watched descriptors and one hook that
 * runs after each turn (group commit, log flush). One loop per process, one thread. */
#ifndef BARID_LOOP_H
#define BARID_LOOP_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;

struct loop *loop_new(void); /* NULL without memory */
void loop_free(struct loop *l);
struct event_base *loop_base(struct loop *l);
/* Runs turns until loop_stop. `after` (or NULL) is called after every turn. */
void loop_run(struct loop *l, void (*after)(void *arg), void *arg);
/* One turn: waits at most max_ms (-1: until something happens). For tests and loop_run. */
void loop_turn(struct loop *l, int64_t max_ms);
void loop_stop(struct loop *l);

/* What libevent had no memory to wait for: it is asked again until it has. Embedded. */
struct owed {
    struct owed *next, **link; /* link NULL: nothing is owed */
    void (*pay)(struct owed *o);
};

/* A timer that fires once per timer_set. May be embedded; stop it before its memory goes. */
struct timer {
    struct event ev;
    struct loop *loop;
    void (*fire)(void *arg);
    void *arg;
    int64_t in_ms;
    struct owed owed;
    bool is_set;
};
void timer_init(struct timer *t, struct loop *l, void (*fire)(void *arg), void *arg);
void timer_set(struct timer *t, int64_t in_ms); /* sets it anew if it was set */
void timer_stop(struct timer *t);

/* A descriptor watched for reading and writing. Neither this nor a timer can fail: without memory
 * it begins a moment later. */
struct watch {
    struct event in, out;
    void (*ready)(void *arg, bool readable, bool writable);
    void *arg;
    struct loop *loop;
    struct owed owed;
    bool wants_in, wants_out;
};
void watch_init(struct watch *w, struct loop *l, int fd,
                void (*ready)(void *arg, bool readable, bool writable), void *arg);
void watch_set(struct watch *w, bool wants_in, bool wants_out);
void watch_stop(struct watch *w);

#endif
