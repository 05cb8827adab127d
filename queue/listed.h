/* The recipients that a backup takes mail for ([route] recipients): a file of addresses, one in a
 * line, # begins a comment. It is the administrator's; a line that is no address is left out. */
#ifndef BARID_QUEUE_LISTED_H
#define BARID_QUEUE_LISTED_H

#include "common/str.h"

struct listed;

/* *n_bad: lines that are no address. NULL without memory. */
struct listed *listed_new(struct span text, size_t *n_bad);
void listed_free(struct listed *l); /* NULL is allowed */
/* Case never matters. "postmaster" of any domain is on every list (RFC 5321 4.5.1). */
bool listed_has(const struct listed *l, struct span address);
size_t listed_count(const struct listed *l);

#endif
