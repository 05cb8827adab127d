/* The only source of time. Decisions about waiting use the monotonic clock; the wall clock is for
 * header fields, expiry and what people read. Tests set both. */
#ifndef BARID_CLOCK_H
#define BARID_CLOCK_H

#include "common/str.h"

#include <stddef.h>
#include <stdint.h>

int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_wall_ms(void); /* since 1970, UTC */
int64_t clock_wall_s(void);

/* From now on the clocks show these and stand still; negative values: the real clocks again. */
void clock_fake(int64_t mono_ms, int64_t wall_ms);

#define CLOCK_TEXT_MAX 40
/* RFC 5322 3.3: "Sun, 22 Nov 2026 01:34:29 +0000". */
void clock_rfc5322(char out[CLOCK_TEXT_MAX], int64_t wall_s);
/* RFC 3339: "2026-11-22T01:34:29Z". */
void clock_rfc3339(char out[CLOCK_TEXT_MAX], int64_t wall_s);
/* The same, read; nothing but UTC. 0, or -1. */
int clock_read_rfc3339(struct span text, int64_t *wall_s);

#endif
