/* Mail addresses by RFC 5321 4.1.2, 4.1.3. One validator, one way out: an address is valid only if
 * addr_parse said so at its single success return. Nothing here allocates. */
#ifndef BARID_ADDR_H
#define BARID_ADDR_H

#include "common/proto.h"
#include "common/str.h"

struct addr {
    /* Canonical forms: quoted only where needed (quoted-string with needless quotes and escapes is
     * the same mailbox as its dot-string, RFC 5321 4.1.2), domain in lower case. */
    char local[ADDRESS_MAX];  /* unquoted octets of the local part */
    char domain[ADDRESS_MAX]; /* "example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]"; "" if none;
                                 A-labels */
    char text[ADDRESS_MAX];   /* local@domain as it stands in a path, without <>; "" for null */
    bool is_null;             /* <> */
    bool is_literal;          /* the domain is an address literal */
    bool is_utf8;             /* the local part is not ASCII: only SMTPUTF8 carries it (RFC 6531) */
};

enum addr_form {
    ADDR_REVERSE_PATH, /* <> allowed */
    ADDR_FORWARD_PATH, /* <Postmaster> without a domain allowed */
    ADDR_LOCAL_PATH,   /* <anybody> without a domain allowed: from users of this machine */
    ADDR_MAILBOX,      /* bare local@domain without <>, as in commands, config and aliases */
};

/* Reads a path at the start of `in`. For paths: '<' [source route ':'] mailbox '>', the source
 * route is parsed and ignored (RFC 5321 appendix C). *used counts the octets read; what follows
 * (parameters) is the caller's. For ADDR_MAILBOX all of `in` must be the mailbox. Domain at most
 * 255 octets, path 256 (RFC 5321 4.5.3.1). The 64 octets of 4.5.3.1.1 are what everyone must take,
 * not a limit: senders of lists write longer local parts. An empty local part ("") is refused, it
 * would look like a catch-all. UTF-8 is allowed (RFC 6532 3.2); a domain in it becomes A-labels. 0,
 * or -1: not an address. */
int addr_parse(struct span in, enum addr_form form, struct addr *out, size_t *used);

/* A host name of letters, digits, hyphens and dots (RFC 5321 4.1.2 Domain), at most 255 octets,
 * labels at most 63; a final dot is not allowed. */
bool addr_is_domain(struct span s);
/* "[192.0.2.1]", "[IPv6:…]". */
bool addr_is_literal(struct span s);
/* Where the local part's tag begins ("user+tag"): the user part, or all of it without a tag. */
struct span addr_without_tag(struct span local);

#endif
