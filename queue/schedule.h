/* When a recipient is tried (again), and bringing what is due from the database into the agenda. */
#ifndef BARID_QUEUE_SCHEDULE_H
#define BARID_QUEUE_SCHEDULE_H

#include "queue/queue.h"

/* The time of the next attempt after `attempts` failed ones: the configured waits, the last one
 * repeating, each with up to a tenth more so that what failed together does not come back together;
 * `dice` is a random number. Not after `expires`, so that one attempt is made at the end. Seconds.
 */
int64_t schedule_next(const struct delivery_config *c, uint64_t attempts, int64_t now_s,
                      int64_t expires_s, uint32_t dice);
/* When it is tried again if nobody could try it: relay down, no answer; within seconds if it is
 * `first` that this happens. */
int64_t schedule_soon(int64_t now_s, bool first, uint32_t dice);

struct schedule *schedule_new(struct queue *q);
void schedule_free(struct queue *q);
/* The next turn looks at what is due. */
void schedule_look(struct queue *q);
/* Something will be due at that time, in seconds of the wall clock. */
void schedule_at(struct queue *q, int64_t at_s);
/* Something is due in this second that may not be in the agenda. */
void schedule_kick(struct queue *q);
/* Rows were given a time in the past (retry, release): the search starts over. */
void schedule_rewind(struct queue *q);
/* There is room in the agenda. */
void schedule_room(struct queue *q);
/* In the queue's turn, outside of a transaction: only what is committed may be tried. True if there
 * is more to do at once. */
bool schedule_run(struct queue *q);

#endif
