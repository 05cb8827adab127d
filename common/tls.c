#include "common/tls.h"

#include "common/net.h"
#include "common/pack.h"
#include "common/proto.h"
#include "common/tls_context.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define NAME_MAX_OCTETS 255
#define UNVERIFIABLE    "none of its TLSA records can be used"
/* RFC 6698 2.1.1; the others of it (0, 1) are not for SMTP (RFC 7672 3.1.3). */
#define USAGE_DANE_TA   2
#define USAGE_DANE_EE   3
#define EXPORTER_LABEL  "EXPORTER-Channel-Binding"
#define EXPORTER_OCTETS 32
#define TICKETS_MAX     8 /* of a server that are looked at; more than two are not usual */

struct tls {
    SSL *ssl;
    struct tls_server *server; /* NULL: we connected */
    bool is_done;              /* the handshake */
    bool is_broken;            /* nothing more may be sent */
    void (*keep)(void *owner, const struct tls_info *info, struct span session, int64_t seconds);
    void *keeper; /* NULL keep: no session is kept */
    unsigned n_given;
    const char *why;
    char *name;
    struct tls_info info;
};

int tls_init(void)
{
    return OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1 ? 0 : -1;
}

static struct tls *session_new(SSL_CTX *ctx, int fd)
{
    struct tls *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    ERR_clear_error();
    t->why = "no reason given";
    t->ssl = SSL_new(ctx);
    if (t->ssl == NULL || SSL_set_fd(t->ssl, fd) != 1) {
        tls_free(t);
        return NULL;
    }
    SSL_set_app_data(t->ssl, t);
    return t;
}

struct tls *tls_accept(struct tls_server *s, int fd)
{
    struct tls *t = session_new(tls_server_first(s), fd);
    if (t == NULL)
        return NULL;
    t->server = tls_server_use(s);
    SSL_set_accept_state(t->ssl);
    return t;
}

/* Verified in any case; what a failure means is for the caller to decide. */
static int expect_host(struct tls *t, struct span host, bool only_dns_id)
{
    char text[NAME_MAX_OCTETS + 1];
    struct netaddr address;
    if (span_copy(text, sizeof text, host) < 0)
        return -1;
    if (netaddr_parse(host, &address) == 0)
        return X509_VERIFY_PARAM_set1_ip(SSL_get0_param(t->ssl), address.octets, address.n) == 1
                   ? 0
                   : -1;
    SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                  (only_dns_id ? X509_CHECK_FLAG_NEVER_CHECK_SUBJECT : 0U));
    return SSL_set1_host(t->ssl, text) == 1 && SSL_set_tlsext_host_name(t->ssl, text) == 1 ? 0 : -1;
}

/* 1: a record that can be used; 0: none that can; -1: no memory. */
static int add_tlsa(SSL *ssl, struct unpacker *u)
{
    uint8_t usage = (uint8_t)unpack_uint(u, 1), selector = (uint8_t)unpack_uint(u, 1);
    uint8_t matching = (uint8_t)unpack_uint(u, 1);
    struct span data = unpack_bytes(u, TLSA_DATA_MAX);
    unsigned char room[TLSA_DATA_MAX];
    if (u->failed || data.n == 0 || (usage != USAGE_DANE_TA && usage != USAGE_DANE_EE))
        return 0;
    memcpy(room, data.p, data.n);
    return SSL_dane_tlsa_add(ssl, usage, selector, matching, room, data.n);
}

static int add_name(SSL *ssl, struct span name)
{
    char text[NAME_MAX_OCTETS + 1];
    if (name.n == 0)
        return 0;
    return span_copy(text, sizeof text, name) == 0 && SSL_add1_host(ssl, text) == 1 ? 0 : -1;
}

/* DANE-TA(2) goes by the chain and the name, DANE-EE(3) by the certificate or its key alone:
 * neither name nor time count (RFC 7672 3.1.1, 3.1.2). Which digest counts if there are several
 * (RFC 7671 9) OpenSSL knows. */
static int expect_tlsa(struct tls *t, const struct tls_wish *wish)
{
    char base[NAME_MAX_OCTETS + 1];
    struct unpacker u = unpacker_on(wish->tlsa);
    size_t n_usable = 0;
    if (span_copy(base, sizeof base, wish->host) < 0 || SSL_dane_enable(t->ssl, base) != 1 ||
        add_name(t->ssl, wish->names[0]) < 0 || add_name(t->ssl, wish->names[1]) < 0)
        return -1;
    SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_dane_set_flags(t->ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    while (u.left.n > 0 && !u.failed) {
        int added = add_tlsa(t->ssl, &u);
        if (added < 0)
            return -1;
        n_usable += added > 0;
    }
    t->info.is_unverifiable = n_usable == 0;
    return 0;
}

/* A session that cannot be gone on with costs a full handshake and nothing else. */
static int go_on(struct tls *t, const struct tls_resumption *r)
{
    if (r == NULL)
        return 0;
    t->keep = r->keep;
    t->keeper = r->owner;
    SSL_clear_options(t->ssl, SSL_OP_NO_TICKET);
    if (SSL_set_session_id_context(t->ssl, r->context, sizeof r->context) != 1)
        return -1;
    const unsigned char *at = (const unsigned char *)r->session.p;
    SSL_SESSION *s = r->session.n > 0 && r->session.n <= TLS_SESSION_MAX
                         ? d2i_SSL_SESSION(NULL, &at, (long)r->session.n)
                         : NULL;
    if (s != NULL)
        SSL_set_session(t->ssl, s);
    SSL_SESSION_free(s);
    ERR_clear_error();
    return 0;
}

struct tls *tls_connect(struct tls_client *c, int fd, const struct tls_wish *wish)
{
    struct tls *t = session_new(tls_client_context(c), fd);
    if (t == NULL)
        return NULL;
    SSL_set_connect_state(t->ssl);
    if ((wish->tlsa.n > 0 ? expect_tlsa(t, wish) : expect_host(t, wish->host, wish->only_dns_id)) <
            0 ||
        go_on(t, wish->resumption) < 0 ||
        (wish->is_lenient && SSL_set_cipher_list(t->ssl, TLS_LENIENT_CIPHERS) != 1)) {
        tls_free(t);
        return NULL;
    }
    return t;
}

void tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    SSL_free(t->ssl);
    tls_server_release(t->server);
    free(t->info.subject);
    free(t->name);
    free(t);
}

void tls_wanted(struct tls *t, const char *name)
{
    free(t->name);
    t->name = strlen(name) <= NAME_MAX_OCTETS ? span_dup(span_of(name)) : NULL;
}

/* --- what became of a call --- */

/* Of several mistakes the first is the cause; what our own provider said comes before all. */
static const char *read_errors(void)
{
    const char *why = NULL, *data;
    int flags;
    unsigned long code;
    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        if (ERR_GET_LIB(code) == ERR_LIB_USER)
            why = TLS_NOT_SIGNED;
        else if (why == NULL)
            why = ERR_reason_error_string(code);
    }
    return why != NULL ? why : "no reason given";
}

static enum tls_result result_of(struct tls *t, int rc)
{
    int saved = errno;
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_NONE:
        return TLS_DONE;
    case SSL_ERROR_WANT_READ:
        return TLS_WANTS_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANTS_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_ENDED;
    case SSL_ERROR_SYSCALL:
        t->is_broken = true;
        t->why = saved != 0 ? "connection lost" : "connection closed";
        ERR_clear_error();
        return saved != 0 && saved != ECONNRESET && saved != EPIPE ? TLS_FAILED : TLS_ENDED;
    default:
        t->is_broken = true;
        /* The end of the connection without a close_notify: mail protocols have ends of their own.
         */
        if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
            t->why = "connection closed";
            ERR_clear_error();
            return TLS_ENDED;
        }
        t->why = read_errors();
        return TLS_FAILED;
    }
}

/* --- the handshake --- */

static enum tls_fault fault_of(long verdict)
{
    switch (verdict) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return TLS_FAULT_NAME;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return TLS_FAULT_TIME;
    case X509_V_ERR_DANE_NO_MATCH:
        return TLS_FAULT_TLSA;
    default:
        return TLS_FAULT_TRUST;
    }
}

static void know_peer(struct tls *t)
{
    X509 *peer = SSL_get0_peer_certificate(t->ssl);
    char subject[NAME_MAX_OCTETS + 1];
    if (peer == NULL)
        return;
    cert_print(t->info.fingerprint, peer);
    BIO *bio = BIO_new(BIO_s_mem());
    int n = -1;
    if (bio != NULL && X509_NAME_print_ex(bio, X509_get_subject_name(peer), 0,
                                          XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
        n = BIO_read(bio, subject, NAME_MAX_OCTETS);
    BIO_free(bio);
    t->info.subject = span_dup((struct span){subject, n > 0 ? (size_t)n : 0});
    long verdict = SSL_get_verify_result(t->ssl);
    t->info.is_verified = verdict == X509_V_OK;
    if (!t->info.is_verified)
        t->info.unverified_because = X509_verify_cert_error_string(verdict);
    t->info.fault = fault_of(verdict);
}

/* --- sessions to go on with --- */

static int64_t valid_s(const X509 *x)
{
    int days, seconds;
    return ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)) == 1
               ? (int64_t)days * 86400 + seconds
               : 0;
}

/* How long what the server proved holds. Of a session that goes on the owner knows it. */
static int64_t proof_s(const struct tls *t)
{
    STACK_OF(X509) *chain = t->info.is_verified ? SSL_get0_verified_chain(t->ssl) : NULL;
    int64_t least = INT64_MAX;
    for (int i = 0; i < sk_X509_num(chain); i++) /* -1 without one */
        if (valid_s(sk_X509_value(chain, i)) < least)
            least = valid_s(sk_X509_value(chain, i));
    return least;
}

/* RFC 8446 4.6.1: a lifetime of 0 is none; in TLS 1.2 (RFC 5077 3.3) it is not told. */
static int64_t lifetime_s(const SSL_SESSION *s)
{
    int64_t timeout = SSL_SESSION_get_timeout(s);
    bool is_told = SSL_SESSION_get_protocol_version(s) == TLS1_3_VERSION ||
                   SSL_SESSION_get_ticket_lifetime_hint(s) > 0;
    int64_t told = (int64_t)SSL_SESSION_get_ticket_lifetime_hint(s);
    return is_told && told < timeout ? told : timeout;
}

void tls_given(struct tls *t, SSL_SESSION *s)
{
    unsigned char octets[TLS_SESSION_MAX], *at = octets;
    if (t->keep == NULL || !t->is_done || SSL_SESSION_is_resumable(s) != 1 ||
        t->n_given >= TICKETS_MAX)
        return;
    t->n_given++;
    int64_t seconds = lifetime_s(s), proof = proof_s(t);
    if (proof < seconds)
        seconds = proof;
    int n = i2d_SSL_SESSION(s, NULL);
    if (seconds > 0 && n > 0 && (size_t)n <= sizeof octets && i2d_SSL_SESSION(s, &at) == n)
        t->keep(t->keeper, &t->info, (struct span){(const char *)octets, (size_t)n}, seconds);
    OPENSSL_cleanse(octets, sizeof octets);
}

/* RFC 7627 5.3: without the extended master secret a session is not bound to its server. */
static void keep_session(struct tls *t)
{
    if (t->keep != NULL && SSL_version(t->ssl) == TLS1_2_VERSION &&
        SSL_get_extms_support(t->ssl) == 1)
        tls_given(t, SSL_get0_session(t->ssl));
    ERR_clear_error();
}

enum tls_result tls_handshake(struct tls *t)
{
    ERR_clear_error();
    errno = 0;
    enum tls_result r = result_of(t, SSL_do_handshake(t->ssl));
    if (r != TLS_DONE)
        return r;
    t->is_done = true;
    t->info.version = SSL_get_version(t->ssl);
    t->info.cipher = SSL_get_cipher_name(t->ssl);
    t->info.bits = SSL_get_cipher_bits(t->ssl, NULL);
    t->info.name = t->name;
    t->info.unverified_because = "no certificate";
    know_peer(t);
    if (t->info.is_unverifiable && !t->info.is_verified)
        t->info.unverified_because = UNVERIFIABLE;
    if (t->info.is_verified)
        t->info.unverified_because = NULL;
    t->info.is_resumed = SSL_session_reused(t->ssl) == 1;
    keep_session(t);
    return TLS_DONE;
}

/* --- octets --- */

enum tls_result tls_read(struct tls *t, char *out, size_t cap, size_t *n)
{
    ERR_clear_error();
    errno = 0;
    *n = 0;
    return result_of(t, SSL_read_ex(t->ssl, out, cap, n));
}

enum tls_result tls_write(struct tls *t, struct span s, size_t *n)
{
    ERR_clear_error();
    errno = 0;
    *n = 0;
    return result_of(t, SSL_write_ex(t->ssl, s.p, s.n, n));
}

bool tls_has_pending(const struct tls *t)
{
    return SSL_pending(t->ssl) > 0;
}

void tls_close(struct tls *t)
{
    ERR_clear_error();
    if (t->is_done && !t->is_broken)
        SSL_shutdown(t->ssl);
    ERR_clear_error();
}

bool tls_is_closed(const struct tls *t)
{
    return !t->is_broken && (SSL_get_shutdown(t->ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
}

const char *tls_why(const struct tls *t)
{
    return t->why;
}

const struct tls_info *tls_info(const struct tls *t)
{
    return &t->info;
}

/* --- channel bindings --- */

/* The hash is that of the certificate's signature, and SHA-256 for those that are broken or have
 * none of their own (RFC 5929 4.1). */
static int end_point(const struct tls *t, unsigned char *out, size_t *n)
{
    X509 *x = t->server != NULL ? SSL_get_certificate(t->ssl) : SSL_get0_peer_certificate(t->ssl);
    int digest = NID_undef;
    unsigned octets = 0;
    if (x == NULL || X509_get_signature_info(x, &digest, NULL, NULL, NULL) != 1 ||
        digest == NID_undef || digest == NID_md5 || digest == NID_sha1)
        digest = NID_sha256;
    const EVP_MD *md = EVP_get_digestbynid(digest);
    if (x == NULL || md == NULL || X509_digest(x, md, out, &octets) != 1)
        return -1;
    *n = octets;
    return 0;
}

/* The first Finished message: the client's, or the server's if a session goes on (RFC 5929 3.1). */
static int unique(const struct tls *t, unsigned char *out, size_t *n)
{
    bool is_ours = (t->server == NULL) != (SSL_session_reused(t->ssl) == 1);
    if (SSL_version(t->ssl) != TLS1_2_VERSION || SSL_get_extms_support(t->ssl) != 1)
        return -1;
    *n = is_ours ? SSL_get_finished(t->ssl, out, TLS_BINDING_MAX)
                 : SSL_get_peer_finished(t->ssl, out, TLS_BINDING_MAX);
    return *n > 0 && *n <= TLS_BINDING_MAX ? 0 : -1;
}

/* RFC 9266 2 and 4.2: in TLS 1.2 only with the extended master secret. */
static int exporter(const struct tls *t, unsigned char *out, size_t *n)
{
    static const unsigned char no_context[1] = {0};
    if (SSL_version(t->ssl) != TLS1_3_VERSION && SSL_get_extms_support(t->ssl) != 1)
        return -1;
    *n = EXPORTER_OCTETS;
    return SSL_export_keying_material(t->ssl, out, *n, EXPORTER_LABEL, sizeof EXPORTER_LABEL - 1,
                                      no_context, 0, 1) == 1
               ? 0
               : -1;
}

int tls_binding(const struct tls *t, enum tls_binding kind, unsigned char out[TLS_BINDING_MAX],
                size_t *n)
{
    static int (*const rows[])(const struct tls *, unsigned char *, size_t *) = {
        [TLS_BINDING_EXPORTER] = exporter,
        [TLS_BINDING_END_POINT] = end_point,
        [TLS_BINDING_UNIQUE] = unique,
    };
    *n = 0;
    if (!t->is_done || (unsigned)kind >= sizeof rows / sizeof rows[0])
        return -1;
    int rc = rows[kind](t, out, n);
    ERR_clear_error();
    return rc;
}
