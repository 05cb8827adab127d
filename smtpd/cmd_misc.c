/* RSET NOOP QUIT VRFY HELP (RFC 5321 4.1.1.5 to 4.1.1.10). */
#include "smtpd/verbs.h"

void cmd_rset(struct session *s, struct span argument)
{
    if (argument.n > 0) {
        session_reply(s, R_BAD_ARGUMENT);
        return;
    }
    txn_reset(s);
    if (s->state != STATE_START)
        s->state = STATE_READY;
    session_reply(s, R_DONE);
}

void cmd_noop(struct session *s, struct span argument)
{
    (void)argument;
    session_reply(s, R_DONE);
}

void cmd_quit(struct session *s, struct span argument)
{
    session_reply(s, argument.n == 0 ? R_BYE : R_BAD_ARGUMENT);
}

/* Who exists is said at RCPT, where the limits of errors hold (RFC 5321 3.5.3). */
void cmd_vrfy(struct session *s, struct span argument)
{
    session_reply(s, argument.n > 0 ? R_VRFY : R_BAD_ARGUMENT);
}

void cmd_help(struct session *s, struct span argument)
{
    (void)argument;
    session_reply(s, R_HELP);
}

void cmd_not_implemented(struct session *s, struct span argument)
{
    (void)argument;
    session_reply(s, R_NOT_IMPLEMENTED);
}
