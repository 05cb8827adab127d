#include "relay/source.h"

#include "common/proto.h"

#include <errno.h>

void source_begin(struct source *s, struct span content, int fd, uint64_t size,
                  const unsigned char *hash)
{
    *s = (struct source){
        .content = content, .fd = fd, .size = content.n > 0 ? content.n : size, .hash = hash};
    content_begin(&s->scan);
}

/* Empty and errno if it cannot be had. */
static struct span next_piece(const struct source *s, char room[CHUNK_MAX])
{
    uint64_t left = s->size - s->offset;
    size_t want = left < CHUNK_MAX ? (size_t)left : CHUNK_MAX;
    if (s->content.n > 0)
        return (struct span){s->content.p + s->offset, want};
    errno = ENODATA; /* for a file that ends too early */
    ssize_t n = pread(s->fd, room, want, (off_t)s->offset);
    return (struct span){room, n > 0 ? (size_t)n : 0};
}

static int write_stuffed(struct source *s, struct conn *c, struct span piece)
{
    while (piece.n > 0) {
        bool needs_dot;
        struct span run = stuff_next(&s->stuff, &piece, &needs_dot);
        if ((needs_dot && conn_write(c, ".", 1) < 0) || conn_write_span(c, run) < 0)
            return -1;
    }
    return 0;
}

/* Most mail has no line that starts with a dot: then there is nothing to cut. */
static int write_piece(struct source *s, struct conn *c, struct span piece)
{
    if ((s->scan.flags & CONTENT_DOTS) != 0)
        return write_stuffed(s, c, piece);
    s->stuff.in_line = piece.p[piece.n - 1] != '\n';
    return conn_write_span(c, piece);
}

enum source_result source_write(struct source *s, struct conn *c)
{
    static char room[CHUNK_MAX];
    if (s->offset < s->size) {
        struct span piece = next_piece(s, room);
        if (piece.n == 0)
            return SOURCE_UNREADABLE;
        content_add(&s->scan, piece);
        if (s->scan.is_damaged)
            return SOURCE_DAMAGED;
        if (write_piece(s, c, piece) < 0)
            return SOURCE_FULL;
        s->offset += piece.n;
        if (s->offset < s->size)
            return SOURCE_MORE;
    }
    content_end(&s->scan);
    bool is_other = memcmp(s->scan.hash, s->hash, CONTENT_HASH) != 0;
    return s->scan.is_damaged || is_other ? SOURCE_DAMAGED : SOURCE_DONE;
}
