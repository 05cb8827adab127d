/* Multi-line responses (RFC 1939 3): a line that starts with a dot gets a second one, CRLF.CRLF
 * ends it; and the cut of TOP. No I/O and no copying: it says which octets to send next. Content
 * comes in pieces of any size; the caller's octets must live until what was returned is sent or
 * copied. */
#ifndef BARID_POP3D_MULTILINE_H
#define BARID_POP3D_MULTILINE_H

#include "common/str.h"

struct multiline {
    /* private */
    uint64_t header_left; /* TOP: octets before the body */
    uint64_t lines_left;  /* TOP: lines of the body */
    bool has_dots;        /* some line may start with a dot; without it nothing is searched for */
    bool is_top;
    bool is_line_start; /* the last octet ended a line */
    bool is_stuffed;    /* the second dot of this line was given out */
    bool ends_in_cr;
    bool ends_in_crlf;
    bool is_done;
};

/* The whole message. */
void multiline_begin(struct multiline *m, bool has_dots);
/* TOP: `header` octets (with the empty line), then so many lines of the body. */
void multiline_begin_top(struct multiline *m, bool has_dots, uint64_t header, uint64_t lines);
/* What to send next for the content in *in, which is shortened by what is dealt with. Empty: give
 * it the next piece. */
struct span multiline_next(struct multiline *m, struct span *in);
/* The whole message, and nothing in it to change: pieces may be sent as they are, without
 * multiline_next, but for the last octets, of which multiline_end must know. */
bool multiline_is_plain(const struct multiline *m);
/* TOP needs no more content. */
bool multiline_is_done(const struct multiline *m);
/* The end of the response; content that did not end with CRLF gets it, so that nothing can follow
 * the dot on its line. */
struct span multiline_end(const struct multiline *m);

#endif
