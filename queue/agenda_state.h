/* The inside of agenda.h, for agenda.c alone: lanes, their flows, and what waits in them. */
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

#endif
