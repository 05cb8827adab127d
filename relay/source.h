/* The content of one mail on its way into a connection: piece by piece, dot-stuffed, checked.
 *
 * Everything that is sent is looked at once more here, and the dots are decided by that look: a
 * bare CR or LF, or a dot not doubled, could end the message early at the other side and make
 * commands of the rest (SECURITY: one end of data). What is damaged, or is not the octets that were
 * accepted, is never ended with the final dot. */
#ifndef BARID_RELAY_SOURCE_H
#define BARID_RELAY_SOURCE_H

#include "common/conn.h"
#include "common/content.h"
#include "relay/stuff.h"

struct source {
    struct span content; /* all of it; or empty, and fd holds it from its start */
    int fd;
    uint64_t size, offset;
    const unsigned char *hash;
    struct content_scan scan;
    struct stuff stuff;
};

enum source_result {
    SOURCE_MORE, /* call again when the connection has room */
    SOURCE_DONE, /* all is written; the final dot comes next */
    SOURCE_DAMAGED,
    SOURCE_UNREADABLE, /* errno */
    SOURCE_FULL,       /* the connection did not take it: out of memory */
};

/* size counts if content is empty. hash (CONTENT_HASH octets) must outlive it. */
void source_begin(struct source *s, struct span content, int fd, uint64_t size,
                  const unsigned char *hash);
/* Writes the next piece: of CHUNK_MAX octets at most, and as many dots at the worst. */
enum source_result source_write(struct source *s, struct conn *c);

#endif
