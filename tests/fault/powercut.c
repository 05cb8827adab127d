/* The power fails at a hundred moments of a queue's life (with --all at 2000). For each, the disk
 * is made as it could be then, the real queue is started on it, has to take another message, and is
 * compared with the ledger. */
#include "tests/fault/disk.h"
#include "tests/fault/tap.h"
#include "tests/fault/work.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#define LIVES 3

struct trace {
    char *octets;
    size_t n;
};

static struct ledger ledger;
static struct trace traces[LIVES];
static char base[PATH_MAX / 4];

/* --- the life before --- */

static int open_trace(unsigned life)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/trace-%u", base, life);
    int low = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    int fd = fcntl(low, F_DUPFD_CLOEXEC, 20);
    if (fd < 0)
        play_give_up(path);
    close(low);
    return fd;
}

static struct trace read_trace(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        play_give_up("trace");
    struct trace t = {malloc((size_t)st.st_size + 1), (size_t)st.st_size};
    if (t.octets == NULL || pread(fd, t.octets, t.n, 0) != (ssize_t)t.n)
        play_give_up("trace");
    close(fd);
    return t;
}

/* A clean stop after the first life, a crash of the process alone after the second. */
static void live(const char *state, size_t letters)
{
    for (unsigned life = 0; life < LIVES; life++) {
        struct play q = {.role = ROLE_QUEUE,
                         .state_dir = state,
                         .extra = WORK_CONFIG,
                         .peers = WORK_PEERS,
                         .trace_fd = open_trace(life),
                         .log_fd = tap_log()};
        errno = 0;
        if (play_start(&q) < 0 || work_begin(&q, &ledger) < 0)
            play_give_up(q.why);
        for (int day = 0; day < 3; day++)
            if (work_letters(&q, &ledger, letters / LIVES / 3) < 0 ||
                work_removals(&q, &ledger) < 0)
                play_give_up("the queue does not answer");
        if ((life == 1 ? play_kill(&q) : play_stop(&q)) == -1)
            play_give_up("the queue does not stop");
        traces[life] = read_trace(q.trace_fd);
    }
}

/* --- times are positions in the trace --- */

struct reader {
    unsigned life;
    size_t at, position;
    struct trace_record r;
    const char *octets;
};

static bool next_record(struct reader *in, bool *is_new_life)
{
    *is_new_life = false;
    while (in->life < LIVES && in->at == traces[in->life].n) {
        in->life++;
        in->at = 0;
        *is_new_life = true;
    }
    if (in->life == LIVES)
        return false;
    const struct trace *t = &traces[in->life];
    memcpy(&in->r, t->octets + in->at, sizeof in->r);
    in->octets = t->octets + in->at + sizeof in->r;
    in->at += sizeof in->r + in->r.n;
    in->position++;
    return true;
}

static void settle(size_t *when)
{
    *when = *when == 0 ? NEVER : *when;
}

static bool is_about_mail_db(const struct reader *in, int32_t *fd)
{
    static const char name[] = "mail.db";
    size_t n = sizeof name - 1;
    if (in->r.kind == TRACE_OPEN && in->r.n >= n && memcmp(in->octets + in->r.n - n, name, n) == 0)
        *fd = in->r.fd;
    return in->r.fd == *fd;
}

/* The number of records; *checkpoints: how often mail.db itself was synced. */
static size_t locate_all(size_t *checkpoints)
{
    struct reader in = {0};
    int32_t mail_fd = -1;
    bool is_new;
    *checkpoints = 0;
    for (size_t i = 0; i < ledger.n_letters; i++)
        ledger.letters[i].asked = ledger.letters[i].answered = ledger.letters[i].relayed = 0;
    for (size_t i = 0; i < ledger.n_removals; i++)
        ledger.removals[i].asked = ledger.removals[i].answered = 0;
    while (next_record(&in, &is_new)) {
        ledger_locate(&ledger, in.position, &in.r, in.octets);
        *checkpoints += is_about_mail_db(&in, &mail_fd) && in.r.kind == TRACE_SYNC;
    }
    for (size_t i = 0; i < ledger.n_letters; i++) {
        settle(&ledger.letters[i].asked);
        settle(&ledger.letters[i].answered);
        settle(&ledger.letters[i].relayed);
    }
    for (size_t i = 0; i < ledger.n_removals; i++) {
        settle(&ledger.removals[i].asked);
        settle(&ledger.removals[i].answered);
    }
    return in.position;
}

/* --- the cuts --- */

static bool cut(const struct disk *d, size_t position, enum survival s)
{
    static struct ledger copy; /* the proof is entered there */
    char state[PATH_MAX], dir[PATH_MAX + 8];
    snprintf(state, sizeof state, "%s/cut-%zu", base, position);
    snprintf(dir, sizeof dir, "%s/queue", state);
    play_layout(state);
    disk_crash(d, dir, s);
    memcpy(&copy, &ledger, sizeof copy);
    struct play q = {.role = ROLE_QUEUE,
                     .state_dir = state,
                     .extra = WORK_CONFIG,
                     .peers = WORK_PEERS & ~P_RELAY,
                     .trace_fd = -1,
                     .log_fd = tap_log()};
    unsigned wrong = 0;
    if (play_start(&q) < 0) {
        printf("# the queue does not start: %s\n", q.why);
        wrong++;
    } else {
        q.channels[ROLE_RELAY] = -1;
        play_connect(&q, ROLE_RELAY);
        wrong += work_begin(&q, &copy) < 0 || work_proof(&q, &copy) < 0;
        wrong += play_stop(&q) != 0;
        wrong += ledger_check(&copy, dir, position);
    }
    if (wrong > 0)
        printf("# at record %zu, %s of what was not synced survives\n", position,
               s == SURVIVES_ALL      ? "all"
               : s == SURVIVES_CHANCE ? "some"
                                      : "nothing");
    else
        tap_remove(state);
    return wrong == 0;
}

/* Moments around syncs and answers are the interesting ones. */
static size_t weight(const struct reader *in)
{
    return in->r.kind == TRACE_SYNC || in->r.kind == TRACE_SEND ? 5 : 1;
}

static void cut_everywhere(const char *root, size_t records, size_t points)
{
    struct disk *d = disk_new(root);
    struct reader in = {0};
    bool is_new;
    size_t done = 0, failed = 0, left = 0;
    while (next_record(&in, &is_new))
        left += weight(&in);
    in = (struct reader){0};
    while (failed < 3 && next_record(&in, &is_new)) {
        if (is_new)
            disk_new_process(d);
        disk_apply(d, &in.r, in.octets);
        bool is_cut = chance(left) < (points - done) * weight(&in);
        left -= weight(&in);
        if (!is_cut)
            continue;
        done++;
        failed += !cut(d, in.position, (enum survival)chance(SURVIVALS));
    }
    disk_free(d);
    tap_ok(failed == 0, "power cuts at %zu of %zu moments: nothing lost, nothing twice", done,
           records);
}

int main(int argc, char **argv)
{
    char state[PATH_MAX / 2], root[PATH_MAX];
    tap_begin(argc, argv, "powercut", base, sizeof base);
    chance_begin(tap_seed());
    snprintf(state, sizeof state, "%s/state", base);
    snprintf(root, sizeof root, "%s/queue", state);
    play_layout(state);
    live(state, tap_is_all() ? 450 : 180);
    size_t checkpoints, records = locate_all(&checkpoints);
    unsigned wrong = ledger_check(&ledger, root, NEVER - 1);
    tap_ok(wrong == 0, "without a power cut: %zu messages as they were sent", ledger.n_letters);
    tap_ok(checkpoints > 5 * LIVES, "mail.db took %zu checkpoints", checkpoints);
    cut_everywhere(geteuid() == 0 ? "" : root, records, tap_is_all() ? 2000 : 100);
    return tap_end();
}
