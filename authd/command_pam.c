/* Users whose password PAM checks: `user add --pam`, `user pam`. */
#include "authd/commands.h"
#include "common/log.h"

/* 0, or -1 (answered). */
static int argument_login(struct admin_call *call, struct span given)
{
    char text[ARGUMENT_TEXT];
    if (pam_is_login(given))
        return 0;
    argument_text(text, given);
    if (span_eq(given, SPAN("root")))
        admin_fail(call, VERDICT_NEVER, "root's password is not for mail: take another login");
    else
        admin_fail(call, VERDICT_NEVER,
                   "'%s' is not a login: at most %d letters, digits and . - _ @ + $", text,
                   PAM_LOGIN_MAX);
    return -1;
}

void user_add_pam(struct authd *a, struct admin_call *call, const struct user_wish *wish)
{
    struct span login = admin_option(call, "pam");
    struct users_secrets none = {.hash = "", .salt = command_new_salt(a)};
    struct user_wish all = *wish;
    if (argument_login(call, login) < 0)
        return;
    if (call->secret.n > 0) {
        admin_fail(call, VERDICT_NEVER, "PAM checks the password: it cannot be set here");
        return;
    }
    all.pam = login;
    command_add_user(a, call, &all, &none);
}

void user_pam(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    struct user *user = argument_user(a, call);
    struct span login = call->n_args > 1 ? call->args[1] : SPAN("");
    if (user == NULL || argument_login(call, login) < 0)
        return;
    if (users_set_pam(a->users, user->box, login) < 0) {
        store_failed(a, call);
        return;
    }
    LOG(0, "user-checked-by-pam", LS("user", user->node.name), LS("login", login));
    user->is_pam = true;
    directory_renew(a->directory, user);
    admin_done(call, 0);
}
