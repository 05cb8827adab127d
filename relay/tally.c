#include "relay/tally.h"

static enum tlsrpt_policy policy_of(const struct policy_facts *f)
{
    return f->has_tlsa ? TLSRPT_TLSA : f->sts != STS_NONE ? TLSRPT_STS : TLSRPT_NO_POLICY;
}

/* Without a policy any TLS is a success; with one only a server that has proved itself, and (STS)
 * that the policy names. */
static enum tlsrpt_result judge(enum tlsrpt_policy policy, const struct policy_facts *f,
                                enum tlsrpt_result r)
{
    bool is_certificate =
        r == TLSRPT_HOST_MISMATCH || r == TLSRPT_EXPIRED || r == TLSRPT_NOT_TRUSTED;
    if (policy == TLSRPT_NO_POLICY)
        return is_certificate ? TLSRPT_SUCCESS : r;
    if (policy == TLSRPT_TLSA && is_certificate)
        return TLSRPT_VALIDATION;
    return policy == TLSRPT_STS && r == TLSRPT_SUCCESS && !f->is_sts_host ? TLSRPT_VALIDATION : r;
}

void tally(const struct job *j, enum tlsrpt_result r)
{
    const struct plan *p = &j->plan;
    char address[NETADDR_TEXT];
    enum tlsrpt_policy policy = policy_of(&p->facts);
    bool is_wanted = proc_config(j->relay->proc)->relay.tls_reports == SWITCH_ON &&
                     p->by != PLAN_BY_ROUTE && !p->is_configured && !p->is_waived && !j->is_kept &&
                     p->facts.wanted != RELAY_TLS_NONE && p->domain[0] != '[';
    if (!is_wanted || r == TLSRPT_NOTHING)
        return;
    netaddr_format(address, &p->to);
    r = judge(policy, &p->facts, r);
    struct msg_tls_result m = {.domain = span_of(p->domain),
                               .policy = (uint8_t)policy,
                               .result = (uint8_t)r,
                               .host = r == TLSRPT_SUCCESS ? SPAN("") : span_of(p->host),
                               .address = r == TLSRPT_SUCCESS ? SPAN("") : span_of(address)};
    ipc_send_tls_result(j->from, &m, -1);
}
