/* Handing recipients to relay and writing down what became of them. State is in the database; here
 * is only what is being tried and what is about to be. */
#ifndef BARID_QUEUE_DISPATCH_H
#define BARID_QUEUE_DISPATCH_H

#include "queue/agenda.h"
#include "queue/queue.h"

struct dispatch *dispatch_new(struct queue *q);
void dispatch_free(struct queue *q);
/* A recipient that is due. */
enum agenda_result dispatch_add(struct queue *q, uint64_t message, uint32_t number,
                                const char *domain);
/* A recipient just committed: tried at once, without looking in the database. If there is no room,
 * schedule finds it there a second later. */
void dispatch_fresh(struct queue *q, uint64_t message, uint32_t number, const char *domain);
/* In the queue's turn, outside of a transaction: starts what may start. */
void dispatch_run(struct queue *q);
bool dispatch_is_active(const struct queue *q, uint64_t message, uint32_t number);
bool dispatch_has_active(const struct queue *q, uint64_t message);
size_t dispatch_count(const struct queue *q); /* recipients in memory */
/* As agenda_is_hungry and agenda_sated. */
bool dispatch_is_hungry(const struct queue *q);
void dispatch_sated(struct queue *q);
size_t dispatch_jobs(const struct queue *q); /* in flight, or their results not yet committed */

#endif
