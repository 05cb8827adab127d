#include "cli/rows.h"

static bool is_whole(struct span fields)
{
    struct unpacker u = unpacker_on(fields);
    struct column c;
    while (column_next(&u, &c))
        ;
    return unpack_done(&u);
}

int rows_add(struct rows *r, unsigned depth, struct span group, struct span fields)
{
    if (depth > 1 || !is_whole(fields) ||
        array_reserve((void **)&r->list, &r->cap, r->n + 1, sizeof *r->list) < 0)
        return -1;
    char *name = span_dup(group), *octets = malloc(fields.n + 1);
    if (name == NULL || octets == NULL) {
        free(name);
        free(octets);
        return -1;
    }
    if (fields.n > 0)
        memcpy(octets, fields.p, fields.n);
    r->list[r->n++] = (struct row){.group = name, .fields = octets, .n = fields.n, .depth = depth};
    return 0;
}

static void free_row(struct row *row)
{
    free(row->group);
    free(row->fields);
}

void rows_cut(struct rows *r, uint64_t n)
{
    size_t keep = 0;
    while (keep < r->n && (r->list[keep].depth > 0 || n-- > 0))
        keep++;
    while (r->n > keep)
        free_row(&r->list[--r->n]);
}

void rows_free(struct rows *r)
{
    for (size_t i = 0; i < r->n; i++)
        free_row(&r->list[i]);
    free(r->list);
    *r = (struct rows){.n = 0};
}

struct span row_fields(const struct row *r)
{
    return (struct span){r->fields, r->n};
}

bool row_find(const struct row *r, const char *name, struct column *out)
{
    struct unpacker u = unpacker_on(r != NULL ? row_fields(r) : SPAN(""));
    while (column_next(&u, out))
        if (span_eq(out->name, span_of(name)))
            return true;
    return false;
}

int64_t row_find_number(const struct row *r, const char *name)
{
    struct column c;
    return row_find(r, name, &c) ? c.number : 0;
}

size_t rows_end_of(const struct rows *r, size_t parent)
{
    size_t end = parent + 1;
    while (end < r->n && r->list[end].depth > 0)
        end++;
    return end;
}
