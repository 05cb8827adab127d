/* `user`, `domain` and `alias` work with the daemons down too: authd, the only one who opens
 * users.db, is started alone, in its jail as always, asked, and stopped; so is queue for a repair.
 * The lock of run_dir, which a running suite holds, keeps out a second owner of a store. Who only
 * reads (mailbox, for fsck) may be started beside the daemons. */
#include "cli/cli.h"

#include "common/ipc.h"
#include "common/layout.h"
#include "common/spawn.h"
#include "common/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

struct offline {
    int lock;
    int fd; /* our end for questions */
    struct spawned child;
    struct ipc *control;
    struct loop *loop;
    bool is_ready, is_over;
    char why[512];
};

static void on_ready(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)m, (void)fd;
    ((struct offline *)owner)->is_ready = true;
}

static void on_failed(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct offline *o = owner;
    snprintf(o->why, sizeof o->why, "%.*s", (int)m->child_failed.why.n, m->child_failed.why.p);
    o->is_over = true;
}

static void on_close(void *owner, struct ipc *ch)
{
    (void)ch;
    ((struct offline *)owner)->is_over = true;
}

static const struct ipc_handler handlers[] = {{MSG_CHILD_READY, on_ready},
                                              {MSG_CHILD_FAILED, on_failed}};
static const struct ipc_ops ops = {.handlers = handlers, .n_handlers = 2, .on_close = on_close};

int offline_lock(const struct config *c, bool *is_busy, struct error *e)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/lock", c->run_dir) >= sizeof path)
        return error_set(e, "run_dir: the name is too long");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set(e, "cannot open %s: %s: run this as the user who starts barid", path,
                         strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    *is_busy = true;
    close(fd);
    return error_set(e, "the daemons are just starting or stopping (%s is locked): try again",
                     path);
}

/* What the parent would send: configuration, one channel, go. */
static int instruct(struct offline *o, struct cli *cli)
{
    int pair[2];
    struct span text = {cli->text, cli->text_n};
    if (unixsock_pair(pair) < 0)
        return -1;
    o->fd = pair[0];
    struct msg_child_peer peer = {.role = ROLE_CLI, .instance = 0};
    int rc = spawn_send_config(o->control, text, cli->config);
    if (rc == 0)
        rc = ipc_send_child_peer(o->control, &peer, pair[1]);
    close(pair[1]);
    return rc < 0 ? -1 : ipc_send_child_start(o->control, &(struct msg_child_start){}, -1);
}

/* Its own log goes nowhere: what matters comes back as an answer. */
static int start(struct offline *o, struct cli *cli, enum role role, struct error *e)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0)
        return error_set(e, "cannot open /dev/null: %s", strerror(errno));
    spawn_adopt_orphans();
    int rc = spawn_role(role, 0, null, &o->child, e);
    close(null);
    if (rc < 0)
        return -1;
    o->control = ipc_open(o->loop, o->child.control, ROLE_PARENT, role, &ops, o);
    if (o->control == NULL)
        return error_set(e, "no memory");
    bool is_told = instruct(o, cli) == 0;
    while (is_told && !o->is_ready && !o->is_over)
        loop_turn(o->loop, -1);
    if (o->is_ready)
        return 0;
    return error_set(e, "cannot start %s: %s", role_name(role),
                     o->why[0] ? o->why : "it ended at once: install all of barid");
}

struct offline *offline_start(struct cli *cli, struct loop *loop, struct offline_wish wish,
                              bool *is_busy, struct error *e)
{
    *is_busy = false;
    if (layout_state(cli->config, e) < 0 || layout_run(cli->config, e) < 0)
        return NULL;
    struct offline *o = alloc_array(1, sizeof *o);
    if (o == NULL) {
        error_set(e, "no memory");
        return NULL;
    }
    *o = (struct offline){.fd = -1, .loop = loop, .lock = -1};
    if (!wish.is_beside)
        o->lock = offline_lock(cli->config, is_busy, e);
    if ((wish.is_beside || o->lock >= 0) && start(o, cli, wish.role, e) == 0)
        return o;
    if (o->fd >= 0)
        close(o->fd);
    offline_stop(o);
    return NULL;
}

int offline_fd(struct offline *o)
{
    return o->fd;
}

/* Waits until it is gone: the lock must not be free while a store is open. */
void offline_stop(struct offline *o)
{
    if (o == NULL)
        return;
    if (o->control != NULL && !o->is_over)
        ipc_send_child_stop(o->control, &(struct msg_child_stop){.grace_ms = 5000}, -1);
    if (o->child.pid > 0) {
        if (o->control == NULL || !o->is_ready)
            kill(o->child.pid, SIGTERM);
        spawn_wait_all();
    }
    ipc_close(o->control);
    if (o->lock >= 0)
        close(o->lock);
    free(o);
}
