#include "common/buf.h"

#include <stdarg.h>

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_free(struct buf *b)
{
    free(b->p);
    buf_init(b, b->max);
}

struct span buf_span(const struct buf *b)
{
    if (b->p == NULL)
        return (struct span){NULL, 0};
    return (struct span){b->p + b->at, b->end - b->at};
}

char *buf_room(struct buf *b, size_t n)
{
    size_t held = b->end - b->at;
    if (n > b->max || held > b->max - n)
        return NULL;
    if (b->cap - b->end >= n && b->p != NULL)
        return b->p + b->end;
    if (b->at > 0) {
        memmove(b->p, b->p + b->at, held);
        b->at = 0;
        b->end = held;
    }
    if (array_reserve((void **)&b->p, &b->cap, held + n, 1) < 0)
        return NULL;
    return b->p + b->end;
}

void buf_grew(struct buf *b, size_t n)
{
    b->end += n;
}

int buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return 0;
    char *room = buf_room(b, n);
    if (room == NULL)
        return -1;
    memcpy(room, p, n);
    b->end += n;
    return 0;
}

int buf_add_span(struct buf *b, struct span s)
{
    return buf_add(b, s.p, s.n);
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int need = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (need < 0)
        return -1;
    char *room = buf_room(b, (size_t)need + 1);
    if (room == NULL)
        return -1;
    va_start(ap, fmt);
    vsnprintf(room, (size_t)need + 1, fmt, ap);
    va_end(ap);
    b->end += (size_t)need;
    return 0;
}

void buf_consume(struct buf *b, size_t n)
{
    b->at += n;
    if (b->at >= b->end)
        buf_free(b);
}
