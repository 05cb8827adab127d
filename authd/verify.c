#include "authd/verify.h"

#include "authd/verify_child.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define CHILDREN_MAX 8

struct job {
    struct job *next;
    enum verify_op op;
    struct verify_call call;
    int64_t until_ms;
    char hash[USERS_HASH_MAX];
    struct scram_salt salt;
    size_t n_password;
    char password[];
};

struct child {
    struct verifiers *owner;
    int fd; /* -1: gone */
    pid_t pid;
    struct watch watch;
    struct job *job; /* being worked on */
};

struct verifiers {
    struct loop *loop; /* NULL until verify_start */
    struct child children[CHILDREN_MAX];
    unsigned n_children;
    struct job *first, **last;
    unsigned n_jobs; /* waiting */
    struct timer overdue;
    char nobody[USERS_HASH_MAX]; /* a valid hash that nothing matches */
    void (*all_gone)(void *arg);
    void *arg;
};

/* --- starting --- */

/* A hash string with random salt and result: checking it costs the same as checking a real one. */
static void make_nobody(struct verifiers *v, const struct verify_spec *spec)
{
    unsigned char octets[48];
    char salt[24], result[48];
    randombytes_buf(octets, sizeof octets);
    sodium_bin2base64(salt, sizeof salt, octets, 16, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    sodium_bin2base64(result, sizeof result, octets + 16, 32,
                      sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    snprintf(v->nobody, sizeof v->nobody, "$argon2id$v=19$m=%u,t=%u,p=1$%s$%s",
             (unsigned)(spec->memory / 1024), (unsigned)spec->passes, salt, result);
}

/* Keeps stderr and its channel; what else was open belongs to authd. */
static _Noreturn void become_child(int fd, const struct verify_spec *spec)
{
    if (dup3(fd, 3, O_CLOEXEC) < 0 && errno != EINVAL)
        _exit(1);
    close_range(4, ~0U, 0);
    _exit(verify_child(3, spec));
}

static int fork_one(struct verifiers *v, const struct verify_spec *spec, struct error *e)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set(e, "cannot make a channel to a verifier: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        become_child(pair[1], spec);
    int saved = errno;
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return error_set(e, "cannot fork a verifier: %s", strerror(saved));
    }
    v->children[v->n_children++] = (struct child){.owner = v, .fd = pair[0], .pid = pid};
    return 0;
}

struct verifiers *verify_fork(const struct verify_spec *spec, struct error *e)
{
    struct verifiers *v = calloc(1, sizeof *v);
    if (v == NULL) {
        error_set(e, "out of memory");
        return NULL;
    }
    v->last = &v->first;
    make_nobody(v, spec);
    log_flush();              /* or the children would write our lines again */
    signal(SIGCHLD, SIG_IGN); /* the dead among them are buried at once */
    while (v->n_children < spec->children && v->n_children < CHILDREN_MAX)
        if (fork_one(v, spec, e) < 0) {
            verify_stop(v);
            return NULL;
        }
    return v;
}

/* --- jobs --- */

static void finish(struct job *j, enum verify_result result, const struct verified *v)
{
    struct verify_call call = j->call;
    sodium_memzero(j->password, j->n_password);
    free(j);
    call.done(call.arg, result, v);
}

static void give_up(struct job *j)
{
    finish(j, VERIFY_FAULT, &(const struct verified){.hash = ""});
}

static struct job *pop(struct verifiers *v)
{
    struct job *j = v->first;
    v->first = j->next;
    if (v->first == NULL)
        v->last = &v->first;
    v->n_jobs--;
    return j;
}

static int send_job(const struct child *c, const struct job *j)
{
    char ask[VERIFY_ASK_MAX];
    struct packer w = packer_on(ask, sizeof ask);
    pack_uint(&w, j->op, 1);
    pack_bytes(&w, span_of(j->hash));
    pack_bytes(&w, (struct span){(const char *)j->salt.octets, sizeof j->salt.octets});
    pack_uint(&w, j->salt.iterations, 4);
    pack_bytes(&w, (struct span){j->password, j->n_password});
    ssize_t n = w.failed ? -1 : send(c->fd, ask, w.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    sodium_memzero(ask, sizeof ask);
    return n < 0 ? -1 : 0;
}

static struct child *idle_child(struct verifiers *v)
{
    for (unsigned i = 0; i < v->n_children; i++)
        if (v->children[i].fd >= 0 && v->children[i].job == NULL)
            return &v->children[i];
    return NULL;
}

static void hand_out(struct verifiers *v)
{
    struct child *c;
    while (v->first != NULL && (c = idle_child(v)) != NULL) {
        struct job *j = pop(v);
        if ((j->call.is_wanted != NULL && !j->call.is_wanted(j->call.arg)) || send_job(c, j) < 0) {
            give_up(j);
            continue;
        }
        sodium_memzero(j->password, j->n_password);
        c->job = j;
    }
    int64_t left_ms = v->first != NULL ? v->first->until_ms - clock_mono_ms() : 0;
    if (v->first == NULL)
        timer_stop(&v->overdue);
    else
        timer_set(&v->overdue, left_ms > 0 ? left_ms : 0);
}

/* Runs from the loop, soon after a job came, too: the first job's timer is then set to now. */
static void overdue(void *arg)
{
    struct verifiers *v = arg;
    unsigned n_before = v->n_jobs;
    while (v->first != NULL && v->first->until_ms <= clock_mono_ms())
        give_up(pop(v));
    if (v->n_jobs < n_before)
        LOG(0, "verifiers-overloaded", LN("given-up", n_before - v->n_jobs),
            LN("waiting", v->n_jobs));
    hand_out(v);
}

static int add_job(struct verifiers *v, enum verify_op op, const struct verify_ask *ask,
                   const struct verify_call *call)
{
    struct span password = ask->password;
    if (v->n_jobs >= VERIFY_QUEUE_MAX || password.n > PASSWORD_MAX)
        return -1;
    struct job *j = malloc(sizeof *j + password.n);
    if (j == NULL)
        return -1;
    *j = (struct job){.op = op,
                      .call = *call,
                      .salt = ask->salt,
                      .until_ms = clock_mono_ms() + VERIFY_DEADLINE_MS,
                      .n_password = password.n};
    if (op == VERIFY_OP_CHECK)
        snprintf(j->hash, sizeof j->hash, "%s", ask->hash[0] != '\0' ? ask->hash : v->nobody);
    if (password.n > 0)
        memcpy(j->password, password.p, password.n);
    *v->last = j;
    v->last = &j->next;
    if (v->n_jobs++ == 0)
        timer_set(&v->overdue, 0);
    return 0;
}

int verify_check(struct verifiers *v, const struct verify_ask *ask, const struct verify_call *call)
{
    return add_job(v, VERIFY_OP_CHECK, ask, call);
}

int verify_hash(struct verifiers *v, const struct verify_ask *ask, const struct verify_call *call)
{
    return add_job(v, VERIFY_OP_HASH, ask, call);
}

/* --- children --- */

static void child_gone(struct child *c)
{
    struct verifiers *v = c->owner;
    watch_stop(&c->watch);
    close(c->fd);
    c->fd = -1;
    LOG(0, "verifier-died", LN("pid", c->pid));
    if (c->job != NULL) {
        struct job *j = c->job;
        c->job = NULL;
        give_up(j);
    }
    for (unsigned i = 0; i < v->n_children; i++)
        if (v->children[i].fd >= 0)
            return;
    while (v->first != NULL)
        give_up(pop(v));
    v->all_gone(v->arg);
}

static void child_ready(void *arg, bool readable, bool writable)
{
    (void)readable, (void)writable;
    struct child *c = arg;
    char octets[VERIFY_ANSWER_MAX];
    struct verified done;
    ssize_t n = recv(c->fd, octets, sizeof octets, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    struct unpacker r = unpacker_on((struct span){octets, n > 0 ? (size_t)n : 0});
    uint64_t result = unpack_uint(&r, 1);
    struct span text = unpack_bytes(&r, sizeof done.hash - 1);
    struct span stored = unpack_bytes(&r, sizeof done.keys.stored);
    struct span server = unpack_bytes(&r, sizeof done.keys.server);
    if (!unpack_done(&r) || span_copy(done.hash, sizeof done.hash, text) < 0 || c->job == NULL ||
        stored.n != sizeof done.keys.stored || server.n != sizeof done.keys.server) {
        child_gone(c);
        return;
    }
    struct verifiers *v = c->owner;
    struct job *j = c->job;
    c->job = NULL;
    memcpy(done.keys.stored, stored.p, stored.n);
    memcpy(done.keys.server, server.p, server.n);
    finish(j, result <= VERIFY_FAULT ? (enum verify_result)result : VERIFY_FAULT, &done);
    sodium_memzero(&done, sizeof done);
    sodium_memzero(octets, sizeof octets);
    hand_out(v);
}

void verify_start(struct verifiers *v, struct loop *l, void (*all_gone)(void *arg), void *arg)
{
    v->loop = l;
    v->all_gone = all_gone;
    v->arg = arg;
    timer_init(&v->overdue, l, overdue, v);
    for (unsigned i = 0; i < v->n_children; i++) {
        struct child *c = &v->children[i];
        watch_init(&c->watch, l, c->fd, child_ready, c);
        watch_set(&c->watch, true, false);
    }
}

static void drop_job(struct job *j)
{
    if (j == NULL)
        return;
    sodium_memzero(j->password, j->n_password);
    free(j);
}

void verify_stop(struct verifiers *v)
{
    if (v == NULL)
        return;
    if (v->loop != NULL)
        timer_stop(&v->overdue);
    while (v->first != NULL)
        drop_job(pop(v));
    for (unsigned i = 0; i < v->n_children; i++) {
        struct child *c = &v->children[i];
        drop_job(c->job);
        if (c->fd < 0)
            continue;
        if (v->loop != NULL)
            watch_stop(&c->watch);
        close(c->fd);
        waitpid(c->pid, NULL, 0);
    }
    free(v);
}
