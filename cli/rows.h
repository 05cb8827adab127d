/* The rows that a daemon sent (common/admin.h), kept until all have come, because a document with
 * an error in its middle would be worse than none. */
#ifndef BARID_ROWS_H
#define BARID_ROWS_H

#include "common/admin.h"

struct row {
    char *group;  /* NUL-terminated; "" at depth 0 */
    char *fields; /* packed columns, checked */
    size_t n;
    unsigned depth;
};

struct rows {
    struct row *list;
    size_t n, cap;
};

/* Copies a row. 0, or -1: damaged, or no memory. */
int rows_add(struct rows *r, unsigned depth, struct span group, struct span fields);
/* Keeps the first n rows of depth 0 with what belongs to them. */
void rows_cut(struct rows *r, uint64_t n);
void rows_free(struct rows *r);
struct span row_fields(const struct row *r);
/* A field by its name. False: the row (may be NULL) has none. */
bool row_find(const struct row *r, const char *name, struct column *out);
int64_t row_find_number(const struct row *r, const char *name); /* 0: none */
/* Where the children of the row `parent` end. */
size_t rows_end_of(const struct rows *r, size_t parent);

#endif
