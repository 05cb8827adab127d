#include "queue/agenda_state.h"

#include "common/clock.h"

#include <sodium.h>

#define KEY_MAX     (DOMAIN_MAX + 32) /* of route_key */
#define SUSPECT_MS  1000              /* a lane waits so long for one of the few jobs of its kind */
#define CAPPED_STEP 8                 /* lanes that are looked at again when a job ends */

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

void agenda_set_jobs(struct agenda *a, uint64_t jobs_max)
{
    a->jobs_max = jobs_max;
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

size_t agenda_count(const struct agenda *a)
{
    return a->n_items;
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

static struct item **find_item(struct agenda *a, uint64_t message, uint32_t number)
{
    struct item **at = &a->items[item_bucket(message, number)];
    while (*at != NULL && ((*at)->message != message || (*at)->number != number))
        at = &(*at)->next_same;
    return at;
}

static struct lane **find_lane(struct agenda *a, const char *key)
{
    struct lane **at = &a->lanes[lane_bucket(key)];
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
    l->last = &l->turn;
    *at = l;
    return l;
}

static struct flow **find_flow(struct agenda *a, const struct lane *l, uint64_t key)
{
    struct flow **at = &a->flows[bucket(key ^ (uint64_t)(uintptr_t)l, FLOW_BUCKETS)];
    while (*at != NULL && ((*at)->lane != l || (*at)->key != key))
        at = &(*at)->next_same;
    return at;
}

static struct flow *get_flow(struct agenda *a, struct lane *l, uint64_t key)
{
    struct flow **at = find_flow(a, l, key);
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

static void leave_idle(struct agenda *a, struct lane *l)
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
    leave_idle(a, l);
    *at = l->next_same;
    free(l->why);
    free(l);
}

/* A lane without recipients is in no list but that of the idle ones, and kept only for its pace. */
static void drop_if_empty(struct agenda *a, struct lane *l)
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

static void drop_flow_if_empty(struct agenda *a, struct flow *f)
{
    if (f->n_items > 0)
        return;
    struct flow **at = find_flow(a, f->lane, f->key);
    *at = f->next_same;
    free(f);
}

/* --- turns --- */

static void append_turn(struct agenda *a, struct lane *l)
{
    l->place = LANE_TURN;
    l->next_turn = NULL;
    *a->last_turn = l;
    a->last_turn = &l->next_turn;
}

static void sleep_for(struct agenda *a, struct lane *l, int64_t wait_ms)
{
    l->place = LANE_ASLEEP;
    l->wake_ms = clock_wall_ms() + wait_ms;
    l->next_turn = a->asleep;
    a->asleep = l;
}

static void push_stuck(struct agenda *a, struct lane *l)
{
    l->place = LANE_STUCK;
    l->next_turn = a->stuck;
    a->stuck = l;
}

/* All that waits in it is of senders that have their part of the jobs. It gets a turn when a job
 * ends, or when something of another sender comes. */
static void push_capped(struct agenda *a, struct lane *l)
{
    if (l->is_capped)
        return;
    l->is_capped = true;
    l->next_capped = NULL;
    *a->last_capped = l;
    a->last_capped = &l->next_capped;
}

static bool is_suspect(const struct lane *l)
{
    return l->pace.n_down > 0;
}

/* It is asked again when a job of the lane ends; one without jobs always gets its turn. */
static void give_turn(struct agenda *a, struct lane *l)
{
    if (l->place != LANE_QUIET || l->turn == NULL)
        return;
    int64_t now_ms = clock_wall_ms();
    if (pace_down_until_ms(&l->pace, now_ms) > 0) {
        push_stuck(a, l);
        return;
    }
    uint64_t free_jobs = a->jobs_max > a->n_jobs ? a->jobs_max - a->n_jobs : 0;
    uint64_t mine = pace_jobs(&l->pace, &l->rules);
    if (l->n_jobs >= (free_jobs / 4 + 1 < mine ? free_jobs / 4 + 1 : mine))
        return;
    int64_t wait_ms = pace_wait_ms(&l->pace, &l->rules, now_ms);
    if (wait_ms == 0 && is_suspect(l) && a->n_suspects > a->jobs_max / 4)
        wait_ms = SUSPECT_MS;
    if (wait_ms > 0)
        sleep_for(a, l, wait_ms);
    else
        append_turn(a, l);
}

/* A job ended: its sender may have another one. */
static void uncap(struct agenda *a)
{
    for (int i = 0; i < CAPPED_STEP && a->capped != NULL; i++) {
        struct lane *l = a->capped;
        a->capped = l->next_capped;
        if (a->capped == NULL)
            a->last_capped = &a->capped;
        l->is_capped = false;
        give_turn(a, l);
        drop_if_empty(a, l);
    }
}

int64_t agenda_wake(struct agenda *a)
{
    int64_t now_ms = clock_wall_ms(), next_ms = -1;
    struct lane *list = a->asleep;
    a->asleep = NULL;
    while (list != NULL) {
        struct lane *l = list;
        list = l->next_turn;
        int64_t left_ms = l->wake_ms - now_ms;
        if (left_ms > 0 && left_ms <= PACE_DOWN_MAX_MS) {
            l->next_turn = a->asleep;
            a->asleep = l;
        } else {
            l->place = LANE_QUIET;
            give_turn(a, l);
            left_ms = l->place == LANE_ASLEEP ? l->wake_ms - now_ms : -1;
            drop_if_empty(a, l);
        }
        if (left_ms > 0 && (next_ms < 0 || left_ms < next_ms))
            next_ms = left_ms;
    }
    return next_ms;
}

void agenda_wake_all(struct agenda *a)
{
    for (struct lane *l = a->asleep; l != NULL; l = l->next_turn)
        l->wake_ms = 0;
    for (size_t i = 0; i < LANE_BUCKETS; i++)
        for (struct lane *l = a->lanes[i]; l != NULL; l = l->next_same)
            pace_wake(&l->pace);
}

void agenda_reload(struct agenda *a)
{
    agenda_wake_all(a);
    for (size_t i = 0; i < LANE_BUCKETS; i++)
        for (struct lane *l = a->lanes[i]; l != NULL; l = l->next_same)
            l->rules.n_retry = 0;
}

/* --- memory --- */

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

/* --- recipients come --- */

static void append_item(struct flow *f, struct item *it)
{
    if (f->first == NULL) {
        *f->lane->last = f;
        f->lane->last = &f->next_turn;
        f->next_turn = NULL;
    }
    *f->last = it;
    f->last = &it->next;
}

int64_t agenda_down(const struct agenda *a, const char *lane, struct span *why)
{
    const struct lane *l = a->lanes[lane_bucket(lane)];
    while (l != NULL && strcmp(l->key, lane) != 0)
        l = l->next_same;
    *why = l != NULL && l->why != NULL ? span_of(l->why) : SPAN("");
    return l != NULL ? pace_down_until_ms(&l->pace, clock_wall_ms()) : 0;
}

static enum agenda_result has_room(struct agenda *a, struct lane *l, uint64_t flow)
{
    const struct flow *f = *find_flow(a, l, flow);
    if (pace_down_until_ms(&l->pace, clock_wall_ms()) > 0)
        return AGENDA_DOWN;
    if (l->n_items <= room_of_lane(a) || (f != NULL ? f->n_items : 0) < FLOW_ITEMS)
        return AGENDA_ADDED;
    l->has_more = true;
    set_hungry(a, l, false);
    return AGENDA_LANE_FULL;
}

static enum agenda_result add_to(struct agenda *a, struct lane *l, const struct agenda_entry *e)
{
    struct item *it = calloc(1, sizeof *it);
    struct flow *f = it != NULL ? get_flow(a, l, e->flow) : NULL;
    if (f == NULL) {
        free(it);
        return AGENDA_FULL;
    }
    *it = (struct item){.flow = f, .message = e->message, .number = e->number};
    *find_item(a, e->message, e->number) = it;
    append_item(f, it);
    f->n_items++;
    l->n_items++;
    a->n_items++;
    leave_idle(a, l);
    give_turn(a, l);
    return AGENDA_ADDED;
}

enum agenda_result agenda_add(struct agenda *a, const struct agenda_entry *e)
{
    if (*find_item(a, e->message, e->number) != NULL)
        return AGENDA_KNOWN;
    if (a->n_items >= AGENDA_MAX)
        return AGENDA_FULL;
    struct lane *l = get_lane(a, e->lane);
    if (l == NULL)
        return AGENDA_FULL;
    l->rules = e->rules;
    enum agenda_result result = has_room(a, l, e->flow);
    if (result == AGENDA_ADDED)
        result = add_to(a, l, e);
    if (result != AGENDA_ADDED)
        drop_if_empty(a, l);
    return result;
}

/* --- and go --- */

/* The first recipients of the lane's next flow that are of one message; the flow goes to the end.
 */
static void cut_job(struct lane *l, struct agenda_job *job)
{
    struct flow *f = l->turn;
    l->turn = f->next_turn;
    if (l->turn == NULL)
        l->last = &l->turn;
    *job = (struct agenda_job){
        .message = f->first->message, .started_ms = clock_wall_ms(), .flow = f->key};
    while (f->first != NULL && f->first->message == job->message && job->n < RELAY_RCPTS_MAX) {
        f->first->is_active = true;
        job->numbers[job->n++] = f->first->number;
        f->first = f->first->next;
    }
    if (f->first == NULL) {
        f->last = &f->first;
        return;
    }
    f->next_turn = NULL;
    *l->last = f;
    l->last = &f->next_turn;
}

/* Makes the next flow whose sender may have one more job the first of the lane. False: none is. */
static bool turn_to_fair(struct agenda *a, struct lane *l)
{
    uint64_t n_free = a->jobs_max - a->n_jobs;
    const struct flow *first = l->turn;
    while (!shares_may(&a->shares, l->turn->key, n_free)) {
        struct flow *f = l->turn;
        if (f->next_turn != NULL) {
            l->turn = f->next_turn;
            f->next_turn = NULL;
            *l->last = f;
            l->last = &f->next_turn;
        }
        if (l->turn == first)
            return false;
    }
    return true;
}

bool agenda_take(struct agenda *a, struct agenda_job *job)
{
    struct lane *l;
    int64_t now_ms = clock_wall_ms();
    while ((l = a->turn) != NULL && a->n_jobs < a->jobs_max) {
        a->turn = l->next_turn;
        if (a->turn == NULL)
            a->last_turn = &a->turn;
        l->place = LANE_QUIET;
        if (pace_down_until_ms(&l->pace, now_ms) > 0 ||
            pace_wait_ms(&l->pace, &l->rules, now_ms) > 0) {
            give_turn(a, l); /* it changed while it waited */
            continue;
        }
        if (!turn_to_fair(a, l)) {
            push_capped(a, l);
            continue;
        }
        cut_job(l, job);
        shares_take(&a->shares, job->flow);
        pace_started(&l->pace, &l->rules, now_ms);
        l->n_jobs++;
        a->n_jobs++;
        job->is_suspect = is_suspect(l);
        a->n_suspects += job->is_suspect;
        give_turn(a, l);
        return true;
    }
    return false;
}

static struct lane *forget(struct agenda *a, uint64_t message, uint32_t number)
{
    struct item **at = find_item(a, message, number), *it = *at;
    if (it == NULL)
        return NULL;
    struct lane *l = it->flow->lane;
    *at = it->next_same;
    it->flow->n_items--;
    l->n_items--;
    a->n_items--;
    drop_flow_if_empty(a, it->flow);
    free(it);
    return l;
}

static struct lane *forget_job(struct agenda *a, const struct agenda_job *job)
{
    struct lane *l = NULL;
    for (size_t i = 0; i < job->n; i++) {
        struct lane *its = forget(a, job->message, job->numbers[i]);
        l = its != NULL ? its : l;
    }
    return l;
}

static void note_why(struct lane *l, struct span why)
{
    char *copy = span_dup((struct span){why.p, why.n < AGENDA_WHY ? why.n : AGENDA_WHY});
    free(l->why);
    l->why = copy;
}

static void job_left(struct agenda *a, struct lane *l, const struct agenda_job *job)
{
    l->n_jobs--;
    a->n_jobs--;
    a->n_suspects -= job->is_suspect;
    shares_give(&a->shares, job->flow);
}

void agenda_done(struct agenda *a, const struct agenda_job *job, enum reach o, struct span why)
{
    struct lane *l = forget_job(a, job);
    if (l == NULL)
        return;
    job_left(a, l, job);
    pace_ended(&l->pace, &l->rules, o, job->started_ms, clock_wall_ms(), randombytes_random());
    if (o == REACH_DOWN)
        note_why(l, why);
    give_turn(a, l);
    if (l->has_more && l->n_items <= room_of_lane(a) / 2)
        set_hungry(a, l, true);
    drop_if_empty(a, l);
    uncap(a);
}

bool agenda_take_stuck(struct agenda *a, struct agenda_job *job, int64_t *until_ms,
                       struct span *why)
{
    struct lane *l;
    while ((l = a->stuck) != NULL) {
        *until_ms = pace_down_until_ms(&l->pace, clock_wall_ms());
        if (l->turn != NULL && *until_ms > 0) {
            cut_job(l, job);
            snprintf(a->why, sizeof a->why, "%s", l->why != NULL ? l->why : "");
            *why = span_of(a->why);
            forget_job(a, job);
            return true;
        }
        a->stuck = l->next_turn;
        l->place = LANE_QUIET;
        give_turn(a, l);
        if (l->has_more && l->n_items <= room_of_lane(a) / 2)
            set_hungry(a, l, true);
        drop_if_empty(a, l);
    }
    return false;
}

/* To the front of its flow, which becomes the first of its lane. */
static void unshift(struct item *it)
{
    struct flow *f = it->flow;
    struct lane *l = f->lane;
    bool was_waiting = f->first != NULL;
    it->is_active = false;
    it->next = f->first;
    f->first = it;
    if (it->next == NULL)
        f->last = &it->next;
    if (was_waiting)
        return;
    f->next_turn = l->turn;
    if (l->turn == NULL)
        l->last = &f->next_turn;
    l->turn = f;
}

void agenda_put_back(struct agenda *a, const struct agenda_job *job)
{
    struct lane *l = NULL;
    for (size_t i = job->n; i-- > 0;) {
        struct item *it = *find_item(a, job->message, job->numbers[i]);
        if (it == NULL)
            continue;
        l = it->flow->lane;
        unshift(it);
    }
    if (l == NULL)
        return;
    job_left(a, l, job);
    give_turn(a, l);
    uncap(a);
}

bool agenda_is_active(const struct agenda *a, uint64_t message, uint32_t number)
{
    const struct item *it = a->items[item_bucket(message, number)];
    while (it != NULL && (it->message != message || it->number != number))
        it = it->next_same;
    return it != NULL && it->is_active;
}
