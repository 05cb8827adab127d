/* The private keys that keyd holds, and signing with them. */
#ifndef BARID_KEYD_KEYS_H
#define BARID_KEYD_KEYS_H

#include "common/error.h"
#include "common/proto.h"

#define KEYS_MAX      256 /* held at a time; at most TLS_SECTIONS_MAX of them are in the files */
#define SIGNATURE_MAX 1024

struct keys;

/* NULL without memory. */
struct keys *keys_new(void);
void keys_free(struct keys *k);
/* A new set of files begins: keys that are in none of them are kept after the others, because
 * somebody may still use the old certificate; the oldest go first. */
void keys_begin(struct keys *k);
/* Takes in the key of a PEM file. 0, or -1 and e. */
int keys_add(struct keys *k, struct span pem, struct error *e);
/* KEY_ID octets of each key of the present files, at most `cap` octets: the octets written. */
size_t keys_list(const struct keys *k, char *out, size_t cap);

enum keys_answer {
    KEYS_SIGNED,
    KEYS_UNKNOWN, /* no such key */
    KEYS_REFUSED, /* not part of a TLS handshake, or not a scheme for this key */
    KEYS_FAILED,
};
enum keys_answer keys_sign(struct keys *k, const struct msg_key_sign *m,
                           unsigned char out[SIGNATURE_MAX], size_t *n);

#endif
