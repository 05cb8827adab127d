/* Base64 of others (RFC 4648 4), exact: with its padding, and nothing in it that is not of the
 * alphabet. libsodium decodes; 1.0.18 takes octets over 127 for a slash, so they are looked for
 * before. */
#ifndef BARID_BASE64_H
#define BARID_BASE64_H

#include "common/str.h"

/* 0 and *n octets in out (at most 3 for each 4 of the text), or -1: not base64, or more than cap.
 */
int base64_decode(struct span text, void *out, size_t cap, size_t *n);

#endif
