/* Facts about content, found in one pass, chunk by chunk: what POP3 and the relay need so that
 * nobody looks at the octets twice. The queue computes them itself and does not believe smtpd.
 *
 * The hash (BLAKE2b) is kept with the content and compared by whoever reads it: what the disk
 * changed is not handed on. */
#ifndef BARID_CONTENT_H
#define BARID_CONTENT_H

#include "common/str.h"

#define CONTENT_HASHING 448
#define CONTENT_FIELD   40 /* octets of a header field, folds and all, that are looked at */
#define CONTENT_HASH    16 /* octets: against accidents, and long enough to name content by it */

/* The hash alone, for who only compares. Not to be copied while octets are added: its place in
 * memory is part of it. */
struct content_hash {
    unsigned char state[CONTENT_HASHING]; /* libsodium's, somewhere in it: see content.c */
};

void content_hash_begin(struct content_hash *h);
void content_hash_add(struct content_hash *h, struct span chunk);
/* Ends it: were these the octets with that hash? */
bool content_hash_is(struct content_hash *h, const unsigned char hash[CONTENT_HASH]);

/* Not to be copied either. */
struct content_scan {
    uint64_t octets;
    uint64_t header;      /* octets up to and with the first empty line; all, if there is none */
    uint8_t flags;        /* enum content_flag */
    bool is_tls_optional; /* the header says "TLS-Required: No" (RFC 8689 3) */
    bool is_damaged;      /* a bare CR or LF or a NUL, or (after content_end) no CRLF at the end */
    unsigned char hash[CONTENT_HASH]; /* after content_end */
    /* private */
    uint64_t line; /* octets of the line so far */
    bool after_cr, in_body;
    char field[CONTENT_FIELD]; /* what is known of the header field so far, without CR and LF */
    size_t field_n;            /* more than that: it is longer */
    struct content_hash hashing;
};

void content_begin(struct content_scan *s);
void content_add(struct content_scan *s, struct span chunk);
void content_end(struct content_scan *s);
/* Is this, all of it, the content with that hash? */
bool content_is(struct span content, const unsigned char hash[CONTENT_HASH]);

#endif
