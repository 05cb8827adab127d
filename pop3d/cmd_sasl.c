/* AUTH (RFC 5034): carries the lines of a SASL exchange between the client and authd, which alone
 * decides. */
#include "pop3d/cmd.h"

#include "common/verdict.h"

#define OFFERED (SASL_BIT(SASL_SCRAM) | SASL_BIT(SASL_PLAIN))

static struct span binding(const struct session *s, enum tls_binding kind,
                           unsigned char out[TLS_BINDING_MAX])
{
    size_t n = 0;
    if (!conn_is_tls(s->conn) || conn_tls_binding(s->conn, kind, out, &n) < 0)
        n = 0;
    return (struct span){(const char *)out, n};
}

unsigned sasl_offered(const struct session *s)
{
    unsigned char octets[TLS_BINDING_MAX];
    if (!s->set.may_log_in)
        return 0;
    if (!s->set.has_scram)
        return SASL_BIT(SASL_PLAIN);
    bool can_bind = binding(s, TLS_BINDING_EXPORTER, octets).n > 0 ||
                    binding(s, TLS_BINDING_END_POINT, octets).n > 0;
    return can_bind ? OFFERED | SASL_BIT(SASL_SCRAM_PLUS) : OFFERED;
}

void sasl_drop(struct session *s)
{
    if (s->sasl != NULL)
        ipc_send_logout(s->host->authd(s->host->owner), &(struct msg_logout){s->id}, -1);
    sasl_end(s->sasl);
    s->sasl = NULL;
    if (s->granted_fd >= 0)
        close(s->granted_fd);
    s->granted_fd = -1;
}

static void go_on(struct session *s, enum sasl_step step);

static void over(struct session *s, const char *reply)
{
    sasl_drop(s);
    session_error(s, reply);
}

/* With SCRAM the client sees our proof before it is told that it is in. */
static void decided(void *arg, const union msg *answer, int fd)
{
    struct session *s = arg;
    const struct msg_login_re *r = answer != NULL ? &answer->login_re : NULL;
    s->login_tag = 0;
    if (r != NULL && r->verdict == VERDICT_OK && fd >= 0 && r->proof.n > 0) {
        s->granted_fd = fd;
        free(s->user);
        s->user = span_dup(r->address);
        go_on(s, s->user != NULL ? sasl_answered(s->sasl, r->proof) : SASL_NO_MEMORY);
        session_resume(s);
        return;
    }
    sasl_drop(s);
    login_decided(s, r, fd);
}

static void challenged(void *arg, const union msg *answer, int fd)
{
    (void)fd; /* the table allows none */
    struct session *s = arg;
    s->login_tag = 0;
    if (answer != NULL && answer->scram_first_re.verdict == VERDICT_OK) {
        go_on(s, sasl_answered(s->sasl, answer->scram_first_re.text));
        session_resume(s);
        return;
    }
    struct msg_login_re re = {.verdict = VERDICT_TRY_LATER};
    if (answer != NULL) {
        re.verdict = answer->scram_first_re.verdict;
        re.reason = answer->scram_first_re.reason;
    }
    sasl_drop(s);
    login_decided(s, &re, -1);
}

/* --- questions; each gives its tag, or 0 --- */

static uint64_t ask_password(struct session *s, struct ipc *authd, struct span client)
{
    struct msg_login m = {.service = SERVICE_POP3,
                          .session = s->id,
                          .client = client,
                          .user = s->sasl->user,
                          .password = s->sasl->password};
    return ipc_ask_login(authd, &m, -1, CHECK_MS, decided, s);
}

static uint64_t ask_first(struct session *s, struct ipc *authd, struct span client)
{
    unsigned char exporter[TLS_BINDING_MAX], end_point[TLS_BINDING_MAX];
    struct msg_scram_first m = {.service = SERVICE_POP3,
                                .session = s->id,
                                .client = client,
                                .is_plus = s->sasl->mechanism == SASL_SCRAM_PLUS,
                                .exporter = binding(s, TLS_BINDING_EXPORTER, exporter),
                                .end_point = binding(s, TLS_BINDING_END_POINT, end_point),
                                .text = s->sasl->message};
    return ipc_ask_scram_first(authd, &m, -1, CHECK_MS, challenged, s);
}

static uint64_t ask_final(struct session *s, struct ipc *authd, struct span client)
{
    (void)client;
    struct msg_scram_final m = {.session = s->id, .text = s->sasl->message};
    return ipc_ask_scram_final(authd, &m, -1, CHECK_MS, decided, s);
}

static void ask(struct session *s,
                uint64_t (*question)(struct session *s, struct ipc *authd, struct span client))
{
    char client[NETADDR_TEXT];
    netaddr_format(client, &s->client);
    conn_deadline(s->conn, 2 * CHECK_MS); /* the client has done its part */
    s->login_tag = question(s, s->host->authd(s->host->owner), span_of(client));
    s->is_waiting = s->login_tag != 0;
    if (s->login_tag == 0)
        over(s, REPLY_LOGIN_BUSY);
}

/* --- the exchange --- */

static void enter(struct session *s)
{
    struct msg_login_re re = {.verdict = VERDICT_OK, .address = span_of(s->user)};
    int fd = s->granted_fd;
    s->granted_fd = -1;
    sasl_drop(s);
    s->is_waiting = true;
    login_decided(s, &re, fd);
}

static void go_on(struct session *s, enum sasl_step step)
{
    switch (step) {
    case SASL_CHALLENGE:
        session_send(s, SPAN("+ "));
        session_say(s, s->sasl->challenge);
        break;
    case SASL_PASSWORD:
        ask(s, ask_password);
        break;
    case SASL_SCRAM_FIRST:
        ask(s, ask_first);
        break;
    case SASL_SCRAM_FINAL:
        ask(s, ask_final);
        break;
    case SASL_DONE:
        enter(s);
        break;
    case SASL_CANCELLED:
        over(s, REPLY_AUTH_CANCELLED);
        break;
    case SASL_REFUSED:
        over(s, REPLY_WRONG);
        break;
    case SASL_NO_MEMORY:
        over(s, REPLY_LOGIN_BUSY);
        break;
    default:
        over(s, REPLY_AUTH_MALFORMED);
        break;
    }
}

/* Without an argument: the list, as old clients ask for it. */
static void list(struct session *s)
{
    session_say(s, REPLY_OK);
    for (unsigned m = 0; m < SASL_MECHANISMS; m++)
        if ((sasl_offered(s) & SASL_BIT(m)) != 0) {
            session_send(s, sasl_name((enum sasl_mechanism)m));
            session_send(s, SPAN("\r\n"));
        }
    session_send(s, SPAN(".\r\n"));
}

void cmd_auth(struct session *s, struct span arg)
{
    struct span initial = span_trim(arg);
    struct span word = span_cut(&initial, ' ');
    enum sasl_mechanism m = sasl_find(word, sasl_offered(s));
    if (!s->set.may_log_in) {
        session_error(s, REPLY_NEEDS_TLS);
    } else if (word.n == 0) {
        list(s);
    } else if (m == SASL_MECHANISMS) {
        session_error(s, REPLY_NO_MECHANISM);
    } else {
        s->sasl = sasl_begin(m);
        go_on(s, s->sasl != NULL ? sasl_initial(s->sasl, initial) : SASL_NO_MEMORY);
    }
    sasl_wipe(initial);
}

void sasl_take_line(struct session *s, struct span line)
{
    go_on(s, sasl_line(s->sasl, line));
    sasl_wipe(line);
}
