/* AUTH (RFC 4954): carries the lines of a SASL exchange between the client and authd, which alone
 * decides. What a login leaves here is a name and a ticket that proves it to queue. */
#include "common/line.h"
#include "smtpd/verbs.h"

#include <sodium.h>

static struct span binding(const struct session *s, enum session_binding which,
                           unsigned char out[SESSION_BINDING_MAX])
{
    if (s->rules.ops->binding == NULL)
        return SPAN("");
    return s->rules.ops->binding(s->rules.client, which, out);
}

unsigned auth_offered(const struct session *s)
{
    unsigned char octets[SESSION_BINDING_MAX];
    unsigned all = s->rules.has_scram ? SASL_BOUND : SASL_UNBOUND & ~SASL_BIT(SASL_SCRAM);
    if (!s->rules.has_auth || s->login != NULL || (s->tls == NULL && !s->rules.may_log_in_plain))
        return 0;
    bool can_bind =
        binding(s, BINDING_EXPORTER, octets).n > 0 || binding(s, BINDING_END_POINT, octets).n > 0;
    return can_bind ? all : all & SASL_UNBOUND;
}

void auth_reset(struct session *s)
{
    if (s->login_tag != 0)
        s->rules.ops->forget(s->rules.client, ROLE_AUTHD, s->login_tag);
    s->login_tag = 0;
    sasl_end(s->sasl);
    s->sasl = NULL;
}

void auth_forget(struct session *s)
{
    if (s->login != NULL || s->login_tag != 0 || s->sasl != NULL)
        s->rules.ops->logout(s->rules.client, s->id);
    auth_reset(s);
    sodium_memzero(s->ticket, sizeof s->ticket);
    free(s->login);
    s->login = NULL;
}

/* --- how it ends --- */

static void over(struct session *s, enum reply r)
{
    auth_reset(s);
    s->state = STATE_READY;
    session_reply(s, r);
}

static void failed(struct session *s, enum reply r)
{
    over(s, r);
    if (++s->failed_logins >= s->rules.login_failures_max && s->state != STATE_OVER)
        session_reply(s, R_TOO_MANY_LOGINS);
}

static void go_on(struct session *s, enum sasl_step step);

/* With SCRAM the client sees our proof before it is told that it is in. */
static void take_login(struct session *s, const struct msg_login_re *re)
{
    s->login = re->ticket.n == sizeof s->ticket ? span_dup(re->address) : NULL;
    if (s->login == NULL) {
        s->rules.ops->logout(s->rules.client, s->id);
        over(s, R_LOGIN_LATER);
        return;
    }
    memcpy(s->ticket, re->ticket.p, sizeof s->ticket);
    if (re->proof.n > 0)
        go_on(s, sasl_answered(s->sasl, re->proof));
    else
        over(s, R_LOGGED_IN);
}

/* Waiting is no failure of the client's. */
static void refused(struct session *s, const struct msg_login_re *re)
{
    enum admission p = admission_login_refused(re);
    if (p == ADMISSION_LOGIN_LATER)
        over(s, R_LOGIN_LATER);
    else
        failed(s, reply_of_admission(p));
}

static void decided(void *arg, const union msg *m, int fd)
{
    struct session *s = arg;
    const struct msg_login_re *re = m != NULL ? &m->login_re : NULL;
    s->login_tag = 0;
    if (fd >= 0)
        close(fd); /* not for us */
    if (re != NULL && re->verdict == VERDICT_OK)
        take_login(s, re);
    else
        refused(s, re);
    session_answered(s);
}

/* --- the exchange --- */

static void wait_for(struct session *s, uint64_t tag)
{
    s->login_tag = tag;
    if (tag == 0)
        over(s, R_LOGIN_LATER);
    else
        s->wait = WAIT_LOGIN;
}

static void ask(struct session *s)
{
    char client[NETADDR_TEXT];
    netaddr_format(client, &s->rules.peer);
    struct msg_login m = {.service = SERVICE_SUBMISSION,
                          .session = s->id,
                          .client = span_of(client),
                          .user = s->sasl->user,
                          .password = s->sasl->password};
    wait_for(s, s->rules.ops->login(s->rules.client, &m, decided, s));
}

static void challenged(void *arg, const union msg *m, int fd)
{
    (void)fd; /* the table allows none */
    struct session *s = arg;
    s->login_tag = 0;
    if (m != NULL && m->scram_first_re.verdict == VERDICT_OK) {
        go_on(s, sasl_answered(s->sasl, m->scram_first_re.text));
    } else if (m != NULL) {
        const struct msg_scram_first_re *re = &m->scram_first_re;
        refused(s, &(struct msg_login_re){.verdict = re->verdict, .reason = re->reason});
    } else {
        refused(s, NULL);
    }
    session_answered(s);
}

static void ask_scram(struct session *s)
{
    char client[NETADDR_TEXT];
    unsigned char exporter[SESSION_BINDING_MAX], end_point[SESSION_BINDING_MAX];
    netaddr_format(client, &s->rules.peer);
    struct msg_scram_first m = {.service = SERVICE_SUBMISSION,
                                .session = s->id,
                                .client = span_of(client),
                                .is_plus = s->sasl->mechanism == SASL_SCRAM_PLUS,
                                .exporter = binding(s, BINDING_EXPORTER, exporter),
                                .end_point = binding(s, BINDING_END_POINT, end_point),
                                .text = s->sasl->message};
    wait_for(s, s->rules.ops->scram_first(s->rules.client, &m, challenged, s));
}

static void ask_scram_final(struct session *s)
{
    struct msg_scram_final m = {.session = s->id, .text = s->sasl->message};
    wait_for(s, s->rules.ops->scram_final(s->rules.client, &m, decided, s));
}

static void go_on(struct session *s, enum sasl_step step)
{
    switch (step) {
    case SASL_CHALLENGE:
        s->state = STATE_AUTH;
        session_reply_with(s, R_CHALLENGE, span_of(s->sasl->challenge));
        break;
    case SASL_PASSWORD:
        ask(s);
        break;
    case SASL_SCRAM_FIRST:
        ask_scram(s);
        break;
    case SASL_SCRAM_FINAL:
        ask_scram_final(s);
        break;
    case SASL_DONE:
        over(s, R_LOGGED_IN);
        break;
    case SASL_CANCELLED:
        auth_forget(s); /* it may be in already, and not like our proof */
        over(s, R_AUTH_CANCELLED);
        break;
    case SASL_NOT_BASE64:
        auth_forget(s);
        over(s, R_AUTH_NOT_BASE64);
        break;
    case SASL_REFUSED:
        failed(s, R_LOGIN_WRONG);
        break;
    case SASL_NO_MEMORY:
        over(s, R_LOGIN_LATER);
        break;
    default:
        auth_forget(s);
        over(s, R_AUTH_MALFORMED);
        break;
    }
}

static void begin(struct session *s, enum sasl_mechanism m, struct span initial)
{
    s->sasl = sasl_begin(m);
    if (s->sasl == NULL)
        session_reply(s, R_LOGIN_LATER);
    else
        go_on(s, sasl_initial(s->sasl, initial));
}

void cmd_auth(struct session *s, struct span argument)
{
    struct span initial = argument;
    struct span word = span_cut(&initial, ' ');
    if (!s->rules.has_auth)
        session_reply(s, R_NOT_IMPLEMENTED);
    else if (s->login != NULL)
        session_reply(s, R_LOGIN_TWICE);
    else if (word.n == 0)
        session_reply(s, R_BAD_ARGUMENT);
    else if (sasl_find(word, SASL_BOUND) == SASL_MECHANISMS)
        session_reply(s, R_NO_MECHANISM);
    else if (auth_offered(s) == 0)
        session_reply(s, R_LOGIN_NEEDS_TLS);
    else if (sasl_find(word, auth_offered(s)) == SASL_MECHANISMS)
        session_reply(s, R_NO_MECHANISM);
    else
        begin(s, sasl_find(word, auth_offered(s)), initial);
    sasl_wipe(initial);
}

static size_t refuse_line(struct session *s, enum reply r, struct span in)
{
    session_reply(s, r);
    return in.n;
}

/* A client that sends more than the line which is due does not read what we say. */
static size_t take_line(struct session *s, struct span line, size_t used, size_t n)
{
    s->state = STATE_READY; /* until the next challenge */
    if (used < n)
        session_reply(s, R_TALKS_EARLY);
    else
        go_on(s, sasl_line(s->sasl, line));
    sasl_wipe(line);
    return used;
}

size_t auth_input(struct session *s, struct span in)
{
    struct span line;
    size_t used;
    switch (line_take(in, SASL_LINE_MAX, &line, &used)) {
    case LINE_OK:
        return take_line(s, line, used, in.n);
    case LINE_MORE:
        return 0;
    case LINE_TOO_LONG:
        return refuse_line(s, R_AUTH_TOO_LONG, in);
    case LINE_BARE:
        return refuse_line(s, R_BARE_NEWLINE, in);
    case LINE_NUL:
        return refuse_line(s, R_LINE_NUL, in);
    }
    return 0;
}
