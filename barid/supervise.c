/* Children: started, told, watched, restarted, stopped. The parent believes nothing a child says
 * beyond "ready" and "cannot start". */
#include "barid/parent.h"

#include "common/clock.h"
#include "common/layout.h"
#include "common/log.h"
#include "common/peers.h"
#include "common/spawn.h"
#include "common/unixsock.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#define GRACE_MS       10000
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 10000
#define RELINK_MS      500   /* a pair is linked again no sooner */
#define LONG_LIFE_MS   10000 /* who lived this long is restarted at once */
#define STOP_RANKS     4

static void child_failed(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct child *c = owner;
    if (span_copy(c->failure, sizeof c->failure, m->child_failed.why) < 0)
        c->failure[0] = '\0';
}

static bool all_ready(const struct parent *p)
{
    for (size_t i = 0; i < p->n_children; i++)
        if (!p->children[i]->is_ready)
            return false;
    return true;
}

static void child_ready(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)m, (void)fd;
    struct child *c = owner;
    struct parent *p = c->parent;
    c->is_ready = true;
    if (c->trouble.times > 0)
        LOG(0, "process-recovered", LZ("process", role_name(c->kind->role)),
            LN("failures", (int64_t)c->trouble.times));
    c->trouble = (struct trouble){0};
    if (p->was_ready || !all_ready(p))
        return;
    p->was_ready = true;
    logpipe_say(SPAN("ready\n"));
}

/* The process is dying or broke the rules; SIGCHLD or this kill ends it, and then it is restarted.
 */
static void control_closed(void *owner, struct ipc *ch)
{
    struct child *c = owner;
    c->control = NULL;
    ipc_close(ch);
    if (c->pid > 0)
        kill(c->pid, SIGKILL);
}

static bool are_linked(enum role a, enum role b)
{
    for (size_t i = 0; i < tree_n_channels; i++) {
        const struct tree_channel *t = &tree_channels[i];
        if ((t->a == a && t->b == b) || (t->a == b && t->b == a))
            return true;
    }
    return false;
}

static void tell_peer(struct child *to, const struct child *about, int fd)
{
    struct msg_child_peer m = {.role = (uint8_t)about->kind->role,
                               .instance = (uint16_t)about->instance};
    ipc_send_child_peer(to->control, &m, fd);
}

static void link_children(struct child *a, struct child *b)
{
    int pair[2];
    if (unixsock_pair(pair) < 0) {
        LOG(0, "channel-failed", LZ("because", strerror(errno)));
        return;
    }
    a->linked_ms = b->linked_ms = clock_mono_ms();
    tell_peer(a, b, pair[0]);
    tell_peer(b, a, pair[1]);
    close(pair[0]);
    close(pair[1]);
}

/* Who loses channel after channel is told of once. */
static bool is_new_loss(struct child *c, int64_t now)
{
    if (now - c->losses.met_ms >= TROUBLE_QUIET_MS)
        c->losses = (struct trouble){0};
    return trouble_is_news(&c->losses);
}

/* Both ends ask, and a process in back-off is dead: what cannot be done now is asked for again. */
static void child_lost(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct child *c = owner;
    struct parent *p = c->parent;
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < p->n_children; i++) {
        struct child *other = p->children[i];
        if (other == c || other->kind->role != m->child_lost.role ||
            other->instance != m->child_lost.instance || other->control == NULL ||
            !are_linked(c->kind->role, other->kind->role))
            continue;
        if (p->is_stopping || now - c->linked_ms < RELINK_MS || now - other->linked_ms < RELINK_MS)
            continue;
        if (is_new_loss(c, now))
            LOG(0, "channel-remade", LZ("between", role_name(c->kind->role)),
                LZ("and", role_name(other->kind->role)));
        link_children(c, other);
    }
}

static const struct ipc_handler handlers[] = {
    {MSG_CHILD_READY, child_ready},
    {MSG_CHILD_FAILED, child_failed},
    {MSG_CHILD_LOST, child_lost},
};
static const struct ipc_ops control_ops = {
    .handlers = handlers,
    .n_handlers = sizeof handlers / sizeof handlers[0],
    .on_close = control_closed,
};

/* Configuration, sockets, and "begin" (or "apply"). A child that does not listen for so long that
 * nothing more can wait for it would get half of it: it is started anew. */
static void tell(struct parent *p, struct child *c)
{
    if (spawn_send_config(c->control, (struct span){p->text, p->text_n}, p->config) < 0) {
        kill(c->pid, SIGKILL);
        return;
    }
    for (size_t i = 0; i < p->bound.n; i++) {
        const struct bound *b = &p->bound.list[i];
        if ((c->kind->kinds & 1U << b->kind) == 0)
            continue;
        char text[NETADDR_TEXT];
        struct msg_child_listen m = {
            .kind = (uint8_t)b->kind, .address = bound_name(b, text), .section = b->section};
        ipc_send_child_listen(c->control, &m, b->fd);
    }
    if (c->control_socket >= 0)
        ipc_send_child_listen(c->control, &(struct msg_child_listen){.kind = LISTEN_CONTROL},
                              c->control_socket);
    int memory_fd = p->memory_fds[c->kind->role];
    if (memory_fd >= 0)
        ipc_send_child_memory(c->control, &(struct msg_child_memory){}, memory_fd);
    files_hand_over(&p->files, c->kind->role, c->control);
    ipc_send_child_start(c->control, &(struct msg_child_start){p->generation}, -1);
}

void supervise_tell_all(struct parent *p)
{
    for (size_t i = 0; i < p->n_children; i++)
        if (p->children[i]->control != NULL)
            tell(p, p->children[i]);
}

static int start_one(struct parent *p, struct child *c, struct error *e)
{
    struct spawned s;
    int log_fd = logpipe_open(&c->log, p->loop, c->kind->role);
    if (log_fd < 0)
        return error_set(e, "cannot make a pipe: %s", strerror(errno));
    peers_memory_clear(p->memory_fds[c->kind->role], c->instance);
    int result = spawn_role(c->kind->role, c->instance, log_fd, &s, e);
    close(log_fd);
    if (result < 0) {
        logpipe_close(&c->log);
        return -1;
    }
    c->pid = s.pid;
    c->is_ready = false;
    c->failure[0] = '\0';
    c->since_s = clock_wall_s();
    c->born_ms = clock_mono_ms();
    c->control = ipc_open(p->loop, s.control, ROLE_PARENT, c->kind->role, &control_ops, c);
    if (c->control == NULL) {
        kill(c->pid, SIGKILL); /* comes back as a death */
        return 0;
    }
    for (size_t i = 0; i < p->n_children; i++) {
        struct child *other = p->children[i];
        if (other != c && other->control != NULL && are_linked(c->kind->role, other->kind->role))
            link_children(c, other);
    }
    tell(p, c);
    return 0;
}

static void back_off(struct child *c)
{
    bool lived_long = clock_mono_ms() - c->born_ms >= LONG_LIFE_MS;
    if (lived_long)
        c->backoff_ms = 0;
    timer_set(&c->again, c->backoff_ms);
    c->backoff_ms = c->backoff_ms == 0                   ? BACKOFF_MIN_MS
                    : c->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS
                                                         : c->backoff_ms * 2;
}

static void start_again(void *arg)
{
    struct child *c = arg;
    struct error e;
    if (c->parent->is_stopping)
        return;
    c->restarts++;
    if (start_one(c->parent, c, &e) < 0) {
        LOG(0, "restart-failed", LZ("process", role_name(c->kind->role)), LZ("because", e.text));
        back_off(c);
    }
}

static struct child *new_child(struct parent *p, const struct tree_process *kind, unsigned instance)
{
    struct child *c = p->n_children < CHILDREN_MAX ? calloc(1, sizeof *c) : NULL;
    if (c == NULL)
        return NULL;
    *c = (struct child){.parent = p, .kind = kind, .instance = instance, .control_socket = -1};
    c->log.fd = -1;
    timer_init(&c->again, p->loop, start_again, c);
    p->children[p->n_children++] = c;
    return c;
}

/* What was left out of this build cannot be wished for. */
int supervise_check(const struct config *c, struct error *e)
{
#ifndef HAVE_PAM
    if (c->pam.service != NULL)
        return error_set(e, "[pam] service: " CONFIG_NO_PAM);
#endif
    (void)c, (void)e;
    return 0;
}

int supervise_start(struct parent *p, struct error *e)
{
    if (supervise_check(p->config, e) < 0)
        return -1;
    for (size_t k = 0; k < tree_n_processes; k++) {
        const struct tree_process *kind = &tree_processes[k];
        unsigned n = kind->is_per_worker ? (unsigned)p->config->workers : 1;
        p->memory_fds[kind->role] = -1;
        if (kind->is_wanted != NULL && !kind->is_wanted(p->config))
            continue;
        p->memory_fds[kind->role] = kind->is_per_worker ? peers_memory(n) : -1;
        if (kind->is_per_worker && p->memory_fds[kind->role] < 0)
            return error_set(e, "cannot make memory for %s: %s", role_name(kind->role),
                             strerror(errno));
        for (unsigned i = 0; i < n; i++) {
            struct child *c = new_child(p, kind, i);
            if (c == NULL)
                return error_set(e, "too many processes, or out of memory");
            if (kind->control != NULL) {
                c->control_socket = unixsock_listen(p->config->run_dir, kind->control, e);
                if (c->control_socket < 0)
                    return -1;
            }
        }
    }
    for (size_t i = 0; i < p->n_children; i++)
        if (start_one(p, p->children[i], e) < 0)
            return -1;
    return 0;
}

/* --- deaths --- */

static size_t alive_in_rank(const struct parent *p, unsigned rank)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_children; i++)
        n += p->children[i]->kind->stop_rank == rank && p->children[i]->pid > 0;
    return n;
}

static void stop_rank(struct parent *p)
{
    while (p->stop_rank < STOP_RANKS && alive_in_rank(p, p->stop_rank) == 0)
        p->stop_rank++;
    if (p->stop_rank == STOP_RANKS) {
        loop_stop(p->loop);
        return;
    }
    for (size_t i = 0; i < p->n_children; i++) {
        struct child *c = p->children[i];
        if (c->kind->stop_rank == p->stop_rank && c->pid > 0)
            ipc_send_child_stop(c->control, &(struct msg_child_stop){GRACE_MS}, -1);
    }
    timer_set(&p->stop_limit, GRACE_MS + 2000);
}

/* One that cannot start for the reason that was said, as at every attempt, is not said again. */
static bool is_new_death(struct child *c)
{
    if (c->failure[0] == '\0')
        return true;
    if (strcmp(c->failure, c->said) != 0)
        c->trouble = (struct trouble){0};
    memcpy(c->said, c->failure, sizeof c->said);
    return trouble_is_news(&c->trouble);
}

static void died(struct child *c, int status)
{
    struct parent *p = c->parent;
    int by = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    logpipe_close(&c->log);
    gather_child_gone(p, c);
    ipc_close(c->control);
    c->control = NULL;
    c->pid = 0;
    if (p->is_stopping) {
        if (alive_in_rank(p, p->stop_rank) == 0)
            stop_rank(p);
        return;
    }
    if (!p->was_ready) {
        logpipe_fail("%s cannot start: %s", role_name(c->kind->role),
                     c->failure[0] != '\0' ? c->failure
                     : by != 0             ? strsignal(by)
                     : WEXITSTATUS(status) >= 126
                         ? "its program could not be executed: install all of barid"
                         : "see the log above");
        p->exit_status = 1;
        supervise_kill(p);
        loop_stop(p->loop);
        return;
    }
    if (is_new_death(c))
        LOG(0, "process-died", LZ("process", role_name(c->kind->role)),
            LN("status", WEXITSTATUS(status)), LN("signal", by), LZ("because", c->failure));
    back_off(c);
}

void supervise_reap(struct parent *p)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < p->n_children; i++)
            if (p->children[i]->pid == pid) {
                died(p->children[i], status);
                break;
            }
}

void supervise_kill(struct parent *p)
{
    p->is_stopping = true;
    for (size_t i = 0; i < p->n_children; i++)
        if (p->children[i]->pid > 0)
            kill(p->children[i]->pid, SIGKILL);
    for (size_t i = 0; i < p->n_children; i++)
        if (p->children[i]->pid > 0)
            waitpid(p->children[i]->pid, NULL, 0);
}

void supervise_stop(struct parent *p)
{
    if (p->is_stopping) {
        supervise_kill(p);
        loop_stop(p->loop);
        return;
    }
    p->is_stopping = true;
    p->stop_rank = 0;
    stop_rank(p);
}
