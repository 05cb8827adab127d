/* Gives a message to the queue: in one QUEUE_OPEN if it is small, else in parts while it comes in.
 */
#ifndef BARID_SMTPD_HANDOVER_H
#define BARID_SMTPD_HANDOVER_H

#include "smtpd/session.h"

/* Sends the recipients and content that are there. is_last: that was all, the queue decides now. If
 * it cannot be sent the message is decided: try later. */
void handover_send(struct session *s, bool is_last);
/* Content will be refused, or was: takes the message back if the queue has a part of it, and
 * forgets the content. What still comes is thrown away. */
void handover_drop(struct session *s);
/* What to tell the client, once it is decided: about the whole, */
enum reply handover_reply(const struct txn *t);
/* and about a recipient, who may not be like the others. */
enum reply handover_reply_to(const struct txn *t, size_t rcpt);

/* In cmd_data.c: the queue answered. */
void data_decided(struct session *s);

#endif
