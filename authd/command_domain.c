#include "authd/commands.h"

#include "authd/resolve.h"
#include "common/addr.h"
#include "common/log.h"

/* The postmaster asked for, "" without one. 0, or -1 (answered). */
static int postmaster_of(struct admin_call *call, const char *domain, char out[ADDRESS_MAX])
{
    struct span given = admin_option(call, "postmaster");
    out[0] = '\0';
    if (given.p == NULL)
        return 0;
    if (argument_address(call, given, false, out) < 0)
        return -1;
    if (!span_istarts(span_of(out), SPAN("postmaster@")) ||
        !span_eq(resolve_domain_of(span_of(out)), span_of(domain)))
        return 0;
    admin_fail(call, VERDICT_NEVER, "%.300s is the postmaster's own address: name a mailbox", out);
    return -1;
}

static int domain_name(struct admin_call *call, char out[DOMAIN_MAX + 1])
{
    struct span given = call->n_args > 0 ? call->args[0] : SPAN("");
    if (resolve_domain(given, out) == 0)
        return 0;
    char text[ARGUMENT_TEXT];
    argument_text(text, given);
    admin_fail(call, VERDICT_NEVER, "'%s' is not a domain name: write it as example.org", text);
    return -1;
}

/* `domain add` of a domain that is there already sets its postmaster. */
static void change(struct authd *a, struct admin_call *call, struct domain *domain,
                   const char *postmaster)
{
    if (*postmaster == '\0')
        admin_fail(call, VERDICT_NEVER, "%s is a local domain already", domain->node.name.p);
    else if (users_set_postmaster(a->users, domain->number, span_of(postmaster)) < 0)
        store_failed(a, call);
    else if (directory_set_postmaster(domain, span_of(postmaster)) < 0)
        memory_failed(a, call);
    else
        admin_done(call, 0);
}

void domain_add(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    char name[DOMAIN_MAX + 1], postmaster[ADDRESS_MAX];
    if (domain_name(call, name) < 0 || postmaster_of(call, name, postmaster) < 0)
        return;
    struct domain *domain = directory_domain(a->directory, span_of(name));
    if (domain != NULL) {
        change(a, call, domain, postmaster);
        return;
    }
    uint64_t number;
    if (users_add_domain(a->users, span_of(name), span_of(postmaster), &number) < 0) {
        store_failed(a, call);
        return;
    }
    LOG(0, "domain-added", LZ("domain", name));
    domain = directory_add_domain(a->directory, span_of(name), number);
    if (domain == NULL || directory_set_postmaster(domain, span_of(postmaster)) < 0)
        memory_failed(a, call);
    else
        admin_done(call, 0);
}

void domain_show(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    struct admin_row r;
    char name[DOMAIN_MAX + 1];
    if (domain_name(call, name) < 0)
        return;
    const struct domain *domain = directory_domain(a->directory, span_of(name));
    if (domain == NULL) {
        admin_fail(call, VERDICT_NEVER, "%s is not a local domain", name);
        return;
    }
    row_begin(&r);
    row_text(&r, "name", domain->node.name);
    if (domain->postmaster.n > 0)
        row_text(&r, "postmaster", domain->postmaster);
    else
        row_null(&r, "postmaster");
    row_number(&r, "number", (int64_t)domain->number);
    row_send(&r, call, 0, NULL);
    admin_done(call, 0);
}

void domain_remove(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    char name[DOMAIN_MAX + 1];
    uint64_t n_users, n_aliases;
    if (domain_name(call, name) < 0)
        return;
    struct domain *domain = directory_domain(a->directory, span_of(name));
    if (domain == NULL) {
        admin_fail(call, VERDICT_NEVER, "%s is not a local domain", name);
    } else if (users_count(a->users, domain->number, &n_users, &n_aliases) < 0) {
        store_failed(a, call);
    } else if (n_users > 0 || n_aliases > 0) {
        admin_fail(call, VERDICT_NEVER,
                   "%s still has users (%llu) or aliases (%llu): remove them first", name,
                   (unsigned long long)n_users, (unsigned long long)n_aliases);
    } else if (users_remove_domain(a->users, domain->number) < 0) {
        store_failed(a, call);
    } else {
        LOG(0, "domain-removed", LZ("domain", name));
        directory_remove_domain(a->directory, domain);
        admin_done(call, 0);
    }
}

struct page {
    struct admin_call *call;
    uint64_t last;
};

static void print(void *arg, const struct users_row *row)
{
    struct page *page = arg;
    struct admin_row r;
    row_begin(&r);
    row_text(&r, "name", row->name);
    if (row->postmaster.n > 0)
        row_text(&r, "postmaster", row->postmaster);
    else
        row_null(&r, "postmaster");
    row_send(&r, page->call, 0, NULL);
    page->last = row->number;
}

void domain_list(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    struct page page = {.call = call};
    int n = users_list_domains(a->users, call->cursor, ADMIN_PAGE, print, &page);
    if (n < 0)
        store_failed(a, call);
    else
        admin_done(call, n == ADMIN_PAGE ? page.last : 0);
}
