/* For `barid check`: what is allowed, but hardly meant. */
#include "authd/commands.h"

#include "authd/resolve.h"

#include <stdarg.h>

#define ROWS_MAX 500

struct report {
    struct admin_call *call;
    size_t n;
};

static void warn(struct report *to, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void warn(struct report *to, const char *fmt, ...)
{
    struct admin_row r;
    char text[1024];
    va_list ap;
    if (++to->n > ROWS_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    row_begin(&r);
    row_text(&r, "file", SPAN("users.db"));
    row_null(&r, "line");
    row_text(&r, "severity", SPAN("warning"));
    row_text(&r, "message", span_of(text));
    row_send(&r, to->call, 0, NULL);
}

static void check_domain(struct authd *a, const struct domain *domain, struct report *to)
{
    static struct resolved found;
    char address[ADDRESS_MAX];
    const char *name = domain->node.name.p;
    snprintf(address, sizeof address, "postmaster@%s", name);
    resolve(a->directory, span_of(address), &found);
    bool is_nobody = found.kind == ADDRESS_UNKNOWN;
    const char *what = is_nobody ? "is refused" : "goes to the postmaster of another domain";
    if ((is_nobody || found.is_borrowed) && domain->postmaster.n > 0)
        warn(to, "mail for %s %s (RFC 5321 4.5.1): %s leads nowhere", address, what,
             domain->postmaster.p);
    else if (is_nobody || found.is_borrowed)
        warn(to,
             "mail for %s %s (RFC 5321 4.5.1): say who gets it with: "
             "barid domain add %s --postmaster ADDR",
             address, what, name);
}

static void check_alias(struct authd *a, const struct alias *alias, struct report *to)
{
    static struct resolved found;
    const char *name = alias->node.name.p;
    bool is_user = directory_user(a->directory, alias->node.name) != NULL;
    const char *what = is_user ? "forwarding of the user" : "alias";
    resolve(a->directory, alias->node.name, &found);
    if (found.is_too_large)
        warn(to, "mail for %s is put off: it has too many targets", name);
    else if (found.has_loop)
        warn(to, "the alias %s leads back to itself", name);
    for (size_t i = 0; i < alias->n_targets; i++) {
        resolve(a->directory, alias->targets[i], &found);
        if (found.kind == ADDRESS_UNKNOWN)
            warn(to, "the target %s of the %s %s leads nowhere", alias->targets[i].p, what, name);
    }
}

static void check_srs(struct authd *a, struct report *to)
{
    const struct relay_config *c = &proc_config(a->proc)->relay;
    if (c->srs == SWITCH_ON && c->srs_domain != NULL &&
        directory_domain(a->directory, span_of(c->srs_domain)) == NULL)
        warn(to,
             "[relay] srs_domain is not a local domain, so that of the alias is used; add it with: "
             "barid domain add %s",
             c->srs_domain);
}

/* One line for all of them. */
static void check_pam(const struct authd *a, struct report *to)
{
    const struct table *t = &a->directory->users;
    const struct user *one = NULL;
    unsigned n = 0;
    if (proc_config(a->proc)->pam.service != NULL)
        return;
    for (struct node *u = table_next(t, NULL); u != NULL; u = table_next(t, u))
        if (((const struct user *)u)->is_pam) {
            one = (const struct user *)u;
            n++;
        }
    if (one != NULL)
        warn(to,
             "%u users cannot log in (%.200s, for one): PAM checks their passwords, and [pam] "
             "service is not set",
             n, one->node.name.p);
}

void check(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    struct report to = {.call = call};
    const struct table *t = &a->directory->domains;
    for (struct node *n = table_next(t, NULL); n != NULL; n = table_next(t, n))
        check_domain(a, (struct domain *)n, &to);
    t = &a->directory->aliases;
    for (struct node *n = table_next(t, NULL); n != NULL; n = table_next(t, n))
        check_alias(a, (struct alias *)n, &to);
    check_srs(a, &to);
    check_pam(a, &to);
    admin_done(call, 0);
}
