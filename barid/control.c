/* run_dir/parent.sock: `barid status` asks here. */
#include "barid/parent.h"

#include "common/admin.h"
#include "common/clock.h"
#include "common/jail.h"
#include "common/unixsock.h"

#include <sys/socket.h>

static uid_t uid_of(enum role role)
{
    uid_t uid;
    gid_t gid;
    bool is_named;
    if (geteuid() != 0)
        return geteuid();
    jail_account(role, &uid, &gid, &is_named);
    return uid;
}

static void send_process(struct admin_call *call, enum role role, pid_t pid, uid_t uid,
                         int64_t since_s, unsigned restarts)
{
    struct admin_row row;
    row_begin(&row);
    row_text(&row, "role", span_of(role_name(role)));
    row_number(&row, "pid", pid);
    row_number(&row, "uid", uid);
    row_time(&row, "since", since_s);
    row_number(&row, "restarts", restarts);
    row_send(&row, call, 1, "processes");
}

static void status(void *owner, struct admin_call *call)
{
    struct parent *p = owner;
    struct admin_row row;
    row_begin(&row);
    row_text(&row, "version", SPAN(PACKAGE_VERSION));
    row_send(&row, call, 0, "");
    send_process(call, ROLE_PARENT, getpid(), geteuid(), p->started_s, 0);
    for (size_t i = 0; i < p->n_children; i++) {
        const struct child *c = p->children[i];
        send_process(call, c->kind->role, c->pid, uid_of(c->kind->role), c->since_s, c->restarts);
    }
    for (size_t i = 0; i < p->bound.n; i++) {
        const struct bound *b = &p->bound.list[i];
        char text[NETADDR_TEXT];
        row_begin(&row);
        row_text(&row, "kind", span_of(listen_kind_name(b->kind)));
        row_text(&row, b->path != NULL ? "path" : "address", bound_name(b, text));
        row_send(&row, call, 1, b->path != NULL ? "sockets" : "listeners");
    }
    admin_done(call, 0);
}

static void stats(void *owner, struct admin_call *call)
{
    gather_start(owner, call);
}

static const struct admin_command commands[] = {{"status", status}, {"stats", stats}};

static void on_admin(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    admin_dispatch(commands, sizeof commands / sizeof commands[0], owner, from, &m->admin);
}

static void client_closed(void *owner, struct ipc *ch)
{
    struct parent *p = owner;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (p->clients[i] == ch)
            p->clients[i] = NULL;
    gather_client_gone(p, ch);
    ipc_close(ch);
}

static const struct ipc_handler handlers[] = {{MSG_ADMIN, on_admin}};
static const struct ipc_ops client_ops = {
    .handlers = handlers, .n_handlers = 1, .on_close = client_closed};

static void accept_client(void *arg, bool readable, bool writable)
{
    (void)readable, (void)writable;
    struct parent *p = arg;
    uid_t uid;
    size_t slot = 0;
    int fd = accept4(p->socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    while (slot < CLIENTS_MAX && p->clients[slot] != NULL)
        slot++;
    if (slot == CLIENTS_MAX || unixsock_peer(fd, &uid) < 0 || (uid != 0 && uid != geteuid())) {
        close(fd);
        return;
    }
    p->clients[slot] = ipc_open(p->loop, fd, ROLE_PARENT, ROLE_CLI, &client_ops, p);
}

int control_open(struct parent *p, struct error *e)
{
    p->socket = unixsock_listen(p->config->run_dir, "parent.sock", e);
    if (p->socket < 0)
        return -1;
    watch_init(&p->socket_watch, p->loop, p->socket, accept_client, p);
    watch_set(&p->socket_watch, true, false);
    return 0;
}
