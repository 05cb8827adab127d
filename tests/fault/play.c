#include "tests/fault/play.h"

#include "common/config.h"
#include "common/jail.h"
#include "common/layout.h"
#include "common/spawn.h"
#include "tests/fault/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

void play_give_up(const char *what)
{
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- configuration --- */

static struct config *parse(const struct play *p, char *text, size_t cap)
{
    struct config_problems problems = {0};
    int n = snprintf(
        text, cap, "hostname = mx.example.org\nstate_dir = %s\nrun_dir = %s/run\n[listen smtp]\n%s",
        p->state_dir, p->state_dir, p->extra != NULL ? p->extra : "");
    struct config *c = n > 0 && (size_t)n < cap
                           ? config_parse((struct span){text, (size_t)n}, "test", &problems)
                           : NULL;
    if (c == NULL) {
        errno = EINVAL;
        play_give_up(problems.n > 0 ? problems.list[0].text : "configuration");
    }
    config_problems_free(&problems);
    return c;
}

void play_layout(const char *state_dir)
{
    char text[PATH_MAX * 2];
    struct error e;
    struct play p = {.state_dir = state_dir};
    if (mkdir(state_dir, 0755) < 0 && errno != EEXIST)
        play_give_up(state_dir);
    struct config *c = parse(&p, text, sizeof text);
    if (layout_state(c, &e) < 0)
        play_give_up(e.text);
    config_free(c);
}

void play_give(const char *path, enum role role)
{
    uid_t uid;
    gid_t gid;
    bool is_named;
    if (geteuid() != 0)
        return;
    jail_account(role, &uid, &gid, &is_named);
    if (chown(path, uid, gid) < 0)
        play_give_up(path);
}

/* --- messages --- */

static void send_hello(int channel, enum role self)
{
    play_send(channel, MSG_HELLO, &(struct msg_hello){proto_hash(), (uint8_t)self}, -1);
}

void play_make_roomy(int fd)
{
    int room = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){.tv_sec = 10},
               sizeof(struct timeval));
}

void play_pair(int pair[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        play_give_up("socketpair");
    play_make_roomy(pair[0]);
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &(int){4 << 20}, sizeof(int));
}

int play_send_raw(int channel, const char *octets, size_t n, int fd)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)octets, n};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        mh.msg_control = control.room;
        mh.msg_controllen = sizeof control.room;
        struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
        *c = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return sendmsg(channel, &mh, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static play_spoil_fn *spoiler;

void play_spoil(play_spoil_fn *spoil)
{
    spoiler = spoil;
}

int play_send(int channel, enum msg_type type, const void *fields, int fd)
{
    static char out[IPC_MAX + 1];
    size_t n = proto_pack(out, IPC_MAX, type, fields);
    if (n == 0)
        play_give_up("a message does not pack");
    if (spoiler != NULL)
        spoiler(channel, out, &n, &fd);
    return n > 0 ? play_send_raw(channel, out, n, fd) : 0;
}

static int fd_of(struct msghdr *mh)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(mh);
    int fd = -1;
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

int play_receive(int channel, union msg *m, enum msg_type *type, int *fd, int timeout_ms)
{
    static char in[IPC_MAX];
    struct pollfd wait = {.fd = channel, .events = POLLIN};
    do {
        union {
            struct cmsghdr align;
            char room[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = {in, sizeof in};
        struct msghdr mh = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.room,
                            .msg_controllen = sizeof control.room};
        if (poll(&wait, 1, timeout_ms) <= 0)
            return 0;
        ssize_t n = recvmsg(channel, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n <= 0)
            return -1;
        *fd = fd_of(&mh);
        if (proto_unpack((struct span){in, (size_t)n}, type, m) < 0)
            play_give_up("it sent what does not unpack");
    } while (*type == MSG_HELLO);
    return 1;
}

/* --- the process --- */

static void become(const struct play *p, int control)
{
    char dir[PATH_MAX] = {0}, path[PATH_MAX + 64], shim[PATH_MAX + 64], trace[48], fault[96];
    char *env[4] = {0}, name[] = "test", instance[] = "0", *argv[] = {name, instance, NULL};
    size_t n = 0;
    if (readlink("/proc/self/exe", dir, sizeof dir - 1) < 0)
        _exit(125);
    *strrchr(dir, '/') = '\0';
    snprintf(path, sizeof path, "%s/../../libexec/barid/%s", dir, role_name(p->role));
    snprintf(shim, sizeof shim, "LD_PRELOAD=%s/shim.so", dir);
    snprintf(trace, sizeof trace, TRACE_FD_ENV "=%d", p->trace_fd);
    snprintf(fault, sizeof fault, TRACE_FAIL_ENV "=%s", p->fault != NULL ? p->fault : "");
    if (p->trace_fd >= 0 || p->fault != NULL)
        env[n++] = shim;
    if (p->trace_fd >= 0) {
        env[n++] = trace;
        fcntl(p->trace_fd, F_SETFD, 0);
    }
    if (p->fault != NULL)
        env[n++] = fault;
    control = fcntl(control, F_DUPFD_CLOEXEC, 20); /* out of the way of the number it gets */
    if (dup2(p->log_fd, 2) < 0 || dup2(control, SPAWN_CONTROL_FD) < 0)
        _exit(125);
    execve(path, argv, env);
    _exit(127);
}

static void send_config(const struct play *p)
{
    char text[PATH_MAX * 2];
    struct config *c = parse(p, text, sizeof text);
    struct span whole = {NULL, 0};
    whole.p = config_child_text(c, span_of(text), &whole.n);
    if (whole.p == NULL || whole.n > CHUNK_MAX)
        play_give_up("configuration");
    play_send(p->control, MSG_CHILD_CONFIG, &(struct msg_child_config){whole, 1}, -1);
    free((char *)(uintptr_t)whole.p);
    config_free(c);
}

int play_connect_as(struct play *p, enum role peer, unsigned instance)
{
    int pair[2];
    play_pair(pair);
    struct msg_child_peer m = {(uint8_t)peer, (uint16_t)instance};
    play_send(p->control, MSG_CHILD_PEER, &m, pair[1]);
    close(pair[1]);
    send_hello(pair[0], peer);
    return pair[0];
}

void play_connect(struct play *p, enum role peer)
{
    if (p->channels[peer] >= 0)
        close(p->channels[peer]);
    p->channels[peer] = play_connect_as(p, peer, 0);
}

static int wait_until_ready(struct play *p)
{
    union msg m;
    enum msg_type type;
    int fd;
    while (play_receive(p->control, &m, &type, &fd, PLAY_WAIT_MS) > 0) {
        if (type == MSG_CHILD_READY)
            return 0;
        if (type == MSG_CHILD_FAILED)
            span_copy(p->why, sizeof p->why, m.child_failed.why);
    }
    return -1;
}

int play_start(struct play *p)
{
    int pair[2];
    play_pair(pair);
    p->why[0] = '\0';
    p->control = pair[0];
    fflush(stdout);
    p->pid = fork();
    if (p->pid < 0)
        play_give_up("fork");
    if (p->pid == 0)
        become(p, pair[1]);
    close(pair[1]);
    send_hello(p->control, ROLE_PARENT);
    send_config(p);
    for (unsigned r = 0; r < ROLES; r++) {
        p->channels[r] = -1;
        if ((p->peers & 1U << r) != 0)
            play_connect(p, (enum role)r);
    }
    if (p->before_start != NULL)
        p->before_start(p);
    play_send(p->control, MSG_CHILD_START, &(struct msg_child_start){}, -1);
    if (wait_until_ready(p) == 0)
        return 0;
    play_kill(p);
    return -1;
}

static int reap(struct play *p)
{
    int status = -1;
    for (int i = 0; i < PLAY_WAIT_MS && p->pid > 0; i++) {
        if (waitpid(p->pid, &status, WNOHANG) == p->pid)
            break;
        status = -1;
        poll(NULL, 0, 1);
    }
    if (status == -1)
        return -1;
    p->pid = 0;
    close(p->control);
    for (unsigned r = 0; r < ROLES; r++)
        if (p->channels[r] >= 0)
            close(p->channels[r]);
    return status;
}

int play_kill(struct play *p)
{
    kill(p->pid, SIGKILL);
    return reap(p);
}

int play_stop(struct play *p)
{
    play_send(p->control, MSG_CHILD_STOP, &(struct msg_child_stop){5000}, -1);
    return reap(p);
}

bool play_is_alive(const struct play *p)
{
    siginfo_t info = {0};
    return p->pid > 0 && waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}
