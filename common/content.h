/* Facts about content, found in one pass, chunk by chunk: what POP3 and the relay need so that
 * nobody looks at the octets twice. The queue computes them itself and does not believe smtpd. */
#ifndef BARID_CONTENT_H
#define BARID_CONTENT_H

#include "common/str.h"

struct content_scan {
    uint64_t octets;
    uint64_t header; /* octets up to and with the first empty line; all, if there is none */
    uint8_t flags;   /* enum content_flag */
    bool is_damaged; /* a bare CR or LF or a NUL, or (after content_end) no CRLF at the end */
    /* private */
    uint64_t line; /* octets of the line so far */
    bool after_cr, in_body;
};

void content_begin(struct content_scan *s);
void content_add(struct content_scan *s, struct span chunk);
void content_end(struct content_scan *s);

#endif
