#include "authd/commands.h"

#include "authd/post.h"
#include "authd/resolve.h"
#include "common/addr.h"
#include "common/log.h"

/* --- adding: in memory first to see where it leads, then on disk; nobody is asked in between ---
 */

static void take_back(struct authd *a, struct span address, const struct targets *t)
{
    for (size_t i = 0; i < t->n; i++) {
        struct alias *alias = directory_alias(a->directory, address);
        if (t->is_new[i] && alias != NULL)
            directory_remove_target(a->directory, alias, t->spans[i]);
    }
}

static int add_in_memory(struct authd *a, struct span address, struct targets *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct alias *alias = directory_alias(a->directory, address);
        t->is_new[i] = alias == NULL || !directory_alias_has(alias, t->spans[i]);
        if (t->is_new[i] && directory_add_target(a->directory, address, t->spans[i]) < 0) {
            t->n = i;
            return -1;
        }
    }
    return 0;
}

static void add_targets(struct authd *a, struct admin_call *call, struct span address,
                        struct targets *t)
{
    const struct domain *domain = directory_domain(a->directory, resolve_domain_of(address));
    struct span at = address;
    const char *why = NULL;
    if (add_in_memory(a, address, t) < 0)
        admin_fail(call, VERDICT_TRY_LATER, "nothing was changed: out of memory");
    else if ((why = targets_fault(a, &at)) != NULL)
        admin_fail(call, VERDICT_NEVER, "nothing was changed: with this, %s %s", at.p, why);
    else if (users_add_targets(a->users, address, domain->number, t->spans, t->n) < 0)
        store_failed(a, call);
    else {
        LOG(0, "alias-added", LS("alias", address), LN("targets", (int64_t)t->n));
        admin_done(call, 0);
        return;
    }
    take_back(a, address, t);
}

void alias_add(void *authd, struct admin_call *call)
{
    static struct targets t;
    struct authd *a = authd;
    char address[ADDRESS_MAX];
    struct span given = call->n_args > 0 ? call->args[0] : SPAN("");
    if (argument_address(call, given, true, address) < 0 ||
        address_domain(a, call, address) == NULL || argument_targets(call, &t) < 0)
        return;
    if (t.n == 0)
        admin_fail(call, VERDICT_NEVER, "an alias needs a target");
    else if (directory_user(a->directory, span_of(address)) != NULL)
        admin_fail(call, VERDICT_NEVER,
                   "%.250s is a user: an alias needs another address, and mail of a user is sent "
                   "on by: barid user forward",
                   address);
    else
        add_targets(a, call, span_of(address), &t);
}

/* What is no alias for an administrator, though it is kept as one: a user's own. */
static struct alias *argument_alias(struct authd *a, struct admin_call *call, const char *address)
{
    struct alias *alias = directory_alias(a->directory, span_of(address));
    bool is_user = directory_user(a->directory, span_of(address)) != NULL;
    if (is_user)
        admin_fail(call, VERDICT_NEVER,
                   "%.250s is a user: where his mail is sent on says barid user forward", address);
    else if (alias == NULL)
        admin_fail(call, VERDICT_NEVER, "there is no alias %.300s", address);
    return is_user ? NULL : alias;
}

/* --- who may send to it --- */

/* RFC 5321 4.5.1: everybody may write to the postmaster. */
static bool is_postmaster(const char *address)
{
    return span_istarts(span_of(address), SPAN("postmaster@"));
}

void alias_post(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    char address[ADDRESS_MAX];
    enum post_rule rule;
    if (call->n_args != 2 || post_read(call->args[1], &rule) < 0) {
        admin_fail(call, VERDICT_NEVER, "who may send to it: anyone, members or users");
        return;
    }
    if (argument_address(call, call->args[0], true, address) < 0)
        return;
    struct alias *alias = argument_alias(a, call, address);
    if (alias == NULL)
        return;
    if (address[0] == '@') {
        admin_fail(call, VERDICT_NEVER,
                   "a catch-all takes mail from everybody: give the rule to an alias");
    } else if (is_postmaster(address) && rule != POST_ANYONE) {
        admin_fail(call, VERDICT_NEVER, "a postmaster takes mail from everybody (RFC 5321 4.5.1)");
    } else if (users_set_post(a->users, span_of(address), rule) < 0) {
        store_failed(a, call);
    } else {
        alias->post = rule;
        LOG(0, "alias-post", LZ("alias", address), LZ("who", post_word(rule)));
        admin_done(call, 0);
    }
}

/* --- removing --- */

static int all_there(struct admin_call *call, const struct alias *alias, const struct targets *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (!directory_alias_has(alias, t->spans[i])) {
            admin_fail(call, VERDICT_NEVER, "%.180s has no target %.180s", alias->node.name.p,
                       t->texts[i]);
            return -1;
        }
    return 0;
}

void alias_remove(void *authd, struct admin_call *call)
{
    static struct targets t;
    struct authd *a = authd;
    char address[ADDRESS_MAX];
    struct span given = call->n_args > 0 ? call->args[0] : SPAN("");
    if (argument_address(call, given, true, address) < 0 || argument_targets(call, &t) < 0)
        return;
    struct alias *alias = argument_alias(a, call, address);
    if (alias == NULL)
        return;
    if (all_there(call, alias, &t) < 0)
        return;
    if (t.n >= alias->n_targets && alias->post != POST_ANYONE) {
        admin_fail(call, VERDICT_NEVER,
                   "who may send to it (%s) would be forgotten with its last target: add the new "
                   "one first, or remove the whole alias",
                   post_word(alias->post));
        return;
    }
    if (users_remove_targets(a->users, span_of(address), t.spans, t.n) < 0) {
        store_failed(a, call);
        return;
    }
    LOG(0, "alias-removed", LZ("alias", address), LN("targets", (int64_t)t.n));
    if (t.n == 0)
        directory_remove_alias(a->directory, alias);
    for (size_t i = 0; i < t.n; i++)
        if ((alias = directory_alias(a->directory, span_of(address))) != NULL)
            directory_remove_target(a->directory, alias, t.spans[i]);
    admin_done(call, 0);
}

/* --- list --- */

struct page {
    struct authd *authd;
    struct admin_call *call;
    uint64_t last;
};

static void print(void *arg, const struct users_row *row)
{
    struct page *page = arg;
    struct admin_row r;
    const struct alias *alias = directory_alias(page->authd->directory, row->name);
    page->last = row->number;
    if (directory_user(page->authd->directory, row->name) != NULL)
        return;
    row_begin(&r);
    row_text(&r, "address", row->name);
    row_text(&r, "post", span_of(post_word(alias != NULL ? alias->post : POST_ANYONE)));
    row_send(&r, page->call, 0, NULL);
    for (size_t i = 0; alias != NULL && i < alias->n_targets; i++) {
        row_begin(&r);
        row_text(&r, "address", alias->targets[i]);
        row_send(&r, page->call, 1, "targets");
    }
}

void alias_list(void *authd, struct admin_call *call)
{
    struct page page = {.authd = authd, .call = call};
    int n = users_list_aliases(page.authd->users, call->cursor, ADMIN_PAGE, print, &page);
    if (n < 0)
        store_failed(page.authd, call);
    else
        admin_done(call, n == ADMIN_PAGE ? page.last : 0);
}
