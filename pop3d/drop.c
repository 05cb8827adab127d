#include "pop3d/drop.h"

void drop_free(struct drop *d)
{
    free(d->list);
    *d = (struct drop){0};
}

int drop_add(struct drop *d, uint64_t sequence, uint64_t id, uint64_t octets)
{
    if (sequence <= drop_last_sequence(d) || d->n >= DROP_MESSAGES_MAX)
        return -1;
    if (octets > INT64_MAX - d->octets)
        return -1;
    if (array_reserve((void **)&d->list, &d->cap, d->n + 1, sizeof *d->list) < 0)
        return -1;
    d->list[d->n] = (struct drop_entry){.sequence = sequence, .id = id};
    d->list[d->n++].octets = octets & INT64_MAX;
    d->octets += octets;
    return 0;
}

uint64_t drop_last_sequence(const struct drop *d)
{
    return d->n == 0 ? 0 : d->list[d->n - 1].sequence;
}

struct drop_entry *drop_find(const struct drop *d, uint64_t number)
{
    if (number == 0 || number > d->n || d->list[number - 1].is_deleted)
        return NULL;
    return &d->list[number - 1];
}

bool drop_has_deleted(const struct drop *d, uint64_t number)
{
    return number > 0 && number <= d->n && d->list[number - 1].is_deleted;
}

void drop_delete(struct drop *d, struct drop_entry *e)
{
    if (e->is_deleted)
        return;
    e->is_deleted = 1;
    d->n_deleted++;
    d->octets -= e->octets;
}

void drop_reset(struct drop *d)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->list[i].is_deleted) {
            d->list[i].is_deleted = 0;
            d->octets += d->list[i].octets;
        }
    d->n_deleted = 0;
}
