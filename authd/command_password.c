/* Commands that wait for a verifier: adding a user, changing a password, making the password of a
 * program. And the list of those. */
#include "authd/commands.h"
#include "common/log.h"

#include <stdlib.h>

#define APP_NAME_MAX DEVICE_NAME_MAX
#define APPS_MAX     DEVICES_MAX /* of a user */
#define APP_GROUPS   4
#define APP_GROUP    5
#define APP_TEXT     (APP_GROUPS * (APP_GROUP + 1)) /* with its NUL */

enum purpose { NEW_USER, NEW_PASSWORD, NEW_APP };

struct hashing {
    struct hashing *next, **prev;
    struct authd *authd;
    struct admin_call call; /* ch NULL: the CLI hung up */
    enum purpose purpose;
    char address[ADDRESS_MAX];
    struct scram_salt salt;
    uint64_t quota;       /* NEW_USER */
    bool is_receive_only; /* NEW_USER */
    bool is_device;       /* NEW_APP */
    uint64_t generation;  /* NEW_APP: of the user */
    char name[APP_NAME_MAX + 1], text[APP_TEXT];
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

static void free_hashing(struct hashing *h)
{
    sodium_memzero(h, sizeof *h);
    free(h);
}

static bool is_wanted(void *hashing)
{
    return ((struct hashing *)hashing)->call.ch != NULL;
}

/* --- when the hash is there; what was checked before is checked again: others worked meanwhile ---
 */

/* In memory first, as he may be the owner of a list, in whose seal he stands then. NULL: answered.
 */
static struct user *add_in_memory(struct authd *a, struct admin_call *call, struct span address)
{
    struct user *user = directory_add_user(a->directory, address, 0);
    struct span at = address;
    const char *why = user != NULL ? targets_fault(a, &at) : NULL;
    if (user == NULL)
        admin_fail(call, VERDICT_TRY_LATER, "nothing was changed: out of memory");
    if (why == NULL)
        return user;
    admin_fail(call, VERDICT_NEVER, "nothing was changed: with this, %s %s", at.p, why);
    directory_remove_user(a->directory, user);
    return NULL;
}

void command_add_user(struct authd *a, struct admin_call *call, const struct user_wish *wish,
                      const struct users_secrets *secrets)
{
    const struct domain *domain = address_domain(a, call, wish->address);
    if (domain == NULL || address_free(a, call, wish->address) < 0)
        return;
    struct users_new new = {.address = span_of(wish->address),
                            .domain = domain->number,
                            .secrets = secrets,
                            .quota = wish->quota,
                            .is_receive_only = wish->is_receive_only,
                            .pam = wish->pam};
    uint64_t box;
    struct user *user = add_in_memory(a, call, new.address);
    if (user == NULL)
        return;
    if (users_add(a->users, &new, &box) < 0) {
        store_failed(a, call);
        directory_remove_user(a->directory, user);
        return;
    }
    LOG(0, "user-added", LZ("user", wish->address), LN("box", (int64_t)box), LS("pam", wish->pam));
    user->box = box;
    user->quota = wish->quota;
    user->is_receive_only = wish->is_receive_only;
    user->is_pam = wish->pam.n > 0;
    admin_done(call, 0);
}

static void add_user(struct authd *a, struct hashing *h, const struct users_secrets *secrets)
{
    struct user_wish wish = {
        .address = h->address, .quota = h->quota, .is_receive_only = h->is_receive_only};
    command_add_user(a, &h->call, &wish, secrets);
}

static void set_password(struct authd *a, struct hashing *h, const struct users_secrets *secrets)
{
    struct user *user = directory_user(a->directory, span_of(h->address));
    if (user == NULL) {
        admin_fail(&h->call, VERDICT_NEVER, "there is no user %.300s any more", h->address);
        return;
    }
    if (users_set_secrets(a->users, user->box, secrets) < 0) {
        store_failed(a, &h->call);
        return;
    }
    LOG(0, "password-changed", LZ("user", h->address));
    user->is_pam = false;
    directory_renew(a->directory, user);
    admin_done(&h->call, 0);
}

static void add_app(struct authd *a, struct hashing *h, const struct users_secrets *secrets)
{
    struct admin_row r;
    const struct user *user = directory_user(a->directory, span_of(h->address));
    struct app_password app = {
        .name = span_of(h->name), .is_device = h->is_device, .keys = secrets->keys};
    if (user == NULL || user->generation != h->generation) {
        admin_fail(&h->call, VERDICT_TRY_LATER, "the user was changed meanwhile: try again");
        return;
    }
    if (users_add_app(a->users, user->box, &app) < 0) {
        store_failed(a, &h->call);
        return;
    }
    LOG(0, "app-password-added", LZ("user", h->address), LZ("name", h->name));
    if (app.is_device)
        devices_tell(a);
    row_begin(&r);
    row_text(&r, "address", user->node.name);
    row_text(&r, "name", app.name);
    row_bool(&r, "device", app.is_device);
    row_text(&r, "password", span_of(h->text));
    row_send(&r, &h->call, 0, NULL);
    sodium_memzero(&r, sizeof r);
    admin_done(&h->call, 0);
}

static void hashed(void *hashing, enum verify_result result, const struct verified *v)
{
    static void (*const steps[])(struct authd *, struct hashing *, const struct users_secrets *) = {
        [NEW_USER] = add_user, [NEW_PASSWORD] = set_password, [NEW_APP] = add_app};
    struct hashing *h = hashing;
    struct authd *a = h->authd;
    bool keeps_keys = h->purpose == NEW_APP || proc_config(a->proc)->auth.scram == SWITCH_ON;
    struct users_secrets secrets = {.salt = h->salt, .keys = v->keys, .has_keys = keeps_keys};
    memcpy(secrets.hash, v->hash, sizeof secrets.hash);
    if (h->call.ch != NULL && (result != VERIFY_MATCH || a->users == NULL))
        admin_fail(&h->call, VERDICT_TRY_LATER, "the password could not be hashed: try again");
    else if (h->call.ch != NULL)
        steps[h->purpose](a, h, &secrets);
    sodium_memzero(&secrets, sizeof secrets);
    unlink_hashing(h);
    free_hashing(h);
    authd_drain_on(a);
}

/* --- asking for it --- */

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
        struct verify_ask ask = {.salt = what->salt, .password = password};
        if (verify_hash(a->verifiers, &ask, &then) == 0) {
            h->next = a->hashings;
            h->prev = &a->hashings;
            if (h->next != NULL)
                h->next->prev = &h->next;
            a->hashings = h;
            return;
        }
        free_hashing(h);
    }
    admin_fail(&call, VERDICT_TRY_LATER, "too many passwords are being hashed: try again");
}

struct scram_salt command_new_salt(const struct authd *a)
{
    struct scram_salt salt = {.iterations = (uint32_t)proc_config(a->proc)->auth.scram_iterations};
    randombytes_buf(salt.octets, sizeof salt.octets);
    return salt;
}

/* The salt of all his passwords; one who has none yet gets one. 0, or -1 (answered). */
static int find_salt(struct authd *a, struct admin_call *call, const struct user *user,
                     struct scram_salt *out)
{
    struct users_secrets secrets;
    int rc = users_secrets(a->users, user->box, &secrets);
    *out = secrets.salt;
    if (rc == 1 && out->iterations == 0) {
        *out = command_new_salt(a);
        rc = users_set_salt(a->users, user->box, out) == 0 ? 1 : -1;
    }
    sodium_memzero(&secrets, sizeof secrets);
    if (rc != 1)
        store_failed(a, call);
    return rc == 1 ? 0 : -1;
}

static void ignore_app(void *arg, const struct app_password *app)
{
    (void)arg, (void)app;
}

/* For a new password: a new salt, unless app passwords hang on the old one. 0, or -1 (answered). */
static int renew_salt(struct authd *a, struct admin_call *call, const struct user *user,
                      struct scram_salt *out)
{
    int n = users_apps(a->users, user->box, ignore_app, NULL);
    if (n > 0)
        return find_salt(a, call, user, out);
    if (n < 0)
        store_failed(a, call);
    else
        *out = command_new_salt(a);
    return n;
}

void user_add(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    struct hashing h = {.call = *call,
                        .purpose = NEW_USER,
                        .salt = command_new_salt(a),
                        .is_receive_only = admin_option(call, "receive-only").p != NULL};
    struct span quota = admin_option(call, "quota");
    struct span given = call->n_args > 0 ? call->args[0] : SPAN("");
    if (argument_address(call, given, false, h.address) < 0 ||
        address_domain(a, call, h.address) == NULL || address_free(a, call, h.address) < 0 ||
        (quota.p != NULL && argument_quota(call, quota, &h.quota) < 0))
        return;
    struct user_wish wish = {
        .address = h.address, .quota = h.quota, .is_receive_only = h.is_receive_only};
    if (admin_option(call, "pam").p != NULL)
        user_add_pam(a, call, &wish);
    else if (check_password(call) == 0)
        begin_hashing(a, &h, call->secret);
}

void user_passwd(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    struct hashing h = {.call = *call, .purpose = NEW_PASSWORD};
    const struct user *user = argument_user(a, call);
    if (user == NULL || check_password(call) < 0 || renew_salt(a, call, user, &h.salt) < 0)
        return;
    span_copy(h.address, sizeof h.address, user->node.name);
    begin_hashing(a, &h, call->secret);
}

/* --- passwords of programs --- */

/* 100 bits of chance in groups that can be read and typed; no letter looks like a digit. */
static void make_password(char out[APP_TEXT])
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
    _Static_assert(sizeof letters == 33, "five bits each");
    size_t n = 0;
    for (int i = 0; i < APP_GROUPS * APP_GROUP; i++) {
        if (i > 0 && i % APP_GROUP == 0)
            out[n++] = '-';
        out[n++] = letters[randombytes_uniform(sizeof letters - 1)];
    }
    out[n] = '\0';
}

struct same_name {
    struct span name;
    bool has_found;
};

static void compare_name(void *arg, const struct app_password *app)
{
    struct same_name *s = arg;
    s->has_found = s->has_found || span_eq(s->name, app->name);
}

/* 0, or -1 (answered). */
static int name_is_free(struct authd *a, struct admin_call *call, const struct user *user,
                        struct span name)
{
    struct same_name same = {.name = name};
    int n = users_apps(a->users, user->box, compare_name, &same);
    if (n < 0)
        store_failed(a, call);
    else if (n >= APPS_MAX)
        admin_fail(call, VERDICT_NEVER, "a user has at most %d app passwords: remove one first",
                   APPS_MAX);
    else if (same.has_found)
        admin_fail(call, VERDICT_NEVER,
                   "there is an app password of that name: remove it first, or take another name");
    else
        return 0;
    return -1;
}

void app_add(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    struct hashing h = {
        .call = *call, .purpose = NEW_APP, .is_device = admin_option(call, "device").p != NULL};
    const struct user *user = argument_user(a, call);
    struct span name = call->n_args > 1 ? call->args[1] : SPAN("");
    if (user == NULL || argument_line(call, "a name", name) < 0)
        return;
    if (name.n == 0 || memchr(name.p, '=', name.n) != NULL ||
        span_copy(h.name, sizeof h.name, name) < 0) {
        admin_fail(call, VERDICT_NEVER,
                   "an app password needs a name without '=', of at most %d octets", APP_NAME_MAX);
        return;
    }
    if (name_is_free(a, call, user, name) < 0 || find_salt(a, call, user, &h.salt) < 0)
        return;
    span_copy(h.address, sizeof h.address, user->node.name);
    h.generation = user->generation;
    make_password(h.text);
    begin_hashing(a, &h, span_of(h.text));
    sodium_memzero(h.text, sizeof h.text);
}

static void print_app(void *arg, const struct app_password *app)
{
    struct admin_row r;
    row_begin(&r);
    row_text(&r, "name", app->name);
    row_bool(&r, "device", app->is_device);
    row_number(&r, "credential", (int64_t)app->credential);
    row_time(&r, "created", app->created);
    row_time(&r, "last_used", app->last_used);
    row_send(&r, arg, 0, NULL);
}

void app_list(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    const struct user *user = argument_user(a, call);
    if (user == NULL)
        return;
    login_save(a); /* what was used a moment ago */
    if (users_apps(a->users, user->box, print_app, call) < 0)
        store_failed(a, call);
    else
        admin_done(call, 0);
}

void app_remove(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    struct user *user = argument_user(a, call);
    struct span name = call->n_args > 1 ? call->args[1] : SPAN("");
    int rc = user != NULL ? users_remove_app(a->users, user->box, name) : 0;
    if (user == NULL)
        return;
    if (rc < 0) {
        store_failed(a, call);
        return;
    }
    if (rc == 0) {
        admin_fail(call, VERDICT_NEVER, "%.300s has no app password of that name",
                   user->node.name.p);
        return;
    }
    LOG(0, "app-password-removed", LS("user", user->node.name), LS("name", name));
    directory_renew(a->directory, user); /* logins that were cached, and tickets, end */
    devices_tell(a);
    admin_done(call, 0);
}
