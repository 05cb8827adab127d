#include "barid/listen.h"

#include "common/buf.h"
#include "common/unixsock.h"

#include <errno.h>
#include <limits.h>
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

/* There is one submit socket, wherever a new run_dir would have it: run_dir needs a restart. An
 * address may get another kind of listener without being let go of. */
static bool is_same_place(const struct bound *a, const struct bound *b)
{
    if (a->path == NULL || b->path == NULL)
        return a->path == b->path && netaddr_eq(&a->address, &b->address);
    return a->kind == b->kind && (a->kind == LISTEN_SUBMIT || strcmp(a->path, b->path) == 0);
}

static struct bound *find(struct bound_list *old, const struct bound *b)
{
    for (size_t i = 0; old != NULL && i < old->n; i++)
        if (is_same_place(&old->list[i], b))
            return &old->list[i];
    return NULL;
}

void listen_close(struct bound_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->list[i].fd >= 0) {
            if (l->list[i].path != NULL)
                unixsock_remove(l->list[i].path, &l->list[i].rights);
            close(l->list[i].fd);
        }
        free(l->list[i].path);
    }
    free(l->list);
    *l = (struct bound_list){0};
}

struct binding {
    const struct config *config;
    struct bound_list *old, *out;
    int64_t patience_ms;
};

/* Takes over b->path. */
static int push(struct binding *g, const struct bound *b, struct error *e)
{
    struct bound_list *out = g->out;
    if (array_reserve((void **)&out->list, &out->cap, out->n + 1, sizeof *out->list) < 0) {
        free(b->path);
        return error_set(e, "out of memory");
    }
    out->list[out->n++] = *b;
    return 0;
}

static int make_patiently(struct bound *b, int64_t *patience_ms, struct error *e)
{
    for (;;) {
        int fd = unixsock_listen_for(b->path, &b->rights, e);
        if (fd >= 0 || errno != EADDRINUSE || *patience_ms <= 0)
            return fd;
        poll(NULL, 0, RETRY_MS);
        *patience_ms -= RETRY_MS;
    }
}

/* A Unix socket of a [listen] section. */
static int add_socket(struct binding *g, const struct listen_config *l, uint16_t section,
                      const char *path, struct error *e)
{
    static const mode_t modes[] = {
        [SOCKET_MODE_0600] = 0600, [SOCKET_MODE_0660] = 0660, [SOCKET_MODE_0666] = 0666};
    struct error why;
    struct bound b = {.kind = l->kind,
                      .path = span_dup(span_of(path)),
                      .rights = {.mode = modes[l->socket_mode], .group = l->socket_group},
                      .section = section,
                      .fd = -1};
    if (b.path == NULL)
        return error_set(e, "out of memory");
    const struct bound *old = find(g->old, &b);
    if (old == NULL && (b.fd = make_patiently(&b, &g->patience_ms, &why)) < 0) {
        free(b.path);
        return error_set(e, "%s:%zu: [listen %s] %s", g->config->file, l->line,
                         listen_kind_name(l->kind), why.text);
    }
    if (old != NULL)
        b.rights = old->rights;
    b.rights.group = NULL; /* the configuration's: gone with it */
    if (push(g, &b, e) == 0)
        return 0;
    if (b.fd >= 0)
        close(b.fd);
    return -1;
}

static int add(struct binding *g, uint16_t section, struct error *e)
{
    const struct listen_config *l = &g->config->listens[section];
    for (size_t i = 0; i < l->n_addresses; i++) {
        struct bound b = {
            .kind = l->kind, .address = l->addresses[i].address, .section = section, .fd = -1};
        if (l->addresses[i].path != NULL) {
            if (add_socket(g, l, section, l->addresses[i].path, e) < 0)
                return -1;
            continue;
        }
        /* A socket that is open already is shared until all succeeded. */
        bool is_kept = find(g->old, &b) != NULL;
        if (push(g, &b, e) < 0)
            return -1;
        int fd = is_kept ? -1 : bind_patiently(&b.address, &g->patience_ms);
        if (fd < 0 && !is_kept)
            return explain(g->config, l, &b.address, e);
        g->out->list[g->out->n - 1].fd = fd;
    }
    return 0;
}

/* A Unix socket; takes over `path`. */
static int add_path(struct binding *g, enum listen_kind kind, uint16_t section, char *path,
                    struct error *e)
{
    struct bound b = {.kind = kind, .path = path, .section = section, .fd = -1};
    if (path == NULL)
        return error_set(e, "out of memory");
    bool is_kept = find(g->old, &b) != NULL;
    if (push(g, &b, e) < 0)
        return -1;
    int fd = is_kept ? -1 : unixsock_listen_stream(path, e);
    g->out->list[g->out->n - 1].fd = fd;
    return fd >= 0 || is_kept ? 0 : -1;
}

static int add_submit(struct binding *g, struct error *e)
{
    if (g->config->submit.socket == SWITCH_OFF)
        return 0;
    struct buf path;
    buf_init(&path, PATH_MAX);
    int rc = buf_addf(&path, "%s/submit", g->config->run_dir);
    char *copy = rc == 0 ? span_dup(buf_span(&path)) : NULL;
    buf_free(&path);
    return add_path(g, LISTEN_SUBMIT, SECTION_OF_SUBMIT, copy, e);
}

struct span bound_name(const struct bound *b, char out[NETADDR_TEXT])
{
    if (b->path != NULL)
        return span_of(b->path);
    netaddr_format_port(out, &b->actual);
    return span_of(out);
}

static void find_actual(struct bound *b)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    b->actual = b->address;
    if (b->path == NULL && getsockname(b->fd, (struct sockaddr *)&ss, &n) == 0)
        netaddr_from_sockaddr(&ss, &b->actual);
}

int listen_bind(const struct config *c, struct bound_list *old, int64_t patience_ms,
                struct bound_list *out, struct error *e)
{
    struct binding g = {.config = c, .old = old, .out = out, .patience_ms = patience_ms};
    *out = (struct bound_list){0};
    int rc = 0;
    for (uint16_t k = 0; rc == 0 && k < c->n_listens; k++)
        rc = add(&g, k, e);
    if (rc < 0 || add_submit(&g, e) < 0) {
        listen_close(out);
        return -1;
    }
    for (size_t i = 0; i < out->n; i++) {
        if (out->list[i].fd < 0) {
            struct bound *b = find(old, &out->list[i]);
            out->list[i].fd = b != NULL ? b->fd : -1;
            if (b != NULL)
                b->fd = -1;
        }
        find_actual(&out->list[i]);
    }
    return 0;
}
