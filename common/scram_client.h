/* The client's side of SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677), without I/O and without
 * base64: three messages, and the proof that the server knows the password too. The password is
 * taken as the octets that were given. The server is not trusted until scram_client_verify. */
#ifndef BARID_SCRAM_CLIENT_H
#define BARID_SCRAM_CLIENT_H

#include "common/scram_math.h"

#define SCRAM_CLIENT_TEXT_MAX  2048
#define SCRAM_CLIENT_BOUND_MAX 64
/* RFC 7677 4; beyond the second the server only wants to burn our time. */
#define SCRAM_ITERATIONS_MIN 4096
#define SCRAM_ITERATIONS_MAX 2000000

struct scram_client {
    char first[SCRAM_CLIENT_TEXT_MAX]; /* our first message */
    /* private */
    size_t n_header; /* of it, up to the second comma */
    char nonce[32];
    unsigned char bound[SCRAM_CLIENT_BOUND_MAX];
    size_t n_bound;
    unsigned char signature[SCRAM_HASH_OCTETS]; /* what the server must prove */
};

/* binding: "p=tls-exporter" (with what it is bound to in `channel`), "y" or "n". All return 0, or
 * -1: the name or a message is not fit, or the server is not who knows the password. */
int scram_client_begin(struct scram_client *x, const char *user, const char *binding,
                       struct span channel);
/* Our second message, for the server's first one. */
int scram_client_answer(struct scram_client *x, struct span server_first, struct span password,
                        char out[SCRAM_CLIENT_TEXT_MAX]);
int scram_client_verify(const struct scram_client *x, struct span server_final);
void scram_client_end(struct scram_client *x); /* wipes it */

#endif
