/* Lines of a protocol: CRLF ends them, nothing else does (RFC 5321 2.3.8). */
#ifndef BARID_LINE_H
#define BARID_LINE_H

#include "common/str.h"

enum line_result {
    LINE_OK,       /* *line is one without its CRLF, *used counts it with its CRLF */
    LINE_MORE,     /* no full line yet */
    LINE_TOO_LONG, /* max octets and no CRLF, or a longer line */
    LINE_BARE,     /* a CR or LF alone */
    LINE_NUL,      /* a NUL */
};

/* Looks at the start of `in`. max counts the line with its CRLF. */
enum line_result line_take(struct span in, size_t max, struct span *line, size_t *used);

#endif
