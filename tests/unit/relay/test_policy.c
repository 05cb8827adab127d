#include "relay/policy.h"

#include <criterion/criterion.h>

#define OPEN     RELAY_TLS_OPPORTUNISTIC
#define REQUIRED RELAY_TLS_REQUIRED
#define VERIFIED RELAY_TLS_VERIFIED
#define NONE     RELAY_TLS_NONE

static const struct {
    const char *name;
    struct policy_facts facts;
    enum relay_tls level;
    const char *word;
    bool is_refused;
} rows[] = {
    {"nothing is known", {.wanted = OPEN}, OPEN, "opportunistic", false},
    {"none", {.wanted = NONE}, NONE, "none", false},
    {"required", {.wanted = REQUIRED}, REQUIRED, "required", false},
    {"verified", {.wanted = VERIFIED}, VERIFIED, "verified", false},
    {"smtps", {.wanted = OPEN, .is_implicit = true}, VERIFIED, "verified", false},
    {"smtps, none", {.wanted = NONE, .is_implicit = true}, VERIFIED, "verified", false},
    {"smtps, required", {.wanted = REQUIRED, .is_implicit = true}, REQUIRED, "required", false},
    {"a login", {.wanted = OPEN, .has_login = true}, VERIFIED, "verified", false},
    {"a login here",
     {.wanted = OPEN, .has_login = true, .is_loopback = true},
     OPEN,
     "opportunistic",
     false},
    {"a login, required", {.wanted = REQUIRED, .has_login = true}, REQUIRED, "required", false},
    {"a login, none", {.wanted = NONE, .has_login = true}, NONE, "none", false},
    {"requiretls",
     {.wanted = OPEN, .requires_tls = true, .is_name_certain = true},
     VERIFIED,
     "requiretls",
     false},
    {"requiretls, required",
     {.wanted = REQUIRED, .requires_tls = true, .is_name_certain = true},
     VERIFIED,
     "requiretls",
     false},
    {"requiretls, none, here",
     {.wanted = NONE, .requires_tls = true, .is_name_certain = true, .is_loopback = true},
     VERIFIED,
     "requiretls",
     false},
    {"requiretls, verified",
     {.wanted = VERIFIED, .requires_tls = true, .is_name_certain = true},
     VERIFIED,
     "verified",
     false},
    {"seen before", {.wanted = OPEN, .expects_tls = true}, REQUIRED, "seen", false},
    {"seen before, none", {.wanted = NONE, .expects_tls = true}, NONE, "none", false},
    {"seen before, dane",
     {.wanted = OPEN, .expects_tls = true, .has_tlsa = true},
     VERIFIED,
     "dane",
     false},
    {"dane", {.wanted = OPEN, .has_tlsa = true}, VERIFIED, "dane", false},
    {"dane, a login",
     {.wanted = OPEN, .has_tlsa = true, .has_login = true},
     VERIFIED,
     "dane",
     false},
    {"dane, requiretls",
     {.wanted = OPEN, .has_tlsa = true, .requires_tls = true, .is_name_certain = true},
     VERIFIED,
     "dane",
     false},
    {"sts", {.wanted = OPEN, .sts = STS_ENFORCE, .is_sts_host = true}, VERIFIED, "sts", false},
    {"sts, another host", {.wanted = OPEN, .sts = STS_ENFORCE}, VERIFIED, "sts", true},
    {"sts, tested", {.wanted = OPEN, .sts = STS_TESTING}, OPEN, "opportunistic", false},
    {"sts, required",
     {.wanted = REQUIRED, .sts = STS_ENFORCE, .is_sts_host = true},
     VERIFIED,
     "sts",
     false},
    {"dane before sts",
     {.wanted = OPEN, .has_tlsa = true, .sts = STS_ENFORCE},
     VERIFIED,
     "dane",
     false},
    {"sts, requiretls",
     {.wanted = OPEN, .requires_tls = true, .sts = STS_ENFORCE, .is_sts_host = true},
     VERIFIED,
     "sts",
     false},
    {"sts, tested, requiretls",
     {.wanted = OPEN, .requires_tls = true, .sts = STS_TESTING, .is_sts_host = true},
     VERIFIED,
     "requiretls",
     true},
    {"requiretls, who knows",
     {.wanted = VERIFIED, .requires_tls = true},
     VERIFIED,
     "verified",
     true},
};

Test(policy, each_source_can_only_ask_for_more)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct policy p = policy_decide(&rows[i].facts);
        cr_expect_eq(p.level, rows[i].level, "%s", rows[i].name);
        cr_expect_str_eq(policy_word(&p), rows[i].word, "%s", rows[i].name);
        cr_expect_eq(p.refusal != NULL, rows[i].is_refused, "%s", rows[i].name);
    }
}
