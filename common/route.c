#include "common/route.h"

#include "common/proto.h"

/* c->routes is in the order of its domains. */
const struct url *route_for(const struct config *c, struct span domain)
{
    size_t from = 0, to = c->n_routes;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = span_compare(domain, span_of(c->routes[middle].domain));
        if (order == 0)
            return &c->routes[middle].to;
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return c->relay.smarthost.host != NULL ? &c->relay.smarthost : NULL;
}

void route_key(const struct config *c, struct span domain, char *out, size_t cap)
{
    const struct url *u = route_for(c, domain);
    if (u == NULL) {
        int n = (int)(domain.n < DOMAIN_MAX ? domain.n : DOMAIN_MAX);
        snprintf(out, cap, "%.*s", n, n > 0 ? domain.p : "");
        return;
    }
    bool is_v6 = strchr(u->host, ':') != NULL;
    snprintf(out, cap, is_v6 ? "%s://[%s]:%u" : "%s://%s:%u", u->is_tls ? "smtps" : "smtp", u->host,
             (unsigned)u->port);
}
