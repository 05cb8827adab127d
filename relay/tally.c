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

static void tell(const struct job *j, enum tlsrpt_policy policy, enum tlsrpt_result r)
{
    const struct plan *p = &j->plan;
    char address[NETADDR_TEXT];
    bool has_host = r != TLSRPT_SUCCESS && !tlsrpt_is_policy_fault(r);
    netaddr_format(address, &p->to);
    struct msg_tls_result m = {.domain = span_of(p->domain),
                               .policy = (uint8_t)policy,
                               .result = (uint8_t)r,
                               .host = has_host ? span_of(p->host) : SPAN(""),
                               .address = has_host ? span_of(address) : SPAN("")};
    ipc_send_tls_result(j->from, &m, -1);
}

/* A session counts under the policy it went by, and once more if the domain meant it to go by
 * another one. */
void tally(const struct job *j, enum tlsrpt_result r)
{
    const struct plan *p = &j->plan;
    enum tlsrpt_policy policy = policy_of(&p->facts);
    bool is_wanted = proc_config(j->relay->proc)->relay.tls_reports == SWITCH_ON &&
                     p->by != PLAN_BY_ROUTE && !p->is_configured && !p->is_waived && !j->is_kept &&
                     p->facts.wanted != RELAY_TLS_NONE && p->domain[0] != '[';
    if (!is_wanted || r == TLSRPT_NOTHING)
        return;
    tell(j, policy, judge(policy, &p->facts, r));
    if (p->sts_fault != TLSRPT_NOTHING)
        tell(j, TLSRPT_STS, p->sts_fault);
}
