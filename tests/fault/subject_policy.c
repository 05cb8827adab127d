/* policy: relay asks about domains, queue and resolver are played here. What it cannot find out is
 * "later"; that a domain has no policy is said only when the resolver said so, or its server. */
#include "tests/fault/subject.h"
#include "tests/fault/work.h"

#include "common/pack.h"
#include "common/verdict.h"

#include <fcntl.h>
#include <limits.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/mman.h>

#define PEERS (P_RELAY | P_RESOLVER | P_QUEUE)

static int trust_fd = -1;
static uint64_t last_tag;
static bool has_record; /* of the domain that is asked for */

/* --- an authority, so that it fetches --- */

static void make_trust(void)
{
    char *octets;
    X509 *cert = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *pem = BIO_new(BIO_s_mem());
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"CA", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    if (X509_set_pubkey(cert, key) != 1 || X509_sign(cert, key, EVP_sha256()) == 0 ||
        PEM_write_bio_X509(pem, cert) != 1)
        play_give_up("a certificate");
    long n = BIO_get_mem_data(pem, &octets);
    trust_fd = subject_file(octets, (size_t)n);
    BIO_free(pem);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void offer(struct play *p)
{
    subject_offer(p, FILE_TRUST, trust_fd);
}

/* --- siblings --- */

/* Nobody answers at that address. */
static void resolve(struct play *p, enum msg_type type, const union msg *m)
{
    char room[100];
    struct packer w = packer_on(room, sizeof room);
    int resolver = p->channels[ROLE_RESOLVER];
    if (type == MSG_DNS_TXT) {
        struct msg_dns_txt_re re = {.tag = m->dns_txt.tag, .verdict = VERDICT_NEVER};
        if (has_record) {
            pack_bytes(&w, SPAN("v=STSv1; id=1;"));
            re.verdict = VERDICT_OK;
            re.texts = packer_span(&w);
        }
        play_send(resolver, MSG_DNS_TXT_RE, &re, -1);
    }
    if (type == MSG_DNS_ADDR) {
        pack_bytes(&w, (struct span){"\x7f\x7f\x7f\x7f", 4});
        struct msg_dns_addr_re re = {.tag = m->dns_addr.tag, .addresses = packer_span(&w)};
        play_send(resolver, MSG_DNS_ADDR_RE, &re, -1);
    }
}

/* It kept one policy. */
static void keep(struct play *p, const struct msg_sts_next *m)
{
    char room[100];
    struct packer w = packer_on(room, sizeof room);
    struct msg_sts_next_re re = {.tag = m->tag, .verdict = VERDICT_NEVER};
    pack_bytes(&w, SPAN("*.example.com"));
    if (m->after.n == 0)
        re = (struct msg_sts_next_re){.tag = m->tag,
                                      .domain = SPAN("example.com"),
                                      .id = SPAN("1"),
                                      .mode = 1,
                                      .fetched = (uint64_t)time(NULL),
                                      .max_age = 86400,
                                      .mx = packer_span(&w)};
    play_send(p->channels[ROLE_QUEUE], MSG_STS_NEXT_RE, &re, -1);
}

/* Answers what it asks. 1: relay has its answer, too, in *m; 0: not yet; -1: a channel is gone. */
static int hear(struct play *p, union msg *m)
{
    static const enum role from[] = {ROLE_RESOLVER, ROLE_QUEUE, ROLE_RELAY};
    for (size_t i = 0; i < 3; i++) {
        enum msg_type type;
        int fd, rc;
        while ((rc = play_receive(p->channels[from[i]], m, &type, &fd, 0)) > 0) {
            if (type == MSG_STS_RE && m->sts_re.tag == last_tag)
                return 1;
            if (type == MSG_STS_NEXT)
                keep(p, &m->sts_next);
            else
                resolve(p, type, m);
        }
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* 1: *verdict; -1, WORK_SILENCE. Another domain each time, for it remembers. */
static int ask(struct play *p, bool is_published, enum verdict *verdict)
{
    char domain[40];
    union msg m;
    int rc = 0;
    has_record = is_published;
    snprintf(domain, sizeof domain, "d%llu.example.net", (unsigned long long)++last_tag);
    struct msg_sts about = {.tag = last_tag, .domain = span_of(domain)};
    if (play_send(p->channels[ROLE_RELAY], MSG_STS, &about, -1) < 0)
        return -1;
    for (int i = 0; i < PLAY_WAIT_MS / 10 && rc == 0; i++) {
        struct pollfd wait[] = {{.fd = p->channels[ROLE_RELAY], .events = POLLIN},
                                {.fd = p->channels[ROLE_RESOLVER], .events = POLLIN},
                                {.fd = p->channels[ROLE_QUEUE], .events = POLLIN}};
        poll(wait, 3, 10);
        rc = hear(p, &m);
    }
    if (rc <= 0)
        return rc < 0 ? -1 : WORK_SILENCE;
    *verdict = (enum verdict)m.sts_re.verdict;
    if (*verdict == VERDICT_NEVER || (*verdict == VERDICT_OK && m.sts_re.mode != 0))
        subject_complain_of("a policy that nobody published", m.sts_re.mode);
    return 1;
}

/* --- the subject --- */

static void lay_out(const char *state, const char *template)
{
    (void)template;
    if (trust_fd < 0)
        make_trust();
    play_layout(state);
}

static int day(struct play *p)
{
    enum verdict v;
    int rc = ask(p, false, &v);
    rc = rc > 0 ? ask(p, true, &v) : rc;
    return rc < 0 ? rc : 0;
}

static void again(struct play *p)
{
    enum verdict v = VERDICT_TRY_LATER;
    if (ask(p, false, &v) != 1 || v != VERDICT_OK)
        subject_complain_of("afterwards, a question", v);
}

const struct subject subject_policy = {.role = ROLE_POLICY,
                                       .peers = PEERS,
                                       .config = "[relay]\n" SUBJECT_NEVER,
                                       .sample = 4,
                                       .is_kept = true,
                                       .before_start = offer,
                                       .lay_out = lay_out,
                                       .day = day,
                                       .again = again};
