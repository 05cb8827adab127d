/* The octets after DATA (RFC 5321 4.1.1.4, 4.5.2): finds the end, undoes the stuffing of dots,
 * judges the content. Also those of BDAT (RFC 3030), whose end the caller knows: no dot means
 * anything there. No I/O and no memory of its own; used by the session, the fuzzer and the
 * tests.
 *
 * Only CRLF.CRLF ends the data, whatever else is wrong with it: a problem is remembered, content is
 * no longer put out, and reading goes on to the real end, so that nothing that follows can be
 * smuggled in as a command. */
#ifndef BARID_SMTPD_BODY_H
#define BARID_SMTPD_BODY_H

#include "common/str.h"

#define BODY_LINE_MAX   16384          /* octets of a line with its CRLF */
#define BODY_HEADER_MAX (256U * 1024U) /* octets of the header section */

enum body_problem {
    BODY_FINE = 0,
    BODY_BARE,   /* a CR or LF alone */
    BODY_NUL,    /* a NUL */
    BODY_LINE,   /* a line over BODY_LINE_MAX */
    BODY_HEADER, /* a header section over BODY_HEADER_MAX */
    BODY_SIZE,   /* more octets than allowed */
    BODY_HOPS,   /* more Received fields than allowed */
};

enum body_state {
    BODY_START,  /* at the start of a line, after a real CRLF */
    BODY_DOT,    /* after a dot there */
    BODY_DOT_CR, /* after a dot and a CR there */
    BODY_TEXT,   /* in a line */
    BODY_CR,     /* after a CR in a line */
    BODY_END,    /* the end was read */
};

struct body {
    uint64_t
        octets_max; /* of content, in wire form, without stuffing and the final dot (RFC 1870) */
    uint64_t hops_max;
    bool normalises; /* a bare CR or LF becomes CRLF, but never ends the data */
    bool is_chunked; /* from BDAT; set after body_begin */

    enum body_problem problem; /* the first one */
    enum body_state state;
    uint64_t octets; /* of content so far */
    /* private */
    uint64_t line; /* octets of the line so far */
    uint64_t hops;
    size_t matched;  /* octets of "Received:" at the start of this line */
    bool in_content; /* behind the header section */
};

void body_begin(struct body *b, uint64_t octets_max, uint64_t hops_max, bool normalises);
/* The octets that body_take of n octets may put out. */
size_t body_room(const struct body *b, size_t n);
/* Takes octets of `in`, up to the end of the data: the number taken is returned. Puts content out
 * to `out` (with room for body_room(in.n)), *n_out octets; none if there is a problem. */
size_t body_take(struct body *b, struct span in, char *out, size_t *n_out);
/* Chunked content ends here: a last line that is not finished is. Puts out up to BODY_END_ROOM. */
#define BODY_END_ROOM 2
void body_end(struct body *b, char *out, size_t *n_out);
static inline bool body_is_over(const struct body *b)
{
    return b->state == BODY_END;
}

#endif
