/* Is an address one that the public can reach? Who names a server to the world and means one of
 * ours wants us to knock there for him. Pure. */
#ifndef BARID_POLICY_PUBLIC_H
#define BARID_POLICY_PUBLIC_H

#include "common/net.h"

/* The IPv4 address that an IPv6 address stands for: mapped and compatible (RFC 4291 2.5.5),
 * translated (64:ff9b::/96, RFC 6052) and 6to4 (RFC 3056). Any other stays as it is. */
struct netaddr public_meaning(const struct netaddr *a);
/* False for this host, loopback, networks of private use, of a link, of a provider, for tests, and
 * for multicast (RFC 6890): of the address itself, or of what it stands for. */
bool public_has(const struct netaddr *a);

#endif
