/* How the connection to one server must be protected, and who says so. plan.c collects the facts;
 * policy_decide makes the level of them, one rule for each source, and each rule can only ask for
 * more than those before it. Another source is one more fact and one more rule. Pure. */
#ifndef BARID_RELAY_POLICY_H
#define BARID_RELAY_POLICY_H

#include "common/config.h"
#include "common/sts.h"
#include "common/verdict.h"

struct policy_facts {
    enum relay_tls wanted; /* by the configuration */
    bool is_implicit;      /* smtps:// */
    bool has_login;        /* a password is sent there */
    bool is_loopback;      /* it is this machine */
    bool expects_tls;      /* it was seen there before */
    bool has_tlsa;         /* DNSSEC protects TLSA records of it (RFC 7672) */
    bool requires_tls;     /* the message does (RFC 8689) */
    enum sts_mode sts;     /* of its domain (RFC 8461) */
    bool is_sts_host;      /* and its policy names it */
    bool is_name_certain;  /* the configuration names it, or an answer that DNSSEC protects */
};

enum policy_by {
    POLICY_BY_SETTING, /* tls, of [relay] or [route]; or smtps:// */
    POLICY_BY_LOGIN,
    POLICY_BY_MEMORY,  /* [relay] tls_seen */
    POLICY_BY_DANE,    /* verified means: by its TLSA records */
    POLICY_BY_STS,     /* MTA-STS, enforce */
    POLICY_BY_MESSAGE, /* REQUIRETLS */
};

struct policy {
    enum relay_tls level;
    enum policy_by by;
    const char *refusal; /* why the mail must not go there, in the words of a reply; NULL */
    bool is_sts_tested;  /* MTA-STS, testing: what enforce would refuse is logged */
};

struct policy policy_decide(const struct policy_facts *f);
/* For people: "opportunistic", "required", "verified", "none", "seen", "dane", "sts",
 * "requiretls". */
const char *policy_word(const struct policy *p);

#endif
