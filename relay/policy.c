#include "relay/policy.h"

static void raise_to(struct policy *p, enum relay_tls level, enum policy_by by)
{
    p->level = level;
    p->by = by;
}

static bool is_open(const struct policy *p)
{
    return p->level == RELAY_TLS_OPPORTUNISTIC || p->level == RELAY_TLS_NONE;
}

/* Who says smtps:// means a certain server. */
static void by_scheme(const struct policy_facts *f, struct policy *p)
{
    if (f->is_implicit && is_open(p))
        raise_to(p, RELAY_TLS_VERIFIED, POLICY_BY_SETTING);
}

/* A password is for one server only. Who says 'tls = none' gets no login elsewhere than here
 * (client_login.c), and who says 'required' has decided. */
static void by_login(const struct policy_facts *f, struct policy *p)
{
    if (f->has_login && !f->is_loopback && p->level == RELAY_TLS_OPPORTUNISTIC)
        raise_to(p, RELAY_TLS_VERIFIED, POLICY_BY_LOGIN);
}

/* Who had TLS has it, or somebody is in between. */
static void by_memory(const struct policy_facts *f, struct policy *p)
{
    if (f->expects_tls && p->level == RELAY_TLS_OPPORTUNISTIC)
        raise_to(p, RELAY_TLS_REQUIRED, POLICY_BY_MEMORY);
}

/* RFC 7672 2.2: with TLSA records TLS is a must, and they say who the server is. */
static void by_dane(const struct policy_facts *f, struct policy *p)
{
    if (f->has_tlsa)
        raise_to(p, RELAY_TLS_VERIFIED, POLICY_BY_DANE);
}

/* RFC 8461 2: where there is DANE it decides alone. A host that the policy does not name may be
 * named by the next one, so the mail waits (5). */
static void by_sts(const struct policy_facts *f, struct policy *p)
{
    if (f->sts == STS_NONE || p->by == POLICY_BY_DANE)
        return;
    p->is_sts_tested = f->sts == STS_TESTING;
    if (f->sts != STS_ENFORCE)
        return;
    if (p->level != RELAY_TLS_VERIFIED)
        raise_to(p, RELAY_TLS_VERIFIED, POLICY_BY_STS);
    if (!f->is_sts_host)
        p->refusal = "451 4.7.5 the policy of its domain (MTA-STS) does not name this server";
}

/* RFC 8689 4.2.1: the server proves its name, and somebody proved that the name is the right one.
 */
static void by_message(const struct policy_facts *f, struct policy *p)
{
    if (!f->requires_tls)
        return;
    if (p->level != RELAY_TLS_VERIFIED)
        raise_to(p, RELAY_TLS_VERIFIED, POLICY_BY_MESSAGE);
    bool is_named = f->sts == STS_ENFORCE && f->is_sts_host;
    if (!f->is_name_certain && !is_named && p->refusal == NULL)
        p->refusal = "550 5.7.30 the message requires TLS, and neither DNSSEC nor MTA-STS protects "
                     "the name of the server";
}

struct policy policy_decide(const struct policy_facts *f)
{
    struct policy p = {.level = f->wanted, .by = POLICY_BY_SETTING};
    by_scheme(f, &p);
    by_login(f, &p);
    by_memory(f, &p);
    by_dane(f, &p);
    by_sts(f, &p);
    by_message(f, &p);
    return p;
}

const char *policy_word(const struct policy *p)
{
    static const char *const words[] = {
        [RELAY_TLS_OPPORTUNISTIC] = "opportunistic",
        [RELAY_TLS_REQUIRED] = "required",
        [RELAY_TLS_VERIFIED] = "verified",
        [RELAY_TLS_NONE] = "none",
    };
    static const char *const sources[] = {[POLICY_BY_MEMORY] = "seen",
                                          [POLICY_BY_DANE] = "dane",
                                          [POLICY_BY_STS] = "sts",
                                          [POLICY_BY_MESSAGE] = "requiretls"};
    return sources[p->by] != NULL ? sources[p->by] : words[p->level];
}
