/* The world of a session in tests: no sockets, an authd and a queue that answer by rules a reader
 * can see, and everything that was said on record. */
#ifndef BARID_TEST_SMTPD_WORLD_H
#define BARID_TEST_SMTPD_WORLD_H

#include "smtpd/session.h"

struct asked {
    uint64_t tag; /* 0: none open */
    ipc_answer_fn *fn;
    void *arg;
    char address[ADDRESS_MAX];
};

struct world {
    struct session *s;
    struct session_rules rules;
    char out[262144]; /* what the client got */
    size_t n_out;
    unsigned writes;
    bool is_finished;
    struct buf in; /* offered, not yet taken */

    struct asked authd, room, queue, login, ticket, expand;
    uint64_t room_size; /* that room was last asked for */
    bool has_tls;       /* a certificate */
    bool can_bind;      /* SCRAM to the channel */
    bool authd_is_down, queue_is_down, queue_is_full;
    bool holds_authd, holds_queue; /* questions stay open until the test answers */
    uint64_t last_tag;
    enum verdict verdict; /* of the queue */
    enum intake_reason reason;
    struct span each; /* for each recipient */

    /* what the queue got */
    unsigned opens, mores, aborts, forgets, logouts;
    bool had_ticket, is_each;
    bool had_last;
    char sender[ADDRESS_MAX];
    char rcpts[8192]; /* addresses, a space behind each */
    size_t n_rcpts;
    uint8_t ret, notify; /* notify, orcpt: of the last recipient */
    char hold_request[HOLD_REQUEST_MAX + 1];
    int64_t hold_until;
    char envid[ENVID_MAX + 1], orcpt[ORCPT_MAX + 1];
    char *content;
    size_t n_content;
};

void world_begin(struct world *w);
/* On a submission listener. ann logs in with "secret", and may send as ann…; busy, slow (too many
 * failures), off (disabled), mute (receive-only) get that answer. */
void world_begin_submission(struct world *w);
/* Ends the session; fails the test if a question is left open. */
void world_end(struct world *w);
/* The client sends `in`, in pieces of `step` octets; questions are answered as they come. */
void world_say(struct world *w, struct span in, size_t step);
/* Answers the open question of the queue (m NULL: it cannot). */
void world_answer_queue(struct world *w, bool can, enum verdict verdict, enum intake_reason reason);
/* The codes of all replies since the last call, with a space behind each: "250/2.1.0 354 ". */
const char *world_codes(struct world *w);

#endif
