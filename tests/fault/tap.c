#include "tests/fault/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define AT_ONCE 2

static struct {
    char dir[PATH_MAX / 4];
    uint64_t seed;
    int n, failed, log_fd;
    bool is_all;
} tap;

static bool is_unwanted(const char *name, const char *filter)
{
    char text[100];
    size_t n = strlen(filter);
    if (n < 2 || n - 2 >= sizeof text || filter[0] != '*' || filter[n - 1] != '*')
        return true;
    memcpy(text, filter + 1, n - 2);
    text[n - 2] = '\0';
    return strstr(name, text) == NULL;
}

/* What programs of this name left behind that were killed: their directories have their pids. */
static void remove_strays(const char *where, const char *name)
{
    char prefix[100], path[PATH_MAX];
    struct dirent *e;
    DIR *d = opendir(where);
    int n = snprintf(prefix, sizeof prefix, "barid-%s-", name);
    while (d != NULL && (e = readdir(d)) != NULL) {
        long pid = strncmp(e->d_name, prefix, (size_t)n) == 0 ? strtol(e->d_name + n, NULL, 10) : 0;
        if (pid <= 0 || strstr(e->d_name, ".kept") != NULL || kill((pid_t)pid, 0) == 0 ||
            errno != ESRCH)
            continue;
        snprintf(path, sizeof path, "%s/%s", where, e->d_name);
        tap_remove(path);
    }
    if (d != NULL)
        closedir(d);
}

void tap_begin(int argc, char **argv, const char *name, char *dir, size_t cap)
{
#ifdef BARID_SANITIZERS
    printf("1..0 # SKIP the sanitizers want to be the first library\n");
    exit(0);
#endif
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    tap.seed = (uint64_t)now.tv_nsec;
    tap.is_all = getenv("BARID_TEST_ALL") != NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--all") == 0)
            tap.is_all = true;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            tap.seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc && is_unwanted(name, argv[++i]))
            exit(0);
    }
    const char *where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    remove_strays(where, name);
    snprintf(tap.dir, sizeof tap.dir, "%s/barid-%s-%d-XXXXXX", where, name, (int)getpid());
    if (mkdtemp(tap.dir) == NULL || chmod(tap.dir, 0755) < 0) {
        printf("Bail out! %s: %s\n", tap.dir, strerror(errno));
        exit(1);
    }
    snprintf(dir, cap, "%s", tap.dir);
    char log[PATH_MAX];
    snprintf(log, sizeof log, "%s/log", tap.dir);
    int low = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    tap.log_fd = fcntl(low, F_DUPFD_CLOEXEC, 20);
    close(low);
    printf("# seed %llu\n", (unsigned long long)tap.seed);
}

bool tap_is_all(void)
{
    return tap.is_all;
}

uint64_t tap_seed(void)
{
    return tap.seed;
}

int tap_log(void)
{
    return tap.log_fd;
}

void tap_ok(bool is_ok, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    printf("%sok %d - ", is_ok ? "" : "not ", ++tap.n);
    vprintf(fmt, ap);
    printf("\n");
    fflush(stdout);
    va_end(ap);
    tap.failed += !is_ok;
}

/* --- parts --- */

static void part_path(char *path, size_t cap, size_t i)
{
    snprintf(path, cap, "%s/part-%zu", tap.dir, i);
}

static pid_t start_part(size_t i, void (*part)(size_t i))
{
    char path[PATH_MAX];
    part_path(path, sizeof path, i);
    fflush(stdout);
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || freopen(path, "w", stdout) == NULL)
        _exit(1);
    part(i);
    fflush(stdout);
    _exit(0);
}

/* Its lines, with the numbers that they have here. */
static void take_lines(size_t i)
{
    char path[PATH_MAX], line[4096];
    part_path(path, sizeof path, i);
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        bool is_ok = strncmp(line, "ok ", 3) == 0, is_not_ok = strncmp(line, "not ok ", 7) == 0;
        const char *text = is_ok || is_not_ok ? strstr(line, " - ") : NULL;
        line[strcspn(line, "\n")] = '\0';
        if (text != NULL)
            tap_ok(is_ok, "%s", text + 3);
        else
            printf("%s\n", line);
    }
    if (f != NULL)
        fclose(f);
}

static void bury_part(const pid_t *pids, size_t n)
{
    int status;
    pid_t pid = wait(&status);
    size_t i = 0;
    while (i < n && pids[i] != pid)
        i++;
    if (i == n)
        return;
    take_lines(i);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        tap_ok(false, "part %zu ended with status %d", i, status);
}

void tap_split(size_t n, void (*part)(size_t i))
{
    pid_t *pids = calloc(n, sizeof *pids);
    for (size_t started = 0, ended = 0; pids != NULL && ended < n;) {
        if (started < n && started - ended < AT_ONCE) {
            pids[started] = start_part(started, part);
            started++;
        } else {
            bury_part(pids, started);
            ended++;
        }
    }
    free(pids);
}

size_t tap_memory(void)
{
    unsigned long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL || fscanf(f, "%lu %lu", &total, &resident) != 2)
        resident = 0;
    if (f != NULL)
        fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

void tap_remove(const char *dir)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int tap_end(void)
{
    printf("1..%d\n", tap.n);
    if (tap.failed == 0) {
        tap_remove(tap.dir);
    } else { /* under a name that the next one does not clear away */
        char kept[PATH_MAX];
        snprintf(kept, sizeof kept, "%s.kept", tap.dir);
        printf("# everything is kept in %s\n", rename(tap.dir, kept) == 0 ? kept : tap.dir);
    }
    return tap.failed == 0 ? 0 : 1;
}
