/* Handing recipients to relay and writing down what became of them. State is in the database; here
 * is only what is being tried and what is about to be. */
#ifndef BARID_QUEUE_DISPATCH_H
#define BARID_QUEUE_DISPATCH_H

#include "queue/agenda.h"
#include "queue/deliver.h"
#include "queue/queue.h"

struct dispatch *dispatch_new(struct queue *q);
void dispatch_free(struct queue *q);
/* A recipient, and what of its message decides which way it goes and in whose turn. */
struct dispatch_item {
    uint64_t message;
    uint32_t number;
    const char *domain;
    struct span sender; /* it goes with this one */
    bool is_report;     /* about TLS, or as free of it: it does not wait until others get there (RFC
                         * 8460 3, 8689 4.2.2) */
    uint64_t flow;      /* dispatch_flow, dispatch_forward_flow */
};
/* The same for all that shares a turn, as it has one origin. */
uint64_t dispatch_flow(struct span login, struct span client, struct span sender);
/* What an alias or a list sends on goes with a sender of its own (recipient.sender), if that is not
 * empty, and so is in one job only with what has the same. */
uint64_t dispatch_forward_flow(uint64_t flow, struct span forward_sender);
/* A recipient that is due. AGENDA_DOWN: it was put off. */
enum agenda_result dispatch_add(struct queue *q, const struct dispatch_item *item);
/* Recipients just committed: tried at once, without looking in the database. Those there is no room
 * for schedule finds there a second later. */
void dispatch_fresh_all(struct queue *q, const struct message *m, const struct targets *t);
/* In the queue's turn: puts off what waits for destinations that cannot be reached. True if there
 * is more of it. */
bool dispatch_put_off(struct queue *q);
/* An administrator asks for it, or routes changed: all destinations may be reachable again. */
void dispatch_wake(struct queue *q);
void dispatch_reloaded(struct queue *q);
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
