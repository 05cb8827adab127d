/* Text from a program's standard input becomes content as SMTP wants it: lines that end with CRLF.
 * LF, CRLF and CR alone all end a line (programs print progress with CR), a NUL is left out, a line
 * over 990 octets is broken with CRLF and a space, as Postfix breaks it, so that it can travel (RFC
 * 5321 4.5.3.1.6). No I/O. */
#ifndef BARID_TEXTIN_H
#define BARID_TEXTIN_H

#include "common/buf.h"

struct textin {
    bool ignores_dots; /* -i: a line with a dot alone does not end the text */
    bool is_over;      /* it did: what follows is not read */
    /* private */
    bool was_cr, is_lone_dot; /* the last octet; the line so far is one dot, not yet put out */
    size_t line;              /* octets of the line so far */
};

/* Puts out at most TEXTIN_GROWTH times as many octets as come in, and a few. 0, or -1: no memory,
 * or over the bound of `out`. */
#define TEXTIN_GROWTH 2
int textin_take(struct textin *t, struct span in, struct buf *out);
/* The input is over: ends a line that was begun. */
int textin_end(struct textin *t, struct buf *out);

#endif
