/* How fast one destination may be sent to: how many jobs at a time (slow start, back off), how many
 * in a time ([relay] rate), and not at all while nothing of it can be reached. Pure arithmetic on
 * the wall clock in ms, in which the times of attempts are kept too; a clock that jumps back opens
 * what would else stay shut. */
#ifndef BARID_QUEUE_PACE_H
#define BARID_QUEUE_PACE_H

#include "common/config.h"
#include "common/proto.h"

#define PACE_START 5 /* jobs at a time, to begin with */
#define PACE_DOWN_MAX_MS                                                                           \
    (60 * 60 * INT64_C(1000)) /* it is asked again after this at the latest                        \
                               */

/* What the configuration says; valid as long as it is. */
struct pace_rules {
    uint64_t jobs_max;
    struct rate rate;
    const int64_t *retry_ms;
    size_t n_retry;
};

struct pace {
    uint64_t limit;     /* jobs at a time; 0: PACE_START */
    unsigned n_slow;    /* in a row */
    unsigned n_down;    /* in a row */
    int64_t ok_ms;      /* when a job last succeeded */
    int64_t slowed_ms;  /* when the limit was last lowered */
    int64_t paused_ms;  /* no job before this time */
    int64_t down_ms;    /* the same, and what waits is put off */
    int64_t rate_ms;    /* when all that was sent would have been sent at the even rate */
    int64_t touched_ms; /* the last call that changed something */
};

uint64_t pace_jobs(const struct pace *p, const struct pace_rules *r);
/* 0: a job may start now; else how long not, by pause and rate. */
int64_t pace_wait_ms(const struct pace *p, const struct pace_rules *r, int64_t now_ms);
/* Until when it is not worth trying; 0: it is. */
int64_t pace_down_until_ms(const struct pace *p, int64_t now_ms);
void pace_started(struct pace *p, const struct pace_rules *r, int64_t now_ms);
/* A job that began at `started_ms` ended. dice: a random number. */
void pace_ended(struct pace *p, const struct pace_rules *r, enum reach o, int64_t started_ms,
                int64_t now_ms, uint32_t dice);
/* Somebody knows better: try it now. What was learned of its speed stays. */
void pace_wake(struct pace *p);
/* There is nothing in it that a new one has not. */
bool pace_is_plain(const struct pace *p, int64_t now_ms);

#endif
