#include "relay/plan.h"

#include "common/pack.h"
#include "common/route.h"

#include <sodium.h>
#include <stdarg.h>

__attribute__((format(printf, 3, 4))) static void over(struct plan *p, enum verdict v,
                                                       const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->text, sizeof p->text, fmt, ap);
    va_end(ap);
    p->verdict = v;
    p->step = PLAN_OVER;
}

/* --- which addresses may be used --- */

static bool is_wildcard(const struct netaddr *a)
{
    static const uint8_t zeros[16];
    return memcmp(a->octets, zeros, a->n) == 0;
}

static bool same_host(const struct netaddr *a, const struct netaddr *b)
{
    return a->n == b->n && memcmp(a->octets, b->octets, a->n) == 0;
}

static bool is_own_host(const struct plan_scope *scope, const struct netaddr *a)
{
    for (size_t i = 0; i < scope->n_own; i++)
        if (same_host(&scope->own[i], a))
            return true;
    return false;
}

/* Would our own SMTP server answer there? */
static bool do_we_listen_at(const struct plan_scope *scope, const struct netaddr *a)
{
    for (size_t i = 0; i < scope->config->n_listens; i++) {
        const struct listen_config *l = &scope->config->listens[i];
        for (size_t k = 0; l->kind == LISTEN_SMTP && k < l->n_addresses; k++) {
            const struct netaddr *on = &l->addresses[k].address;
            if (on->port != a->port)
                continue;
            if (same_host(on, a) || (is_wildcard(on) && is_own_host(scope, a)))
                return true;
        }
    }
    return false;
}

/* There, or where a router leads from there (NAT64). Behind the router that 6to4 leads to is a site
 * of many hosts: its IPv4 address may be ours, and the host another. */
static bool is_ourselves(const struct plan_scope *scope, const struct netaddr *a)
{
    struct netaddr meant = netaddr_meaning(a);
    return do_we_listen_at(scope, a) || (!netaddr_is_6to4(a) && do_we_listen_at(scope, &meant));
}

/* Mail that comes back to us would go round in circles: this host and those no better than it are
 * no candidates (RFC 5321 5.1). */
static void cut_at_ourselves(struct plan *p, uint16_t preference)
{
    p->has_own = true;
    while (p->n_hosts > p->next_host && p->hosts[p->n_hosts - 1].preference >= preference)
        p->n_hosts--;
}

/* An address that stands in the configuration, or in the address of the mail, is meant. */
static bool is_other_ip(const struct plan *p, enum ip_word ip, const struct netaddr *a)
{
    return p->host[0] != '\0' && ((ip == IP_4 && a->n != 4) || (ip == IP_6 && a->n != 16));
}

static void add_address(struct plan *p, const struct plan_scope *scope, struct netaddr a)
{
    const struct relay_config *c = &scope->config->relay;
    a.port = p->port;
    if (p->n_addresses == PLAN_ADDRESSES_MAX)
        return;
    if (is_other_ip(p, c->ip, &a)) {
        p->has_other_ip = true;
        return;
    }
    if (!p->is_configured) {
        if (networks_reach(c->never_connect_to, c->n_never_connect_to, &a)) {
            p->has_filtered = true;
            return;
        }
        if (is_ourselves(scope, &a)) {
            cut_at_ourselves(p, p->preference);
            return;
        }
    }
    p->addresses[p->n_addresses++] = a;
}

static void swap(struct netaddr *a, struct netaddr *b)
{
    struct netaddr c = *a;
    *a = *b;
    *b = c;
}

/* Shuffled, so that load is spread; then IPv6 and IPv4 in turn, so that a family that does not work
 * here costs few of the tries. */
static void order_addresses(struct plan *p, enum ip_word ip)
{
    bool is_6_first = ip == IP_PREFER_6 || (ip == IP_BOTH && randombytes_uniform(2) == 0);
    for (size_t i = p->n_addresses; i > 1; i--)
        swap(&p->addresses[i - 1], &p->addresses[randombytes_uniform((uint32_t)i)]);
    for (size_t i = 0; i < p->n_addresses; i++) {
        uint8_t wanted = (i % 2 == 0) == is_6_first ? 16 : 4;
        size_t k = i;
        while (k < p->n_addresses && p->addresses[k].n != wanted)
            k++;
        if (k < p->n_addresses)
            swap(&p->addresses[i], &p->addresses[k]);
    }
}

/* --- begin --- */

static void begin_literal(struct plan *p, const struct plan_scope *scope)
{
    struct span inner = {p->domain + 1, strlen(p->domain) - 2};
    struct netaddr a;
    if (span_istarts(inner, SPAN("IPv6:")))
        inner = span_from(inner, SPAN("IPv6:").n);
    if (netaddr_parse(inner, &a) < 0) {
        over(p, VERDICT_NEVER, "553 5.1.3 %s is no address", p->domain);
        return;
    }
    p->by = PLAN_BY_DOMAIN;
    p->step = PLAN_CONNECT;
    p->facts.is_name_certain = true;
    add_address(p, scope, a);
}

/* Servers that the configuration names, in their order, behind the hosts there are. */
static void add_hops(struct plan *p, const struct url *to, size_t n)
{
    for (size_t i = 0; i < n && p->n_hosts < PLAN_HOSTS_MAX; i++) {
        struct plan_host *h = &p->hosts[p->n_hosts];
        const char *user = to[i].user != NULL ? to[i].user : "";
        if (to[i].host == NULL || span_copy(h->user, sizeof h->user, span_of(user)) < 0 ||
            span_copy(h->name, sizeof h->name, span_of(to[i].host)) < 0) {
            p->is_undecided = true; /* it cannot be used, by this version or at all */
            memcpy(p->host, h->name, sizeof p->host);
            continue;
        }
        h->is_configured = true;
        h->is_lmtp = to[i].kind == HOP_LMTP;
        h->is_implicit = to[i].is_tls;
        h->port = to[i].port;
        h->preference = UINT16_MAX;
        p->n_hosts++;
    }
}

void plan_begin(struct plan *p, const struct plan_scope *scope, struct span domain,
                struct span sender, bool requires_tls)
{
    struct route route;
    *p = (struct plan){.by = PLAN_BY_MX, .step = PLAN_ASK_MX, .port = scope->config->relay.port};
    if (domain.n == 0 || span_copy(p->domain, sizeof p->domain, domain) < 0) {
        over(p, VERDICT_TRY_LATER, "451 4.3.0 no domain to deliver to");
        return;
    }
    route_for(scope->config, domain, sender, &route);
    p->facts = (struct policy_facts){.wanted = route.delivery->tls, .requires_tls = requires_tls};
    p->section = route.section;
    p->is_backup = route.is_backup;
    if (route.n_to > 0) {
        p->by = PLAN_BY_ROUTE;
        p->step = PLAN_CONNECT;
        add_hops(p, route.to, route.n_to);
    } else if (domain.p[0] == '[' && domain.n > 2) {
        begin_literal(p, scope);
    }
}

void plan_expect_tls(struct plan *p)
{
    p->facts.expects_tls = p->by != PLAN_BY_ROUTE;
}

void plan_waive_policies(struct plan *p)
{
    p->is_waived = true;
}

/* --- MX --- */

static bool is_our_name(const struct plan_scope *scope, struct span host)
{
    return scope->config->hostname != NULL && span_ieq(host, span_of(scope->config->hostname));
}

/* Sorted by preference; equal ones in random order (RFC 5321 5.1). */
static void insert_host(struct plan *p, const struct plan_host *h)
{
    size_t first = 0, behind;
    while (first < p->n_hosts && p->hosts[first].preference < h->preference)
        first++;
    for (behind = first; behind < p->n_hosts && p->hosts[behind].preference == h->preference;)
        behind++;
    size_t at = first + randombytes_uniform((uint32_t)(behind - first) + 1);
    if (p->n_hosts == PLAN_HOSTS_MAX)
        p->is_undecided = true; /* one of them will not be looked at */
    if (at == PLAN_HOSTS_MAX)
        return;
    size_t last = p->n_hosts < PLAN_HOSTS_MAX ? p->n_hosts : PLAN_HOSTS_MAX - 1;
    memmove(&p->hosts[at + 1], &p->hosts[at], (last - at) * sizeof p->hosts[0]);
    p->hosts[at] = *h;
    p->n_hosts += p->n_hosts < PLAN_HOSTS_MAX;
}

/* What the resolver says is checked again: it sees the network. */
static bool read_hosts(struct plan *p, const struct plan_scope *scope, struct span records,
                       size_t *n_records)
{
    struct unpacker r = unpacker_on(records);
    unsigned own_preference = UINT16_MAX + 1U;
    while (r.left.n > 0 && !r.failed) {
        struct plan_host h = {.preference = (uint16_t)unpack_uint(&r, 2), .port = p->port};
        struct span name = unpack_text(&r, DOMAIN_MAX);
        if (r.failed || span_copy(h.name, sizeof h.name, name) < 0)
            return false;
        if (is_our_name(scope, name) && h.preference < own_preference)
            own_preference = h.preference;
        if (name.n > 0)
            insert_host(p, &h);
        ++*n_records;
    }
    if (own_preference <= UINT16_MAX)
        cut_at_ourselves(p, (uint16_t)own_preference);
    return !r.failed;
}

/* What the policy of the domain says of the host. */
static void set_sts_facts(struct plan *p)
{
    p->facts.sts = p->is_configured ? STS_NONE : p->sts;
    p->facts.is_sts_host = sts_matches(p->sts_mx, span_of(p->host));
}

static void ask_domain(struct plan *p)
{
    p->by = PLAN_BY_DOMAIN;
    p->step = PLAN_ASK_ADDR;
    p->facts.is_name_certain = true; /* the message names it */
    memcpy(p->host, p->domain, sizeof p->host);
}

/* By name of the domain only: smarthosts, routes and literals have none (RFC 8461 3.4). */
static void ask_sts(struct plan *p, const struct plan_scope *scope)
{
    bool is_wanted = scope->config->relay.mta_sts == SWITCH_ON &&
                     p->facts.wanted != RELAY_TLS_NONE && !p->is_waived;
    if (!is_wanted || (p->by == PLAN_BY_MX && p->n_hosts == 0))
        return;
    p->after_sts = p->step;
    p->step = PLAN_ASK_STS;
}

/* Not to know it is not to have none: who can stop the answer would else get the mail. */
void plan_take_sts(struct plan *p, const struct msg_sts_re *re)
{
    p->step = p->after_sts;
    if (re == NULL || re->verdict != VERDICT_OK || re->mode >= STS_MODES ||
        !sts_mx_is_sane(re->mx)) {
        over(p, VERDICT_TRY_LATER, "451 4.7.5 the policy of %s (MTA-STS) is not known now",
             p->domain);
        return;
    }
    p->sts = (enum sts_mode)re->mode;
    if (p->sts == STS_NONE && tlsrpt_is_policy_fault(re->fault))
        p->sts_fault = (enum tlsrpt_result)re->fault;
    p->sts_mx = re->mx;
    set_sts_facts(p);
}

/* Where the setting says how a server must be protected, it is not asked what the DNS thinks. */
static bool goes_by_dane(const struct plan *p, const struct plan_scope *scope)
{
    const struct policy_facts *f = &p->facts;
    bool is_wanted = f->wanted == RELAY_TLS_OPPORTUNISTIC ||
                     (f->requires_tls && f->wanted != RELAY_TLS_VERIFIED);
    return scope->config->relay.dane == SWITCH_ON && !p->is_waived && is_wanted;
}

void plan_take_mx(struct plan *p, const struct plan_scope *scope, const struct msg_dns_mx_re *re)
{
    size_t n = 0;
    enum verdict v = re != NULL ? re->verdict : VERDICT_TRY_LATER;
    if (v == VERDICT_NEVER) {
        over(p, VERDICT_NEVER, "550 5.1.2 domain %s does not exist", p->domain);
        return;
    }
    bool is_known = v == VERDICT_OK && read_hosts(p, scope, re->hosts, &n);
    p->is_bogus = re != NULL && re->is_bogus != 0 && goes_by_dane(p, scope);
    p->is_mx_secure = is_known && re->is_secure != 0;
    if (!is_known && scope->config->relay.n_fallback > 0) {
        p->is_undecided = true;
        p->n_hosts = 0;
        p->step = PLAN_CONNECT; /* there is nothing but the fallback to connect to */
        return;
    }
    if (!is_known) {
        over(p, VERDICT_TRY_LATER, "451 4.4.3 the DNS does not tell the MX of %s", p->domain);
        return;
    }
    p->step = PLAN_CONNECT;
    if (n == 0)
        ask_domain(p);
    else if (n == 1 && p->n_hosts == 0 && !p->has_own)
        over(p, VERDICT_NEVER, "556 5.1.10 domain %s does not accept mail (null MX)", p->domain);
    if (p->step != PLAN_OVER)
        ask_sts(p, scope);
}

/* --- addresses --- */

static bool read_addresses(struct plan *p, const struct plan_scope *scope, struct span records)
{
    struct unpacker r = unpacker_on(records);
    while (r.left.n > 0 && !r.failed) {
        struct span s = unpack_bytes(&r, 16);
        struct netaddr a = {.n = (uint8_t)s.n};
        if (r.failed || (s.n != 4 && s.n != 16))
            return false;
        memcpy(a.octets, s.p, s.n);
        struct sockaddr_storage ss; /* there and back: a mapped IPv4 address becomes IPv4 */
        netaddr_to_sockaddr(&a, &ss);
        if (netaddr_from_sockaddr(&ss, &a) < 0)
            return false;
        add_address(p, scope, a);
    }
    return !r.failed;
}

/* Not if the name of the server came by a way that anybody can bend. */
static bool may_have_tlsa(const struct plan *p, const struct plan_scope *scope)
{
    return goes_by_dane(p, scope) && !p->facts.is_implicit && (p->is_configured || p->is_mx_secure);
}

/* RFC 7672 2.2.2: of what the host is an alias of, if the whole way there is protected; else of the
 * host, if its addresses are, or at least that it is an alias. */
static void begin_tlsa(struct plan *p, const struct msg_dns_addr_re *re)
{
    bool has_canonical = re->canonical.n > 0;
    if (re->is_secure == 0 && !has_canonical)
        return;
    memcpy(p->tlsa_host, p->host, sizeof p->tlsa_host);
    p->is_alias = re->is_secure == 0;
    if (has_canonical && !p->is_alias)
        span_copy(p->tlsa_host, sizeof p->tlsa_host, re->canonical);
    p->step = PLAN_ASK_TLSA;
}

void plan_take_addr(struct plan *p, const struct plan_scope *scope,
                    const struct msg_dns_addr_re *re)
{
    enum verdict v = re != NULL ? re->verdict : VERDICT_TRY_LATER;
    p->step = PLAN_CONNECT;
    p->n_addresses = p->next_address = 0;
    bool is_decided =
        v == VERDICT_NEVER || (v == VERDICT_OK && read_addresses(p, scope, re->addresses));
    if (!is_decided) {
        p->is_undecided = true;
        p->n_addresses = 0;
    } else if (v == VERDICT_NEVER || re->addresses.n == 0 ||
               (p->n_addresses == 0 && p->has_other_ip)) {
        p->has_absent = true;
    }
    order_addresses(p, scope->config->relay.ip);
    p->is_bogus = re != NULL && re->is_bogus != 0 && may_have_tlsa(p, scope);
    if (p->is_bogus)
        memcpy(p->tlsa_host, p->host, sizeof p->tlsa_host);
    if (is_decided && p->n_addresses > 0 && may_have_tlsa(p, scope))
        begin_tlsa(p, re);
}

/* "Cannot be told" is not "there are none": who can suppress the answer would else get the mail in
 * the clear (RFC 7672 2.1.2). */
void plan_take_tlsa(struct plan *p, const struct msg_dns_tlsa_re *re)
{
    char text[REPLY_MAX];
    p->step = PLAN_CONNECT;
    p->is_bogus = re != NULL && re->is_bogus != 0;
    if (re == NULL || (re->verdict != VERDICT_OK && re->verdict != VERDICT_NEVER)) {
        p->n_addresses = p->next_address = 0;
        snprintf(text, sizeof text, "451 4.4.3 the DNS does not tell the TLSA records of %s",
                 p->tlsa_host);
        plan_refused(p, VERDICT_TRY_LATER, span_of(text));
    } else if (re->verdict == VERDICT_OK && re->is_secure != 0 && re->records.n > 0) {
        p->facts.has_tlsa = true;
    } else if (strcmp(p->tlsa_host, p->host) != 0) {
        memcpy(p->tlsa_host, p->host, sizeof p->tlsa_host);
        p->step = PLAN_ASK_TLSA;
    }
}

static void keep_text(struct plan *p, struct span text)
{
    size_t n = text.n < sizeof p->text - 1 ? text.n : sizeof p->text - 1;
    memcpy(p->text, text.p, n);
    p->text[n] = '\0';
}

/* That a route's server says no is a fault of the configuration, and no word about the mail. */
void plan_refused(struct plan *p, enum verdict v, struct span text)
{
    keep_text(p, text);
    if (v != VERDICT_NEVER || p->by == PLAN_BY_ROUTE)
        p->is_undecided = true;
}

void plan_unfit(struct plan *p, struct span text)
{
    keep_text(p, text);
    p->n_addresses = p->next_address = 0;
}

/* --- the end --- */

/* Nothing was left to connect to. */
static void no_address(struct plan *p)
{
    if (p->by == PLAN_BY_ROUTE)
        over(p, VERDICT_TRY_LATER, "451 4.4.4 the route leads to %s, which has no address now",
             p->host);
    else if (p->is_undecided)
        over(p, VERDICT_TRY_LATER, "451 4.4.3 the DNS does not tell the addresses for mail of %s",
             p->domain);
    else if (p->has_other_ip)
        over(p, VERDICT_TRY_LATER,
             "451 4.4.4 mail for %s leads only to addresses that [relay] ip leaves out", p->domain);
    else if (p->by == PLAN_BY_MX && (p->has_absent || !(p->has_own || p->has_filtered)))
        over(p, VERDICT_TRY_LATER, "451 4.4.4 no MX of %s has a usable address", p->domain);
    else if (p->has_own && p->is_backup) /* it was taken for another host, which is gone for now */
        over(p, VERDICT_TRY_LATER,
             "451 4.4.6 this host is only the backup for %s, and no better MX is there", p->domain);
    else if (p->has_own)
        over(p, VERDICT_NEVER,
             "554 5.4.6 mail for %s leads back to this host, which does not know it", p->domain);
    else if (p->has_filtered)
        over(p, VERDICT_NEVER,
             "554 5.4.4 mail for %s leads only to addresses that [relay] never_connect_to excludes",
             p->domain);
    else
        over(p, VERDICT_NEVER, "550 5.4.4 domain %s has neither MX nor address", p->domain);
}

/* Mail that its own exchangers do not take now goes to those of [relay] fallback. */
static bool has_fallback(struct plan *p, const struct plan_scope *scope)
{
    bool is_absent = p->n_tried == 0 && p->by == PLAN_BY_MX && p->has_absent;
    if (p->has_fallback || p->by == PLAN_BY_ROUTE || !(p->is_undecided || is_absent) ||
        scope->config->relay.n_fallback == 0)
        return false;
    p->has_fallback = true;
    p->n_hosts = p->next_host = 0;
    p->n_tried = 0;
    add_hops(p, scope->config->relay.fallback, scope->config->relay.n_fallback);
    return p->n_hosts > 0;
}

static void nothing_left(struct plan *p)
{
    if (p->text[0] == '\0') { /* no server was found to be refused by */
        no_address(p);
        return;
    }
    p->verdict = p->is_undecided ? VERDICT_TRY_LATER : VERDICT_NEVER;
    p->step = PLAN_OVER;
}

static void begin_host(struct plan *p, const struct plan_scope *scope, const struct plan_host *h)
{
    struct netaddr a;
    memcpy(p->host, h->name, sizeof p->host);
    p->preference = h->preference;
    p->port = h->port;
    p->is_configured = h->is_configured;
    p->is_lmtp = h->is_lmtp;
    p->is_implicit = h->is_implicit;
    p->facts.has_tlsa = false;
    p->facts.is_implicit = h->is_implicit;
    p->facts.has_login = h->user[0] != '\0';
    p->facts.is_name_certain = h->is_configured || p->is_mx_secure;
    set_sts_facts(p);
    memcpy(p->user, h->user, sizeof p->user);
    p->step = PLAN_ASK_ADDR;
    if (!h->is_configured || netaddr_parse(span_of(h->name), &a) < 0)
        return;
    p->n_addresses = p->next_address = 0;
    p->host[0] = '\0';
    p->step = PLAN_CONNECT;
    add_address(p, scope, a);
}

/* The next address of the host. False: the host must not have the mail. */
static bool choose(struct plan *p)
{
    char text[REPLY_MAX];
    p->to = p->addresses[p->next_address++];
    p->facts.is_loopback = netaddr_is_loopback(&p->to);
    p->policy = policy_decide(&p->facts);
    if (p->policy.refusal == NULL) {
        p->n_tried++;
        return true;
    }
    snprintf(text, sizeof text, "%s (%s)", p->policy.refusal, p->host);
    p->is_undecided |= text[0] == '4';
    plan_unfit(p, span_of(text));
    return false;
}

enum plan_step plan_next(struct plan *p, const struct plan_scope *scope)
{
    while (p->step == PLAN_CONNECT) {
        bool may_try = p->n_tried < PLAN_TRIES_MAX;
        bool has_more = p->next_address < p->n_addresses;
        if (has_more && may_try) {
            if (choose(p))
                break;
            continue;
        }
        p->is_undecided |= has_more || (!may_try && p->next_host < p->n_hosts);
        p->n_addresses = p->next_address = 0; /* there may be more that are not asked */
        if (may_try && p->next_host < p->n_hosts)
            begin_host(p, scope, &p->hosts[p->next_host++]);
        else if (!has_fallback(p, scope))
            nothing_left(p);
    }
    return p->step;
}
