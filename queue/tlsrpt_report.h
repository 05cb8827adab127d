/* The text of one report about TLS (RFC 8460 4.4, 5.3): multipart/report with gzipped JSON. */
#ifndef BARID_QUEUE_TLSRPT_REPORT_H
#define BARID_QUEUE_TLSRPT_REPORT_H

#include "common/buf.h"
#include "queue/store.h"

#define TLSRPT_DAY_S      86400
#define TLSRPT_REPORT_MAX (256U << 10) /* octets of the message; and of its JSON */

struct tlsrpt_about {
    uint64_t id; /* of the message */
    int64_t day; /* since 1970 */
    struct span domain;
    const char *hostname;
    struct span to; /* addresses: records {bytes} */
};

/* Of the rows of the store, as the gzipped JSON that is attached or posted: 0, or -1: no memory, no
 * rows, or the store failed. */
int tlsrpt_compose(struct store *s, const struct tlsrpt_about *about, struct buf *out);
/* The mail with that. 0, or -1 without memory. */
int tlsrpt_compose_mail(const struct tlsrpt_about *about, struct span gzip, struct buf *out);

#endif
