/* One call of the queue fails: the 1st, the 2nd, and so on to the last that a day's work makes; of
 * every kind of call, with every error (without --all: all syncs, and a
 * sample of the others). The queue may refuse, or
 * end; it may not fall silent. Then it is started again and compared with the ledger. */
#include "tests/fault/disk.h"
#include "tests/fault/tap.h"
#include "tests/fault/work.h"

#include "common/verdict.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SAMPLE 8

static const struct kind {
    const char *call, *what;
} kinds[] = {
    {"alloc", "ENOMEM"}, {"open", "EMFILE"},  {"open", "EIO"},      {"open", "kill"},
    {"read", "EIO"},     {"read", "kill"},    {"write", "EIO"},     {"write", "ENOSPC"},
    {"write", "short"},  {"write", "kill"},   {"sync", "EIO"},      {"sync", "ENOSPC"},
    {"sync", "kill"},    {"truncate", "EIO"}, {"truncate", "kill"}, {"unlink", "EIO"},
    {"unlink", "kill"},  {"send", "ENOMEM"},  {"send", "kill"},     {"receive", "ENOMEM"},
    {"receive", "kill"},
};

static struct ledger ledger;
static char base[PATH_MAX / 4];

static int open_trace(void)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/trace", base);
    int low = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    int fd = fcntl(low, F_DUPFD_CLOEXEC, 20);
    if (fd < 0)
        play_give_up(path);
    close(low);
    return fd;
}

/* Did it fail? If not, *count is the number of such calls (0: unknown). */
static bool has_failed(int trace_fd, uint64_t *count)
{
    struct trace_record r;
    bool is_failed = false;
    off_t at = 0;
    for (; pread(trace_fd, &r, sizeof r, at) == sizeof r; at += (off_t)sizeof r) {
        is_failed |= r.kind == TRACE_FAILED;
        *count = r.kind == TRACE_COUNT ? r.offset : *count;
    }
    close(trace_fd);
    return is_failed;
}

/* What a queue that ended by an I/O error said "later" to may be on its disk all the same. */
static void forget_faults(void)
{
    for (size_t i = 0; i < ledger.n_letters; i++)
        if (ledger.letters[i].verdict == VERDICT_TRY_LATER &&
            ledger.letters[i].kind < LETTER_ABORTED)
            ledger.letters[i].answered = NEVER;
}

static int day(struct play *q)
{
    int rc = work_begin(q, &ledger);
    for (int i = 0; i < 2 && rc == 0; i++) {
        rc = work_letters(q, &ledger, 8);
        if (rc == 0)
            rc = work_removals(q, &ledger);
    }
    return rc;
}

/* The number of things that are wrong. */
static unsigned live(const char *state, const char *fault, int trace_fd)
{
    struct play q = {.role = ROLE_QUEUE,
                     .state_dir = state,
                     .extra = WORK_CONFIG,
                     .peers = WORK_PEERS,
                     .trace_fd = trace_fd,
                     .fault = fault,
                     .log_fd = tap_log()};
    if (play_start(&q) < 0)
        return 0; /* that is allowed; it is started again */
    int rc = day(&q);
    if (rc == WORK_SILENCE)
        printf("# it does not answer\n");
    int status = play_is_alive(&q) && rc == 0 ? play_stop(&q) : play_kill(&q);
    if (status != 0)
        forget_faults();
    bool has_crashed = WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL;
    if (has_crashed)
        printf("# it died of signal %d\n", WTERMSIG(status));
    return (unsigned)(rc == WORK_SILENCE) + has_crashed;
}

static unsigned again(const char *state)
{
    char dir[PATH_MAX];
    struct play q = {.role = ROLE_QUEUE,
                     .state_dir = state,
                     .extra = WORK_CONFIG,
                     .peers = WORK_PEERS,
                     .trace_fd = -1,
                     .log_fd = tap_log()};
    snprintf(dir, sizeof dir, "%s/queue", state);
    if (play_start(&q) < 0) {
        printf("# it does not start again: %s\n", q.why);
        return 1;
    }
    unsigned wrong = work_begin(&q, &ledger) < 0 || work_proof(&q, &ledger) < 0;
    wrong += play_stop(&q) != 0;
    return wrong + ledger_check(&ledger, dir, NEVER - 1);
}

/* 1: it failed and all was well; 0: there is no Nth call; -1: all was not well. */
static int fail_one(const struct kind *k, uint64_t n, uint64_t *count)
{
    char state[PATH_MAX / 2], fault[64];
    snprintf(fault, sizeof fault, "%s:%llu:%s", k->call, (unsigned long long)n, k->what);
    snprintf(state, sizeof state, "%s/%s", base, fault);
    int trace_fd = open_trace();
    ledger = (struct ledger){0};
    chance_begin(tap_seed()); /* the same day each time */
    play_layout(state);
    unsigned wrong = live(state, fault, trace_fd);
    bool is_failed = has_failed(trace_fd, count);
    wrong += again(state);
    if (wrong > 0) {
        printf("# with %s\n", fault);
        return -1;
    }
    tap_remove(state);
    return is_failed ? 1 : 0;
}

static void fail_each(const struct kind *k)
{
    uint64_t count = 0, done = 0;
    int rc = fail_one(k, UINT64_MAX, &count);
    bool is_whole = tap_is_all() || count < SAMPLE || strcmp(k->call, "sync") == 0;
    uint64_t stride = is_whole ? 1 : count / SAMPLE;
    for (uint64_t n = 1; rc >= 0 && n <= count; n += stride) {
        uint64_t unused;
        rc = fail_one(k, n, &unused);
        done += rc > 0;
    }
    tap_ok(rc >= 0 && count > 0, "%s fails with %s: %llu of %llu calls", k->call, k->what,
           (unsigned long long)done, (unsigned long long)count);
}

int main(int argc, char **argv)
{
    tap_begin(argc, argv, "calls", base, sizeof base);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        fail_each(&kinds[i]);
    return tap_end();
}
