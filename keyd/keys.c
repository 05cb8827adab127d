#include "keyd/keys.h"

#include "common/cert.h"
#include "keyd/form.h"

#include <openssl/rsa.h>

struct keys {
    struct {
        EVP_PKEY *key;
        unsigned char id[KEY_ID];
    } list[KEYS_MAX]; /* those of the present files first, then from new to old */
    size_t n;
    size_t n_present;
};

struct keys *keys_new(void)
{
    return calloc(1, sizeof(struct keys));
}

void keys_free(struct keys *k)
{
    for (size_t i = 0; k != NULL && i < k->n; i++)
        EVP_PKEY_free(k->list[i].key);
    free(k);
}

void keys_begin(struct keys *k)
{
    k->n_present = 0;
}

static size_t find(const struct keys *k, const unsigned char id[KEY_ID])
{
    size_t i = 0;
    while (i < k->n && memcmp(k->list[i].id, id, KEY_ID) != 0)
        i++;
    return i;
}

/* To the place behind the present ones; what was there moves back by one. */
static void put_first(struct keys *k, size_t from)
{
    if (from < k->n_present)
        return; /* twice in the files */
    __typeof__(k->list[0]) moved = k->list[from];
    memmove(&k->list[k->n_present + 1], &k->list[k->n_present],
            (from - k->n_present) * sizeof k->list[0]);
    k->list[k->n_present++] = moved;
}

static bool is_kind(EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "EC") || EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "ED25519");
}

int keys_add(struct keys *k, struct span pem, struct error *e)
{
    EVP_PKEY *key = cert_read_key(pem, e);
    unsigned char id[KEY_ID];
    if (key == NULL)
        return -1;
    if (!is_kind(key) || EVP_PKEY_get_size(key) > SIGNATURE_MAX || cert_key_id(id, key) < 0 ||
        k->n_present == KEYS_MAX) {
        EVP_PKEY_free(key);
        return error_set(e, "the key is of a kind that is not supported: use ECDSA, RSA or "
                            "Ed25519");
    }
    size_t at = find(k, id);
    if (at < k->n) {
        EVP_PKEY_free(key);
    } else {
        if (k->n == KEYS_MAX)
            EVP_PKEY_free(k->list[--k->n].key);
        at = k->n++;
        k->list[at].key = key;
        memcpy(k->list[at].id, id, KEY_ID);
    }
    put_first(k, at);
    return 0;
}

size_t keys_list(const struct keys *k, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < k->n_present && n + KEY_ID <= cap; i++, n += KEY_ID)
        memcpy(out + n, k->list[i].id, KEY_ID);
    return n;
}

/* --- signing --- */

struct method {
    const char *kind, *digest;
    bool is_pss;
};

static struct method method_of(enum key_scheme scheme)
{
    switch (scheme) {
    case KEY_RSA_PKCS1_SHA256:
        return (struct method){"RSA", "SHA256", false};
    case KEY_RSA_PKCS1_SHA384:
        return (struct method){"RSA", "SHA384", false};
    case KEY_RSA_PKCS1_SHA512:
        return (struct method){"RSA", "SHA512", false};
    case KEY_ECDSA_SHA256:
        return (struct method){"EC", "SHA256", false};
    case KEY_ECDSA_SHA384:
        return (struct method){"EC", "SHA384", false};
    case KEY_ECDSA_SHA512:
        return (struct method){"EC", "SHA512", false};
    case KEY_RSA_PSS_SHA256:
        return (struct method){"RSA", "SHA256", true};
    case KEY_RSA_PSS_SHA384:
        return (struct method){"RSA", "SHA384", true};
    case KEY_RSA_PSS_SHA512:
        return (struct method){"RSA", "SHA512", true};
    case KEY_ED25519:
        return (struct method){"ED25519", NULL, false};
    }
    return (struct method){NULL, NULL, false};
}

/* OpenSSL 3.0 calls ECDSA done, of 2^32 - 1 octets, when it has no memory to encode it. */
static bool sign(EVP_PKEY *key, const struct method *how, struct span input, unsigned char *out,
                 size_t *n)
{
    EVP_PKEY_CTX *padding = NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    *n = SIGNATURE_MAX;
    bool is_done = ctx != NULL &&
                   EVP_DigestSignInit_ex(ctx, &padding, how->digest, NULL, NULL, key, NULL) == 1 &&
                   (!how->is_pss ||
                    (EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) == 1 &&
                     EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, RSA_PSS_SALTLEN_DIGEST) == 1)) &&
                   EVP_DigestSign(ctx, out, n, (const unsigned char *)input.p, input.n) == 1 &&
                   *n <= SIGNATURE_MAX;
    EVP_MD_CTX_free(ctx);
    if (!is_done)
        *n = 0;
    return is_done;
}

enum keys_answer keys_sign(struct keys *k, const struct msg_key_sign *m,
                           unsigned char out[SIGNATURE_MAX], size_t *n)
{
    enum key_scheme scheme = (enum key_scheme)m->scheme;
    struct method how = method_of(scheme);
    *n = 0;
    if (m->key.n != KEY_ID || !form_allows(form_of(m->input), scheme))
        return KEYS_REFUSED;
    size_t at = find(k, (const unsigned char *)m->key.p);
    if (at == k->n)
        return KEYS_UNKNOWN;
    /* EVP_PKEY_is_a says no as well when it has no memory */
    const char *kind = EVP_PKEY_get0_type_name(k->list[at].key);
    if (kind == NULL || how.kind == NULL || strcasecmp(kind, how.kind) != 0)
        return KEYS_REFUSED;
    return sign(k->list[at].key, &how, m->input, out, n) ? KEYS_SIGNED : KEYS_FAILED;
}
