/* A growing octet buffer with a bound. Octets are added at the end and consumed at the front.
 * Memory is taken when there is something to hold and given back when it is empty, so that idle
 * sessions cost nothing. */
#ifndef BARID_BUF_H
#define BARID_BUF_H

#include "common/str.h"

struct buf {
    char *p;    /* allocation */
    size_t at;  /* first octet not yet consumed */
    size_t end; /* past the last octet */
    size_t cap;
    size_t max; /* never holds more than this */
};

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b); /* empties it; it may be used again */
struct span buf_span(const struct buf *b);
/* 0, or -1 (nothing added) if it would pass `max` or memory is out. */
int buf_add(struct buf *b, const void *p, size_t n);
int buf_add_span(struct buf *b, struct span s);
int buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for at least n more octets at the returned place, to be followed by buf_grew; or NULL. */
char *buf_room(struct buf *b, size_t n);
void buf_grew(struct buf *b, size_t n);
void buf_consume(struct buf *b, size_t n);

#endif
