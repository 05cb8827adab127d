#include "common/proc.h"

#include "common/id.h"
#include "common/jail.h"
#include "common/log.h"
#include "common/proc_private.h"
#include "common/spawn.h"
#include "common/stats.h"
#include "common/unixsock.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>

#define CONFIG_MAX (2U << 20)
/* A peer that died is back, with its channels, before this. What is still missing then was closed
 * between two that live: over a broken message, or for want of memory. */
#define LOST_MS 1000

struct loop *proc_loop(struct proc *p)
{
    return p->loop;
}

const struct config *proc_config(struct proc *p)
{
    return p->config;
}

void *proc_state(struct proc *p)
{
    return p->state;
}

void proc_set_state(struct proc *p, void *state)
{
    p->state = state;
}

unsigned proc_instance(const struct proc *p)
{
    return p->instance;
}

int proc_memory_fd(const struct proc *p)
{
    return p->memory_fd;
}

struct ipc *proc_peer(struct proc *p, enum role role)
{
    return p->peers[role][0].ch;
}

uint32_t proc_generation(const struct proc *p)
{
    return p->generation;
}

char *proc_read_file(struct proc *p, enum file_kind kind, size_t section, size_t *n,
                     struct error *e)
{
    return handed_read(&p->files, kind, section, n, e);
}

bool proc_is_draining(const struct proc *p)
{
    return p->is_draining;
}

void proc_exit(struct proc *p)
{
    loop_stop(p->loop);
}

/* --- channels --- */

static void peer_closed(void *owner, struct ipc *ch)
{
    struct proc *p = owner;
    enum role role = ipc_peer(ch);
    unsigned instance = (unsigned)ipc_mark(ch);
    p->peers[role][instance].ch = NULL;
    p->peers[role][instance].is_lost = true;
    timer_set(&p->ask_for_lost, LOST_MS);
    if (p->spec->peer_down != NULL)
        p->spec->peer_down(p, role, instance, ch);
    ipc_close(ch);
}

static void ask_for_lost(void *arg)
{
    struct proc *p = arg;
    bool is_missing = false;
    for (unsigned r = 0; r < ROLES; r++)
        for (unsigned i = 0; i < INSTANCES_MAX; i++) {
            if (!p->peers[r][i].is_lost)
                continue;
            struct msg_child_lost m = {.role = (uint8_t)r, .instance = (uint16_t)i};
            ipc_send_child_lost(p->control, &m, -1);
            is_missing = true;
        }
    if (is_missing)
        timer_set(&p->ask_for_lost, LOST_MS);
}

static void cli_closed(void *owner, struct ipc *ch)
{
    struct proc *p = owner;
    for (size_t i = 0; i < CLIS_MAX; i++)
        if (p->clis[i] == ch)
            p->clis[i] = NULL;
    if (p->spec->peer_down != NULL)
        p->spec->peer_down(p, ROLE_CLI, 0, ch);
    ipc_close(ch);
}

static void open_peer(struct proc *p, enum role role, unsigned instance)
{
    struct peer *peer = &p->peers[role][instance];
    int fd = peer->pending_fd;
    peer->pending_fd = -1;
    if (role == ROLE_CLI) { /* the CLI that started us to do its work while nothing is running */
        ipc_open(p->loop, fd, p->spec->role, ROLE_CLI, &p->cli_ops, p);
        return;
    }
    if (peer->ch != NULL)
        ipc_break(peer->ch); /* who waits there has to know: peer_closed follows */
    peer->ch = ipc_open(p->loop, fd, p->spec->role, role, &p->peer_ops, p);
    if (peer->ch == NULL)
        return;
    peer->is_lost = false;
    ipc_set_mark(peer->ch, instance);
    if (p->spec->peer_up != NULL)
        p->spec->peer_up(p, role, instance, peer->ch);
}

static void on_peer(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from;
    struct proc *p = owner;
    unsigned role = m->child_peer.role, instance = m->child_peer.instance;
    if (fd < 0 || role >= ROLES || instance >= INSTANCES_MAX) {
        if (fd >= 0)
            close(fd);
        return;
    }
    struct peer *peer = &p->peers[role][instance];
    if (peer->pending_fd >= 0)
        close(peer->pending_fd);
    peer->pending_fd = fd;
    if (p->is_serving)
        open_peer(p, (enum role)role, instance);
}

static void open_peers(struct proc *p)
{
    for (unsigned r = 0; r < ROLES; r++)
        for (unsigned i = 0; i < INSTANCES_MAX; i++)
            if (p->peers[r][i].pending_fd >= 0)
                open_peer(p, (enum role)r, i);
}

/* --- the parent's messages --- */

static void on_config(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct proc *p = owner;
    if (p->config_is_whole)
        buf_free(&p->config_text);
    buf_add_span(&p->config_text, m->child_config.text);
    p->config_is_whole = m->child_config.is_last != 0;
}

static void on_file(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from;
    struct proc *p = owner;
    handed_add(&p->files, &m->child_file, fd);
}

static struct config *parse_config(struct proc *p)
{
    struct config_problems problems = {0};
    struct config *c = config_parse(buf_span(&p->config_text), "the parent's copy", &problems);
    if (c == NULL)
        LOG(0, "configuration-refused",
            LZ("because", problems.n > 0 ? problems.list[0].text : "out of memory"));
    config_problems_free(&problems);
    return c;
}

static void apply_config(struct proc *p)
{
    struct config *fresh = parse_config(p);
    if (fresh == NULL) {
        handed_clear(&p->files);
        return;
    }
    struct config *old = p->config;
    p->config = fresh;
    proc_settle_listeners(p);
    if (p->spec->reloaded != NULL)
        p->spec->reloaded(p);
    handed_clear(&p->files);
    config_free(old);
}

static void on_start(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct proc *p = owner;
    p->generation = m->child_start.generation;
    p->is_started = true;
    if (p->is_serving)
        apply_config(p);
}

static void grace_over(void *arg)
{
    struct proc *p = arg;
    LOG(0, "stopped", LZ("because", "the grace period is over"));
    loop_stop(p->loop);
}

static void drain(struct proc *p, int64_t grace_ms)
{
    if (p->is_draining)
        return;
    if (!p->is_serving)
        _exit(0);
    p->is_draining = true;
    for (size_t i = 0; i < p->n_listeners; i++)
        proc_close_listener(p->listeners[i]);
    if (p->spec->drain == NULL) {
        loop_stop(p->loop);
        return;
    }
    timer_set(&p->grace, grace_ms);
    p->spec->drain(p);
}

static void on_stop(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    drain(owner, m->child_stop.grace_ms);
}

static void on_sigterm(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    drain(arg, 5000);
}

/* Without a parent nobody would restart, reload or stop us. */
static void parent_gone(void *owner, struct ipc *ch)
{
    (void)owner, (void)ch;
    log_flush();
    _exit(1);
}

static void on_memory(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)m;
    struct proc *p = owner;
    if (p->memory_fd >= 0 && fd >= 0)
        close(fd);
    else
        p->memory_fd = fd;
}

static void on_stats(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    static char octets[STATS_MAX];
    struct proc *p = owner;
    struct msg_child_stats_re re = {
        .tag = m->child_stats.tag,
        .stats = {octets, stats_pack(p->spec->role, octets, sizeof octets)}};
    ipc_send_child_stats_re(from, &re, -1);
}

static const struct ipc_handler control_handlers[] = {
    {MSG_CHILD_MEMORY, on_memory},      {MSG_CHILD_CONFIG, on_config}, {MSG_CHILD_FILE, on_file},
    {MSG_CHILD_LISTEN, proc_on_listen}, {MSG_CHILD_PEER, on_peer},     {MSG_CHILD_START, on_start},
    {MSG_CHILD_STOP, on_stop},          {MSG_CHILD_STATS, on_stats},
};

static const struct ipc_ops control_ops = {
    .handlers = control_handlers,
    .n_handlers = sizeof control_handlers / sizeof control_handlers[0],
    .on_close = parent_gone,
};

/* --- life --- */

static int init(struct proc *p, int argc, char **argv, struct error *e)
{
    uint64_t instance = 0;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGINT, &ignore, NULL); /* a terminal sends it to all; the parent stops us */
    sigaction(SIGHUP, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);
    for (unsigned r = 0; r < ROLES; r++)
        for (unsigned i = 0; i < INSTANCES_MAX; i++)
            p->peers[r][i].pending_fd = -1;
    if (argc != 2 || span_u64(span_of(argv[1]), &instance) < 0 || instance >= INSTANCES_MAX)
        return error_set(e, "this program is started by barid run, not by hand");
    p->instance = (unsigned)instance;
    id_set_maker(p->spec->role * INSTANCES_MAX + p->instance);
    p->loop = loop_new();
    if (p->loop == NULL || sodium_init() < 0)
        return error_set(e, "out of memory");
    buf_init(&p->config_text, CONFIG_MAX);
    timer_init(&p->grace, p->loop, grace_over, p);
    timer_init(&p->accept_again, p->loop, proc_accept_again, p);
    timer_init(&p->ask_for_lost, p->loop, ask_for_lost, p);
    p->sigterm = evsignal_new(loop_base(p->loop), SIGTERM, on_sigterm, p);
    p->control = ipc_open(p->loop, SPAWN_CONTROL_FD, p->spec->role, ROLE_PARENT, &control_ops, p);
    if (p->control == NULL || p->sigterm == NULL)
        return error_set(e, "this program is started by barid run, not by hand");
    evsignal_add(p->sigterm, NULL);
    while (!p->is_started)
        loop_turn(p->loop, -1);
    if (p->lacks_listener) /* ready, and silent there for ever: rather begin again */
        return error_set(e, "it has no room for all of its listeners");
    p->config = parse_config(p);
    return p->config != NULL ? 0 : error_set(e, "it refuses the configuration");
}

static int enter_jail(struct proc *p, struct error *e)
{
    char root[PATH_MAX];
    const struct proc_spec *s = p->spec;
    bool is_machine = s->root != NULL && s->root[0] == '/';
    snprintf(root, sizeof root, "%s/%s", is_machine ? "" : p->config->state_dir,
             is_machine        ? ""
             : s->root != NULL ? s->root
                               : "empty");
    struct jail j = {
        .role = s->role,
        .root = root,
        .files_max = s->files_max != 0 ? s->files_max : 1024,
        .memory_max = s->memory_max,
        .file_size_max = s->file_size_max,
        .has_seccomp = p->config->seccomp == JAIL_ON,
        .has_landlock = p->config->landlock == JAIL_ON,
        .processes = s->processes_max,
    };
    return jail_enter(&j, e);
}

static int start(struct proc *p, struct error *e)
{
    if (p->spec->prepare != NULL && p->spec->prepare(p, e) < 0)
        return -1;
    if (enter_jail(p, e) < 0)
        return -1;
    if (p->spec->open != NULL && p->spec->open(p, e) < 0)
        return -1;
    handed_clear(&p->files);
    p->is_serving = true;
    open_peers(p);
    proc_settle_listeners(p);
    return ipc_send_child_ready(p->control, &(struct msg_child_ready){}, -1);
}

static void after_turn(void *arg)
{
    struct proc *p = arg;
    if (p->spec->turn != NULL)
        p->spec->turn(p);
    log_flush();
}

int proc_main(int argc, char **argv, const struct proc_spec *spec)
{
    static struct proc p;
    p.memory_fd = -1;
    struct error e = {{0}};
    p.spec = spec;
    p.peer_ops = (struct ipc_ops){.handlers = spec->handlers,
                                  .n_handlers = spec->n_handlers,
                                  .on_close = peer_closed,
                                  .on_drain = spec->drained};
    p.cli_ops = p.peer_ops;
    p.cli_ops.on_close = cli_closed;
    if (init(&p, argc, argv, &e) < 0 || start(&p, &e) < 0) {
        struct msg_child_failed m = {.why = span_of(e.text)};
        if (p.control == NULL || ipc_send_child_failed(p.control, &m, -1) < 0)
            fprintf(stderr, "barid: %s\n", e.text);
        log_flush();
        return 1;
    }
    loop_run(p.loop, after_turn, &p);
    after_turn(&p);
    return 0;
}
