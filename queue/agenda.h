/* Which recipients are to be tried now: the part of the queue that is in memory. Bounded; the rest
 * waits in the database. It knows numbers and lanes, no SQL and no channels.
 *
 * A lane is all that goes to one next hop (route_key); a flow is what of it comes from one sender.
 * Lanes take turns, and in a lane its flows do. What a lane may have, of the jobs and of the
 * memory, is a quarter of what is still free: so some is always left for others, however many slow
 * next hops there are. A flow that has little in a lane may add to it even if the lane is full, so
 * that one large mailing does not keep others out; of all jobs one sender has three quarters at
 * most (shares.h). How many jobs a lane has at a time, and when, is
 * its pace (pace.h); lanes that could not be reached the last time have a quarter of all jobs
 * together. */
#ifndef BARID_QUEUE_AGENDA_H
#define BARID_QUEUE_AGENDA_H

#include "common/proto.h"
#include "queue/pace.h"

#define AGENDA_MAX 10000
#define LANES_KEPT 4096 /* without recipients, for what was learned of their pace */
#define FLOW_ITEMS 8    /* a flow may always have */
#define AGENDA_WHY 200  /* octets of why a lane is down */

struct agenda;

struct agenda *agenda_new(void); /* NULL without memory */
void agenda_free(struct agenda *a);
size_t agenda_count(const struct agenda *a);
/* Jobs at a time; may change at any time. */
void agenda_set_jobs(struct agenda *a, uint64_t jobs_max);

enum agenda_result {
    AGENDA_ADDED,
    AGENDA_KNOWN,     /* it is there already, waiting or being tried */
    AGENDA_DOWN,      /* its lane cannot be reached now: see agenda_down */
    AGENDA_LANE_FULL, /* others may still be added; the lane remembers that it has more */
    AGENDA_FULL,      /* also: no memory */
};
struct agenda_entry {
    uint64_t message;
    uint32_t number;
    uint64_t flow;           /* the same for what has one sender */
    const char *lane;        /* a route_key */
    struct pace_rules rules; /* of the lane; valid until agenda_reload */
};
enum agenda_result agenda_add(struct agenda *a, const struct agenda_entry *e);
/* Until when (ms of the wall clock) a lane is down, and why; 0: it is not. */
int64_t agenda_down(const struct agenda *a, const char *lane, struct span *why);

/* A lane that had to leave some out has room again: look for them. */
bool agenda_is_hungry(const struct agenda *a);
void agenda_sated(struct agenda *a); /* all that could be found was added */

/* A job: recipients of one message that go the same way. */
struct agenda_job {
    uint64_t message;
    uint64_t flow;
    int64_t started_ms;
    bool is_suspect; /* its lane could not be reached the last time */
    size_t n;
    uint32_t numbers[RELAY_RCPTS_MAX];
};
/* The next job to start, of the lane whose turn it is. False if there is none, or enough run. */
bool agenda_take(struct agenda *a, struct agenda_job *job);
/* Recipients that wait in a lane that went down: to be put off until *until_ms, and forgotten here
 * with this call. False if there are none. *why holds until the next call. */
bool agenda_take_stuck(struct agenda *a, struct agenda_job *job, int64_t *until_ms,
                       struct span *why);
/* The job is over: forgets its recipients. why: of an outcome that is not good. */
void agenda_done(struct agenda *a, const struct agenda_job *job, enum reach o, struct span why);
/* The job could not be started: its recipients wait again, as the first of their lane. */
void agenda_put_back(struct agenda *a, const struct agenda_job *job);
/* Lanes whose pause is over get their turn. Returns how long until the next is, -1: none pauses. */
int64_t agenda_wake(struct agenda *a);
/* Somebody knows better: no lane is down any more. */
void agenda_wake_all(struct agenda *a);
/* The configuration changed, or will: waits are those of the next agenda_add; no lane is down. */
void agenda_reload(struct agenda *a);
/* Is it being tried at this moment? */
bool agenda_is_active(const struct agenda *a, uint64_t message, uint32_t number);

#endif
