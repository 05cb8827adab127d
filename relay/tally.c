#include "relay/tally.h"

/* Without a policy any TLS is a success (that of TLSRPT_VALIDATION did not come about); with one
 * only a server that has proved itself, and (STS) that the policy names. */
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

/* The records that fit; those with whole certificates may not. */
static struct span those_that_fit(struct span records)
{
    struct unpacker u = unpacker_on(records);
    size_t n = 0;
    while (u.left.n > 0) {
        unpack_uint(&u, 3);
        unpack_bytes(&u, TLSA_DATA_MAX);
        if (u.failed || records.n - u.left.n > TLSRPT_TLSA_MAX)
            break;
        n = records.n - u.left.n;
    }
    return (struct span){records.p, n};
}

/* The server, if it is one that failed; and the connection, if there was one. */
static void tell(const struct job *j, enum tlsrpt_policy policy, enum tlsrpt_result r)
{
    const struct plan *p = &j->plan;
    char address[NETADDR_TEXT];
    bool has_host = r != TLSRPT_SUCCESS && !tlsrpt_is_policy_fault(r);
    const struct client_seen *seen = has_host && j->client != NULL ? client_seen(j->client) : NULL;
    struct msg_tls_result m = {.domain = span_of(p->domain),
                               .policy = (uint8_t)policy,
                               .result = (uint8_t)r,
                               .base = policy == TLSRPT_TLSA ? span_of(p->tlsa_host) : SPAN(""),
                               .host = has_host ? span_of(p->host) : SPAN("")};
    if (policy == TLSRPT_TLSA && p->facts.has_tlsa)
        m.tlsa = those_that_fit((struct span){j->tlsa, j->tlsa_n});
    if (seen != NULL) {
        netaddr_format(address, &p->to);
        m.address = span_of(address);
        m.helo = span_of(seen->helo);
        m.source = span_of(seen->source);
        m.because = span_of(seen->because);
    }
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
