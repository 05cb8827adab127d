/* One message being received: envelope, content not yet given to the queue, and what the queue
 * said. It exists from MAIL to the end of the transaction, so that an idle session holds nothing.
 */
#ifndef BARID_SMTPD_TXN_H
#define BARID_SMTPD_TXN_H

#include "common/buf.h"
#include "common/hold.h"
#include "common/notify.h"
#include "common/seal.h"
#include "smtpd/body.h"
#include "smtpd/trace.h"

struct session;

#define TXN_RCPTS_OCTETS                                                                           \
    (4U << 20)              /* of the recipients' records; more is refused like too many           \
                             */
#define TXN_STREAM_AT 49152 /* content over this is sent to the queue in parts */

struct txn {
    uint64_t id;
    char sender[ADDRESS_MAX]; /* "" is the null reverse-path */
    bool body_8bit;
    uint64_t declared;                       /* SIZE=, 0: nothing */
    bool is_utf8;                            /* SMTPUTF8 */
    bool requires_tls;                       /* REQUIRETLS */
    bool is_prdr;                            /* PRDR */
    char hold_request[HOLD_REQUEST_MAX + 1]; /* HOLDFOR or HOLDUNTIL, */
    int64_t hold_until;                      /* seconds since 1970; 0: no more */
    uint8_t ret;                             /* enum ret */
    char envid[ENVID_MAX + 1];

    char asked[ADDRESS_MAX]; /* the recipient that is asked about */
    uint8_t asked_notify;    /* what it says, */
    char asked_orcpt[ORCPT_MAX + 1];
    struct buf asked_seal; /* and what authd sealed for it, if queue is asked too */
    struct buf rcpts;      /* records of rcpt_pack, not yet sent */
    uint32_t *hashes;      /* of their addresses, to find one given twice */
    size_t n_rcpts, hashes_cap;
    char only_rcpt[ADDRESS_MAX]; /* the first one */
    size_t n_agreed;  /* RCPT commands answered with 250: more than n_rcpts if one came twice */
    uint16_t *agreed; /* which recipient each of them named, if txn_is_each */
    size_t agreed_cap;

    struct body body;
    char date[TRACE_DATE_MAX], message_id[TRACE_MESSAGE_ID_MAX]; /* for body_complete */
    int64_t data_began_ms; /* moved on while we kept the client waiting */
    int64_t data_last_ms;  /* content came last */
    int64_t ended_us;      /* its last octet came */
    int64_t stalled_ms;    /* since when we keep it waiting */
    char *content;         /* with the Received field, not yet sent */
    size_t n_content, content_cap;
    uint64_t sent; /* octets of content already sent */

    uint64_t tag;    /* of QUEUE_OPEN, 0: not sent, or answered */
    bool is_handed;  /* QUEUE_OPEN was sent */
    bool is_decided; /* it was answered, or could not be sent */
    uint8_t verdict, reason;
    char *each; /* the same of each recipient, if txn_is_each; NULL before the content */
    size_t each_cap;
    bool has_each; /* the queue told them apart */
};

/* Is there a reply for each recipient (LMTP, PRDR)? */
bool txn_is_each(const struct session *s);
/* How many RCPT commands such a transaction, or any, agrees to. */
uint64_t txn_rcpts_max(const struct session *s);

/* 0, or -1 without memory. */
int txn_begin(struct session *s, struct span sender);
/* The only way to clear it: on every way out. Forgets open questions and takes back what the queue
 * was not told to take. */
void txn_reset(struct session *s);

/* Which recipient it is, if it was given before; else n_rcpts. */
size_t txn_find_rcpt(const struct txn *t, struct span address);
/* A RCPT is agreed to, of that recipient. 0, or -1: no memory. */
int txn_agree(struct session *s, size_t rcpt);
/* 0, or -1: no room. */
int txn_add_rcpt(struct txn *t, const struct rcpt *r);
/* Room for n octets of content behind what is there; NULL without memory. */
char *txn_room(struct txn *t, size_t n);

#endif
