/* The third part of a notification: the message it is about, or its header (RFC 6522 3, 4). */
#ifndef BARID_QUEUE_DSN_ORIGINAL_H
#define BARID_QUEUE_DSN_ORIGINAL_H

#include "queue/dsn.h"

/* Adds that part and the end of the multipart. All of the message is shown if o->wants_all, it is
 * sound and there is room in *out; else its header, cut where it has to be. is_7bit: a header
 * beyond ASCII is encoded (RFC 6522 4), but not one in UTF-8 (RFC 6533 6.3). 0, or -1: no memory.
 */
int dsn_original_add(const struct dsn_original *o, const char *boundary, bool is_7bit,
                     struct buf *out);

#endif
