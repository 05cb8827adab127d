/* The resolver: DNS with DNSSEC validation for its siblings. It sees the network (DNS only) and
 * opens no file after the start; what it hands on was checked by answer.c and is checked again by
 * who asked. */
#include "common/log.h"
#include "common/proc.h"
#include "resolver/ask.h"

#include <errno.h>
#include <fcntl.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define SERVERS_MAX 8 /* servers of /etc/resolv.conf that are used */
#define FILE_MAX    65536
#define OLD_MAX     8 /* upstreams of former configurations that still have questions */

struct resolver {
    struct asks asks;
    struct upstream *old[OLD_MAX];
    struct netaddr default_servers[SERVERS_MAX];
    size_t n_default_servers;
    char anchor[FILE_MAX];
    size_t n_anchor;
};

/* The whole file, at most cap octets. -1: errno says why. */
static ssize_t read_file(const char *path, char *out, size_t cap)
{
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -1;
    while (n < cap) {
        ssize_t got = read(fd, out + n, cap - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(fd);
    return (ssize_t)n;
}

static void read_default_servers(struct resolver *r)
{
    static char text[FILE_MAX];
    ssize_t n = read_file(RESOLV_CONF, text, sizeof text);
    struct span left = {text, n > 0 ? (size_t)n : 0};
    while (left.n > 0 && r->n_default_servers < SERVERS_MAX) {
        struct span line = span_trim(span_cut(&left, '\n'));
        if (!span_starts(line, SPAN("nameserver")))
            continue;
        struct netaddr *a = &r->default_servers[r->n_default_servers];
        if (netaddr_parse(span_trim(span_from(line, SPAN("nameserver").n)), a) < 0)
            continue;
        a->port = 53;
        r->n_default_servers++;
    }
}

static void read_anchor(struct resolver *r, const char *path)
{
    ssize_t n = path != NULL && path[0] != '\0' ? read_file(path, r->anchor, sizeof r->anchor) : 0;
    if (n < 0)
        LOG(0, "no-dnssec", LZ("trust_anchor", path), LZ("because", strerror(errno)));
    r->n_anchor = n > 0 ? (size_t)n : 0;
}

static struct upstream *make_upstream(struct proc *p, struct error *e)
{
    const struct resolver *r = proc_state(p);
    const struct dns_config *c = &proc_config(p)->dns;
    struct upstream_params params = {c->servers, c->n_servers, {r->anchor, r->n_anchor}};
    if (params.n_servers == 0) {
        params.servers = r->default_servers;
        params.n_servers = r->n_default_servers;
    }
    return upstream_new(proc_loop(p), &params, e);
}

/* These files cannot be read from inside the jail. */
static int resolver_prepare(struct proc *p, struct error *e)
{
    struct resolver *r = calloc(1, sizeof *r);
    if (r == NULL)
        return error_set(e, "out of memory");
    proc_set_state(p, r);
    read_default_servers(r);
    read_anchor(r, proc_config(p)->dns.trust_anchor);
    return 0;
}

static int resolver_open(struct proc *p, struct error *e)
{
    struct resolver *r = proc_state(p);
    r->asks.loop = proc_loop(p);
    r->asks.upstream = make_upstream(p, e);
    return r->asks.upstream != NULL ? 0 : -1;
}

/* Servers can change with a reload; the trust anchor stays as it was read at the start. */
static void resolver_reloaded(struct proc *p)
{
    struct resolver *r = proc_state(p);
    struct error e = {{0}};
    size_t slot = 0;
    while (slot < OLD_MAX && r->old[slot] != NULL)
        slot++;
    struct upstream *fresh = slot < OLD_MAX ? make_upstream(p, &e) : NULL;
    if (fresh == NULL) {
        LOG(0, "dns-unchanged",
            LZ("because", slot < OLD_MAX ? e.text : "too many reloads at once"));
        return;
    }
    r->old[slot] = r->asks.upstream;
    r->asks.upstream = fresh;
}

static void resolver_turn(struct proc *p)
{
    struct resolver *r = proc_state(p);
    for (size_t i = 0; i < OLD_MAX; i++)
        if (r->old[i] != NULL && upstream_is_idle(r->old[i])) {
            upstream_free(r->old[i]);
            r->old[i] = NULL;
        }
}

static void resolver_peer_down(struct proc *p, enum role role, unsigned instance, struct ipc *ch)
{
    (void)role, (void)instance;
    struct resolver *r = proc_state(p);
    ask_forget(&r->asks, ch);
}

static void on_mx(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct resolver *r = proc_state(owner);
    ask_mx(&r->asks, from, &m->dns_mx);
}

static void on_addr(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct resolver *r = proc_state(owner);
    ask_addr(&r->asks, from, &m->dns_addr);
}

static const struct ipc_handler handlers[] = {
    {MSG_DNS_MX, on_mx},
    {MSG_DNS_ADDR, on_addr},
};

static const struct proc_spec spec = {
    .role = ROLE_RESOLVER,
    .handlers = handlers,
    .n_handlers = sizeof handlers / sizeof handlers[0],
    .prepare = resolver_prepare,
    .open = resolver_open,
    .reloaded = resolver_reloaded,
    .turn = resolver_turn,
    .peer_down = resolver_peer_down,
};

int main(int argc, char **argv)
{
    return proc_main(argc, argv, &spec);
}
