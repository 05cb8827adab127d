/* What an enhanced status code (RFC 3463, and those registered since) means, for people: a report
 * says it before what the other server said, which is often for experts only. */
#ifndef BARID_QUEUE_DSN_REASON_H
#define BARID_QUEUE_DSN_REASON_H

#include "common/str.h"

/* A sentence; NULL: none that would tell more than the answer itself. With the class 4 ("4.1.1")
 * most say only that it is not known yet, or that one should come again. `said`: the reply of
 * another server, empty if the code is our own. Some servers mean other things than the registry
 * by codes about the way there, so of those only our own count. */
const char *dsn_reason(struct span status, struct span said);

#endif
