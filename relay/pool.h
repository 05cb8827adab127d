/* Who may hold a connection to which destination, and connections kept for the next mail. A job
 * asks for a turn; when it is granted one it gets a kept connection or leave to make its own; when
 * it is done it gives the connection back. Bounds: connections per destination, connections in all,
 * idle time, mails per connection.
 *
 * A destination is a key (route_key): jobs with the same key go to the same servers. */
#ifndef BARID_RELAY_POOL_H
#define BARID_RELAY_POOL_H

#include "relay/client.h"

#include "common/route.h"

#define POOL_CONNECTIONS_MAX 500
#define POOL_MAILS_MAX       100 /* over one connection */
#define POOL_IDLE_MS         5000
#define POOL_KEY_MAX         (ROUTE_KEY_MAX + 48) /* with what job.c adds */
#define POOL_BUCKETS         256

struct pool_dest;
struct kept;

/* Embedded in the job, zeroed before pool_ask. */
struct pool_turn {
    struct pool_dest *dest; /* NULL: neither waiting nor granted */
    struct pool_turn *next;
    bool is_waiting;
    /* kept: a ready client (take it with client_own), or NULL: make one. */
    void (*granted)(struct pool_turn *t, struct client *kept);
};

struct pool {
    struct loop *loop;
    size_t n_held; /* connections, and turns that may make one */
    size_t n_waiting, n_quitting;
    struct timer soon;
    struct pool_dest *asking, **last_asking;
    struct kept *oldest, *newest;
    struct pool_dest *buckets[POOL_BUCKETS];
};

void pool_init(struct pool *p, struct loop *l);
/* `granted` follows from the loop; at most `n_max` connections are held for this key. -1 without
 * memory. */
int pool_ask(struct pool *p, struct span key, uint64_t n_max, struct pool_turn *t);
/* Ends a granted turn. c: a ready client to be kept for others, or NULL. */
void pool_give(struct pool *p, struct pool_turn *t, struct client *c);
/* Gives up a turn that is still waited for. */
void pool_withdraw(struct pool *p, struct pool_turn *t);
/* Says QUIT on all kept connections. */
void pool_quit_idle(struct pool *p);
bool pool_is_empty(const struct pool *p);

#endif
