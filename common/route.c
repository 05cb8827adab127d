#include "common/route.h"

#include "common/addr.h"
#include "common/proto.h"

#define SENDER "sender:"

/* c->routes is in the order of its names. */
static const struct route_config *find(const struct config *c, struct span name)
{
    size_t from = 0, to = c->n_routes;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = span_compare(name, span_of(c->routes[middle].domain));
        if (order == 0)
            return &c->routes[middle];
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}

static const struct route_config *find_domain(const struct config *c, struct span domain)
{
    const struct route_config *found = find(c, domain);
    for (size_t i = 1; found == NULL && i < domain.n; i++)
        if (domain.p[i] == '.')
            found = find(c, span_from(domain, i));
    return found;
}

/* Addresses are in their canonical form, but a local part may have capitals. */
static const struct route_config *find_sender(const struct config *c, struct span sender)
{
    char name[sizeof SENDER + ADDRESS_MAX] = SENDER;
    size_t n = sizeof SENDER - 1, at = 0;
    if (sender.n == 0 || sender.n > ADDRESS_MAX)
        return NULL;
    for (size_t i = 0; i < sender.n; i++) {
        name[n + i] = ascii_lower(sender.p[i]);
        if (sender.p[i] == '@')
            at = i;
    }
    const struct route_config *found = find(c, (struct span){name, n + sender.n});
    if (found != NULL)
        return found;
    memmove(name + n, name + n + at, sender.n - at);
    return find(c, (struct span){name, n + sender.n - at});
}

void route_for(const struct config *c, struct span domain, struct span sender, struct route *r)
{
    const struct route_config *found = c->n_routes > 0 ? find_domain(c, domain) : NULL;
    if (found == NULL && c->n_routes > 0)
        found = find_sender(c, sender);
    *r = (struct route){
        .to = c->relay.smarthost, .n_to = c->relay.n_smarthost, .delivery = &c->relay.delivery};
    if (found != NULL)
        *r =
            (struct route){.to = found->to,
                           .n_to = found->n_to > 0 && found->to[0].kind == HOP_MX ? 0 : found->n_to,
                           .delivery = &found->delivery,
                           .name = found->domain,
                           .section = (size_t)(found - c->routes) + 1,
                           .is_backup = found->backup_mx == SWITCH_ON};
}

const struct route_config *route_backup(const struct config *c, struct span address)
{
    char domain[DOMAIN_MAX + 1];
    size_t at = address.n;
    while (at > 0 && address.p[at - 1] != '@')
        at--;
    struct span text = span_from(address, at);
    if (c->n_routes == 0 || at == 0 || text.n == 0 || text.n > DOMAIN_MAX || text.p[0] == '[')
        return NULL;
    for (size_t i = 0; i < text.n; i++)
        domain[i] = ascii_lower(text.p[i]);
    const struct route_config *r = find_domain(c, (struct span){domain, text.n});
    return r != NULL && r->backup_mx == SWITCH_ON ? r : NULL;
}

void route_key(const struct route *r, struct span domain, char *out, size_t cap)
{
    int n = (int)(domain.n < DOMAIN_MAX ? domain.n : DOMAIN_MAX);
    if (r->name != NULL && r->n_to > 0)
        snprintf(out, cap, "route %s", r->name);
    else if (r->name != NULL) /* it may be the rule of many domains, each with its own servers */
        snprintf(out, cap, "route %s %.*s", r->name, n, n > 0 ? domain.p : "");
    else if (r->n_to > 0)
        snprintf(out, cap, "smarthost");
    else
        snprintf(out, cap, "%.*s", n, n > 0 ? domain.p : "");
}

enum hop_kind route_kind(const struct route *r)
{
    bool is_sent = r->n_to == 0 || r->to[0].kind == HOP_SMTP || r->to[0].kind == HOP_LMTP;
    return is_sent ? HOP_SMTP : r->to[0].kind;
}

bool route_is_name(struct span name)
{
    struct addr a;
    size_t used;
    if (name.n > ROUTE_NAME_MAX)
        return false;
    if (!span_istarts(name, SPAN(SENDER)))
        return addr_is_domain(name.n > 1 && name.p[0] == '.' ? span_from(name, 1) : name);
    struct span sender = span_from(name, sizeof SENDER - 1);
    if (sender.n > 1 && sender.p[0] == '@')
        return addr_is_domain(span_from(sender, 1));
    return addr_parse(sender, ADDR_MAILBOX, &a, &used) == 0 && used == sender.n;
}
