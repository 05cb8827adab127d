/* Where a backup becomes a store: a directory in state_dir that nobody else looks into, until all
 * of it is there and right; then it changes places with what is there. */
#ifndef BARID_RESTORE_STAGE_H
#define BARID_RESTORE_STAGE_H

#include "common/config.h"
#include "common/error.h"

struct stage {
    const struct config *config;
    int state;               /* state_dir */
    int authd, queue, spool; /* directories of the stage */
    char aside[64]; /* where the store before it is now, in state_dir; "": there was none */
};

/* Makes it anew. 0, or -1 and e. To be closed in any case. */
int stage_open(struct stage *s, const struct config *c, struct error *e);
/* Is there a store that would be replaced? */
bool stage_has_store(const struct stage *s);
/* Makes what is staged the store. What was there is moved aside, not removed. 0, or -1 and e. */
int stage_commit(struct stage *s, struct error *e);
/* Removes what is left of it. */
void stage_close(struct stage *s);

#endif
