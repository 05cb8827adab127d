/* Quoted-printable (RFC 2045 6.7), the encoding for text that is mostly ASCII: lines of at most 76
 * octets, and none that is not printable. */
#ifndef BARID_QP_H
#define BARID_QP_H

#include "common/buf.h"

/* Encodes text whose lines end in CRLF; they stay lines. Any other octet, CR and LF alone too, is
 * encoded if it must be. 0, or -1: no room or no memory (then a part of it may be there). */
int qp_encode(struct buf *out, struct span text);
/* Octets that it becomes. */
size_t qp_size(struct span text);

#endif
