#include "policy/https.h"

#include "common/clock.h"
#include "common/conn.h"
#include "common/pack.h"
#include "common/verdict.h"
#include "policy/public.h"

#define ALL_MS       60000
#define HANDSHAKE_MS 20000
#define CONNECT_MS   15000
#define INPUT_MAX    16384
#define OUTPUT_MORE  1024
#define TRIES_MAX    4

struct https {
    struct https_params params; /* the spans are the caller's, and gone */
    https_done_fn *done;
    void *arg;
    struct timer deadline;
    uint64_t dns_tag;
    struct conn *conn;
    struct http http;
    struct netaddr addresses[TRIES_MAX];
    size_t n_addresses, next_address;
    bool is_sent; /* the request, or some of it: the server may have taken what it asks */
    struct https_fault fault; /* of the last address */
    char host[DOMAIN_MAX + 1];
    struct buf request;
};

static void connect_next(struct https *s);

static void free_it(struct https *s)
{
    timer_stop(&s->deadline);
    if (s->dns_tag != 0)
        ipc_cancel(proc_peer(s->params.proc, ROLE_RESOLVER), s->dns_tag);
    conn_free(s->conn);
    http_free(&s->http);
    buf_free(&s->request);
    tls_client_free(s->params.tls);
    free(s);
}

static void end(struct https *s, const struct https_fault *because)
{
    https_done_fn *done = s->done;
    void *arg = s->arg;
    struct http answer = s->http;
    struct https_fault fault = because != NULL ? *because : (struct https_fault){.why = NULL};
    s->http = (struct http){.state = HTTP_OVER};
    free_it(s);
    done(arg, because == NULL ? &answer : NULL, &fault);
    http_free(&answer);
}

static void give_up(struct https *s, const char *why)
{
    end(s, &(struct https_fault){.why = why});
}

static void took_too_long(void *https)
{
    give_up(https, "it took longer than a minute");
}

/* --- a connection --- */

static void try_next(struct https *s, const char *why)
{
    conn_free(s->conn);
    s->conn = NULL;
    s->fault.why = why;
    connect_next(s);
}

/* Asking twice for a text does no harm. What was given to one address is not given to the next as
 * well, whatever became of its answer: who knows what it did with it (RFC 9110 9.2.2). */
static void fail(struct https *s, const char *why)
{
    if (s->is_sent && s->params.wants == HTTP_SUCCESS)
        give_up(s, why);
    else
        try_next(s, why);
}

/* What a server of this name says is the answer: others are not asked. */
static void take_answer(struct https *s, enum http_result r)
{
    if (r == HTTP_DONE)
        end(s, NULL);
    else if (r == HTTP_FAILED)
        give_up(s, s->http.why);
}

static void on_input(void *owner)
{
    struct https *s = owner;
    struct span in = conn_input(s->conn);
    enum http_result r = http_feed(&s->http, in);
    conn_consume(s->conn, in.n);
    take_answer(s, r);
}

static void on_secured(void *owner)
{
    struct https *s = owner;
    const struct tls_info *info = conn_tls(s->conn);
    s->fault.is_unverified = !info->is_verified;
    if (!info->is_verified)
        try_next(s, info->unverified_because);
    else if (conn_write_span(s->conn, buf_span(&s->request)) < 0)
        try_next(s, "out of memory");
    else
        s->is_sent = true;
}

static void on_connected(void *owner)
{
    struct https *s = owner;
    struct tls_wish wish = {.host = span_of(s->host), .only_dns_id = true};
    conn_deadline(s->conn, 0);
    if (conn_start_tls_client(s->conn, s->params.tls, &wish, HANDSHAKE_MS) < 0)
        try_next(s, "TLS cannot begin");
}

static void on_ended(void *owner, enum conn_end why)
{
    struct https *s = owner;
    if (why == CONN_EOF && conn_is_tls(s->conn))
        take_answer(s, http_eof(&s->http, conn_tls_is_closed(s->conn)));
    else if (why == CONN_TLS)
        fail(s, conn_tls_why(s->conn));
    else if (s->is_sent)
        fail(s, "the connection ended before the answer did");
    else
        try_next(s, why == CONN_TIMEOUT ? "no answer" : "no connection");
}

static const struct conn_ops ops = {
    .input = on_input, .connected = on_connected, .secured = on_secured, .ended = on_ended};

static void connect_next(struct https *s)
{
    s->is_sent = false;
    while (s->conn == NULL && s->next_address < s->n_addresses) {
        s->conn = conn_connect(proc_loop(s->params.proc), &s->addresses[s->next_address++], &ops, s,
                               INPUT_MAX, buf_span(&s->request).n + OUTPUT_MORE);
        http_free(&s->http);
        http_begin(&s->http, s->params.wants);
    }
    if (s->conn == NULL) {
        end(s, &s->fault);
        return;
    }
    s->fault.is_unverified = false; /* it was another address */
    conn_deadline(s->conn, CONNECT_MS);
}

/* --- its addresses --- */

static bool is_refused(const struct https *s, const struct netaddr *a)
{
    const struct relay_config *c = &proc_config(s->params.proc)->relay;
    return networks_reach(c->never_connect_to, c->n_never_connect_to, a) ||
           (s->params.is_public && c->n_never_connect_to > 0 && !public_has(a));
}

static void add_address(struct https *s, struct span octets)
{
    struct netaddr a = {.n = (uint8_t)octets.n};
    struct sockaddr_storage ss; /* there and back: a mapped IPv4 address becomes IPv4 */
    if ((octets.n != 4 && octets.n != 16) || s->n_addresses == TRIES_MAX)
        return;
    memcpy(a.octets, octets.p, octets.n);
    netaddr_to_sockaddr(&a, &ss);
    if (netaddr_from_sockaddr(&ss, &a) < 0 || is_refused(s, &a))
        return;
    a.port = s->params.port;
    s->addresses[s->n_addresses++] = a;
}

static void on_addr(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct https *s = arg;
    s->dns_tag = 0;
    bool is_known = m != NULL && m->dns_addr_re.verdict == VERDICT_OK;
    struct unpacker u = unpacker_on(is_known ? m->dns_addr_re.addresses : SPAN(""));
    while (u.left.n > 0 && !u.failed) {
        struct span octets = unpack_bytes(&u, 16);
        if (!u.failed)
            add_address(s, octets);
    }
    s->fault.why = "its host has no usable address";
    connect_next(s);
}

struct https *https_begin(const struct https_params *params, https_done_fn *done, void *arg)
{
    struct https *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    *s = (struct https){.params = *params, .done = done, .arg = arg};
    s->params.tls = tls_client_use(params->tls);
    http_begin(&s->http, params->wants);
    buf_init(&s->request, params->head.n + params->body.n);
    timer_init(&s->deadline, proc_loop(params->proc), took_too_long, s);
    timer_set(&s->deadline, ALL_MS);
    bool is_ready = span_copy(s->host, sizeof s->host, params->host) == 0 &&
                    buf_add_span(&s->request, params->head) == 0 &&
                    buf_add_span(&s->request, params->body) == 0;
    struct msg_dns_addr ask = {.host = span_of(s->host)};
    if (is_ready)
        s->dns_tag =
            ipc_ask_dns_addr(proc_peer(params->proc, ROLE_RESOLVER), &ask, -1, ALL_MS, on_addr, s);
    if (s->dns_tag != 0)
        return s;
    free_it(s);
    return NULL;
}

void https_cancel(struct https *s)
{
    if (s != NULL)
        free_it(s);
}
