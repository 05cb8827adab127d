#include "authd/commands.h"
#include "authd/resolve.h"

#include "common/log.h"

#include <stdlib.h>

/* --- the others --- */

static void set_disabled(struct authd *a, struct admin_call *call, bool is_disabled)
{
    struct user *user = argument_user(a, call);
    struct span reason = admin_option(call, "reason");
    if (user == NULL || argument_line(call, "a reason", reason) < 0)
        return;
    if (users_set_disabled(a->users, user->box, is_disabled, reason) < 0) {
        store_failed(a, call);
        return;
    }
    LOG(0, is_disabled ? "user-disabled" : "user-enabled", LS("user", user->node.name),
        LS("reason", reason));
    user->is_disabled = is_disabled;
    admin_done(call, 0);
}

void user_disable(void *authd, struct admin_call *call)
{
    set_disabled(authd, call, true);
}

void user_enable(void *authd, struct admin_call *call)
{
    set_disabled(authd, call, false);
}

void user_receive_only(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    struct user *user = argument_user(a, call);
    struct span given = call->n_args > 1 ? call->args[1] : SPAN("");
    bool is_on = span_eq(given, SPAN("yes"));
    if (user == NULL)
        return;
    if (!is_on && !span_eq(given, SPAN("no"))) {
        admin_fail(call, VERDICT_NEVER, "say 'yes' or 'no'");
        return;
    }
    if (users_set_receive_only(a->users, user->box, is_on) < 0) {
        store_failed(a, call);
        return;
    }
    LOG(0, is_on ? "user-receive-only" : "user-may-send", LS("user", user->node.name));
    user->is_receive_only = is_on;
    admin_done(call, 0);
}

void user_quota(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    uint64_t quota;
    struct user *user = argument_user(a, call);
    struct span given = call->n_args > 1 ? call->args[1] : SPAN("");
    if (user == NULL || argument_quota(call, given, &quota) < 0)
        return;
    if (users_set_quota(a->users, user->box, quota) < 0) {
        store_failed(a, call);
        return;
    }
    user->quota = quota;
    admin_done(call, 0);
}

void user_remove(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    struct user *user = argument_user(a, call);
    if (user == NULL)
        return;
    if (users_remove(a->users, user->box) < 0) {
        store_failed(a, call);
        return;
    }
    LOG(0, "user-removed", LS("user", user->node.name), LN("box", (int64_t)user->box));
    struct alias *way = directory_alias(a->directory, user->node.name);
    if (way != NULL)
        directory_remove_alias(a->directory, way);
    directory_remove_user(a->directory, user);
    admin_done(call, 0);
    forget_again(a);
}

/* --- lists --- */

/* Where his mail is sent on, if it is. */
static void print_forward(struct authd *a, struct admin_call *call, struct span address)
{
    struct admin_row r;
    const struct alias *way = directory_alias(a->directory, address);
    for (size_t i = 0; way != NULL && i < way->n_targets; i++) {
        row_begin(&r);
        row_text(&r, "address", way->targets[i]);
        row_send(&r, call, 1, "forward");
    }
}

struct page {
    struct authd *authd;
    struct admin_call *call;
    uint64_t last;
    bool is_long; /* everything: user show, and user list for `barid mailbox list` */
    bool is_one;
};

static void print(void *arg, const struct users_row *row)
{
    struct page *page = arg;
    struct admin_row r;
    const struct user *user = directory_user(page->authd->directory, row->name);
    const struct domain *domain =
        directory_domain(page->authd->directory, resolve_domain_of(row->name));
    page->last = row->number;
    row_begin(&r);
    row_text(&r, "address", row->name);
    row_bool(&r, "disabled", row->is_disabled);
    if (row->quota > 0)
        row_size(&r, "quota", row->quota);
    else
        row_null(&r, "quota");
    row_number(&r, "app_passwords", (int64_t)row->n_apps);
    if (page->is_long) {
        if (row->is_disabled)
            row_text(&r, "reason", row->reason);
        else
            row_null(&r, "reason");
        row_bool(&r, "receive_only", row->is_receive_only);
        if (row->pam.n > 0)
            row_text(&r, "pam", row->pam);
        else
            row_null(&r, "pam");
        row_number(&r, "box", (int64_t)row->number);
        row_number(&r, "domain", domain != NULL ? (int64_t)domain->number : 0);
        row_time(&r, "created", row->created);
        row_time(&r, "last_login", user != NULL ? user->last_login : 0);
    }
    row_send(&r, page->call, 0, NULL);
    if (page->is_one)
        print_forward(page->authd, page->call, row->name);
}

void user_list(void *authd, struct admin_call *call)
{
    struct page page = {
        .authd = authd, .call = call, .is_long = admin_option(call, "long").p != NULL};
    int n = users_list(page.authd->users, call->cursor, ADMIN_PAGE, print, &page);
    if (n < 0)
        store_failed(page.authd, call);
    else
        admin_done(call, n == ADMIN_PAGE ? page.last : 0);
}

void user_show(void *authd, struct admin_call *call)
{
    struct page page = {.authd = authd, .call = call, .is_long = true, .is_one = true};
    const struct user *user = argument_user(page.authd, call);
    if (user == NULL)
        return;
    if (users_show(page.authd->users, user->box, print, &page) < 0)
        store_failed(page.authd, call);
    else
        admin_done(call, 0);
}
