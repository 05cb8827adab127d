#include "common/pack.h"

struct packer packer_on(void *p, size_t cap)
{
    return (struct packer){.p = p, .cap = cap};
}

struct span packer_span(const struct packer *w)
{
    return (struct span){w->p, w->n};
}

void pack_uint(struct packer *w, uint64_t v, size_t octets)
{
    if (w->failed || w->cap - w->n < octets) {
        w->failed = true;
        return;
    }
    for (size_t i = 0; i < octets; i++)
        w->p[w->n++] = (char)(v >> (8 * i) & 0xff);
}

void pack_bytes(struct packer *w, struct span s)
{
    pack_uint(w, s.n, 4);
    if (w->failed || s.n > UINT32_MAX || w->cap - w->n < s.n) {
        w->failed = true;
        return;
    }
    if (s.n > 0)
        memcpy(w->p + w->n, s.p, s.n);
    w->n += s.n;
}

struct unpacker unpacker_on(struct span s)
{
    return (struct unpacker){.left = s};
}

uint64_t unpack_uint(struct unpacker *r, size_t octets)
{
    if (r->failed || r->left.n < octets) {
        r->failed = true;
        return 0;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < octets; i++)
        v |= (uint64_t)(unsigned char)r->left.p[i] << (8 * i);
    r->left = span_from(r->left, octets);
    return v;
}

struct span unpack_bytes(struct unpacker *r, size_t max)
{
    size_t n = (size_t)unpack_uint(r, 4);
    if (r->failed || n > max || n > r->left.n) {
        r->failed = true;
        return (struct span){"", 0};
    }
    struct span s = {r->left.p, n};
    r->left = span_from(r->left, n);
    return s;
}

struct span unpack_text(struct unpacker *r, size_t max)
{
    struct span s = unpack_bytes(r, max);
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\0' || s.p[i] == '\r' || s.p[i] == '\n') {
            r->failed = true;
            return (struct span){"", 0};
        }
    return s;
}

bool unpack_done(const struct unpacker *r)
{
    return !r->failed && r->left.n == 0;
}
