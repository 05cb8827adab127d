#include "common/config_table.h"
#include "common/pam.h"

/* A listener of a configuration without [tls]. */
static void check_without_tls(const struct listen_config *l, struct config_problems *problems)
{
    const char *kind = listen_kind_name(l->kind);
    if (l->kind == LISTEN_SUBMISSIONS || l->kind == LISTEN_POP3S)
        config_problem_add(problems, l->line, false, "[listen %s] needs TLS: " CONFIG_MAKE_A_PAIR,
                           kind);
    else if (l->kind == LISTEN_SMTP || l->kind == LISTEN_SUBMIT || l->kind == LISTEN_LMTP)
        return; /* `barid check` warns of the first */
    else if (l->auth.plaintext_without_tls == PLAINTEXT_NO)
        config_problem_add(problems, l->line, true,
                           "nobody can log in here without TLS: " CONFIG_MAKE_A_PAIR
                           "; or 'plaintext_without_tls = loopback' for this machine");
}

/* RFC 2033 5: a client there expects SMTP, whose replies it would take for those of LMTP. */
static void check_lmtp(const struct listen_config *l, struct config_problems *problems)
{
    for (size_t i = 0; i < l->n_addresses; i++)
        if (l->addresses[i].address.port == 25)
            config_problem_add(problems, l->line, false,
                               "[listen lmtp] must not use port 25, which is SMTP's: use 24");
}

/* A client of the others is known by his address; and no socket of ours must make room for one. */
static void check_paths(const struct config *c, const struct listen_config *l,
                        struct config_problems *problems)
{
    size_t n_run = c->run_dir != NULL ? strlen(c->run_dir) : 0;
    for (size_t i = 0; i < l->n_addresses; i++) {
        const char *path = l->addresses[i].path;
        if (path == NULL)
            continue;
        if (l->kind != LISTEN_LMTP)
            config_problem_add(
                problems, l->line, false,
                "a Unix socket is for [listen lmtp] only: use an address and a port");
        else if (n_run > 0 && strncmp(path, c->run_dir, n_run) == 0 && path[n_run] == '/')
            config_problem_add(problems, l->line, false,
                               "%.200s is in run_dir, where barid's own sockets are: use another "
                               "directory",
                               path);
    }
}

static void check_kinds(const struct config *c, struct config_problems *problems)
{
    for (size_t i = 0; i < c->n_listens; i++) {
        const struct listen_config *l = &c->listens[i];
        if (c->n_tls == 0)
            check_without_tls(l, problems);
        if (l->kind == LISTEN_LMTP)
            check_lmtp(l, problems);
        check_paths(c, l, problems);
    }
    if (c->n_tls > TLS_SECTIONS_MAX)
        config_problem_add(problems, c->tls[TLS_SECTIONS_MAX].line, false,
                           "more than %d [tls] sections: put more names into one certificate",
                           TLS_SECTIONS_MAX);
    if (c->n_listens == 0)
        config_problem_add(problems, 0, false,
                           "no listen section, so nothing would be served: add for example a line "
                           "'[listen smtp]'");
}

static bool is_same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
    if (a->path == NULL || b->path == NULL)
        return a->path == b->path && netaddr_eq(&a->address, &b->address);
    return strcmp(a->path, b->path) == 0;
}

/* The listener before (i, k) with the same address, or NULL. Port 0 is a new one each time. */
static const struct listen_config *same_before(const struct config *c, size_t i, size_t k)
{
    const struct endpoint *a = &c->listens[i].addresses[k];
    if (a->path == NULL && a->address.port == 0)
        return NULL;
    for (size_t j = 0; j <= i; j++) {
        const struct listen_config *l = &c->listens[j];
        size_t n = j == i ? k : l->n_addresses;
        for (size_t m = 0; m < n; m++)
            if (is_same_endpoint(a, &l->addresses[m]))
                return l;
    }
    return NULL;
}

static void check_addresses(const struct config *c, struct config_problems *problems)
{
    for (size_t i = 0; i < c->n_listens; i++)
        for (size_t k = 0; k < c->listens[i].n_addresses; k++) {
            const struct listen_config *before = same_before(c, i, k);
            if (before == NULL)
                continue;
            char text[NETADDR_TEXT];
            const struct endpoint *a = &c->listens[i].addresses[k];
            netaddr_format_port(text, &a->address);
            config_problem_add(problems, c->listens[i].line, false,
                               "the address %s stands twice (first in [listen %s] of line %zu)",
                               a->path != NULL ? a->path : text, listen_kind_name(before->kind),
                               before->line);
        }
}

static void check_limits(const struct config *c, struct config_problems *problems)
{
    if (c->hostname != NULL && strchr(c->hostname, '.') == NULL)
        config_problem_add(problems, config_line(c, SECTION_GLOBAL, "hostname"), true,
                           "hostname '%.100s' has no domain: many servers refuse mail from it, set "
                           "the full name",
                           c->hostname);
    if (c->message_size_max >= 1024 && c->message_size_max < 65536) /* under: out of range */
        config_problem_add(problems, config_line(c, SECTION_GLOBAL, "message_size_max"), true,
                           "message_size_max is under 64K, the least that RFC 5321 4.5.3.1.7 asks "
                           "for");
    if (c->auth.plaintext_without_tls == PLAINTEXT_YES)
        config_problem_add(problems, config_line(c, SECTION_AUTH, "plaintext_without_tls"), true,
                           "passwords travel in the clear: 'yes' is for tests only");
    for (size_t i = 0; i < c->relay.n_allow_from; i++)
        if (c->relay.allow_from[i].bits == 0)
            config_problem_add(problems, config_line(c, SECTION_RELAY, "allow_from"), true,
                               "allow_from takes in everybody: this is an open relay");
}

static void check_hiding(const struct config *c, struct config_problems *problems)
{
    for (size_t i = 0; i < c->n_listens; i++) {
        enum listen_kind kind = c->listens[i].kind;
        if (c->listens[i].hide_client == SWITCH_ON && kind != LISTEN_SUBMISSION &&
            kind != LISTEN_SUBMISSIONS)
            config_problem_add(problems, c->listens[i].line, true,
                               "hide_client does nothing here: nobody logs in to send mail");
    }
}

/* RFC 3207 4: who is named by MX records must take mail without TLS. */
static void check_tls_required(const struct config *c, struct config_problems *problems)
{
    for (size_t i = 0; i < c->n_listens; i++) {
        const struct listen_config *l = &c->listens[i];
        bool has_mail = l->kind != LISTEN_POP3 && l->kind != LISTEN_POP3S;
        if (l->require_tls != SWITCH_ON)
            continue;
        if (has_mail && c->n_tls == 0)
            config_problem_add(problems, l->line, false,
                               "require_tls needs TLS: " CONFIG_MAKE_A_PAIR);
        if (!has_mail)
            config_problem_add(problems, l->line, true,
                               "require_tls does nothing here: see plaintext_without_tls");
        for (size_t k = 0; l->kind == LISTEN_SMTP && k < l->n_addresses; k++)
            if (l->addresses[k].address.port == 25)
                config_problem_add(problems, l->line, true,
                                   "require_tls on port 25: servers without TLS cannot send mail "
                                   "here, so no MX record may name this host (RFC 3207 4)");
    }
}

static bool has_smtps(const struct url *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (to[i].is_tls)
            return true;
    return false;
}

static void check_hops(const struct config *c, struct config_problems *problems)
{
    const struct relay_config *r = &c->relay;
    bool has_any = has_smtps(r->smarthost, r->n_smarthost) || has_smtps(r->fallback, r->n_fallback);
    if (has_any && r->delivery.tls == RELAY_TLS_NONE)
        config_problem_add(problems, config_line(c, SECTION_RELAY, "tls"), false,
                           "smtps:// and 'tls = none' contradict each other: use smtp://");
    for (size_t i = 0; i < c->n_routes; i++)
        if (has_smtps(c->routes[i].to, c->routes[i].n_to) &&
            c->routes[i].delivery.tls == RELAY_TLS_NONE)
            config_problem_add(problems, c->routes[i].line, false,
                               "smtps:// and 'tls = none' contradict each other: use smtp://");
}

static bool has_user(const struct url *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (to[i].user != NULL)
            return true;
    return false;
}

static void check_secret(bool is_needed, const char *secret, size_t line,
                         struct config_problems *problems)
{
    if (is_needed && secret == NULL)
        config_problem_add(problems, line, false,
                           "the user in the URL needs a password: name its file in "
                           "smarthost_secret");
    else if (!is_needed && secret != NULL)
        config_problem_add(problems, line, true,
                           "smarthost_secret is not used, as no URL here names a user");
}

static void check_logins(const struct config *c, struct config_problems *problems)
{
    const struct relay_config *r = &c->relay;
    bool is_needed = has_user(r->smarthost, r->n_smarthost);
    check_secret(is_needed, r->smarthost_secret,
                 config_line(c, SECTION_RELAY, is_needed ? "smarthost" : "smarthost_secret"),
                 problems);
    if (has_user(r->fallback, r->n_fallback))
        config_problem_add(problems, config_line(c, SECTION_RELAY, "fallback"), false,
                           "there is no login at a fallback: leave the user out of the URL");
    for (size_t i = 0; i < c->n_routes; i++)
        check_secret(has_user(c->routes[i].to, c->routes[i].n_to), c->routes[i].smarthost_secret,
                     c->routes[i].line, problems);
}

/* What a backup would not know when it is asked it would have to tell the sender afterwards, who
 * may be forged. */
static void check_backup(const struct route_config *r, struct config_problems *problems)
{
    bool is_backup = r->backup_mx == SWITCH_ON;
    bool knows = r->recipients != NULL || r->callout == SWITCH_ON;
    enum hop_kind kind = r->n_to > 0 ? r->to[0].kind : HOP_MX;
    if (is_backup && !knows)
        config_problem_add(problems, r->line, false,
                           "backup_mx without a way to know who exists would return mail for "
                           "nobody to strangers: set recipients or callout");
    if (is_backup && strchr(r->domain, ':') != NULL)
        config_problem_add(problems, r->line, false,
                           "backup_mx is for domains: [route %.100s] is about senders", r->domain);
    if (is_backup && r->callout == SWITCH_ON && (kind == HOP_HOLD || kind == HOP_DISCARD))
        config_problem_add(problems, r->line, false,
                           "callout has nobody to ask: 'to' names no server");
    if (!is_backup && knows)
        config_problem_add(problems, r->line, true,
                           "recipients and callout do nothing without 'backup_mx = yes'");
}

static void check_backups(const struct config *c, struct config_problems *problems)
{
    for (size_t i = 0; i < c->n_routes; i++)
        check_backup(&c->routes[i], problems);
}

static void check_pam(const struct config *c, struct config_problems *problems)
{
    const char *service = c->pam.service;
    if (service != NULL && !pam_is_service(span_of(service)))
        config_problem_add(problems, config_line(c, SECTION_PAM, "service"), false,
                           "[pam] service is the name of a file in " PAM_DIRECTORY
                           ": letters, digits, '.', '-', '_'");
}

void config_check(const struct config *c, struct config_problems *problems)
{
    check_kinds(c, problems);
    check_addresses(c, problems);
    check_limits(c, problems);
    check_hiding(c, problems);
    check_tls_required(c, problems);
    check_hops(c, problems);
    check_logins(c, problems);
    check_backups(c, problems);
    check_pam(c, problems);
}
