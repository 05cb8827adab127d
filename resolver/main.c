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
#define PROBE_MS    600000
#define TYPE_DNSKEY 48
#define SECURE      2 /* of libunbound's callback */

struct resolver {
    struct asks asks;
    struct upstream *old[OLD_MAX];
    struct upstream *candidate; /* validates; in use once it has shown that it can */
    struct timer probe_again;
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

static struct upstream *make_upstream(struct proc *p, bool validates, struct error *e)
{
    const struct resolver *r = proc_state(p);
    const struct dns_config *c = &proc_config(p)->dns;
    struct upstream_params params = {
        c->servers, c->n_servers, {r->anchor, validates ? r->n_anchor : 0}};
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

/* --- DNSSEC, if the servers we ask pass it on ---
 *
 * Many forwarders strip signatures. With a trust anchor every answer through them is bogus, and no
 * mail would leave the host. So an anchor that nobody asked for (the default file) is put to the
 * proof first: until the root's keys were seen to validate, answers are taken unvalidated, as on a
 * host without the file. An anchor that the configuration names is meant, and always used. */

static void find_anchor_line(void *arg, const char *section, const char *key, const char *value,
                             size_t line)
{
    (void)value;
    if (strcmp(section, "dns") == 0 && strcmp(key, "trust_anchor") == 0)
        *(size_t *)arg = line;
}

static bool is_anchor_named(struct proc *p)
{
    size_t line = 0;
    config_show(proc_config(p), find_anchor_line, &line);
    return line != 0;
}

/* 0, or -1: too many are waiting for their last answers. */
static int retire(struct resolver *r, struct upstream *u)
{
    for (size_t i = 0; i < OLD_MAX && u != NULL; i++)
        if (r->old[i] == NULL) {
            r->old[i] = u;
            return 0;
        }
    return u == NULL ? 0 : -1;
}

struct probe {
    struct resolver *resolver;
    struct upstream *upstream;
};

/* NOLINTNEXTLINE(readability-function-size): libunbound gives so many */
static void probed(void *arg, int rcode, void *packet, int n, int security, char *why_bogus,
                   int was_limited)
{
    (void)packet, (void)n, (void)was_limited;
    struct probe *of = arg;
    struct resolver *r = of->resolver;
    struct upstream *u = of->upstream;
    free(of);
    upstream_answered(u);
    if (u != r->candidate)
        return; /* of a configuration that is no more */
    r->candidate = NULL;
    if (rcode == 0 && security == SECURE && retire(r, r->asks.upstream) == 0) {
        r->asks.upstream = u;
        LOG(0, "dnssec", LZ("state", "on"));
        return;
    }
    LOG(0, "no-dnssec", LZ("because", "the DNS servers do not pass it on"),
        LZ("detail", why_bogus != NULL ? why_bogus : ""), LN("again_ms", PROBE_MS));
    if (retire(r, u) < 0)
        r->candidate = u; /* probed again as it is */
    timer_set(&r->probe_again, PROBE_MS);
}

static void probe(void *arg)
{
    struct proc *p = arg;
    struct resolver *r = proc_state(p);
    struct error e;
    struct probe *of = calloc(1, sizeof *of);
    if (of != NULL && r->candidate == NULL)
        r->candidate = make_upstream(p, true, &e);
    if (of != NULL && r->candidate != NULL) {
        *of = (struct probe){r, r->candidate};
        if (upstream_ask(r->candidate, ".", TYPE_DNSKEY, probed, of) == 0)
            return;
    }
    free(of);
    timer_set(&r->probe_again, PROBE_MS);
}

/* The upstream to begin with; NULL and e. */
static struct upstream *first_upstream(struct proc *p, struct error *e)
{
    struct resolver *r = proc_state(p);
    bool is_proved = r->n_anchor == 0 || is_anchor_named(p);
    struct upstream *u = make_upstream(p, is_proved, e);
    if (u != NULL && !is_proved)
        timer_set(&r->probe_again, 0);
    return u;
}

static int resolver_open(struct proc *p, struct error *e)
{
    struct resolver *r = proc_state(p);
    r->asks.loop = proc_loop(p);
    timer_init(&r->probe_again, proc_loop(p), probe, p);
    r->asks.upstream = first_upstream(p, e);
    return r->asks.upstream != NULL ? 0 : -1;
}

/* Servers can change with a reload; the trust anchor stays as it was read at the start. */
static void resolver_reloaded(struct proc *p)
{
    struct resolver *r = proc_state(p);
    struct error e = {{0}};
    struct upstream *fresh = first_upstream(p, &e);
    if (fresh == NULL || retire(r, r->asks.upstream) < 0) {
        LOG(0, "dns-unchanged",
            LZ("because", fresh == NULL ? e.text : "too many reloads at once: reload again"));
        upstream_free(fresh);
        return;
    }
    r->asks.upstream = fresh;
    if (retire(r, r->candidate) == 0)
        r->candidate = NULL;
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

static void on_tlsa(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct resolver *r = proc_state(owner);
    ask_tlsa(&r->asks, from, &m->dns_tlsa);
}

static void on_txt(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct resolver *r = proc_state(owner);
    ask_txt(&r->asks, from, &m->dns_txt);
}

static const struct ipc_handler handlers[] = {
    {MSG_DNS_MX, on_mx},
    {MSG_DNS_ADDR, on_addr},
    {MSG_DNS_TLSA, on_tlsa},
    {MSG_DNS_TXT, on_txt},
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
