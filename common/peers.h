/* Who is connected: how many connections each address has, and how fast new ones come. A network
 * server asks before it begins a session. Addresses count by netaddr_limit_key (IPv4, or the /64 of
 * IPv6).
 *
 * The limits are those of a service, not of a worker: the counts of all its workers lie side by
 * side in memory that they share. Each writes its own part and reads those of the others, so there
 * is no lock, and one that dies leaves nothing but its part, which the parent clears. Two that let
 * somebody in at the same moment may go one over a limit. A worker that was taken over can make
 * others turn clients away, or let more in, and nothing else.
 *
 * Memory is bounded: each worker knows PEERS_MAX addresses. When there is no place, the one that
 * has no connection and came least often is forgotten. */
#ifndef BARID_PEERS_H
#define BARID_PEERS_H

#include "common/config.h"

#define PEERS_MAX 32768

enum peers_answer {
    PEERS_WELCOME,  /* counted: peers_leave when it goes */
    PEERS_FULL,     /* too many in all */
    PEERS_TOO_MANY, /* too many of this address */
    PEERS_TOO_FAST, /* too many new ones of this address */
};

struct peers;

/* For the parent: the memory of a service with so many workers, of a size that nobody can change.
 * A descriptor, or -1 and errno. */
int peers_memory(unsigned workers);
void peers_memory_clear(int memory_fd, unsigned worker); /* it is dead */

/* For a worker. memory_fd: -1 if it is alone; not closed. NULL: without memory, or what it was
 * given is not that. */
struct peers *peers_new(int memory_fd, unsigned worker);
void peers_free(struct peers *p);
/* is_trusted: only the limit of all counts (loopback, [relay] allow_from). */
enum peers_answer peers_enter(struct peers *p, const struct netaddr *from,
                              const struct limits_config *limits, bool is_trusted);
void peers_leave(struct peers *p, const struct netaddr *from);
uint64_t peers_count(const struct peers *p); /* of all workers */

#endif
