/* SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side, without I/O and without state of its own:
 * deriving the keys that are stored, reading what a client says, judging its proof.
 *
 * What is stored for a password: StoredKey, with which a proof is judged, and ServerKey, with which
 * we prove ourselves. All credentials of a user share one salt, so that the exchange need not know
 * in advance which of them the client will use. Passwords are taken as the octets that were given;
 * SASLprep (RFC 4013) would change nothing in those that are ASCII.
 */
#ifndef BARID_AUTHD_SCRAM_H
#define BARID_AUTHD_SCRAM_H

#include "common/proto.h"

#define SCRAM_KEY_OCTETS  32
#define SCRAM_SALT_OCTETS 16
#define SCRAM_TEXT_MAX    2048 /* a message */
#define SCRAM_NONCE_MAX   512  /* the client's part */
#define SCRAM_PROOF_TEXT  48   /* "v=" and base64, with a NUL */

struct scram_salt {
    unsigned char octets[SCRAM_SALT_OCTETS];
    uint32_t iterations; /* 0: there is no salt */
};

struct scram_keys {
    unsigned char stored[SCRAM_KEY_OCTETS], server[SCRAM_KEY_OCTETS];
};

void scram_derive(struct span password, struct span salt, uint32_t iterations,
                  struct scram_keys *out);

/* What stands in the first message of a client; spans point into it. */
struct scram_first {
    struct span header;  /* gs2-header, with its last comma */
    struct span bare;    /* all behind it */
    char flag;           /* 'n', 'y', 'p' */
    struct span binding; /* 'p': the type's name */
    struct span authzid; /* escaped; empty: none */
    struct span name;    /* the user's, escaped */
    struct span nonce;
    char user[LOGIN_MAX + 1]; /* unescaped */
};
/* 0, or -1: not a first message. */
int scram_read_first(struct span text, struct scram_first *out);

/* The exchange between the two messages of a client; texts are copied. */
struct scram {
    char bare[SCRAM_TEXT_MAX + 1], said[SCRAM_TEXT_MAX + 1]; /* client-first-bare, server-first */
    struct span nonce;                                       /* in `said` */
    char binding[SCRAM_TEXT_MAX]; /* what c= must be: gs2-header and the channel's octets */
    size_t n_binding;
};
/* Makes `said`. 0, or -1: too long. */
int scram_begin(struct scram *x, const struct scram_first *first, const struct scram_salt *salt,
                struct span channel);

struct scram_final {
    char auth[3 * SCRAM_TEXT_MAX + 3]; /* AuthMessage */
    size_t n_auth;
    unsigned char proof[SCRAM_KEY_OCTETS];
};
/* The second message: 0, or -1: not one, of another exchange, or bound to another channel. */
int scram_read_final(const struct scram *x, struct span text, struct scram_final *out);
/* Was the proof made with the password of these keys? */
bool scram_matches(const struct scram_final *f, const struct scram_keys *keys);
/* "v=…": our proof. */
void scram_answer(const struct scram_final *f, const struct scram_keys *keys,
                  char out[SCRAM_PROOF_TEXT]);

#endif
