/* Which recipients are to be tried now: the part of the queue that is in memory. Bounded; the rest
 * waits in the database. It knows numbers and lanes, no SQL and no channels.
 *
 * A lane is all that goes to one next hop (route_key). Lanes take turns. What a lane may have, of
 * the jobs (LANE_JOBS_MAX at most) and of the memory, is a quarter of what is still free: so some
 * is always left for others, however many slow next hops there are. */
#ifndef BARID_QUEUE_AGENDA_H
#define BARID_QUEUE_AGENDA_H

#include "common/proto.h"

#define AGENDA_MAX    10000
#define JOBS_MAX      200
#define LANE_JOBS_MAX 20

struct agenda;

struct agenda *agenda_new(void); /* NULL without memory */
void agenda_free(struct agenda *a);
size_t agenda_count(const struct agenda *a);

enum agenda_result {
    AGENDA_ADDED,
    AGENDA_KNOWN,     /* it is there already, waiting or being tried */
    AGENDA_LANE_FULL, /* others may still be added; the lane remembers that it has more */
    AGENDA_FULL,      /* also: no memory */
};
/* `lane` is a route_key. */
enum agenda_result agenda_add(struct agenda *a, uint64_t message, uint32_t number,
                              const char *lane);

/* A lane that had to leave some out has room again: look for them. */
bool agenda_is_hungry(const struct agenda *a);
void agenda_sated(struct agenda *a); /* all that could be found was added */

/* A job: recipients of one message that go the same way. */
struct agenda_job {
    uint64_t message;
    size_t n;
    uint32_t numbers[RELAY_RCPTS_MAX];
};
/* The next job to start, of the lane whose turn it is. False if there is none, or enough run. */
bool agenda_take(struct agenda *a, struct agenda_job *job);
/* The job is over: forgets its recipients. */
void agenda_done(struct agenda *a, const struct agenda_job *job);
/* The job could not be started: its recipients wait again, as the first of their lane. */
void agenda_put_back(struct agenda *a, const struct agenda_job *job);
/* Is it being tried at this moment? */
bool agenda_is_active(const struct agenda *a, uint64_t message, uint32_t number);
bool agenda_has_active(const struct agenda *a, uint64_t message); /* any of its recipients */

#endif
