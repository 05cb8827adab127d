/* "Did you mean …": the known word nearest to a mistyped one, for settings and commands. */
#ifndef BARID_NEAR_H
#define BARID_NEAR_H

#include "common/str.h"

struct near {
    struct span to;
    const char *best; /* the answer, or NULL: nothing is near */
    size_t distance;
};

void near_begin(struct near *n, struct span to);
void near_offer(struct near *n, const char *word);

#endif
