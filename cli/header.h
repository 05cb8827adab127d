/* The header section of a message that a program hands to sendmail: its fields, and the addresses
 * in them (RFC 5322 3.4, with the obsolete forms that programs still write). Lines end with CRLF,
 * see textin.h. No I/O; trusts nothing: what is no address is reported as it stands. */
#ifndef BARID_HEADER_H
#define BARID_HEADER_H

#include "common/str.h"

struct field {
    struct span name;  /* "To" */
    struct span value; /* behind the colon, with its folds, without the final CRLF */
    struct span whole; /* all of it, with the final CRLF */
};

/* Takes the first field off *rest. False: what comes is no field (an empty line, the body). */
bool field_next(struct span *rest, struct field *out);
bool field_is(const struct field *f, const char *name);

/* Where the header section ends in `text`: *end is the place behind its last field, *body the place
 * where the body begins (an empty line between them is skipped). Lines that are no fields begin the
 * body. 0; or -1: the end is not there yet (is_all: nothing more comes, then it always is). */
int header_find_end(struct span text, bool is_all, size_t *end, size_t *body);

#define FIELD_ADDRESS_MAX 512

/* One address of a list: `text` without comments and white space ("" if it is longer than
 * FIELD_ADDRESS_MAX), and the place in the value right behind it. Not 0 ends the walk. */
typedef int field_address_fn(void *arg, struct span text, size_t behind);
/* Walks the addresses of a value; groups are opened. Returns what ended it, or 0. */
int field_addresses(struct span value, field_address_fn *fn, void *arg);

#endif
