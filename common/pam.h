/* Logins of the system, which PAM is asked about: what may be one. */
#ifndef BARID_PAM_H
#define BARID_PAM_H

#include "common/str.h"

#include <stdbool.h>

#define PAM_LOGIN_MAX   64
#define PAM_SERVICE_MAX 64
#define PAM_DIRECTORY   "/etc/pam.d"

/* A name that a user of a system can have: letters, digits, '.', '_', '-', '@', '+', '$'; it begins
 * with a letter, a digit or '_'. root is none: nobody's mail is worth that password. */
bool pam_is_login(struct span name);
/* The name of a file in PAM_DIRECTORY. */
bool pam_is_service(struct span name);

#endif
