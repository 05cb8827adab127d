#include "relay/explain.h"

#include "common/admin.h"
#include "relay/plan.h"

#define ASK_MS        10000
#define ALL_MS        45000 /* who asks gives up after a minute */
#define INQUIRIES_MAX 16

struct inquiry {
    struct inquiry *next;
    struct relay *relay;
    struct admin_call call;
    struct plan plan;
    struct timer deadline;
    char sender[ADDRESS_MAX];
    uint64_t dns_tag; /* question to the resolver, or 0 */
    uint64_t sts_tag; /* the same to policy */
    char sts_mx[STS_MX_OCTETS];
    unsigned n_hops;
};

static void next_step(struct inquiry *q);

static struct plan_scope scope_of(const struct inquiry *q)
{
    return (struct plan_scope){proc_config(q->relay->proc), q->relay->own, q->relay->n_own};
}

static void end(struct inquiry *q)
{
    struct inquiry **at = &q->relay->inquiries;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    timer_stop(&q->deadline);
    ipc_cancel(proc_peer(q->relay->proc, ROLE_RESOLVER), q->dns_tag);
    ipc_cancel(proc_peer(q->relay->proc, ROLE_POLICY), q->sts_tag);
    free(q);
}

static void send_hop(struct inquiry *q)
{
    static struct admin_row r;
    char address[NETADDR_TEXT];
    const struct plan *p = &q->plan;
    netaddr_format_port(address, &p->to);
    row_begin(&r);
    row_text(&r, "host", span_of(p->host));
    row_text(&r, "address", span_of(address));
    row_text(&r, "protocol", p->is_lmtp ? SPAN("lmtp") : SPAN("smtp"));
    row_text(&r, "tls", span_of(policy_word(&p->policy)));
    row_bool(&r, "implicit_tls", p->is_implicit);
    row_text(&r, "login", span_of(p->user));
    row_send(&r, &q->call, 0, "");
    q->n_hops++;
}

/* `reply`: why there is no hop; about those there are it says nothing. */
static void finish(struct inquiry *q, struct span reply)
{
    static struct admin_row r;
    if (q->n_hops == 0) {
        row_begin(&r);
        row_text(&r, "reply", reply);
        row_send(&r, &q->call, 0, "");
    }
    admin_done(&q->call, 0);
    end(q);
}

static void took_too_long(void *inquiry)
{
    finish(inquiry, SPAN("451 4.4.3 the DNS does not answer in time"));
}

static void on_mx(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct inquiry *q = arg;
    struct plan_scope scope = scope_of(q);
    q->dns_tag = 0;
    plan_take_mx(&q->plan, &scope, m != NULL ? &m->dns_mx_re : NULL);
    next_step(q);
}

static void on_addr(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct inquiry *q = arg;
    struct plan_scope scope = scope_of(q);
    q->dns_tag = 0;
    plan_take_addr(&q->plan, &scope, m != NULL ? &m->dns_addr_re : NULL);
    next_step(q);
}

static void on_tlsa(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct inquiry *q = arg;
    q->dns_tag = 0;
    plan_take_tlsa(&q->plan, m != NULL ? &m->dns_tlsa_re : NULL);
    next_step(q);
}

static void take_sts(struct inquiry *q, const struct msg_sts_re *re)
{
    struct msg_sts_re kept = re != NULL ? *re : (struct msg_sts_re){.verdict = VERDICT_TRY_LATER};
    if (kept.mx.n > sizeof q->sts_mx)
        kept.verdict = VERDICT_TRY_LATER;
    else if (kept.mx.n > 0)
        memcpy(q->sts_mx, kept.mx.p, kept.mx.n);
    kept.mx.p = q->sts_mx;
    plan_take_sts(&q->plan, &kept);
}

static void on_sts(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct inquiry *q = arg;
    q->sts_tag = 0;
    take_sts(q, m != NULL ? &m->sts_re : NULL);
    next_step(q);
}

/* They say whether there is an answer to wait for. */
static bool ask_mx(struct inquiry *q)
{
    struct plan_scope scope = scope_of(q);
    struct msg_dns_mx m = {.domain = span_of(q->plan.domain)};
    q->dns_tag = ipc_ask_dns_mx(proc_peer(q->relay->proc, ROLE_RESOLVER), &m, -1, ASK_MS, on_mx, q);
    if (q->dns_tag == 0)
        plan_take_mx(&q->plan, &scope, NULL);
    return q->dns_tag != 0;
}

static bool ask_sts(struct inquiry *q)
{
    struct msg_sts m = {.domain = span_of(q->plan.domain)};
    q->sts_tag = ipc_ask_sts(proc_peer(q->relay->proc, ROLE_POLICY), &m, -1, ALL_MS, on_sts, q);
    if (q->sts_tag == 0)
        take_sts(q, NULL);
    return q->sts_tag != 0;
}

static bool ask_addr(struct inquiry *q)
{
    struct plan_scope scope = scope_of(q);
    struct msg_dns_addr m = {.host = span_of(q->plan.host)};
    q->dns_tag =
        ipc_ask_dns_addr(proc_peer(q->relay->proc, ROLE_RESOLVER), &m, -1, ASK_MS, on_addr, q);
    if (q->dns_tag == 0)
        plan_take_addr(&q->plan, &scope, NULL);
    return q->dns_tag != 0;
}

static bool ask_tlsa(struct inquiry *q)
{
    const struct plan *p = &q->plan;
    struct msg_dns_tlsa m = {
        .host = span_of(p->tlsa_host), .port = p->port, .is_alias = p->is_alias};
    q->dns_tag =
        ipc_ask_dns_tlsa(proc_peer(q->relay->proc, ROLE_RESOLVER), &m, -1, ASK_MS, on_tlsa, q);
    if (q->dns_tag == 0)
        plan_take_tlsa(&q->plan, NULL);
    return q->dns_tag != 0;
}

/* Each hop counts as one that did not answer, so that the next one is told too. */
static void next_step(struct inquiry *q)
{
    struct plan_scope scope = scope_of(q);
    for (bool is_waiting = false; !is_waiting;)
        switch (plan_next(&q->plan, &scope)) {
        case PLAN_ASK_MX:
            is_waiting = ask_mx(q);
            break;
        case PLAN_ASK_STS:
            is_waiting = ask_sts(q);
            break;
        case PLAN_ASK_ADDR:
            is_waiting = ask_addr(q);
            break;
        case PLAN_ASK_TLSA:
            is_waiting = ask_tlsa(q);
            break;
        case PLAN_CONNECT:
            send_hop(q);
            plan_refused(&q->plan, VERDICT_TRY_LATER, SPAN(""));
            break;
        case PLAN_OVER:
            finish(q, span_of(q->plan.text));
            return;
        }
}

static void plan(void *relay, struct admin_call *call)
{
    struct relay *r = relay;
    size_t n = 0;
    for (const struct inquiry *q = r->inquiries; q != NULL; q = q->next)
        n++;
    struct inquiry *q = n < INQUIRIES_MAX ? calloc(1, sizeof *q) : NULL;
    if (q == NULL) {
        admin_fail(call, VERDICT_TRY_LATER, "too many questions at once, or no memory: try again");
        return;
    }
    *q = (struct inquiry){.next = r->inquiries, .relay = r, .call = *call};
    r->inquiries = q;
    timer_init(&q->deadline, proc_loop(r->proc), took_too_long, q);
    timer_set(&q->deadline, ALL_MS);
    struct span sender = admin_option(call, "from");
    if (span_copy(q->sender, sizeof q->sender, sender) < 0)
        q->sender[0] = '\0';
    struct plan_scope scope = scope_of(q);
    plan_begin(&q->plan, &scope, call->n_args > 0 ? call->args[0] : SPAN(""), span_of(q->sender),
               false);
    next_step(q);
}

static const struct admin_command commands[] = {{"plan", plan}};

void explain_command(void *proc, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    admin_dispatch(commands, sizeof commands / sizeof commands[0], proc_state(proc), from,
                   &m->admin);
}

void explain_forget(struct relay *r, const struct ipc *from)
{
    for (struct inquiry *q = r->inquiries, *next; q != NULL; q = next) {
        next = q->next;
        if (q->call.ch == from)
            end(q);
    }
}
