/* The web server of the stage. */
#include "stage.h"

#include "common/conn.h"
#include "common/tls_key.h"

#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <unistd.h>

#define VISITS_MAX 200

struct visit {
    struct conn *conn;
    size_t at; /* of the response */
    bool is_asked, is_over;
};

static struct stage *stage;
static EVP_PKEY *key;
static struct tls_server *server;
static char pem[4096];
static size_t pem_n;
static int listener;
static uint16_t port;
static struct watch on_port;
static struct visit visits[VISITS_MAX];
static size_t n_visits;

/* What keyd does. */
static size_t sign(void *arg, const unsigned char id[KEY_ID], enum key_scheme scheme,
                   struct span input, unsigned char out[TLS_SIGNATURE_MAX])
{
    (void)arg, (void)id, (void)scheme;
    size_t n = TLS_SIGNATURE_MAX;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, key, NULL);
    int rc = EVP_DigestSign(ctx, out, &n, (const unsigned char *)input.p, input.n);
    EVP_MD_CTX_free(ctx);
    return rc == 1 ? n : 0;
}

static void make_certificate(const char *names, struct cert *out)
{
    struct error e;
    X509 *x = X509_new();
    key = EVP_EC_gen("P-256");
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    X509_add_ext(x, san, -1);
    X509_EXTENSION_free(san);
    cr_assert_gt(X509_sign(x, key, EVP_sha256()), 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x);
    pem_n = (size_t)BIO_read(bio, pem, sizeof pem);
    BIO_free(bio);
    X509_free(x);
    cr_assert_eq(cert_parse((struct span){pem, pem_n}, out, &e), 0);
}

static void say_more(struct visit *v)
{
    size_t n = strlen(stage->response) - v->at;
    if (n == 0) {
        v->is_over = true;
        if (!stage->is_silent && stage->is_cut)
            shutdown(conn_fd(v->conn), SHUT_RDWR);
        else if (!stage->is_silent)
            conn_finish(v->conn);
        return;
    }
    if (stage->goes_octet_by_octet)
        n = 1;
    cr_assert_eq(conn_write(v->conn, stage->response + v->at, n), 0);
    v->at += n;
}

/* What is no record of TLS breaks the session. */
static void break_off(struct visit *v)
{
    static const char words[] = "HTTP/1.1 200 OK\r\n\r\n";
    cr_assert_gt(send(conn_fd(v->conn), words, sizeof words - 1, MSG_NOSIGNAL), 0);
    shutdown(conn_fd(v->conn), SHUT_WR);
}

static void on_input(void *owner)
{
    struct visit *v = owner;
    struct span in = conn_input(v->conn);
    const char *end = in.n > 0 ? memmem(in.p, in.n, "\r\n\r\n", 4) : NULL;
    size_t head = end != NULL ? (size_t)(end - in.p) + 4 : 0;
    if (v->is_asked || head == 0 || (in.p[0] == 'P' && in.n < head + STAGE_REPORT.n))
        return;
    v->is_asked = true;
    stage->n_gets++;
    cr_assert_eq(span_copy(stage->request, sizeof stage->request, (struct span){in.p, head}), 0);
    cr_expect(in.p[0] != 'P' || span_eq(span_from(in, head), STAGE_REPORT));
    conn_consume(v->conn, in.n);
    if (stage->breaks_off)
        break_off(v);
    else
        say_more(v);
}

static void on_drained(void *owner)
{
    struct visit *v = owner;
    if (v->is_asked && !v->is_over)
        say_more(v);
}

static void on_secured(void *owner)
{
    (void)owner;
}

static void on_ended(void *owner, enum conn_end why)
{
    (void)why;
    struct visit *v = owner;
    conn_free(v->conn);
    v->conn = NULL;
}

static const struct conn_ops ops = {
    .input = on_input, .drained = on_drained, .secured = on_secured, .ended = on_ended};

static void on_visitor(void *arg, bool readable, bool writable)
{
    (void)arg, (void)readable, (void)writable;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    cr_assert_lt(n_visits, VISITS_MAX);
    struct visit *v = &visits[n_visits++];
    *v = (struct visit){.conn = conn_new(stage->loop, fd, &ops, v, 4096, 200000)};
    cr_assert(v->conn != NULL && conn_start_tls(v->conn, server, 30000) == 0);
}

void web_begin(struct stage *s, const char *names)
{
    static struct cert cert;
    struct tls_offer offer = {.cert = &cert};
    struct error e = {{0}};
    struct netaddr a;
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    stage = s;
    signal(SIGPIPE, SIG_IGN); /* as every process here */
    cr_assert(tls_init() == 0 && tls_key_init(sign, NULL) == 0);
    make_certificate(names, &cert);
    server = tls_server_new(&offer, 1, 0, false, &e);
    cr_assert_not_null(server, "%s", e.text);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    cr_assert_eq(netaddr_parse(SPAN("127.0.0.1"), &a), 0);
    n = netaddr_to_sockaddr(&a, &ss);
    cr_assert(bind(listener, (struct sockaddr *)&ss, n) == 0 && listen(listener, 20) == 0);
    n = sizeof ss;
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&ss, &n), 0);
    cr_assert_eq(netaddr_from_sockaddr(&ss, &a), 0);
    port = a.port;
    watch_init(&on_port, s->loop, listener, on_visitor, NULL);
    watch_set(&on_port, true, false);
}

void web_end(void)
{
    for (size_t i = 0; i < n_visits; i++)
        conn_free(visits[i].conn);
    n_visits = 0;
    watch_stop(&on_port);
    close(listener);
    tls_server_release(server);
    EVP_PKEY_free(key);
}

uint16_t web_port(void)
{
    return port;
}

struct span web_trust(void)
{
    return (struct span){pem, pem_n};
}
