/* The only place where passwords are hashed: a few children, forked before the jail and walled in
 * themselves, so that authd never waits for argon2id and gives its memory back after each hash.
 *
 * A bounded queue in front of them with a deadline: what it does not take, or takes too long to
 * reach, could not be decided (VERIFY_FAULT). A child that died is not replaced (inside the jail
 * nothing can be forked); when the last one is gone the owner is told, ends, and is started again
 * by the parent. */
#ifndef BARID_AUTHD_VERIFY_H
#define BARID_AUTHD_VERIFY_H

#include "authd/users.h"
#include "common/jail.h"
#include "common/loop.h"

struct verify_spec {
    unsigned children;
    unsigned long long passes; /* of new hashes; old ones say it themselves */
    size_t memory;             /* octets, the same */
    const struct jail *jail;   /* NULL: none (tests) */
};

#define VERIFY_QUEUE_MAX   256
#define VERIFY_DEADLINE_MS 10000
#define PASSWORD_MAX       1024 /* as in proto.h */

enum verify_result {
    VERIFY_MATCH,
    VERIFY_WRONG,
    VERIFY_FAULT, /* could not decide */
};

struct verified {
    char hash[USERS_HASH_MAX]; /* of verify_hash, "" in other cases */
    struct scram_keys keys;    /* of the password with the salt that was given; not with FAULT */
};

struct verify_call {
    /* Asked just before the work starts: is the answer still wanted? If not, `done` hears FAULT.
     * May be NULL. */
    bool (*is_wanted)(void *arg);
    /* Never called from inside verify_check or verify_hash. */
    void (*done)(void *arg, enum verify_result result, const struct verified *v);
    void *arg;
};

struct verifiers;

/* Before the jail. NULL and e. */
struct verifiers *verify_fork(const struct verify_spec *spec, struct error *e);
/* Begins to serve on a loop; `all_gone` is called once when no child is left. */
void verify_start(struct verifiers *v, struct loop *l, void (*all_gone)(void *arg), void *arg);
/* Open calls get no answer. The children end when they see the end of their channel. */
void verify_stop(struct verifiers *v); /* NULL is allowed */

struct verify_ask {
    const char *hash; /* verify_check */
    struct scram_salt salt;
    struct span password;
};

/* 0, or -1: the queue is full or memory is out. The password is copied, and zeroed after use. An
 * empty hash costs as much as any and never matches: for users that do not exist. The
 * keys of SCRAM are derived when it does not match: it may be an app password. */
int verify_check(struct verifiers *v, const struct verify_ask *ask, const struct verify_call *call);
/* MATCH, and hash and keys of a new password. */
int verify_hash(struct verifiers *v, const struct verify_ask *ask, const struct verify_call *call);

#endif
