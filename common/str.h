/* Text is (pointer, length); NUL is data. A C string is made only by span_copy, which fails on NUL.
 */
#ifndef BARID_STR_H
#define BARID_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    const char *p;
    size_t n;
};
typedef void span_fn(void *arg, struct span text); /* is told of one after the other */

#define SPAN(literal) ((struct span){"" literal, sizeof(literal) - 1})

struct span span_of(const char *c_string);
bool span_eq(struct span a, struct span b);
bool span_ieq(struct span a, struct span b);    /* ASCII letters without regard to case */
int span_compare(struct span a, struct span b); /* order of octets: <0, 0, >0 */
bool span_starts(struct span s, struct span prefix);
bool span_istarts(struct span s, struct span prefix);
struct span span_from(struct span s, size_t at); /* the rest from octet `at`; empty past the end */
struct span span_trim(struct span s);            /* without spaces and tabs at both ends */
/* Splits at the first `sep`: returns what stands before it, leaves the rest in *s. With no `sep`
 * returns all and leaves *s empty with a NULL pointer. */
struct span span_cut(struct span *s, char sep);

/* Copies into a C string of `cap` octets. 0, or -1 if it does not fit or holds a NUL. */
int span_copy(char *dst, size_t cap, struct span s);
/* Unsigned decimal of at most 19 digits, nothing else. 0, or -1. */
int span_u64(struct span s, uint64_t *out);
/* A new C string (NULL on NUL in s or without memory); free() it. */
char *span_dup(struct span s);

/* n * size octets, zeroed; NULL if the product overflows or memory is out. */
void *alloc_array(size_t n, size_t size);
/* Grows *array (of elements of `size` octets, *cap of them) so that `need` fit. 0, or -1. */
int array_reserve(void **array, size_t *cap, size_t need, size_t size);

char ascii_lower(char c);

#endif
