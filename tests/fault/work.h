/* A day in the life of a queue: mail of every kind comes in, some of it large, some in bursts, some
 * is refused, goes out by the relay, is deleted. Everything is entered in the ledger. */
#ifndef BARID_TESTS_FAULT_WORK_H
#define BARID_TESTS_FAULT_WORK_H

#include "tests/fault/ledger.h"
#include "tests/fault/play.h"

#define WORK_PEERS  (P_SMTPD | P_AUTHD | P_MAILBOX | P_RELAY)
#define WORK_CONFIG "[relay]\nallow_from = 127.0.0.1\n"

#define WORK_SILENCE (-2) /* a channel is open, but no answer comes */

/* Each: 0, or -1: a channel was closed, or WORK_SILENCE. */
int work_begin(struct play *queue, struct ledger *l); /* gives it the key of the seals */
int work_letters(struct play *queue, struct ledger *l, size_t n);
/* Deletes some messages from each mailbox, in one request each. */
int work_removals(struct play *queue, struct ledger *l);
/* One small message that must be accepted. */
int work_proof(struct play *queue, struct ledger *l);

#endif
