/* Private keys that are not here: an OpenSSL provider for keys of which only the public half is
 * known; signing is a question to whoever holds the other one (keyd). Public interfaces of OpenSSL
 * 3.0 only. A process that uses it never has a private key in its memory. */
#ifndef BARID_TLS_KEY_H
#define BARID_TLS_KEY_H

#include "common/proto.h"

#include <openssl/evp.h>

#define TLS_SIGNATURE_MAX 1024 /* RSA of 8192 bits */

/* Signs input (whole, not hashed) with the key of this KEY_ID. Returns the octets put into out, or
 * 0: could not, or will not. */
typedef size_t tls_sign_fn(void *arg, const unsigned char key[KEY_ID], enum key_scheme scheme,
                           struct span input, unsigned char out[TLS_SIGNATURE_MAX]);

/* Once in a process, before keys are made. 0, or -1. */
int tls_key_init(tls_sign_fn *sign, void *arg);
/* A key for SSL_CTX_use_cert_and_key, from the public one of the certificate. To be freed; NULL:
 * could not. */
EVP_PKEY *tls_key_new(EVP_PKEY *public_half);

#endif
