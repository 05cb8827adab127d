/* Finding somebody to talk to: follows the plan, asks the resolver, makes the connection. */
#include "relay/job_state.h"
#include "relay/resume.h"

#include "common/clock.h"
#include "relay/tally.h"

static struct plan_scope scope_of(const struct job *j)
{
    return (struct plan_scope){proc_config(j->relay->proc), j->relay->own, j->relay->n_own};
}

/* No answer (the resolver is down, or silent) is "could not decide". */
static void on_mx(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct job *j = arg;
    struct plan_scope scope = scope_of(j);
    j->dns_tag = 0;
    plan_take_mx(&j->plan, &scope, m != NULL ? &m->dns_mx_re : NULL);
    j->is_blind |= m == NULL;
    tally_answer(j);
    seek_next(j);
}

static void on_addr(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct job *j = arg;
    struct plan_scope scope = scope_of(j);
    j->dns_tag = 0;
    plan_take_addr(&j->plan, &scope, m != NULL ? &m->dns_addr_re : NULL);
    j->is_blind |= m == NULL;
    tally_answer(j);
    seek_next(j);
}

/* The records are kept: the connection is made by them. */
static void on_tlsa(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct job *j = arg;
    const struct msg_dns_tlsa_re *re = m != NULL ? &m->dns_tlsa_re : NULL;
    j->dns_tag = 0;
    free(j->tlsa);
    j->tlsa_n = re != NULL ? re->records.n : 0;
    j->tlsa = j->tlsa_n > 0 ? malloc(j->tlsa_n) : NULL;
    if (j->tlsa != NULL)
        memcpy(j->tlsa, re->records.p, j->tlsa_n);
    plan_take_tlsa(&j->plan, j->tlsa == NULL && j->tlsa_n > 0 ? NULL : re);
    j->is_blind |= m == NULL;
    tally_answer(j);
    seek_next(j);
}

/* The patterns are kept for the plan. Without an answer the destination is not to blame. */
static void seek_take_sts(struct job *j, const struct msg_sts_re *re)
{
    struct msg_sts_re kept = re != NULL ? *re : (struct msg_sts_re){.verdict = VERDICT_TRY_LATER};
    free(j->sts_mx);
    j->sts_mx = kept.mx.n > 0 ? malloc(kept.mx.n) : NULL;
    if (kept.mx.n > 0 && j->sts_mx == NULL)
        kept.verdict = VERDICT_TRY_LATER;
    else if (kept.mx.n > 0)
        memcpy(j->sts_mx, kept.mx.p, kept.mx.n);
    kept.mx = (struct span){j->sts_mx, j->sts_mx != NULL ? kept.mx.n : 0};
    j->is_blind |= kept.verdict != VERDICT_OK;
    plan_take_sts(&j->plan, &kept);
}

static bool ask_mx(struct job *j)
{
    struct msg_dns_mx m = {.domain = span_of(j->plan.domain)};
    struct ipc *ch = proc_peer(j->relay->proc, ROLE_RESOLVER);
    struct plan_scope scope = scope_of(j);
    j->dns_tag = ipc_ask_dns_mx(ch, &m, -1, DNS_MS, on_mx, j);
    j->is_blind |= j->dns_tag == 0;
    if (j->dns_tag == 0)
        plan_take_mx(&j->plan, &scope, NULL);
    return j->dns_tag != 0;
}

static void on_sts(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct job *j = arg;
    j->sts_tag = 0;
    seek_take_sts(j, m != NULL ? &m->sts_re : NULL);
    seek_next(j);
}

static bool ask_sts(struct job *j)
{
    struct msg_sts m = {.domain = span_of(j->plan.domain)};
    struct ipc *ch = proc_peer(j->relay->proc, ROLE_POLICY);
    j->sts_tag = ipc_ask_sts(ch, &m, -1, STS_MS, on_sts, j);
    if (j->sts_tag == 0)
        seek_take_sts(j, NULL);
    return j->sts_tag != 0;
}

static bool ask_addr(struct job *j)
{
    struct msg_dns_addr m = {.host = span_of(j->plan.host)};
    struct ipc *ch = proc_peer(j->relay->proc, ROLE_RESOLVER);
    struct plan_scope scope = scope_of(j);
    j->dns_tag = ipc_ask_dns_addr(ch, &m, -1, DNS_MS, on_addr, j);
    j->is_blind |= j->dns_tag == 0;
    if (j->dns_tag == 0)
        plan_take_addr(&j->plan, &scope, NULL);
    return j->dns_tag != 0;
}

static bool ask_tlsa(struct job *j)
{
    const struct plan *p = &j->plan;
    struct msg_dns_tlsa m = {
        .host = span_of(p->tlsa_host), .port = p->port, .is_alias = p->is_alias};
    struct ipc *ch = proc_peer(j->relay->proc, ROLE_RESOLVER);
    j->dns_tag = ipc_ask_dns_tlsa(ch, &m, -1, DNS_MS, on_tlsa, j);
    j->is_blind |= j->dns_tag == 0;
    if (j->dns_tag == 0)
        plan_take_tlsa(&j->plan, NULL);
    return j->dns_tag != 0;
}

/* RFC 7672 3.2.2: which names are as good as that of the TLSA records. The domain's own counts,
 * since DNSSEC says that the server speaks for it. */
static void expect_tlsa(const struct job *j, struct client_params *params)
{
    const struct plan *p = &j->plan;
    params->tls_host = span_of(p->tlsa_host);
    params->tlsa = (struct span){j->tlsa, j->tlsa_n};
    params->tls_names[0] = span_of(p->host);
    params->tls_names[1] = p->by == PLAN_BY_MX ? span_of(p->domain) : SPAN("");
}

/* Sections are counted anew with each configuration: what a plan made by another one says is void,
 * so that no password goes to a server it is not for. */
static struct span secret_for(const struct job *j)
{
    bool is_current = j->generation == proc_generation(j->relay->proc);
    return is_current ? secrets_get(&j->relay->secrets, j->plan.section) : SPAN("");
}

bool seek_connect(struct job *j)
{
    const struct policy *policy = &j->plan.policy;
    j->is_hopeless = policy->level == RELAY_TLS_OPPORTUNISTIC &&
                     memo_has(&j->relay->no_tls, &j->plan.to, clock_mono_ms());
    struct client_params params = {
        .loop = proc_loop(j->relay->proc),
        .to = &j->plan.to,
        .host = span_of(j->plan.host),
        .hostname = span_of(proc_config(j->relay->proc)->hostname),
        .is_lmtp = j->plan.is_lmtp,
        .level = j->is_hopeless ? RELAY_TLS_NONE : policy->level,
        .policy = policy_word(policy),
        .requires_tls = j->mail.requires_tls,
        .is_report = j->mail.sender.n == 0,
        .only_dns_id = j->plan.facts.sts != STS_NONE,
        .is_implicit = j->plan.is_implicit,
        .plain_because = j->is_hopeless ? SPAN("failed before") : SPAN("switched off"),
        .tls = j->relay->tls,
        .user = span_of(j->plan.user),
        .secret = secret_for(j),
        .times = &client_times_default,
        .made_for = j->id,
    };
    if (policy->by == POLICY_BY_DANE)
        expect_tlsa(j, &params);
    resume_with(j, &params);
    client_format_remote(j->remote, params.host, params.to);
    j->client = client_connect(&params, &job_client_ops, j);
    if (j->client == NULL)
        plan_refused(&j->plan, VERDICT_TRY_LATER, SPAN("451 4.3.0 out of memory"));
    return j->client != NULL;
}

/* Goes on until there is something to wait for. */
void seek_next(struct job *j)
{
    struct plan_scope scope = scope_of(j);
    for (bool is_waiting = false; !is_waiting;)
        switch (plan_next(&j->plan, &scope)) {
        case PLAN_ASK_MX:
            is_waiting = ask_mx(j);
            break;
        case PLAN_ASK_STS:
            is_waiting = ask_sts(j);
            break;
        case PLAN_ASK_ADDR:
            is_waiting = ask_addr(j);
            break;
        case PLAN_ASK_TLSA:
            is_waiting = ask_tlsa(j);
            break;
        case PLAN_CONNECT:
            is_waiting = seek_connect(j);
            break;
        case PLAN_OVER:
            if (j->plan.verdict == VERDICT_TRY_LATER && !j->is_blind)
                j->reach = REACH_DOWN;
            job_finish_all(j, j->plan.verdict, span_of(j->plan.text));
            return;
        }
}

void seek_begin(struct job *j)
{
    struct plan_scope scope = scope_of(j);
    j->is_kept = j->is_sent = j->is_blind = j->is_hopeless = false;
    j->remote[0] = j->protection[0] = '\0';
    j->generation = proc_generation(j->relay->proc);
    plan_begin(&j->plan, &scope, span_of(j->domain), j->mail.sender, j->mail.requires_tls);
    if ((j->mail.flags & CONTENT_TLS_OPTIONAL) != 0)
        plan_waive_policies(&j->plan);
    else if (j->expects_tls)
        plan_expect_tls(&j->plan);
    seek_next(j);
}
