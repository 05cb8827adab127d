/* The inside of agenda.h, for the three agenda*.c alone: lanes, their flows, and what waits in
 * them. agenda_state.c finds, makes and drops them, agenda_turns.c says whose turn it is, agenda.c
 * is how recipients come and go. */
#ifndef BARID_QUEUE_AGENDA_STATE_H
#define BARID_QUEUE_AGENDA_STATE_H

#include "queue/agenda.h"
#include "queue/shares.h"

#define ITEM_BUCKETS 4096
#define LANE_BUCKETS 1024
#define FLOW_BUCKETS 4096

struct flow {
    struct flow *next_same; /* in its bucket */
    struct flow *next_turn; /* in its lane: flows that wait */
    struct lane *lane;
    uint64_t key;
    struct item *first, **last; /* waiting */
    size_t n_items;             /* waiting and active */
};

struct lane {
    struct lane *next_same; /* in its bucket */
    struct lane *next_turn; /* in the order of turns, or among those asleep, or stuck */
    enum { LANE_QUIET, LANE_TURN, LANE_ASLEEP, LANE_STUCK } place;
    bool has_more;             /* something did not fit: it waits in the database */
    bool is_hungry;            /* and now there is room for it */
    struct flow *turn, **last; /* its flows that wait */
    size_t n_items, n_jobs;    /* items: waiting and active */
    int64_t wake_ms;           /* asleep until then */
    struct pace pace;
    struct pace_rules rules;
    char *why;                  /* it is down; NULL: nothing was said */
    struct lane *older, *newer; /* among those without items */
    bool is_idle;
    struct lane *next_capped;
    bool is_capped; /* in the list of those whose senders have their part of all jobs */
    char key[];
};

struct item {
    struct item *next_same; /* in its bucket */
    struct item *next;      /* waiting in its flow */
    struct flow *flow;
    uint64_t message;
    uint32_t number;
    bool is_active;
};

struct agenda {
    struct item *items[ITEM_BUCKETS];
    struct lane *lanes[LANE_BUCKETS];
    struct flow *flows[FLOW_BUCKETS];
    struct lane *turn, **last_turn; /* lanes that wait and may start a job */
    struct lane *asleep, *stuck;
    struct lane *capped, **last_capped;
    struct lane *oldest, *newest; /* idle */
    size_t n_items, n_jobs, n_suspects, n_hungry, n_idle;
    uint64_t jobs_max;
    struct shares shares; /* of n_jobs */
    char why[AGENDA_WHY + 1];
};

static inline size_t lane_bucket(const char *key)
{
    uint64_t h = 0xcbf29ce484222325U;
    for (const char *p = key; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3U;
    return h % LANE_BUCKETS;
}

/* --- finding and dropping: agenda_state.c --- */

/* Where it is, or would be put. */
struct item **agenda_item(struct agenda *a, uint64_t message, uint32_t number);
struct flow **agenda_find_flow(struct agenda *a, const struct lane *l, uint64_t key);
/* Made if there is none; NULL without memory. */
struct lane *agenda_lane(struct agenda *a, const char *key);
struct flow *agenda_flow(struct agenda *a, struct lane *l, uint64_t key);
void lane_leave_idle(struct agenda *a, struct lane *l);
/* A lane without recipients is in no list but that of the idle ones, and kept only for its pace. */
void lane_drop_if_empty(struct agenda *a, struct lane *l);
void flow_drop_if_empty(struct agenda *a, struct flow *f);

/* --- turns: agenda_turns.c --- */

static inline bool lane_is_suspect(const struct lane *l)
{
    return l->pace.n_down > 0;
}

/* It is asked again when a job of the lane ends; one without jobs always gets its turn. */
void lane_give_turn(struct agenda *a, struct lane *l);
/* All that waits in it is of senders that have their part of the jobs. It gets a turn when a job
 * ends, or when something of another sender comes. */
void lane_cap(struct agenda *a, struct lane *l);
/* A job ended: its sender may have another one. */
void agenda_uncap(struct agenda *a);

#endif
