/* The parameters of MAIL and RCPT (RFC 5321 4.1.2 esmtp-param), a row each in params.c. */
#ifndef BARID_SMTPD_PARAMS_H
#define BARID_SMTPD_PARAMS_H

#include "smtpd/session.h"

enum param_of { PARAM_MAIL, PARAM_RCPT };

/* Reads what follows the path into the transaction: R_SENDER_DONE or R_RCPT_OK, or the refusal. */
enum reply params_take(struct session *s, enum param_of of, struct span rest);

#endif
