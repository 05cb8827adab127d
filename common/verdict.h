/* What a decision can be. "Could not decide" is TRY_LATER, never NEVER: a fault of ours, silence, a
 * crash or a time-out must not turn into a permanent answer. */
#ifndef BARID_VERDICT_H
#define BARID_VERDICT_H

enum verdict {
    VERDICT_OK = 0,
    VERDICT_TRY_LATER = 1, /* 4xx; also every value that is none of these */
    VERDICT_NEVER = 2,     /* 5xx */
};

#endif
