/* One question to PAM. It blocks as long as its modules do, and what they do to this process
 * (leaked memory, threads, timers, a crash) stays with it: only for a process that ends afterwards.
 */
#ifndef BARID_PAMD_CHECK_H
#define BARID_PAMD_CHECK_H

#include "common/pam.h"
#include "common/proto.h"

#define PASSWORD_MAX   1024 /* as in proto.h */
#define CHECK_TEXT_MAX 120
#define CHECK_SHADOW   "/etc/shadow"

struct check_ask {
    char service[PAM_SERVICE_MAX + 1], login[PAM_LOGIN_MAX + 1], password[PASSWORD_MAX + 1];
    char client[IP_MAX + 1]; /* PAM_RHOST; empty: not known */
};

/* why: what PAM says, if it is not OK. */
typedef enum pam_reason check_fn(const struct check_ask *ask, char why[CHECK_TEXT_MAX]);

/* pam_authenticate, then pam_acct_mgmt: only the latter's word counts for EXPIRED, and it never
 * makes a password wrong. */
check_fn check_by_pam;

#endif
