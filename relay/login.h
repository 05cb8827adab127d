/* Our login at a smarthost: the client's side of SASL (RFC 4954), without I/O. SCRAM-SHA-256 (RFC
 * 5802, 7677) is preferred, as it shows the password to nobody and proves that the server knows it;
 * then PLAIN (RFC 4616), then LOGIN. Whether the connection is fit for a password the caller
 * decides. Names and passwords go as they are, in UTF-8; nothing here is logged. */
#ifndef BARID_RELAY_LOGIN_H
#define BARID_RELAY_LOGIN_H

#include "common/config.h"
#include "common/sasl.h"

#define LOGIN_USER_MAX       URL_USER_MAX
#define LOGIN_SECRET_MAX     512
#define LOGIN_ITERATIONS_MAX 200000 /* of SCRAM: a server must not keep us busy */
/* A line with its CRLF; the longest is the first one of PLAIN, or the last one of SCRAM. */
#define LOGIN_LINE_MAX 2600

struct login;

/* NULL without memory, or if one of them is empty or too long. */
struct login *login_new(struct span user, struct span secret);
void login_free(struct login *l); /* wipes it; NULL is allowed */

/* "AUTH …\r\n" for the best of the mechanisms (SASL_BIT). -1: none of them is ours. */
int login_begin(struct login *l, unsigned offered, char out[LOGIN_LINE_MAX]);
/* The line that answers a challenge (the text of a 334 reply, in base64). -1: it is none that can
 * be answered; `out` is the line that gives up. */
int login_answer(struct login *l, struct span challenge, char out[LOGIN_LINE_MAX]);
/* The server says that we are logged in. False: it did not prove (SCRAM) that it may say so. */
bool login_is_proved(const struct login *l);

#endif
