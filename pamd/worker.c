#include "pamd/worker.h"

#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#define ANSWER_FD 3

/* SIGKILL from the kernel's own timer: a module may change handlers and alarms, not this. */
static int end_after(int64_t limit_ms)
{
    timer_t t;
    struct sigevent kill_us = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    struct itimerspec when = {.it_value = {limit_ms / 1000, limit_ms % 1000 * 1000000 + 1}};
    if (timer_create(CLOCK_MONOTONIC, &kill_us, &t) < 0)
        return -1;
    return timer_settime(t, 0, &when, NULL);
}

/* What modules may rely on: signals as any program begins with them. */
static void reset_signals(void)
{
    static const int changed[] = {SIGCHLD, SIGPIPE, SIGINT, SIGHUP, SIGTERM, SIGXFSZ};
    sigset_t none;
    for (size_t i = 0; i < sizeof changed / sizeof changed[0]; i++)
        signal(changed[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void work(int fd, check_fn *check, const struct check_ask *ask)
{
    struct worker_answer a = {.reason = PAM_REASON_BUSY};
    char octets[1 + CHECK_TEXT_MAX];
    if (dup3(fd, ANSWER_FD, O_CLOEXEC) < 0 && errno != EINVAL)
        _exit(1);
    close_range(ANSWER_FD + 1, ~0U, 0);
    a.reason = check(ask, a.why);
    octets[0] = (char)a.reason;
    memcpy(octets + 1, a.why, sizeof a.why);
    ssize_t n = write(ANSWER_FD, octets, sizeof octets);
    _exit(n == (ssize_t)sizeof octets ? 0 : 1);
}

int worker_start(struct worker *w, check_fn *check, const struct check_ask *ask, int64_t limit_ms,
                 void (*forget)(void *arg, const struct check_ask *but), void *arg)
{
    int ends[2];
    pid_t us = getpid();
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    log_flush(); /* or the new process would write our lines again */
    pid_t pid = fork();
    if (pid == 0) {
        reset_signals();
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != us || end_after(limit_ms) < 0)
            _exit(1);
        forget(arg, ask);
        work(ends[1], check, ask);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return -1;
    }
    *w = (struct worker){pid, ends[0]};
    return 0;
}

bool worker_ended(struct worker *w, struct worker_answer *out)
{
    char octets[1 + CHECK_TEXT_MAX];
    int status;
    pid_t pid = waitpid(w->pid, &status, WNOHANG);
    if (pid == 0 || (pid < 0 && errno != ECHILD))
        return false;
    *out = (struct worker_answer){.reason = PAM_REASON_BUSY, .why = "its process died"};
    if (read(w->fd, octets, sizeof octets) == (ssize_t)sizeof octets) {
        unsigned char reason = (unsigned char)octets[0];
        out->reason = reason <= PAM_REASON_BUSY ? (enum pam_reason)reason : PAM_REASON_BUSY;
        memcpy(out->why, octets + 1, sizeof out->why);
        out->why[sizeof out->why - 1] = '\0';
    }
    close(w->fd);
    *w = (struct worker){.fd = -1};
    return true;
}
