/* RSET NOOP QUIT VRFY HELP (RFC 5321 4.1.1.5 to 4.1.1.10). */
#include "common/addr.h"
#include "common/idn.h"
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

/* Only what authd really decided is a "no". */
static void verified(void *arg, const union msg *m, int fd)
{
    (void)fd; /* the table allows none */
    struct session *s = arg;
    char text[ADDRESS_MAX + 3];
    s->rcpt_tag = 0;
    if (m == NULL || m->resolve_re.verdict != VERDICT_OK) {
        session_reply(s, R_TRY_LATER);
    } else if (m->resolve_re.kind == ADDRESS_UNKNOWN) {
        session_refuse(s, R_NO_SUCH_USER, span_of(s->verified));
    } else if (m->resolve_re.kind == ADDRESS_LOCAL) {
        snprintf(text, sizeof text, "<%s>", s->verified);
        session_reply_with(s, R_VERIFIED, span_of(text));
    } else {
        session_reply(s, R_VRFY);
    }
    free(s->verified);
    s->verified = NULL;
    session_answered(s);
}

/* A mailbox, or a path as RCPT has it, in ASCII. 0, or -1: it is something else. */
static int take_mailbox(struct span argument, struct addr *path)
{
    size_t used;
    enum addr_form form = span_istarts(argument, SPAN("<")) ? ADDR_FORWARD_PATH : ADDR_MAILBOX;
    bool is_good = idn_is_ascii(argument) && addr_parse(argument, form, path, &used) == 0 &&
                   used == argument.n && path->domain[0] != '\0';
    return is_good ? 0 : -1;
}

/* Who may not know hears it at RCPT, where the limits of errors hold (RFC 5321 3.5.3, 7.3). Here
 * they hold as well: a "no" is a mistake of the client. */
void cmd_vrfy(struct session *s, struct span argument)
{
    struct addr path;
    if (argument.n == 0) {
        session_reply(s, R_BAD_ARGUMENT);
    } else if (!session_offers(s, s->rules.vrfy) || take_mailbox(argument, &path) < 0) {
        session_reply(s, R_VRFY);
    } else {
        struct msg_resolve m = {.address = span_of(path.text)};
        free(s->verified);
        s->verified = span_dup(m.address);
        s->rcpt_of = ROLE_AUTHD;
        s->rcpt_tag =
            s->verified != NULL ? s->rules.ops->resolve(s->rules.client, &m, verified, s) : 0;
        if (s->rcpt_tag == 0)
            session_reply(s, R_TRY_LATER);
        else
            s->wait = WAIT_RCPT;
    }
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
