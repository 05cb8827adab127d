/* What a session counts as in the reports about TLS (RFC 8460 4.3). */
#include "relay/tally.h"

#include <criterion/criterion.h>

static const struct {
    const char *name;
    struct policy_facts facts;
    enum tlsrpt_result is, counts_as;
    enum tlsrpt_policy policy;
} rows[] = {
    {"TLS, whoever it is", {0}, TLSRPT_NOT_TRUSTED, TLSRPT_SUCCESS, TLSRPT_NO_POLICY},
    {"TLS, another name", {0}, TLSRPT_HOST_MISMATCH, TLSRPT_SUCCESS, TLSRPT_NO_POLICY},
    {"TLS, too old", {0}, TLSRPT_EXPIRED, TLSRPT_SUCCESS, TLSRPT_NO_POLICY},
    {"no TLS", {0}, TLSRPT_NO_STARTTLS, TLSRPT_NO_STARTTLS, TLSRPT_NO_POLICY},
    {"TLS that does not come about", {0}, TLSRPT_VALIDATION, TLSRPT_VALIDATION, TLSRPT_NO_POLICY},
    {"STS", {.sts = STS_ENFORCE, .is_sts_host = true}, TLSRPT_SUCCESS, TLSRPT_SUCCESS, TLSRPT_STS},
    {"STS, not trusted",
     {.sts = STS_TESTING, .is_sts_host = true},
     TLSRPT_NOT_TRUSTED,
     TLSRPT_NOT_TRUSTED,
     TLSRPT_STS},
    {"STS, a host it does not name",
     {.sts = STS_TESTING},
     TLSRPT_SUCCESS,
     TLSRPT_VALIDATION,
     TLSRPT_STS},
    {"DANE", {.has_tlsa = true}, TLSRPT_SUCCESS, TLSRPT_SUCCESS, TLSRPT_TLSA},
    {"DANE before STS",
     {.has_tlsa = true, .sts = STS_ENFORCE},
     TLSRPT_SUCCESS,
     TLSRPT_SUCCESS,
     TLSRPT_TLSA},
    {"DANE, no record fits",
     {.has_tlsa = true},
     TLSRPT_TLSA_INVALID,
     TLSRPT_TLSA_INVALID,
     TLSRPT_TLSA},
    {"DANE, the authority's, another name",
     {.has_tlsa = true},
     TLSRPT_HOST_MISMATCH,
     TLSRPT_HOST_MISMATCH,
     TLSRPT_TLSA},
    {"DANE, the authority's, too old",
     {.has_tlsa = true},
     TLSRPT_EXPIRED,
     TLSRPT_EXPIRED,
     TLSRPT_TLSA},
};

Test(tally, what_it_counts_as)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum tlsrpt_policy policy;
        cr_expect_eq(tally_judge(&rows[i].facts, rows[i].is, &policy), rows[i].counts_as, "%s",
                     rows[i].name);
        cr_expect_eq(policy, rows[i].policy, "%s", rows[i].name);
    }
}
