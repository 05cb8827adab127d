/* What modules of PAM ask of the kernel while they speak to a service of this machine, behind the
 * filter of pamd; and that the filter of another process has none of it. */
#include "common/seccomp.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNTRIED 99

static int end_of_service;

/* Each gives 0, or errno. */

static int ask_who_it_is(void)
{
    struct ucred who;
    socklen_t n = sizeof who;
    return getsockopt(end_of_service, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0 ? errno : 0;
}

static int ask_its_name(void)
{
    struct sockaddr_un name;
    socklen_t n = sizeof name;
    return getpeername(end_of_service, (struct sockaddr *)&name, &n) < 0 ? errno : 0;
}

static int wait_for_it(void)
{
    struct pollfd p = {.fd = end_of_service, .events = POLLOUT};
    struct timespec none = {0};
    return ppoll(&p, 1, &none, NULL) < 0 ? errno : 0;
}

static int begin_to_speak(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0;
}

/* What came of it, in a process of its own behind the filter; -1: it was killed for it. */
static int attempt(enum role role, int (*what)(void))
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        struct error e;
        _exit(seccomp_enter(role, &e) < 0 ? UNTRIED : what());
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(seccomp, modules_can_speak_to_services_of_this_machine, .timeout = 60)
{
    static const struct {
        const char *name;
        int (*what)(void);
    } rows[] = {{"getsockopt", ask_who_it_is},
                {"getpeername", ask_its_name},
                {"ppoll", wait_for_it},
                {"socket", begin_to_speak}};
    int ends[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    end_of_service = ends[0];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int rc = attempt(ROLE_PAMD, rows[i].what);
        cr_expect_eq(rc, 0, "%s: %d", rows[i].name, rc);
        rc = attempt(ROLE_KEYD, rows[i].what);
        cr_expect(rc == -1 || rc == ENOSYS, "%s: %d", rows[i].name, rc);
    }
    close(ends[0]);
    close(ends[1]);
}
