/* The listeners of a child: sockets come from the parent, connections go to the daemon; who comes
 * through a proxy is asked first for whom. */
#include "common/log.h"
#include "common/proc_private.h"
#include "common/proxy.h"
#include "common/unixsock.h"

#include <errno.h>
#include <sys/socket.h>

#define ACCEPT_BATCH    4    /* per turn, so that the workers share a burst of connections */
#define ACCEPT_PAUSE_MS 1000 /* after running out of descriptors */

static void rewatch_listeners(struct proc *p)
{
    bool wanted =
        p->is_serving && !p->is_draining && !p->is_accept_paused && !p->accept_again.is_set;
    for (size_t i = 0; i < p->n_listeners; i++)
        if (p->listeners[i]->fd >= 0)
            watch_set(&p->listeners[i]->watch, wanted, false);
}

void proc_pause_accept(struct proc *p, bool is_paused)
{
    if (p->is_accept_paused == is_paused)
        return;
    p->is_accept_paused = is_paused;
    rewatch_listeners(p);
}

void proc_accept_again(void *arg)
{
    rewatch_listeners(arg);
}

static void accepted_cli(struct proc *p, int fd)
{
    uid_t uid;
    size_t slot = 0;
    while (slot < CLIS_MAX && p->clis[slot] != NULL)
        slot++;
    if (slot == CLIS_MAX || unixsock_peer(fd, &uid) < 0 || (uid != 0 && uid != getuid())) {
        close(fd);
        return;
    }
    p->clis[slot] = ipc_open(p->loop, fd, p->spec->role, ROLE_CLI, &p->cli_ops, p);
}

static int who_is(const struct socket_in_use *s, int fd, const struct sockaddr_storage *from,
                  struct netaddr *peer)
{
    uid_t uid;
    if (s->pub.path == NULL)
        return netaddr_from_sockaddr(from, peer);
    /* The socket's mode says who may, and limits per user are not for servers. */
    if (s->pub.kind == LISTEN_LMTP) {
        *peer = (struct netaddr){.octets = {127, 0, 0, 1}, .n = 4};
        return 0;
    }
    if (unixsock_peer(fd, &uid) < 0)
        return -1;
    *peer = netaddr_of_uid(uid);
    return 0;
}

/* Its header was read: from here on the client is the one whom it named. */
static void accepted_through_proxy(void *arg, int fd, const struct netaddr *peer)
{
    struct socket_in_use *s = arg;
    if (s->proc->is_draining)
        close(fd);
    else
        s->proc->spec->accepted(s->proc, &s->pub, fd, peer);
}

static void accepted_one(struct socket_in_use *s, int fd, const struct sockaddr_storage *from)
{
    struct netaddr peer;
    if (s->pub.kind == LISTEN_CONTROL)
        accepted_cli(s->proc, fd);
    else if (s->proc->spec->accepted == NULL || who_is(s, fd, from, &peer) < 0)
        close(fd);
    else if (s->pub.path == NULL &&
             networks_have(s->pub.config->proxy_from, s->pub.config->n_proxy_from, &peer))
        proxy_wait(s->proc->loop, fd, &peer, accepted_through_proxy, s);
    else
        s->proc->spec->accepted(s->proc, &s->pub, fd, &peer);
}

static void accept_some(void *arg, bool readable, bool writable)
{
    (void)readable, (void)writable;
    struct socket_in_use *s = arg;
    struct proc *p = s->proc;
    for (int i = 0; i < ACCEPT_BATCH && s->fd >= 0 && s->watch.wants_in; i++) {
        struct sockaddr_storage from;
        socklen_t n = sizeof from;
        int fd = accept4(s->fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            trouble_worked(&p->no_accept, "accept-resumed");
            accepted_one(s, fd, &from);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            if (trouble_is_news(&p->no_accept))
                LOG(0, "accept-paused", LZ("because", strerror(errno)));
            timer_set(&p->accept_again, ACCEPT_PAUSE_MS);
            rewatch_listeners(p);
        }
        return;
    }
}

void proc_close_listener(struct socket_in_use *s)
{
    if (s->fd < 0)
        return;
    watch_stop(&s->watch);
    close(s->fd);
    s->fd = -1;
}

/* path: "" for what has an address. */
static struct socket_in_use *find_listener(struct proc *p, const struct listener *pub,
                                           struct span path)
{
    for (size_t i = 0; i < p->n_listeners; i++) {
        struct socket_in_use *s = p->listeners[i];
        if (s->pub.kind == pub->kind && netaddr_eq(&s->pub.local, &pub->local) &&
            (s->pub.path == NULL ? path.n == 0 : span_eq(path, span_of(s->pub.path))))
            return s;
    }
    return NULL;
}

static void open_listener(struct socket_in_use *s, int fd)
{
    s->fd = fd;
    watch_init(&s->watch, s->proc->loop, fd, accept_some, s);
}

/* Takes over fd. NULL: closed, there is no room for it. */
static struct socket_in_use *add_listener(struct proc *p, const struct listener *pub,
                                          struct span path, int fd)
{
    struct socket_in_use *s = p->n_listeners < LISTENERS_MAX ? calloc(1, sizeof *s) : NULL;
    char *copy = path.n > 0 && s != NULL ? span_dup(path) : NULL;
    if (s == NULL || (path.n > 0 && copy == NULL)) {
        free(s);
        close(fd);
        return NULL;
    }
    *s = (struct socket_in_use){.pub = *pub, .proc = p};
    s->pub.path = copy;
    open_listener(s, fd);
    p->listeners[p->n_listeners++] = s;
    return s;
}

void proc_on_listen(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from;
    struct proc *p = owner;
    struct listener pub = {.kind = (enum listen_kind)m->child_listen.kind};
    struct span path = m->child_listen.address;
    if (fd < 0)
        return;
    if (path.n == 0 || path.p[0] != '/') {
        netaddr_parse_port(path, ':', &pub.local);
        path.n = 0;
    }
    struct socket_in_use *s = find_listener(p, &pub, path);
    if (s == NULL)
        s = add_listener(p, &pub, path, fd);
    else if (s->fd < 0)
        open_listener(s, fd); /* an address that comes back */
    else
        close(fd);
    if (s == NULL) {
        LOG(0, "listener-refused", LS("address", m->child_listen.address),
            LZ("because", p->n_listeners < LISTENERS_MAX ? "out of memory" : "too many"));
        p->lacks_listener = true;
        return;
    }
    s->section = m->child_listen.section;
    s->is_wanted = true;
}

/* Points every listener at its section of the new configuration. One that was not sent again is
 * closed; sessions that came through it keep to the first section of its kind. */
void proc_settle_listeners(struct proc *p)
{
    for (size_t i = 0; i < p->n_listeners; i++) {
        struct socket_in_use *s = p->listeners[i];
        if (s->pub.kind == LISTEN_CONTROL)
            continue;
        if (!s->is_wanted) {
            proc_close_listener(s);
            s->section = s->pub.kind == LISTEN_SUBMIT ? SECTION_OF_SUBMIT : 0;
            for (size_t k = 0; k < p->config->n_listens; k++)
                if (p->config->listens[k].kind == s->pub.kind) {
                    s->section = (uint16_t)k;
                    break;
                }
        }
        s->is_wanted = false;
        s->pub.config = config_listen(p->config, s->section);
    }
    rewatch_listeners(p);
}
