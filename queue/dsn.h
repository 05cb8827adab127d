/* Writes delivery status notifications: multipart/report by RFC 6522 and RFC 3464, with a part for
 * people first, and with what RFC 3461 6.3 lets a sender ask for. Octets in, octets out; no store,
 * no channels.
 *
 * A sender with an address beyond ASCII can be reached through SMTPUTF8 only, so his notification
 * is an international one (RFC 6533: message/global-delivery-status). For all others it is in 7
 * bits, whatever addresses it names, as far as what it returns is not 8-bit content itself.
 *
 * What remote servers said is opaque and hostile: it is shown as printable ASCII, each reply on one
 * line, and can start neither a header field nor a MIME part.
 *
 * The part for people may end with what was said at the last attempts. (RFC 6522 3 has no place for
 * a part of its own.) Recipients that the notification is not about stay out of it: an alias may
 * have led to addresses that its sender does not know. */
#ifndef BARID_QUEUE_DSN_H
#define BARID_QUEUE_DSN_H

#include "common/buf.h"

#define DSN_MAX                                                                                    \
    65000 /* octets of a whole notification: it fits into one message between processes */

enum dsn_kind {
    DSN_FINAL, /* of recipients about which nothing more will be done */
    DSN_LATE,  /* of those that are tried again */
};

/* RFC 3464 2.3.3. */
enum dsn_action { DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED, DSN_ACTIONS };

/* All of it must stay valid until dsn_finish. Times: seconds since 1970. */
struct dsn_facts {
    enum dsn_kind kind;
    struct span hostname;
    uint64_t id;    /* of the notification */
    uint64_t about; /* of the message it is about */
    struct span to; /* sender of that message */
    int64_t arrived, expires, now;
    struct span envid;        /* of that message, as its client encoded it; or empty */
    struct span hold_request; /* hold.h, or empty */
    struct span list;         /* it goes to the owner of this list; empty: to who sent it */
};

struct dsn_recipient {
    enum dsn_action action;
    struct span address;
    struct span orcpt;    /* as the client encoded it, or empty */
    struct span status;   /* RFC 3463 */
    struct span remote;   /* "mx.example.org[192.0.2.1]:25", or empty */
    struct span reply;    /* what it said, or why it could not be asked */
    int64_t last_attempt; /* 0: none */
    int64_t expires;      /* of one that is delayed; 0: with the message */
    bool is_expired;      /* was tried until there was no more time */
};

/* The message it is about. */
struct dsn_original {
    struct span start; /* all of its content, or the first DSN_MAX octets; empty: not known */
    uint64_t size;     /* of all of it */
    size_t header;     /* of its header section */
    uint8_t flags;     /* enum content_flag */
    bool wants_all;    /* RET=FULL: all of it is shown with a failure, if it fits */
};

/* One attempt: see relay/dialogue.h. */
struct dsn_dialogue {
    struct span text;
    int64_t began; /* seconds since 1970 */
};
#define DSN_DIALOGUES_MAX 2

struct dsn {
    struct dsn_facts facts;
    struct buf bad, good, machine; /* for people and for programs, as they grow */
    struct buf reason;             /* of those that came last in `bad`, to be said after them */
    struct buf about;              /* addresses that are bad, each with a newline */
    struct buf experts;            /* the dialogues */
    bool has[DSN_ACTIONS];
    int64_t until;  /* the last time of those that are delayed */
    bool is_global; /* RFC 6533 */
};

void dsn_begin(struct dsn *d, const struct dsn_facts *facts);
/* 0, or -1: no more fit in this notification (or no memory). */
int dsn_add(struct dsn *d, const struct dsn_recipient *r);
/* After all recipients; of more than DSN_DIALOGUES_MAX the notification grows too long. What does
 * not fit, or finds no memory, is not shown. */
void dsn_quote(struct dsn *d, const struct dsn_dialogue *dialogue);
/* Shows the header section of the message it is about, cut if it is long; or all of it. 0 and the
 * content in *out (buf_init'ed with at least DSN_MAX), or -1 without memory. In any case *d is
 * over.
 */
int dsn_finish(struct dsn *d, const struct dsn_original *original, struct buf *out);

/* The enhanced code in a reply ("550 5.1.1 no such user"), if it is of this class; else class.0.0.
 * Points into `reply` or at a constant. */
struct span dsn_status(struct span reply, char class);

#endif
