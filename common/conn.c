#include "common/conn.h"

#include "common/buf.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define READ_PIECE 16384
/* After our last octet the peer gets this long to close first: closing with its octets unread would
 * reset the connection and could take our last reply with it. */
#define LINGER_MS     2000
#define LINGER_OCTETS (1U << 20)

struct conn {
    struct loop *loop;
    int fd;
    const struct conn_ops *ops;
    void *owner;
    struct buf in, out;
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

static bool wants_reading(const struct conn *c)
{
    if (c->is_lingering)
        return true;
    /* What was not yet shown to the owner comes before the end of input that may be next. */
    return !c->is_connecting && c->wants_input && !c->has_news && !c->is_finishing &&
           !c->is_at_end && buf_span(&c->in).n < c->in.max;
}

/* Watching for input goes on when it is not wanted, until some comes (`ready`): mostly it is wanted
 * again before, and two system calls are saved for each question an owner waits for. */
static void rewatch(struct conn *c)
{
    if (c->fd < 0 || c->is_ended)
        return;
    watch_set(&c->watch, c->watch.wants_in || wants_reading(c), c->is_connecting || c->is_waiting);
}

static void end(struct conn *c, enum conn_end why)
{
    if (c->is_ended || c->is_freed)
        return;
    c->is_ended = true;
    watch_stop(&c->watch);
    timer_stop(&c->deadline);
    timer_stop(&c->soon);
    c->ops->ended(c->owner, why);
}

static void soon(struct conn *c)
{
    if (!c->soon.is_set && !c->is_ended)
        timer_set(&c->soon, 0);
}

static void linger(struct conn *c)
{
    if (c->is_lingering)
        return;
    c->is_lingering = true;
    shutdown(c->fd, SHUT_WR);
    timer_set(&c->deadline, LINGER_MS);
    rewatch(c);
}

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

/* All output is with the socket. */
static void all_sent(struct conn *c)
{
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

static void flush(struct conn *c)
{
    struct span s = buf_span(&c->out);
    while (s.n > 0) {
        ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n < 0) {
            c->err = errno;
            end(c, CONN_ERROR);
            return;
        }
        buf_consume(&c->out, (size_t)n);
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

static void later(void *arg)
{
    struct conn *c = arg;
    enter(c);
    tell_input(c);
    if (!c->is_freed && !c->is_ended && !c->is_connecting && !c->is_waiting)
        flush(c);
    leave(c);
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

static void read_some(struct conn *c)
{
    size_t held = buf_span(&c->in).n;
    size_t room = c->in.max - held < READ_PIECE ? c->in.max - held : READ_PIECE;
    static char piece[READ_PIECE];
    if (room == 0)
        return;
    ssize_t n = recv(c->fd, piece, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        c->err = errno;
        end(c, CONN_ERROR);
        return;
    }
    if (n == 0) {
        input_ended(c);
        return;
    }
    if (buf_add(&c->in, piece, (size_t)n) < 0) {
        c->err = ENOMEM;
        end(c, CONN_ERROR);
        return;
    }
    c->has_news = true;
    tell_input(c);
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
    else if (readable && wants_reading(c))
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
    if (c->is_ended || c->is_freed || buf_add(&c->out, p, n) < 0)
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

int conn_errno(const struct conn *c)
{
    return c->err;
}

int conn_fd(const struct conn *c)
{
    return c->fd;
}
