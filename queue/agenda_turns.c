#include "queue/agenda_state.h"

#include "common/clock.h"

#define SUSPECT_MS  1000 /* a lane waits so long for one of the few jobs of its kind */
#define CAPPED_STEP 8    /* lanes that are looked at again when a job ends */

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

void lane_cap(struct agenda *a, struct lane *l)
{
    if (l->is_capped)
        return;
    l->is_capped = true;
    l->next_capped = NULL;
    *a->last_capped = l;
    a->last_capped = &l->next_capped;
}

void lane_give_turn(struct agenda *a, struct lane *l)
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
    if (wait_ms == 0 && lane_is_suspect(l) && a->n_suspects > a->jobs_max / 4)
        wait_ms = SUSPECT_MS;
    if (wait_ms > 0)
        sleep_for(a, l, wait_ms);
    else
        append_turn(a, l);
}

void agenda_uncap(struct agenda *a)
{
    for (int i = 0; i < CAPPED_STEP && a->capped != NULL; i++) {
        struct lane *l = a->capped;
        a->capped = l->next_capped;
        if (a->capped == NULL)
            a->last_capped = &a->capped;
        l->is_capped = false;
        lane_give_turn(a, l);
        lane_drop_if_empty(a, l);
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
            lane_give_turn(a, l);
            left_ms = l->place == LANE_ASLEEP ? l->wake_ms - now_ms : -1;
            lane_drop_if_empty(a, l);
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
