/* mailbox: reads mail for granted mailboxes. It sees no network and writes nothing. */
#include "common/maildb.h"
#include "common/proc.h"
#include "mailbox/check.h"
#include "mailbox/export.h"
#include "mailbox/serve.h"

struct mailbox {
    struct serve *serve;
    struct check *check;
};

static struct serve *serve_of(void *owner)
{
    const struct mailbox *m = proc_state(owner);
    return m->serve;
}

static struct ipc *queue(void *owner)
{
    return proc_peer(owner, ROLE_QUEUE);
}

static void configure(struct proc *p)
{
    const struct config *c = proc_config(p);
    struct serve_settings set = {.retention_ms = c->mailbox.retention_ms,
                                 .retention_least_ms = c->mailbox.retention_least_ms,
                                 .login_delay_ms = c->pop3.login_delay_ms};
    serve_set(serve_of(p), &set);
}

static int open_serve(struct proc *p, struct error *e)
{
    static struct mailbox mailbox;
    struct store *store = store_new(MAILDB_PATH);
    mailbox.serve = store != NULL ? serve_new(proc_loop(p), store, queue, p) : NULL;
    mailbox.check = check_new();
    if (mailbox.serve == NULL || mailbox.check == NULL)
        return error_set(e, "out of memory");
    proc_set_state(p, &mailbox);
    configure(p);
    return 0;
}

static void granted(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from;
    struct proc *p = owner;
    if (fd >= 0)
        serve_grant(serve_of(p), &m->box_grant, fd);
}

static void on_export_next(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    export_next(serve_store(serve_of(owner)), from, &m->export_next);
}

static void on_admin(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    const struct mailbox *mailbox = proc_state(owner);
    check_run(mailbox->check, from, &m->admin);
}

/* The parent stops pop3d before us: what is left are removals that queue has not answered. */
static void leave_if_idle(struct proc *p)
{
    if (proc_is_draining(p) && !serve_is_busy(serve_of(p)))
        proc_exit(p);
}

static const struct ipc_handler handlers[] = {
    {MSG_BOX_GRANT, granted}, {MSG_EXPORT_NEXT, on_export_next}, {MSG_ADMIN, on_admin}};
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
