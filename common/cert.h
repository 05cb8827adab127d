/* Certificates as files hold them: a chain in PEM, the server's own first. Read by who serves TLS
 * and by `barid check`; the content is an administrator's, not a peer's. */
#ifndef BARID_CERT_H
#define BARID_CERT_H

#include "common/error.h"
#include "common/proto.h"

#include <openssl/x509.h>

#define CERT_NAMES_MAX 200
#define CERT_CHAIN_MAX 20
#define CERT_PRINT     65 /* SHA-256 in hex, with its end */

struct cert {
    X509 *leaf;
    STACK_OF(X509) * chain;      /* what is sent behind it; may be empty */
    char *names[CERT_NAMES_MAX]; /* DNS names (subjectAltName), lower case; "*.example.org" */
    size_t n_names;
    unsigned char key_id[KEY_ID];
    char key_kind[16]; /* "RSA", "EC", "ED25519" */
    int key_bits;
    int64_t not_before_s, not_after_s; /* Unix time */
};

/* 0, or -1 and e; then there is nothing to free. */
int cert_parse(struct span pem, struct cert *out, struct error *e);
void cert_free(struct cert *c);
/* Does the certificate cover this host? A wildcard stands for one label (RFC 6125 6.4.3). */
bool cert_covers(const struct cert *c, struct span host);
/* The same, without wildcards. */
bool cert_names(const struct cert *c, struct span host);
/* Does one name, perhaps with a wildcard in front, cover the host? */
bool cert_name_covers(const char *name, struct span host);
/* KEY_ID of a public key, or of a private one by its public half. 0, or -1. */
int cert_key_id(unsigned char out[KEY_ID], EVP_PKEY *key);
/* SHA-256 of the certificate, in hex. */
void cert_print(char out[CERT_PRINT], const X509 *x);
/* The private key in a PEM file without a password. NULL and e. */
EVP_PKEY *cert_read_key(struct span pem, struct error *e);
/* The words of the last mistake of OpenSSL; its list of mistakes is emptied. */
const char *cert_why(void);

#endif
