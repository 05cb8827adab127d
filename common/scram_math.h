/* What both sides of SCRAM-SHA-256 (RFC 5802 2.2, RFC 7677) compute. Made of libsodium's HMAC, so
 * that authd links no OpenSSL. */
#ifndef BARID_SCRAM_MATH_H
#define BARID_SCRAM_MATH_H

#include "common/str.h"

#define SCRAM_HASH_OCTETS 32

void scram_hmac(const void *key, size_t n_key, struct span text,
                unsigned char out[SCRAM_HASH_OCTETS]);
/* Hi(): PBKDF2 of one block; as long as `iterations` says. */
void scram_stretch(struct span password, struct span salt, uint32_t iterations,
                   unsigned char out[SCRAM_HASH_OCTETS]);

#endif
