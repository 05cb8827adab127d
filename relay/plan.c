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
static bool is_ourselves(const struct plan_scope *scope, const struct netaddr *a)
{
    for (size_t i = 0; i < scope->config->n_listens; i++) {
        const struct listen_config *l = &scope->config->listens[i];
        for (size_t k = 0; l->kind == LISTEN_SMTP && k < l->n_addresses; k++) {
            const struct netaddr *on = &l->addresses[k];
            if (on->port != a->port)
                continue;
            if (same_host(on, a) || (is_wildcard(on) && is_own_host(scope, a)))
                return true;
        }
    }
    return false;
}

/* Mail that comes back to us would go round in circles: this host and those no better than it are
 * no candidates (RFC 5321 5.1). */
static void cut_at_ourselves(struct plan *p, uint16_t preference)
{
    p->has_own = true;
    while (p->n_hosts > p->next_host && p->hosts[p->n_hosts - 1].preference >= preference)
        p->n_hosts--;
}

static void add_address(struct plan *p, const struct plan_scope *scope, struct netaddr a)
{
    const struct relay_config *c = &scope->config->relay;
    a.port = p->port;
    if (p->n_addresses == PLAN_ADDRESSES_MAX)
        return;
    if (p->by != PLAN_BY_ROUTE) {
        if (networks_have(c->never_connect_to, c->n_never_connect_to, &a)) {
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
static void order_addresses(struct plan *p)
{
    for (size_t i = p->n_addresses; i > 1; i--)
        swap(&p->addresses[i - 1], &p->addresses[randombytes_uniform((uint32_t)i)]);
    for (size_t i = 0; i < p->n_addresses; i++) {
        uint8_t wanted = i % 2 == 0 ? 16 : 4;
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
    add_address(p, scope, a);
}

static void begin_route(struct plan *p, const struct plan_scope *scope, const struct url *url)
{
    struct netaddr a;
    if (url->is_tls || url->user != NULL) {
        over(p, VERDICT_TRY_LATER,
             "the route to %s needs TLS or a login, which this version cannot do", url->host);
        return;
    }
    p->by = PLAN_BY_ROUTE;
    p->port = url->port;
    if (netaddr_parse(span_of(url->host), &a) == 0) {
        add_address(p, scope, a);
        p->step = PLAN_CONNECT;
        return;
    }
    if (span_copy(p->host, sizeof p->host, span_of(url->host)) < 0)
        over(p, VERDICT_TRY_LATER, "the host name of the route is too long");
    else
        p->step = PLAN_ASK_ADDR;
}

void plan_begin(struct plan *p, const struct plan_scope *scope, struct span domain)
{
    *p = (struct plan){.by = PLAN_BY_MX, .step = PLAN_ASK_MX, .port = scope->config->relay.port};
    if (domain.n == 0 || span_copy(p->domain, sizeof p->domain, domain) < 0) {
        over(p, VERDICT_TRY_LATER, "451 4.3.0 no domain to deliver to");
        return;
    }
    const struct url *url = route_for(scope->config, domain);
    if (url != NULL)
        begin_route(p, scope, url);
    else if (domain.p[0] == '[' && domain.n > 2)
        begin_literal(p, scope);
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
        struct plan_host h = {.preference = (uint16_t)unpack_uint(&r, 2)};
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

static void ask_domain(struct plan *p)
{
    p->by = PLAN_BY_DOMAIN;
    p->step = PLAN_ASK_ADDR;
    memcpy(p->host, p->domain, sizeof p->host);
}

void plan_take_mx(struct plan *p, const struct plan_scope *scope, enum verdict v, struct span hosts)
{
    size_t n = 0;
    if (v == VERDICT_NEVER) {
        over(p, VERDICT_NEVER, "550 5.1.2 domain %s does not exist", p->domain);
        return;
    }
    if (v != VERDICT_OK || !read_hosts(p, scope, hosts, &n)) {
        over(p, VERDICT_TRY_LATER, "451 4.4.3 the DNS does not tell the MX of %s", p->domain);
        return;
    }
    p->step = PLAN_CONNECT;
    if (n == 0)
        ask_domain(p);
    else if (n == 1 && p->n_hosts == 0 && !p->has_own)
        over(p, VERDICT_NEVER, "556 5.1.10 domain %s does not accept mail (null MX)", p->domain);
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

void plan_take_addr(struct plan *p, const struct plan_scope *scope, enum verdict v,
                    struct span addresses)
{
    p->step = PLAN_CONNECT;
    p->n_addresses = p->next_address = 0;
    bool is_decided =
        v == VERDICT_NEVER || (v == VERDICT_OK && read_addresses(p, scope, addresses));
    if (!is_decided) {
        p->is_undecided = true;
        p->n_addresses = 0;
    } else if (v == VERDICT_NEVER || addresses.n == 0) {
        p->has_absent = true;
    }
    order_addresses(p);
}

void plan_refused(struct plan *p, enum verdict v, struct span text)
{
    size_t n = text.n < sizeof p->text - 1 ? text.n : sizeof p->text - 1;
    memcpy(p->text, text.p, n);
    p->text[n] = '\0';
    if (v != VERDICT_NEVER)
        p->is_undecided = true;
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
    else if (p->by == PLAN_BY_MX && (p->has_absent || !(p->has_own || p->has_filtered)))
        over(p, VERDICT_TRY_LATER, "451 4.4.4 no MX of %s has a usable address", p->domain);
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

static void nothing_left(struct plan *p)
{
    if (p->n_tried == 0) {
        no_address(p);
        return;
    }
    bool is_never = !p->is_undecided && p->by != PLAN_BY_ROUTE;
    p->verdict = is_never ? VERDICT_NEVER : VERDICT_TRY_LATER;
    p->step = PLAN_OVER;
}

enum plan_step plan_next(struct plan *p)
{
    if (p->step != PLAN_CONNECT)
        return p->step;
    if (p->next_address < p->n_addresses && p->n_tried < PLAN_TRIES_MAX) {
        p->to = p->addresses[p->next_address++];
        p->n_tried++;
        return PLAN_CONNECT;
    }
    if (p->next_address < p->n_addresses ||
        (p->n_tried == PLAN_TRIES_MAX && p->next_host < p->n_hosts)) {
        p->is_undecided = true; /* there are more that were not asked */
        nothing_left(p);
    } else if (p->next_host < p->n_hosts) {
        const struct plan_host *h = &p->hosts[p->next_host++];
        memcpy(p->host, h->name, sizeof p->host);
        p->preference = h->preference;
        p->step = PLAN_ASK_ADDR;
    } else {
        nothing_left(p);
    }
    return p->step;
}
