/* JSON (RFC 8259 7), for what commands and the start say. */
#ifndef BARID_JSON_H
#define BARID_JSON_H

#include "common/buf.h"

/* A string with its quotes; octets that are not UTF-8 become U+FFFD. 0, or -1 without memory. */
int json_string(struct buf *out, struct span s);

#endif
