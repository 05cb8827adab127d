#include "common/scram_math.h"

#include <sodium.h>
#include <string.h>

void scram_hmac(const void *key, size_t n_key, struct span text,
                unsigned char out[SCRAM_HASH_OCTETS])
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, n_key);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)text.p, text.n);
    crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof state);
}

/* The keyed state is made once and copied. */
void scram_stretch(struct span password, struct span salt, uint32_t iterations,
                   unsigned char out[SCRAM_HASH_OCTETS])
{
    static const unsigned char block[4] = {0, 0, 0, 1};
    unsigned char u[SCRAM_HASH_OCTETS];
    crypto_auth_hmacsha256_state keyed, state;
    crypto_auth_hmacsha256_init(&keyed, (const unsigned char *)password.p, password.n);
    state = keyed;
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)salt.p, salt.n);
    crypto_auth_hmacsha256_update(&state, block, sizeof block);
    crypto_auth_hmacsha256_final(&state, u);
    memcpy(out, u, sizeof u);
    for (uint32_t i = 1; i < iterations; i++) {
        state = keyed;
        crypto_auth_hmacsha256_update(&state, u, sizeof u);
        crypto_auth_hmacsha256_final(&state, u);
        for (size_t k = 0; k < sizeof u; k++)
            out[k] ^= u[k];
    }
    sodium_memzero(&keyed, sizeof keyed);
    sodium_memzero(&state, sizeof state);
    sodium_memzero(u, sizeof u);
}
