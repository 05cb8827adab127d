#include "mailbox/delay.h"

#include <stdlib.h>

#define PLACES 65536

struct delay {
    struct {
        uint64_t box;
        int64_t opened_ms;
    } places[PLACES];
};

struct delay *delay_new(void)
{
    return calloc(1, sizeof(struct delay));
}

void delay_free(struct delay *d)
{
    free(d);
}

static size_t place_of(uint64_t box)
{
    return (box + (box >> 32) * 31) % PLACES;
}

bool delay_is_over(const struct delay *d, uint64_t box, int64_t now_ms, int64_t delay_ms)
{
    size_t i = place_of(box);
    return d->places[i].box != box || now_ms - d->places[i].opened_ms >= delay_ms;
}

void delay_opened(struct delay *d, uint64_t box, int64_t now_ms)
{
    size_t i = place_of(box);
    d->places[i].box = box;
    d->places[i].opened_ms = now_ms;
}
