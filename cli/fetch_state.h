/* What `barid fetch` has collected: one row for each message, by account and UIDL, committed before
 * the message can be seen in its place (see fetch_box.h for the order). One file for each user of
 * this machine, one barid fetch at a time. */
#ifndef BARID_FETCH_STATE_H
#define BARID_FETCH_STATE_H

#include "common/error.h"
#include "common/str.h"

#define FETCH_NAME_MAX    256
#define FETCH_HASH_OCTETS 32

struct fetch_seen {
    int64_t fetched_s;
    uint64_t size;                         /* octets in its place */
    uint64_t offset;                       /* of it in an mbox */
    char name[FETCH_NAME_MAX];             /* of its file in a Maildir; "" */
    unsigned char hash[FETCH_HASH_OCTETS]; /* SHA-256 of what is in its place */
    bool is_pending;                       /* nobody knows yet whether it got there */
};

struct fetch_state;

/* Opens `dir`/fetch.db, made if it is missing, and makes dir the working directory. NULL and e;
 * *is_busy: another barid fetch of this user runs. */
struct fetch_state *fetch_state_open(const char *dir, bool *is_busy, struct error *e);
void fetch_state_close(struct fetch_state *s); /* NULL is allowed */

/* All return 0, or -1 and e. */
int fetch_state_find(struct fetch_state *s, const char *account, const char *uidl, bool *is_there,
                     struct fetch_seen *out, struct error *e);
/* Committed to disk when it returns. */
int fetch_state_add(struct fetch_state *s, const char *account, const char *uidl,
                    const struct fetch_seen *seen, struct error *e);
/* Nothing of this account is pending any more. */
int fetch_state_settle(struct fetch_state *s, const char *account, struct error *e);
int fetch_state_forget(struct fetch_state *s, const char *account, const char *uidl,
                       struct error *e);
/* One that is pending: *is_there, its UIDL and itself. Settle or forget it, then ask again. */
int fetch_state_pending(struct fetch_state *s, const char *account, char uidl[FETCH_NAME_MAX],
                        struct fetch_seen *out, bool *is_there, struct error *e);
int fetch_state_settle_one(struct fetch_state *s, const char *account, const char *uidl,
                           struct error *e);
/* The server still has it (kept in memory until fetch_state_prune). */
int fetch_state_listed(struct fetch_state *s, const char *account, const char *uidl,
                       struct error *e);
/* Forgets what the server has not listed for a long time. */
int fetch_state_prune(struct fetch_state *s, const char *account, struct error *e);

#endif
