/* The Sender Rewriting Scheme (Mengwong Wong and others, 2003; what Postfix does with postsrsd).
 * Mail that an alias sends on to another host goes with a sender of ours, or that host would find
 * by SPF that we may not send for the real one; the real one stands in it, so that a report of
 * non-delivery finds its way:
 *
 *   bob@far.example                      SRS0=HHHHHHHH=TT=far.example=bob@ours
 *   SRS0=HHHH=TT=far.example=bob@mid     SRS1=HHHHHHHH=mid==HHHH=TT=far.example=bob@ours
 *   SRS1=HHHH=mid==…=bob@other           SRS1=HHHHHHHH=mid==…=bob@ours
 *
 * TT is the day. H is a MAC under a key of ours, so that nobody can make us send on what he likes;
 * it does not look at case, which some servers change. Separators behind SRS0 and SRS1 may be =, +
 * or -. Nothing here allocates. */
#ifndef BARID_AUTHD_SRS_H
#define BARID_AUTHD_SRS_H

#include "common/proto.h"

#define SRS_KEY_OCTETS 32
#define SRS_HASH       8  /* characters: 40 bits */
#define SRS_DAYS       16 /* good for so long after the queue would have given up */

/* From the secret of users.db, which outlives restarts and is in backups. */
void srs_key(const unsigned char *secret, size_t n, unsigned char key[SRS_KEY_OCTETS]);
/* The sender with which mail from `sender` goes on, of `domain`. out: canonical text. 0, or -1: it
 * would be no legal path any more (too long). */
int srs_forward(const unsigned char key[SRS_KEY_OCTETS], struct span sender, struct span domain,
                int64_t now_s, char out[ADDRESS_MAX]);

enum srs_kind {
    SRS_OTHER,  /* does not begin like one */
    SRS_GOOD,   /* ours, and still good: out is where it goes, canonical text */
    SRS_FORGED, /* or damaged */
    SRS_OLD,    /* over days_max days; of SRS1 only its first forwarder can say that */
};
enum srs_kind srs_reverse(const unsigned char key[SRS_KEY_OCTETS], struct span address,
                          int64_t now_s, int64_t days_max, char out[ADDRESS_MAX]);

#endif
