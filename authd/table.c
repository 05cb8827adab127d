#include "authd/table.h"

#include <stdlib.h>

#define FIRST_SIZE 64

static uint64_t hash_of(struct span name)
{
    uint64_t h = 14695981039346656037U; /* FNV-1a */
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * 1099511628211U;
    return h ^ h >> 32;
}

int table_init(struct table *t)
{
    *t = (struct table){.buckets = alloc_array(FIRST_SIZE, sizeof(struct node *)),
                        .n_buckets = FIRST_SIZE};
    return t->buckets != NULL ? 0 : -1;
}

void table_free(struct table *t)
{
    free(t->buckets);
    *t = (struct table){0};
}

static struct node **bucket_of(const struct table *t, uint64_t hash)
{
    return &t->buckets[hash & (t->n_buckets - 1)];
}

static void push(struct table *t, struct node *n)
{
    struct node **at = bucket_of(t, n->hash);
    n->next = *at;
    *at = n;
}

struct node *table_find(const struct table *t, struct span name)
{
    uint64_t hash = hash_of(name);
    struct node *n = *bucket_of(t, hash);
    while (n != NULL && (n->hash != hash || !span_eq(n->name, name)))
        n = n->next;
    return n;
}

/* Without memory for more buckets the old ones do, only slower. */
static void grow(struct table *t)
{
    struct table larger = {.buckets = alloc_array(t->n_buckets * 2, sizeof(struct node *)),
                           .n_buckets = t->n_buckets * 2,
                           .n = t->n};
    if (larger.buckets == NULL)
        return;
    for (size_t i = 0; i < t->n_buckets; i++)
        while (t->buckets[i] != NULL) {
            struct node *n = t->buckets[i];
            t->buckets[i] = n->next;
            push(&larger, n);
        }
    free(t->buckets);
    *t = larger;
}

void table_add(struct table *t, struct node *n, struct span name)
{
    if (t->n >= t->n_buckets)
        grow(t);
    n->name = name;
    n->hash = hash_of(name);
    push(t, n);
    t->n++;
}

void table_remove(struct table *t, struct node *n)
{
    struct node **at = bucket_of(t, n->hash);
    while (*at != NULL && *at != n)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    *at = n->next;
    t->n--;
}

struct node *table_next(const struct table *t, const struct node *after)
{
    size_t i = 0;
    if (after != NULL) {
        if (after->next != NULL)
            return after->next;
        i = (after->hash & (t->n_buckets - 1)) + 1;
    }
    while (i < t->n_buckets && t->buckets[i] == NULL)
        i++;
    return i < t->n_buckets ? t->buckets[i] : NULL;
}
