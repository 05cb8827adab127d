/* Is an address one that the public can reach? Who names a server to the world and means one of
 * ours wants us to knock there for him. Pure. */
#ifndef BARID_POLICY_PUBLIC_H
#define BARID_POLICY_PUBLIC_H

#include "common/net.h"

/* False for this host, loopback, networks of private use, of a link, of a provider, for tests, and
 * for multicast (RFC 6890): of the address itself, or of what it stands for
 * (netaddr_meaning). */
bool public_has(const struct netaddr *a);

#endif
