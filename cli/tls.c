/* `barid tls …`: certificates for a first start, and what there is. */
#include "cli/check_tls.h"
#include "cli/output.h"
#include "cli/tables.h"
#include "common/admin.h"
#include "common/buf.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#define DEFAULT_DIR         SYSCONFDIR "/barid/tls"
#define DEFAULT_CERTIFICATE DEFAULT_DIR "/cert.pem"
#define DEFAULT_KEY         DEFAULT_DIR "/key.pem"
#define VALID_S             (825L * 86400) /* longer is refused by some clients */
#define SERIAL_OCTETS       16
#define NAMES_MAX           8192

/* --- self-signed --- */

/* "DNS:a,DNS:b" of --name and the arguments behind it, else of hostname. 0, or -1: not a name. */
static int alternative_names(const struct cli *cli, char *out, size_t cap, char common[65])
{
    struct span first = cli_option(cli, "name");
    size_t used = 0;
    if (first.p == NULL)
        first = span_of(cli->config->hostname);
    for (size_t i = 0; i <= cli->n_args; i++) {
        struct span name = i == 0 ? first : cli->args[i - 1];
        for (size_t k = 0; k < name.n; k++)
            if (name.p[k] <= ' ' || name.p[k] == ',' || name.p[k] == ':' || name.p[k] > '~')
                return -1;
        if (name.n == 0 || name.n > DOMAIN_MAX || used + name.n + 6 > cap)
            return -1;
        int added =
            snprintf(out + used, cap - used, "%sDNS:%.*s", i == 0 ? "" : ",", (int)name.n, name.p);
        used += (size_t)added; /* there is room: see above */
    }
    snprintf(common, 65, "%.*s", (int)(first.n < 64 ? first.n : 64), first.p);
    return 0;
}

static int add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    int rc = e != NULL && X509_add_ext(x, e, -1) == 1 ? 0 : -1;
    X509_EXTENSION_free(e);
    return rc;
}

static int fill_certificate(X509 *x, EVP_PKEY *key, const char *common, const char *names)
{
    unsigned char octets[SERIAL_OCTETS];
    X509_NAME *subject = X509_get_subject_name(x);
    if (RAND_bytes(octets, sizeof octets) != 1)
        return -1;
    octets[0] &= 0x7f;
    BIGNUM *serial = BN_bin2bn(octets, sizeof octets, NULL);
    int rc = serial != NULL && BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x)) != NULL &&
                     X509_set_version(x, X509_VERSION_3) == 1 &&
                     X509_gmtime_adj(X509_getm_notBefore(x), -300) != NULL &&
                     X509_gmtime_adj(X509_getm_notAfter(x), VALID_S) != NULL &&
                     X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                                (const unsigned char *)common, -1, -1, 0) == 1 &&
                     X509_set_issuer_name(x, subject) == 1 && X509_set_pubkey(x, key) == 1 &&
                     add_extension(x, NID_subject_alt_name, names) == 0 &&
                     add_extension(x, NID_basic_constraints, "critical,CA:FALSE") == 0 &&
                     add_extension(x, NID_ext_key_usage, "serverAuth") == 0 &&
                     X509_sign(x, key, EVP_sha256()) > 0
                 ? 0
                 : -1;
    BN_free(serial);
    return rc;
}

/* Written under another name first, so that nobody ever reads half of it. */
static int write_pem(const char *path, mode_t mode, X509 *x, EVP_PKEY *key, struct error *e)
{
    char fresh[PATH_MAX];
    if ((size_t)snprintf(fresh, sizeof fresh, "%s.new", path) >= sizeof fresh)
        return error_set(e, "the name %.200s is too long", path);
    unlink(fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (f == NULL) {
        if (fd >= 0)
            close(fd);
        return error_set(e, "cannot make %.200s: %s", fresh, strerror(errno));
    }
    int ok = key != NULL ? PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL)
                         : PEM_write_X509(f, x);
    ok = fflush(f) == 0 && fsync(fd) == 0 && ok == 1;
    if (fclose(f) != 0 || !ok || rename(fresh, path) < 0) {
        error_set(e, "cannot write %.200s: %s", path, strerror(errno));
        unlink(fresh);
        return -1;
    }
    return 0;
}

static void make_directory_of(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash == path || (size_t)(slash - path) >= sizeof dir)
        return;
    snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
    mkdir(dir, 0755); /* if it is in vain, the file says why */
}

static int make_pair(const char *certificate, const char *key_file, const char *common,
                     const char *names, struct error *e)
{
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    int rc = -1;
    if (key == NULL || x == NULL || fill_certificate(x, key, common, names) < 0) {
        error_set(e, "OpenSSL cannot make a certificate: %s", cert_why());
    } else {
        make_directory_of(key_file);
        make_directory_of(certificate);
        rc = write_pem(key_file, 0600, NULL, key, e);
        if (rc == 0)
            rc = write_pem(certificate, 0644, x, NULL, e);
    }
    X509_free(x);
    EVP_PKEY_free(key);
    return rc;
}

/* The configuration as it is; has_section: with a [tls]. */
static int load(struct cli *cli, bool *has_section, struct error *e)
{
    struct config_problems problems = {0};
    cli->config_file = config_path(cli->config_given);
    cli->text = config_read(cli->config_file, &cli->text_n, e);
    if (cli->text == NULL)
        return -1;
    /* Listeners that need TLS have none before this command has run: a [tls] of its own stands in
     * for the one that is to be written. */
    static const char tail[] =
        "\n[tls]\ncertificate = " DEFAULT_CERTIFICATE "\nkey = " DEFAULT_KEY "\n";
    cli->config = config_parse((struct span){cli->text, cli->text_n}, cli->config_file, &problems);
    config_problems_free(&problems);
    *has_section = cli->config != NULL && cli->config->n_tls > 0;
    if (cli->config != NULL)
        return 0;
    char *more = malloc(cli->text_n + sizeof tail);
    if (more == NULL)
        return error_set(e, "out of memory");
    memcpy(more, cli->text, cli->text_n);
    memcpy(more + cli->text_n, tail, sizeof tail);
    cli->config = config_parse((struct span){more, cli->text_n + sizeof tail - 1}, cli->config_file,
                               &problems);
    config_problems_free(&problems);
    free(more);
    return cli->config != NULL
               ? 0
               : error_set(e, "%.200s has errors: 'barid check' lists them", cli->config_file);
}

static int print_made(struct cli *cli, const char *certificate, const char *key, bool is_named)
{
    struct rows rows = {0};
    static struct admin_row row;
    struct buf out;
    buf_init(&out, SIZE_MAX / 4);
    if (!cli->is_json) {
        int rc = buf_addf(&out, "made %s and %s\n", certificate, key);
        if (!is_named)
            rc |= buf_addf(&out,
                           "add to %s, if it is not there:\n\n[tls]\ncertificate = %s\nkey = %s\n",
                           cli->config_file, certificate, key);
        return output_print(cli, &out, rc);
    }
    row_begin(&row);
    row_text(&row, "certificate", span_of(certificate));
    row_text(&row, "key", span_of(key));
    static const char *const no_groups[] = {NULL};
    int rc = rows_add(&rows, 0, SPAN(""), packer_span(&row.w));
    rc = rc < 0 ? rc : output_json(&out, &rows, SHAPE_OBJECT, no_groups);
    int status = output_print(cli, &out, rc);
    rows_free(&rows);
    return status;
}

static int self_signed_main(struct cli *cli)
{
    char names[NAMES_MAX], common[65];
    struct error e;
    bool has_section;
    if (load(cli, &has_section, &e) < 0)
        return cli_fail(cli, "%s", e.text);
    const struct tls_config *t = cli->config->n_tls > 0 ? &cli->config->tls[0] : NULL;
    const char *certificate = t != NULL ? t->certificate : DEFAULT_CERTIFICATE;
    const char *key = t != NULL ? t->key : DEFAULT_KEY;
    if (alternative_names(cli, names, sizeof names, common) < 0)
        return cli_fail(cli, "a name is not one that a certificate can have");
    if (cli_option(cli, "force").p == NULL &&
        (access(certificate, F_OK) == 0 || access(key, F_OK) == 0))
        return cli_fail(cli, "%s or %s is there already: --force replaces both", certificate, key);
    if (make_pair(certificate, key, common, names, &e) < 0)
        return cli_fail(cli, "%s", e.text);
    return print_made(cli, certificate, key, has_section);
}

/* --- show --- */

static int add_section(struct rows *rows, const struct tls_config *t)
{
    static struct admin_row row;
    struct cert cert;
    struct error e;
    struct buf names;
    buf_init(&names, NAMES_MAX);
    row_begin(&row);
    row_text(&row, "tls", span_of(t->name));
    row_text(&row, "certificate", span_of(t->certificate));
    if (check_tls_pair(t, &cert, &e) < 0) {
        row_text(&row, "problem", span_of(e.text));
        return rows_add(rows, 0, SPAN(""), packer_span(&row.w));
    }
    for (size_t i = 0; i < cert.n_names; i++)
        buf_addf(&names, "%s%s", i > 0 ? " " : "", cert.names[i]); /* those that fit */
    row_text(&row, "names", buf_span(&names));
    buf_free(&names);
    row_text(&row, "key", span_of(cert.key_kind));
    row_time(&row, "expires", cert.not_after_s);
    row_number(&row, "days_left", check_tls_days(cert.not_after_s));
    cert_free(&cert);
    return rows_add(rows, 0, SPAN(""), packer_span(&row.w));
}

static int show_main(struct cli *cli)
{
    struct rows rows = {0};
    struct error e;
    struct buf out;
    static const char *const no_groups[] = {NULL};
    int rc = 0;
    if (cli_load(cli, &e) < 0)
        return cli_fail(cli, "%s", e.text);
    buf_init(&out, SIZE_MAX / 4);
    for (size_t i = 0; i < cli->config->n_tls && rc == 0; i++)
        rc = add_section(&rows, &cli->config->tls[i]);
    if (rc == 0)
        rc = cli->is_json ? output_json(&out, &rows, SHAPE_LIST, no_groups)
                          : output_table(&out, &rows, SHAPE_LIST);
    int status = output_print(cli, &out, rc);
    rows_free(&rows);
    return status;
}

static const struct command commands[] = {
    {.words = "tls self-signed",
     .usage = "[--name HOST [HOST…]] [--force]",
     .summary = "make a certificate and key to begin with, where [tls] says or in " DEFAULT_DIR,
     .options = {"name=", "force"},
     .args_max = 50,
     .run = self_signed_main},
    {.words = "tls show",
     .usage = "",
     .summary = "certificates with their names and the days they are still good for",
     .run = show_main},
    {.words = "tls policies",
     .usage = "",
     .summary = "what other domains ask for by MTA-STS, as far as it was fetched",
     .process = ROLE_QUEUE,
     .shape = SHAPE_LIST},
    {.words = "tls report",
     .usage = "",
     .summary = "send the reports of [relay] tls_reports now, also those of today",
     .process = ROLE_QUEUE},
};

const struct command_table tls_table = {commands, sizeof commands / sizeof *commands};
