/* A child that was taken over says everything to the parent: every row of the table, allowed or
 * not, cut, lengthened, changed, with descriptors; more than anybody can read; nothing at all,
 * while it is told more and more; and noise in the place of its log. The real code of the parent
 * runs here, on a clock that moves when it is told to; its children are processes that sleep, and
 * what they say is said here. That child is ended and started again, which the log says once; no
 * other child notices; descriptors and memory stay as they were; and the administrator is answered.
 */
#include "barid/parent.h"
#include "common/clock.h"
#include "common/layout.h"
#include "common/log.h"
#include "common/peers.h"
#include "common/spawn.h"
#include "common/unixsock.h"
#include "common/verdict.h"
#include "tests/fault/disk.h"
#include "tests/fault/liar.h"
#include "tests/fault/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define FLOOD          3000
#define FLOOD_STEP_MS  300 /* with each hundred */
#define FLOOD_LINES    3   /* what stopped for five seconds is news again */
#define MUTATIONS      40
#define LIFE_MS        11000 /* so that the next one is started at once */
#define TURNS_MAX      20000
#define MEMORY_MAX     (300U << 20)
#define PADDING        60000 /* octets of comments in the configuration */
#define TELLINGS       3000
#define TAKEN_PER_TURN 64 /* messages of one child */
#define NOISE_MAX      (8U << 20)

#ifdef HAVE_PAM
#define WITH_PAM "[pam]\nservice = mail\n"
#else
#define WITH_PAM ""
#endif

/* What the parent takes for a child. */
struct fake {
    pid_t pid;
    int channel, log_fd; /* the child's ends */
};

static char base[PATH_MAX / 4];
static struct parent parent;
static struct fake fakes[ROLES];
static unsigned lines_closed, lines_died, lines_other;

static bool is_wanted(const struct tree_process *kind)
{
    return kind->is_wanted == NULL || kind->is_wanted(parent.config);
}

static int count_wanted(void)
{
    int n = 0;
    for (size_t i = 0; i < tree_n_processes; i++)
        n += is_wanted(&tree_processes[i]);
    return n;
}

/* --- its children --- */

static void forget(struct fake *f)
{
    if (f->pid == 0)
        return;
    close(f->channel);
    close(f->log_fd);
}

int __wrap_spawn_role(enum role role, unsigned instance, int log_fd, struct spawned *out,
                      struct error *e);

int __wrap_spawn_role(enum role role, unsigned instance, int log_fd, struct spawned *out,
                      struct error *e)
{
    int pair[2];
    (void)instance;
    forget(&fakes[role]);
    if (unixsock_pair(pair) < 0)
        return error_set(e, "no channel");
    pid_t us = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close_range(3, ~0U, 0);
        while (getppid() == us)
            pause();
        _exit(0);
    }
    fakes[role] = (struct fake){pid, pair[1], fcntl(log_fd, F_DUPFD_CLOEXEC, 0)};
    *out = (struct spawned){pid, pair[0]};
    return 0;
}

static int say(enum role from, const char *octets, size_t n, int fd)
{
    return play_send_raw(fakes[from].channel, octets, n, fd);
}

static int say_fields(enum role from, enum msg_type type, const void *fields)
{
    static char out[IPC_MAX];
    return say(from, out, proto_pack(out, sizeof out, type, fields), -1);
}

/* What it is told, with all descriptors, is read and forgotten. */
static void hear(enum role r)
{
    union msg m;
    enum msg_type type;
    int fd;
    while (play_receive(fakes[r].channel, &m, &type, &fd, 0) > 0)
        if (fd >= 0)
            close(fd);
}

static enum role deaf = ROLE_PARENT; /* or who reads nothing */

static void turn(void)
{
    loop_turn(parent.loop, 1);
    log_flush();
    supervise_reap(&parent);
    for (unsigned r = 0; r < ROLES; r++)
        if (fakes[r].pid != 0 && r != deaf)
            hear((enum role)r);
}

static void begin_life(enum role r)
{
    say_fields(r, MSG_HELLO, &(struct msg_hello){proto_hash(), (uint8_t)r});
    say_fields(r, MSG_CHILD_READY, &(struct msg_child_ready){});
}

static void move_clock(int64_t ms)
{
    static int64_t mono_ms = 1000000;
    mono_ms += ms;
    clock_fake(mono_ms, 1795000000000 + mono_ms);
}

static bool is_born(enum role r, pid_t before)
{
    for (int i = 0; i < TURNS_MAX && fakes[r].pid == before; i++)
        turn();
    return fakes[r].pid != before;
}

/* --- what the parent says --- */

static void count_lines(struct span lines)
{
    static const char closed[] = "channel-closed", died[] = "process-died";
    while (lines.n > 0) {
        const char *end = memchr(lines.p, '\n', lines.n);
        size_t n = end != NULL ? (size_t)(end - lines.p) + 1 : lines.n;
        bool is_closed = memmem(lines.p, n, closed, sizeof closed - 1) != NULL,
             is_died = memmem(lines.p, n, died, sizeof died - 1) != NULL;
        lines_closed += is_closed;
        lines_died += is_died;
        lines_other += !is_closed && !is_died;
        lines = span_from(lines, n);
    }
}

static size_t count_fds(void)
{
    size_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d != NULL && readdir(d) != NULL)
        n++;
    if (d != NULL)
        closedir(d);
    return n;
}

/* Rows of the answer to a command; -1: there is none, or no. */
static int ask(const char *command)
{
    struct error e;
    union msg m;
    enum msg_type type = MSG_NONE;
    bool is_absent;
    int rows = 0, rc = 0, fd, channel;
    channel = unixsock_connect(parent.config->run_dir, "parent.sock", &is_absent, &e);
    if (channel < 0)
        return -1;
    play_send(channel, MSG_HELLO, &(struct msg_hello){proto_hash(), ROLE_CLI}, -1);
    play_send(channel, MSG_ADMIN, &(struct msg_admin){.tag = 1, .command = span_of(command)}, -1);
    for (int i = 0; i < TURNS_MAX && rc >= 0 && type != MSG_ADMIN_RE; i++) {
        turn();
        while (type != MSG_ADMIN_RE && (rc = play_receive(channel, &m, &type, &fd, 0)) > 0)
            rows += type == MSG_ADMIN_ROW;
    }
    close(channel);
    turn();
    return type == MSG_ADMIN_RE && m.admin_re.verdict == VERDICT_OK ? rows : -1;
}

/* --- attacks --- */

struct attack {
    enum role role;
    pid_t others[ROLES];
    unsigned wrong;
};

static void complain(struct attack *a, const char *what, enum msg_type type)
{
    const struct msg_desc *d = proto_desc(type);
    printf("# %s, after %s of %s\n", what, d != NULL ? d->name : "?", role_name(a->role));
    a->wrong++;
}

/* It has cost that child its life, which two lines say. */
static void expect_death(struct attack *a, pid_t before, enum msg_type type)
{
    unsigned closed = lines_closed, died = lines_died, other = lines_other;
    move_clock(LIFE_MS);
    if (!is_born(a->role, before)) {
        complain(a, "it lives", type);
        return;
    }
    if (lines_closed != closed + 1 || lines_died != died + 1 || lines_other != other)
        complain(a, "other lines in the log than one of each", type);
    begin_life(a->role);
    turn();
}

static void say_forbidden(struct attack *a)
{
    static struct lie l;
    for (size_t k = 0; k < LIES; k++) {
        if (!liar_forbidden(k, a->role, ROLE_PARENT, &l))
            continue;
        pid_t before = fakes[a->role].pid;
        say(a->role, l.octets, l.n, l.fd);
        expect_death(a, before, l.type);
    }
}

static void say_many_descriptors(struct attack *a)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(100 * sizeof(int))];
    } control = {0};
    char out[IPC_MAX];
    struct iovec iov = {out,
                        proto_pack(out, sizeof out, MSG_CHILD_READY, &(struct msg_child_ready){})};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room};
    for (size_t n = 2; n <= 100; n += 49) {
        pid_t before = fakes[a->role].pid;
        mh.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
        *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS,
                              .cmsg_len = CMSG_LEN(n * sizeof(int))};
        for (size_t i = 0; i < n; i++)
            memcpy(CMSG_DATA(c) + i * sizeof(int), &(int){liar_fd()}, sizeof(int));
        sendmsg(fakes[a->role].channel, &mh, MSG_NOSIGNAL);
        expect_death(a, before, MSG_CHILD_READY);
    }
}

/* Whatever becomes of each. */
static void say_changed(struct attack *a)
{
    char out[IPC_MAX];
    for (unsigned t = MSG_NONE + 1; t < MSG_TYPES; t++)
        for (int i = 0; i < MUTATIONS && liar_may(a->role, t, ROLE_PARENT); i++) {
            size_t n = liar_pack(t, out);
            pid_t before = fakes[a->role].pid;
            liar_change(out, n, 0);
            say(a->role, out, n, -1);
            move_clock(LIFE_MS);
            for (int k = 0; k < 4; k++)
                turn();
            if (fakes[a->role].pid != before)
                begin_life(a->role);
        }
}

/* As much as fits, again and again; meanwhile time passes. */
static void flood(struct attack *a)
{
    char out[IPC_MAX];
    for (unsigned t = MSG_NONE + 1; t < MSG_TYPES; t++) {
        unsigned before = lines_closed + lines_died + lines_other;
        if (!liar_may(a->role, t, ROLE_PARENT))
            continue;
        for (int i = 0; i < FLOOD; i++) {
            if (say(a->role, out, liar_pack(t, out), -1) < 0 || i % 100 == 99)
                turn();
            if (i % 100 == 99)
                move_clock(FLOOD_STEP_MS);
        }
        for (int i = 0; i < FLOOD; i += TAKEN_PER_TURN / 2)
            turn();
        if (lines_closed + lines_died + lines_other > before + FLOOD_LINES)
            complain(a, "many lines in the log", t);
    }
}

static void face(const struct tree_process *kind)
{
    struct attack a = {.role = kind->role};
    for (unsigned r = 0; r < ROLES; r++)
        a.others[r] = fakes[r].pid;
    turn();
    size_t fds = count_fds();
    say_forbidden(&a);
    say_many_descriptors(&a);
    say_changed(&a);
    flood(&a);
    for (unsigned r = 0; r < ROLES; r++)
        if (r != kind->role && fakes[r].pid != a.others[r]) {
            printf("# another one died: %s\n", role_name((enum role)r));
            a.wrong++;
        }
    int rows = ask("status");
    size_t fds_after = count_fds(), octets = tap_memory();
    if (rows < count_wanted() || fds_after != fds || octets > MEMORY_MAX)
        printf("# %d rows, %zu descriptors (before: %zu), %zu octets\n", rows, fds_after, fds,
               octets);
    tap_ok(a.wrong == 0 && rows >= count_wanted() && fds_after == fds && octets <= MEMORY_MAX,
           "the parent faces a hostile %s", role_name(kind->role));
}

/* It is told the configuration again and again, and reads nothing. */
static void tell_the_deaf(void)
{
    pid_t before = fakes[ROLE_KEYD].pid;
    int n = 0;
    deaf = ROLE_KEYD;
    move_clock(LIFE_MS);
    for (; n < TELLINGS && fakes[ROLE_KEYD].pid == before; n++) {
        supervise_tell_all(&parent);
        turn();
    }
    deaf = ROLE_PARENT;
    bool is_ended = is_born(ROLE_KEYD, before);
    begin_life(ROLE_KEYD);
    size_t octets = tap_memory();
    tap_ok(is_ended && octets < MEMORY_MAX, "who does not listen %d times is started anew", n);
}

/* What it writes for its log is its own, and has an end. */
static void write_noise(void)
{
    char noise[10000], line[8192];
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/stderr", base);
    int kept = fcntl(2, F_DUPFD_CLOEXEC, 20);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    dup2(file, 2);
    close(file);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = i % 3000 == 2999 ? '\n' : (char)chance(256);
    memcpy(noise + 3000, "ready\nparent - \x1b[2J", 20);
    fcntl(fakes[ROLE_KEYD].log_fd, F_SETFL, O_WRONLY | O_NONBLOCK);
    for (int i = 0; i < 400; i++) {
        ssize_t done = write(fakes[ROLE_KEYD].log_fd, noise, sizeof noise);
        if (done < 0 || i % 20 == 0)
            turn();
    }
    /* and somebody goes on when it is dead: it gave its end away */
    pid_t before = fakes[ROLE_KEYD].pid, writer = fork();
    if (writer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fcntl(fakes[ROLE_KEYD].log_fd, F_SETFL, O_WRONLY);
        for (;;)
            if (write(fakes[ROLE_KEYD].log_fd, noise, sizeof noise) < 0)
                _exit(0);
    }
    move_clock(LIFE_MS);
    kill(before, SIGKILL);
    bool is_ended = is_born(ROLE_KEYD, before);
    begin_life(ROLE_KEYD);
    turn();
    kill(writer, SIGKILL);
    fflush(stderr);
    struct stat st = {0};
    fstat(2, &st);
    dup2(kept, 2);
    close(kept);
    unsigned n = 0, foreign = 0;
    FILE *f = fopen(path, "r");
    for (; f != NULL && fgets(line, sizeof line, f) != NULL; n++)
        foreign += strncmp(line, "keyd ", 5) != 0 || strchr(line, '\x1b') != NULL;
    if (f != NULL)
        fclose(f);
    tap_ok(is_ended && n > 400 && foreign == 0,
           "noise in the place of its log: %u lines, all its own", n);
}

/* --- the parent --- */

static void ignore(void *arg)
{
    (void)arg;
}

static void begin(char *text, size_t cap)
{
    struct error e;
    struct config_problems problems = {0};
    size_t n = (size_t)snprintf(text, cap,
                                "hostname = mx.example.org\nworkers = 1\nstate_dir = %s/state\n"
                                "run_dir = %s/run\n" WITH_PAM "[listen smtp]\n",
                                base, base);
    for (; n + 100 < PADDING; n += 100)
        snprintf(text + n, cap - n, "#%98s\n", "");
    parent.text = text;
    parent.text_n = n;
    parent.config = config_parse((struct span){text, n}, "test", &problems);
    if (parent.config == NULL)
        play_give_up(problems.n > 0 ? problems.list[0].text : "configuration");
    parent.loop = loop_new();
    if (parent.loop == NULL || sodium_init() < 0)
        play_give_up("memory");
    timer_init(&parent.reap, parent.loop, ignore, NULL);
    timer_init(&parent.stop_limit, parent.loop, ignore, NULL);
    for (unsigned r = 0; r < ROLES; r++)
        parent.memory_fds[r] = -1;
    if (mkdir(parent.config->state_dir, 0755) < 0 || mkdir(parent.config->run_dir, 0755) < 0)
        play_give_up(base);
    log_set_prefix("parent ");
    move_clock(LIFE_MS);
    if (layout_state(parent.config, &e) < 0 || layout_run(parent.config, &e) < 0 ||
        control_open(&parent, &e) < 0 || supervise_start(&parent, &e) < 0)
        play_give_up(e.text);
}

int main(int argc, char **argv)
{
    static char text[PADDING + 200];
    tap_begin(argc, argv, "parent", base, sizeof base);
    chance_begin(tap_seed());
    liar_fd(); /* they are counted from the beginning */
    signal(SIGPIPE, SIG_IGN);
    begin(text, sizeof text);
    for (size_t i = 0; i < tree_n_processes; i++)
        if (is_wanted(&tree_processes[i]))
            begin_life(tree_processes[i].role);
    for (int i = 0; i < TURNS_MAX && !parent.was_ready; i++)
        turn();
    log_set_sink(count_lines);
    tap_ok(parent.was_ready && ask("status") >= count_wanted(), "it is ready, and answers");
    for (size_t i = 0; i < tree_n_processes; i++)
        if (is_wanted(&tree_processes[i]))
            face(&tree_processes[i]);
    tell_the_deaf();
    write_noise();
    supervise_stop(&parent);
    supervise_stop(&parent); /* at once */
    log_flush();
    config_free(parent.config);
    return tap_end();
}
