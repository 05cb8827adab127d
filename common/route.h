/* Where mail for a domain goes by configuration: [route], else smarthost, else its MX. The queue
 * groups recipients by it, the relay follows it; it is asked at every attempt and never stored. */
#ifndef BARID_ROUTE_H
#define BARID_ROUTE_H

#include "common/config.h"

/* The next hop to use, or NULL: by MX. Valid as long as the configuration. `domain` in lower case.
 */
const struct url *route_for(const struct config *c, struct span domain);
/* A key that is the same for domains with the same next hop: "smtp://host:port" or the domain.
 * out: at least DOMAIN_MAX + 32 octets. */
void route_key(const struct config *c, struct span domain, char *out, size_t cap);

#endif
