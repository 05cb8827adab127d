/* UTF-8 (RFC 3629). */
#ifndef BARID_UTF8_H
#define BARID_UTF8_H

#include "common/str.h"

#include <stdint.h>

/* Whole characters only, the shortest form of each, no surrogates, nothing over U+10FFFF. Any
 * character else, NUL and controls too. */
bool utf8_is_valid(struct span s);
/* Octets of the character at the start of s, which is not empty, and its number; 0: it is none. */
size_t utf8_character(struct span s, uint32_t *number);

#endif
