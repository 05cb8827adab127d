/* RSET NOOP QUIT VRFY EXPN HELP (RFC 5321 4.1.1.5 to 4.1.1.10). */
#include "common/addr.h"
#include "common/idn.h"
#include "common/pack.h"
#include "common/utf8.h"
#include "smtpd/verbs.h"

#define EXPANSIONS_MAX 131072 /* octets of replies to one flight that hold members of lists */

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

/* RFC 6531 3.7.4.2: a last word that says that the reply to this command may be in UTF-8. */
static bool takes_utf8(struct span *argument)
{
    static const struct span word = {" SMTPUTF8", 9};
    if (argument->n <= word.n || !span_ieq(span_from(*argument, argument->n - word.n), word))
        return false;
    argument->n -= word.n;
    *argument = span_trim(*argument);
    return true;
}

/* A mailbox, or a path as RCPT has it. R_DONE, or the reply: it is something else, or could not be
 * said in ASCII. */
static enum reply take_mailbox(struct span argument, struct addr *path, enum reply otherwise)
{
    size_t used;
    bool is_utf8 = takes_utf8(&argument);
    enum addr_form form = span_istarts(argument, SPAN("<")) ? ADDR_FORWARD_PATH : ADDR_MAILBOX;
    if (addr_parse(argument, form, path, &used) < 0 || used != argument.n ||
        path->domain[0] == '\0')
        return otherwise;
    return is_utf8 || idn_is_ascii(argument) ? R_DONE : R_NOT_IN_ASCII;
}

/* Who may not know hears it at RCPT, where the limits of errors hold (RFC 5321 3.5.3, 7.3). Here
 * they hold as well: a "no" is a mistake of the client. */
void cmd_vrfy(struct session *s, struct span argument)
{
    struct addr path;
    enum reply r = R_VRFY;
    if (argument.n == 0)
        r = R_BAD_ARGUMENT;
    else if (session_offers(s, s->rules.vrfy))
        r = take_mailbox(argument, &path, R_VRFY);
    if (r != R_DONE) {
        session_reply(s, r);
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

/* --- EXPN --- */

/* R_EXPANDED, or why not: there are none, or one that cannot stand in this reply (RFC 6531
 * 3.7.4.2). */
static enum reply count_targets(const struct session *s, struct span packed, size_t *n)
{
    struct unpacker records = unpacker_on(packed);
    bool is_ascii = true;
    for (*n = 0; records.left.n > 0 && !records.failed; ++*n) {
        struct span address = unpack_text(&records, ADDRESS_MAX);
        if (address.n == 0 || !utf8_is_valid(address))
            return R_EXPN;
        is_ascii = is_ascii && idn_is_ascii(address);
    }
    if (*n == 0 || records.failed)
        return R_EXPN;
    return is_ascii || s->may_expand_utf8 ? R_EXPANDED : R_NOT_IN_ASCII;
}

static enum reply tell_targets(struct session *s, struct span packed, size_t n)
{
    struct unpacker records = unpacker_on(packed);
    if (buf_span(&s->out).n + packed.n > EXPANSIONS_MAX)
        return R_TRY_LATER; /* a whole flight of lists */
    for (size_t i = 1; i <= n; i++) {
        char text[ADDRESS_MAX + 3];
        struct span address = unpack_text(&records, ADDRESS_MAX);
        snprintf(text, sizeof text, "<%.*s>", (int)address.n, address.p);
        if (reply_add_line(&s->out, R_EXPANDED, span_of(text), i == n) < 0)
            return R_NO_MEMORY;
    }
    return R_EXPANDED;
}

static void expanded(void *arg, const union msg *m, int fd)
{
    (void)fd; /* the table allows none */
    struct session *s = arg;
    size_t n;
    s->rcpt_tag = 0;
    if (m != NULL && m->expand_re.verdict == VERDICT_NEVER) {
        session_refuse(s, R_NO_SUCH_LIST, span_of(s->verified));
    } else if (m == NULL || m->expand_re.verdict != VERDICT_OK) {
        session_reply(s, R_TRY_LATER);
    } else {
        enum reply r = count_targets(s, m->expand_re.targets, &n);
        if (r == R_EXPANDED)
            r = tell_targets(s, m->expand_re.targets, n);
        if (r != R_EXPANDED)
            session_reply(s, r);
    }
    free(s->verified);
    s->verified = NULL;
    session_answered(s);
}

/* As VRFY; what is left of the word is 252 and not 502, as it is there for some (RFC 5321 7.3). */
void cmd_expn(struct session *s, struct span argument)
{
    struct addr path;
    enum reply r = R_EXPN;
    struct span words = argument;
    s->may_expand_utf8 = takes_utf8(&words);
    if (argument.n == 0)
        r = R_BAD_ARGUMENT;
    else if (session_offers(s, s->rules.expn))
        r = take_mailbox(argument, &path, R_EXPN);
    if (r != R_DONE) {
        session_reply(s, r);
    } else {
        struct msg_expand m = {.address = span_of(path.text)};
        free(s->verified);
        s->verified = span_dup(m.address);
        s->rcpt_of = ROLE_AUTHD;
        s->rcpt_tag =
            s->verified != NULL ? s->rules.ops->expand(s->rules.client, &m, expanded, s) : 0;
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
