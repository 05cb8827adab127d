/* keyd: signs handshakes for a server that is played here. A signature is right, or there is none
 * for now; a fault of its own is never "no such key". */
#include "tests/fault/subject.h"
#include "tests/fault/work.h"

#include "common/verdict.h"

#include <fcntl.h>
#include <limits.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/mman.h>

#define PEERS (P_SMTPD)

static EVP_PKEY *key;
static int key_fd = -1;

static void make_key(void)
{
    char *octets;
    BIO *pem = BIO_new(BIO_s_mem());
    key = EVP_EC_gen("P-256");
    if (key == NULL || PEM_write_bio_PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL) != 1)
        play_give_up("a key");
    long n = BIO_get_mem_data(pem, &octets);
    key_fd = subject_file(octets, (size_t)n);
    BIO_free(pem);
}

static void offer(struct play *p)
{
    subject_offer(p, FILE_KEY, key_fd);
}

/* What a server signs in TLS 1.3 (RFC 8446 4.4.3). */
static size_t handshake(char out[200])
{
    static const char context[] = "TLS 1.3, server CertificateVerify";
    memset(out, ' ', 64);
    memcpy(out + 64, context, sizeof context);
    memset(out + 64 + sizeof context, 7, 32);
    return 64 + sizeof context + 32;
}

static bool is_right(struct span signature)
{
    char input[200];
    size_t n = handshake(input);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool is_good = EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
                   EVP_DigestVerify(md, (const unsigned char *)signature.p, signature.n,
                                    (const unsigned char *)input, n) == 1;
    EVP_MD_CTX_free(md);
    return is_good;
}

/* 1: signed; 0: later; -1, WORK_SILENCE. */
static int sign(struct play *p)
{
    static uint64_t tag;
    unsigned char *der = NULL, id[KEY_ID];
    char input[200];
    union msg m;
    int fd, n = i2d_PUBKEY(key, &der);
    if (n < 0 || EVP_Digest(der, (size_t)n, id, NULL, EVP_sha256(), NULL) != 1)
        play_give_up("the key's name");
    OPENSSL_free(der);
    struct msg_key_sign ask = {.tag = ++tag,
                               .key = {(const char *)id, sizeof id},
                               .scheme = KEY_ECDSA_SHA256,
                               .input = {input, handshake(input)}};
    int rc = subject_ask(p->channels[ROLE_SMTPD], MSG_KEY_SIGN, &ask, MSG_KEY_SIGN_RE, &m, &fd);
    if (rc < 0)
        return rc;
    unsigned v = m.key_sign_re.verdict;
    if (v == VERDICT_NEVER || (v == VERDICT_OK && !is_right(m.key_sign_re.signature)))
        subject_complain_of("a signature", v);
    return v == VERDICT_OK;
}

/* --- the subject --- */

static void lay_out(const char *state, const char *template)
{
    (void)template;
    if (key == NULL)
        make_key();
    play_layout(state);
}

static int day(struct play *p)
{
    int rc = 0;
    for (int i = 0; i < 3 && rc >= 0; i++)
        rc = sign(p);
    return rc < 0 ? rc : 0;
}

static void again(struct play *p)
{
    if (sign(p) != 1)
        subject_complain_of("afterwards, a signature", VERDICT_TRY_LATER);
}

const struct subject subject_keyd = {.role = ROLE_KEYD,
                                     .peers = PEERS,
                                     .config = "[tls]\ncertificate = /cert.pem\nkey = /key.pem\n",
                                     .sample = 3,
                                     .is_kept = true,
                                     .before_start = offer,
                                     .lay_out = lay_out,
                                     .day = day,
                                     .again = again};
