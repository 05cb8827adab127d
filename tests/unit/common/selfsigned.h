/* Certificates that sign themselves, made in the test. */
#ifndef BARID_TESTS_SELFSIGNED_H
#define BARID_TESTS_SELFSIGNED_H

#include <openssl/x509v3.h>
#include <stddef.h>

struct selfsigned {
    X509 *x;
    char pem[4096];
    size_t n; /* octets of pem */
};

/* names: of subjectAltName, as in "DNS:mx.example.org". Both are the caller's. */
struct selfsigned selfsigned_make(EVP_PKEY *key, const char *names, long valid_s);

#endif
