#include "relay/client.h"

#include "common/addr.h"
#include "common/stats.h"
#include "relay/client_state.h"

#include <errno.h>
#include <stdarg.h>

#define INPUT_MAX  8192
#define OUTPUT_MAX (4U * CHUNK_MAX) /* a flight of commands, or a chunk with its dots */

const struct client_times client_times_default = {
    .connect_ms = 60 * 1000,
    .handshake_ms = 60 * 1000,
    .greeting_ms = 300 * 1000,
    .command_ms = 300 * 1000,
    .data_ms = 120 * 1000,
    .chunk_ms = 180 * 1000,
    .final_ms = 600 * 1000,
    .quit_ms = 2 * 1000,
};

static const char *const steps[] = {
    [CONNECTING] = "connect", [GREETING] = "connect",  [EHLO] = "EHLO",
    [HELO] = "HELO",          [LOGIN] = "AUTH",        [STARTTLS] = "STARTTLS",
    [HANDSHAKE] = "STARTTLS", [FINAL] = "end of DATA", [EMPTY] = "end of DATA",
    [RESETTING] = "RSET",     [CONTENT] = "content",   [QUITTING] = "QUIT",
    [ENDED] = NULL,
};

/* What the reply that is awaited (or came last) is about. */
const char *client_step_name(const struct client *c, size_t command)
{
    if (c->state != ENVELOPE)
        return steps[c->state] != NULL ? steps[c->state] : "nothing";
    return command_name(c->mail, command);
}

/* --- the dialogue --- */

#define REPLY_LINES_SHOWN 20

static void said(struct client *c, char who, struct span words)
{
    if (c->ops->said != NULL)
        c->ops->said(c->owner, who, words);
}

void client_remark(struct client *c, const char *fmt, ...)
{
    char words[REPLY_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    said(c, SAID_OF_THIS, span_of(words));
}

/* What logs in is nobody's to read. */
static void we_said(struct client *c, struct span line)
{
    if (c->state == LOGIN)
        line = SPAN("[hidden]");
    else if (span_istarts(line, SPAN("AUTH ")))
        line = SPAN("AUTH [hidden]");
    said(c, SAID_BY_US, (struct span){line.p, line.n - (line.p[line.n - 1] == '\n' ? 2 : 0)});
}

/* The last line that reply_take took of `in`, with its end. */
static void they_said(struct client *c, struct span in, size_t used, bool is_last)
{
    unsigned n = (unsigned)c->reply.n_lines;
    struct span line = {in.p, used - (used > 1 && in.p[used - 2] == '\r' ? 2 : 1)};
    if (is_last && n > REPLY_LINES_SHOWN)
        client_remark(c, "%u lines of the reply are left out here", n - REPLY_LINES_SHOWN);
    if (c->state == LOGIN) /* where some repeat what they heard */
        client_remark(c, "%u %s [hidden]", c->reply.code, c->reply.enhanced);
    else if (is_last || n < REPLY_LINES_SHOWN)
        said(c, SAID_TO_US, line);
}

/* --- the end --- */

/* Tells the owner; c may be gone after it. */
void client_end_now(struct client *c, enum verdict v, const char *text)
{
    if (c->in_call) {
        snprintf(c->failure, sizeof c->failure, "%s", text);
        timer_set(&c->soon, 0);
        return;
    }
    char parting[REPLY_MAX]; /* the owner may free c before it reads the text */
    memcpy(parting, c->parting, sizeof parting);
    bool has_parted = parting[0] != '\0';
    struct client_end e = {.verdict = has_parted ? VERDICT_TRY_LATER : v,
                           .text = span_of(has_parted ? parting : text),
                           .is_unfit = has_parted && c->requires_tls};
    e.is_untouched = c->state == ENVELOPE && c->n_answered == 0;
    e.is_tls = c->is_securing;
    e.is_for_session = c->is_securing && c->is_trying_session;
    e.tls_result = client_tls_result(c);
    c->state = ENDED;
    timer_stop(&c->soon);
    conn_free(c->conn);
    c->conn = NULL;
    c->ops->ended(c->owner, &e);
}

/* The server's own words and what they were an answer to. */
struct span client_reply_with_step(const struct client *c, size_t command, char room[REPLY_MAX])
{
    struct span text = reply_text(&c->reply);
    const char *step = client_step_name(c, command);
    size_t max = REPLY_MAX - 32;
    int n = snprintf(room, REPLY_MAX, "%.*s (in reply to %s)", (int)(text.n < max ? text.n : max),
                     text.p, step);
    return (struct span){room, n > 0 ? (size_t)n : 0};
}

void client_end_by_reply(struct client *c, enum verdict v)
{
    char text[REPLY_MAX];
    client_reply_with_step(c, c->n_answered, text);
    client_end_now(c, v, text);
}

void client_end_by_us(struct client *c, const char *fmt, ...)
{
    char text[REPLY_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    client_remark(c, "%s", text);
    client_end_now(c, VERDICT_TRY_LATER, text);
}

void client_out_of_step(struct client *c)
{
    struct span in = conn_input(c->conn);
    c->is_securing = false; /* who answers like this is no better without TLS */
    if (in.n > 0)
        said(c, SAID_TO_US, c->state == LOGIN ? SPAN("[hidden]") : in);
    client_end_by_us(c, "%s answers out of step or not in SMTP (awaited: reply to %s)", c->remote,
                     client_step_name(c, c->n_answered));
}

void client_part(struct client *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(c->parting, sizeof c->parting, fmt, ap);
    va_end(ap);
    c->is_securing = false;
    client_remark(c, "%s", c->parting);
    if (c->is_implicit && c->state == HANDSHAKE) /* it has not greeted: no word is due */
        client_end_now(c, VERDICT_TRY_LATER, c->parting);
    else if (client_say(c, QUITTING, "QUIT\r\n"))
        conn_deadline(c->conn, c->times->quit_ms);
}

/* --- sending --- */

/* Commands go out only when everything the server said was read: an answer that was there before
 * the question is no answer. False: the connection was ended. */
bool client_send_line(struct client *c, const char *line, int64_t deadline_ms)
{
    if (conn_input(c->conn).n > 0) {
        client_out_of_step(c);
        return false;
    }
    if (conn_write_span(c->conn, span_of(line)) < 0) {
        client_end_by_us(c, "451 4.3.0 out of memory while sending to %s", c->remote);
        return false;
    }
    we_said(c, span_of(line));
    conn_deadline(c->conn, deadline_ms);
    reply_begin(&c->reply);
    return true;
}

bool client_say(struct client *c, enum state next, const char *line)
{
    if (!client_send_line(c, line, c->times->command_ms))
        return false;
    c->state = next;
    return true;
}

/* c may be gone after it. */
void client_is_ready(struct client *c)
{
    c->state = READY;
    c->mail = NULL;
    conn_deadline(c->conn, 0);
    c->ops->ready(c->owner);
}

/* --- replies --- */

static void on_quit(struct client *c)
{
    client_end_now(c, VERDICT_TRY_LATER, "the connection was closed as planned");
}

/* True: more replies are due at once. False: c may be gone. */
static bool on_reply(struct client *c)
{
    static void (*const handlers[])(struct client *) = {
        [GREETING] = client_on_greeting, [EHLO] = client_on_hello, [HELO] = client_on_hello,
        [FINAL] = client_on_final,       [EMPTY] = client_reset,   [RESETTING] = client_on_reset,
        [CONTENT] = client_on_early,     [QUITTING] = on_quit,     [STARTTLS] = client_on_starttls,
        [LOGIN] = client_on_login,
    };
    c->is_trying_session = false; /* it was offered before this was said, so it works */
    if (c->reply.code == 421) {   /* the server hangs up (RFC 5321 3.8) */
        c->is_securing = false;
        client_end_by_reply(c, VERDICT_TRY_LATER);
    } else if (c->state == ENVELOPE)
        return client_on_envelope(c);
    else if (c->state == FINAL && c->is_lmtp)
        return client_on_lmtp_final(c);
    else
        handlers[c->state](c);
    return false;
}

/* RFC 5321 4.1.1.1: its name comes first. */
static void note_name(struct client *c, struct span line)
{
    struct span name = span_cut(&line, ' ');
    if (!addr_is_domain(name) || span_copy(c->seen.helo, sizeof c->seen.helo, name) < 0)
        c->seen.helo[0] = '\0';
}

/* Takes one line. True: look for the next one. False: c may be gone. */
static bool take_line(struct client *c)
{
    size_t used;
    struct span in = conn_input(c->conn);
    enum reply_result got = reply_take(&c->reply, in, &used);
    if (got == REPLY_MORE)
        return false;
    if (got == REPLY_BAD) {
        client_out_of_step(c);
        return false;
    }
    bool is_hello = (c->state == EHLO || c->state == HELO) && c->reply.code / 100 == 2;
    if (is_hello && c->reply.n_lines > 1)
        offer_learn(&c->offer, c->reply.line);
    else if (is_hello)
        note_name(c, c->reply.line);
    they_said(c, in, used, got == REPLY_DONE);
    conn_consume(c->conn, used);
    return got == REPLY_LINE || on_reply(c);
}

static bool awaits_reply(const struct client *c)
{
    return (c->state >= GREETING && c->state <= CONTENT) || c->state == QUITTING;
}

static void on_input(void *owner)
{
    struct client *c = owner;
    if (c->failure[0] != '\0') /* it has ended, which is told in a moment */
        return;
    if (!awaits_reply(c)) {
        client_end_by_us(c, "%s spoke or hung up without being asked", c->remote);
        return;
    }
    while (take_line(c))
        ;
}

/* --- connection --- */

static void error_words(char *out, size_t cap, int err)
{
    snprintf(out, cap, "%s", strerror(err));
    out[0] = ascii_lower(out[0]);
}

void client_await_greeting(struct client *c)
{
    c->state = GREETING;
    reply_begin(&c->reply);
    conn_deadline(c->conn, c->times->greeting_ms);
}

void client_tls_because(struct client *c, const char *why)
{
    snprintf(c->seen.because, sizeof c->seen.because, "%s", why);
}

static void note_source(struct client *c)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    struct netaddr a;
    if (getsockname(conn_fd(c->conn), (struct sockaddr *)&ss, &n) == 0 &&
        netaddr_from_sockaddr(&ss, &a) == 0)
        netaddr_format(c->seen.source, &a);
}

static void on_connected(void *owner)
{
    struct client *c = owner;
    note_source(c);
    client_remark(c, "connected");
    if (c->is_implicit)
        client_start_tls(c);
    else
        client_await_greeting(c);
}

static void on_secured(void *owner)
{
    client_on_secured(owner);
}

static void on_drained(void *owner)
{
    struct client *c = owner;
    if (c->state == CONTENT)
        client_send_content(c);
}

static void on_ended(void *owner, enum conn_end why)
{
    struct client *c = owner;
    char cause[64] = "timed out";
    if (why == CONN_ERROR)
        error_words(cause, sizeof cause, conn_errno(c->conn));
    else if (why == CONN_EOF)
        snprintf(cause, sizeof cause, "closed by the server");
    else if (why == CONN_TLS)
        snprintf(cause, sizeof cause, "%s", conn_tls_why(c->conn));
    if (c->is_securing)
        client_tls_because(c, cause);
    if (c->state == HANDSHAKE)
        client_end_by_us(c, "451 4.7.5 TLS with %s failed: %s", c->remote, cause);
    else if (c->state == CONNECTING)
        client_end_by_us(c, "connect to %s: %s", c->remote, cause);
    else if (c->state == QUITTING)
        on_quit(c);
    else
        client_end_by_us(c, "connection to %s: %s (awaited: reply to %s)", c->remote, cause,
                         client_step_name(c, c->n_answered));
}

static const struct conn_ops conn_ops = {
    .input = on_input,
    .drained = on_drained,
    .connected = on_connected,
    .secured = on_secured,
    .ended = on_ended,
};

/* --- the owner's calls --- */

static void call_back(void *arg)
{
    struct client *c = arg;
    char failure[REPLY_MAX]; /* the owner may free c before it reads the text */
    memcpy(failure, c->failure, sizeof failure);
    if (failure[0] != '\0')
        client_end_now(c, VERDICT_TRY_LATER, failure);
    else if (c->state == DECIDED)
        client_too_large(c);
}

void client_format_remote(char out[CLIENT_REMOTE], struct span host, const struct netaddr *to)
{
    char ip[NETADDR_TEXT];
    netaddr_format(ip, to);
    snprintf(out, CLIENT_REMOTE, "%.*s[%s]:%u", (int)(host.n < DOMAIN_MAX ? host.n : DOMAIN_MAX),
             host.n > 0 ? host.p : "", ip, to->port);
}

struct client *client_connect(const struct client_params *params, const struct client_ops *ops,
                              void *owner)
{
    struct client *c = calloc(1, sizeof *c);
    if (c == NULL || span_copy(c->hostname, sizeof c->hostname, params->hostname) < 0) {
        free(c);
        return NULL;
    }
    c->times = params->times;
    c->is_lmtp = params->is_lmtp;
    c->made_for = params->made_for;
    c->level = params->level;
    c->policy = params->policy;
    c->requires_tls = params->requires_tls;
    c->is_report = params->is_report;
    c->only_dns_id = params->only_dns_id;
    c->is_implicit = params->is_implicit;
    c->tls = tls_client_use(params->tls);
    c->sessions = params->sessions;
    if (c->sessions != NULL) {
        memcpy(c->session_key, params->session_key, SESSION_KEY);
        c->sessions_epoch = c->sessions->epoch;
    }
    if (c->level == RELAY_TLS_NONE)
        snprintf(c->protection, sizeof c->protection, "no (%.*s)", (int)params->plain_because.n,
                 params->plain_because.p);
    c->tlsa = params->tlsa;
    c->tls_names[0] = params->tls_names[0];
    c->tls_names[1] = params->tls_names[1];
    struct span tls_host = params->tlsa.n > 0 ? params->tls_host : params->host;
    if (tls_host.n == 0 || span_copy(c->tls_host, sizeof c->tls_host, tls_host) < 0)
        netaddr_format(c->tls_host, params->to);
    c->needs_login = params->user.n > 0;
    c->is_loopback = netaddr_is_loopback(params->to);
    c->login = c->needs_login ? login_new(params->user, params->secret) : NULL;
    client_own(c, ops, owner);
    client_format_remote(c->remote, params->host, params->to);
    timer_init(&c->soon, params->loop, call_back, c);
    stats_count(STAT_RELAY_CONNECTIONS);
    client_remark(c, "connecting to %s", c->remote);
    c->conn = conn_connect(params->loop, params->to, &conn_ops, c, INPUT_MAX, OUTPUT_MAX);
    if (c->conn == NULL) {
        char cause[64];
        error_words(cause, sizeof cause, errno);
        c->in_call = true;
        client_end_by_us(c, "connect to %s: %s", c->remote, cause);
        c->in_call = false;
        return c;
    }
    conn_deadline(c->conn, c->times->connect_ms);
    return c;
}

void client_own(struct client *c, const struct client_ops *ops, void *owner)
{
    c->ops = ops;
    c->owner = owner;
}

void client_send(struct client *c, const struct client_mail *mail)
{
    c->mail = mail;
    c->n_mails++;
    c->n_sent = c->n_answered = c->n_accepted = 0;
    c->is_mail_ok = c->is_slow = false;
    memset(c->is_accepted, 0, sizeof c->is_accepted);
    if (c->offer.has_size && c->offer.size_max > 0 &&
        command_content_size(mail) > c->offer.size_max) {
        c->state = DECIDED;
        timer_set(&c->soon, 0);
        return;
    }
    c->in_call = true;
    client_send_envelope(c);
    c->in_call = false;
}

void client_quit(struct client *c)
{
    c->in_call = true;
    if (client_say(c, QUITTING, "QUIT\r\n"))
        conn_deadline(c->conn, c->times->quit_ms);
    c->in_call = false;
}

void client_free(struct client *c)
{
    if (c == NULL)
        return;
    timer_stop(&c->soon);
    conn_free(c->conn);
    login_free(c->login);
    tls_client_free(c->tls);
    free(c);
}

const char *client_remote(const struct client *c)
{
    return c->remote;
}

struct span client_protection(const struct client *c)
{
    return span_of(c->protection);
}

enum secured client_secured(const struct client *c)
{
    if (!conn_is_tls(c->conn))
        return SECURED_NOT;
    return conn_tls(c->conn)->is_verified ? SECURED_VERIFIED : SECURED_TLS;
}

const struct client_seen *client_seen(const struct client *c)
{
    return &c->seen;
}

bool client_tells(const struct client *c)
{
    return c->offer.has_dsn;
}

bool client_is_slow(const struct client *c)
{
    return c->is_slow;
}

bool client_takes_utf8(const struct client *c)
{
    return c->offer.has_utf8;
}

unsigned client_mails(const struct client *c)
{
    return c->n_mails;
}

uint64_t client_made_for(const struct client *c)
{
    return c->made_for;
}

/* What fails between STARTTLS and the first word through TLS is TLS. */
enum tlsrpt_result client_tls_result(const struct client *c)
{
    return c->tls_result == TLSRPT_NOTHING && c->is_securing ? TLSRPT_VALIDATION : c->tls_result;
}
