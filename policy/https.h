/* One request to a web server that a stranger named: one of the addresses that the resolver tells,
 * TLS verified for its name, the answer read by http.h, within a minute in all. For fetch.h and
 * post.h; it knows neither. What the resolver says is checked again, for it sees the network: never
 * [relay] never_connect_to. An address that does not work, or whose server does not prove its name,
 * is followed by the next; of HTTP_SUCCESS only until the request was sent to one. */
#ifndef BARID_POLICY_HTTPS_H
#define BARID_POLICY_HTTPS_H

#include "common/proc.h"
#include "common/tls.h"
#include "policy/http.h"

struct https;

struct https_params {
    struct proc *proc;
    struct tls_client *tls; /* a use of it is taken */
    struct span host;       /* a name; copied */
    uint16_t port;
    struct span head, body; /* of the request, as they are sent; copied */
    enum http_wants wants;
    bool is_public; /* only where the public is (public.h), unless never_connect_to is none */
};

/* Why no answer came. */
struct https_fault {
    const char *why;    /* a constant */
    bool is_unverified; /* the server did not prove its name */
};

/* answer: NULL if none came, and `fault` says why. It is gone after the call, which happens once,
 * from the event loop, as is the request. */
typedef void https_done_fn(void *arg, const struct http *answer, const struct https_fault *fault);

struct https *https_begin(const struct https_params *params, https_done_fn *done,
                          void *arg); /* NULL: could not begin */
void https_cancel(struct https *s);   /* NULL is allowed; `done` is not called */

#endif
