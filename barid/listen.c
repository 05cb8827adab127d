#include "barid/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>

#define BACKLOG  1024
#define RETRY_MS 50

static int bind_one(const struct netaddr *a)
{
    struct sockaddr_storage ss;
    socklen_t n = netaddr_to_sockaddr(a, &ss);
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ss.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&ss, n) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int bind_patiently(const struct netaddr *a, int64_t *patience_ms)
{
    for (;;) {
        int fd = bind_one(a);
        if (fd >= 0 || errno != EADDRINUSE || *patience_ms <= 0)
            return fd;
        poll(NULL, 0, RETRY_MS);
        *patience_ms -= RETRY_MS;
    }
}

static int explain(const struct config *c, const struct listen_config *l, const struct netaddr *a,
                   struct error *e)
{
    char text[NETADDR_TEXT];
    netaddr_format_port(text, a);
    const char *hint = errno == EADDRINUSE ? ": stop the other server or change the address"
                       : errno == EACCES   ? ": ports below 1024 need root"
                                           : "";
    return error_set(e, "%s:%zu: [listen %s] cannot use %s: %s%s", c->file, l->line,
                     listen_kind_name(l->kind), text, strerror(errno), hint);
}

static struct bound *find(struct bound_list *old, enum listen_kind kind, const struct netaddr *a)
{
    for (size_t i = 0; old != NULL && i < old->n; i++)
        if (old->list[i].kind == kind && netaddr_eq(&old->list[i].address, a))
            return &old->list[i];
    return NULL;
}

void listen_close(struct bound_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->list[i].fd >= 0)
            close(l->list[i].fd);
    free(l->list);
    *l = (struct bound_list){0};
}

static int add(const struct config *c, uint16_t section, struct bound_list *old,
               int64_t *patience_ms, struct bound_list *out, struct error *e)
{
    const struct listen_config *l = &c->listens[section];
    for (size_t i = 0; i < l->n_addresses; i++) {
        const struct netaddr *a = &l->addresses[i];
        if (array_reserve((void **)&out->list, &out->cap, out->n + 1, sizeof *out->list) < 0)
            return error_set(e, "out of memory");
        /* A socket that is open already is shared until all succeeded. */
        bool is_kept = find(old, l->kind, a) != NULL;
        int fd = is_kept ? -1 : bind_patiently(a, patience_ms);
        if (fd < 0 && !is_kept)
            return explain(c, l, a, e);
        out->list[out->n++] =
            (struct bound){.kind = l->kind, .address = *a, .section = section, .fd = fd};
    }
    return 0;
}

static void find_actual(struct bound *b)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    b->actual = b->address;
    if (getsockname(b->fd, (struct sockaddr *)&ss, &n) == 0)
        netaddr_from_sockaddr(&ss, &b->actual);
}

int listen_bind(const struct config *c, struct bound_list *old, int64_t patience_ms,
                struct bound_list *out, struct error *e)
{
    *out = (struct bound_list){0};
    for (uint16_t k = 0; k < c->n_listens; k++)
        if (add(c, k, old, &patience_ms, out, e) < 0) {
            listen_close(out);
            return -1;
        }
    for (size_t i = 0; i < out->n; i++) {
        if (out->list[i].fd < 0) {
            struct bound *b = find(old, out->list[i].kind, &out->list[i].address);
            out->list[i].fd = b != NULL ? b->fd : -1;
            if (b != NULL)
                b->fd = -1;
        }
        find_actual(&out->list[i]);
    }
    return 0;
}
