#include "relay/resume.h"

#include "common/pack.h"
#include "relay/policy.h"

#include <criterion/criterion.h>
#include <string.h>

/* Everything a key is made of, so that one of it can be changed. */
struct all {
    struct resume_facts facts;
    struct policy policy;
    struct policy_facts why;
    struct client_params params;
    struct netaddr to;
    unsigned char destination[SESSION_KEY];
    char tlsa[200];
};

static size_t records(char *out, size_t cap, const char *const *data)
{
    struct packer p = packer_on(out, cap);
    for (size_t i = 0; data[i] != NULL; i++) {
        pack_uint(&p, 3, 1);
        pack_uint(&p, 1, 1);
        pack_uint(&p, 1, 1);
        pack_bytes(&p, span_of(data[i]));
    }
    return packer_span(&p).n;
}

static void fill(struct all *a)
{
    static const char *const data[] = {"first", "second", NULL};
    *a = (struct all){
        .to = {.octets = {192, 0, 2, 1}, .n = 4, .port = 25},
        .policy = {.level = RELAY_TLS_VERIFIED, .by = POLICY_BY_DANE},
        .why = {.has_tlsa = true, .is_name_certain = true},
        .params = {.host = SPAN("mx.example.org"),
                   .hostname = SPAN("us.example.net"),
                   .level = RELAY_TLS_VERIFIED,
                   .tls_host = SPAN("mx.example.org"),
                   .tls_names = {SPAN("mx.example.org"), SPAN("example.org")}},
        .facts = {.generation = 1, .domain = SPAN("example.org")},
    };
    a->params.to = &a->to;
    a->params.tlsa = (struct span){a->tlsa, records(a->tlsa, sizeof a->tlsa, data)};
    a->facts.destination = a->destination;
    a->facts.policy = &a->policy;
    a->facts.facts = &a->why;
    a->facts.params = &a->params;
}

static void key_of(const struct all *a, unsigned char key[SESSION_KEY])
{
    resume_key(&a->facts, key);
}

#define CHANGES(C)                                                                                 \
    C(a->facts.generation = 2)                                                                     \
    C(a->destination[5] = 1)                                                                       \
    C(a->facts.domain = SPAN("example.com"))                                                       \
    C(a->facts.domain = SPAN(""))                                                                  \
    C(a->facts.sts_mx = SPAN("*.example.org"))                                                     \
    C(a->policy.level = RELAY_TLS_OPPORTUNISTIC)                                                   \
    C(a->policy.by = POLICY_BY_STS)                                                                \
    C(a->policy.is_sts_tested = true)                                                              \
    C(a->why.wanted = RELAY_TLS_REQUIRED)                                                          \
    C(a->why.is_implicit = true)                                                                   \
    C(a->why.has_login = true)                                                                     \
    C(a->why.is_loopback = true)                                                                   \
    C(a->why.expects_tls = true)                                                                   \
    C(a->why.has_tlsa = false)                                                                     \
    C(a->why.requires_tls = true)                                                                  \
    C(a->why.sts = STS_ENFORCE)                                                                    \
    C(a->why.is_sts_host = true)                                                                   \
    C(a->why.is_name_certain = false)                                                              \
    C(a->params.host = SPAN("mx2.example.org"))                                                    \
    C(a->to.octets[3] = 2)                                                                         \
    C(a->to.port = 26)                                                                             \
    C(a->to.n = 16)                                                                                \
    C(a->params.hostname = SPAN("other.example.net"))                                              \
    C(a->params.is_lmtp = true)                                                                    \
    C(a->params.level = RELAY_TLS_REQUIRED)                                                        \
    C(a->params.tls_host = SPAN("alias.example.org"))                                              \
    C(a->params.tlsa.n = 0)                                                                        \
    C(a->tlsa[a->params.tlsa.n - 1] ^= 1)                                                          \
    C(a->tlsa[0] = 2)                                                                              \
    C(a->params.tlsa.n -= 1)                                                                       \
    C(a->params.tls_names[0] = SPAN(""))                                                           \
    C(a->params.tls_names[1] = SPAN("example.com"))                                                \
    C(a->params.only_dns_id = true)                                                                \
    C(a->params.requires_tls = true)                                                               \
    C(a->params.is_report = true)                                                                  \
    C(a->params.is_implicit = true)                                                                \
    C(a->params.user = SPAN("somebody"))

#define NAME(change) #change,
static const char *const names[] = {CHANGES(NAME)};

static void apply(struct all *a, size_t which)
{
    size_t i = 0;
#define APPLY(change)                                                                              \
    if (i++ == which)                                                                              \
        (change);
    CHANGES(APPLY)
#undef APPLY
}

Test(resume, whatever_the_judgement_depends_on_makes_another_key)
{
    enum { N = sizeof names / sizeof names[0] };
    static unsigned char keys[N + 1][SESSION_KEY];
    struct all a;
    fill(&a);
    key_of(&a, keys[N]);
    for (size_t i = 0; i < N; i++) {
        fill(&a);
        apply(&a, i);
        key_of(&a, keys[i]);
        cr_expect_neq(memcmp(keys[i], keys[N], SESSION_KEY), 0, "%s", names[i]);
        for (size_t k = 0; k < i; k++)
            cr_expect_neq(memcmp(keys[i], keys[k], SESSION_KEY), 0, "%s, %s", names[i], names[k]);
    }
}

Test(resume, the_same_again)
{
    static const char *const turned[] = {"second", "first", NULL};
    unsigned char one[SESSION_KEY], two[SESSION_KEY];
    struct all a;
    fill(&a);
    key_of(&a, one);
    records(a.tlsa, sizeof a.tlsa, turned);
    a.params.made_for = 17;
    a.params.policy = "dane";
    key_of(&a, two);
    cr_expect_eq(memcmp(one, two, SESSION_KEY), 0, "the DNS turns its records around");
}
