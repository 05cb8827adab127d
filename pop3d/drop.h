/* A maildrop (RFC 1939 3): the messages of one session, numbered from 1, and which of them are
 * marked as deleted. The messages are mailbox's listing, shared memory; what is ours is a bit for
 * each of them, from the first DELE on. */
#ifndef BARID_POP3D_DROP_H
#define BARID_POP3D_DROP_H

#include "common/listing.h"

struct drop {
    struct listing listing;
    size_t n;               /* messages */
    unsigned char *deleted; /* a bit for each; NULL: none */
    size_t n_deleted;
    uint64_t octets; /* of those that are not deleted */
};

void drop_free(struct drop *d); /* empties it; it may be used again */
/* See listing_map; fd stays the caller's. */
int drop_open(struct drop *d, int fd, uint64_t n, uint64_t text_n);
/* Message `number`, or NULL: no such message, or it is deleted. */
const struct listing_entry *drop_find(const struct drop *d, uint64_t number);
bool drop_has_deleted(const struct drop *d, uint64_t number);
/* 0, or -1 without memory. */
int drop_delete(struct drop *d, uint64_t number);
void drop_reset(struct drop *d); /* nothing is deleted any more */

#endif
