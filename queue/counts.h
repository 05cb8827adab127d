/* What each user sent lately, for containment (contain.h): counts in a time that began with the
 * first of them. Memory has those that are counted just now, mail.db has all: what changed is
 * written with the next commit, in the transaction of what was counted, once for each user however
 * many messages of his are in it. So a restart or a crash forgets nothing that was accepted, and a
 * commit that fails takes nothing with it.
 *
 * Times are of the monotonic clock; in the table they are of the wall clock, and what is read there
 * lasts no longer than a whole period from now, whatever a clock or a strange row says. */
#ifndef BARID_QUEUE_COUNTS_H
#define BARID_QUEUE_COUNTS_H

#include "queue/queue.h"

/* The column counted.what: do not renumber. */
enum count_of {
    COUNT_MESSAGES,   /* with recipients elsewhere */
    COUNT_RECIPIENTS, /* elsewhere */
    COUNT_TAKEN,      /* recipients that another server took */
    COUNT_REFUSED,    /* or refused for good */
    COUNT_NEW,        /* recipients elsewhere to whom he never wrote before */
    COUNTS
};

struct counts *counts_new(struct queue *q); /* after batch_init */
void counts_free(struct queue *q);
/* Adds n (0: only looks), and begins anew where the time is over; the sum. 0: he cannot be counted,
 * for lack of memory, or because the store cannot be read. Writes nothing yet. */
uint64_t counts_add(struct queue *q, struct span who, enum count_of what, uint64_t n,
                    int64_t period_ms);
/* What was counted, and is not committed, did not happen. */
void counts_take_back(struct queue *q, struct span who, enum count_of what, uint64_t n);
/* His counts begin anew; a part of the request under way. 0, or -1: the store failed. */
int counts_forget(struct queue *q, struct span who);
/* Removes some rows whose time is over. 0, or -1. */
int counts_sweep(struct queue *q, int64_t now_s);

#endif
