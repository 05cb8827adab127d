#include "common/ipc.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/trouble.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define BACKLOG_MAX  (64U << 20)
#define BUCKETS      64
#define SWEEP_MS     500
#define BATCH        64 /* messages handled per turn, so that no channel starves the others */
#define MISTAKE_TEXT 96

struct outgoing {
    struct outgoing *next;
    int fd;
    size_t n;
    char octets[];
};

struct question {
    struct question *next;
    uint64_t tag;
    int64_t until_ms;
    enum msg_type answer;
    ipc_answer_fn *fn;
    void *arg;
};

struct ipc {
    struct loop *loop;
    int fd;
    enum role self, peer;
    const struct ipc_ops *ops;
    void *owner;
    uint64_t mark;
    struct watch watch;
    struct timer sweep;
    struct outgoing *first, **last;
    size_t backlog;
    struct question *questions[BUCKETS];
    size_t n_questions;
    uint64_t last_tag;
    bool greeted; /* the peer's HELLO came and fits */
    bool is_paused;
    bool is_broken; /* on_close was or is being called */
    bool is_closed; /* ipc_close was called: free when nothing is on the stack */
    unsigned depth; /* callbacks on the stack */
};

static void release(struct ipc *ch);
static void broken(struct ipc *ch);

static void enter(struct ipc *ch)
{
    ch->depth++;
}

static void leave(struct ipc *ch)
{
    if (--ch->depth == 0 && ch->is_closed)
        release(ch);
}

bool ipc_is_up(const struct ipc *ch)
{
    return ch != NULL && !ch->is_broken && !ch->is_closed;
}

enum role ipc_peer(const struct ipc *ch)
{
    return ch->peer;
}

bool ipc_is_greeted(const struct ipc *ch)
{
    return ch->greeted;
}

void *ipc_owner(const struct ipc *ch)
{
    return ch->owner;
}

void ipc_set_mark(struct ipc *ch, uint64_t mark)
{
    ch->mark = mark;
}

uint64_t ipc_mark(const struct ipc *ch)
{
    return ch->mark;
}

size_t ipc_backlog(const struct ipc *ch)
{
    return ch->backlog;
}

/* There may be a password in it. */
static void free_kept(struct outgoing *o)
{
    if (o->fd >= 0)
        close(o->fd);
    sodium_memzero(o->octets, o->n);
    free(o);
}

static void drop_outgoing(struct ipc *ch)
{
    while (ch->first != NULL) {
        struct outgoing *o = ch->first;
        ch->first = o->next;
        free_kept(o);
    }
    ch->last = &ch->first;
    ch->backlog = 0;
}

static void release(struct ipc *ch)
{
    for (size_t i = 0; i < BUCKETS; i++)
        while (ch->questions[i] != NULL) {
            struct question *q = ch->questions[i];
            ch->questions[i] = q->next;
            free(q);
        }
    drop_outgoing(ch);
    free(ch);
}

static void stop_io(struct ipc *ch)
{
    watch_stop(&ch->watch);
    timer_stop(&ch->sweep);
    if (ch->fd >= 0)
        close(ch->fd);
    ch->fd = -1;
}

void ipc_close(struct ipc *ch)
{
    if (ch == NULL || ch->is_closed)
        return;
    ch->is_closed = true;
    stop_io(ch);
    if (ch->depth == 0)
        release(ch);
}

static void watch_for(struct ipc *ch)
{
    if (ch->fd >= 0)
        watch_set(&ch->watch, !ch->is_paused, ch->first != NULL);
}

void ipc_pause(struct ipc *ch, bool is_paused)
{
    ch->is_paused = is_paused;
    watch_for(ch);
}

/* --- questions --- */

static struct question **find(struct ipc *ch, uint64_t tag)
{
    struct question **at = &ch->questions[tag % BUCKETS];
    while (*at != NULL && (*at)->tag != tag)
        at = &(*at)->next;
    return at;
}

static void unlink_question(struct ipc *ch, struct question **at)
{
    struct question *q = *at;
    *at = q->next;
    free(q);
    if (--ch->n_questions == 0)
        timer_stop(&ch->sweep);
}

void ipc_cancel(struct ipc *ch, uint64_t tag)
{
    if (ch == NULL || tag == 0)
        return;
    struct question **at = find(ch, tag);
    if (*at != NULL)
        unlink_question(ch, at);
}

void ipc_extend(struct ipc *ch, uint64_t tag, int64_t deadline_ms)
{
    struct question **at = find(ch, tag);
    if (*at != NULL)
        (*at)->until_ms = clock_mono_ms() + deadline_ms;
}

/* Answers with NULL every question that is due (all, if `all`). A callback may ask, cancel or
 * close. */
static void give_up(struct ipc *ch, bool all)
{
    int64_t now = clock_mono_ms();
    enter(ch);
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct question **at = &ch->questions[i]; *at != NULL && !ch->is_closed;) {
            struct question q = **at;
            if (!all && q.until_ms > now) {
                at = &(*at)->next;
                continue;
            }
            unlink_question(ch, at);
            q.fn(q.arg, NULL, -1);
            at = &ch->questions[i];
        }
    leave(ch);
}

static void sweep(void *arg)
{
    struct ipc *ch = arg;
    enter(ch);
    give_up(ch, false);
    if (!ch->is_closed && ch->n_questions > 0)
        timer_set(&ch->sweep, SWEEP_MS);
    leave(ch);
}

/* NOLINTNEXTLINE(readability-function-size): the functions of ipc.h take fewer */
uint64_t ipc_ask(struct ipc *ch, enum msg_type type, void *fields, int fd, int64_t deadline_ms,
                 ipc_answer_fn *fn, void *arg)
{
    const struct msg_desc *d = proto_desc(type);
    if (ch == NULL || d == NULL || d->answer == MSG_NONE || ch->is_broken)
        return 0;
    struct question *q = malloc(sizeof *q);
    if (q == NULL)
        return 0;
    *q = (struct question){.tag = ++ch->last_tag,
                           .until_ms = clock_mono_ms() + deadline_ms,
                           .answer = d->answer,
                           .fn = fn,
                           .arg = arg};
    memcpy(fields, &q->tag, sizeof q->tag); /* the tag is the first field of every request */
    if (ipc_send(ch, type, fields, fd) < 0) {
        free(q);
        return 0;
    }
    q->next = ch->questions[q->tag % BUCKETS];
    ch->questions[q->tag % BUCKETS] = q;
    if (ch->n_questions++ == 0)
        timer_set(&ch->sweep, SWEEP_MS);
    return q->tag;
}

/* --- sending --- */

static ssize_t send_octets(int sock, const char *octets, size_t n, int fd)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)octets, n};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        mh.msg_control = control.room;
        mh.msg_controllen = sizeof control.room;
        struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int keep_for_later(struct ipc *ch, const char *octets, size_t n, int fd)
{
    if (ch->backlog + n > BACKLOG_MAX)
        return -1;
    struct outgoing *o = malloc(sizeof *o + n);
    if (o == NULL)
        return -1;
    int copy = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd >= 0 && copy < 0) {
        free(o);
        return -1;
    }
    o->next = NULL;
    o->fd = copy;
    o->n = n;
    memcpy(o->octets, octets, n);
    *ch->last = o;
    ch->last = &o->next;
    ch->backlog += n;
    watch_for(ch);
    return 0;
}

/* Later it will work. */
static bool is_full(int err)
{
    return err == EAGAIN || err == EWOULDBLOCK || err == ENOBUFS || err == ENOMEM ||
           err == ETOOMANYREFS;
}

static int send_or_keep(struct ipc *ch, const char *octets, size_t n, int fd)
{
    if (ch->first == NULL) {
        if (send_octets(ch->fd, octets, n, fd) >= 0)
            return 0;
        if (!is_full(errno))
            return -1; /* the reading side will see the end of the channel */
    }
    return keep_for_later(ch, octets, n, fd);
}

/* A mistake of ours: whoever asked hears nothing until its deadline, and then tries later. */
static int unpackable(const struct ipc *ch, enum msg_type type)
{
    static struct trouble trouble;
    if (trouble_is_news(&trouble))
        LOG(0, "message-unsent", LZ("to", role_name(ch->peer)), LN("type", type),
            LZ("because", "a field is too long"));
    return -1;
}

int ipc_send(struct ipc *ch, enum msg_type type, const void *fields, int fd)
{
    static char out[IPC_MAX];
    if (ch == NULL || ch->fd < 0 || ch->is_broken)
        return -1;
    size_t n = proto_pack(out, sizeof out, type, fields);
    if (n == 0)
        return unpackable(ch, type);
    int result = send_or_keep(ch, out, n, fd);
    if (type == MSG_LOGIN || type == MSG_PAM_CHECK ||
        type == MSG_ADMIN) /* there is a password in it */
        sodium_memzero(out, n);
    return result;
}

static void send_kept(struct ipc *ch)
{
    while (ch->first != NULL) {
        struct outgoing *o = ch->first;
        if (send_octets(ch->fd, o->octets, o->n, o->fd) < 0) {
            if (!is_full(errno))
                broken(ch);
            return;
        }
        ch->first = o->next;
        if (ch->first == NULL)
            ch->last = &ch->first;
        ch->backlog -= o->n;
        free_kept(o);
    }
    watch_for(ch);
    if (ch->ops->on_drain != NULL)
        ch->ops->on_drain(ch->owner, ch);
}

/* --- receiving --- */

/* gcc's analyzer does not see that leave() frees only what nobody is inside of. */
#if defined __GNUC__ && !defined __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-use-after-free"
#endif

static void broken(struct ipc *ch)
{
    if (ch->is_broken || ch->is_closed)
        return;
    ch->is_broken = true;
    stop_io(ch);
    enter(ch);
    give_up(ch, true);
    if (!ch->is_closed)
        ch->ops->on_close(ch->owner, ch);
    leave(ch);
}

void ipc_break(struct ipc *ch)
{
    broken(ch);
}

/* The peer does what the table does not allow: said once, then the channel is gone. */
static void misbehaved(struct ipc *ch, const char *what, const char *message)
{
    char text[MISTAKE_TEXT];
    snprintf(text, sizeof text, "%s %s", what, message);
    LOG(0, "channel-closed", LZ("peer", role_name(ch->peer)), LZ("because", text));
    broken(ch);
}

static void handle(struct ipc *ch, enum msg_type type, const union msg *m, int fd)
{
    for (size_t i = 0; i < ch->ops->n_handlers; i++)
        if (ch->ops->handlers[i].type == type) {
            ch->ops->handlers[i].handle(ch->owner, ch, m, fd);
            return;
        }
    if (fd >= 0)
        close(fd);
    misbehaved(ch, "nobody here handles", proto_desc(type)->name);
}

/* Is it an answer to a question? A late answer, whose asker is gone, is dropped. */
static bool is_answer(enum msg_type type)
{
    static bool answers[MSG_TYPES], is_filled;
    for (unsigned t = MSG_NONE + 1; t < MSG_TYPES && !is_filled; t++)
        answers[proto_desc(t)->answer] = true;
    is_filled = true;
    return type != MSG_NONE && answers[type];
}

static void answered(struct ipc *ch, enum msg_type type, const union msg *m, int fd)
{
    struct question **at = find(ch, m->tag);
    if (*at == NULL || (*at)->answer != type) {
        if (fd >= 0)
            close(fd);
        return;
    }
    struct question q = **at;
    unlink_question(ch, at);
    q.fn(q.arg, m, fd);
}

static void take(struct ipc *ch, struct span in, int fd)
{
    enum msg_type type;
    union msg m;
    const struct msg_desc *d = NULL;
    const char *why = NULL;
    if (proto_unpack(in, &type, &m) < 0)
        why = "damaged message";
    else if ((d = proto_desc(type)), !(d->from & 1U << ch->peer) || !(d->to & 1U << ch->self))
        why = "may not send";
    else if (fd >= 0 && !d->has_fd)
        why = "descriptor with";
    else if (ch->greeted == (type == MSG_HELLO))
        why = "out of order";
    else if (type == MSG_HELLO && m.hello.table_hash != proto_hash())
        why = "is of another version of barid: install all binaries together;";
    if (why != NULL) {
        if (fd >= 0)
            close(fd);
        misbehaved(ch, why, d != NULL ? d->name : "");
        return;
    }
    if (type == MSG_HELLO)
        ch->greeted = true;
    else if (is_answer(type))
        answered(ch, type, &m, fd);
    else
        handle(ch, type, &m, fd);
}

/* At most one descriptor is taken from a message; a peer that sends more has them closed. */
static int take_fd(struct msghdr *mh, bool *too_many)
{
    int kept = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (kept < 0) {
                kept = fd;
            } else {
                close(fd);
                *too_many = true;
            }
        }
    }
    return kept;
}

/* The kernel had none left for us and dropped it: our shortage, not the peer's fault. The message
 * is handled as one that came without. */
static void lost_descriptor(const struct ipc *ch)
{
    static struct trouble trouble;
    if (trouble_is_news(&trouble))
        LOG(0, "descriptor-lost", LZ("from", role_name(ch->peer)),
            LZ("because", "too many open files"));
}

static bool receive_one(struct ipc *ch)
{
    static char in[IPC_MAX + 1];
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(8 * sizeof(int))];
    } control;
    struct iovec iov = {in, sizeof in};
    struct msghdr mh = {.msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control.room,
                        .msg_controllen = sizeof control.room};
    ssize_t n = recvmsg(ch->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0) {
        /* Told once, when the peer closed before it read all of ours; its last words come after. */
        if (errno == ECONNRESET)
            return true;
        if (errno != EAGAIN && errno != EINTR)
            broken(ch);
        return false;
    }
    bool too_many = false;
    int fd = take_fd(&mh, &too_many);
    if (n == 0) {
        if (fd >= 0)
            close(fd);
        broken(ch);
        return false;
    }
    bool is_cut = (mh.msg_flags & MSG_CTRUNC) != 0;
    if (too_many || (mh.msg_flags & MSG_TRUNC) != 0 || (is_cut && fd >= 0)) {
        if (fd >= 0)
            close(fd);
        misbehaved(ch, "message too large", "");
        return false;
    }
    if (is_cut)
        lost_descriptor(ch);
    take(ch, (struct span){in, (size_t)n}, fd);
    return true;
}

static void ready(void *arg, bool readable, bool writable)
{
    struct ipc *ch = arg;
    enter(ch);
    if (writable && ch->fd >= 0)
        send_kept(ch);
    for (int i = 0; readable && i < BATCH && ch->fd >= 0 && !ch->is_paused; i++)
        if (!receive_one(ch))
            break;
    leave(ch);
}

void ipc_wait(struct ipc *ch, uint64_t tag, int64_t max_ms)
{
    int64_t until_ms = clock_mono_ms() + max_ms;
    if (ch == NULL || tag == 0)
        return;
    enter(ch);
    while (ch->fd >= 0 && *find(ch, tag) != NULL) {
        int64_t left_ms = until_ms - clock_mono_ms();
        struct pollfd p = {ch->fd, (short)(ch->first != NULL ? POLLIN | POLLOUT : POLLIN), 0};
        if (left_ms <= 0 || (poll(&p, 1, (int)left_ms) < 0 && errno != EINTR))
            break;
        if ((p.revents & POLLOUT) != 0)
            send_kept(ch);
        if ((p.revents & ~POLLOUT) != 0 && ch->fd >= 0)
            receive_one(ch);
    }
    leave(ch);
}

/* A file would stay open for ever: it never says that its other end is gone. */
static bool is_socket(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

struct ipc *ipc_open(struct loop *loop, int fd, enum role self, enum role peer,
                     const struct ipc_ops *ops, void *owner)
{
    struct ipc *ch = is_socket(fd) ? calloc(1, sizeof *ch) : NULL;
    if (ch == NULL || fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0) {
        free(ch);
        close(fd);
        return NULL;
    }
    *ch = (struct ipc){
        .loop = loop, .fd = fd, .self = self, .peer = peer, .ops = ops, .owner = owner};
    ch->last = &ch->first;
    watch_init(&ch->watch, loop, fd, ready, ch);
    timer_init(&ch->sweep, loop, sweep, ch);
    watch_for(ch);
    ipc_send_hello(ch, &(struct msg_hello){proto_hash(), (uint8_t)self}, -1);
    return ch;
}
