/* Bounded cursors for the records inside messages and sealed blobs. Numbers are little-endian, text
 * and octets carry a 32-bit length. A cursor that was asked for too much stays failed, so a
 * sequence of calls needs one check at its end. */
#ifndef BARID_PACK_H
#define BARID_PACK_H

#include "common/str.h"

struct packer {
    char *p;
    size_t n, cap;
    bool failed; /* it did not fit */
};

struct unpacker {
    struct span left;
    bool failed; /* truncated, or a length over its bound */
};

struct packer packer_on(void *p, size_t cap);
struct span packer_span(const struct packer *w);
void pack_uint(struct packer *w, uint64_t v, size_t octets); /* octets: 1, 2, 4 or 8 */
void pack_bytes(struct packer *w, struct span s);

struct unpacker unpacker_on(struct span s);
uint64_t unpack_uint(struct unpacker *r, size_t octets);
struct span unpack_bytes(struct unpacker *r, size_t max); /* points into what is unpacked */
/* Like unpack_bytes, but NUL, CR and LF make it fail: what a line of a protocol can hold. */
struct span unpack_text(struct unpacker *r, size_t max);
/* All read, nothing left over, nothing failed. */
bool unpack_done(const struct unpacker *r);

#endif
