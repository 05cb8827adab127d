/* A verdict for each recipient of a message (LMTP, RFC 2033; PRDR): what each of them asked for,
 * and after the content, which of them cannot have it. These are taken out of the message's
 * targets; the others get it in one transaction, as if the former had never been named. For
 * intake.c. */
#ifndef BARID_QUEUE_VERDICTS_H
#define BARID_QUEUE_VERDICTS_H

#include "queue/deliver.h"

struct asker; /* one recipient as smtpd named him, and where his targets end */

struct verdicts {
    struct asker *askers;
    size_t n, cap;
    bool are_decided;
};

void verdicts_free(struct verdicts *v);
/* The next recipient. reason: what is known of him before the content; what was added to `t` and
 * `room` since the last one is his. INTAKE_OK, or INTAKE_FAULT: no memory, or more than
 * EACH_RCPTS_MAX. */
enum intake_reason verdicts_add(struct verdicts *v, struct span address, enum intake_reason reason,
                                const struct targets *t, const struct targets *room);
/* All are there, and so is the content: marks the targets of those who cannot have it as refused.
 * d: as it would be delivered, not yet tidy. room: mailboxes that must have room for it, too.
 * INTAKE_OK: somebody can have it; else why the first one cannot. Reads only. */
enum intake_reason verdicts_decide(struct verdicts *v, struct store *s, const struct delivery *d,
                                   const struct targets *room);
/* For the answer, in `room` of 2 * EACH_RCPTS_MAX octets; empty if they are not decided. */
struct span verdicts_pack(const struct verdicts *v, char *room);
/* A line for each who was refused. */
void verdicts_log(const struct verdicts *v, const struct message *m);

#endif
