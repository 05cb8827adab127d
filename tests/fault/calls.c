/* One call of a process fails: every one of a day's work that is made from another place in the
 * program, of every kind of call, with every error; all syncs of the queue, and all statements of
 * SQLite, also from the same place (without --all: all syncs, and a sample of the others). The
 * process may refuse, say "later", or end; it may not fall silent nor say "no" for that reason.
 * Then it is started again, and what it said is compared with what is there.
 *
 * A crash is never right, but one: libunbound 1.17 follows null pointers in some places when it has
 * no memory, and the resolver can do no more about that than to be a process of its own, which is
 * started again. */
#include "tests/fault/subject.h"
#include "tests/fault/tap.h"
#include "tests/fault/work.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SITES_MAX 65536

static const struct kind {
    const char *call, *what;
} kinds[] = {
    {"alloc", "ENOMEM"}, {"open", "EMFILE"},   {"open", "EIO"},      {"open", "kill"},
    {"read", "EIO"},     {"read", "kill"},     {"write", "EIO"},     {"write", "ENOSPC"},
    {"write", "short"},  {"write", "kill"},    {"sync", "EIO"},      {"sync", "ENOSPC"},
    {"sync", "kill"},    {"truncate", "EIO"},  {"truncate", "kill"}, {"unlink", "EIO"},
    {"unlink", "kill"},  {"send", "ENOMEM"},   {"send", "kill"},     {"receive", "ENOMEM"},
    {"receive", "kill"}, {"step", "FULL"},     {"step", "IOERR"},    {"step", "BUSY"},
    {"step", "NOMEM"},   {"step", "CORRUPT"},  {"step", "kill"},     {"accept", "EMFILE"},
    {"accept", "kill"},  {"socket", "EMFILE"}, {"connect", "EIO"},   {"talk", "EIO"},
    {"talk", "short"},   {"talk", "kill"},     {"hear", "EIO"},      {"hear", "kill"},
};
#define N_KINDS      (sizeof kinds / sizeof kinds[0])
#define FIRST_OF_NET 27 /* the queue makes none of these */

static char base[PATH_MAX / 4];
static const struct subject *subject;

/* The calls of a day that are made from different places: the first of each. */
static uint64_t sites[SITES_MAX];
static size_t n_sites;

/* A pipe, since some processes may write to no file. *reading: our end. The other one is out of the
 * way of the numbers that a process gets. */
static int open_trace(int *reading)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        play_give_up("pipe");
    fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    *reading = ends[0];
    int fd = fcntl(ends[1], F_DUPFD_CLOEXEC, 20);
    close(ends[1]);
    return fd;
}

struct seen {
    bool is_failed;  /* the call that was to fail did; if not, *count is the number of such calls */
    bool is_foreign; /* it crashed, inside of libunbound */
};

static struct seen read_trace(int trace_fd, uint64_t *count) /* 0: unknown */
{
    struct trace_record r;
    struct seen seen = {false, false};
    while (read(trace_fd, &r, sizeof r) == sizeof r) {
        seen.is_failed |= r.kind == TRACE_FAILED;
        seen.is_foreign |= r.kind == TRACE_FOREIGN;
        *count = r.kind == TRACE_COUNT ? r.offset : *count;
        if (r.kind == TRACE_SITE && n_sites < SITES_MAX)
            sites[n_sites++] = r.offset;
    }
    close(trace_fd);
    return seen;
}

static struct play player(const char *state)
{
    return (struct play){.role = subject->role,
                         .state_dir = state,
                         .extra = subject->config,
                         .peers = subject->peers,
                         .trace_fd = -1,
                         .log_fd = tap_log(),
                         .before_start = subject->before_start};
}

/* The number of things that are wrong. *signal: what it died of, or 0. */
static unsigned live(const char *state, const char *fault, int trace_fd, int *signal)
{
    struct play p = player(state);
    p.trace_fd = trace_fd;
    p.fault = fault;
    *signal = 0;
    if (play_start(&p) < 0)
        return 0; /* that is allowed; it is started again */
    int rc = subject->day(&p);
    if (rc == WORK_SILENCE)
        printf("# it does not answer\n");
    int status = play_is_alive(&p) && rc == 0 ? play_stop(&p) : play_kill(&p);
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        *signal = WTERMSIG(status);
    if (subject->evening != NULL)
        subject->evening(status == 0);
    return (unsigned)(rc == WORK_SILENCE) + subject_take_wrong();
}

static unsigned again(const char *state)
{
    struct play p = player(state);
    if (play_start(&p) < 0) {
        printf("# it does not start again: %s\n", p.why);
        return 1;
    }
    subject->again(&p);
    unsigned wrong = subject_take_wrong() + (play_stop(&p) != 0);
    return wrong + (subject->stopped != NULL ? subject->stopped(state) : 0);
}

/* 1: it failed and all was well; 0: there is no Nth call; -1: all was not well. */
static int fail_one(const struct kind *k, uint64_t n, uint64_t *count)
{
    char state[PATH_MAX / 2], template[PATH_MAX / 2], fault[64];
    snprintf(fault, sizeof fault, "%s:%llu:%s", k->call, (unsigned long long)n, k->what);
    snprintf(template, sizeof template, "%s/%s", base, role_name(subject->role));
    snprintf(state, sizeof state, "%s/%s-%s", base, role_name(subject->role),
             subject->is_kept ? "kept" : fault);
    int reading, trace_fd = open_trace(&reading);
    subject->lay_out(state, template);
    int signal;
    unsigned wrong = live(state, fault, trace_fd, &signal);
    close(trace_fd);
    struct seen seen = read_trace(reading, count);
    if (signal != 0 && !seen.is_foreign) {
        printf("# it died of signal %d\n", signal);
        wrong++;
    }
    wrong += again(state);
    if (wrong > 0) {
        printf("# %s with %s\n", role_name(subject->role), fault);
        return -1;
    }
    if (!subject->is_kept)
        tap_remove(state);
    return seen.is_failed ? 1 : 0;
}

/* BARID_FAULT_AT=CALL:N:WHAT: that one alone, to look into it. */
static bool is_looked_into(const char *at)
{
    char text[64];
    uint64_t n, unused;
    snprintf(text, sizeof text, "%s", at);
    char *number = strchr(text, ':'), *what = number != NULL ? strchr(number + 1, ':') : NULL;
    if (what == NULL)
        return false;
    *number++ = *what++ = '\0';
    n = strtoull(number, NULL, 10);
    tap_ok(fail_one(&(struct kind){text, what}, n, &unused) >= 0, "%s with %s",
           role_name(subject->role), at);
    return true;
}

static void fail_each(const struct kind *k)
{
    uint64_t count = 0, done = 0;
    n_sites = 0;
    int rc = fail_one(k, UINT64_MAX, &count);
    const char *at = getenv("BARID_FAULT_AT");
    if (at != NULL && (k > kinds || is_looked_into(at)))
        return;
    bool is_every = (subject == &subject_queue && strcmp(k->call, "sync") == 0) ||
                    (tap_is_all() && strcmp(k->call, "step") == 0);
    size_t all = is_every ? (size_t)count : n_sites;
    size_t stride = is_every || tap_is_all() || all < subject->sample ? 1 : all / subject->sample;
    for (size_t i = 0; rc >= 0 && i < all; i += stride) {
        uint64_t unused;
        rc = fail_one(k, is_every ? i + 1 : sites[i], &unused);
        done += rc > 0;
    }
    if (rc >= 0 && count == 0 && (subject != &subject_queue || k >= kinds + FIRST_OF_NET))
        return; /* it makes no such calls */
    tap_ok(rc >= 0 && count > 0, "%s: %s fails with %s: %llu of %llu calls from %llu places",
           role_name(subject->role), k->call, k->what, (unsigned long long)done,
           (unsigned long long)count, (unsigned long long)n_sites);
}

/* Those that take longest first. */
static const struct subject *const subjects[] = {
    &subject_queue, &subject_policy,   &subject_keyd,  &subject_relay,  &subject_smtpd,
    &subject_pop3d, &subject_resolver, &subject_authd, &subject_mailbox};
#define N_SUBJECTS (sizeof subjects / sizeof subjects[0])

static void fail_subject(size_t t)
{
    const char *only = getenv("BARID_FAULT_ROLE"), *call = getenv("BARID_FAULT_CALL");
    subject = subjects[t];
    for (size_t i = 0; i < N_KINDS; i++)
        if ((only == NULL || strcmp(only, role_name(subject->role)) == 0) &&
            (call == NULL || strcmp(call, kinds[i].call) == 0)) /* to look into some */
            fail_each(&kinds[i]);
    if (subject->put_away != NULL)
        subject->put_away();
}

int main(int argc, char **argv)
{
    tap_begin(argc, argv, "calls", base, sizeof base);
    tap_split(N_SUBJECTS, fail_subject);
    return tap_end();
}
