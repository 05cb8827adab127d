#include "common/str.h"

#include <stdlib.h>
#include <string.h>

char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

struct span span_of(const char *c_string)
{
    return (struct span){c_string, c_string ? strlen(c_string) : 0};
}

bool span_eq(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool span_ieq(struct span a, struct span b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

int span_compare(struct span a, struct span b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

bool span_starts(struct span s, struct span prefix)
{
    return s.n >= prefix.n && span_eq((struct span){s.p, prefix.n}, prefix);
}

bool span_istarts(struct span s, struct span prefix)
{
    return s.n >= prefix.n && span_ieq((struct span){s.p, prefix.n}, prefix);
}

struct span span_from(struct span s, size_t at)
{
    if (at >= s.n)
        return (struct span){s.p ? s.p + s.n : NULL, 0};
    return (struct span){s.p + at, s.n - at};
}

struct span span_trim(struct span s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = span_from(s, 1);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

struct span span_cut(struct span *s, char sep)
{
    struct span all = *s;
    const char *at = all.n > 0 ? memchr(all.p, sep, all.n) : NULL;
    if (at == NULL) {
        *s = (struct span){NULL, 0};
        return all;
    }
    size_t before = (size_t)(at - all.p);
    *s = span_from(all, before + 1);
    return (struct span){all.p, before};
}

int span_copy(char *dst, size_t cap, struct span s)
{
    if (s.n >= cap || (s.n > 0 && memchr(s.p, '\0', s.n) != NULL))
        return -1;
    if (s.n > 0)
        memcpy(dst, s.p, s.n);
    dst[s.n] = '\0';
    return 0;
}

int span_u64(struct span s, uint64_t *out)
{
    if (s.n == 0 || s.n > 19)
        return -1;
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    *out = v;
    return 0;
}

char *span_dup(struct span s)
{
    char *copy = malloc(s.n + 1);
    if (copy != NULL && span_copy(copy, s.n + 1, s) < 0) {
        free(copy);
        return NULL;
    }
    return copy;
}

void *alloc_array(size_t n, size_t size)
{
    return calloc(n, size);
}

int array_reserve(void **array, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return 0;
    size_t want = *cap < 8 ? 8 : *cap;
    while (want < need) {
        if (want > SIZE_MAX / 2 / size)
            return -1;
        want *= 2;
    }
    void *grown = realloc(*array, want * size);
    if (grown == NULL)
        return -1;
    *array = grown;
    *cap = want;
    return 0;
}
