#include "authd/commands.h"

#include "common/log.h"

#include <stdlib.h>

/* --- adding a user and changing a password: when the hash is there --- */

struct hashing {
    struct hashing *next, **prev;
    struct authd *authd;
    struct admin_call call; /* ch NULL: the CLI hung up */
    bool is_new_user;
    char address[ADDRESS_MAX];
    uint64_t quota;
};

void hashing_channel_gone(struct authd *a, struct ipc *ch)
{
    for (struct hashing *h = a->hashings; h != NULL; h = h->next)
        if (h->call.ch == ch)
            h->call.ch = NULL;
}

static void unlink_hashing(struct hashing *h)
{
    if (h->next != NULL)
        h->next->prev = h->prev;
    *h->prev = h->next;
}

static bool is_wanted(void *hashing)
{
    return ((struct hashing *)hashing)->call.ch != NULL;
}

/* What was checked before the hash is checked again: others worked meanwhile. */
static void add_user(struct authd *a, struct hashing *h, struct span hash)
{
    const struct domain *domain = address_domain(a, &h->call, h->address);
    if (domain == NULL || address_free(a, &h->call, h->address) < 0)
        return;
    struct users_new new = {
        .address = span_of(h->address), .domain = domain->number, .hash = hash, .quota = h->quota};
    uint64_t box;
    if (users_add(a->users, &new, &box) < 0) {
        store_failed(a, &h->call);
        return;
    }
    LOG(0, "user-added", LZ("user", h->address), LN("box", (int64_t)box));
    struct user *user = directory_add_user(a->directory, new.address, box);
    if (user == NULL) {
        memory_failed(a, &h->call);
        return;
    }
    user->quota = h->quota;
    admin_done(&h->call, 0);
}

static void set_password(struct authd *a, struct hashing *h, struct span hash)
{
    struct user *user = directory_user(a->directory, span_of(h->address));
    if (user == NULL) {
        admin_fail(&h->call, VERDICT_NEVER, "there is no user %.300s any more", h->address);
        return;
    }
    if (users_set_hash(a->users, user->box, hash) < 0) {
        store_failed(a, &h->call);
        return;
    }
    LOG(0, "password-changed", LZ("user", h->address));
    directory_renew(a->directory, user);
    admin_done(&h->call, 0);
}

static void hashed(void *hashing, enum verify_result result, const char *hash)
{
    struct hashing *h = hashing;
    struct authd *a = h->authd;
    if (h->call.ch != NULL && (result != VERIFY_MATCH || a->users == NULL))
        admin_fail(&h->call, VERDICT_TRY_LATER, "the password could not be hashed: try again");
    else if (h->call.ch != NULL && h->is_new_user)
        add_user(a, h, span_of(hash));
    else if (h->call.ch != NULL)
        set_password(a, h, span_of(hash));
    unlink_hashing(h);
    free(h);
    authd_drain_on(a);
}

/* POP3 and SMTP can carry these passwords, and only these. 0, or -1 (answered). */
static int check_password(struct admin_call *call)
{
    if (call->secret.n == 0) {
        admin_fail(call, VERDICT_NEVER, "the password is empty");
        return -1;
    }
    for (size_t i = 0; i < call->secret.n; i++)
        if (call->secret.p[i] == '\0' || call->secret.p[i] == '\r' || call->secret.p[i] == '\n') {
            admin_fail(call, VERDICT_NEVER, "the password has a NUL or a line break in it");
            return -1;
        }
    return 0;
}

static void begin_hashing(struct authd *a, const struct hashing *what, struct span password)
{
    struct hashing *h = malloc(sizeof *h);
    struct admin_call call = what->call;
    if (h != NULL) {
        *h = *what;
        h->authd = a;
        struct verify_call then = {.is_wanted = is_wanted, .done = hashed, .arg = h};
        if (verify_hash(a->verifiers, password, &then) == 0) {
            h->next = a->hashings;
            h->prev = &a->hashings;
            if (h->next != NULL)
                h->next->prev = &h->next;
            a->hashings = h;
            return;
        }
        free(h);
    }
    admin_fail(&call, VERDICT_TRY_LATER, "too many passwords are being hashed: try again");
}

void user_add(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    struct hashing h = {.call = *call, .is_new_user = true};
    struct span quota = admin_option(call, "quota");
    struct span given = call->n_args > 0 ? call->args[0] : SPAN("");
    if (argument_address(call, given, false, h.address) == 0 &&
        address_domain(a, call, h.address) != NULL && address_free(a, call, h.address) == 0 &&
        (quota.p == NULL || argument_quota(call, quota, &h.quota) == 0) &&
        check_password(call) == 0)
        begin_hashing(a, &h, call->secret);
}

void user_passwd(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    struct hashing h = {.call = *call};
    const struct user *user = argument_user(a, call);
    if (user == NULL || check_password(call) < 0)
        return;
    span_copy(h.address, sizeof h.address, user->node.name);
    begin_hashing(a, &h, call->secret);
}

/* --- the others --- */

static void set_disabled(struct authd *a, struct admin_call *call, bool is_disabled)
{
    struct user *user = argument_user(a, call);
    if (user == NULL)
        return;
    if (users_set_disabled(a->users, user->box, is_disabled) < 0) {
        store_failed(a, call);
        return;
    }
    LOG(0, is_disabled ? "user-disabled" : "user-enabled", LS("user", user->node.name));
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
    directory_remove_user(a->directory, user);
    admin_done(call, 0);
    forget_again(a);
}

/* --- lists --- */

struct page {
    struct authd *authd;
    struct admin_call *call;
    uint64_t last;
    bool is_long; /* everything: user show, and user list for `barid mailbox list` */
};

static void print(void *arg, const struct users_row *row)
{
    struct page *page = arg;
    struct admin_row r;
    const struct user *user = directory_user(page->authd->directory, row->name);
    page->last = row->number;
    row_begin(&r);
    row_text(&r, "address", row->name);
    row_bool(&r, "disabled", row->is_disabled);
    if (row->quota > 0)
        row_size(&r, "quota", row->quota);
    else
        row_null(&r, "quota");
    row_number(&r, "app_passwords", 0);
    if (page->is_long) {
        row_number(&r, "box", (int64_t)row->number);
        row_time(&r, "created", row->created);
        row_time(&r, "last_login", user != NULL ? user->last_login : 0);
    }
    row_send(&r, page->call, 0, NULL);
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
    struct page page = {.authd = authd, .call = call, .is_long = true};
    const struct user *user = argument_user(page.authd, call);
    if (user == NULL)
        return;
    if (users_show(page.authd->users, user->box, print, &page) < 0)
        store_failed(page.authd, call);
    else
        admin_done(call, 0);
}
