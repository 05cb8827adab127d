/* What a server offers in its answer to EHLO (RFC 5321 4.1.1.1). */
#ifndef BARID_RELAY_OFFER_H
#define BARID_RELAY_OFFER_H

#include "common/str.h"

struct offer {
    bool has_pipelining; /* RFC 2920 */
    bool has_8bitmime;   /* RFC 6152 */
    bool has_size;       /* RFC 1870 */
    uint64_t size_max;   /* 0: no limit is told */
    bool has_dsn;        /* RFC 3461 */
    bool has_starttls;   /* RFC 3207 */
    bool has_utf8;       /* RFC 6531 */
    bool has_requiretls; /* RFC 8689 */
    unsigned auth;       /* RFC 4954: SASL_BIT of each mechanism that is known here */
    bool is_logged_in;   /* and one of them was used */
};

/* One line of the answer after the first, without its code. */
void offer_learn(struct offer *o, struct span line);

#endif
