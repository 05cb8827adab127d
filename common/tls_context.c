#include "common/tls_context.h"

#include "common/tls_key.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#define CIPHERS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"
#define GROUPS      "X25519:P-256:P-384"
#define SIGNATURES                                                                                 \
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:" \
    "RSA+SHA256:RSA+SHA384:RSA+SHA512"
#define PEER_CHAIN_MAX 32768 /* octets of a client's certificates */

struct place {
    SSL_CTX *ctx;
    struct cert names; /* only its names are kept */
    bool asks_client;
};

struct tls_server {
    unsigned users;
    struct place *places;
    size_t n, fallback;
};

struct tls_client {
    unsigned users;
    SSL_CTX *ctx;
};

/* --- which certificate --- */

size_t tls_choose(const struct cert *const *certs, size_t n, size_t fallback, struct span name)
{
    for (size_t i = 0; i < n; i++)
        if (cert_names(certs[i], name))
            return i;
    for (size_t i = 0; i < n; i++)
        if (cert_covers(certs[i], name))
            return i;
    return fallback;
}

/* Not a reason to fail if no certificate has the name: senders of mail ask for whatever the MX
 * record said. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
    struct tls_server *s = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct cert *certs[TLS_OFFERS_MAX];
    (void)alert;
    if (name == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    tls_wanted(SSL_get_app_data(ssl), name);
    for (size_t i = 0; i < s->n; i++)
        certs[i] = &s->places[i].names;
    size_t at = tls_choose(certs, s->n, s->fallback, span_of(name));
    const struct place *p = &s->places[at];
    SSL_set_SSL_CTX(ssl, p->ctx);
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(p->ctx), SSL_CTX_get_verify_callback(p->ctx));
    return SSL_TLSEXT_ERR_OK;
}

/* --- contexts --- */

/* A client's certificate is looked at, not required: what it is worth is for others to say. */
static int accept_any(int ok, X509_STORE_CTX *ctx)
{
    (void)ok, (void)ctx;
    return 1;
}

static int add_authority(X509_STORE *store, SSL_CTX *names_to, X509 *x)
{
    if (X509_STORE_add_cert(store, x) != 1)
        return -1;
    return names_to == NULL || SSL_CTX_add_client_CA(names_to, x) == 1 ? 0 : -1;
}

/* Authorities of a PEM text; their names are told to clients if names_to is given. Returns how many
 * there were, or -1. */
static int add_authorities(X509_STORE *store, struct span pem, SSL_CTX *names_to)
{
    BIO *bio = BIO_new_mem_buf(pem.p, pem.n < INT32_MAX ? (int)pem.n : INT32_MAX);
    int count = 0;
    X509 *x;
    while (bio != NULL && count >= 0 && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        count = add_authority(store, names_to, x) == 0 ? count + 1 : -1;
        X509_free(x);
    }
    BIO_free(bio);
    if (count > 0)
        ERR_clear_error(); /* the end of the text */
    return bio != NULL ? count : -1;
}

static SSL_CTX *context_new(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL)
        return NULL;
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    char groups[] = GROUPS; /* the macro takes no const */
    if (SSL_CTX_set_num_tickets(ctx, 0) == 1 &&
        SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
        SSL_CTX_set_cipher_list(ctx, CIPHERS_1_2) == 1 &&
        SSL_CTX_set1_groups_list(ctx, groups) == 1)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

static int use_pair(SSL_CTX *ctx, const struct cert *c)
{
    EVP_PKEY *key = tls_key_new(X509_get0_pubkey(c->leaf));
    int ok = key != NULL ? SSL_CTX_use_cert_and_key(ctx, c->leaf, key, c->chain, 1) : 0;
    EVP_PKEY_free(key);
    return ok == 1 ? 0 : -1;
}

static bool covers_all(const struct cert *c, const struct cert *names_of)
{
    for (size_t i = 0; i < names_of->n_names; i++)
        if (!cert_names(c, span_of(names_of->names[i])) &&
            !cert_covers(c, span_of(names_of->names[i])))
            return false;
    return names_of->n_names > 0;
}

/* The certificate itself last: where two have the same kind of key it takes the place. */
static int use_pairs(SSL_CTX *ctx, const struct tls_offer *offers, size_t n, size_t at)
{
    for (size_t i = 0; i < n; i++)
        if (i != at && strcmp(offers[i].cert->key_kind, offers[at].cert->key_kind) != 0 &&
            covers_all(offers[i].cert, offers[at].cert) && use_pair(ctx, offers[i].cert) < 0)
            return -1;
    return use_pair(ctx, offers[at].cert);
}

static int ask_clients(SSL_CTX *ctx, const struct tls_offer *o)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    if (!o->asks_client)
        return 0;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, accept_any);
    SSL_CTX_set_max_cert_list(ctx, PEER_CHAIN_MAX);
    return o->client_ca.n == 0 || add_authorities(store, o->client_ca, ctx) > 0 ? 0 : -1;
}

static int keep_names(struct cert *to, const struct cert *from)
{
    for (size_t i = 0; i < from->n_names; i++) {
        to->names[i] = span_dup(span_of(from->names[i]));
        if (to->names[i] == NULL)
            return -1;
        to->n_names++;
    }
    return 0;
}

static int place_fill(struct tls_server *s, const struct tls_offer *offers, size_t at,
                      bool only_1_3, struct error *e)
{
    struct place *p = &s->places[at];
    char signatures[] = SIGNATURES; /* the macro takes no const */
    p->ctx = context_new(TLS_server_method());
    if (p->ctx == NULL || keep_names(&p->names, offers[at].cert) < 0 ||
        SSL_CTX_set1_sigalgs_list(p->ctx, signatures) != 1 ||
        (only_1_3 && SSL_CTX_set_min_proto_version(p->ctx, TLS1_3_VERSION) != 1))
        return error_set(e, "out of memory");
    if (use_pairs(p->ctx, offers, s->n, at) < 0)
        return error_set(e, "OpenSSL refuses the certificate: %s", cert_why());
    if (ask_clients(p->ctx, &offers[at]) < 0)
        return error_set(e, "no authorities in PEM form are in client_ca: %s", cert_why());
    SSL_CTX_set_tlsext_servername_callback(p->ctx, on_name);
    SSL_CTX_set_tlsext_servername_arg(p->ctx, s);
    return 0;
}

static void server_free(struct tls_server *s)
{
    for (size_t i = 0; i < s->n; i++) {
        SSL_CTX_free(s->places[i].ctx);
        cert_free(&s->places[i].names);
    }
    free(s->places);
    free(s);
}

struct tls_server *tls_server_new(const struct tls_offer *offers, size_t n, size_t fallback,
                                  bool only_1_3, struct error *e)
{
    struct tls_server *s = calloc(1, sizeof *s);
    ERR_clear_error();
    if (s == NULL || n == 0 || n > TLS_OFFERS_MAX || fallback >= n ||
        (s->places = alloc_array(n, sizeof *s->places)) == NULL) {
        free(s);
        error_set(e, "out of memory, or too many certificates");
        return NULL;
    }
    s->users = 1;
    s->n = n;
    s->fallback = fallback;
    for (size_t i = 0; i < n; i++)
        if (place_fill(s, offers, i, only_1_3, e) < 0) {
            server_free(s);
            return NULL;
        }
    return s;
}

struct tls_server *tls_server_use(struct tls_server *s)
{
    s->users++;
    return s;
}

void tls_server_release(struct tls_server *s)
{
    if (s != NULL && --s->users == 0)
        server_free(s);
}

SSL_CTX *tls_server_first(struct tls_server *s)
{
    return s->places[s->fallback].ctx;
}

/* --- clients --- */

/* In TLS 1.2 the session is whole before anybody asks for it (tls_handshake). */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    if (SSL_version(ssl) == TLS1_3_VERSION)
        tls_given(SSL_get_app_data(ssl), session);
    return 0; /* OpenSSL keeps none itself */
}

struct tls_client *tls_client_new(struct span trust, struct error *e)
{
    struct tls_client *c = calloc(1, sizeof *c);
    ERR_clear_error();
    if (c == NULL || (c->ctx = context_new(TLS_client_method())) == NULL) {
        free(c);
        error_set(e, "out of memory");
        return NULL;
    }
    c->users = 1;
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ctx, on_session);
    /* A handshake does not end over this: the caller reads the result and decides. */
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_NONE, NULL);
    if (SSL_CTX_dane_enable(c->ctx) != 1) { /* for those sessions that are given TLSA records */
        tls_client_free(c);
        error_set(e, "out of memory");
        return NULL;
    }
    if (trust.n > 0 && add_authorities(SSL_CTX_get_cert_store(c->ctx), trust, NULL) <= 0) {
        tls_client_free(c);
        error_set(e, "no authorities in PEM form are in it: %s", cert_why());
        return NULL;
    }
    return c;
}

struct tls_client *tls_client_use(struct tls_client *c)
{
    if (c != NULL)
        c->users++;
    return c;
}

void tls_client_free(struct tls_client *c)
{
    if (c == NULL || --c->users > 0)
        return;
    SSL_CTX_free(c->ctx);
    free(c);
}

SSL_CTX *tls_client_context(struct tls_client *c)
{
    return c->ctx;
}
