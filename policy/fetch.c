#include "policy/fetch.h"

#include "common/clock.h"
#include "common/conn.h"
#include "common/log.h"
#include "common/verdict.h"
#include "policy/http.h"

#define ALL_MS       60000
#define HANDSHAKE_MS 20000
#define CONNECT_MS   15000
#define INPUT_MAX    16384
#define OUTPUT_MAX   2048
#define TRIES_MAX    4
#define HOST         "mta-sts."

struct fetch {
    struct fetch_params params;
    fetch_done_fn *done;
    void *arg;
    struct timer deadline;
    uint64_t dns_tag;
    struct conn *conn;
    struct http http;
    struct netaddr addresses[TRIES_MAX];
    size_t n_addresses, next_address;
    const char *why; /* of the last address */
    char host[DOMAIN_MAX + 1];
};

static void connect_next(struct fetch *f);

static void free_fetch(struct fetch *f)
{
    timer_stop(&f->deadline);
    if (f->dns_tag != 0)
        ipc_cancel(proc_peer(f->params.proc, ROLE_RESOLVER), f->dns_tag);
    conn_free(f->conn);
    http_free(&f->http);
    tls_client_free(f->params.tls);
    free(f);
}

static void end(struct fetch *f, const struct sts_policy *policy, const char *why)
{
    fetch_done_fn *done = f->done;
    void *arg = f->arg;
    free_fetch(f);
    done(arg, policy, why);
}

static void took_too_long(void *fetch)
{
    end(fetch, NULL, "it took longer than a minute");
}

/* --- a connection --- */

static void try_next(struct fetch *f, const char *why)
{
    conn_free(f->conn);
    f->conn = NULL;
    f->why = why;
    connect_next(f);
}

/* What a server of this name says is the answer: others are not asked. */
static void take_answer(struct fetch *f, enum http_result r)
{
    static struct sts_policy policy;
    if (r == HTTP_MORE)
        return;
    const char *why = r == HTTP_DONE ? sts_parse(buf_span(&f->http.body), &policy) : f->http.why;
    end(f, why == NULL ? &policy : NULL, why);
}

static void on_input(void *owner)
{
    struct fetch *f = owner;
    struct span in = conn_input(f->conn);
    enum http_result r = http_feed(&f->http, in);
    conn_consume(f->conn, in.n);
    take_answer(f, r);
}

static void on_secured(void *owner)
{
    struct fetch *f = owner;
    char request[DOMAIN_MAX + 256];
    const struct tls_info *info = conn_tls(f->conn);
    if (!info->is_verified) {
        try_next(f, info->unverified_because);
        return;
    }
    int n = snprintf(request, sizeof request,
                     "GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: %s\r\n"
                     "Accept: text/plain\r\nUser-Agent: barid\r\nConnection: close\r\n\r\n",
                     f->host);
    if (n < 0 || conn_write(f->conn, request, (size_t)n) < 0)
        try_next(f, "out of memory");
}

static void on_connected(void *owner)
{
    struct fetch *f = owner;
    struct tls_wish wish = {.host = span_of(f->host)};
    conn_deadline(f->conn, 0);
    if (conn_start_tls_client(f->conn, f->params.tls, &wish, HANDSHAKE_MS) < 0)
        try_next(f, "TLS cannot begin");
}

static void on_ended(void *owner, enum conn_end why)
{
    struct fetch *f = owner;
    if (why == CONN_EOF && conn_is_tls(f->conn))
        take_answer(f, http_eof(&f->http, conn_tls_is_closed(f->conn)));
    else if (why == CONN_TLS)
        try_next(f, conn_tls_why(f->conn));
    else
        try_next(f, why == CONN_TIMEOUT ? "no answer" : "no connection");
}

static const struct conn_ops ops = {
    .input = on_input, .connected = on_connected, .secured = on_secured, .ended = on_ended};

static void connect_next(struct fetch *f)
{
    while (f->conn == NULL && f->next_address < f->n_addresses) {
        f->conn = conn_connect(proc_loop(f->params.proc), &f->addresses[f->next_address++], &ops, f,
                               INPUT_MAX, OUTPUT_MAX);
        http_free(&f->http);
        http_begin(&f->http);
    }
    if (f->conn != NULL)
        conn_deadline(f->conn, CONNECT_MS);
    else
        end(f, NULL, f->why);
}

/* --- its addresses --- */

/* What the resolver says is checked again: it sees the network. */
static void add_address(struct fetch *f, struct span octets)
{
    const struct relay_config *c = &proc_config(f->params.proc)->relay;
    struct netaddr a = {.n = (uint8_t)octets.n};
    struct sockaddr_storage ss; /* there and back: a mapped IPv4 address becomes IPv4 */
    if ((octets.n != 4 && octets.n != 16) || f->n_addresses == TRIES_MAX)
        return;
    memcpy(a.octets, octets.p, octets.n);
    netaddr_to_sockaddr(&a, &ss);
    if (netaddr_from_sockaddr(&ss, &a) < 0 ||
        networks_have(c->never_connect_to, c->n_never_connect_to, &a))
        return;
    a.port = c->mta_sts_port;
    f->addresses[f->n_addresses++] = a;
}

static void on_addr(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct fetch *f = arg;
    f->dns_tag = 0;
    bool is_known = m != NULL && m->dns_addr_re.verdict == VERDICT_OK;
    struct unpacker u = unpacker_on(is_known ? m->dns_addr_re.addresses : SPAN(""));
    while (u.left.n > 0 && !u.failed) {
        struct span octets = unpack_bytes(&u, 16);
        if (!u.failed)
            add_address(f, octets);
    }
    f->why = "its host has no usable address";
    connect_next(f);
}

struct fetch *fetch_begin(const struct fetch_params *params, fetch_done_fn *done, void *arg)
{
    struct fetch *f = calloc(1, sizeof *f);
    if (f == NULL)
        return NULL;
    *f = (struct fetch){.params = *params, .done = done, .arg = arg};
    f->params.tls = tls_client_use(params->tls);
    f->params.domain = SPAN(""); /* the caller's; it is in `host` */
    http_begin(&f->http);
    timer_init(&f->deadline, proc_loop(params->proc), took_too_long, f);
    timer_set(&f->deadline, ALL_MS);
    size_t prefix = sizeof HOST - 1;
    if (params->domain.n + prefix <= DOMAIN_MAX) {
        memcpy(f->host, HOST, prefix);
        memcpy(f->host + prefix, params->domain.p, params->domain.n);
        struct msg_dns_addr ask = {.host = span_of(f->host)};
        f->dns_tag =
            ipc_ask_dns_addr(proc_peer(params->proc, ROLE_RESOLVER), &ask, -1, ALL_MS, on_addr, f);
    }
    if (f->dns_tag != 0)
        return f;
    free_fetch(f);
    return NULL;
}

void fetch_cancel(struct fetch *f)
{
    if (f != NULL)
        free_fetch(f);
}
