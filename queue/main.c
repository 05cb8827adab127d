/* The queue process: the only writer of mail. Speaks to no network. Its work is in queue.c. */
#include "common/log.h"
#include "common/proc.h"
#include "queue/backup.h"
#include "queue/boxes.h"
#include "queue/callout.h"
#include "queue/chronicle.h"
#include "queue/control.h"
#include "queue/devices.h"
#include "queue/dispatch.h"
#include "queue/intake.h"
#include "queue/sts.h"
#include "queue/tlsrpt.h"

#include <sys/stat.h>

static struct queue *queue_of(void *owner)
{
    return proc_state(owner);
}

static void on_seal_key(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    queue_set_key(queue_of(owner), &m->seal_key);
}

static void on_queue_open(void *owner, struct ipc *from, const union msg *m, int fd)
{
    intake_open(queue_of(owner), from, &m->queue_open, fd);
    if (fd >= 0)
        close(fd);
}

static void on_queue_more(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    intake_more(queue_of(owner), from, &m->queue_more);
}

static void on_queue_abort(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    intake_abort(queue_of(owner), from, &m->queue_abort);
}

static void on_queue_room(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    intake_room(queue_of(owner), from, &m->queue_room);
}

static void on_box_delete(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    boxes_delete(queue_of(owner), from, &m->box_delete);
}

static void on_box_collected(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    chronicle_collected(queue_of(owner), &m->box_collected);
}

static void on_box_forget(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    boxes_forget(queue_of(owner), from, &m->box_forget);
}

static void on_box_devices(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    devices_set(queue_of(owner), from, &m->box_devices);
}

static void on_import_open(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    intake_import(queue_of(owner), from, &m->import_open);
}

static void on_import_more(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    intake_import_more(queue_of(owner), from, &m->import_more);
}

static void on_backup_next(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    backup_next(queue_of(owner), from, &m->backup_next);
}

static void on_sts_keep(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    sts_keep(queue_of(owner), &m->sts_keep);
}

static void on_sts_next(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    sts_next(queue_of(owner), from, &m->sts_next);
}

static void on_tls_result(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    tlsrpt_count(queue_of(owner), &m->tls_result);
}

static void on_admin(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    control_run(queue_of(owner), from, &m->admin);
}

static const struct ipc_handler handlers[] = {
    {MSG_SEAL_KEY, on_seal_key},       {MSG_QUEUE_OPEN, on_queue_open},
    {MSG_QUEUE_MORE, on_queue_more},   {MSG_QUEUE_ABORT, on_queue_abort},
    {MSG_QUEUE_ROOM, on_queue_room},   {MSG_BOX_DELETE, on_box_delete},
    {MSG_BOX_FORGET, on_box_forget},   {MSG_ADMIN, on_admin},
    {MSG_BOX_DEVICES, on_box_devices}, {MSG_IMPORT_OPEN, on_import_open},
    {MSG_STS_KEEP, on_sts_keep},       {MSG_STS_NEXT, on_sts_next},
    {MSG_TLS_RESULT, on_tls_result},   {MSG_IMPORT_MORE, on_import_more},
    {MSG_BACKUP_NEXT, on_backup_next}, {MSG_BOX_COLLECTED, on_box_collected},
};

/* A list that cannot be read is not an empty one: its recipients are put off. */
static void read_lists(struct proc *p)
{
    const struct config *c = proc_config(p);
    callouts_drop_lists(queue_of(p));
    for (size_t i = 0; i < c->n_routes; i++) {
        struct error e;
        size_t n;
        if (c->routes[i].recipients == NULL)
            continue;
        char *text = proc_read_file(p, FILE_RECIPIENTS, i + 1, &n, &e);
        if (text != NULL)
            callouts_set_list(queue_of(p), i, (struct span){text, n});
        else
            LOG(0, "no-recipient-list", LZ("route", c->routes[i].domain), LZ("because", e.text));
        free(text);
    }
}

static int open_queue(struct proc *p, struct error *e)
{
    umask(0027);
    struct queue *q = queue_open(proc_loop(p), proc_config(p), e);
    proc_set_state(p, q);
    if (q != NULL)
        read_lists(p);
    return q != NULL ? 0 : -1;
}

static void peer_up(struct proc *p, enum role role, unsigned instance, struct ipc *ch)
{
    (void)instance;
    queue_peer_up(proc_state(p), role, ch);
}

static void peer_down(struct proc *p, enum role role, unsigned instance, struct ipc *ch)
{
    (void)instance;
    if (proc_state(p) != NULL)
        queue_peer_down(proc_state(p), role, ch);
}

static void reloaded(struct proc *p)
{
    queue_of(p)->config = proc_config(p);
    read_lists(p);
    dispatch_reloaded(queue_of(p));
}

static void drain(struct proc *p)
{
    queue_of(p)->is_draining = true;
}

static void turn(struct proc *p)
{
    struct queue *q = proc_state(p);
    if (q == NULL)
        return; /* it was closed in the turn before */
    queue_turn(q);
    if (q->batch.is_broken) {
        /* What is on disk and what is not can only be told by opening it anew: the parent starts
         * us again. */
        LOG(0, "stopped", LZ("because", "the store failed: see above; recovering by a restart"));
        log_flush();
        _exit(1);
    }
    if (q->is_draining && queue_is_idle(q)) {
        queue_close(q);
        proc_set_state(p, NULL);
        proc_exit(p);
    }
}

static const struct proc_spec spec = {
    .role = ROLE_QUEUE,
    .handlers = handlers,
    .n_handlers = sizeof handlers / sizeof handlers[0],
    .open = open_queue,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .reloaded = reloaded,
    .turn = turn,
    .drain = drain,
    .files_max = 8192,
    .file_size_max = 1ULL << 40,
    .root = "queue",
};

int main(int argc, char **argv)
{
    return proc_main(argc, argv, &spec);
}
