/* A hash table of things with a name. The nodes are part of what is kept; the table owns neither
 * them nor their names. Names are those of the administrator, so nobody can choose them to collide.
 */
#ifndef BARID_AUTHD_TABLE_H
#define BARID_AUTHD_TABLE_H

#include "common/str.h"

struct node {
    struct node *next;
    uint64_t hash;
    struct span name;
};

struct table {
    struct node **buckets;
    size_t n_buckets; /* a power of two */
    size_t n;
};

int table_init(struct table *t); /* 0, or -1 without memory */
void table_free(struct table *t);
struct node *table_find(const struct table *t, struct span name);  /* or NULL */
void table_add(struct table *t, struct node *n, struct span name); /* the name must be new */
void table_remove(struct table *t, struct node *n);
/* All nodes, in no order: starts with NULL, ends with NULL. */
struct node *table_next(const struct table *t, const struct node *after);

#endif
