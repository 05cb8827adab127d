#include "relay/tally.h"

/* Without a policy any TLS is a success; with one only a server that has proved itself, and (STS)
 * that the policy names. */
enum tlsrpt_result tally_judge(const struct policy_facts *f, enum tlsrpt_result r,
                               enum tlsrpt_policy *policy)
{
    bool is_certificate =
        r == TLSRPT_HOST_MISMATCH || r == TLSRPT_EXPIRED || r == TLSRPT_NOT_TRUSTED;
    *policy = f->has_tlsa ? TLSRPT_TLSA : f->sts != STS_NONE ? TLSRPT_STS : TLSRPT_NO_POLICY;
    if (*policy == TLSRPT_NO_POLICY)
        return is_certificate ? TLSRPT_SUCCESS : r;
    return *policy == TLSRPT_STS && r == TLSRPT_SUCCESS && !f->is_sts_host ? TLSRPT_VALIDATION : r;
}

static void tell(const struct job *j, enum tlsrpt_policy policy, enum tlsrpt_result r)
{
    const struct plan *p = &j->plan;
    char address[NETADDR_TEXT];
    bool has_host = r != TLSRPT_SUCCESS && !tlsrpt_is_policy_fault(r);
    bool has_address = has_host && r != TLSRPT_DNSSEC_INVALID;
    netaddr_format(address, &p->to);
    struct msg_tls_result m = {.domain = span_of(p->domain),
                               .policy = (uint8_t)policy,
                               .result = (uint8_t)r,
                               .host = has_host ? span_of(p->host) : SPAN(""),
                               .address = has_address ? span_of(address) : SPAN("")};
    ipc_send_tls_result(j->from, &m, -1);
}

static bool is_wanted(const struct job *j)
{
    const struct plan *p = &j->plan;
    return proc_config(j->relay->proc)->relay.tls_reports == SWITCH_ON && p->by != PLAN_BY_ROUTE &&
           !p->is_configured && !p->is_waived && !j->is_kept && p->facts.wanted != RELAY_TLS_NONE &&
           p->domain[0] != '[';
}

/* A session counts under the policy it went by, and once more if the domain meant it to go by
 * another one. */
void tally(const struct job *j, enum tlsrpt_result r)
{
    enum tlsrpt_policy policy;
    enum tlsrpt_result judged = tally_judge(&j->plan.facts, r, &policy);
    if (!is_wanted(j) || r == TLSRPT_NOTHING)
        return;
    tell(j, policy, judged);
    if (j->plan.sts_fault != TLSRPT_NOTHING)
        tell(j, TLSRPT_STS, j->plan.sts_fault);
}

/* DNSSEC can only say so of a zone that means to be protected. */
void tally_answer(const struct job *j)
{
    if (j->plan.is_bogus && is_wanted(j))
        tell(j, TLSRPT_TLSA, TLSRPT_DNSSEC_INVALID);
}
