/* The whole way of a command: typed, asked of a daemon that speaks the real protocol in another
 * process, printed. */
#include "cli/args.h"
#include "cli/tables.h"
#include "common/admin.h"
#include "common/unixsock.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const struct command fake[] = {
    {.words = "thing list",
     .usage = "[--from ADDRESS]",
     .summary = "lists",
     .options = {"from=", "all"},
     .process = ROLE_QUEUE,
     .shape = SHAPE_LIST},
    {.words = "thing show",
     .usage = "ID",
     .summary = "shows",
     .args_min = 1,
     .args_max = 2,
     .process = ROLE_QUEUE,
     .admin = "show",
     .shape = SHAPE_OBJECT},
    {.words = "thing passwd",
     .usage = "",
     .summary = "sets",
     .process = ROLE_QUEUE,
     .secret = SECRET_REQUIRED,
     .shape = SHAPE_OBJECT},
    {.words = "help", .usage = "", .summary = "helps", .args_max = 3, .run = help_main},
};
static const struct command_table fake_table = {fake, sizeof fake / sizeof *fake};
const struct command_table *const cli_tables[] = {&fake_table, NULL};

/* --- the daemon --- */

static void list(void *owner, struct admin_call *call)
{
    static struct admin_row row;
    (void)owner;
    for (int i = 0; i < 2; i++) {
        row_begin(&row);
        row_number(&row, "n", (int64_t)call->cursor * 2 + i);
        row_text(&row, "from", admin_option(call, "from"));
        row_bool(&row, "all", admin_option(call, "all").p != NULL);
        row_send(&row, call, 0, "");
    }
    admin_done(call, call->cursor < 2 ? call->cursor + 1 : 0);
}

static void show(void *owner, struct admin_call *call)
{
    static struct admin_row row;
    (void)owner;
    if (span_eq(call->args[0], SPAN("none")))
        return admin_fail(call, VERDICT_NEVER, "there is no thing \x1b'none'");
    if (span_eq(call->args[0], SPAN("die")))
        _exit(0);
    row_begin(&row);
    row_text(&row, "id", call->args[0]);
    row_send(&row, call, 0, "");
    admin_done(call, 0);
}

static void passwd(void *owner, struct admin_call *call)
{
    static struct admin_row row;
    (void)owner;
    row_begin(&row);
    row_text(&row, "got", call->secret);
    row_send(&row, call, 0, "");
    admin_done(call, 0);
}

static const struct admin_command commands[] = {
    {"thing list", list}, {"show", show}, {"thing passwd", passwd}};

static void on_admin(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    admin_dispatch(commands, 3, owner, from, &m->admin);
}

static void on_close(void *owner, struct ipc *ch)
{
    (void)ch;
    loop_stop(owner);
}

static void serve_one(int listener)
{
    static const struct ipc_handler handlers[] = {{MSG_ADMIN, on_admin}};
    static const struct ipc_ops ops = {handlers, 1, on_close, NULL};
    struct pollfd p = {.fd = listener, .events = POLLIN};
    poll(&p, 1, 10000);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct loop *loop = loop_new();
    if (fd < 0 || ipc_open(loop, fd, ROLE_QUEUE, ROLE_CLI, &ops, loop) == NULL)
        _exit(1);
    loop_run(loop, NULL, NULL);
    _exit(0);
}

static char dir[] = "/tmp/barid-cli-XXXXXX", config[100];

static void make_dir(void)
{
    cr_assert_not_null(mkdtemp(dir));
    snprintf(config, sizeof config, "%s/barid.conf", dir);
    FILE *f = fopen(config, "w");
    cr_assert_not_null(f);
    fprintf(f, "hostname = a.b\nstate_dir = %s\nrun_dir = %s\n[listen smtp]\n", dir, dir);
    fclose(f);
    cr_redirect_stdout();
    cr_redirect_stderr();
}

static void remove_dir(void)
{
    char path[200];
    snprintf(path, sizeof path, "%s/queue.sock", dir);
    unlink(path);
    unlink(config);
    rmdir(dir);
}

/* Runs `barid WORDS… --config …` against a daemon. */
static int run(const char *words[static 8])
{
    char *argv[12] = {0};
    int argc = 0;
    char program[] = "barid", option[] = "--config";
    static char copies[8][100];
    argv[argc++] = program;
    argv[argc++] = option;
    argv[argc++] = config;
    for (int i = 0; i < 8 && words[i] != NULL; i++) {
        snprintf(copies[i], sizeof copies[i], "%s", words[i]);
        argv[argc++] = copies[i];
    }
    struct error e;
    int listener = unixsock_listen(dir, "queue.sock", &e);
    cr_assert_geq(listener, 0);
    pid_t pid = fork();
    if (pid == 0)
        serve_one(listener);
    close(listener);
    int status = cli_main(argc, argv);
    fflush(NULL);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    return status;
}

#define RUN(...) run((const char *[8]){__VA_ARGS__})

TestSuite(ask, .init = make_dir, .fini = remove_dir);

Test(ask, all_pages_make_one_document)
{
    cr_expect_eq(RUN("thing", "--json", "list", "--from", "a@b"), 0);
    cr_expect_stdout_eq_str("[{\"n\": 0, \"from\": \"a@b\", \"all\": false},\n"
                            " {\"n\": 1, \"from\": \"a@b\", \"all\": false},\n"
                            " {\"n\": 2, \"from\": \"a@b\", \"all\": false},\n"
                            " {\"n\": 3, \"from\": \"a@b\", \"all\": false},\n"
                            " {\"n\": 4, \"from\": \"a@b\", \"all\": false},\n"
                            " {\"n\": 5, \"from\": \"a@b\", \"all\": false}]\n");
}

Test(ask, a_table)
{
    cr_expect_eq(RUN("thing", "list", "--all", "--from=x=y"), 0);
    cr_expect_stdout_eq_str("N  FROM  ALL\n0  x=y   yes\n1  x=y   yes\n2  x=y   yes\n3  x=y   yes\n"
                            "4  x=y   yes\n5  x=y   yes\n");
}

Test(ask, what_is_refused_is_said_in_one_line)
{
    cr_expect_eq(RUN("thing", "show", "none"), 1);
    cr_expect_stderr_eq_str("barid: there is no thing \\x1b'none'\n");
}

Test(ask, an_error_in_json)
{
    cr_expect_eq(RUN("thing", "show", "none", "--json"), 1);
    cr_expect_stderr_eq_str("{\"error\": \"there is no thing \\u001b'none'\"}\n");
}

Test(ask, a_daemon_that_dies)
{
    cr_expect_eq(RUN("thing", "show", "die"), 1);
    cr_expect_stderr_eq_str(
        "barid: queue ended the connection: it stopped, or is of another version "
        "of barid; restart the daemons and see the log\n");
}

Test(ask, behind_dashes_all_is_argument)
{
    cr_expect_eq(RUN("thing", "show", "--", "--json"), 0);
    cr_expect_stdout_eq_str("id: --json\n");
}

Test(ask, a_password_comes_on_stdin)
{
    FILE *in = cr_get_redirected_stdin();
    fputs("s3cret word\r\nmore\n", in);
    fclose(in);
    cr_expect_eq(RUN("thing", "passwd", "--password-stdin"), 0);
    cr_expect_stdout_eq_str("got: s3cret word\n");
}

Test(ask, nobody_answers)
{
    char program[] = "barid", option[] = "--config", words[3][8] = {"thing", "show", "x"};
    char *argv[] = {program, option, config, words[0], words[1], words[2], NULL};
    char expected[200];
    snprintf(expected, sizeof expected,
             "barid: barid is not running (no answer on %s/queue.sock): start it with: barid run\n",
             dir);
    cr_expect_eq(cli_main(6, argv), 1);
    fflush(NULL);
    cr_expect_stderr_eq_str(expected);
}

/* --- what is typed wrongly --- */

static const struct {
    const char *argv[5];
    const char *said;
} wrong[] = {
    {{"thing", "lsit"}, "barid: unknown command 'thing lsit': did you mean 'barid thing list'?\n"},
    {{"thign"}, "barid: unknown command 'thign': did you mean 'barid thing list'?\n"},
    {{"zzz"}, "barid: unknown command 'zzz': see barid help\n"},
    {{"thing", "show"},
     "barid: an argument is missing\nusage: barid thing show ID [--config FILE] [--json]\n"},
    {{"thing", "list", "x"},
     "barid: unexpected argument 'x'\nusage: barid thing list [--from ADDRESS] [--config FILE] "
     "[--json]\n"},
    {{"thing", "list", "--form", "x"},
     "barid: unknown option --form: did you mean --from?\nusage: barid thing list [--from ADDRESS] "
     "[--config FILE] [--json]\n"},
    {{"thing", "list", "--from"},
     "barid: --from needs a value\nusage: barid thing list [--from ADDRESS] [--config FILE] "
     "[--json]\n"},
    {{"thing", "list", "--all=1"},
     "barid: --all takes no value\nusage: barid thing list [--from ADDRESS] [--config FILE] "
     "[--json]\n"},
    {{"thing", "list", "-x"}, "barid: unknown option -x\n"},
    {{"--password-stdin"}, "barid: unknown option --password-stdin\n"},
    {{"thing", "list", "--json", "--nope"}, "{\"error\": \"unknown option --nope\"}\n"},
    {{"--nope", "--json"}, "{\"error\": \"unknown option --nope\"}\n"},
    {{"thing"},
     "barid: 'barid thing' is not complete\n  barid thing list [--from ADDRESS]\n        lists\n  "
     "barid thing show ID\n        shows\n  barid thing passwd\n        sets\n"},
};

Test(args, wrong_usage)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char copies[5][32], program[] = "barid", said[1000] = "";
        char *argv[7] = {program};
        int argc = 1, pipe_fds[2], saved = dup(STDERR_FILENO);
        for (; argc <= 5 && wrong[i].argv[argc - 1] != NULL; argc++) {
            snprintf(copies[argc - 1], 32, "%s", wrong[i].argv[argc - 1]);
            argv[argc] = copies[argc - 1];
        }
        cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
        dup2(pipe_fds[1], STDERR_FILENO);
        int status = cli_main(argc, argv);
        fflush(stderr);
        dup2(saved, STDERR_FILENO);
        close(pipe_fds[1]);
        cr_expect_geq(read(pipe_fds[0], said, sizeof said - 1), 0);
        close(pipe_fds[0]);
        close(saved);
        cr_expect_eq(status, 2);
        cr_expect_str_eq(said, wrong[i].said);
    }
}
