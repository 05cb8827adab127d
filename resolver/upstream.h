/* libunbound on our event loop: no threads, no files, everything decided by the configuration. One
 * upstream per configuration; a reload makes a new one, and the old one goes when its last question
 * is answered. */
#ifndef BARID_RESOLVER_UPSTREAM_H
#define BARID_RESOLVER_UPSTREAM_H

#include "common/error.h"
#include "common/loop.h"
#include "common/net.h"
#include "common/str.h"

#include <unbound-event.h>

struct upstream;

struct upstream_params {
    const struct netaddr *servers; /* to forward to; none: ask from the root down */
    size_t n_servers;
    struct span anchor; /* text of the trust anchor file; empty: no DNSSEC */
};

/* NULL and e, if a part of it is refused. */
struct upstream *upstream_new(struct loop *l, const struct upstream_params *params,
                              struct error *e);
/* `fn` is called with `arg` exactly once if this returns 0 (perhaps before it returns), else never.
 */
int upstream_ask(struct upstream *u, const char *name, int type, ub_event_callback_type fn,
                 void *arg);
/* To be called once for each call of fn, from within it. */
void upstream_answered(struct upstream *u);
/* Nothing is under way. Free it then, but not from within a callback of it. */
bool upstream_is_idle(const struct upstream *u);
void upstream_free(struct upstream *u); /* NULL is allowed */

#endif
