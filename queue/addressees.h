/* To whom each user wrote: an address elsewhere to which he never did is what a stranger who uses
 * his account has many of (contain.h). Addresses are kept as hashes, as they are shorter and all
 * alike: that is no secrecy, since who has the table can try addresses. Upper and lower case are
 * the same.
 *
 * A row lasts ADDRESSEE_KEEP_S from the last message but for a month, so that a known recipient
 * costs one look and nothing is written. The limit itself bounds the rows of a user: mail of who
 * passes it is held, and what is held is not kept in mind, unless an administrator lets it go. */
#ifndef BARID_QUEUE_ADDRESSEES_H
#define BARID_QUEUE_ADDRESSEES_H

#include "queue/deliver.h"
#include "queue/queue.h"

#define ADDRESSEE_KEEP_S (400LL * 24 * 3600) /* what comes once a year is no surprise */
#define ADDRESSEE_MAX    1000000             /* rows; of more the oldest go, once a minute */

/* How many of those elsewhere that he named himself, which an alias of ours did not, are new. Marks
 * what addressees_note is to write. What cannot be read is not new. */
uint64_t addressees_look(struct queue *q, struct span who, struct targets *t);
/* A part of the request under way. 0, or -1: the store failed. */
int addressees_note(struct queue *q, struct span who, const struct targets *t);
int addressees_note_one(struct queue *q, struct span who, struct span address);
int addressees_forget(struct queue *q, struct span who);
/* Removes some that are too old. 0, or -1. */
int addressees_sweep(struct queue *q, int64_t now_s);

#endif
