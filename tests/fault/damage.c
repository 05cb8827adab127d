/* What happens to the store while the queue is down, and to the clock: a damaged, cut or unwritable
 * mail.db is said in one line and nothing in it is changed; random damage ends
 * in a line or in work, never in a crash; after a jump of a day either way mail goes on. */
#include "tests/fault/disk.h"
#include "tests/fault/tap.h"
#include "tests/fault/work.h"

#include "common/clock.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define DAY_S   86400
#define DAMAGES 12

static char base[PATH_MAX / 4], state[PATH_MAX / 2], dir[PATH_MAX], mail[PATH_MAX + 16];
static struct ledger ledger;

static struct play a_queue(void)
{
    return (struct play){.role = ROLE_QUEUE,
                         .state_dir = state,
                         .extra = WORK_CONFIG,
                         .peers = WORK_PEERS,
                         .trace_fd = -1,
                         .log_fd = tap_log()};
}

static bool works(struct play *q, size_t letters)
{
    if (play_start(q) < 0) {
        printf("# %s\n", q->why);
        return false;
    }
    bool is_good = work_begin(q, &ledger) == 0 && work_letters(q, &ledger, letters) == 0 &&
                   work_removals(q, &ledger) == 0;
    return play_stop(q) == 0 && is_good && ledger_check(&ledger, dir, NEVER - 1) == 0;
}

/* --- octets of mail.db --- */

static size_t size_of_mail(void)
{
    struct stat st;
    return stat(mail, &st) == 0 ? (size_t)st.st_size : 0;
}

static char *read_mail(void)
{
    size_t n = size_of_mail();
    char *octets = malloc(n + 1);
    int fd = open(mail, O_RDONLY | O_CLOEXEC);
    if (octets == NULL || read(fd, octets, n) != (ssize_t)n)
        play_give_up(mail);
    close(fd);
    return octets;
}

static void write_mail(const char *octets, size_t n, size_t at)
{
    int fd = open(mail, O_WRONLY | O_CLOEXEC);
    if (pwrite(fd, octets, n, (off_t)at) != (ssize_t)n)
        play_give_up(mail);
    close(fd);
}

/* It must say this and leave the file as it is. */
static void refuses(const char *what, const char *line)
{
    struct play q = a_queue();
    size_t n = size_of_mail();
    char *before = read_mail();
    bool is_refused = play_start(&q) < 0 && strstr(q.why, line) != NULL;
    if (q.pid > 0)
        play_kill(&q);
    char *after = read_mail();
    bool is_same = n == size_of_mail() && memcmp(before, after, n) == 0;
    free(before);
    free(after);
    tap_ok(is_refused && is_same, "mail.db %s: \"%s\"", what, q.why);
}

static void damaged(void)
{
    static const char garbage[4096] = "garbage";
    size_t n = size_of_mail();
    char *good = read_mail();
    write_mail(garbage, 100, 0);
    refuses("without its header", "is not a database: move it away or restore a backup");
    write_mail(good, n, 0);
    write_mail(garbage, sizeof garbage - 100, 100);
    refuses("without its schema", "restore a backup");
    write_mail(good, n, 0);
    if (truncate(mail, (off_t)(n / 2)) < 0)
        play_give_up(mail);
    refuses("cut in half", "restore a backup");
    write_mail(good, n, 0);
    free(good);
}

/* Whatever it makes of it, it is no crash, and the good file is good again afterwards. */
static void damaged_anywhere(void)
{
    size_t n = size_of_mail();
    char *good = read_mail();
    unsigned crashes = 0;
    for (int i = 0; i < DAMAGES; i++) {
        static struct ledger unused;
        struct play q = a_queue();
        unused = ledger;
        for (int k = 0; k < 20; k++)
            write_mail("\xa5", 1, chance(n));
        if (play_start(&q) == 0) {
            if (work_begin(&q, &unused) == 0)
                work_proof(&q, &unused);
            int status = play_stop(&q);
            crashes += status == -1 || WIFSIGNALED(status);
        }
        if (truncate(mail, (off_t)n) < 0)
            play_give_up(mail);
        write_mail(good, n, 0);
    }
    free(good);
    tap_ok(crashes == 0, "mail.db with 20 octets changed, %d times: no crash", DAMAGES);
}

static void unwritable(void)
{
    if (chmod(mail, 0440) < 0 || chmod(dir, 0550) < 0)
        play_give_up(mail);
    refuses("not writable", "ermission denied");
    chmod(mail, 0640);
    chmod(dir, 02750);
    struct play q = a_queue();
    tap_ok(works(&q, 10), "and writable again: it goes on");
}

/* --- the clock --- */

static void jumps(int64_t seconds)
{
    char clock[32];
    struct play q = a_queue();
    snprintf(clock, sizeof clock, "clock:1:%lld", (long long)seconds);
    q.fault = clock;
    clock_fake(-1, -1);
    clock_fake(clock_mono_ms(), clock_wall_ms() + seconds * 1000);
    tap_ok(works(&q, 20), "the clock jumps by %lld s: mail goes on", (long long)seconds);
    clock_fake(-1, -1);
}

int main(int argc, char **argv)
{
    tap_begin(argc, argv, "damage", base, sizeof base);
    chance_begin(tap_seed());
    snprintf(state, sizeof state, "%s/state", base);
    snprintf(dir, sizeof dir, "%s/queue", state);
    snprintf(mail, sizeof mail, "%s/mail.db", dir);
    play_layout(state);
    struct play q = a_queue();
    tap_ok(works(&q, 40), "without damage");
    damaged();
    damaged_anywhere();
    unwritable();
    jumps(DAY_S);
    jumps(-DAY_S);
    jumps(0);
    return tap_end();
}
