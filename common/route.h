/* Where mail goes by configuration: the [route] of its domain, else of a domain above it
 * (".example.com"), else of its sender ("sender:a@example.com", "sender:@example.com"), else the
 * smarthost, else its MX. The queue groups recipients by it, the relay follows it; it is asked at
 * every attempt and never stored. */
#ifndef BARID_ROUTE_H
#define BARID_ROUTE_H

#include "common/config.h"
#include "common/proto.h"

struct route {
    const struct url *to; /* next hops in order of preference */
    size_t n_to;          /* 0: by MX */
    const struct delivery_config *delivery;
    const char *name; /* of the section; NULL: smarthost or MX */
    size_t section;   /* whose FILE_SECRET counts */
    bool is_backup;   /* its domain is taken for another host ([route] backup_mx) */
};

/* Valid as long as the configuration. `domain` in lower case; `sender` may be empty. */
void route_for(const struct config *c, struct span domain, struct span sender, struct route *r);
/* The route by which mail for this address is taken from anybody, for another host that has its
 * mailbox; NULL: there is none. */
const struct route_config *route_backup(const struct config *c, struct span address);
/* The same for all that has the same next hops: "route NAME", "smarthost" or the domain, behind the
 * name of its route if it has one that leads to its MX.
 * out: at least ROUTE_KEY_MAX octets. */
void route_key(const struct route *r, struct span domain, char *out, size_t cap);
/* Mail that goes this way is not sent at all: HOP_HOLD or HOP_DISCARD, else HOP_SMTP. */
enum hop_kind route_kind(const struct route *r);

#define ROUTE_NAME_MAX 320 /* octets of a section's name */
#define ROUTE_KEY_MAX  (ROUTE_NAME_MAX + DOMAIN_MAX + 16)

/* What may stand in [route NAME]. */
bool route_is_name(struct span name);

#endif
