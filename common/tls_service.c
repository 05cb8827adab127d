#include "common/tls_service.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/tls_key.h"
#include "common/verdict.h"

#define SIGN_MS         2000 /* everything else of this process waits meanwhile: see sign() */
#define FAILURES_LOG_MS 1000

/* The pair of one section; its key is in keyd. Counted: a set can keep what another set has. */
struct pair {
    unsigned users;
    char *label; /* the section's name; "" for [tls] */
    struct cert cert;
    char *client_ca; /* PEM, or NULL */
    size_t client_ca_n;
    bool asks_client;
};

struct pairs {
    struct pair *list[TLS_OFFERS_MAX];
    size_t n;
};

struct tls_service {
    struct proc *proc;
    struct tls_server *server; /* NULL: no TLS */
    struct pairs in_use;
    struct pairs fresh; /* as the files are now, until keyd says which keys it has */
    bool is_settled;    /* `fresh` was decided about */
    bool is_first;      /* these are the first ones, in use without waiting */
    bool only_1_3;
    char held[LIST_MAX]; /* what keyd said last */
    size_t held_n;
    uint32_t held_generation;
    bool is_told;                  /* it said something */
    int64_t tell_again_ms, untold; /* of failures */
};

/* --- signing --- */

struct answer {
    unsigned char *out;
    size_t n;
    bool came;
};

static void signed_by_keyd(void *arg, const union msg *m, int fd)
{
    struct answer *a = arg;
    if (fd >= 0)
        close(fd);
    a->came = m != NULL;
    if (m == NULL || m->key_sign_re.verdict != VERDICT_OK)
        return;
    a->n = m->key_sign_re.signature.n <= TLS_SIGNATURE_MAX ? m->key_sign_re.signature.n : 0;
    memcpy(a->out, m->key_sign_re.signature.p, a->n);
}

/* OpenSSL cannot go on without it, so we wait: 0.1 ms with ECDSA. A keyd that does not answer loses
 * its channel, so that the next handshakes fail at once instead of waiting too; the parent makes it
 * again. */
static size_t sign(void *arg, const unsigned char key[KEY_ID], enum key_scheme scheme,
                   struct span input, unsigned char out[TLS_SIGNATURE_MAX])
{
    struct tls_service *s = arg;
    struct ipc *keyd = proc_peer(s->proc, ROLE_KEYD);
    struct answer a = {.out = out};
    struct msg_key_sign m = {
        .key = {(const char *)key, KEY_ID}, .scheme = (uint16_t)scheme, .input = input};
    uint64_t tag = ipc_ask_key_sign(keyd, &m, -1, SIGN_MS, signed_by_keyd, &a);
    ipc_wait(keyd, tag, SIGN_MS);
    if (tag == 0 || a.came)
        return a.n;
    if (proc_peer(s->proc, ROLE_KEYD) == keyd) {
        LOG(0, "keyd-silent", LN("ms", SIGN_MS));
        ipc_cancel(keyd, tag);
        ipc_break(keyd);
    }
    return 0;
}

/* --- reading pairs --- */

static void pair_release(struct pair *p)
{
    if (p == NULL || --p->users > 0)
        return;
    cert_free(&p->cert);
    free(p->label);
    free(p->client_ca);
    free(p);
}

static void pairs_clear(struct pairs *p)
{
    while (p->n > 0)
        pair_release(p->list[--p->n]);
}

static void pairs_add(struct pairs *p, struct pair *pair)
{
    pair->users++;
    p->list[p->n++] = pair;
}

static struct pair *pairs_find(const struct pairs *p, const char *label)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->list[i]->label, label) == 0)
            return p->list[i];
    return NULL;
}

static int pair_fill(struct tls_service *s, size_t section, struct pair *p, struct error *e)
{
    const struct tls_config *c = &proc_config(s->proc)->tls[section];
    size_t n;
    char *pem = proc_read_file(s->proc, FILE_CERTIFICATE, section, &n, e);
    int rc = pem != NULL ? cert_parse((struct span){pem, n}, &p->cert, e) : -1;
    free(pem);
    p->asks_client = c->client_certificates == CLIENT_CERTIFICATES_ASK;
    p->label = span_dup(span_of(c->name));
    if (rc == 0 && p->label == NULL)
        rc = error_set(e, "out of memory");
    if (rc < 0 || c->client_ca == NULL)
        return rc;
    p->client_ca = proc_read_file(s->proc, FILE_CLIENT_CA, section, &p->client_ca_n, e);
    return p->client_ca != NULL ? 0 : -1;
}

static void refuse_pair(const char *label, const char *why, bool has_old)
{
    LOG(0, "certificate-refused", LZ("tls", label), LZ("because", why),
        LZ("instead", has_old ? "the old one stays" : "none"));
}

/* One that cannot be read leaves the old one of its section in the set. */
static void read_pair(struct tls_service *s, size_t section)
{
    const char *label = proc_config(s->proc)->tls[section].name;
    struct pair *old = pairs_find(&s->in_use, label), *p = calloc(1, sizeof *p);
    struct error e;
    error_set(&e, "out of memory");
    if (p != NULL)
        p->users = 1;
    if (p != NULL && pair_fill(s, section, p, &e) == 0) {
        pairs_add(&s->fresh, p);
    } else {
        refuse_pair(label, e.text, old != NULL);
        if (old != NULL)
            pairs_add(&s->fresh, old);
    }
    pair_release(p);
}

static void read_pairs(struct tls_service *s)
{
    const struct config *c = proc_config(s->proc);
    pairs_clear(&s->fresh);
    s->is_settled = false;
    s->only_1_3 = c->n_tls > 0 && c->tls[0].minimum == TLS_MINIMUM_1_3; /* sorted: [tls] is first */
    for (size_t i = 0; i < c->n_tls && i < TLS_OFFERS_MAX; i++)
        read_pair(s, i);
}

/* --- a set of pairs in use --- */

static struct tls_server *make_server(const struct pairs *p, bool only_1_3, struct error *e)
{
    struct tls_offer offers[TLS_OFFERS_MAX];
    size_t fallback = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct pair *pair = p->list[i];
        offers[i] = (struct tls_offer){.cert = &pair->cert,
                                       .client_ca = {pair->client_ca, pair->client_ca_n},
                                       .asks_client = pair->asks_client};
        if (pair->label[0] == '\0')
            fallback = i;
    }
    return tls_server_new(offers, p->n, fallback, only_1_3, e);
}

static void log_pairs(const struct pairs *p)
{
    for (size_t i = 0; i < p->n; i++) {
        char print[CERT_PRINT];
        cert_print(print, p->list[i]->cert.leaf);
        LOG(0, "certificate", LZ("tls", p->list[i]->label), LZ("key", p->list[i]->cert.key_kind),
            LZ("sha256", print));
    }
}

/* If no server can be made of them, what was there goes on. */
static void put_in_use(struct tls_service *s, const struct pairs *p)
{
    struct error e = {{0}};
    struct tls_server *server = p->n > 0 ? make_server(p, s->only_1_3, &e) : NULL;
    if (server == NULL && p->n > 0) {
        LOG(0, "certificates-refused", LZ("because", e.text),
            LZ("instead", s->server != NULL ? "the old ones stay" : "no TLS"));
        return;
    }
    struct pairs old = s->in_use;
    s->in_use.n = 0;
    for (size_t i = 0; i < p->n; i++)
        pairs_add(&s->in_use, p->list[i]);
    pairs_clear(&old);
    tls_server_release(s->server);
    s->server = server;
}

static bool is_held(const struct tls_service *s, const struct pair *p)
{
    for (size_t i = 0; i + KEY_ID <= s->held_n; i += KEY_ID)
        if (memcmp(s->held + i, p->cert.key_id, KEY_ID) == 0)
            return true;
    return false;
}

/* Each section's new pair if keyd has its key, else the old one. */
static struct pair *choose(const struct tls_service *s, struct pair *fresh)
{
    struct pair *old = pairs_find(&s->in_use, fresh->label);
    if (is_held(s, fresh) || (old == fresh && !s->is_first))
        return fresh;
    if (old == fresh)
        old = NULL;
    refuse_pair(fresh->label, "keyd does not have its key: the key file belongs to another one",
                old != NULL);
    return old;
}

/* Once for each reading: when keyd has read the same configuration. */
static void settle(struct tls_service *s)
{
    struct pairs chosen = {.n = 0};
    if (s->is_settled || !s->is_told || s->held_generation != proc_generation(s->proc))
        return;
    for (size_t i = 0; i < s->fresh.n; i++) {
        struct pair *p = choose(s, s->fresh.list[i]);
        if (p != NULL)
            pairs_add(&chosen, p);
    }
    s->is_settled = true;
    put_in_use(s, &chosen);
    pairs_clear(&chosen);
    pairs_clear(&s->fresh);
    s->is_first = false;
    log_pairs(&s->in_use);
}

/* --- for the servers --- */

struct tls_service *tls_service_new(struct proc *p, struct error *e)
{
    struct tls_service *s = calloc(1, sizeof *s);
    if (s == NULL || tls_init() < 0 || tls_key_init(sign, s) < 0) {
        free(s);
        error_set(e, "OpenSSL cannot be used: %s", cert_why());
        return NULL;
    }
    s->proc = p;
    s->is_first = true;
    s->tell_again_ms = clock_mono_ms();
    read_pairs(s);
    put_in_use(s, &s->fresh); /* before keyd was heard: clients may come at once */
    return s;
}

void tls_service_reload(struct tls_service *s)
{
    read_pairs(s);
    settle(s);
}

void tls_service_held(struct tls_service *s, const struct msg_key_held *m)
{
    memcpy(s->held, m->keys.p, m->keys.n);
    s->held_n = m->keys.n;
    s->held_generation = m->generation;
    s->is_told = true;
    settle(s);
}

struct tls_server *tls_service_server(const struct tls_service *s)
{
    return s->server;
}

void tls_service_log(uint64_t id, const struct tls_info *info)
{
    struct span none = SPAN("-");
    if (info->fingerprint[0] == '\0') {
        LOG(id, "tls", LZ("version", info->version), LZ("cipher", info->cipher),
            LN("bits", info->bits), LS("name", info->name != NULL ? span_of(info->name) : none));
        return;
    }
    LOG(id, "tls", LZ("version", info->version), LZ("cipher", info->cipher), LN("bits", info->bits),
        LS("name", info->name != NULL ? span_of(info->name) : none),
        LS("certificate", info->subject != NULL ? span_of(info->subject) : none),
        LZ("sha256", info->fingerprint),
        LZ("verified", info->is_verified ? "yes" : info->unverified_because));
}

void tls_service_log_failure(struct tls_service *s, uint64_t id, const char *client,
                             const char *why)
{
    if (clock_mono_ms() < s->tell_again_ms) {
        s->untold++;
        return;
    }
    LOG(id, "tls-failed", LZ("client", client), LZ("because", why), LN("others", s->untold));
    s->tell_again_ms = clock_mono_ms() + FAILURES_LOG_MS;
    s->untold = 0;
}
