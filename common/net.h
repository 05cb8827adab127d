/* Addresses of hosts: parsing, printing, networks. Knows IPv4 and IPv6; IPv4-mapped IPv6 addresses
 * are turned into IPv4 when they come in, so that no rule can be passed by in the mapped form. */
#ifndef BARID_NET_H
#define BARID_NET_H

#include "common/str.h"

#include <sys/socket.h>

struct netaddr {
    uint8_t octets[16];
    uint8_t n; /* 4 or 16; 0: none; NETADDR_LOCAL */
    uint16_t port;
};

/* A user of this machine behind a Unix socket takes the place of an address: `octets` hold the uid.
 * No network has it, it is not loopback, and it is written "uid:1000". */
#define NETADDR_LOCAL 5

struct network {
    struct netaddr base;
    uint8_t bits;
};

#define NETADDR_TEXT 64

/* "192.0.2.1", "2001:db8::1" (also in [brackets]); port stays 0. 0, or -1. */
int netaddr_parse(struct span text, struct netaddr *out);
/* The same with a required port: "192.0.2.1:25", "[2001:db8::1]:25"; `sep` is ':' or '@' (unbound's
 * form "127.0.0.1@5353"). 0, or -1. */
int netaddr_parse_port(struct span text, char sep, struct netaddr *out);
/* "192.0.2.1" or "2001:db8::1". */
void netaddr_format(char out[NETADDR_TEXT], const struct netaddr *a);
/* "192.0.2.1:25" or "[2001:db8::1]:25". */
void netaddr_format_port(char out[NETADDR_TEXT], const struct netaddr *a);
/* RFC 5321 4.1.3: "[192.0.2.1]" or "[IPv6:2001:db8::1]". */
void netaddr_format_literal(char out[NETADDR_TEXT], const struct netaddr *a);
int netaddr_from_sockaddr(const struct sockaddr_storage *ss, struct netaddr *out);
socklen_t netaddr_to_sockaddr(const struct netaddr *a, struct sockaddr_storage *ss);
struct netaddr netaddr_of_uid(uint32_t uid);
/* "uid:1000". 0, or -1. */
int netaddr_parse_uid(struct span text, struct netaddr *out);
uint32_t netaddr_uid(const struct netaddr *a); /* of one with n == NETADDR_LOCAL */
bool netaddr_eq(const struct netaddr *a, const struct netaddr *b); /* with port */
bool netaddr_is_loopback(const struct netaddr *a);
/* The IPv4 address that an IPv6 address stands for: mapped and compatible (RFC 4291 2.5.5),
 * translated (64:ff9b::/96, RFC 6052) and 6to4 (RFC 3056). Any other stays as it is. */
struct netaddr netaddr_meaning(const struct netaddr *a);
/* Then what it stands for is the router of a whole site, not the host. */
bool netaddr_is_6to4(const struct netaddr *a);
/* What limits per address count by: IPv4 itself, the /64 of IPv6; without port. */
struct netaddr netaddr_limit_key(const struct netaddr *a);

/* "10.0.0.0/8", "::1" (all bits). Bits set behind the prefix are an error. 0, or -1. */
int network_parse(struct span text, struct network *out);
bool network_has(const struct network *n, const struct netaddr *a);
bool networks_have(const struct network *list, size_t n, const struct netaddr *a);
/* Do they have it, or what it stands for? For lists of where not to go. */
bool networks_reach(const struct network *list, size_t n, const struct netaddr *a);

#endif
