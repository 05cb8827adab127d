/* `barid trace`: what became of one message, while it is here and for [queue] trace after it went.
 */
#ifndef BARID_QUEUE_TRACE_H
#define BARID_QUEUE_TRACE_H

#include "common/admin.h"
#include "common/str.h"

#define MESSAGE_ID_MAX 250

/* The admin command: one id of ours or a Message-ID, with or without its angle brackets. */
void trace_show(void *owner, struct admin_call *call);

/* What the first Message-ID field of a header section says between its angle brackets (RFC 5322
 * 3.6.4); empty: nothing that could be looked for. Points into the header. */
struct span trace_header_id(struct span header);

#endif
