/* Taking responsibility for messages from smtpd. The line after which a message is ours is marked
 * in intake.c; what is on disk on both sides of it is told in doc/QUEUE.md.
 *
 * smtpd is not believed: sizes, line ends, ids and the right to relay are judged here again, and
 * where an address leads is read from what authd sealed. The worst a taken-over smtpd can do here
 * is to send mail that it could have received.
 *
 * A message can come in parts (QUEUE_OPEN, QUEUE_MORE…). It is answered exactly once: with a
 * refusal as soon as that is known, else after the commit; with a verdict for each recipient if
 * that was asked for (verdicts.h). QUEUE_ABORT, or the end of the channel, drops it. */
#ifndef BARID_QUEUE_INTAKE_H
#define BARID_QUEUE_INTAKE_H

#include "common/verdict.h"
#include "queue/queue.h"

struct intakes *intakes_new(void);
void intakes_free(struct queue *q);
/* `fd`: -1, or the connection of a user of this machine; it stays the caller's. */
void intake_open(struct queue *q, struct ipc *from, const struct msg_queue_open *m, int fd);
void intake_more(struct queue *q, struct ipc *from, const struct msg_queue_more *m);
void intake_abort(struct queue *q, struct ipc *from, const struct msg_queue_abort *m);
/* Would this recipient's mailboxes take it? Answered at once (room.c). */
void intake_room(struct queue *q, struct ipc *from, const struct msg_queue_room *m);
/* May one more message of its sender be held for its time? INTAKE_OK, INTAKE_HELD, or
 * INTAKE_FAULT. */
enum intake_reason intake_may_hold(struct queue *q, const struct message *m);
/* The channel is gone: drops what is not complete; what waits for its commit goes on unanswered. */
void intake_channel_closed(struct queue *q, struct ipc *from);
/* A message for one mailbox, from the administrator's command: no size limit and no second copy of
 * what the same import brought before. Quota and commit are those of all mail. */
void intake_import(struct queue *q, struct ipc *from, const struct msg_import_open *m);
void intake_import_more(struct queue *q, struct ipc *from, const struct msg_import_more *m);
/* What SMTP makes of a reason. */
enum verdict intake_verdict(enum intake_reason reason);
const char *intake_reason_name(enum intake_reason reason); /* in the log */
/* The targets that authd sealed for a recipient: INTAKE_OK or INTAKE_STALE. */
struct targets;
struct rcpt;
enum intake_reason intake_add_sealed(const struct queue *q, struct targets *t,
                                     const struct rcpt *r);
size_t intake_count(const struct queue *q);
/* Is the content of this message arriving? */
bool intake_has_file(const struct queue *q, uint64_t id);

#endif
