/* The parent: `barid run`. It reads the configuration, binds ports, starts the processes of tree.c
 * and keeps them alive; it never parses what came from the network. */
#include "barid/parent.h"

#include "common/clock.h"
#include "common/layout.h"
#include "common/log.h"
#include "common/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define BIND_PATIENCE_MS 2000
#define LOCK_PATIENCE_MS 2000
#define REAP_MS          5 /* the last words of the dead are read before they are buried */

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    supervise_stop(arg);
}

static void on_reload(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    reload(arg);
}

static void on_child(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct parent *p = arg;
    timer_set(&p->reap, REAP_MS);
}

static void reap(void *arg)
{
    supervise_reap(arg);
}

static void stop_limit(void *arg)
{
    supervise_stop(arg); /* the second time: at once */
}

static int watch_signals(struct parent *p)
{
    static const struct {
        int number;
        event_callback_fn fn;
    } rows[] = {{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reload}, {SIGCHLD, on_child}};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct event *ev = evsignal_new(loop_base(p->loop), rows[i].number, rows[i].fn, p);
        if (ev == NULL || evsignal_add(ev, NULL) < 0)
            return -1;
    }
    return 0;
}

/* 0, or -1: somebody holds it. A command that works offline (cli/offline.c) holds it for an
 * instant. */
static int lock_patiently(int fd)
{
    for (int waited_ms = 0; waited_ms <= LOCK_PATIENCE_MS; waited_ms += 20) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return -1;
}

/* One suite per run_dir. */
static int take_lock(struct parent *p, struct error *e)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/lock", p->config->run_dir) >= sizeof path)
        return error_set(e, "run_dir: the name is too long");
    p->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (p->lock < 0)
        return error_set(e, "cannot open %s: %s", path, strerror(errno));
    if (lock_patiently(p->lock) < 0)
        return error_set(e,
                         "barid is already running with run_dir %s: stop it first, or give this "
                         "one a run_dir and state_dir of its own",
                         p->config->run_dir);
    return 0;
}

/* Children may raise their own limits up to the hard one only as root; an ordinary user's children
 * live with what the parent can pass on. */
static void raise_descriptors(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

static int start(struct parent *p, struct error *e)
{
    raise_descriptors();
    umask(022);
    if (layout_state(p->config, e) < 0 || layout_run(p->config, e) < 0 || take_lock(p, e) < 0)
        return -1;
    if (listen_bind(p->config, NULL, BIND_PATIENCE_MS, &p->bound, e) < 0)
        return -1;
    if (files_open(p->config, &p->files, e) < 0 || control_open(p, e) < 0)
        return -1;
    return supervise_start(p, e);
}

static void after_turn(void *arg)
{
    (void)arg;
    log_flush();
}

int main(int argc, char **argv)
{
    static struct parent p;
    struct error e = {{0}};
    bool is_json = argc == 4 && strcmp(argv[3], "--json") == 0;
    if ((argc != 3 && !is_json) || strcmp(argv[1], "--config") != 0) {
        fputs("usage: barid run [--config FILE] [--json]\n", stderr);
        return 2;
    }
    p.config_path = argv[2];
    log_set_prefix("parent ");
    log_set_sink(logpipe_say);
    if (is_json)
        logpipe_fail_in_json();
    spawn_adopt_orphans();
    p.loop = loop_new();
    if (p.loop == NULL || sodium_init() < 0) {
        fputs("barid: out of memory\n", stderr);
        return 1;
    }
    timer_init(&p.stop_limit, p.loop, stop_limit, &p);
    timer_init(&p.reap, p.loop, reap, &p);
    p.started_s = clock_wall_s();
    if (reload_read(p.config_path, &p.text, &p.text_n, &p.config) < 0)
        return 1;
    if (watch_signals(&p) < 0 || start(&p, &e) < 0) {
        logpipe_fail("%s", e.text[0] != '\0' ? e.text : "out of memory");
        supervise_kill(&p);
        spawn_wait_all();
        listen_close(&p.bound);
        return 1;
    }
    loop_run(p.loop, after_turn, &p);
    log_flush();
    spawn_wait_all();
    listen_close(&p.bound); /* the names of sockets go */
    return p.exit_status;
}
