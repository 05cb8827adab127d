/* `barid check`: everything that can be known to be wrong before the start, all at once. */
#include "cli/cli.h"

#include "cli/check_tls.h"
#include "cli/output.h"
#include "cli/text.h"
#include "common/admin.h"
#include "common/json.h"
#include "common/maildb.h"
#include "common/pam.h"
#include "common/spawn.h"
#include "common/sql_peek.h"
#include "common/userdb.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <sys/stat.h>

struct checking {
    struct cli *cli;
    struct config_problems problems; /* of the configuration and of this machine */
    struct rows found;               /* by authd in users.db */
};

struct finding {
    struct span file;
    size_t line;
    bool is_warning;
    struct span message;
};

/* --- where a setting stands --- */

struct place_of {
    const char *section, *key;
    size_t line;
};

static void find_line(void *arg, const char *section, const char *key, const char *value,
                      size_t line)
{
    struct place_of *want = arg;
    (void)value;
    if (strcmp(section, want->section) == 0 && strcmp(key, want->key) == 0)
        want->line = line;
}

static size_t line_of(const struct checking *c, const char *section, const char *key)
{
    struct place_of want = {.section = section, .key = key};
    config_show(c->cli->config, find_line, &want);
    return want.line;
}

/* --- directories --- */

/* The parent of a directory that is to be made (one level deep: common/layout.c). */
static void check_can_be_made(struct checking *c, const char *key, const char *path, size_t line)
{
    char parent[PATH_MAX];
    size_t n = (size_t)(strrchr(path, '/') - path);
    if (n >= sizeof parent)
        return;
    snprintf(parent, sizeof parent, "%.*s", n == 0 ? 1 : (int)n, path);
    if (access(parent, W_OK | X_OK) < 0)
        config_problem_add(
            &c->problems, line, false,
            "%s: %.150s is missing and cannot be made: %s: make %.80s, or run this as "
            "the user who starts barid",
            key, path, strerror(errno), parent);
}

static void check_directory(struct checking *c, const char *key, const char *path)
{
    struct stat st;
    size_t line = line_of(c, "", key);
    if (stat(path, &st) < 0) {
        if (errno == ENOENT)
            check_can_be_made(c, key, path, line);
        else
            config_problem_add(&c->problems, line, false, "%s: cannot look at %.150s: %s", key,
                               path, strerror(errno));
    } else if (!S_ISDIR(st.st_mode)) {
        config_problem_add(&c->problems, line, false, "%s: %.150s is not a directory", key, path);
    } else if (st.st_uid != 0 && st.st_uid != geteuid()) {
        config_problem_add(
            &c->problems, line, false,
            "%s: %.150s belongs to user %u: it must belong to root or to the user who "
            "starts barid",
            key, path, (unsigned)st.st_uid);
    } else if (access(path, W_OK | X_OK) < 0) {
        config_problem_add(
            &c->problems, line, false,
            "%s: %.150s cannot be written: %s: run this as the user who starts barid, "
            "or chown it to that user",
            key, path, strerror(errno));
    } else if ((st.st_mode & 022) != 0) {
        config_problem_add(&c->problems, line, false,
                           "%s: others can write into %.150s (mode %o): chmod 755 it", key, path,
                           (unsigned)(st.st_mode & 07777));
    }
}

/* --- databases --- */

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* The header alone, without opening a database that others work with. While nothing was written
 * back from the write-ahead log it may still be empty. */
static void check_database(struct checking *c, const char *name, int application_id, int version)
{
    char path[PATH_MAX];
    struct error e;
    int found_id, found_version;
    size_t line = line_of(c, "", "state_dir");
    snprintf(path, sizeof path, "%s/%s", c->cli->config->state_dir, name);
    if (!exists(path))
        return;
    if (sql_peek(path, &found_id, &found_version, &e) < 0)
        config_problem_add(&c->problems, line, false, "%s", e.text);
    else if (found_id != 0 && found_id != application_id)
        config_problem_add(&c->problems, line, false,
                           "%.150s is a database of another application: move it away", path);
    else if (found_version > version)
        config_problem_add(
            &c->problems, line, false,
            "%.150s was made by a newer barid (version %d, this one knows %d): install "
            "that version or restore a backup",
            path, found_version, version);
}

/* --- what authd knows --- */

/* Local domains whose postmaster leads nowhere. Without users.db there is nothing to ask about. */
static void check_users(struct checking *c)
{
    char path[PATH_MAX];
    struct question q = {.process = ROLE_AUTHD, .admin = "check"};
    struct error e;
    snprintf(path, sizeof path, "%s/users.db", c->cli->config->state_dir);
    if (!exists(path))
        return;
    if (cli_ask(c->cli, &q, &c->found, NULL, &e) < 0)
        config_problem_add(&c->problems, 0, true, "domains and users were not checked: %.220s",
                           e.text);
}

/* --- passwords for smarthosts --- */

static void check_secret(struct checking *c, const char *path, size_t line)
{
    struct stat st;
    if (path == NULL)
        return;
    if (stat(path, &st) < 0 || access(path, R_OK) < 0)
        config_problem_add(&c->problems, line, false, "smarthost_secret: cannot read %.150s: %s",
                           path, strerror(errno));
    else if (!S_ISREG(st.st_mode) || st.st_size == 0)
        config_problem_add(&c->problems, line, false,
                           "smarthost_secret: %.150s is no file with a password in it", path);
    else if ((st.st_mode & 077) != 0)
        config_problem_add(&c->problems, line, true,
                           "smarthost_secret: others than its owner can read or change %.150s "
                           "(mode %o): chmod 600 it",
                           path, (unsigned)(st.st_mode & 07777));
}

static void check_secrets(struct checking *c)
{
    const struct config *config = c->cli->config;
    check_secret(c, config->relay.smarthost_secret, line_of(c, "relay", "smarthost_secret"));
    for (size_t i = 0; i < config->n_routes; i++)
        check_secret(c, config->routes[i].smarthost_secret, config->routes[i].line);
}

static void check_recipients(struct checking *c)
{
    const struct config *config = c->cli->config;
    struct stat st;
    for (size_t i = 0; i < config->n_routes; i++) {
        const char *path = config->routes[i].recipients;
        if (path == NULL)
            continue;
        if (stat(path, &st) < 0 || access(path, R_OK) < 0)
            config_problem_add(&c->problems, config->routes[i].line, false,
                               "recipients: cannot read %.150s: %s", path, strerror(errno));
        else if (!S_ISREG(st.st_mode))
            config_problem_add(&c->problems, config->routes[i].line, false,
                               "recipients: %.150s is not a file", path);
    }
}

static void check_socket(struct checking *c, const struct listen_config *l, const char *path)
{
    char dir[PATH_MAX];
    struct stat st;
    const char *slash = strrchr(path, '/');
    snprintf(dir, sizeof dir, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
        config_problem_add(&c->problems, l->line, false,
                           "unix:%.150s: there is no directory %.150s: make it, or change the path",
                           path, dir);
    else if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
        config_problem_add(&c->problems, l->line, false,
                           "unix:%.150s is there and is no socket: change the path", path);
    if (l->socket_group != NULL && getgrnam(l->socket_group) == NULL)
        config_problem_add(&c->problems, l->line, false, "socket_group: there is no group '%s'",
                           l->socket_group);
}

static void check_sockets(struct checking *c)
{
    const struct config *config = c->cli->config;
    for (size_t i = 0; i < config->n_listens; i++)
        for (size_t k = 0; k < config->listens[i].n_addresses; k++)
            if (config->listens[i].addresses[k].path != NULL)
                check_socket(c, &config->listens[i], config->listens[i].addresses[k].path);
}

/* Without its file PAM takes the service "other", which is hardly meant. */
static void check_pam(struct checking *c)
{
    const char *service = c->cli->config->pam.service;
    char path[PATH_MAX], vendor[PATH_MAX];
    if (service == NULL)
        return;
#ifndef HAVE_PAM
    config_problem_add(&c->problems, line_of(c, "pam", "service"), false,
                       "service: " CONFIG_NO_PAM);
#endif
    snprintf(path, sizeof path, PAM_DIRECTORY "/%s", service);
    snprintf(vendor, sizeof vendor, "/usr/lib/pam.d/%s", service);
    if (!exists(path) && !exists(vendor))
        config_problem_add(&c->problems, line_of(c, "pam", "service"), false,
                           "service: there is no file %.150s: make it, for example with the lines "
                           "'auth required pam_unix.so' and 'account required pam_unix.so'",
                           path);
}

static void check_machine(struct checking *c)
{
    const struct config *config = c->cli->config;
    char dir[PATH_MAX];
    struct error e;
    if (spawn_libexec(dir, sizeof dir, &e) < 0)
        config_problem_add(&c->problems, 0, false, "%s", e.text);
    check_directory(c, "state_dir", config->state_dir);
    check_directory(c, "run_dir", config->run_dir);
    if (access(config->dns.trust_anchor, R_OK) < 0)
        config_problem_add(&c->problems, line_of(c, "dns", "trust_anchor"), true,
                           "trust_anchor: cannot read %.150s: %s: install dns-root-data, or DNSSEC "
                           "cannot be checked",
                           config->dns.trust_anchor, strerror(errno));
    check_tls(config, &c->problems);
    check_secrets(c);
    check_pam(c);
    check_sockets(c);
    check_recipients(c);
    check_database(c, "users.db", USERDB_APPLICATION_ID, USERDB_VERSION);
    check_database(c, "mail.db", MAILDB_APPLICATION_ID, MAILDB_VERSION);
    if (c->problems.n_errors == 0)
        check_users(c);
}

/* --- saying it --- */

/* A row of authd: "file" (a store of state_dir), "severity", "message"; "line" has no meaning
 * there, but everybody who reads a finding expects one. */
static struct finding of_row(const struct row *row)
{
    struct finding f = {.line = 1, .is_warning = true};
    struct unpacker u = unpacker_on(row_fields(row));
    struct column c;
    while (column_next(&u, &c)) {
        if (span_eq(c.name, SPAN("file")))
            f.file = c.text;
        else if (span_eq(c.name, SPAN("message")))
            f.message = c.text;
        else if (span_eq(c.name, SPAN("severity")))
            f.is_warning = !span_eq(c.text, SPAN("error"));
    }
    return f;
}

static size_t count_findings(const struct checking *c)
{
    return c->problems.n + c->found.n;
}

static struct finding finding_at(const struct checking *c, size_t i)
{
    if (i >= c->problems.n)
        return of_row(&c->found.list[i - c->problems.n]);
    const struct config_problem *p = &c->problems.list[i];
    return (struct finding){.file = span_of(c->cli->config_file),
                            .line = p->line,
                            .is_warning = p->is_warning,
                            .message = span_of(p->text)};
}

static int print_json(struct buf *out, const struct checking *c)
{
    int rc = buf_add(out, "[", 1);
    for (size_t i = 0; i < count_findings(c); i++) {
        struct finding f = finding_at(c, i);
        rc |= buf_addf(out, "%s{\"file\": ", i > 0 ? ",\n " : "");
        rc |= json_string(out, f.file);
        rc |= buf_addf(out, ", \"line\": %zu, \"severity\": \"%s\", \"message\": ", f.line,
                       f.is_warning ? "warning" : "error");
        rc |= json_string(out, f.message);
        rc |= buf_add(out, "}", 1);
    }
    return rc | buf_add(out, "]\n", 2);
}

static int print_lines(struct buf *out, const struct checking *c)
{
    int rc = 0;
    for (size_t i = 0; i < count_findings(c); i++) {
        struct finding f = finding_at(c, i);
        rc |= text_terminal(out, f.file);
        rc |= buf_addf(out, ":%zu: %s", f.line, f.is_warning ? "warning: " : "");
        rc |= text_terminal(out, f.message);
        rc |= buf_add(out, "\n", 1);
    }
    return rc;
}

static bool has_errors(const struct checking *c)
{
    for (size_t i = 0; i < c->found.n; i++)
        if (!of_row(&c->found.list[i]).is_warning)
            return true;
    return c->problems.n_errors > 0;
}

int check_main(struct cli *cli)
{
    struct checking c = {.cli = cli};
    struct error e;
    struct buf out;
    buf_init(&out, SIZE_MAX / 4);
    cli->config_file = config_path(cli->config_given);
    cli->text = config_read(cli->config_file, &cli->text_n, &e);
    if (cli->text == NULL)
        return cli_fail(cli, "%s", e.text);
    cli->config =
        config_parse((struct span){cli->text, cli->text_n}, cli->config_file, &c.problems);
    if (cli->config != NULL)
        check_machine(&c);
    int rc = cli->is_json ? print_json(&out, &c) : print_lines(&out, &c);
    int status = output_print(cli, &out, rc);
    if (status == EXIT_DONE && has_errors(&c))
        status = EXIT_REFUSED;
    config_problems_free(&c.problems);
    rows_free(&c.found);
    return status;
}
