#include "cli/check_tls.h"

#include "common/clock.h"

#include <errno.h>
#include <sys/stat.h>

#define FILE_OCTETS (256U << 10)
#define DAY_S       86400
#define SOON_DAYS   14

/* A file as text, to be freed; NULL and e. */
static char *read_file(const char *path, size_t *n, struct error *e)
{
    char *text = NULL;
    FILE *f = fopen(path, "re");
    if (f != NULL && (text = malloc(FILE_OCTETS)) != NULL)
        *n = fread(text, 1, FILE_OCTETS, f);
    if (f == NULL || text == NULL || ferror(f)) {
        error_set(e, "cannot read %.200s: %s", path, strerror(errno));
        free(text);
        text = NULL;
    } else if (*n == FILE_OCTETS) {
        error_set(e, "%.200s is too large for a certificate or key", path);
        free(text);
        text = NULL;
    }
    if (f != NULL)
        fclose(f);
    return text;
}

static int read_certificate(const char *path, struct cert *out, struct error *e)
{
    size_t n;
    struct error why;
    char *pem = read_file(path, &n, e);
    if (pem == NULL)
        return -1;
    int rc = cert_parse((struct span){pem, n}, out, &why);
    free(pem);
    return rc == 0 ? 0 : error_set(e, "%.150s: %.200s", path, why.text);
}

static int read_key_id(const char *path, unsigned char id[KEY_ID], struct error *e)
{
    size_t n;
    struct error why;
    char *pem = read_file(path, &n, e);
    if (pem == NULL)
        return -1;
    EVP_PKEY *key = cert_read_key((struct span){pem, n}, &why);
    OPENSSL_cleanse(pem, n);
    free(pem);
    if (key == NULL)
        return error_set(e, "%.150s: %.200s", path, why.text);
    int rc = cert_key_id(id, key);
    EVP_PKEY_free(key);
    return rc == 0 ? 0 : error_set(e, "%.200s: the key is damaged", path);
}

int check_tls_pair(const struct tls_config *t, struct cert *out, struct error *e)
{
    unsigned char id[KEY_ID];
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    if (read_certificate(t->certificate, out, e) < 0)
        return -1;
    if (read_key_id(t->key, id, e) == 0) {
        if (memcmp(id, out->key_id, KEY_ID) == 0)
            return 0;
        error_set(e, "the key %.150s does not belong to the certificate %.150s", t->key,
                  t->certificate);
    }
    cert_free(out);
    return -1;
}

void check_tls_usable(const struct config *c, struct config_problems *problems)
{
    for (size_t i = 0; i < c->n_tls; i++) {
        struct cert cert;
        struct error e;
        if (check_tls_pair(&c->tls[i], &cert, &e) < 0)
            config_problem_add(problems, c->tls[i].line, false, "[tls] %.280s", e.text);
        else
            cert_free(&cert);
    }
}

int64_t check_tls_days(int64_t until_s)
{
    int64_t left_s = until_s - clock_wall_s();
    return left_s >= 0 ? left_s / DAY_S : -((-left_s + DAY_S - 1) / DAY_S);
}

static void check_dates(const struct tls_config *t, const struct cert *cert,
                        struct config_problems *problems)
{
    long long days = (long long)check_tls_days(cert->not_after_s);
    if (days < 0)
        config_problem_add(problems, t->line, false,
                           "the certificate %.150s expired %lld days ago: clients refuse it, renew "
                           "it",
                           t->certificate, -days);
    else if (cert->not_before_s > clock_wall_s())
        config_problem_add(
            problems, t->line, false,
            "the certificate %.150s is not valid yet: is this machine's clock right?",
            t->certificate);
    else if (days < SOON_DAYS)
        config_problem_add(problems, t->line, true,
                           "the certificate %.150s expires in %lld days: renew it", t->certificate,
                           days);
}

static void check_key_mode(const struct tls_config *t, struct config_problems *problems)
{
    struct stat st;
    if (stat(t->key, &st) == 0 && (st.st_mode & 007) != 0)
        config_problem_add(problems, t->line, true,
                           "every user of this machine can read or change the key %.150s (mode "
                           "%o): chmod 600 it",
                           t->key, (unsigned)(st.st_mode & 07777));
}

/* The client_ca of a section, if it has one, is at least a list of certificates. */
static void check_client_ca(const struct tls_config *t, struct config_problems *problems)
{
    struct cert ca;
    struct error e;
    if (t->client_ca == NULL)
        return;
    if (read_certificate(t->client_ca, &ca, &e) < 0)
        config_problem_add(problems, t->line, false, "client_ca: %.280s", e.text);
    else
        cert_free(&ca);
}

static bool check_section(const struct config *c, size_t i, struct config_problems *problems)
{
    struct cert cert;
    struct error e;
    check_key_mode(&c->tls[i], problems);
    check_client_ca(&c->tls[i], problems);
    if (check_tls_pair(&c->tls[i], &cert, &e) < 0) {
        config_problem_add(problems, c->tls[i].line, false, "[tls] %.280s", e.text);
        return true; /* whose name it would have had is not known */
    }
    bool covers = cert_covers(&cert, span_of(c->hostname));
    check_dates(&c->tls[i], &cert, problems);
    cert_free(&cert);
    return covers;
}

static void check_listeners(const struct config *c, struct config_problems *problems)
{
    for (size_t i = 0; i < c->n_listens; i++) {
        const struct listen_config *l = &c->listens[i];
        if (l->kind == LISTEN_SMTP)
            config_problem_add(problems, l->line, true,
                               "STARTTLS is not offered, mail comes in unencrypted: "
                               "" CONFIG_MAKE_A_PAIR);
        else if (l->kind == LISTEN_POP3 && l->auth.plaintext_without_tls != PLAINTEXT_NO)
            config_problem_add(problems, l->line, true,
                               "STLS is not offered, passwords and mail travel unencrypted: "
                               "" CONFIG_MAKE_A_PAIR);
    }
}

void check_tls(const struct config *c, struct config_problems *problems)
{
    bool is_covered = false;
    for (size_t i = 0; i < c->n_tls; i++)
        is_covered = check_section(c, i, problems) || is_covered;
    if (c->n_tls == 0)
        check_listeners(c, problems);
    else if (!is_covered)
        config_problem_add(problems, c->tls[0].line, true,
                           "no certificate has the name of this host, %.100s: clients and other "
                           "servers that check will refuse it",
                           c->hostname);
}
