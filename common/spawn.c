#include "common/spawn.h"

#include "common/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

int spawn_libexec(char *out, size_t cap, struct error *e)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n > 0) {
        exe[n] = '\0';
        /* .../bin/barid and .../libexec/barid/parent both have the binaries at one of these. */
        static const char *const steps[] = {"/../libexec/barid", ""};
        char *slash = strrchr(exe, '/');
        *slash = '\0';
        for (size_t i = 0; i < 2; i++) {
            char probe[PATH_MAX + 64];
            snprintf(probe, sizeof probe, "%s%s/parent", exe, steps[i]);
            if (access(probe, X_OK) == 0 && (size_t)snprintf(out, cap, "%s%s", exe, steps[i]) < cap)
                return 0;
        }
    }
    if (access(PKGLIBEXECDIR "/parent", X_OK) == 0 &&
        (size_t)snprintf(out, cap, "%s", PKGLIBEXECDIR) < cap)
        return 0;
    return error_set(e,
                     "the programs of barid are neither beside this one nor in %s: install all "
                     "of barid",
                     PKGLIBEXECDIR);
}

void spawn_fill_standard(void)
{
    int fd = STDIN_FILENO;
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDWR); /* kept over exec on purpose */
    if (fd > STDERR_FILENO)
        close(fd);
}

void spawn_adopt_orphans(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* without it only their last moment is not seen */
}

void spawn_wait_all(void)
{
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
}

/* In the child, between fork and exec: only what is safe there. What whoever started us had open
 * is none of the child's business. */
static void become(const char *path, const char *name, const char *instance, int control,
                   int log_fd)
{
    char *const argv[] = {(char *)(uintptr_t)name, (char *)(uintptr_t)instance, NULL};
    char *env[3] = {NULL};
    size_t n = 0;
#ifdef BARID_SANITIZERS
    if (getenv("ASAN_OPTIONS") != NULL)
        env[n++] = getenv("ASAN_OPTIONS") - strlen("ASAN_OPTIONS=");
    if (getenv("UBSAN_OPTIONS") != NULL)
        env[n++] = getenv("UBSAN_OPTIONS") - strlen("UBSAN_OPTIONS=");
#endif
    env[n] = NULL;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* Out of the way of the numbers below first. */
    int high = fcntl(control, F_DUPFD_CLOEXEC, 10);
    int log_high = fcntl(log_fd, F_DUPFD_CLOEXEC, 10);
    if (null < 0 || high < 0 || log_high < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
        dup2(log_high, 2) < 0 || dup2(high, SPAWN_CONTROL_FD) < 0)
        _exit(126);
    close_range(SPAWN_CONTROL_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    execve(path, argv, env);
    _exit(127);
}

int spawn_role(enum role role, unsigned instance, int log_fd, struct spawned *out, struct error *e)
{
    char dir[PATH_MAX], path[PATH_MAX + 32], name[32], number[16];
    int pair[2];
    if (spawn_libexec(dir, sizeof dir, e) < 0)
        return -1;
    snprintf(path, sizeof path, "%s/%s", dir, role_name(role));
    snprintf(name, sizeof name, "barid-%s", role_name(role));
    snprintf(number, sizeof number, "%u", instance);
    if (unixsock_pair(pair) < 0)
        return error_set(e, "cannot make a channel to %s: %s", role_name(role), strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        become(path, name, number, pair[1], log_fd);
    int saved = errno;
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return error_set(e, "cannot start %s: %s", path, strerror(saved));
    }
    *out = (struct spawned){pid, pair[0]};
    return 0;
}

int spawn_send_config(struct ipc *control, struct span text, const struct config *c)
{
    struct span left = {NULL, 0};
    char *whole = config_child_text(c, text, &left.n);
    int result = whole != NULL ? 0 : -1;
    left.p = whole;
    bool is_last = false;
    while (result == 0 && !is_last) {
        struct span part = {left.p, left.n < CHUNK_MAX ? left.n : CHUNK_MAX};
        left = span_from(left, part.n);
        is_last = left.n == 0;
        struct msg_child_config m = {.text = part, .is_last = is_last};
        result = ipc_send_child_config(control, &m, -1);
    }
    free(whole);
    return result;
}
