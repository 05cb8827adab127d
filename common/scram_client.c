#include "common/scram_client.h"

#include "common/base64.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define NONCE_OCTETS 18 /* 24 characters, none of them a comma */
#define SALT_MAX     256
#define LEN(s)       (int)(s).n, (s).p

/* RFC 5802 5.1: a comma and an equals sign are written as codes. 0, or -1: too long. */
static int escape(const char *user, char *out, size_t cap)
{
    size_t n = 0;
    for (; *user != '\0'; user++) {
        const char *code = *user == ',' ? "=2C" : *user == '=' ? "=3D" : NULL;
        int wrote = code != NULL ? snprintf(out + n, cap - n, "%s", code)
                                 : snprintf(out + n, cap - n, "%c", *user);
        if (wrote < 0 || (size_t)wrote >= cap - n)
            return -1;
        n += (size_t)wrote;
    }
    return n > 0 ? 0 : -1;
}

int scram_client_begin(struct scram_client *x, const char *user, const char *binding,
                       struct span channel)
{
    unsigned char octets[NONCE_OCTETS];
    char name[1024];
    *x = (struct scram_client){.n_header = strlen(binding) + 2, .n_bound = channel.n};
    if (channel.n > sizeof x->bound || escape(user, name, sizeof name) < 0)
        return -1;
    if (channel.n > 0)
        memcpy(x->bound, channel.p, channel.n);
    randombytes_buf(octets, sizeof octets);
    sodium_bin2base64(x->nonce, sizeof x->nonce, octets, sizeof octets,
                      sodium_base64_VARIANT_ORIGINAL);
    int n = snprintf(x->first, sizeof x->first, "%s,,n=%s,r=%s", binding, name, x->nonce);
    return n > 0 && (size_t)n < sizeof x->first ? 0 : -1;
}

struct server_first {
    struct span nonce;
    unsigned char salt[SALT_MAX];
    size_t n_salt;
    uint32_t iterations;
};

/* "r=…": takes the value. 0, or -1. */
static int take(struct span *rest, char key, struct span *value)
{
    *value = span_cut(rest, ',');
    if (value->n < 3 || value->p[0] != key || value->p[1] != '=')
        return -1;
    *value = span_from(*value, 2);
    return 0;
}

static int read_first(const struct scram_client *x, struct span text, struct server_first *out)
{
    struct span rest = text, salt, count;
    uint64_t iterations;
    if (text.n == 0 || text.n > SCRAM_CLIENT_TEXT_MAX / 2 || memchr(text.p, '\0', text.n) != NULL ||
        take(&rest, 'r', &out->nonce) < 0 || take(&rest, 's', &salt) < 0 ||
        take(&rest, 'i', &count) < 0 || span_u64(count, &iterations) < 0)
        return -1;
    struct span ours = span_of(x->nonce);
    if (!span_starts(out->nonce, ours) || out->nonce.n == ours.n ||
        iterations < SCRAM_ITERATIONS_MIN || iterations > SCRAM_ITERATIONS_MAX)
        return -1;
    out->iterations = (uint32_t)iterations;
    return base64_decode(salt, out->salt, sizeof out->salt, &out->n_salt);
}

/* Our second message up to the proof. */
static int without_proof(const struct scram_client *x, struct span nonce, char *out, size_t cap)
{
    unsigned char bound[sizeof x->bound + 64];
    char text[2 * sizeof bound];
    if (x->n_header + x->n_bound > sizeof bound)
        return -1;
    memcpy(bound, x->first, x->n_header);
    memcpy(bound + x->n_header, x->bound, x->n_bound);
    sodium_bin2base64(text, sizeof text, bound, x->n_header + x->n_bound,
                      sodium_base64_VARIANT_ORIGINAL);
    int n = snprintf(out, cap, "c=%s,r=%.*s", text, LEN(nonce));
    return n > 0 && (size_t)n < cap ? 0 : -1;
}

/* The proof for AuthMessage, and the signature that we expect. */
static void prove(struct scram_client *x, const struct server_first *s, struct span password,
                  struct span auth, unsigned char proof[SCRAM_HASH_OCTETS])
{
    unsigned char salted[SCRAM_HASH_OCTETS], key[SCRAM_HASH_OCTETS], stored[SCRAM_HASH_OCTETS];
    scram_stretch(password, (struct span){(const char *)s->salt, s->n_salt}, s->iterations, salted);
    scram_hmac(salted, sizeof salted, SPAN("Client Key"), key);
    crypto_hash_sha256(stored, key, sizeof key);
    scram_hmac(stored, sizeof stored, auth, proof);
    for (size_t i = 0; i < sizeof key; i++)
        proof[i] ^= key[i];
    scram_hmac(salted, sizeof salted, SPAN("Server Key"), key);
    scram_hmac(key, sizeof key, auth, x->signature);
    sodium_memzero(salted, sizeof salted);
    sodium_memzero(key, sizeof key);
    sodium_memzero(stored, sizeof stored);
}

int scram_client_answer(struct scram_client *x, struct span server_first, struct span password,
                        char out[SCRAM_CLIENT_TEXT_MAX])
{
    struct server_first s;
    unsigned char proof[SCRAM_HASH_OCTETS];
    char ours[SCRAM_CLIENT_TEXT_MAX], proof_text[64], auth[3 * SCRAM_CLIENT_TEXT_MAX];
    if (read_first(x, server_first, &s) < 0 || without_proof(x, s.nonce, ours, sizeof ours) < 0)
        return -1;
    int n =
        snprintf(auth, sizeof auth, "%s,%.*s,%s", x->first + x->n_header, LEN(server_first), ours);
    if (n < 0 || (size_t)n >= sizeof auth)
        return -1;
    prove(x, &s, password, (struct span){auth, (size_t)n}, proof);
    sodium_bin2base64(proof_text, sizeof proof_text, proof, sizeof proof,
                      sodium_base64_VARIANT_ORIGINAL);
    n = snprintf(out, SCRAM_CLIENT_TEXT_MAX, "%s,p=%s", ours, proof_text);
    return n > 0 && n < SCRAM_CLIENT_TEXT_MAX ? 0 : -1;
}

int scram_client_verify(const struct scram_client *x, struct span server_final)
{
    unsigned char got[SCRAM_HASH_OCTETS];
    struct span rest = server_final, value;
    size_t n;
    if (server_final.n == 0 || take(&rest, 'v', &value) < 0 ||
        base64_decode(value, got, sizeof got, &n) < 0)
        return -1;
    return n == sizeof got && sodium_memcmp(got, x->signature, n) == 0 ? 0 : -1;
}

void scram_client_end(struct scram_client *x)
{
    sodium_memzero(x, sizeof *x);
}
