#include "authd/authd.h"

#include "authd/post.h"
#include "authd/resolve.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>

#define TIDY_MS         (3600 * 1000) /* users.db is looked after so often */
#define LOCK_WAIT_MS    5000
#define LOCK_STEP_MS    50
#define VERIFIERS       2
#define HASH_PASSES     2
#define HASH_MEMORY     (19U << 20)
#define VERIFIER_MEMORY (256U << 20) /* address space: also for hashes made with more memory */
#define VERIFIER_FILES  8
#define STORE_FILE_MAX  (UINT64_C(8) << 30)

void authd_end(struct authd *a, const char *why)
{
    if (!a->is_ending)
        LOG(0, "ending", LZ("because", why));
    a->is_ending = true;
    proc_exit(a->proc);
}

const char *authd_store_failed(struct authd *a)
{
    switch (users_fault(a->users)) {
    case SQL_FAULT_FULL:
        return "the disk is full: make room and try again";
    case SQL_FAULT_BUSY:
        return "users.db is in use by another program: try again";
    case SQL_FAULT_IO:
    case SQL_FAULT_DAMAGED:
        authd_end(a, "users.db failed");
        return "users.db cannot be read or written: see the log, check the disk";
    default:
        return "users.db did not take it: see the log";
    }
}

void authd_wipe(struct span secret)
{
    if (secret.n > 0)
        sodium_memzero((void *)(uintptr_t)secret.p, secret.n);
}

/* --- start --- */

static int prepare(struct proc *p, struct error *e)
{
    static struct authd a; /* one per process; its children begin before there is a jail */
    char root[PATH_MAX];
    snprintf(root, sizeof root, "%s/empty", proc_config(p)->state_dir);
    struct jail jail = {.role = ROLE_AUTHD,
                        .root = root,
                        .files_max = VERIFIER_FILES,
                        .memory_max = VERIFIER_MEMORY,
                        .has_seccomp = proc_config(p)->seccomp == JAIL_ON,
                        .has_landlock = proc_config(p)->landlock == JAIL_ON};
    struct verify_spec spec = {
        .children = VERIFIERS, .passes = HASH_PASSES, .memory = HASH_MEMORY, .jail = &jail};
    a.proc = p;
    a.lock_fd = -1;
    a.verifiers = verify_fork(&spec, e);
    proc_set_state(p, &a);
    return a.verifiers != NULL ? 0 : -1;
}

/* Never two at once on one store: the one that barid run started and the one that a CLI started. */
static int take_lock(struct authd *a, struct error *e)
{
    a->lock_fd = open("users.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (a->lock_fd < 0)
        return error_set(e, "users.lock: %s", strerror(errno));
    int64_t until_ms = clock_mono_ms() + LOCK_WAIT_MS;
    while (flock(a->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_set(e, "users.lock: %s", strerror(errno));
        if (clock_mono_ms() >= until_ms)
            return error_set(e,
                             "another process is working on users.db: try again when it is done");
        nanosleep(&(struct timespec){.tv_nsec = LOCK_STEP_MS * 1000000L}, NULL);
    }
    return 0;
}

static void verifiers_gone(void *authd)
{
    login_save(authd);
    authd_end(authd, "all verifiers died");
}

static void save_logins(void *authd)
{
    login_save(authd);
}

static void tidy(void *authd)
{
    struct authd *a = authd;
    timer_set(&a->tidy, TIDY_MS);
    if (a->users != NULL && a->copy == NULL && users_tidy(a->users) < 0)
        LOG(0, "not-tidied", LZ("because", authd_store_failed(a)));
}

/* [auth] scram = no: keys that are easier to guess from than argon2id are not kept. */
static int forget_keys(const struct authd *a)
{
    return proc_config(a->proc)->auth.scram == SWITCH_ON ? 0 : users_forget_keys(a->users);
}

static int open_stores(struct proc *p, struct error *e)
{
    struct authd *a = proc_state(p);
    a->directory = directory_new();
    a->throttle = throttle_new();
    a->accounts = accounts_new();
    a->cache = cache_new();
    a->tickets = tickets_new();
    if (a->directory == NULL || a->throttle == NULL || a->accounts == NULL || a->cache == NULL ||
        a->tickets == NULL)
        return error_set(e, "out of memory");
    directory_set_hostname(a->directory, span_of(proc_config(p)->hostname));
    if (take_lock(a, e) < 0 || (a->users = users_open("users.db", e)) == NULL ||
        users_load(a->users, a->directory, e) < 0)
        return -1;
    if (users_secret(a->users, a->users_secret) < 0)
        return error_set(e, "users.db: its secret is damaged");
    forward_configure(a);
    if (forget_keys(a) < 0)
        return error_set(e, "users.db: the keys of SCRAM could not be removed");
    backup_clear();
    randombytes_buf(a->seal_key, sizeof a->seal_key);
    timer_init(&a->copy_on, proc_loop(p), backup_go_on, a);
    timer_init(&a->save_logins, proc_loop(p), save_logins, a);
    timer_init(&a->forget_again, proc_loop(p), forget_again, a);
    timer_init(&a->tell_again, proc_loop(p), devices_tell, a);
    timer_init(&a->tidy, proc_loop(p), tidy, a);
    timer_set(&a->tidy, TIDY_MS);
    verify_start(a->verifiers, proc_loop(p), verifiers_gone, a);
    return 0;
}

/* --- serve --- */

static void peer_up(struct proc *p, enum role role, unsigned instance, struct ipc *ch)
{
    (void)instance;
    struct authd *a = proc_state(p);
    if (role != ROLE_QUEUE)
        return;
    struct msg_seal_key m = {.key = {(const char *)a->seal_key, sizeof a->seal_key}};
    ipc_send_seal_key(ch, &m, -1);
    forget_again(a);
    devices_tell(a);
}

static void peer_down(struct proc *p, enum role role, unsigned instance, struct ipc *ch)
{
    (void)instance;
    struct authd *a = proc_state(p);
    if (ch == a->copy_for)
        backup_end(a);
    if (role == ROLE_CLI)
        hashing_channel_gone(a, ch);
    else
        login_channel_gone(a, ch);
}

static void on_resolve(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    static struct resolved found;
    static struct sealer sealer;
    struct authd *a = proc_state(owner);
    struct msg_resolve_re re = {.tag = m->resolve.tag};
    struct span address = m->resolve.address;
    stats_count(STAT_ADDRESSES_RESOLVED);
    resolve(a->directory, address, &found);
    if (resolve_seal(&found, address, a->seal_key, &sealer, &re.sealed) < 0) {
        LOG(0, "address-undecided", LS("address", address), LZ("because", "too many targets"));
        re.verdict = VERDICT_TRY_LATER;
    }
    re.kind = (uint8_t)found.kind;
    re.has_quota = found.has_quota;
    re.is_return = found.is_return;
    struct post post = post_of(a->directory, address, m->resolve.sender);
    re.post = (uint8_t)post.rule;
    re.is_member = post.is_member;
    ipc_send_resolve_re(from, &re, -1);
}

static void reloaded(struct proc *p)
{
    struct authd *a = proc_state(p);
    directory_set_hostname(a->directory, span_of(proc_config(p)->hostname));
    forward_configure(a);
    if (a->users != NULL && forget_keys(a) < 0)
        LOG(0, "keys-not-removed", LZ("because", authd_store_failed(a)));
}

void authd_drain_on(struct authd *a)
{
    if (!a->is_draining || a->hashings != NULL)
        return;
    login_save(a);
    backup_end(a);
    users_close(a->users);
    a->users = NULL;
    proc_exit(a->proc);
}

/* A command that waits for a verifier is finished first: what it was told to do is then done. */
static void drain(struct proc *p)
{
    struct authd *a = proc_state(p);
    a->is_draining = true;
    authd_drain_on(a);
}

static const struct ipc_handler handlers[] = {
    {MSG_RESOLVE, on_resolve},
    {MSG_EXPAND, expand_handle},
    {MSG_FORWARD, forward_handle},
    {MSG_BOX_DOMAIN, box_domain_handle},
    {MSG_LOGIN, login_handle},
    {MSG_SCRAM_FIRST, exchange_handle_first},
    {MSG_SCRAM_FINAL, exchange_handle_final},
    {MSG_LOGOUT, sender_handle_logout},
    {MSG_TICKET, sender_handle_ticket},
    {MSG_ADMIN, commands_handle},
    {MSG_BACKUP_NEXT, backup_handle},
};

const struct proc_spec authd_spec = {
    .role = ROLE_AUTHD,
    .handlers = handlers,
    .n_handlers = sizeof handlers / sizeof handlers[0],
    .prepare = prepare,
    .open = open_stores,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .reloaded = reloaded,
    .drain = drain,
    .file_size_max = STORE_FILE_MAX,
    .root = "authd",
};
