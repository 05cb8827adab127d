/* Reports about TLS (RFC 8460): keeps what relay tells of its sessions with mail exchangers, a row
 * for each domain, day and outcome, and sends each domain that asks for it a report on the day
 * before: from some time in the first four hours after midnight (UTC) on, one domain after the
 * other. What was told goes in the transaction that accepts the report. What could not be sent
 * within three days goes too.
 *
 * A report has a null sender, so nothing is ever returned; its own delivery counts in none, and is
 * not kept back by what it is about (CONTENT_TLS_OPTIONAL). */
#ifndef BARID_QUEUE_TLSRPT_H
#define BARID_QUEUE_TLSRPT_H

#include "common/admin.h"
#include "queue/queue.h"

struct tlsrpts;

struct tlsrpts *tlsrpts_new(struct queue *q); /* NULL without memory */
void tlsrpts_free(struct queue *q);
/* Begins a round, if one is due, and what is to be posted; timers do so, and tests call it. */
void tlsrpts_look(struct queue *q);
/* How long after midnight (UTC) the reports on the day before begin; drawn at the start. */
int64_t tlsrpts_delay_s(const struct queue *q);
void tlsrpt_count(struct queue *q, const struct msg_tls_result *m);
/* `barid tls report`: all of it now, today's too. */
void tlsrpt_send(void *owner, struct admin_call *call);

#endif
