/* Replies of SMTP servers (RFC 5321 4.2): attacker input. The grammar is strict, everything is
 * bounded, only the class of the code decides, the text is for people. */
#ifndef BARID_RELAY_REPLY_H
#define BARID_RELAY_REPLY_H

#include "common/proto.h"
#include "common/str.h"
#include "common/verdict.h"

#define REPLY_LINE_MAX   2048 /* with CRLF */
#define REPLY_LINES_MAX  100
#define REPLY_OCTETS_MAX 65536

enum reply_result {
    REPLY_MORE, /* no full line yet */
    REPLY_LINE, /* `line` is one of several, others follow */
    REPLY_DONE, /* `line` is the last one */
    REPLY_BAD,  /* no reply, or over a bound: close the connection */
};

struct reply {
    unsigned code;     /* 200 to 599 */
    char enhanced[12]; /* "5.1.1" (RFC 2034) if the first line has one of the code's class, else ""
                        */
    char text[REPLY_MAX]; /* "550 5.1.1 no such user": lines joined, only printable ASCII */
    size_t n_text;
    struct span line; /* the line just taken, without code: points into the input */
    size_t n_lines, n_octets;
};

void reply_begin(struct reply *r);
/* Takes one line from the start of `in`; *used octets of it are then to be consumed. */
enum reply_result reply_take(struct reply *r, struct span in, size_t *used);
/* 2xx OK, 5xx NEVER, else TRY_LATER. */
enum verdict reply_verdict(const struct reply *r);
struct span reply_text(const struct reply *r);

#endif
