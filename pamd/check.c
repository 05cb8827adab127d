#include "pamd/check.h"

#include <errno.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define PROMPTS_MAX 4 /* of a stack of modules: more is a module that asks for ever */

/* gcc's analyzer does not see that those of all messages are freed. */
#if defined __GNUC__ && !defined __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

struct talk {
    const char *password;
    int prompts;
};

/* Only what is not shown while it is typed is the password. */
static int answer(struct talk *t, const struct pam_message *m, struct pam_response *r)
{
    switch (m->msg_style) {
    case PAM_PROMPT_ECHO_OFF:
        if (++t->prompts > PROMPTS_MAX)
            return PAM_CONV_ERR;
        r->resp = strdup(t->password);
        return r->resp != NULL ? PAM_SUCCESS : PAM_BUF_ERR;
    case PAM_TEXT_INFO:
    case PAM_ERROR_MSG:
        return PAM_SUCCESS; /* nobody is there to read it */
    default:
        return PAM_CONV_ERR;
    }
}

static int converse(int n, const struct pam_message **messages, struct pam_response **out,
                    void *arg)
{
    int rc = PAM_SUCCESS;
    if (n <= 0 || n > PAM_MAX_NUM_MSG)
        return PAM_CONV_ERR;
    struct pam_response *all = calloc((size_t)n, sizeof *all); /* the module frees them */
    if (all == NULL)
        return PAM_BUF_ERR;
    for (int i = 0; i < n && rc == PAM_SUCCESS; i++)
        rc = answer(arg, messages[i], &all[i]);
    if (rc == PAM_SUCCESS) {
        *out = all;
        return rc;
    }
    for (int i = 0; i < n; i++)
        free(all[i].resp);
    free(all);
    return rc;
}

/* authd lets a wrong password wait; here it would only keep a worker busy. */
static void no_delay(int rc, unsigned us, void *arg)
{
    (void)rc, (void)us, (void)arg;
}

/* What is not named here was not decided. Whether his account has ended is not asked yet, and who
 * does not know the password is not told. */
static enum pam_reason of_password(int rc)
{
    switch (rc) {
    case PAM_SUCCESS:
        return PAM_REASON_OK;
    case PAM_AUTH_ERR:
    case PAM_USER_UNKNOWN:
    case PAM_MAXTRIES:
    case PAM_PERM_DENIED:
    case PAM_CRED_INSUFFICIENT:
    case PAM_ACCT_EXPIRED:
    case PAM_NEW_AUTHTOK_REQD:
    case PAM_AUTHTOK_EXPIRED:
    case PAM_CRED_EXPIRED:
        return PAM_REASON_WRONG;
    default:
        return PAM_REASON_BUSY;
    }
}

/* The password was right. A stack that ends in pam_deny says PAM_AUTH_ERR here when a module before
 * it had a fault: that is no decision. */
static enum pam_reason of_account(int rc)
{
    switch (rc) {
    case PAM_SUCCESS:
        return PAM_REASON_OK;
    case PAM_ACCT_EXPIRED:
    case PAM_NEW_AUTHTOK_REQD:
    case PAM_AUTHTOK_EXPIRED:
    case PAM_CRED_EXPIRED:
        return PAM_REASON_EXPIRED;
    default:
        return PAM_REASON_BUSY;
    }
}

/* As getpwnam(3) lists them for a name that is not found. */
static bool is_not_found(int error)
{
    return error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
}

/* A module may have changed who it is: then it is not he who was asked for. And another name of
 * root is root. */
static enum pam_reason is_same(pam_handle_t *h, const struct check_ask *ask)
{
    const void *name = NULL;
    if (pam_get_item(h, PAM_USER, &name) != PAM_SUCCESS || name == NULL ||
        strcmp(name, ask->login) != 0)
        return PAM_REASON_WRONG;
    errno = 0;
    const struct passwd *pw = getpwnam(ask->login);
    if (pw == NULL)
        return is_not_found(errno) ? PAM_REASON_OK : PAM_REASON_BUSY;
    return pw->pw_uid == 0 ? PAM_REASON_WRONG : PAM_REASON_OK;
}

/* Is his password in a file that we cannot read? Then no module finds it right, whatever it is. */
static bool is_out_of_reach(const struct check_ask *ask)
{
    const struct passwd *pw = getpwnam(ask->login);
    return pw != NULL && strcmp(pw->pw_passwd, "x") == 0 && access(CHECK_SHADOW, R_OK) < 0;
}

static int prepare(pam_handle_t *h, const struct check_ask *ask)
{
    union {
        void (*call)(int rc, unsigned us, void *arg);
        const void *item;
    } delay = {no_delay};
    int rc = pam_set_item(h, PAM_FAIL_DELAY, delay.item);
    if (rc == PAM_SUCCESS && ask->client[0] != '\0')
        rc = pam_set_item(h, PAM_RHOST, ask->client);
    return rc;
}

/* *rc: what PAM said last. */
static enum pam_reason ask_modules(pam_handle_t *h, const struct check_ask *ask, int *rc)
{
    *rc = prepare(h, ask);
    if (*rc != PAM_SUCCESS)
        return PAM_REASON_BUSY;
    *rc = pam_authenticate(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    enum pam_reason reason = of_password(*rc);
    if (reason == PAM_REASON_WRONG && *rc == PAM_AUTH_ERR && is_out_of_reach(ask))
        return PAM_REASON_BUSY;
    if (reason != PAM_REASON_OK)
        return reason;
    *rc = pam_acct_mgmt(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    reason = of_account(*rc);
    return reason == PAM_REASON_OK ? is_same(h, ask) : reason;
}

enum pam_reason check_by_pam(const struct check_ask *ask, char why[CHECK_TEXT_MAX])
{
    struct talk t = {.password = ask->password};
    struct pam_conv conv = {converse, &t};
    pam_handle_t *h = NULL;
    enum pam_reason reason = PAM_REASON_BUSY;
    int rc = pam_start(ask->service, ask->login, &conv, &h);
    if (rc == PAM_SUCCESS)
        reason = ask_modules(h, ask, &rc);
    snprintf(why, CHECK_TEXT_MAX, "%s", pam_strerror(h, rc));
    if (h != NULL)
        pam_end(h, rc);
    return reason;
}
