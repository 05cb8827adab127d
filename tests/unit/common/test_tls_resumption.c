/* A client that goes on with earlier sessions, against servers of OpenSSL that keep theirs as they
 * please: what is kept, what goes on, and what it is worth then. */
#include "common/conn.h"
#include "common/tls.h"
#include "tests/unit/common/selfsigned.h"

#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#define HOST "mx.example.org"

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

struct pair {
    EVP_PKEY *key;
    struct selfsigned own;
};

static struct pair make(const char *names, long valid_s)
{
    struct pair p = {.key = EVP_EC_gen("P-256")};
    p.own = selfsigned_make(p.key, names, valid_s);
    return p;
}

static void use(SSL_CTX *ctx, const struct pair *p)
{
    cr_assert_eq(SSL_CTX_use_certificate(ctx, p->own.x), 1);
    cr_assert_eq(SSL_CTX_use_PrivateKey(ctx, p->key), 1);
}

static SSL_CTX *server_of(const struct pair *p, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    use(ctx, p);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"test", 4);
    SSL_CTX_set_max_proto_version(ctx, version);
    return ctx;
}

/* One session, and what became of it. */
struct meeting {
    struct tls_client *from;
    SSL_CTX *with;
    const char *host;
    struct span tlsa;
    struct tls_resumption resumption;
    char old[TLS_SESSION_MAX]; /* octets of it */
    /* after it */
    bool is_secured, is_ended, is_resumed, is_verified;
    const char *because;
    char fingerprint[CERT_PRINT];
    char unique[2][TLS_BINDING_MAX];
    size_t n_unique[2];
    unsigned n_kept;
    int64_t seconds;
    char kept[TLS_SESSION_MAX];
    size_t n;
};

static void on_kept(void *owner, const struct tls_info *info, struct span session, int64_t seconds)
{
    struct meeting *m = owner;
    cr_expect(info->version != NULL);
    m->n_kept++;
    m->seconds = seconds;
    m->n = session.n;
    memcpy(m->kept, session.p, session.n);
}

static void on_input(void *owner)
{
    (void)owner;
}

static void on_secured(void *owner)
{
    ((struct meeting *)owner)->is_secured = true;
}

static void on_ended(void *owner, enum conn_end why)
{
    (void)why;
    ((struct meeting *)owner)->is_ended = true;
}

static const struct conn_ops ops = {.input = on_input, .secured = on_secured, .ended = on_ended};

static void learn(struct meeting *m, struct conn *c, SSL *server)
{
    const struct tls_info *info = conn_tls(c);
    unsigned char own[TLS_BINDING_MAX];
    m->is_resumed = info->is_resumed;
    m->is_verified = info->is_verified;
    m->because = info->unverified_because;
    memcpy(m->fingerprint, info->fingerprint, sizeof m->fingerprint);
    cr_expect_eq(SSL_session_reused(server), m->is_resumed);
    if (conn_tls_binding(c, TLS_BINDING_UNIQUE, own, &m->n_unique[0]) == 0) {
        memcpy(m->unique[0], own, m->n_unique[0]);
        m->n_unique[1] = m->is_resumed
                             ? SSL_get_finished(server, m->unique[1], TLS_BINDING_MAX)
                             : SSL_get_peer_finished(server, m->unique[1], TLS_BINDING_MAX);
    }
}

/* With m->resumption.session, until something is said through it or it fails. */
static void meet(struct meeting *m)
{
    struct loop *loop = loop_new();
    int fds[2];
    bool is_written = false;
    m->is_secured = m->is_ended = m->is_resumed = m->is_verified = false;
    m->n_kept = 0;
    m->n = m->n_unique[0] = m->n_unique[1] = 0;
    m->resumption.keep = on_kept;
    m->resumption.owner = m;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    SSL *server = SSL_new(m->with);
    SSL_set_fd(server, fds[0]);
    SSL_set_accept_state(server);
    struct conn *c = conn_new(loop, fds[1], &ops, m, 65536, 65536);
    struct tls_wish wish = {
        .host = span_of(m->host), .tlsa = m->tlsa, .resumption = &m->resumption};
    cr_assert_eq(conn_start_tls_client(c, m->from, &wish, 30000), 0);
    for (int i = 0; i < 10000 && conn_input(c).n == 0 && !m->is_ended; i++) {
        is_written = is_written || (SSL_do_handshake(server) == 1 &&
                                    SSL_write(server, "after the tickets", 17) == 17);
        loop_turn(loop, 1);
    }
    if (m->is_secured && !m->is_ended)
        learn(m, c, server);
    conn_free(c);
    SSL_free(server);
    close(fds[0]);
    loop_free(loop);
}

/* Once more, with the session that was kept last. */
static void meet_again(struct meeting *m)
{
    memcpy(m->old, m->kept, m->n);
    m->resumption.session = (struct span){m->old, m->n};
    meet(m);
}

static void init(void)
{
    cr_assert_eq(tls_init(), 0);
}

static void begin(struct meeting *m, const struct pair *p, int version)
{
    struct error e;
    *m = (struct meeting){.host = HOST, .with = server_of(p, version)};
    m->from = tls_client_new((struct span){p->own.pem, p->own.n}, &e);
    cr_assert_neq(m->from, NULL);
}

static void finish(struct meeting *m)
{
    tls_client_free(m->from);
    SSL_CTX_free(m->with);
}

static struct meeting m; /* large */

TestSuite(tls_resumption, .init = init);

Test(tls_resumption, goes_on_as_verified_as_it_was)
{
    struct pair pairs[] = {make("DNS:" HOST, 86400), make("DNS:elsewhere.example", 86400)};
    for (size_t i = 0; i < 4; i++) {
        char print[CERT_PRINT];
        bool is_good = i < 2;
        begin(&m, &pairs[is_good ? 0 : 1], versions[i % 2]);
        meet(&m);
        cr_expect(m.is_secured && !m.is_resumed && m.is_verified == is_good, "%zu", i);
        cr_expect_gt(m.n_kept, 0, "%zu", i);
        cr_expect(m.seconds > 3600 && m.seconds <= 86400, "%zu: %lld", i, (long long)m.seconds);
        memcpy(print, m.fingerprint, sizeof print);
        for (size_t k = 0; k < 3; k++) {
            meet_again(&m);
            cr_expect(m.is_secured && m.is_resumed && m.is_verified == is_good, "%zu", i);
            cr_expect(is_good || strstr(m.because, "mismatch") != NULL, "%zu: %s", i, m.because);
            cr_expect_str_eq(m.fingerprint, print);
            cr_expect_gt(m.n_kept, 0, "%zu: for the next time", i);
            cr_expect_eq(m.n_unique[0] > 0, versions[i % 2] == TLS1_2_VERSION);
            cr_expect(m.n_unique[0] == m.n_unique[1] &&
                      memcmp(m.unique[0], m.unique[1], m.n_unique[0]) == 0);
        }
        finish(&m);
    }
}

/* The server proves that it has the keys of the session, not that its certificate is still good. */
Test(tls_resumption, another_certificate_is_not_seen)
{
    struct pair pairs[] = {make("DNS:" HOST, 86400), make("DNS:elsewhere.example", 86400)};
    for (size_t i = 0; i < 2; i++) {
        begin(&m, &pairs[0], versions[i]);
        meet(&m);
        use(m.with, &pairs[1]);
        meet_again(&m);
        cr_expect(m.is_resumed && m.is_verified);
        m.resumption.session.n = 0;
        meet(&m);
        cr_expect(m.is_secured && !m.is_resumed && !m.is_verified);
        finish(&m);
    }
}

Test(tls_resumption, refused_is_a_full_handshake)
{
    struct pair pairs[] = {make("DNS:" HOST, 86400), make("DNS:elsewhere.example", 86400)};
    for (size_t i = 0; i < 4; i++) {
        begin(&m, &pairs[0], versions[i % 2]);
        meet(&m);
        SSL_CTX_free(m.with); /* with the keys of its tickets */
        m.with = server_of(&pairs[i < 2 ? 0 : 1], versions[i % 2]);
        meet_again(&m);
        cr_expect(m.is_secured && !m.is_resumed && m.is_verified == (i < 2), "%zu", i);
        finish(&m);
    }
}

Test(tls_resumption, a_session_of_another_context_fails)
{
    struct pair pair = make("DNS:" HOST, 86400);
    for (size_t i = 0; i < 2; i++) {
        begin(&m, &pair, versions[i]);
        meet(&m);
        m.resumption.context[31] = 1;
        meet_again(&m);
        cr_expect(m.is_ended && !m.is_resumed, "TLS %zu", i);
        finish(&m);
    }
}

Test(tls_resumption, damaged_octets_are_a_full_handshake)
{
    struct pair pair = make("DNS:" HOST, 86400);
    begin(&m, &pair, TLS1_3_VERSION);
    meet(&m);
    m.n /= 2;
    meet_again(&m);
    cr_expect(m.is_secured && !m.is_resumed && m.is_verified);
    finish(&m);
}

Test(tls_resumption, not_longer_than_the_certificate)
{
    struct pair pair = make("DNS:" HOST, 100);
    for (size_t i = 0; i < 2; i++) {
        begin(&m, &pair, versions[i]);
        meet(&m);
        cr_expect(m.is_verified && m.seconds > 0 && m.seconds <= 100, "%lld", (long long)m.seconds);
        finish(&m);
    }
}

Test(tls_resumption, not_longer_than_the_server_says)
{
    struct pair pair = make("DNS:" HOST, 86400);
    begin(&m, &pair, TLS1_3_VERSION);
    SSL_CTX_set_timeout(m.with, 77);
    meet(&m);
    cr_expect_eq(m.seconds, 77);
    finish(&m);
}

Test(tls_resumption, nothing_is_kept)
{
    static const struct {
        const char *why;
        uint64_t options;
        bool has_cache;
        int version;
    } rows[] = {
        {"no extended master secret", SSL_OP_NO_EXTENDED_MASTER_SECRET, true, TLS1_2_VERSION},
        {"neither tickets nor a cache", SSL_OP_NO_TICKET, false, TLS1_2_VERSION},
    };
    struct pair pair = make("DNS:" HOST, 86400);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(&m, &pair, rows[i].version);
        SSL_CTX_set_options(m.with, rows[i].options);
        if (!rows[i].has_cache)
            SSL_CTX_set_session_cache_mode(m.with, SSL_SESS_CACHE_OFF);
        meet(&m);
        cr_expect(m.is_secured && m.n_kept == 0, "%s", rows[i].why);
        finish(&m);
    }
    begin(&m, &pair, TLS1_3_VERSION);
    SSL_CTX_set_num_tickets(m.with, 0);
    meet(&m);
    cr_expect(m.is_secured && m.n_kept == 0);
    finish(&m);
}

Test(tls_resumption, a_flood_of_tickets_is_not_looked_at)
{
    struct pair pair = make("DNS:" HOST, 86400);
    begin(&m, &pair, TLS1_3_VERSION);
    SSL_CTX_set_num_tickets(m.with, 200);
    meet(&m);
    cr_expect(m.is_secured && m.n_kept == 8, "%u", m.n_kept);
    finish(&m);
}

/* TLSA records: the verdict of DANE stays with the session, as that of authorities does. */
Test(tls_resumption, dane)
{
    struct pair pairs[] = {make("DNS:" HOST, 86400), make("DNS:" HOST, 86400)};
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n;
    for (size_t i = 0; i < 4; i++) {
        bool is_good = i < 2;
        begin(&m, &pairs[is_good ? 0 : 1], versions[i % 2]);
        cr_assert_eq(X509_digest(pairs[0].own.x, EVP_sha256(), digest, &n), 1);
        char record[64] = {3, 0, 1,
                           32}; /* DANE-EE(3), Cert(0), SHA2-256(1); little-endian length */
        memcpy(record + 7, digest, n);
        m.tlsa = (struct span){record, 7 + n};
        meet(&m);
        cr_expect(m.is_secured && m.is_verified == is_good, "%zu: %s", i, m.because);
        meet_again(&m);
        cr_expect(m.is_resumed && m.is_verified == is_good, "%zu: %s", i, m.because);
        finish(&m);
    }
}
