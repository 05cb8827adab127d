#include "queue/agenda.h"

#define ITEM_BUCKETS 4096
#define LANE_BUCKETS 1024
#define KEY_MAX      (DOMAIN_MAX + 32) /* of route_key */

struct lane {
    struct lane *next_same; /* in its bucket */
    struct lane *next_turn; /* in the order of turns */
    bool has_turn;
    bool has_more;              /* something did not fit: it waits in the database */
    bool is_hungry;             /* and now there is room for it */
    struct item *first, **last; /* waiting */
    size_t n_items, n_jobs;     /* items: waiting and active */
    char key[];
};

struct item {
    struct item *next_same; /* in its bucket: of the same message, mostly */
    struct item *next;      /* waiting in its lane */
    struct lane *lane;
    uint64_t message;
    uint32_t number;
    bool is_active;
};

struct agenda {
    struct item *items[ITEM_BUCKETS];
    struct lane *lanes[LANE_BUCKETS];
    struct lane *turn, **last_turn; /* lanes that wait and may start a job */
    size_t n_items, n_jobs, n_hungry;
};

struct agenda *agenda_new(void)
{
    struct agenda *a = calloc(1, sizeof *a);
    if (a != NULL)
        a->last_turn = &a->turn;
    return a;
}

void agenda_free(struct agenda *a)
{
    for (size_t i = 0; a != NULL && i < ITEM_BUCKETS; i++)
        for (struct item *it = a->items[i], *next; it != NULL; it = next) {
            next = it->next_same;
            free(it);
        }
    for (size_t i = 0; a != NULL && i < LANE_BUCKETS; i++)
        for (struct lane *l = a->lanes[i], *next; l != NULL; l = next) {
            next = l->next_same;
            free(l);
        }
    free(a);
}

size_t agenda_count(const struct agenda *a)
{
    return a->n_items;
}

static size_t item_bucket(uint64_t message)
{
    return (size_t)(message * 0x9e3779b97f4a7c15U >> 52) % ITEM_BUCKETS;
}

static struct item **find_item(struct agenda *a, uint64_t message, uint32_t number)
{
    struct item **at = &a->items[item_bucket(message)];
    while (*at != NULL && ((*at)->message != message || (*at)->number != number))
        at = &(*at)->next_same;
    return at;
}

static struct lane **find_lane(struct agenda *a, const char *key)
{
    uint64_t h = 0xcbf29ce484222325U;
    for (const char *p = key; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3U;
    struct lane **at = &a->lanes[h % LANE_BUCKETS];
    while (*at != NULL && strcmp((*at)->key, key) != 0)
        at = &(*at)->next_same;
    return at;
}

static struct lane *get_lane(struct agenda *a, const char *key)
{
    struct lane **at = find_lane(a, key);
    size_t n = strnlen(key, KEY_MAX) + 1;
    if (*at != NULL || n > KEY_MAX)
        return *at;
    struct lane *l = calloc(1, sizeof *l + n);
    if (l == NULL)
        return NULL;
    memcpy(l->key, key, n);
    l->last = &l->first;
    *at = l;
    return l;
}

/* It is asked again when a job of the lane ends; one without jobs always gets its turn. */
static void give_turn(struct agenda *a, struct lane *l)
{
    size_t share = (JOBS_MAX - a->n_jobs) / 4 + 1;
    if (l->has_turn || l->first == NULL ||
        l->n_jobs >= (share < LANE_JOBS_MAX ? share : LANE_JOBS_MAX))
        return;
    l->has_turn = true;
    l->next_turn = NULL;
    *a->last_turn = l;
    a->last_turn = &l->next_turn;
}

/* An empty lane has no turn, no jobs and no items: nothing points at it. */
static void drop_if_empty(struct agenda *a, struct lane *l)
{
    if (l->n_items > 0 || l->has_turn || l->is_hungry)
        return;
    struct lane **at = find_lane(a, l->key);
    *at = l->next_same;
    free(l);
}

static void set_hungry(struct agenda *a, struct lane *l, bool is_hungry)
{
    if (l->is_hungry == is_hungry)
        return;
    l->is_hungry = is_hungry;
    a->n_hungry += is_hungry ? 1 : (size_t)-1;
}

/* How many a lane may have. */
static size_t room_of_lane(const struct agenda *a)
{
    return (AGENDA_MAX - a->n_items) / 4;
}

bool agenda_is_hungry(const struct agenda *a)
{
    return a->n_hungry > 0;
}

void agenda_sated(struct agenda *a)
{
    for (size_t i = 0; a->n_hungry > 0 && i < LANE_BUCKETS; i++)
        for (struct lane *l = a->lanes[i], *next; l != NULL; l = next) {
            next = l->next_same;
            if (!l->is_hungry)
                continue;
            set_hungry(a, l, false);
            l->has_more = false;
            drop_if_empty(a, l);
        }
}

enum agenda_result agenda_add(struct agenda *a, uint64_t message, uint32_t number, const char *lane)
{
    struct item **at = find_item(a, message, number);
    if (*at != NULL)
        return AGENDA_KNOWN;
    if (a->n_items >= AGENDA_MAX)
        return AGENDA_FULL;
    struct lane *l = get_lane(a, lane);
    if (l == NULL)
        return AGENDA_FULL;
    if (l->n_items > room_of_lane(a)) {
        l->has_more = true;
        set_hungry(a, l, false);
        return AGENDA_LANE_FULL;
    }
    struct item *it = calloc(1, sizeof *it);
    if (it == NULL) {
        drop_if_empty(a, l);
        return AGENDA_FULL;
    }
    *it = (struct item){.lane = l, .message = message, .number = number};
    *at = it;
    *l->last = it;
    l->last = &it->next;
    l->n_items++;
    a->n_items++;
    give_turn(a, l);
    return AGENDA_ADDED;
}

bool agenda_take(struct agenda *a, struct agenda_job *job)
{
    struct lane *l = a->turn;
    if (l == NULL || a->n_jobs >= JOBS_MAX)
        return false;
    a->turn = l->next_turn;
    if (a->turn == NULL)
        a->last_turn = &a->turn;
    l->has_turn = false;
    *job = (struct agenda_job){.message = l->first->message};
    while (l->first != NULL && l->first->message == job->message && job->n < RELAY_RCPTS_MAX) {
        l->first->is_active = true;
        job->numbers[job->n++] = l->first->number;
        l->first = l->first->next;
    }
    if (l->first == NULL)
        l->last = &l->first;
    l->n_jobs++;
    a->n_jobs++;
    give_turn(a, l);
    return true;
}

static void forget(struct agenda *a, struct item **at)
{
    struct item *it = *at;
    *at = it->next_same;
    it->lane->n_items--;
    a->n_items--;
    free(it);
}

void agenda_done(struct agenda *a, const struct agenda_job *job)
{
    struct lane *l = NULL;
    for (size_t i = 0; i < job->n; i++) {
        struct item **at = find_item(a, job->message, job->numbers[i]);
        if (*at == NULL)
            continue;
        l = (*at)->lane;
        forget(a, at);
    }
    if (l == NULL)
        return;
    l->n_jobs--;
    a->n_jobs--;
    give_turn(a, l);
    if (l->has_more && l->n_items <= room_of_lane(a) / 2)
        set_hungry(a, l, true);
    drop_if_empty(a, l);
}

void agenda_put_back(struct agenda *a, const struct agenda_job *job)
{
    struct lane *l = NULL;
    for (size_t i = job->n; i-- > 0;) {
        struct item *it = *find_item(a, job->message, job->numbers[i]);
        if (it == NULL)
            continue;
        l = it->lane;
        it->is_active = false;
        it->next = l->first;
        l->first = it;
        if (it->next == NULL)
            l->last = &it->next;
    }
    if (l == NULL)
        return;
    l->n_jobs--;
    a->n_jobs--;
    give_turn(a, l);
}

bool agenda_is_active(const struct agenda *a, uint64_t message, uint32_t number)
{
    const struct item *it = a->items[item_bucket(message)];
    while (it != NULL && (it->message != message || it->number != number))
        it = it->next_same;
    return it != NULL && it->is_active;
}

bool agenda_has_active(const struct agenda *a, uint64_t message)
{
    for (const struct item *it = a->items[item_bucket(message)]; it != NULL; it = it->next_same)
        if (it->message == message && it->is_active)
            return true;
    return false;
}
