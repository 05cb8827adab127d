/* What a POP3 server says (RFC 1939 3), octet by octet: status lines, lines of a listing, content.
 * No I/O. The server is not trusted: lines and listings are bounded by who calls. */
#ifndef BARID_POP3IN_H
#define BARID_POP3IN_H

#include "common/str.h"

#define POP3IN_LINE_MAX 2048 /* RFC 2449 allows 512; some servers say more in a greeting */

enum pop3in_result {
    POP3IN_MORE,      /* not yet a whole line */
    POP3IN_OK,        /* a line "+OK …": *text is what follows */
    POP3IN_ERR,       /* "-ERR …" */
    POP3IN_LINE,      /* a line of a listing, dots undone */
    POP3IN_END,       /* the line with a dot alone */
    POP3IN_CHALLENGE, /* "+ …", in an AUTH exchange (RFC 5034 4) */
    POP3IN_BAD,       /* not POP3: too long, NUL, another word */
};

/* They look at the start of `in`; *used octets are done with. A line may end with LF alone. */
enum pop3in_result pop3in_status(struct span in, struct span *text, size_t *used);
/* A status line, or a challenge. */
enum pop3in_result pop3in_challenge(struct span in, struct span *text, size_t *used);
enum pop3in_result pop3in_line(struct span in, struct span *text, size_t *used);

/* Content: only CRLF.CRLF ends it. */
struct pop3in_content {
    enum {
        CONTENT_START, /* of a line */
        CONTENT_DOT,
        CONTENT_DOT_CR,
        CONTENT_TEXT,
        CONTENT_CR,
        CONTENT_OVER,
    } state;
};

/* Takes octets up to the end of the content, puts them out without stuffing to `out`, which has
 * room for 2 * in.n + 2. Returns the number taken. */
size_t pop3in_content(struct pop3in_content *c, struct span in, char *out, size_t *n_out);

#endif
