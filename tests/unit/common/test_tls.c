/* Two ends of TLS over a socket pair: certificates by name, signatures made elsewhere, what a
 * client finds out about the server, and what stays refused. */
#include "common/tls.h"

#include "common/conn.h"
#include "common/tls_key.h"
#include "tests/unit/common/selfsigned.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/syscall.h>

struct pair {
    EVP_PKEY *key;
    struct selfsigned own;
    struct cert cert;
};

/* What keyd does, without its rules. */
static EVP_PKEY *known[4];
static size_t n_known;
static bool signs = true;

static size_t sign(void *arg, const unsigned char id[KEY_ID], enum key_scheme scheme,
                   struct span input, unsigned char out[TLS_SIGNATURE_MAX])
{
    (void)arg;
    for (size_t i = 0; i < n_known && signs; i++) {
        unsigned char own[KEY_ID];
        size_t n = TLS_SIGNATURE_MAX;
        cert_key_id(own, known[i]);
        if (memcmp(own, id, KEY_ID) != 0)
            continue;
        EVP_PKEY_CTX *padding;
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_DigestSignInit_ex(ctx, &padding, "SHA256", NULL, NULL, known[i], NULL);
        if (scheme == KEY_RSA_PSS_SHA256) {
            EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING);
            EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, RSA_PSS_SALTLEN_DIGEST);
        }
        int rc = EVP_DigestSign(ctx, out, &n, (const unsigned char *)input.p, input.n);
        EVP_MD_CTX_free(ctx);
        return rc == 1 ? n : 0;
    }
    return 0;
}

static struct pair make(const char *kind, const char *names)
{
    struct pair p = {.key = strcmp(kind, "EC") == 0 ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048)};
    struct error e;
    p.own = selfsigned_make(p.key, names, 86400);
    cr_assert_eq(cert_parse((struct span){p.own.pem, p.own.n}, &p.cert, &e), 0);
    known[n_known++] = p.key;
    return p;
}

struct end {
    struct conn *conn;
    bool is_secured, is_ended;
    enum conn_end why;
    const char *words;
};

static void on_input(void *owner)
{
    (void)owner;
}

static void on_secured(void *owner)
{
    ((struct end *)owner)->is_secured = true;
}

static void on_ended(void *owner, enum conn_end why)
{
    struct end *e = owner;
    e->is_ended = true;
    e->why = why;
    e->words = conn_tls_why(e->conn);
}

static const struct conn_ops ops = {.input = on_input, .secured = on_secured, .ended = on_ended};

struct talk {
    struct loop *loop;
    struct end server, client;
    struct tls_client *from;
    bool only_dns_id;
};

static void turns(struct talk *t)
{
    for (int i = 0; i < 60; i++)
        loop_turn(t->loop, 1);
}

static void shake(struct talk *t, struct tls_server *s, struct span trust, struct span host)
{
    int fds[2];
    struct error e;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    t->from = tls_client_new(trust, &e);
    cr_assert_neq(t->from, NULL);
    t->server.conn = conn_new(t->loop, fds[0], &ops, &t->server, 65536, 65536);
    t->client.conn = conn_new(t->loop, fds[1], &ops, &t->client, 65536, 65536);
    cr_assert_eq(conn_start_tls(t->server.conn, s, 5000), 0);
    struct tls_wish wish = {.host = host, .only_dns_id = t->only_dns_id};
    cr_assert_eq(conn_start_tls_client(t->client.conn, t->from, &wish, 5000), 0);
    turns(t);
}

static void finish(struct talk *t)
{
    conn_free(t->server.conn);
    conn_free(t->client.conn);
    tls_client_free(t->from);
    loop_free(t->loop);
}

static struct tls_server *server_of(const struct pair *pairs, size_t n)
{
    struct tls_offer offers[4] = {0};
    struct error e = {{0}};
    for (size_t i = 0; i < n; i++)
        offers[i].cert = &pairs[i].cert;
    struct tls_server *s = tls_server_new(offers, n, 0, false, &e);
    cr_assert_neq(s, NULL, "%s", e.text);
    return s;
}

static void init(void)
{
    cr_assert_eq(tls_init(), 0);
    cr_assert_eq(tls_key_init(sign, NULL), 0);
}

Test(tls, both_ends_agree, .init = init)
{
    struct pair pairs[] = {make("EC", "DNS:mx.example.org"), make("RSA", "DNS:other.example.org")};
    static const struct {
        const char *host;
        bool trusts, is_verified;
    } rows[] = {
        {"mx.example.org", true, true},     {"other.example.org", true, false},
        {"elsewhere.example", true, false}, {"mx.example.org", false, false},
        {"192.0.2.1", true, false},
    };
    struct tls_server *s = server_of(pairs, 2);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct talk t = {.loop = loop_new()};
        struct span trust = {pairs[0].own.pem, rows[i].trusts ? pairs[0].own.n : 0};
        shake(&t, s, trust, span_of(rows[i].host));
        cr_assert(t.server.is_secured && t.client.is_secured, "row %zu: %s", i, t.server.words);
        const struct tls_info *info = conn_tls(t.client.conn);
        cr_expect_eq(info->is_verified, rows[i].is_verified, "row %zu: %s", i,
                     info->unverified_because);
        cr_expect_eq(info->unverified_because == NULL, rows[i].is_verified, "row %zu", i);
        cr_expect_str_eq(info->version, "TLSv1.3");

        unsigned char a[TLS_BINDING_MAX], b[TLS_BINDING_MAX];
        for (int kind = TLS_BINDING_EXPORTER; kind <= TLS_BINDING_END_POINT; kind++) {
            size_t an, bn;
            cr_expect_eq(conn_tls_binding(t.server.conn, (enum tls_binding)kind, a, &an), 0);
            cr_expect_eq(conn_tls_binding(t.client.conn, (enum tls_binding)kind, b, &bn), 0);
            cr_expect(an == 32 && an == bn && memcmp(a, b, an) == 0, "row %zu: binding %d", i,
                      kind);
        }
        size_t n;
        cr_expect_eq(conn_tls_binding(t.server.conn, TLS_BINDING_UNIQUE, a, &n), -1, "TLS 1.3");

        cr_expect_eq(conn_write(t.client.conn, "hello", 5), 0);
        turns(&t);
        cr_expect(span_eq(conn_input(t.server.conn), SPAN("hello")));
        conn_finish(t.server.conn);
        turns(&t);
        cr_expect(t.client.is_ended && t.client.why == CONN_EOF);
        finish(&t);
    }
    tls_server_release(s);
}

/* RFC 8461 4.2: the name stands among the subjectAltNames, and nowhere else. */
Test(tls, the_common_name_may_count, .init = init)
{
    struct pair pairs[] = {make("EC", "email:x@example.org"), make("EC", "DNS:test")};
    for (size_t i = 0; i < 4; i++) {
        struct talk t = {.loop = loop_new(), .only_dns_id = i % 2 == 1};
        struct tls_server *s = server_of(&pairs[i / 2], 1);
        shake(&t, s, (struct span){pairs[i / 2].own.pem, pairs[i / 2].own.n}, SPAN("test"));
        cr_assert(t.client.is_secured, "row %zu: %s", i, t.server.words);
        cr_expect_eq(conn_tls(t.client.conn)->is_verified, i != 1, "row %zu", i);
        finish(&t);
        tls_server_release(s);
    }
}

/* OpenSSL reads by read(2), and finds this one in its place: it lets a client speak between our
 * flight and our look for the answer, as one on another processor can. */
static SSL *quick;
ssize_t reads(int fd, void *p, size_t n) __asm__("read");
ssize_t reads(int fd, void *p, size_t n)
{
    ssize_t got = syscall(SYS_read, fd, p, n);
    SSL *answers = quick;
    if (got >= 0 || errno != EAGAIN || answers == NULL || fd == SSL_get_fd(answers))
        return got;
    quick = NULL; /* it reads too */
    quick = SSL_do_handshake(answers) == 1 ? NULL : answers;
    return syscall(SYS_read, fd, p, n);
}

static void greet(void *owner)
{
    struct end *e = owner;
    e->is_secured = true;
    conn_write(e->conn, "220 hello\r\n", 11);
}

/* The whole handshake is one call then, in the middle of sending what was queued, and nothing that
 * the loop watches happens after it. */
Test(tls, a_quick_client_is_greeted, .init = init)
{
    static const struct conn_ops greeting = {
        .input = on_input, .secured = greet, .ended = on_ended};
    struct pair p = make("EC", "DNS:mx.example.org");
    struct tls_server *s = server_of(&p, 1);
    struct talk t = {.loop = loop_new()};
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *client = SSL_new(ctx);
    char got[64];
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    SSL_set_fd(client, fds[1]);
    SSL_set_connect_state(client);
    t.server.conn = conn_new(t.loop, fds[0], &greeting, &t.server, 65536, 65536);
    cr_assert_eq(conn_start_tls(t.server.conn, s, 5000), 0);
    quick = client;
    turns(&t);
    cr_assert(t.server.is_secured && quick == NULL);
    cr_expect_eq(SSL_read(client, got, sizeof got), 11, "the greeting");
    SSL_free(client);
    SSL_CTX_free(ctx);
    close(fds[1]);
    conn_free(t.server.conn);
    loop_free(t.loop);
    tls_server_release(s);
}

Test(tls, no_signature_no_session, .init = init)
{
    struct pair p = make("EC", "DNS:mx.example.org");
    struct tls_server *s = server_of(&p, 1);
    struct talk t = {.loop = loop_new()};
    signs = false;
    shake(&t, s, SPAN(""), SPAN("mx.example.org"));
    cr_expect(t.server.is_ended && t.server.why == CONN_TLS && !t.server.is_secured);
    cr_expect_str_eq(t.server.words, "keyd did not sign");
    cr_expect(t.client.is_ended && !t.client.is_secured);
    finish(&t);
    tls_server_release(s);
}

/* What came in the clear is never taken for what came through TLS. */
Test(tls, input_that_waits_forbids_it, .init = init)
{
    struct pair p = make("EC", "DNS:mx.example.org");
    struct tls_server *s = server_of(&p, 1);
    struct talk t = {.loop = loop_new()};
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    t.server.conn = conn_new(t.loop, fds[0], &ops, &t.server, 65536, 65536);
    cr_assert_eq(write(fds[1], "MAIL", 4), 4);
    turns(&t);
    cr_expect_eq(conn_start_tls(t.server.conn, s, 5000), -1);
    conn_consume(t.server.conn, 4);
    cr_expect_eq(conn_start_tls(t.server.conn, s, 5000), 0);
    cr_expect_eq(conn_start_tls(t.server.conn, s, 5000), -1, "twice");
    cr_expect_eq(conn_write(t.server.conn, "x", 1), -1, "nothing is written meanwhile");
    cr_assert_eq(write(fds[1], "RCPT TO:<a@b.c>\r\n", 17), 17);
    turns(&t);
    cr_expect(t.server.is_ended && t.server.why == CONN_TLS);
    close(fds[1]);
    conn_free(t.server.conn);
    loop_free(t.loop);
    tls_server_release(s);
}

Test(tls, choice_by_name, .init = init)
{
    struct pair pairs[] = {make("EC", "DNS:mx.example.org"),
                           make("EC", "DNS:*.example.net,DNS:example.net"),
                           make("EC", "DNS:one.example.net")};
    const struct cert *certs[] = {&pairs[0].cert, &pairs[1].cert, &pairs[2].cert};
    static const struct {
        const char *name;
        size_t at;
    } rows[] = {
        {"mx.example.org", 0},
        {"MX.example.ORG", 0},
        {"example.net", 1},
        {"two.example.net", 1},
        {"a.b.example.net", 0},
        {".example.net", 0},
        {"", 0},
        {"one.example.net", 2},
        {"net", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(tls_choose(certs, 3, 0, span_of(rows[i].name)), rows[i].at, "%s",
                     rows[i].name);
}

struct hellos {
    unsigned n;
    bool has_old; /* something of a session before */
};

static int on_hello(SSL *ssl, int *alert, void *arg)
{
    struct hellos *h = arg;
    const unsigned char *p;
    size_t n;
    (void)alert;
    h->n++;
    h->has_old |= SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_session_ticket, &p, &n) == 1 ||
                  SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk, &p, &n) == 1;
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* One session of the client with a server that would like to resume it. */
static void meet(SSL_CTX *ctx, struct tls_client *from, struct span host)
{
    struct loop *loop = loop_new();
    struct end client = {0};
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    SSL *server = SSL_new(ctx);
    SSL_set_fd(server, fds[0]);
    SSL_set_accept_state(server);
    client.conn = conn_new(loop, fds[1], &ops, &client, 65536, 65536);
    cr_assert_eq(conn_start_tls_client(client.conn, from, &(struct tls_wish){.host = host}, 5000),
                 0);
    bool is_written = false;
    for (int i = 0; i < 1000 && conn_input(client.conn).n == 0; i++) {
        is_written = is_written || (SSL_do_handshake(server) == 1 &&
                                    SSL_write(server, "after the tickets", 17) == 17);
        loop_turn(loop, 1);
    }
    cr_expect(client.is_secured && conn_input(client.conn).n == 17);
    cr_expect_eq(SSL_session_reused(server), 0);
    conn_free(client.conn);
    SSL_free(server);
    close(fds[0]);
    loop_free(loop);
}

/* RFC 8446 C.4: who gave a ticket could be known again by it, and a session that was verified by
 * one name would be taken for one by another. */
Test(tls, no_session_goes_on_elsewhere, .init = init)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct pair pair = make("EC", "DNS:mx.example.org");
    struct error e;
    struct tls_client *from = tls_client_new((struct span){pair.own.pem, pair.own.n}, &e);
    for (size_t i = 0; i < 2; i++) {
        struct hellos hellos = {0};
        SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
        SSL_CTX_use_certificate(ctx, pair.own.x);
        SSL_CTX_use_PrivateKey(ctx, pair.key);
        SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"test", 4);
        SSL_CTX_set_max_proto_version(ctx, versions[i]);
        SSL_CTX_set_client_hello_cb(ctx, on_hello, &hellos);
        meet(ctx, from, SPAN("mx.example.org"));
        meet(ctx, from, SPAN("mx.example.org"));
        meet(ctx, from, SPAN("mx.example.net"));
        cr_expect(hellos.n == 3 && !hellos.has_old, "version %x", (unsigned)versions[i]);
        SSL_CTX_free(ctx);
    }
    tls_client_free(from);
}
