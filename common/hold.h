/* What a sender asks for with HOLDFOR and HOLDUNTIL (RFC 4865): its values, and the request as it
 * travels, is kept and stands in reports (5.1.2, Future-Release-Request): "for;3600" or
 * "until;2026-11-22T05:06:07Z". smtpd reads it from a client, queue from smtpd and from its store.
 */
#ifndef BARID_HOLD_H
#define BARID_HOLD_H

#include "common/str.h"

#define HOLD_REQUEST_MAX 40

/* HOLDFOR: 1 to 999999999 seconds. 0, or -1. */
int hold_read_for(struct span value, int64_t *seconds);
/* HOLDUNTIL: RFC 3339 in UTC; a part of a second makes it the next one. 0 and seconds since 1970,
 * or -1. */
int hold_read_until(struct span value, int64_t *at_s);
/* Is this a request in the form above? */
/* When it ends, of a message that came then; 0: it is no request. */
int64_t hold_ends_s(struct span request, int64_t came_s);
bool hold_is_request(struct span text);

#endif
