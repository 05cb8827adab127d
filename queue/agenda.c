#include "queue/agenda_state.h"

#include "common/clock.h"

#include <sodium.h>

void agenda_set_jobs(struct agenda *a, uint64_t jobs_max)
{
    a->jobs_max = jobs_max;
}

size_t agenda_count(const struct agenda *a)
{
    return a->n_items;
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
            lane_drop_if_empty(a, l);
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
    const struct flow *f = *agenda_find_flow(a, l, flow);
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
    struct flow *f = it != NULL ? agenda_flow(a, l, e->flow) : NULL;
    if (f == NULL) {
        free(it);
        return AGENDA_FULL;
    }
    *it = (struct item){.flow = f, .message = e->message, .number = e->number};
    *agenda_item(a, e->message, e->number) = it;
    append_item(f, it);
    f->n_items++;
    l->n_items++;
    a->n_items++;
    lane_leave_idle(a, l);
    lane_give_turn(a, l);
    return AGENDA_ADDED;
}

enum agenda_result agenda_add(struct agenda *a, const struct agenda_entry *e)
{
    if (*agenda_item(a, e->message, e->number) != NULL)
        return AGENDA_KNOWN;
    if (a->n_items >= AGENDA_MAX)
        return AGENDA_FULL;
    struct lane *l = agenda_lane(a, e->lane);
    if (l == NULL)
        return AGENDA_FULL;
    l->rules = e->rules;
    enum agenda_result result = has_room(a, l, e->flow);
    if (result == AGENDA_ADDED)
        result = add_to(a, l, e);
    if (result != AGENDA_ADDED)
        lane_drop_if_empty(a, l);
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
            lane_give_turn(a, l); /* it changed while it waited */
            continue;
        }
        if (!turn_to_fair(a, l)) {
            lane_cap(a, l);
            continue;
        }
        cut_job(l, job);
        shares_take(&a->shares, job->flow);
        pace_started(&l->pace, &l->rules, now_ms);
        l->n_jobs++;
        a->n_jobs++;
        job->is_suspect = lane_is_suspect(l);
        a->n_suspects += job->is_suspect;
        lane_give_turn(a, l);
        return true;
    }
    return false;
}

static struct lane *forget(struct agenda *a, uint64_t message, uint32_t number)
{
    struct item **at = agenda_item(a, message, number), *it = *at;
    if (it == NULL)
        return NULL;
    struct lane *l = it->flow->lane;
    *at = it->next_same;
    it->flow->n_items--;
    l->n_items--;
    a->n_items--;
    flow_drop_if_empty(a, it->flow);
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
    lane_give_turn(a, l);
    if (l->has_more && l->n_items <= room_of_lane(a) / 2)
        set_hungry(a, l, true);
    lane_drop_if_empty(a, l);
    agenda_uncap(a);
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
        lane_give_turn(a, l);
        if (l->has_more && l->n_items <= room_of_lane(a) / 2)
            set_hungry(a, l, true);
        lane_drop_if_empty(a, l);
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
        struct item *it = *agenda_item(a, job->message, job->numbers[i]);
        if (it == NULL)
            continue;
        l = it->flow->lane;
        unshift(it);
    }
    if (l == NULL)
        return;
    job_left(a, l, job);
    lane_give_turn(a, l);
    agenda_uncap(a);
}
