/* Times as people type them. */
#ifndef BARID_CLI_WHEN_H
#define BARID_CLI_WHEN_H

#include "common/str.h"

/* "90s", "15m", "4h", "5d": 0 and seconds, or -1. */
int when_span(struct span text, int64_t *seconds);
/* The same in writing, in the largest unit that it is a multiple of. */
#define WHEN_TEXT 24
void when_write(char out[WHEN_TEXT], int64_t seconds);
/* So long before `now_s`, or "2026-11-22", "2026-11-22T04:05:06Z" (UTC): 0 and seconds since 1970,
 * or -1. */
int when_time(struct span text, int64_t now_s, int64_t *at_s);

/* A moment that may be to come: "2026-11-22", "2026-11-22T04:05:06Z", "2026-11-22T05:05:06+01:00".
 * 0 and seconds since 1970, or -1. */
int when_moment(struct span text, int64_t *at_s);

#endif
