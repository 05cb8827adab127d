/* What authd says about a recipient travels through smtpd to queue. It is sealed: authd computes a
 * MAC over it with a key that only authd and queue hold, so a taken-over smtpd can pass it on or
 * not, but can neither make one up nor change it. It holds until it is SEAL_LIFETIME_S old.
 *
 * Also here: the records of recipients in QUEUE_OPEN, which carry the sealed part. */
#ifndef BARID_SEAL_H
#define BARID_SEAL_H

#include "common/pack.h"
#include "common/proto.h"

#define SEAL_KEY_OCTETS 32
#define SEAL_LIFETIME_S 3600

/* Where mail for a recipient goes. One address can have several (an alias). */
struct target {
    bool is_local;
    uint64_t box;        /* local: the mailbox (user) number */
    uint64_t quota;      /* local: octets, 0: none */
    struct span address; /* local: the user's address; remote: where to send it */
    struct span owner;   /* remote: who hears what becomes of it; empty: its sender */
};

struct sealer {
    char out[SEALED_MAX];
    struct packer w;
    struct span owner; /* of the remote target that came last */
};

/* authd: begin, any number of targets, end. seal_end gives the sealed octets (in s->out), or an
 * empty span if they did not fit. */
void seal_begin(struct sealer *s, struct span rcpt, int64_t now_s);
void seal_target(struct sealer *s, const struct target *t);
struct span seal_end(struct sealer *s, const unsigned char key[SEAL_KEY_OCTETS]);

/* queue: 0 and a cursor over the targets, or -1: forged, damaged, too old, or for another
 * recipient. */
int seal_open(struct span sealed, struct span rcpt, const unsigned char key[SEAL_KEY_OCTETS],
              int64_t now_s, struct unpacker *targets);
/* true and *t, or false at the end (targets->failed tells a damaged one). t begins as zero, and is
 * the same for all targets of a seal: an owner is told once for those behind it. */
bool seal_next(struct unpacker *targets, struct target *t);

/* One recipient in QUEUE_OPEN/QUEUE_MORE: the address as the client gave it (canonical text), and
 * what authd sealed for it; sealed is empty for a foreign recipient. What it asks to be told is
 * only bounded here, not checked. */
struct rcpt {
    struct span address;
    struct span sealed;
    struct span orcpt; /* as in ORCPT=, or empty */
    uint8_t notify;    /* enum notify */
};
void rcpt_pack(struct packer *w, const struct rcpt *r);
bool rcpt_next(struct unpacker *records, struct rcpt *r); /* false at the end or if damaged */

#endif
