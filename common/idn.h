/* Names beyond ASCII, by libidn2 and libunistring: domains become A-labels as soon as they are read
 * (RFC 5890), so that only people's own text ever holds others; local parts are compared in lower
 * case and normal form C (RFC 6532 3.1). Nothing is kept. */
#ifndef BARID_IDN_H
#define BARID_IDN_H

#include "common/proto.h"

bool idn_is_ascii(struct span s);
/* A domain in UTF-8 as A-labels in lower case. 0, or -1: it is none, or has no such form. Domains
 * in ASCII pass unread: addr_is_domain is for them. */
int idn_domain(struct span in, char out[DOMAIN_MAX + 1]);
/* Lower case and normal form C of valid UTF-8. 0, or -1: no room, or no memory. */
int idn_fold(struct span in, char *out, size_t cap);

#endif
