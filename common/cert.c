#include "common/cert.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

const char *cert_why(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *why = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return why != NULL ? why : "no reason given";
}

/* --- names --- */

static int add_name(struct cert *c, const ASN1_STRING *s)
{
    char name[DOMAIN_MAX + 3];
    struct span text = {(const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)};
    if (c->n_names == CERT_NAMES_MAX || text.n == 0 || span_copy(name, sizeof name, text) < 0)
        return 0;
    for (char *at = name; *at != '\0'; at++)
        *at = ascii_lower(*at);
    c->names[c->n_names] = span_dup(span_of(name));
    return c->names[c->n_names] != NULL ? (int)++c->n_names : -1;
}

static int read_names(struct cert *c)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);
    int rc = 0;
    for (int i = 0; rc >= 0 && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS)
            rc = add_name(c, name->d.dNSName);
    }
    GENERAL_NAMES_free(names);
    return rc < 0 ? -1 : 0;
}

bool cert_name_covers(const char *name, struct span host)
{
    struct span n = span_of(name);
    if (!span_starts(n, SPAN("*.")))
        return span_ieq(n, host);
    struct span rest = host;
    struct span label = span_cut(&rest, '.');
    return label.n > 0 && rest.p != NULL && span_ieq(span_from(n, 2), rest);
}

bool cert_covers(const struct cert *c, struct span host)
{
    for (size_t i = 0; i < c->n_names; i++)
        if (cert_name_covers(c->names[i], host))
            return true;
    return false;
}

bool cert_names(const struct cert *c, struct span host)
{
    for (size_t i = 0; i < c->n_names; i++)
        if (span_ieq(span_of(c->names[i]), host))
            return true;
    return false;
}

/* --- keys and dates --- */

int cert_key_id(unsigned char out[KEY_ID], EVP_PKEY *key)
{
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(key, &der);
    if (n <= 0)
        return -1;
    SHA256(der, (size_t)n, out);
    OPENSSL_free(der);
    return 0;
}

static int64_t unix_time(const ASN1_TIME *t)
{
    struct tm tm;
    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static int read_facts(struct cert *c)
{
    EVP_PKEY *key = X509_get0_pubkey(c->leaf);
    static const char *const kinds[] = {"RSA", "EC", "ED25519"};
    if (key == NULL || cert_key_id(c->key_id, key) < 0)
        return -1;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (EVP_PKEY_is_a(key, kinds[i]))
            snprintf(c->key_kind, sizeof c->key_kind, "%s", kinds[i]);
    c->key_bits = EVP_PKEY_get_bits(key);
    c->not_before_s = unix_time(X509_get0_notBefore(c->leaf));
    c->not_after_s = unix_time(X509_get0_notAfter(c->leaf));
    return read_names(c);
}

void cert_print(char out[CERT_PRINT], const X509 *x)
{
    unsigned char digest[SHA256_DIGEST_LENGTH] = {0};
    unsigned n = sizeof digest;
    X509_digest(x, EVP_sha256(), digest, &n);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* --- files --- */

/* No file of ours has a password that anybody could type. */
static int no_password(char *out, int cap, int writing, void *arg)
{
    (void)out, (void)cap, (void)writing, (void)arg;
    return -1;
}

static int read_chain(BIO *bio, struct cert *c)
{
    c->leaf = PEM_read_bio_X509(bio, NULL, no_password, NULL);
    c->chain = sk_X509_new_null();
    if (c->leaf == NULL || c->chain == NULL)
        return -1;
    for (X509 *next; sk_X509_num(c->chain) < CERT_CHAIN_MAX &&
                     (next = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL;)
        if (sk_X509_push(c->chain, next) <= 0) {
            X509_free(next);
            return -1;
        }
    ERR_clear_error(); /* the end of the file */
    return 0;
}

static BIO *bio_of(struct span text)
{
    return BIO_new_mem_buf(text.p, text.n < INT32_MAX ? (int)text.n : INT32_MAX);
}

int cert_parse(struct span pem, struct cert *out, struct error *e)
{
    *out = (struct cert){0};
    BIO *bio = bio_of(pem);
    int rc = bio != NULL ? read_chain(bio, out) : -1;
    BIO_free(bio);
    if (rc < 0) {
        error_set(e, "no certificate in PEM form is in it (%s)", cert_why());
    } else if (read_facts(out) < 0) {
        rc = error_set(e, "the certificate is damaged (%s)", cert_why());
    } else if (out->key_kind[0] == '\0') {
        rc = error_set(e, "its key is of a kind that is not supported: use ECDSA, RSA or Ed25519");
    }
    if (rc < 0)
        cert_free(out);
    return rc;
}

void cert_free(struct cert *c)
{
    for (size_t i = 0; i < c->n_names; i++)
        free(c->names[i]);
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    *c = (struct cert){0};
}

EVP_PKEY *cert_read_key(struct span pem, struct error *e)
{
    BIO *bio = bio_of(pem);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    if (key == NULL)
        error_set(e, "no private key in PEM form without a password is in it (%s)", cert_why());
    return key;
}
