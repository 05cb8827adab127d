/* Reports about TLS on their way to web servers (RFC 8460 5.4): rows of tlsrpt_post, added in the
 * transaction that removes what they tell of. A few are posted at a time, by the policy process;
 * one that is not taken is tried again after 5, 10, 20, ... minutes, for 24 hours (5.5), as is one
 * of which the policy process said nothing. Of one try a server sees one request at most; but who
 * took it and whose answer was lost (by it, by our policy process, by a crash before the commit)
 * gets it again at the next, under the same report-id. With tls_reports = no none is posted, and
 * what waits goes after its 24 hours. */
#ifndef BARID_QUEUE_TLSRPT_POST_H
#define BARID_QUEUE_TLSRPT_POST_H

#include "queue/queue.h"

struct tlsrpt_posts;

struct tlsrpt_posts *tlsrpt_posts_new(struct queue *q); /* NULL without memory */
void tlsrpt_posts_free(struct tlsrpt_posts *p);         /* NULL is allowed */
/* Within a transaction: one row for each of urls (records {bytes}). What is too large for
 * TLS_POST is left out. 0, or -1: nothing may be kept. */
struct tlsrpt_parcel {
    uint64_t report;
    struct span domain, urls, octets;
};
int tlsrpt_posts_add(struct tlsrpt_posts *p, const struct tlsrpt_parcel *parcel);
/* Begins what is due; a timer does it every minute. It may write: not for waiters of a commit. */
void tlsrpt_posts_look(struct tlsrpt_posts *p);
void tlsrpt_posts_wake(struct tlsrpt_posts *p); /* the same, in another turn of the loop */

#endif
