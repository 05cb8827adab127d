/* libunbound's events on our loop. It brings its own for libevent, but frees the whole loop when it
 * has no memory to begin with its first question (1.17, libworker_setup). Here the loop stays ours:
 * that question fails, and the next one begins anew. */
#ifndef BARID_RESOLVER_EVENTS_H
#define BARID_RESOLVER_EVENTS_H

#include "common/loop.h"

#include <sys/time.h>
#include <unbound-event.h>

/* For ub_ctx_create_ub_event; stays where it is for the life of the context. */
struct events {
    struct ub_event_base head; /* first: libunbound knows nothing else of it */
    struct event_base *base;
};

void events_init(struct events *e, struct loop *l);

#endif
