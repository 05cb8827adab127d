/* What an enhanced status code (RFC 3463, and those registered since) means, for people: a report
 * says it before what the other server said, which is often for experts only. */
#ifndef BARID_QUEUE_DSN_REASON_H
#define BARID_QUEUE_DSN_REASON_H

#include "common/str.h"

/* A sentence; NULL: none that would tell more than the answer itself. Of the status ("5.1.1") the
 * class does not matter. */
const char *dsn_reason(struct span status);

#endif
