/* One escaping function per sink. What is escaped comes from daemons and through them from anybody.
 */
#ifndef BARID_TEXT_H
#define BARID_TEXT_H

#include "common/buf.h"

/* For a terminal: control characters, octets that are not UTF-8 and characters that turn the
 * direction of writing become \xNN. */
int text_terminal(struct buf *out, struct span s);
/* How many columns text_terminal's output takes, one for each character. */
size_t text_width(struct span escaped);
/* "12.3K"; under 1024 the number alone. */
void text_size(char out[32], uint64_t octets);

#endif
