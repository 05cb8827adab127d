/* Who is connected: how many connections each address has, and how fast new ones come. A network
 * server asks before it begins a session. Addresses count by netaddr_limit_key (IPv4, or the /64 of
 * IPv6). Memory is bounded: an address is forgotten when it has no connection and its period is
 * over, and at most PEERS_MAX are known at a time. Counts are per process. */
#ifndef BARID_PEERS_H
#define BARID_PEERS_H

#include "common/config.h"

#define PEERS_MAX 65536

enum peers_answer {
    PEERS_WELCOME,  /* counted: peers_leave when it goes */
    PEERS_FULL,     /* too many in all */
    PEERS_TOO_MANY, /* too many of this address */
    PEERS_TOO_FAST, /* too many new ones of this address */
};

struct peers;

/* One of so many workers of a service: the limit of all connections is the service's, and each
 * worker has its share. NULL without memory. */
struct peers *peers_new(uint64_t workers);
void peers_free(struct peers *p);
/* is_trusted: only the limit of all counts (loopback, [relay] allow_from). */
enum peers_answer peers_enter(struct peers *p, const struct netaddr *from,
                              const struct limits_config *limits, bool is_trusted);
void peers_leave(struct peers *p, const struct netaddr *from);
size_t peers_count(const struct peers *p);

#endif
