/* One end of a channel: a SOCK_SEQPACKET socket that carries the messages of proto.h.
 *
 * The first message each way is HELLO; a peer with another table is refused. A received message is
 * checked against the table (peer's role may send it, ours may receive it, exact unpacking,
 * descriptor only where allowed); a message that fails closes this channel, is logged once, and
 * nothing else. A handler whose message should come with a descriptor may get none: the kernel had
 * none left for us. That is "try later".
 *
 * Sending never blocks: what the socket does not take is kept in order and sent when it does; who
 * streams must watch ipc_backlog and go on at on_drain. */
#ifndef BARID_IPC_H
#define BARID_IPC_H

#include "common/loop.h"
#include "common/proto.h"

struct ipc;

/* `fd` is -1 or a descriptor that now belongs to the handler. */
typedef void ipc_handle_fn(void *owner, struct ipc *from, const union msg *m, int fd);
struct ipc_handler {
    enum msg_type type;
    ipc_handle_fn *handle;
};

struct ipc_ops {
    const struct ipc_handler *handlers; /* a message that has no handler here closes the channel */
    size_t n_handlers;
    /* The peer is gone or misbehaved; open questions were answered with NULL before. The owner
     * calls ipc_close, here or later. */
    void (*on_close)(void *owner, struct ipc *ch);
    void (*on_drain)(void *owner, struct ipc *ch); /* backlog is empty again; may be NULL */
};

/* Takes over fd (also when it fails). `ops` must outlive the channel. NULL without memory, or if
 * fd is no socket: who hands over a channel may have been taken over. */
struct ipc *ipc_open(struct loop *loop, int fd, enum role self, enum role peer,
                     const struct ipc_ops *ops, void *owner);
/* NULL is allowed. Open questions get no answer any more. Safe inside handlers. */
void ipc_close(struct ipc *ch);
/* As if the peer were gone: open questions are answered with NULL, then on_close. */
void ipc_break(struct ipc *ch);
/* False from when the peer is gone, also while its questions are answered for that. */
bool ipc_is_up(const struct ipc *ch);
enum role ipc_peer(const struct ipc *ch);
/* Has the peer said anything? If not when the channel ends, it has not done anything either. */
bool ipc_is_greeted(const struct ipc *ch);
void *ipc_owner(const struct ipc *ch);
/* Free slot for the owner, for instance the instance number of the peer; starts as 0. */
void ipc_set_mark(struct ipc *ch, uint64_t mark);
uint64_t ipc_mark(const struct ipc *ch);
/* Octets accepted but not yet taken by the socket. */
size_t ipc_backlog(const struct ipc *ch);
/* Stops and resumes reading, to let the peer's messages wait in the socket. */
void ipc_pause(struct ipc *ch, bool is_paused);

/* 0, or -1: channel closed (ch may be NULL), a field over its bound, no memory, or a backlog over
 * 64 MiB. `fd` (or -1) stays the caller's. Use the typed ipc_send_<name> below. */
int ipc_send(struct ipc *ch, enum msg_type type, const void *fields, int fd);

/* The answer, or NULL: channel closed, or no answer within the deadline. fd belongs to the callee.
 */
typedef void ipc_answer_fn(void *arg, const union msg *answer, int fd);
/* Sends a request and remembers who waits; the tag is filled in here. Returns it, or 0 if it could
 * not be sent: then `fn` is not called. Use the typed ipc_ask_<name> below. */
uint64_t ipc_ask(struct ipc *ch, enum msg_type type, void *fields, int fd, int64_t deadline_ms,
                 ipc_answer_fn *fn, void *arg);
/* Returns when that question is answered (its callback was called) or the channel is gone, at the
 * latest after max_ms: for what is asked in the middle of somebody else's code and cannot be left.
 * Only for channels that carry little; not from inside a handler of a message. */
void ipc_wait(struct ipc *ch, uint64_t tag, int64_t max_ms);
/* Nobody waits for this tag any more; its answer will be dropped. ch may be NULL. */
void ipc_cancel(struct ipc *ch, uint64_t tag);
/* Counts the deadline anew, from now. */
void ipc_extend(struct ipc *ch, uint64_t tag, int64_t deadline_ms);

#define IPC_TYPED(NAME, name, from, to, answer, has_fd, meaning)                                   \
    static inline int ipc_send_##name(struct ipc *ch, const struct msg_##name *m, int fd)          \
    {                                                                                              \
        return ipc_send(ch, MSG_##NAME, m, fd);                                                    \
    }                                                                                              \
    static inline uint64_t ipc_ask_##name(struct ipc *ch, struct msg_##name *m, int fd,            \
                                          int64_t deadline_ms, ipc_answer_fn *fn, void *arg)       \
    {                                                                                              \
        return ipc_ask(ch, MSG_##NAME, m, fd, deadline_ms, fn, arg);                               \
    }
PROTO_MESSAGES(IPC_TYPED)
#undef IPC_TYPED

#endif
