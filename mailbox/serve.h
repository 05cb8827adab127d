/* Granted channels. authd says "whoever holds the other end of this may use mailbox 17"; what comes
 * on it can name messages of that mailbox and of nothing else, and only those that were there when
 * it was opened (RFC 1939 3: later mail is for the next session).
 *
 * A mailbox is locked for one channel as long as that is open, and until a removal it asked for is
 * decided. Devices lock nothing but their own view of it: what one of them deletes stays there for
 * the others; they wait for the user's own session, and it for them, since that deletes for all.
 * Removals go to queue, all of them in one transaction; nobody here writes. */
#ifndef BARID_MAILBOX_SERVE_H
#define BARID_MAILBOX_SERVE_H

#include "common/config.h"
#include "common/ipc.h"
#include "mailbox/store.h"

/* Who comes while the mailbox is locked waits so long: the end of a session and the beginning of
 * the user's next one cross each other on two channels. */
#define LOCK_WAIT_MS 300
/* Less than pop3d waits, so that it hears what queue's silence means from us. */
#define DELETE_MS 50000

struct serve;

struct serve_settings {
    int64_t retention_ms; /* how long mail stays; DURATION_NONE: for ever */
    int64_t
        retention_least_ms; /* what users and domains may set at least; DURATION_NONE: nothing */
    int64_t login_delay_ms; /* from one opening to the next; DURATION_NONE */
};

/* `queue` gives the channel to queue, or NULL while it is down. NULL without memory. */
struct serve *serve_new(struct loop *loop, struct store *store, struct ipc *(*queue)(void *owner),
                        void *owner);
struct store *serve_store(const struct serve *v);
void serve_free(struct serve *v);
/* What it begins with: no limits. */
void serve_set(struct serve *v, const struct serve_settings *set);
/* Takes over fd. */
void serve_grant(struct serve *v, const struct msg_box_grant *m, int fd);
/* A removal is under way. */
bool serve_is_busy(const struct serve *v);

#endif
