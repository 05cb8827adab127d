/* Who exists in a domain whose mail is taken for another host ([route] backup_mx)? By the list of
 * its recipients, or by asking that host (a call-out: RCPT with a null sender, through relay). Only
 * who is known is taken, so that no report about mail for nobody has to go to a stranger.
 *
 * What was found out is kept in memory, of the last 10,000 addresses: that one exists for
 * callout_positive (four times as long while the host cannot be asked), that it does not for
 * callout_negative, that it could not be asked for a minute. It is lost with the process; then it
 * is asked anew. A host is asked about 20 addresses at a time, all of them about 100; beyond that,
 * and when it does not answer, the client is told to try later. */
#ifndef BARID_QUEUE_CALLOUT_H
#define BARID_QUEUE_CALLOUT_H

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
/* Nobody waits there any more. */
void callout_channel_closed(struct queue *q, const struct ipc *from);
/* For `barid explain`: by what it is judged, in words; *is_open: its host would be asked. */
const char *callout_explain(struct queue *q, struct span address, bool *is_open);

#endif
