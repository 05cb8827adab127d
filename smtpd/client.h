/* A connection and its session, and what all of a worker share: for server.c and door.c only. */
#ifndef BARID_SMTPD_CLIENT_H
#define BARID_SMTPD_CLIENT_H

#include "common/conn.h"
#include "common/peers.h"
#include "common/proc.h"
#include "common/tls_service.h"
#include "smtpd/session.h"

struct server {
    struct proc *proc;
    struct peers *peers;
    struct tls_service *tls;
    struct client *first;
    bool was_full; /* some session waits for the queue to take more */
    int64_t tell_again_ms;
    int64_t untold; /* clients turned away since the last line about one */
};

struct client {
    struct client *next, **link; /* in server.first */
    struct server *server;
    struct conn *conn;
    struct session *session;
    struct netaddr peer;
    struct timer timer;
    int64_t timer_ms;  /* when it fires, if it is set */
    int64_t active_ms; /* monotonic, of its last command or content */
    bool is_implicit;  /* TLS from the first octet; the banner comes after the handshake */
    bool is_securing;  /* the handshake was begun */
    bool is_taking;    /* take_input is on the stack */
    bool wants_input;  /* what conn was told */
};

/* Takes it off the list, with its session and its connection. */
void client_free(struct client *c);

/* --- door.c --- */

/* True: he is counted (peers_leave). False: he was told why not, and fd is closed. */
bool door_lets_in(struct server *v, const struct listener *on, int fd, const struct netaddr *peer);

#endif
