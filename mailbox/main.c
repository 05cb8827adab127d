/* mailbox: reads mail for granted mailboxes. It sees no network and writes nothing. */
#include "common/maildb.h"
#include "common/proc.h"
#include "mailbox/export.h"
#include "mailbox/serve.h"

static struct ipc *queue(void *owner)
{
    return proc_peer(owner, ROLE_QUEUE);
}

static void configure(struct proc *p)
{
    const struct config *c = proc_config(p);
    struct serve_settings set = {.retention_ms = c->mailbox.retention_ms,
                                 .login_delay_ms = c->pop3.login_delay_ms};
    serve_set(proc_state(p), &set);
}

static int open_serve(struct proc *p, struct error *e)
{
    struct store *store = store_new(MAILDB_PATH);
    struct serve *serve = store != NULL ? serve_new(proc_loop(p), store, queue, p) : NULL;
    if (serve == NULL)
        return error_set(e, "out of memory");
    proc_set_state(p, serve);
    configure(p);
    return 0;
}

static void granted(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from;
    struct proc *p = owner;
    if (fd >= 0)
        serve_grant(proc_state(p), &m->box_grant, fd);
}

static void on_export_next(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    export_next(serve_store(proc_state(owner)), from, &m->export_next);
}

/* The parent stops pop3d before us: what is left are removals that queue has not answered. */
static void leave_if_idle(struct proc *p)
{
    if (proc_is_draining(p) && !serve_is_busy(proc_state(p)))
        proc_exit(p);
}

static const struct ipc_handler handlers[] = {{MSG_BOX_GRANT, granted},
                                              {MSG_EXPORT_NEXT, on_export_next}};
static const struct proc_spec spec = {
    .role = ROLE_MAILBOX,
    .handlers = handlers,
    .n_handlers = sizeof handlers / sizeof handlers[0],
    .open = open_serve,
    .reloaded = configure,
    .turn = leave_if_idle,
    .drain = leave_if_idle,
    .files_max = 8192,
    .file_size_max = 1ULL << 28, /* listings in memory */
    .root = "queue",
};

int main(int argc, char **argv)
{
    return proc_main(argc, argv, &spec);
}
