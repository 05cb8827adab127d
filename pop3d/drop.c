#include "pop3d/drop.h"

#include <stdlib.h>

void drop_free(struct drop *d)
{
    listing_unmap(&d->listing);
    free(d->deleted);
    *d = (struct drop){0};
}

int drop_open(struct drop *d, int fd, uint64_t n, uint64_t text_n)
{
    drop_free(d);
    if (listing_map(&d->listing, fd, n, text_n) < 0)
        return -1;
    d->n = d->listing.n;
    d->octets = d->listing.octets;
    return 0;
}

static unsigned char bit_of(uint64_t number)
{
    return (unsigned char)(1U << ((number - 1) & 7));
}

bool drop_has_deleted(const struct drop *d, uint64_t number)
{
    return d->deleted != NULL && number > 0 && number <= d->n &&
           (d->deleted[(number - 1) >> 3] & bit_of(number)) != 0;
}

const struct listing_entry *drop_find(const struct drop *d, uint64_t number)
{
    if (number == 0 || number > d->n || drop_has_deleted(d, number))
        return NULL;
    return &d->listing.list[number - 1];
}

int drop_delete(struct drop *d, uint64_t number)
{
    const struct listing_entry *e = drop_find(d, number);
    if (e == NULL)
        return 0;
    if (d->deleted == NULL && (d->deleted = calloc(1, (d->n + 7) / 8)) == NULL)
        return -1;
    d->deleted[(number - 1) >> 3] |= bit_of(number);
    d->n_deleted++;
    d->octets -= e->octets;
    return 0;
}

void drop_reset(struct drop *d)
{
    free(d->deleted);
    d->deleted = NULL;
    d->n_deleted = 0;
    d->octets = d->listing.octets;
}
