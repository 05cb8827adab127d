/* Containment: a user who sends more than [containment] allows, or whose mail is mostly refused,
 * may be somebody who has got hold of his password. From then on his mail to other servers is
 * accepted and held, neither refused nor lost, until an administrator releases or removes it; mail
 * to mailboxes here goes on. What of his already waits in the queue is held too.
 *
 * That a user is contained is a row of mail.db, written with the message that was one too many;
 * what he sent is counted there too (counts.h). Who a user is authd said (a ticket) or the kernel
 * (the submit socket), never smtpd. */
#ifndef BARID_QUEUE_CONTAIN_H
#define BARID_QUEUE_CONTAIN_H

#include "common/admin.h"
#include "queue/deliver.h"
#include "queue/queue.h"

/* What people are shown; what counts is recipient.contained. */
#define CONTAIN_REPLY "held, as its sender is contained: see barid user show"

struct contains *contains_new(struct queue *q);
void contains_free(struct queue *q);
/* Whose mail it is: the login, or "uid:1000". Empty: of nobody who could be contained (a stranger,
 * root). */
struct span contain_who(struct span login, struct span client);
/* What a message counts for its sender. */
struct charge {
    uint64_t messages;
    uint64_t recipients; /* elsewhere */
    uint64_t n_new;      /* of them: he never wrote to them */
};
/* A message with so many recipients elsewhere is about to be stored: counts it. Are they to be
 * held? It may write, so it comes before the message's own part of the batch. */
bool contain_accept(struct queue *q, const struct message *m, struct targets *t, struct charge *c);
/* It is not held: he wrote to them. Goes with the message's part. 0, or -1: the store failed. */
int contain_remember(struct queue *q, const struct message *m, const struct targets *t);
/* It was not stored after all. */
void contain_refund(struct queue *q, const struct message *m, const struct charge *c);
/* Other servers took, or refused for good, so many recipients of a message of `who` (may be empty).
 * A part of the request that writes what became of them; 0, or -1: the store failed. */
int contain_results(struct queue *q, struct span who, uint64_t n_taken, uint64_t n_refused,
                    bool is_counted);
/* Is that why this recipient is held? An administrator may hold recipients too. */
bool contain_holds(const struct recipient *r);
/* An administrator lets mail of `who` go there: he wrote to it. A part of the request under way; 0,
 * or -1. */
int contain_trust(struct queue *q, struct span who, struct span address);
/* This user was removed: nothing is known of him any more. What is held stays so, until somebody
 * decides. A part of the request under way; 0, or -1. */
int contain_forget(struct queue *q, struct span who);
/* In the queue's turn. True if there is more to do at once. */
bool contain_run(struct queue *q);
/* Commands: who is contained, what is known of one user, and the end of his containment. */
void contain_list(void *queue, struct admin_call *call);
void contain_show(void *queue, struct admin_call *call);
void contain_end(void *queue, struct admin_call *call);

/* Telling the postmaster (contain_notice.c), of one user at a time. */
struct notices *notices_new(struct queue *q);
void notices_free(struct queue *q);
/* There may be somebody of whom he does not know. */
void notices_kick(struct queue *q);
void notices_run(struct queue *q);
bool notices_are_idle(const struct queue *q);

#endif
