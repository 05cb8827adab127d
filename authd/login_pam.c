/* Users whose password PAM checks. It is looked for among their app passwords first, at the cost of
 * any wrong password; what is none of these pamd is asked about. A good answer is not remembered:
 * only PAM knows when the account is locked, or its password another one. */
#include "authd/login.h"

#include "common/clock.h"

#include <stdlib.h>

#define ANSWER_SLACK_MS 5000 /* pamd answers in time itself */

/* Where PAM is asked about some, failed logins are answered at one of these steps after they began,
 * usually the first: who was asked about is not to be seen from the time. */
#define FAILURE_STEP_MS 1000

static const struct outcome expired = {VERDICT_NEVER, LOGIN_EXPIRED};

int login_keep_password(struct login *l, struct span password)
{
    l->password = malloc(password.n + 1);
    if (l->password == NULL)
        return -1;
    if (password.n > 0)
        memcpy(l->password, password.p, password.n);
    l->n_password = password.n;
    return 0;
}

void login_drop_password(struct login *l)
{
    if (l->password != NULL)
        sodium_memzero(l->password, l->n_password);
    free(l->password);
    l->password = NULL;
    l->n_password = 0;
}

static int64_t age_ms(const struct login *l)
{
    return (clock_mono_us() - l->began_us) / 1000;
}

int64_t login_failure_ms(const struct login *l)
{
    const struct config *c = proc_config(l->authd->proc);
    int64_t age = age_ms(l), left = FAILURE_STEP_MS - age % FAILURE_STEP_MS;
    return c->auth.failure_delay_ms + (c->pam.service != NULL ? left : 0);
}

/* Many may have been asked about at once: those that were waiting while others failed are refused
 * whatever PAM says, or all of them were guesses that nobody counts in time. */
static void conclude(struct login *l, uint8_t verdict, uint8_t reason)
{
    struct user *user = login_user(l);
    if (login_is_over(l))
        login_refuse(l, login_throttled, "throttled");
    else if (user == NULL || l->authd->users == NULL || verdict == VERDICT_TRY_LATER)
        login_refuse(l, login_busy, "could not decide");
    else if (verdict == VERDICT_OK && reason == PAM_REASON_OK)
        login_succeed(l, user);
    else if (reason == PAM_REASON_EXPIRED)
        login_refuse(l, expired, "expired");
    else if (reason == PAM_REASON_WRONG)
        login_fail(l, "wrong");
    else
        login_refuse(l, login_busy, "could not decide");
}

/* Who hung up meanwhile has guessed all the same. */
static void count_unheard(struct login *l, const union msg *m)
{
    if (m != NULL && m->pam_check_re.verdict == VERDICT_NEVER &&
        m->pam_check_re.reason == PAM_REASON_WRONG)
        login_count_failure(l, "wrong");
    login_free(l);
}

static void answered(void *login, const union msg *m, int fd)
{
    (void)fd;
    struct login *l = login;
    l->pam_tag = 0;
    if (l->ch == NULL)
        count_unheard(l, m);
    else
        conclude(l, m != NULL ? m->pam_check_re.verdict : VERDICT_TRY_LATER,
                 m != NULL ? m->pam_check_re.reason : PAM_REASON_BUSY);
}

void login_ask_pam(struct login *l, const struct user *user)
{
    struct authd *a = l->authd;
    const struct pam_config *pam = &proc_config(a->proc)->pam;
    struct users_secrets secrets;
    char client[NETADDR_TEXT];
    netaddr_format(client, &l->client);
    bool is_known = pam->service != NULL && l->password != NULL &&
                    users_secrets(a->users, user->box, &secrets) == 1 && secrets.pam[0] != '\0';
    if (is_known) {
        struct msg_pam_check ask = {.session = l->session,
                                    .client = span_of(client),
                                    .login = span_of(secrets.pam),
                                    .password = {l->password, l->n_password}};
        l->is_pam = true;
        l->pam_tag = ipc_ask_pam_check(proc_peer(a->proc, ROLE_PAMD), &ask, -1,
                                       pam->timeout_ms + ANSWER_SLACK_MS, answered, l);
    }
    login_drop_password(l);
    if (l->pam_tag == 0)
        login_refuse(l, login_busy,
                     pam->service == NULL ? "PAM checks this user, and [pam] service is not set"
                                          : "PAM cannot be asked");
}
