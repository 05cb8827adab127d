/* Dot-stuffing (RFC 5321 4.5.2), piece by piece, without copying: the content is cut into runs that
 * go out as they are, with a dot before some of them. */
#ifndef BARID_RELAY_STUFF_H
#define BARID_RELAY_STUFF_H

#include "common/str.h"

struct stuff {
    bool in_line; /* the last octet was not the end of a line */
};

/* Cuts the next run off *in (not empty). *needs_dot: a dot is sent before it. */
struct span stuff_next(struct stuff *s, struct span *in, bool *needs_dot);

#endif
