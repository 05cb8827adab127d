#include "common/conn.h"

#include "common/buf.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define READ_PIECE 16384
#define TLS_PIECE  16384 /* what a record holds */
/* After our last octet the peer gets this long to close first: closing with its octets unread would
 * reset the connection and could take our last reply with it. */
#define LINGER_MS     2000
#define LINGER_OCTETS (1U << 20)

/* Of a connection that changes over to TLS, or did. */
struct secure {
    struct tls *tls;
    struct timer limit; /* of the handshake */
    const char *why;
    bool is_begun;    /* what was written in the clear is gone */
    bool is_done;     /* the handshake */
    bool wants_write; /* to go on reading, or with the handshake */
};

struct conn {
    struct loop *loop;
    int fd;
    const struct conn_ops *ops;
    void *owner;
    struct buf in, out;
    struct secure *secure; /* NULL: all is in the clear */
    struct watch watch;
    struct timer deadline;
    struct timer soon; /* sends queued output, calls input again, at the end of the turn */
    int err;
    bool is_connecting;
    bool wants_input;
    bool has_news;     /* input that `input` was not called for */
    bool is_client;    /* we connected */
    bool is_at_end;    /* of input; what is queued is still sent */
    bool is_finishing; /* after conn_finish */
    bool is_lingering; /* all was sent; input is thrown away until the peer closes */
    size_t thrown_away;
    bool is_waiting; /* output waits for the socket */
    bool was_full;   /* output was queued since the last `drained` */
    bool is_ended;   /* `ended` was called */
    bool is_freed;
    unsigned depth; /* callbacks on the stack */
};

static void enter(struct conn *c)
{
    c->depth++;
}

static void leave(struct conn *c)
{
    if (--c->depth == 0 && c->is_freed)
        free(c);
}

/* Changing over: what is in the buffers is not the owner's, nor from him. */
static bool is_shaking(const struct conn *c)
{
    return c->secure != NULL && !c->secure->is_done;
}

static bool wants_reading(const struct conn *c)
{
    if (c->is_lingering)
        return true;
    if (is_shaking(c))
        return c->secure->is_begun && !c->secure->wants_write;
    /* What was not yet shown to the owner comes before the end of input that may be next. */
    return !c->is_connecting && c->wants_input && !c->has_news && !c->is_finishing &&
           !c->is_at_end && buf_span(&c->in).n < c->in.max;
}

static void soon(struct conn *c)
{
    if (!c->soon.is_set && !c->is_ended)
        timer_set(&c->soon, 0);
}

static bool has_pending(const struct conn *c)
{
    return c->secure != NULL && c->secure->is_done && !c->is_lingering &&
           tls_has_pending(c->secure->tls);
}

/* Watching for input goes on when it is not wanted, until some comes (`ready`): mostly it is wanted
 * again before, and two system calls are saved for each question an owner waits for. */
static void rewatch(struct conn *c)
{
    if (c->fd < 0 || c->is_ended)
        return;
    bool wants_write = c->secure != NULL && c->secure->wants_write;
    watch_set(&c->watch, c->watch.wants_in || wants_reading(c),
              c->is_connecting || c->is_waiting || wants_write);
    if (has_pending(c) && wants_reading(c))
        soon(c); /* the socket does not tell */
}

static void end(struct conn *c, enum conn_end why)
{
    if (c->is_ended || c->is_freed)
        return;
    c->is_ended = true;
    watch_stop(&c->watch);
    timer_stop(&c->deadline);
    timer_stop(&c->soon);
    if (c->secure != NULL)
        timer_stop(&c->secure->limit);
    c->ops->ended(c->owner, why);
}

static void end_tls(struct conn *c, const char *why)
{
    c->secure->why = why;
    end(c, CONN_TLS);
}

static void linger(struct conn *c)
{
    if (c->is_lingering)
        return;
    c->is_lingering = true;
    if (c->secure != NULL)
        tls_close(c->secure->tls);
    shutdown(c->fd, SHUT_WR);
    timer_set(&c->deadline, LINGER_MS);
    rewatch(c);
}

/* Nothing of it is looked at, so it does not matter that it is not decrypted. */
static void throw_away(struct conn *c)
{
    static char piece[READ_PIECE];
    ssize_t n = recv(c->fd, piece, sizeof piece, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && (c->thrown_away += (size_t)n) <= LINGER_OCTETS)
        return;
    end(c, CONN_FLUSHED);
}

/* --- TLS --- */

static void shake(struct conn *c)
{
    struct secure *s = c->secure;
    enum tls_result r = tls_handshake(s->tls);
    s->wants_write = r == TLS_WANTS_WRITE;
    if (r == TLS_WANTS_READ || r == TLS_WANTS_WRITE) {
        rewatch(c);
        return;
    }
    timer_stop(&s->limit);
    if (r != TLS_DONE) {
        end_tls(c, tls_why(s->tls));
        return;
    }
    s->is_done = true;
    rewatch(c);
    c->ops->secured(c->owner);
}

static void too_slow(void *arg)
{
    struct conn *c = arg;
    enter(c);
    end_tls(c, "the handshake took too long");
    leave(c);
}

/* --- output --- */

/* All output is with the socket. */
static void all_sent(struct conn *c)
{
    if (is_shaking(c) && !c->secure->is_begun) {
        c->secure->is_begun = true;
        shake(c);
        /* A quick peer can have finished it within that call, and been greeted. */
        if (!c->is_freed && !c->is_ended && buf_span(&c->out).n > 0)
            soon(c);
        return;
    }
    if (c->is_finishing) {
        linger(c);
        return;
    }
    if (c->was_full) {
        c->was_full = false;
        if (c->ops->drained != NULL)
            c->ops->drained(c->owner);
    }
    if (c->is_freed)
        return;
    if (buf_span(&c->out).n > 0)
        soon(c); /* what `drained` wrote goes out in the next turn: others have theirs first */
    else if (c->is_at_end && !c->is_finishing)
        end(c, CONN_EOF);
}

enum moved {
    MOVED_SOME,
    MOVED_NOTHING, /* now; later perhaps */
    MOVED_END,     /* no more input comes */
    MOVED_FAILED,  /* c->err says why */
    MOVED_NO_TLS,  /* the TLS session says why */
};

/* What became of a call to the socket. */
static enum moved moved(struct conn *c, ssize_t n)
{
    if (n > 0)
        return MOVED_SOME;
    if (n == 0)
        return MOVED_END;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return MOVED_NOTHING;
    c->err = errno;
    return MOVED_FAILED;
}

static enum moved moved_tls(enum tls_result r)
{
    return r == TLS_DONE     ? MOVED_SOME
           : r == TLS_ENDED  ? MOVED_END
           : r == TLS_FAILED ? MOVED_NO_TLS
                             : MOVED_NOTHING;
}

static enum moved send_some(struct conn *c, struct span s, size_t *n)
{
    if (c->secure != NULL && c->secure->is_done) {
        if (s.n > TLS_PIECE)
            s.n = TLS_PIECE;
        return moved_tls(tls_write(c->secure->tls, s, n));
    }
    ssize_t sent = send(c->fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    *n = sent > 0 ? (size_t)sent : 0;
    return moved(c, sent);
}

/* It did not go on; true: nor will it. */
static bool is_over(struct conn *c, enum moved m)
{
    if (m == MOVED_FAILED)
        end(c, CONN_ERROR);
    else if (m == MOVED_NO_TLS)
        end_tls(c, tls_why(c->secure->tls));
    return m == MOVED_FAILED || m == MOVED_NO_TLS;
}

static void flush(struct conn *c)
{
    struct span s = buf_span(&c->out);
    if (is_shaking(c) && c->secure->is_begun) {
        if (c->is_finishing)
            end(c, CONN_FLUSHED); /* there is nobody who could read a last word */
        return;
    }
    while (s.n > 0) {
        size_t n;
        enum moved m = send_some(c, s, &n);
        if (m == MOVED_END) {
            end(c, CONN_EOF);
            return;
        }
        if (is_over(c, m))
            return;
        if (m == MOVED_NOTHING)
            break;
        buf_consume(&c->out, n);
        s = buf_span(&c->out);
    }
    c->is_waiting = s.n > 0;
    rewatch(c);
    if (!c->is_waiting)
        all_sent(c);
}

static void tell_input(struct conn *c)
{
    if (c->is_ended || c->is_freed || !c->wants_input || !c->has_news)
        return;
    c->has_news = false;
    if (buf_span(&c->in).n > 0 && !c->is_finishing)
        c->ops->input(c->owner);
    if (!c->is_freed)
        rewatch(c);
}

/* A client that closes its sending side still gets its answers. A server that hangs up has none for
 * what we would still send. */
static void input_ended(struct conn *c)
{
    if (c->is_client || buf_span(&c->out).n == 0)
        end(c, CONN_EOF);
    else
        c->is_at_end = true; /* flush, which comes next, goes on */
}

static enum moved receive_some(struct conn *c, char *out, size_t room, size_t *n)
{
    if (c->secure != NULL) {
        enum tls_result r = tls_read(c->secure->tls, out, room, n);
        c->secure->wants_write = r == TLS_WANTS_WRITE;
        return moved_tls(r);
    }
    ssize_t got = recv(c->fd, out, room, MSG_DONTWAIT);
    *n = got > 0 ? (size_t)got : 0;
    return moved(c, got);
}

static void read_some(struct conn *c)
{
    size_t held = buf_span(&c->in).n;
    size_t room = c->in.max - held < READ_PIECE ? c->in.max - held : READ_PIECE;
    static char piece[READ_PIECE];
    if (room == 0)
        return;
    size_t n;
    enum moved m = receive_some(c, piece, room, &n);
    if (m == MOVED_END)
        input_ended(c);
    if (m != MOVED_SOME) {
        is_over(c, m);
        return;
    }
    if (buf_add(&c->in, piece, n) < 0) {
        c->err = ENOMEM;
        end(c, CONN_ERROR);
        return;
    }
    c->has_news = true;
    tell_input(c);
}

static void later(void *arg)
{
    struct conn *c = arg;
    enter(c);
    tell_input(c);
    if (!c->is_freed && !c->is_ended && has_pending(c) && wants_reading(c))
        read_some(c);
    if (!c->is_freed && !c->is_ended && !c->is_connecting && !c->is_waiting)
        flush(c);
    leave(c);
}

static void finish_connect(struct conn *c)
{
    socklen_t n = sizeof c->err;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &c->err, &n) < 0)
        c->err = errno;
    if (c->err != 0) {
        end(c, CONN_ERROR);
        return;
    }
    c->is_connecting = false;
    rewatch(c);
    if (c->ops->connected != NULL)
        c->ops->connected(c->owner);
}

static void ready(void *arg, bool readable, bool writable)
{
    struct conn *c = arg;
    enter(c);
    if (c->is_connecting && writable)
        finish_connect(c);
    else if (c->is_lingering && readable)
        throw_away(c);
    else if (is_shaking(c) && c->secure->is_begun)
        shake(c);
    else if ((readable || (c->secure != NULL && c->secure->wants_write)) && wants_reading(c))
        read_some(c);
    else if (readable)
        watch_set(&c->watch, false, c->watch.wants_out);
    if (!c->is_freed && !c->is_ended && !c->is_connecting)
        flush(c);
    leave(c);
}

static void expired(void *arg)
{
    struct conn *c = arg;
    enter(c);
    end(c, c->is_lingering ? CONN_FLUSHED : CONN_TIMEOUT);
    leave(c);
}

struct conn *conn_new(struct loop *l, int fd, const struct conn_ops *ops, void *owner,
                      size_t input_max, size_t output_max)
{
    struct conn *c = calloc(1, sizeof *c);
    if (c == NULL) {
        close(fd);
        return NULL;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* a socketpair has none: no matter */
    *c = (struct conn){.loop = l, .fd = fd, .ops = ops, .owner = owner, .wants_input = true};
    buf_init(&c->in, input_max);
    buf_init(&c->out, output_max);
    watch_init(&c->watch, l, fd, ready, c);
    timer_init(&c->deadline, l, expired, c);
    timer_init(&c->soon, l, later, c);
    rewatch(c);
    return c;
}

struct conn *conn_connect(struct loop *l, const struct netaddr *to, const struct conn_ops *ops,
                          void *owner, size_t input_max, size_t output_max)
{
    struct sockaddr_storage ss;
    socklen_t len = netaddr_to_sockaddr(to, &ss);
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    if (connect(fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS) {
        int saved = errno;
        close(fd);
        errno = saved;
        return NULL;
    }
    struct conn *c = conn_new(l, fd, ops, owner, input_max, output_max);
    if (c == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    c->is_connecting = c->is_client = true;
    rewatch(c);
    return c;
}

void conn_free(struct conn *c)
{
    if (c == NULL || c->is_freed)
        return;
    c->is_freed = true;
    watch_stop(&c->watch);
    timer_stop(&c->deadline);
    timer_stop(&c->soon);
    buf_free(&c->in);
    buf_free(&c->out);
    if (c->secure != NULL) {
        timer_stop(&c->secure->limit);
        tls_free(c->secure->tls);
        free(c->secure);
        c->secure = NULL;
    }
    close(c->fd);
    c->fd = -1;
    if (c->depth == 0)
        free(c);
}

struct span conn_input(const struct conn *c)
{
    return buf_span(&c->in);
}

void conn_consume(struct conn *c, size_t n)
{
    buf_consume(&c->in, n);
    rewatch(c);
}

void conn_want_input(struct conn *c, bool wanted)
{
    c->wants_input = wanted;
    c->has_news = wanted && buf_span(&c->in).n > 0;
    if (c->has_news)
        soon(c);
    rewatch(c);
}

int conn_write(struct conn *c, const void *p, size_t n)
{
    if (c->is_ended || c->is_freed || is_shaking(c) || buf_add(&c->out, p, n) < 0)
        return -1;
    c->was_full = true;
    if (c->depth == 0) /* else the callback that is on the stack is followed by flush */
        soon(c);
    return 0;
}

int conn_write_span(struct conn *c, struct span s)
{
    return conn_write(c, s.p, s.n);
}

size_t conn_unsent(const struct conn *c)
{
    return buf_span(&c->out).n;
}

void conn_await_room(struct conn *c)
{
    c->is_waiting = c->was_full = true;
    rewatch(c);
}

void conn_finish(struct conn *c)
{
    c->is_finishing = true;
    rewatch(c);
    soon(c);
}

void conn_deadline(struct conn *c, int64_t in_ms)
{
    if (c->is_ended || c->is_freed || c->is_lingering)
        return;
    if (in_ms > 0)
        timer_set(&c->deadline, in_ms);
    else
        timer_stop(&c->deadline);
}

/* --- TLS, for owners --- */

static int change_over(struct conn *c, struct tls *t, int64_t limit_ms)
{
    struct secure *s = t != NULL ? calloc(1, sizeof *s) : NULL;
    if (s == NULL) {
        tls_free(t);
        return -1;
    }
    *s = (struct secure){.tls = t, .why = "no TLS"};
    timer_init(&s->limit, c->loop, too_slow, c);
    timer_set(&s->limit, limit_ms);
    c->secure = s;
    c->has_news = c->was_full = false;
    soon(c); /* flush, and then the handshake */
    rewatch(c);
    return 0;
}

static bool may_change_over(const struct conn *c)
{
    return c->secure == NULL && !c->is_ended && !c->is_freed && !c->is_finishing &&
           !c->is_connecting && buf_span(&c->in).n == 0;
}

int conn_start_tls(struct conn *c, struct tls_server *s, int64_t limit_ms)
{
    return may_change_over(c) ? change_over(c, tls_accept(s, c->fd), limit_ms) : -1;
}

int conn_start_tls_client(struct conn *c, struct tls_client *t, const struct tls_wish *wish,
                          int64_t limit_ms)
{
    return may_change_over(c) ? change_over(c, tls_connect(t, c->fd, wish), limit_ms) : -1;
}

bool conn_is_tls(const struct conn *c)
{
    return c->secure != NULL && c->secure->is_done;
}

const struct tls_info *conn_tls(const struct conn *c)
{
    return conn_is_tls(c) ? tls_info(c->secure->tls) : NULL;
}

int conn_tls_binding(const struct conn *c, enum tls_binding kind,
                     unsigned char out[TLS_BINDING_MAX], size_t *n)
{
    *n = 0;
    return conn_is_tls(c) ? tls_binding(c->secure->tls, kind, out, n) : -1;
}

bool conn_tls_is_closed(const struct conn *c)
{
    return c->secure != NULL && tls_is_closed(c->secure->tls);
}

const char *conn_tls_why(const struct conn *c)
{
    return c->secure != NULL ? c->secure->why : "no TLS";
}

int conn_errno(const struct conn *c)
{
    return c->err;
}

int conn_fd(const struct conn *c)
{
    return c->fd;
}
