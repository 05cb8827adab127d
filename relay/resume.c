#include "relay/resume.h"

#include "common/tls.h"
#include "relay/job_state.h"

#include <sodium.h>
#include <stdlib.h>

#define RECORDS_MAX 64 /* TLSA; more are not usual, and their order then counts */

_Static_assert(SESSION_KEY == TLS_CONTEXT, "the key is the context of the session");

static void add(crypto_generichash_state *h, struct span s)
{
    uint64_t n = s.n; /* so that no two lists of texts look alike */
    crypto_generichash_update(h, (const unsigned char *)&n, sizeof n);
    if (s.n > 0)
        crypto_generichash_update(h, (const unsigned char *)s.p, s.n);
}

static void add_number(crypto_generichash_state *h, uint64_t n)
{
    crypto_generichash_update(h, (const unsigned char *)&n, sizeof n);
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, SESSION_KEY);
}

/* TLSA records as in DNS_TLSA_RE; the DNS tells them in any order. */
static void add_records(crypto_generichash_state *h, struct span records)
{
    unsigned char hashes[RECORDS_MAX][SESSION_KEY];
    size_t n = 0;
    struct unpacker u = unpacker_on(records);
    while (u.left.n > 0 && !u.failed && n < RECORDS_MAX) {
        struct span at = u.left;
        unpack_uint(&u, 3);
        unpack_bytes(&u, TLSA_DATA_MAX);
        crypto_generichash(hashes[n++], SESSION_KEY, (const unsigned char *)at.p, at.n - u.left.n,
                           NULL, 0);
    }
    if (u.failed || u.left.n > 0) {
        add(h, records);
        return;
    }
    qsort(hashes, n, SESSION_KEY, compare);
    add(h, (struct span){(const char *)hashes, n * SESSION_KEY});
}

static void add_facts(crypto_generichash_state *h, const struct policy_facts *f)
{
    add_number(h, f->wanted);
    add_number(h, f->is_implicit);
    add_number(h, f->has_login);
    add_number(h, f->is_loopback);
    add_number(h, f->expects_tls);
    add_number(h, f->has_tlsa);
    add_number(h, f->requires_tls);
    add_number(h, f->sts);
    add_number(h, f->is_sts_host);
    add_number(h, f->is_name_certain);
}

static void add_params(crypto_generichash_state *h, const struct client_params *p)
{
    add(h, p->host);
    add(h, (struct span){(const char *)p->to->octets, p->to->n});
    add_number(h, p->to->port);
    add(h, p->hostname);
    add_number(h, p->is_lmtp);
    add_number(h, p->level);
    add(h, p->tls_host);
    add_records(h, p->tlsa);
    add(h, p->tls_names[0]);
    add(h, p->tls_names[1]);
    add_number(h, p->only_dns_id);
    add_number(h, p->requires_tls);
    add_number(h, p->is_report);
    add_number(h, p->is_implicit);
    add(h, p->user);
}

void resume_key(const struct resume_facts *f, unsigned char key[SESSION_KEY])
{
    crypto_generichash_state h;
    crypto_generichash_init(&h, NULL, 0, SESSION_KEY);
    add_number(&h, f->generation);
    add(&h, (struct span){(const char *)f->destination, SESSION_KEY});
    add(&h, f->domain);
    add_number(&h, f->policy->level);
    add_number(&h, f->policy->by);
    add_number(&h, f->policy->is_sts_tested);
    add_facts(&h, f->facts);
    add(&h, f->sts_mx);
    add_params(&h, f->params);
    crypto_generichash_final(&h, key, SESSION_KEY);
}

void resume_with(struct job *j, struct client_params *params)
{
    const struct plan *p = &j->plan;
    struct resume_facts f = {
        .generation = j->generation,
        .destination = j->destination,
        .domain = p->by != PLAN_BY_ROUTE ? span_of(p->domain) : SPAN(""),
        .policy = &p->policy,
        .facts = &p->facts,
        .sts_mx = p->sts_mx,
        .params = params,
    };
    resume_key(&f, j->session_key);
    params->session_key = j->session_key;
    /* A plan of before a reload goes on by its own rules, and leaves nothing. */
    bool is_current = j->generation == proc_generation(j->relay->proc);
    params->sessions = j->relay->sessions.n_max > 0 && is_current ? &j->relay->sessions : NULL;
}
