/* Keys from files, and what they sign; the other side of it is common/tls_key.c. */
#include "keyd/keys.h"

#include "common/cert.h"

#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <stdio.h>

#define ALLOCS_MAX 10000

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

static bool is_right(const struct made *m, const char *digest, const unsigned char *out, size_t n)
{
    struct span in = handshake();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_good = EVP_DigestVerifyInit_ex(ctx, NULL, digest, NULL, NULL, m->key, NULL) == 1 &&
                   EVP_DigestVerify(ctx, out, n, (const unsigned char *)in.p, in.n) == 1;
    EVP_MD_CTX_free(ctx);
    return is_good;
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
    cr_expect(is_right(&ec, "SHA256", out, n));
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

/* --- without memory --- */

static unsigned long n_allocs, fails_at; /* 0: none does */

static void *maybe_malloc(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return ++n_allocs == fails_at ? NULL : malloc(n);
}

static void *maybe_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return ++n_allocs == fails_at ? NULL : realloc(p, n);
}

static void plain_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    free(p);
}

static bool is_ours;

/* Before anybody uses OpenSSL: Criterion does. */
__attribute__((constructor)) static void take_allocator(void)
{
    is_ours = CRYPTO_set_mem_functions(maybe_malloc, maybe_realloc, plain_free) == 1;
}

/* Each allocation of OpenSSL fails once: there is a right signature, or none for now. */
Test(keys, without_memory)
{
    static const struct {
        const char *kind;
        enum key_scheme scheme;
        const char *digest;
    } rows[] = {{"EC", KEY_ECDSA_SHA256, "SHA256"}, {"ED25519", KEY_ED25519, NULL}};
    cr_assert(is_ours);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct made m = make(rows[i].kind);
        struct keys *k = keys_new();
        unsigned char out[SIGNATURE_MAX];
        unsigned long n_failed = 0;
        size_t n;
        keys_begin(k);
        add(k, &m);
        for (unsigned long at = 1; at < ALLOCS_MAX; at++) {
            n_allocs = 0;
            fails_at = at;
            enum keys_answer answer = ask(k, m.id, rows[i].scheme, handshake(), out, &n);
            bool is_over = n_allocs < at;
            fails_at = 0;
            if (answer == KEYS_SIGNED)
                cr_assert(n <= sizeof out && is_right(&m, rows[i].digest, out, n), "%s %lu",
                          rows[i].kind, at);
            else
                cr_assert(answer == KEYS_FAILED && n == 0, "%s %lu", rows[i].kind, at);
            n_failed += answer == KEYS_FAILED;
            if (is_over)
                break;
        }
        cr_expect(n_failed > 0);
        cr_expect_eq(ask(k, m.id, rows[i].scheme, handshake(), out, &n), KEYS_SIGNED);
        keys_free(k);
        EVP_PKEY_free(m.key);
    }
}
