/* Keys from files, and what they sign; the other side of it is common/tls_key.c. */
#include "keyd/keys.h"

#include "common/cert.h"

#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <stdio.h>

#define SERVER "TLS 1.3, server CertificateVerify"

struct made {
    EVP_PKEY *key;
    unsigned char id[KEY_ID];
    char pem[8192];
    size_t n;
};

static struct made make(const char *kind)
{
    struct made m = {0};
    m.key = strcmp(kind, "EC") == 0    ? EVP_EC_gen("P-256")
            : strcmp(kind, "RSA") == 0 ? EVP_RSA_gen(2048)
                                       : EVP_PKEY_Q_keygen(NULL, NULL, kind);
    cr_assert_neq(m.key, NULL);
    cr_assert_eq(cert_key_id(m.id, m.key), 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, m.key, NULL, NULL, 0, NULL, NULL);
    m.n = (size_t)BIO_read(bio, m.pem, sizeof m.pem);
    BIO_free(bio);
    return m;
}

static void add(struct keys *k, const struct made *m)
{
    struct error e;
    cr_assert_eq(keys_add(k, (struct span){m->pem, m->n}, &e), 0);
}

static struct span handshake(void)
{
    static char room[130];
    memset(room, ' ', 64);
    memcpy(room + 64, SERVER, sizeof SERVER);
    memset(room + 64 + sizeof SERVER, 'h', 32);
    return (struct span){room, sizeof room};
}

static enum keys_answer ask(struct keys *k, const unsigned char *id, enum key_scheme scheme,
                            struct span input, unsigned char *out, size_t *n)
{
    struct msg_key_sign m = {
        .key = {(const char *)id, KEY_ID}, .scheme = (uint16_t)scheme, .input = input};
    return keys_sign(k, &m, out, n);
}

Test(keys, signs_handshakes_only)
{
    struct made ec = make("EC"), rsa = make("RSA"), ed = make("ED25519"), other = make("EC");
    struct keys *k = keys_new();
    unsigned char out[SIGNATURE_MAX];
    size_t n;
    keys_begin(k);
    add(k, &ec);
    add(k, &rsa);
    add(k, &ed);
    const struct {
        const struct made *key;
        enum key_scheme scheme;
        struct span input;
        enum keys_answer answer;
    } rows[] = {
        {&ec, KEY_ECDSA_SHA256, handshake(), KEYS_SIGNED},
        {&rsa, KEY_RSA_PSS_SHA256, handshake(), KEYS_SIGNED},
        {&ed, KEY_ED25519, handshake(), KEYS_SIGNED},
        {&ec, KEY_RSA_PSS_SHA256, handshake(), KEYS_REFUSED},
        {&rsa, KEY_ECDSA_SHA256, handshake(), KEYS_REFUSED},
        {&rsa, KEY_RSA_PKCS1_SHA256, handshake(), KEYS_REFUSED},
        {&ec, (enum key_scheme)0x0203, handshake(), KEYS_REFUSED},
        {&ec, KEY_ECDSA_SHA256, SPAN("sign my certificate"), KEYS_REFUSED},
        {&ec, KEY_ECDSA_SHA256, SPAN(""), KEYS_REFUSED},
        {&other, KEY_ECDSA_SHA256, handshake(), KEYS_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_expect_eq(ask(k, rows[i].key->id, rows[i].scheme, rows[i].input, out, &n),
                     rows[i].answer, "row %zu", i);
        cr_expect_eq(n > 0, rows[i].answer == KEYS_SIGNED, "row %zu", i);
    }
    cr_expect_eq(ask(k, ec.id, KEY_ECDSA_SHA256, handshake(), out, &n), KEYS_SIGNED);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    cr_assert_eq(EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, NULL, ec.key, NULL), 1);
    struct span in = handshake();
    cr_expect_eq(EVP_DigestVerify(ctx, out, n, (const unsigned char *)in.p, in.n), 1);
    EVP_MD_CTX_free(ctx);
    keys_free(k);
    EVP_PKEY_free(ec.key);
    EVP_PKEY_free(rsa.key);
    EVP_PKEY_free(ed.key);
    EVP_PKEY_free(other.key);
}

/* A key that is no longer in a file still signs: somebody may use the old certificate. */
Test(keys, old_ones_are_kept)
{
    struct made first = make("ED25519");
    struct keys *k = keys_new();
    unsigned char out[SIGNATURE_MAX];
    char list[KEYS_MAX * KEY_ID];
    size_t n;
    keys_begin(k);
    add(k, &first);
    add(k, &first);
    cr_expect_eq(keys_list(k, list, sizeof list), KEY_ID);
    for (int i = 1; i < KEYS_MAX; i++) {
        struct made next = make("ED25519");
        keys_begin(k);
        add(k, &next);
        EVP_PKEY_free(next.key);
        cr_expect_eq(keys_list(k, list, sizeof list), KEY_ID);
        cr_expect_eq(memcmp(list, next.id, KEY_ID), 0);
    }
    cr_expect_eq(ask(k, first.id, KEY_ED25519, handshake(), out, &n), KEYS_SIGNED);
    struct made last = make("ED25519");
    keys_begin(k);
    add(k, &last);
    cr_expect_eq(ask(k, first.id, KEY_ED25519, handshake(), out, &n), KEYS_UNKNOWN,
                 "the oldest one makes room");
    cr_expect_eq(ask(k, last.id, KEY_ED25519, handshake(), out, &n), KEYS_SIGNED);
    keys_free(k);
    EVP_PKEY_free(first.key);
    EVP_PKEY_free(last.key);
}

Test(keys, files_that_are_none)
{
    static const char *const texts[] = {"", "hello", "-----BEGIN PRIVATE KEY-----\n",
                                        ("-----BEGIN PRIVATE KEY-----\nAAAA\n"
                                         "-----END PRIVATE KEY-----\n")};
    struct keys *k = keys_new();
    struct error e;
    keys_begin(k);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        cr_expect_eq(keys_add(k, span_of(texts[i]), &e), -1);
    struct made x = make("X25519"); /* cannot sign */
    cr_expect_eq(keys_add(k, (struct span){x.pem, x.n}, &e), -1);
    EVP_PKEY_free(x.key);
    keys_free(k);
}
