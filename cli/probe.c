/* `barid probe ROLE`: goes into the jail of a role and tries what a taken-over process would try.
 * Each attempt is made by a process of its own, so that one that is killed for it can be told from
 * one that was only refused. What succeeds although it should not makes the command fail. */
#include "cli/cli.h"

#include "cli/output.h"
#include "common/admin.h"
#include "common/jail.h"
#include "common/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define PROBE_FILES  64
#define PROBE_MEMORY (256UL << 20)
#define EXIT_NO_JAIL 254 /* higher than any errno */
#define EXIT_GOT_IN  255

/* Each returns true if the kernel let it happen. */

static bool open_passwd(void)
{
    return open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0;
}

static bool make_file(void)
{
    return open("/tmp/barid-probe", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) >= 0;
}

static bool list_root(void)
{
    return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0;
}

static bool execute(void)
{
    char *const argv[] = {NULL};
    execve("/bin/true", argv, argv);
    return false;
}

static bool make_process(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid > 0;
}

static bool trace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static bool become_root(void)
{
    return setuid(0) == 0 && getuid() == 0;
}

static bool make_socket(int family, int type)
{
    return socket(family, type | SOCK_CLOEXEC, 0) >= 0;
}

static bool tcp_socket(void)
{
    return make_socket(AF_INET, SOCK_STREAM);
}

static bool unix_socket(void)
{
    return make_socket(AF_UNIX, SOCK_STREAM);
}

static bool raw_socket(void)
{
    return make_socket(AF_INET, SOCK_RAW);
}

static bool signal_parent(void)
{
    return kill(getppid(), 0) == 0;
}

static bool executable_memory(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0) != MAP_FAILED;
}

#define P_OUTGOING (P_RELAY | P_RESOLVER | P_POLICY)
#define P_FILES    (P_AUTHD | P_QUEUE | P_MAILBOX)

static const struct {
    const char *name;
    bool (*attempt)(void);
    unsigned granted; /* roles whose work needs it */
} attempts[] = {
    {"open /etc/passwd", open_passwd, P_PAMD},
    {"make a file in /tmp", make_file, 0},
    /* As root "/" is the role's own directory; else it is the machine's, and closed. */
    {"list /", list_root, P_FILES | P_PAMD},
    {"execute a program", execute, 0},
    {"fork", make_process, P_PAMD},
    {"ptrace", trace, 0},
    {"become root", become_root, 0},
    {"open a TCP socket", tcp_socket, P_OUTGOING},
    {"open a Unix socket", unix_socket, P_PAMD},
    {"open a raw socket", raw_socket, 0},
    {"signal another process", signal_parent, 0},
    {"make memory executable", executable_memory, 0},
};
#define N_ATTEMPTS (sizeof attempts / sizeof attempts[0])

static const char *root_of(enum role role)
{
    return role == ROLE_PAMD                            ? "/"
           : role == ROLE_AUTHD                         ? "authd"
           : role == ROLE_QUEUE || role == ROLE_MAILBOX ? "queue"
                                                        : "empty";
}

static int attempt_inside(const struct config *c, enum role role, size_t which)
{
    char root[PATH_MAX];
    struct error e;
    bool is_machine = root_of(role)[0] == '/';
    snprintf(root, sizeof root, "%s/%s", is_machine ? "" : c->state_dir, root_of(role));
    struct jail j = {.role = role,
                     .root = root,
                     .files_max = PROBE_FILES,
                     .memory_max = PROBE_MEMORY,
                     .processes = role == ROLE_PAMD ? PAM_PROCESSES : 0,
                     .has_seccomp = c->seccomp == JAIL_ON,
                     .has_landlock = c->landlock == JAIL_ON};
    if (jail_enter(&j, &e) < 0) {
        fprintf(stderr, "barid: the jail of %s: %s\n", role_name(role), e.text);
        return EXIT_NO_JAIL;
    }
    errno = 0;
    if (attempts[which].attempt())
        return EXIT_GOT_IN;
    return errno > 0 && errno < EXIT_NO_JAIL ? errno : EXIT_NO_JAIL;
}

/* What became of it, in words; *is_inside: it was let happen. */
static void describe(int status, char *out, size_t cap, bool *is_inside)
{
    *is_inside = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_GOT_IN;
    if (WIFSIGNALED(status))
        snprintf(out, cap, "killed (%s)", strsignal(WTERMSIG(status)));
    else if (*is_inside)
        snprintf(out, cap, "allowed");
    else if (WEXITSTATUS(status) == EXIT_NO_JAIL)
        snprintf(out, cap, "could not be tried");
    else
        snprintf(out, cap, "refused (%s)", strerror(WEXITSTATUS(status)));
}

static int try_one(const struct config *c, enum role role, size_t which, struct rows *rows)
{
    static struct admin_row row;
    char result[80];
    bool is_inside;
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0)
        _exit(attempt_inside(c, role, which));
    if (waitpid(pid, &status, 0) != pid)
        return -1;
    describe(status, result, sizeof result, &is_inside);
    bool is_granted = (attempts[which].granted & 1U << role) != 0;
    bool is_untried = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_JAIL;
    bool is_right = !is_untried && (!is_inside || is_granted);
    row_begin(&row);
    row_text(&row, "attempt", span_of(attempts[which].name));
    row_text(&row, "result", span_of(result));
    row_bool(&row, "granted", is_granted);
    row_bool(&row, "ok", is_right);
    if (rows_add(rows, 0, SPAN(""), packer_span(&row.w)) < 0)
        return -1;
    return is_right ? 0 : 1;
}

static int probe(struct cli *cli, enum role role)
{
    struct rows rows = {0};
    struct buf out;
    int wrong = 0;
    buf_init(&out, SIZE_MAX / 4);
    for (size_t i = 0; i < N_ATTEMPTS && wrong >= 0; i++) {
        int result = try_one(cli->config, role, i, &rows);
        wrong = result < 0 ? -1 : wrong + result;
    }
    int status = EXIT_REFUSED;
    static const char *const no_groups[] = {NULL};
    if (wrong >= 0)
        status = output_print(cli, &out,
                              cli->is_json ? output_json(&out, &rows, SHAPE_LIST, no_groups)
                                           : output_table(&out, &rows, SHAPE_LIST));
    rows_free(&rows);
    if (wrong < 0)
        return cli_fail(cli, "the probe could not be made: %s", strerror(errno));
    if (wrong > 0)
        return cli_fail(cli,
                        "%d of these should not be possible in the jail of %s: see [jail] in "
                        "the configuration, and the kernel's seccomp and Landlock",
                        wrong, role_name(role));
    return status;
}

int probe_main(struct cli *cli)
{
    enum role role;
    struct error e;
    if (role_parse(cli->args[0], &role) < 0 || (P_CHILDREN & 1U << role) == 0)
        return cli_fail(
            cli,
            "no such process: smtpd authd queue relay mailbox pop3d resolver keyd policy pamd");
    if (cli_load(cli, &e) < 0 || layout_state(cli->config, &e) < 0)
        return cli_fail(cli, "%s", e.text);
    return probe(cli, role);
}
