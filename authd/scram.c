#include "authd/scram.h"

#include "common/base64.h"
#include "common/scram_math.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define NONCE_OCTETS 18 /* 24 characters, none of them a comma */
#define HASH_OCTETS  SCRAM_HASH_OCTETS

_Static_assert(SCRAM_KEY_OCTETS == HASH_OCTETS, "the keys are hashes");

/* --- keys --- */

void scram_derive(struct span password, struct span salt, uint32_t iterations,
                  struct scram_keys *out)
{
    unsigned char salted[HASH_OCTETS], client[HASH_OCTETS];
    scram_stretch(password, salt, iterations, salted);
    scram_hmac(salted, sizeof salted, SPAN("Client Key"), client);
    crypto_hash_sha256(out->stored, client, sizeof client);
    scram_hmac(salted, sizeof salted, SPAN("Server Key"), out->server);
    sodium_memzero(salted, sizeof salted);
    sodium_memzero(client, sizeof client);
}

/* --- the first message --- */

/* "n=" and the like: takes them off. */
static bool take_key(struct span *s, char key)
{
    if (s->n < 2 || s->p[0] != key || s->p[1] != '=')
        return false;
    *s = span_from(*s, 2);
    return true;
}

/* RFC 5802 5.1: "=2C" is a comma, "=3D" an equals sign. 0, or -1. */
static int unescape(struct span in, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '=') {
            struct span code = {in.p + i, in.n - i < 3 ? in.n - i : 3};
            if (!span_eq(code, SPAN("=2C")) && !span_eq(code, SPAN("=3D")))
                return -1;
            c = code.p[2] == 'C' ? ',' : '=';
            i += 2;
        }
        if (c == '\0' || n + 1 >= cap)
            return -1;
        out[n++] = c;
    }
    out[n] = '\0';
    return n > 0 ? 0 : -1;
}

static bool is_nonce(struct span s)
{
    if (s.n == 0 || s.n > SCRAM_NONCE_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == ',')
            return false;
    return true;
}

int scram_read_first(struct span text, struct scram_first *out)
{
    struct span rest = text;
    if (text.n > SCRAM_TEXT_MAX)
        return -1;
    struct span flag = span_cut(&rest, ','), authzid = span_cut(&rest, ',');
    *out = (struct scram_first){.bare = rest};
    if (rest.p == NULL || flag.n == 0)
        return -1;
    out->header = (struct span){text.p, (size_t)(rest.p - text.p)};
    out->flag = flag.p[0];
    out->binding = flag;
    bool is_flag = out->flag == 'p' ? take_key(&out->binding, 'p')
                                    : flag.n == 1 && (out->flag == 'n' || out->flag == 'y');
    out->authzid = authzid;
    if (!is_flag || (authzid.n > 0 && !take_key(&out->authzid, 'a')))
        return -1;
    /* Extensions that must be understood ("m=") come before the name: there are none. */
    struct span user = span_cut(&rest, ',');
    out->nonce = span_cut(&rest, ',');
    if (!take_key(&user, 'n') || !take_key(&out->nonce, 'r') || !is_nonce(out->nonce))
        return -1;
    out->name = user;
    return unescape(user, out->user, sizeof out->user);
}

int scram_begin(struct scram *x, const struct scram_first *first, const struct scram_salt *salt,
                struct span channel)
{
    unsigned char octets[NONCE_OCTETS];
    char ours[2 * NONCE_OCTETS], salt_text[2 * SCRAM_SALT_OCTETS];
    randombytes_buf(octets, sizeof octets);
    sodium_bin2base64(ours, sizeof ours, octets, sizeof octets, sodium_base64_VARIANT_ORIGINAL);
    sodium_bin2base64(salt_text, sizeof salt_text, salt->octets, sizeof salt->octets,
                      sodium_base64_VARIANT_ORIGINAL);
    int n = snprintf(x->said, sizeof x->said, "r=%.*s%s,s=%s,i=%u", (int)first->nonce.n,
                     first->nonce.p, ours, salt_text, (unsigned)salt->iterations);
    x->nonce = (struct span){x->said + 2, first->nonce.n + strlen(ours)};
    x->n_binding = first->header.n + channel.n;
    if (n < 0 || (size_t)n >= sizeof x->said || x->n_binding > sizeof x->binding)
        return -1;
    memcpy(x->binding, first->header.p, first->header.n);
    if (channel.n > 0)
        memcpy(x->binding + first->header.n, channel.p, channel.n);
    return span_copy(x->bare, sizeof x->bare, first->bare);
}

/* --- the second message --- */

static bool is_binding(const struct scram *x, struct span text)
{
    unsigned char octets[SCRAM_TEXT_MAX];
    size_t n;
    return base64_decode(text, octets, sizeof octets, &n) == 0 && n == x->n_binding &&
           sodium_memcmp(octets, x->binding, n) == 0;
}

/* The proof is the last attribute: where it begins, or the length of the text. */
static size_t find_proof(struct span text)
{
    size_t at = text.n;
    for (size_t i = 0; i + 3 <= text.n; i++)
        if (memcmp(text.p + i, ",p=", 3) == 0)
            at = i;
    return at;
}

int scram_read_final(const struct scram *x, struct span text, struct scram_final *out)
{
    if (text.n > SCRAM_TEXT_MAX)
        return -1;
    size_t at = find_proof(text), n;
    struct span without = {text.p, at}, proof = span_from(text, at + 3), rest = without;
    struct span binding = span_cut(&rest, ','), nonce = span_cut(&rest, ',');
    if (at == text.n || !take_key(&binding, 'c') || !take_key(&nonce, 'r') ||
        !span_eq(nonce, x->nonce) || !is_binding(x, binding))
        return -1;
    if (base64_decode(proof, out->proof, sizeof out->proof, &n) < 0 || n != sizeof out->proof)
        return -1;
    int length = snprintf(out->auth, sizeof out->auth, "%s,%s,%.*s", x->bare, x->said,
                          (int)without.n, without.p);
    if (length < 0 || (size_t)length >= sizeof out->auth || memchr(text.p, '\0', text.n) != NULL)
        return -1;
    out->n_auth = (size_t)length;
    return 0;
}

bool scram_matches(const struct scram_final *f, const struct scram_keys *keys)
{
    unsigned char key[HASH_OCTETS], stored[HASH_OCTETS];
    scram_hmac(keys->stored, sizeof keys->stored, (struct span){f->auth, f->n_auth}, key);
    for (size_t i = 0; i < sizeof key; i++)
        key[i] ^= f->proof[i];
    crypto_hash_sha256(stored, key, sizeof key);
    sodium_memzero(key, sizeof key);
    return sodium_memcmp(stored, keys->stored, sizeof stored) == 0;
}

void scram_answer(const struct scram_final *f, const struct scram_keys *keys,
                  char out[SCRAM_PROOF_TEXT])
{
    unsigned char signature[HASH_OCTETS];
    scram_hmac(keys->server, sizeof keys->server, (struct span){f->auth, f->n_auth}, signature);
    memcpy(out, "v=", 3);
    sodium_bin2base64(out + 2, SCRAM_PROOF_TEXT - 2, signature, sizeof signature,
                      sodium_base64_VARIANT_ORIGINAL);
}
