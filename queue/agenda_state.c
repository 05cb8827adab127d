#include "queue/agenda_state.h"

#include "common/clock.h"
#include "common/route.h"

#define KEY_MAX ROUTE_KEY_MAX

struct agenda *agenda_new(void)
{
    struct agenda *a = calloc(1, sizeof *a);
    if (a == NULL)
        return NULL;
    a->last_turn = &a->turn;
    a->last_capped = &a->capped;
    a->jobs_max = 1;
    return a;
}

void agenda_free(struct agenda *a)
{
    for (size_t i = 0; a != NULL && i < ITEM_BUCKETS; i++)
        for (struct item *it = a->items[i], *next; it != NULL; it = next) {
            next = it->next_same;
            free(it);
        }
    for (size_t i = 0; a != NULL && i < FLOW_BUCKETS; i++)
        for (struct flow *f = a->flows[i], *next; f != NULL; f = next) {
            next = f->next_same;
            free(f);
        }
    for (size_t i = 0; a != NULL && i < LANE_BUCKETS; i++)
        for (struct lane *l = a->lanes[i], *next; l != NULL; l = next) {
            next = l->next_same;
            free(l->why);
            free(l);
        }
    free(a);
}

/* --- finding --- */

static size_t bucket(uint64_t number, size_t n)
{
    return (size_t)(number * 0x9e3779b97f4a7c15U >> 40) % n;
}

static size_t item_bucket(uint64_t message, uint32_t number)
{
    return bucket(message + number * 0xd1342543de82ef95U, ITEM_BUCKETS);
}

struct item **agenda_item(struct agenda *a, uint64_t message, uint32_t number)
{
    struct item **at = &a->items[item_bucket(message, number)];
    while (*at != NULL && ((*at)->message != message || (*at)->number != number))
        at = &(*at)->next_same;
    return at;
}

bool agenda_is_active(const struct agenda *a, uint64_t message, uint32_t number)
{
    const struct item *it = a->items[item_bucket(message, number)];
    while (it != NULL && (it->message != message || it->number != number))
        it = it->next_same;
    return it != NULL && it->is_active;
}

static struct lane **find_lane(struct agenda *a, const char *key)
{
    struct lane **at = &a->lanes[lane_bucket(key)];
    while (*at != NULL && strcmp((*at)->key, key) != 0)
        at = &(*at)->next_same;
    return at;
}

struct lane *agenda_lane(struct agenda *a, const char *key)
{
    struct lane **at = find_lane(a, key);
    size_t n = strnlen(key, KEY_MAX) + 1;
    if (*at != NULL || n > KEY_MAX)
        return *at;
    struct lane *l = calloc(1, sizeof *l + n);
    if (l == NULL)
        return NULL;
    memcpy(l->key, key, n);
    l->last = &l->turn;
    *at = l;
    return l;
}

struct flow **agenda_find_flow(struct agenda *a, const struct lane *l, uint64_t key)
{
    struct flow **at = &a->flows[bucket(key ^ (uint64_t)(uintptr_t)l, FLOW_BUCKETS)];
    while (*at != NULL && ((*at)->lane != l || (*at)->key != key))
        at = &(*at)->next_same;
    return at;
}

struct flow *agenda_flow(struct agenda *a, struct lane *l, uint64_t key)
{
    struct flow **at = agenda_find_flow(a, l, key);
    if (*at != NULL)
        return *at;
    struct flow *f = calloc(1, sizeof *f);
    if (f == NULL)
        return NULL;
    *f = (struct flow){.lane = l, .key = key, .last = &f->first};
    *at = f;
    return f;
}

/* --- lanes without recipients --- */

void lane_leave_idle(struct agenda *a, struct lane *l)
{
    if (!l->is_idle)
        return;
    *(l->older != NULL ? &l->older->newer : &a->oldest) = l->newer;
    *(l->newer != NULL ? &l->newer->older : &a->newest) = l->older;
    l->older = l->newer = NULL;
    l->is_idle = false;
    a->n_idle--;
}

static void enter_idle(struct agenda *a, struct lane *l)
{
    l->older = a->newest;
    l->newer = NULL;
    *(l->older != NULL ? &l->older->newer : &a->oldest) = l;
    a->newest = l;
    l->is_idle = true;
    a->n_idle++;
}

static void drop(struct agenda *a, struct lane *l)
{
    struct lane **at = find_lane(a, l->key);
    lane_leave_idle(a, l);
    *at = l->next_same;
    free(l->why);
    free(l);
}

void lane_drop_if_empty(struct agenda *a, struct lane *l)
{
    if (l->n_items > 0 || l->place != LANE_QUIET || l->is_hungry || l->is_idle || l->is_capped)
        return;
    if (pace_is_plain(&l->pace, clock_wall_ms())) {
        drop(a, l);
        return;
    }
    enter_idle(a, l);
    if (a->n_idle > LANES_KEPT)
        drop(a, a->oldest);
}

void flow_drop_if_empty(struct agenda *a, struct flow *f)
{
    if (f->n_items > 0)
        return;
    struct flow **at = agenda_find_flow(a, f->lane, f->key);
    *at = f->next_same;
    free(f);
}
