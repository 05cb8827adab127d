#include "resolver/upstream.h"

#include "resolver/events.h"

#include <unbound.h>

#define ANCHOR_LINE_MAX 4096

struct upstream {
    struct ub_ctx *ctx;
    struct events events;
    size_t n_open;
};

/* What differs from libunbound's defaults, and why. */
static const struct option {
    const char *name, *value;
} options[] = {
    {"do-not-query-localhost:", "no"}, /* [dns] server may be on this machine */
    {"unblock-lan-zones:", "yes"},     /* a site's own zones are answered by its servers, */
    {"insecure-lan-zones:", "yes"},    /* which cannot be signed from the root */
    {"use-syslog:", "no"},
    {"msg-cache-size:", "2m"}, /* a mail host asks for few names */
    {"rrset-cache-size:", "4m"},
    {"key-cache-size:", "1m"},
    {"neg-cache-size:", "512k"},
    {"infra-cache-numhosts:", "2000"},
    {"msg-cache-slabs:", "1"}, /* one thread: no locks to spread */
    {"rrset-cache-slabs:", "1"},
    {"key-cache-slabs:", "1"},
    {"infra-cache-slabs:", "1"},
    {"outgoing-range:", "400"}, /* sockets; more questions than that wait for one */
    {"num-queries-per-thread:", "4096"},
    {"edns-buffer-size:", "1232"},   /* no fragments */
    {"infra-cache-min-rtt:", "500"}, /* ms, doubled five times: mail can wait for a slow answer */
    {"infra-keep-probing:", "yes"},  /* a server that was down is noticed when it is back, */
    {"infra-host-ttl:", "60"},       /* and not a quarter of an hour later */
};

static int refused(struct error *e, const char *what, const char *which, int code)
{
    return error_set(e, "libunbound refuses %s %.200s: %s", what, which, ub_strerror(code));
}

static int set_options(struct ub_ctx *ctx, struct error *e)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        int code = ub_ctx_set_option(ctx, options[i].name, options[i].value);
        if (code != 0)
            return refused(e, "the option", options[i].name, code);
    }
    return 0;
}

static int set_servers(struct ub_ctx *ctx, const struct upstream_params *params, struct error *e)
{
    for (size_t i = 0; i < params->n_servers; i++) {
        char ip[NETADDR_TEXT], text[NETADDR_TEXT + 8];
        netaddr_format(ip, &params->servers[i]);
        snprintf(text, sizeof text, "%s@%u", ip, params->servers[i].port);
        int code = ub_ctx_set_fwd(ctx, text);
        if (code != 0)
            return refused(e, "the server", text, code);
    }
    return 0;
}

/* One record per line, as dns-root-data ships it; comments after ';'. */
static int set_anchor(struct ub_ctx *ctx, struct span text, struct error *e)
{
    while (text.n > 0) {
        struct span line = span_cut(&text, '\n');
        char record[ANCHOR_LINE_MAX];
        line = span_trim(span_cut(&line, ';'));
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n == 0)
            continue;
        if (span_copy(record, sizeof record, line) < 0)
            return error_set(e, "the trust anchor file has an overlong or damaged line");
        int code = ub_ctx_add_ta(ctx, record);
        if (code != 0)
            return refused(e, "the trust anchor", record, code);
    }
    return 0;
}

/* Settings are only looked at when the context is finished, which the first real call does. It is
 * made here, so that a bad trust anchor is found at the start and not by every question. The call
 * itself gives up libunbound's own (empty) answer for names below "test.", which sites and tests do
 * use. */
static int finish(struct ub_ctx *ctx, struct error *e)
{
    int code = ub_ctx_zone_remove(ctx, "test.");
    if (code == 0)
        return 0;
    return error_set(e, "libunbound does not start (%s): is the trust anchor file in order?",
                     ub_strerror(code));
}

struct upstream *upstream_new(struct loop *l, const struct upstream_params *params, struct error *e)
{
    struct upstream *u = calloc(1, sizeof *u);
    if (u != NULL)
        events_init(&u->events, l);
    struct ub_ctx *ctx = u != NULL ? ub_ctx_create_ub_event(&u->events.head) : NULL;
    if (ctx == NULL) {
        free(u);
        error_set(e, "libunbound gives no context: out of memory");
        return NULL;
    }
    u->ctx = ctx;
    ub_ctx_debugout(ctx, NULL); /* its lines would not have the form of our log */
    if (set_options(ctx, e) < 0 || set_servers(ctx, params, e) < 0 ||
        set_anchor(ctx, params->anchor, e) < 0 || finish(ctx, e) < 0) {
        upstream_free(u);
        return NULL;
    }
    return u;
}

int upstream_ask(struct upstream *u, const char *name, int type, ub_event_callback_type fn,
                 void *arg)
{
    u->n_open++;
    if (ub_resolve_event(u->ctx, name, type, 1, arg, fn, NULL) == 0)
        return 0;
    u->n_open--;
    return -1;
}

void upstream_answered(struct upstream *u)
{
    u->n_open--;
}

bool upstream_is_idle(const struct upstream *u)
{
    return u->n_open == 0;
}

void upstream_free(struct upstream *u)
{
    if (u == NULL)
        return;
    ub_ctx_delete(u->ctx);
    free(u);
}
