/* Fetches one policy: https://mta-sts.DOMAIN/.well-known/mta-sts.txt (RFC 8461 3.3), from one of
 * the addresses that the resolver tells, verified for that name, within a minute in all. */
#ifndef BARID_POLICY_FETCH_H
#define BARID_POLICY_FETCH_H

#include "common/proc.h"
#include "common/sts.h"
#include "common/tls.h"
#include "common/tlsrpt.h"

struct fetch;

struct fetch_params {
    struct proc *proc;
    struct tls_client *tls;
    struct span domain;
};

/* Why there is none. */
struct fetch_fault {
    const char *why;           /* a constant */
    enum tlsrpt_result result; /* one of tlsrpt_is_policy_fault */
};

/* policy: NULL if there is none, and `fault` says why. Called once, from the event loop, after
 * which the fetch is gone. */
typedef void fetch_done_fn(void *arg, const struct sts_policy *policy,
                           const struct fetch_fault *fault);

struct fetch *fetch_begin(const struct fetch_params *params, fetch_done_fn *done,
                          void *arg); /* NULL: could not begin */
void fetch_cancel(struct fetch *f);   /* NULL is allowed; `done` is not called */

#endif
