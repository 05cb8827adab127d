/* Who exists in a domain whose mail is taken for another host ([route] backup_mx)? By the list of
 * its recipients, or by asking that host (a call-out: RCPT with a null sender, through relay). Only
 * who is known is taken, so that no report about mail for nobody has to go to a stranger.
 *
 * What was found out is kept: that one exists for callout_positive (four times as long while the
 * host cannot be asked), that it does not for callout_negative, that it could not be asked for a
 * minute. The first two are rows of mail.db, of up to 100,000 addresses, and go when they have
 * ended; the last 10,000 are in memory. Who is asked about when half of callout_positive is over is
 * asked about again, while he is still known. A host is asked about 20 addresses at a time, all of
 * them about 100; beyond that, and when it does not answer, the client is told to try later. */
#ifndef BARID_QUEUE_CALLOUT_H
#define BARID_QUEUE_CALLOUT_H

#include "common/admin.h"
#include "queue/queue.h"

struct callouts;

struct callouts *callouts_new(struct queue *q); /* NULL without memory */
void callouts_free(struct queue *q);
/* The lists of another configuration are void. */
void callouts_drop_lists(struct queue *q);
/* The list of the nth [route]; until it is set, its recipients cannot be judged. */
void callouts_set_list(struct queue *q, size_t route, struct span text);

/* QUEUE_ROOM about a recipient elsewhere: answers now, or when its host has answered, within 25 s.
 */
void callout_ask(struct queue *q, struct ipc *from, const struct msg_queue_room *m);
/* The same from what is known, asking nobody. INTAKE_RELAYING: not of such a domain. */
enum intake_reason callout_judge(struct queue *q, struct span address);
/* In the queue's turn: what is only in memory is written when it is much, and before the end. */
void callouts_run(struct queue *q);
/* Within a batch: forgets what has ended. 0, or -1. */
int callouts_sweep(struct queue *q, int64_t now_s);
/* Those who wait hear what is known by now. */
void callout_answer_waiting(void *callout);
/* Commands: what is kept, and the end of that. */
void callout_list(void *queue, struct admin_call *call);
void callout_forget(void *queue, struct admin_call *call);
/* Nobody waits there any more. */
void callout_channel_closed(struct queue *q, const struct ipc *from);
/* For `barid explain`: by what it is judged, in words; *is_open: its host would be asked. */
const char *callout_explain(struct queue *q, struct span address, bool *is_open);

#endif
