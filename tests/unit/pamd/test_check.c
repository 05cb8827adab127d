/* What PAM says, and what is made of it. libpam and the system's users are played here. */
#include "pamd/check.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <unistd.h>

static struct {
    int start, password, account;
    const char *name; /* PAM_USER after the modules; NULL: as it was */
    struct passwd user;
    int lookup_error; /* not 0, or user.pw_name NULL: not found */
    bool is_shadow_closed;
    unsigned n_account;
    const char *login;
} played;

/* --- what libpam gives --- */

int pam_start(const char *service, const char *user, const struct pam_conv *conv, pam_handle_t **h)
{
    (void)service, (void)conv;
    played.login = user;
    *h = played.start == PAM_SUCCESS ? (pam_handle_t *)&played : NULL;
    return played.start;
}

int pam_set_item(pam_handle_t *h, int type, const void *item)
{
    (void)h, (void)type, (void)item;
    return PAM_SUCCESS;
}

int pam_get_item(const pam_handle_t *h, int type, const void **item)
{
    (void)h;
    cr_expect_eq(type, PAM_USER);
    *item = played.name != NULL ? played.name : played.login;
    return PAM_SUCCESS;
}

int pam_authenticate(pam_handle_t *h, int flags)
{
    (void)h;
    cr_expect_eq(flags, (int)(PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK));
    return played.password;
}

int pam_acct_mgmt(pam_handle_t *h, int flags)
{
    (void)h, (void)flags;
    played.n_account++;
    return played.account;
}

const char *pam_strerror(pam_handle_t *h, int rc)
{
    static char text[20];
    (void)h;
    snprintf(text, sizeof text, "said %d", rc);
    return text;
}

int pam_end(pam_handle_t *h, int rc)
{
    (void)h, (void)rc;
    return PAM_SUCCESS;
}

/* --- what the system gives --- */

struct passwd *getpwnam(const char *name)
{
    errno = played.lookup_error;
    return played.lookup_error == 0 && played.user.pw_name != NULL &&
                   strcmp(name, played.user.pw_name) == 0
               ? &played.user
               : NULL;
}

int access(const char *path, int mode)
{
    if (strcmp(path, CHECK_SHADOW) != 0 || mode != R_OK || !played.is_shadow_closed)
        return 0;
    errno = EACCES;
    return -1;
}

/* --- */

static char bob[] = "bob", shadowed[] = "x", locked[] = "*";

static void begin(void)
{
    memset(&played, 0, sizeof played);
    played.user = (struct passwd){.pw_name = bob, .pw_passwd = shadowed, .pw_uid = 1000};
}

TestSuite(check, .init = begin, .timeout = 60);

static void expect(enum pam_reason wanted, const char *what)
{
    static const struct check_ask ask = {"mail", "bob", "secret", "192.0.2.9"};
    char why[CHECK_TEXT_MAX];
    enum pam_reason reason = check_by_pam(&ask, why);
    cr_expect_eq(reason, wanted, "%s: %d, not %d", what, reason, wanted);
}

Test(check, only_the_account_expires_and_it_is_never_wrong)
{
    static const struct {
        int rc;
        enum pam_reason password, account;
    } rows[] = {
        {PAM_SUCCESS, PAM_REASON_OK, PAM_REASON_OK},
        {PAM_AUTH_ERR, PAM_REASON_WRONG, PAM_REASON_BUSY}, /* pam_deny's, where others failed */
        {PAM_PERM_DENIED, PAM_REASON_WRONG, PAM_REASON_BUSY},
        {PAM_USER_UNKNOWN, PAM_REASON_WRONG, PAM_REASON_BUSY},
        {PAM_MAXTRIES, PAM_REASON_WRONG, PAM_REASON_BUSY},
        {PAM_CRED_INSUFFICIENT, PAM_REASON_WRONG, PAM_REASON_BUSY},
        {PAM_ACCT_EXPIRED, PAM_REASON_WRONG, PAM_REASON_EXPIRED},
        {PAM_NEW_AUTHTOK_REQD, PAM_REASON_WRONG, PAM_REASON_EXPIRED},
        {PAM_AUTHTOK_EXPIRED, PAM_REASON_WRONG, PAM_REASON_EXPIRED},
        {PAM_CRED_EXPIRED, PAM_REASON_WRONG, PAM_REASON_EXPIRED},
        {PAM_AUTHINFO_UNAVAIL, PAM_REASON_BUSY, PAM_REASON_BUSY},
        {PAM_SYSTEM_ERR, PAM_REASON_BUSY, PAM_REASON_BUSY},
        {PAM_ABORT, PAM_REASON_BUSY, PAM_REASON_BUSY},
        {PAM_MODULE_UNKNOWN, PAM_REASON_BUSY, PAM_REASON_BUSY},
        {PAM_IGNORE, PAM_REASON_BUSY, PAM_REASON_BUSY},
        {4711, PAM_REASON_BUSY, PAM_REASON_BUSY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char what[60];
        snprintf(what, sizeof what, "password: %d", rows[i].rc);
        played.n_account = 0;
        played.password = rows[i].rc;
        played.account = PAM_SUCCESS;
        expect(rows[i].password, what);
        cr_expect_eq(played.n_account, rows[i].rc == PAM_SUCCESS, "%s", what);
        snprintf(what, sizeof what, "account: %d", rows[i].rc);
        played.password = PAM_SUCCESS;
        played.account = rows[i].rc;
        expect(rows[i].account, what);
    }
    played.start = PAM_SYSTEM_ERR;
    expect(PAM_REASON_BUSY, "no PAM");
}

/* A password that nobody here can look at is not wrong; one that is somewhere else can be. */
Test(check, without_the_shadow_nothing_is_wrong)
{
    played.password = PAM_AUTH_ERR;
    played.is_shadow_closed = true;
    expect(PAM_REASON_BUSY, "in the shadow");
    played.user.pw_passwd = locked;
    expect(PAM_REASON_WRONG, "elsewhere");
    played.user.pw_name = NULL;
    expect(PAM_REASON_WRONG, "nobody's");
}

Test(check, who_it_is)
{
    static const int not_found[] = {0, ENOENT, ESRCH, EBADF, EPERM};
    static const int faults[] = {EIO, ENOSYS, EMFILE, ENFILE, ENOMEM, EINTR, EACCES, ECONNREFUSED};
    played.name = "alice";
    expect(PAM_REASON_WRONG, "another");
    played.name = NULL;
    played.user.pw_uid = 0;
    expect(PAM_REASON_WRONG, "root by another name");
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        played.lookup_error = faults[i];
        expect(PAM_REASON_BUSY, strerror(faults[i]));
    }
    played.user.pw_name = NULL;
    for (size_t i = 0; i < sizeof not_found / sizeof not_found[0]; i++) {
        played.lookup_error = not_found[i];
        expect(PAM_REASON_OK, strerror(not_found[i]));
    }
}
