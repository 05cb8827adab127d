/* A buffered stream connection with limits: what smtpd, pop3d and relay talk through. It knows
 * octets, time and TLS, no protocol. Input waits in a bounded buffer until the owner consumes it;
 * while the buffer is full nothing is read, so a peer can never make us hold more. Output waits in
 * a bounded buffer too.
 *
 * Callbacks run from the event loop only, never from inside a call made by the owner. In any
 * callback the owner may call conn_free. */
#ifndef BARID_CONN_H
#define BARID_CONN_H

#include "common/loop.h"
#include "common/net.h"
#include "common/str.h"
#include "common/tls.h"

struct conn;

enum conn_end {
    CONN_EOF,     /* the peer closed its sending side */
    CONN_ERROR,   /* reset, or a connect that failed: conn_errno says why */
    CONN_TIMEOUT, /* the deadline passed */
    CONN_FLUSHED, /* after conn_finish: all was sent and the connection is shut */
    CONN_TLS,     /* the handshake failed, or the session broke: conn_tls_why */
};

struct conn_ops {
    void (*input)(void *owner);     /* there is input that was not there before */
    void (*drained)(void *owner);   /* unsent output fell to nothing; may be NULL */
    void (*connected)(void *owner); /* conn_connect succeeded; may be NULL for servers */
    void (*secured)(void *owner);   /* the TLS handshake is done; NULL where there is none */
    void (*ended)(void *owner, enum conn_end why); /* nothing more comes; the owner frees it */
};

/* Takes over a connected, non-blocking fd. NULL without memory (fd is closed then). */
struct conn *conn_new(struct loop *l, int fd, const struct conn_ops *ops, void *owner,
                      size_t input_max, size_t output_max);
/* Starts to connect; `connected` or `ended` follows. NULL (errno) if it cannot even start. */
struct conn *conn_connect(struct loop *l, const struct netaddr *to, const struct conn_ops *ops,
                          void *owner, size_t input_max, size_t output_max);
void conn_free(struct conn *c); /* closes at once; NULL is allowed */

struct span conn_input(const struct conn *c);
void conn_consume(struct conn *c, size_t n);
/* Reads nothing while false (the owner waits for an answer elsewhere). What came before stays in
 * conn_input. With true, `input` is called again from the loop if there is unconsumed input. */
void conn_want_input(struct conn *c, bool wanted);

/* Queues output; it is sent at the end of this turn of the loop, all of it in one write. 0, or -1
 * if output_max would be passed or memory is out: the owner should end the connection. */
int conn_write(struct conn *c, const void *p, size_t n);
int conn_write_span(struct conn *c, struct span s);
size_t conn_unsent(const struct conn *c);
/* For who sends past the buffer (sendfile(2) to conn_fd): only in the clear and with nothing
 * unsent. `drained` is called when the socket takes more. */
void conn_await_room(struct conn *c);
/* No more input; `ended(CONN_FLUSHED)` when all output was sent, or any other end before. */
void conn_finish(struct conn *c);
/* ended(CONN_TIMEOUT) in so many ms from now, whatever happens until then; 0: no deadline. */
void conn_deadline(struct conn *c, int64_t in_ms);

/* Changes over to TLS: the one place where the transport of a connection changes. What was written
 * before goes out first, in the clear; then the handshake has limit_ms; then `secured`. Until then
 * nothing may be written. Afterwards nothing is ever read from the bare connection again, and the
 * end of the TLS session is the end of the connection.
 *
 * The owner drops all that it learned before (RFC 3207 4.2). -1: input is waiting that came in the
 * clear (it must never be taken for something that came through TLS), or no memory: the owner ends
 * the connection. */
int conn_start_tls(struct conn *c, struct tls_server *s, int64_t limit_ms);
/* The same for who connected; see tls_connect. */
int conn_start_tls_client(struct conn *c, struct tls_client *t, const struct tls_wish *wish,
                          int64_t limit_ms);
bool conn_is_tls(const struct conn *c); /* the handshake is done */
/* NULL without TLS. */
const struct tls_info *conn_tls(const struct conn *c);
/* The peer said that nothing more comes (close_notify), rather than that the connection ended. */
bool conn_tls_is_closed(const struct conn *c);
/* As tls_binding; -1 without TLS. */
int conn_tls_binding(const struct conn *c, enum tls_binding kind,
                     unsigned char out[TLS_BINDING_MAX], size_t *n);
const char *conn_tls_why(const struct conn *c); /* a constant */

int conn_errno(const struct conn *c);
int conn_fd(const struct conn *c);

#endif
