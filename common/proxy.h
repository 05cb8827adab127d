/* The PROXY protocol, versions 1 and 2 (haproxy's proxy-protocol.txt): what a load balancer writes
 * in front of a connection to say whose it is. Only from addresses that [listen …] proxy_from
 * names, and then always; before anything else, TLS included. */
#ifndef BARID_PROXY_H
#define BARID_PROXY_H

#include "common/loop.h"
#include "common/net.h"

#define PROXY_MAX 536 /* octets of a header that are read */

enum proxy_result {
    PROXY_DONE, /* *used octets were the header */
    PROXY_MORE, /* so far it can become one; all of `in` belongs to it */
    PROXY_BAD,
};

/* *peer is set if the header names an IPv4 or IPv6 client; else (UNKNOWN, LOCAL) it stays. */
enum proxy_result proxy_parse(struct span in, struct netaddr *peer, size_t *used);

/* Takes over fd (non-blocking) and calls `done` with it when the header was read; it may come
 * before the return. A peer that sends something else, or is slow, is closed and logged; so is one
 * too many. */
typedef void proxy_done_fn(void *arg, int fd, const struct netaddr *peer);
void proxy_wait(struct loop *loop, int fd, const struct netaddr *from, proxy_done_fn *done,
                void *arg);

#endif
