#include "relay/client.h"

#include "common/conn.h"
#include "relay/command.h"
#include "relay/offer.h"
#include "relay/reply.h"
#include "relay/source.h"

#include <errno.h>
#include <stdarg.h>

#define INPUT_MAX  8192
#define OUTPUT_MAX (4U * CHUNK_MAX) /* a flight of commands, or a chunk with its dots */

const struct client_times client_times_default = {
    .connect_ms = 60 * 1000,
    .greeting_ms = 300 * 1000,
    .command_ms = 300 * 1000,
    .data_ms = 120 * 1000,
    .chunk_ms = 180 * 1000,
    .final_ms = 600 * 1000,
    .quit_ms = 2 * 1000,
};

enum state {
    CONNECTING,
    GREETING, /* from here to RESETTING a reply is awaited, */
    EHLO,
    HELO,
    ENVELOPE, /* (one or more: commands up to n_sent are sent, up to n_answered are answered) */
    FINAL,    /* the one that decides: all content and the final dot are sent */
    EMPTY,    /* DATA without recipients was taken: the reply to its dot means nothing */
    RESETTING,
    CONTENT, /* no reply is awaited */
    READY,
    DECIDED, /* the mail need not be sent to know what becomes of it */
    QUITTING,
    ENDED,
};

struct client {
    const struct client_times *times;
    const struct client_ops *ops;
    void *owner;
    struct conn *conn;
    struct timer soon; /* to call back from the loop */
    enum state state;
    struct reply reply;
    char remote[CLIENT_REMOTE];
    char hostname[DOMAIN_MAX + 1];
    unsigned n_mails;
    struct offer offer;
    /* the mail being sent */
    const struct client_mail *mail;
    size_t n_sent, n_answered; /* commands: MAIL, each RCPT, DATA */
    bool is_mail_ok;
    bool is_accepted[RELAY_RCPTS_MAX];
    size_t n_accepted;
    struct source source;
    bool in_call;            /* of the owner: what ends the connection now is told from the loop */
    char failure[REPLY_MAX]; /* and kept here until then */
};

static const char *const steps[] = {
    [CONNECTING] = "connect", [GREETING] = "connect",  [EHLO] = "EHLO",      [HELO] = "HELO",
    [FINAL] = "end of DATA",  [EMPTY] = "end of DATA", [RESETTING] = "RSET", [CONTENT] = "content",
    [QUITTING] = "QUIT",      [ENDED] = NULL,
};

/* What the reply that is awaited (or came last) is about. */
static const char *step_name(const struct client *c, size_t command)
{
    if (c->state != ENVELOPE)
        return steps[c->state] != NULL ? steps[c->state] : "nothing";
    return command_name(c->mail, command);
}

/* --- the end --- */

/* Tells the owner; c may be gone after it. */
static void end(struct client *c, enum verdict v, const char *text)
{
    if (c->in_call) {
        snprintf(c->failure, sizeof c->failure, "%s", text);
        timer_set(&c->soon, 0);
        return;
    }
    struct client_end e = {.verdict = v, .text = span_of(text)};
    e.is_untouched = c->state == ENVELOPE && c->n_answered == 0;
    c->state = ENDED;
    timer_stop(&c->soon);
    conn_free(c->conn);
    c->conn = NULL;
    c->ops->ended(c->owner, &e);
}

/* The server's own words and what they were an answer to. */
static struct span reply_with_step(const struct client *c, size_t command, char room[REPLY_MAX])
{
    struct span text = reply_text(&c->reply);
    const char *step = step_name(c, command);
    size_t max = REPLY_MAX - 32;
    int n = snprintf(room, REPLY_MAX, "%.*s (in reply to %s)", (int)(text.n < max ? text.n : max),
                     text.p, step);
    return (struct span){room, n > 0 ? (size_t)n : 0};
}

static void end_by_reply(struct client *c, enum verdict v)
{
    char text[REPLY_MAX];
    reply_with_step(c, c->n_answered, text);
    end(c, v, text);
}

__attribute__((format(printf, 2, 3))) static void end_by_us(struct client *c, const char *fmt, ...)
{
    char text[REPLY_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    end(c, VERDICT_TRY_LATER, text);
}

static void out_of_step(struct client *c)
{
    end_by_us(c, "%s answers out of step or not in SMTP (awaited: reply to %s)", c->remote,
              step_name(c, c->n_answered));
}

/* --- sending --- */

/* Commands go out only when everything the server said was read: an answer that was there before
 * the question is no answer. False: the connection was ended. */
static bool send_line(struct client *c, const char *line, int64_t deadline_ms)
{
    if (conn_input(c->conn).n > 0) {
        out_of_step(c);
        return false;
    }
    if (conn_write_span(c->conn, span_of(line)) < 0) {
        end_by_us(c, "451 4.3.0 out of memory while sending to %s", c->remote);
        return false;
    }
    conn_deadline(c->conn, deadline_ms);
    reply_begin(&c->reply);
    return true;
}

static bool say(struct client *c, enum state next, const char *line)
{
    if (!send_line(c, line, c->times->command_ms))
        return false;
    c->state = next;
    return true;
}

/* How long to wait for the reply to an envelope command. */
static int64_t envelope_ms(const struct client *c, size_t command)
{
    return command > c->mail->n_rcpts ? c->times->data_ms : c->times->command_ms;
}

/* The next command; with PIPELINING all of them (RFC 2920 3.1), DATA being the last of its group.
 */
static bool send_envelope(struct client *c)
{
    size_t until = c->offer.has_pipelining ? c->mail->n_rcpts + 2 : c->n_sent + 1;
    c->state = ENVELOPE;
    while (c->n_sent < until) {
        char line[COMMAND_MAX];
        command_format(line, c->mail, &c->offer, c->n_sent);
        if (!send_line(c, line, envelope_ms(c, c->n_answered)))
            return false;
        c->n_sent++;
    }
    return true;
}

/* --- results --- */

static void result(struct client *c, size_t rcpt, enum verdict v, struct span text)
{
    c->is_accepted[rcpt] = false;
    c->ops->result(c->owner, rcpt, v, text);
}

/* The reply decides for all recipients that were accepted so far (`all`: for every one). */
static void result_for_rest(struct client *c, size_t command, bool all)
{
    char room[REPLY_MAX];
    struct span text = reply_with_step(c, command, room);
    for (size_t i = 0; i < c->mail->n_rcpts; i++)
        if (all || c->is_accepted[i])
            result(c, i, reply_verdict(&c->reply), text);
    c->n_accepted = 0;
}

/* c may be gone after it. */
static void ready(struct client *c)
{
    c->state = READY;
    c->mail = NULL;
    conn_deadline(c->conn, 0);
    c->ops->ready(c->owner);
}

/* A transaction that was begun and did not end must not leak into the next one. */
static void reset(struct client *c)
{
    say(c, RESETTING, "RSET\r\n");
}

/* --- content --- */

/* Sends one more piece, as the connection has room again; after the last one the dot. From then on
 * only the answer to it counts. */
static void send_content(struct client *c)
{
    conn_deadline(c->conn, c->times->chunk_ms);
    switch (source_write(&c->source, c->conn)) {
    case SOURCE_MORE:
        return;
    case SOURCE_DONE:
        if (send_line(c, ".\r\n", c->times->final_ms))
            c->state = FINAL;
        return;
    case SOURCE_DAMAGED:
        end_by_us(c, "451 4.3.0 the stored message is damaged; not sent to %s", c->remote);
        return;
    case SOURCE_UNREADABLE:
        end_by_us(c, "451 4.3.0 the stored message cannot be read: %s", strerror(errno));
        return;
    case SOURCE_FULL:
        end_by_us(c, "451 4.3.0 out of memory while sending to %s", c->remote);
        return;
    }
}

static void begin_content(struct client *c)
{
    c->state = CONTENT;
    source_begin(&c->source, c->mail->content, c->mail->fd, c->mail->size, c->mail->hash);
    if (conn_input(c->conn).n > 0)
        out_of_step(c);
    else
        send_content(c);
}

/* --- replies --- */

static void say_hello(struct client *c, enum state next, const char *verb)
{
    char line[sizeof c->hostname + 8];
    snprintf(line, sizeof line, "%s %s\r\n", verb, c->hostname);
    c->offer = (struct offer){0};
    say(c, next, line);
}

static void on_greeting(struct client *c)
{
    if (c->reply.code == 220)
        say_hello(c, EHLO, "EHLO");
    else if (c->reply.code / 100 >= 4)
        end_by_reply(c, reply_verdict(&c->reply));
    else
        out_of_step(c);
}

static void on_hello(struct client *c)
{
    unsigned class = c->reply.code / 100;
    if (class == 2)
        ready(c);
    else if (class == 5 && c->state == EHLO)
        say_hello(c, HELO, "HELO");
    else if (class == 3)
        out_of_step(c);
    else
        end_by_reply(c, reply_verdict(&c->reply));
}

static void on_mail_reply(struct client *c)
{
    c->is_mail_ok = c->reply.code / 100 == 2;
    if (!c->is_mail_ok)
        result_for_rest(c, 0, true);
}

/* RFC 5321 4.5.3.1.10: "too many recipients" is 452, but some say 552. */
static enum verdict rcpt_verdict(const struct reply *r)
{
    return r->code == 552 ? VERDICT_TRY_LATER : reply_verdict(r);
}

static void on_rcpt_reply(struct client *c, size_t rcpt)
{
    char room[REPLY_MAX];
    if (!c->is_mail_ok)
        return;
    if (c->reply.code / 100 == 2) {
        c->is_accepted[rcpt] = true;
        c->n_accepted++;
        return;
    }
    result(c, rcpt, rcpt_verdict(&c->reply), reply_with_step(c, rcpt + 1, room));
}

static void on_data_reply(struct client *c)
{
    if (c->reply.code / 100 == 3 && c->n_accepted > 0) {
        begin_content(c);
    } else if (c->reply.code / 100 == 3) {
        say(c, EMPTY, ".\r\n");
    } else {
        if (c->n_accepted > 0)
            result_for_rest(c, c->n_answered, false);
        reset(c);
    }
}

/* RFC 5321 4.3.2: what may answer which command; anything else is out of step. */
static bool is_possible(const struct client *c)
{
    bool is_data = c->n_answered > c->mail->n_rcpts;
    return c->reply.code / 100 >= 4 || c->reply.code / 100 == (is_data ? 3U : 2U);
}

/* What to say after the last reply of a group. */
static void go_on(struct client *c)
{
    bool was_last_rcpt = c->n_answered > c->mail->n_rcpts;
    if (!c->is_mail_ok || (was_last_rcpt && c->n_accepted == 0))
        reset(c);
    else
        send_envelope(c);
}

/* A reply to one of the envelope's commands. True: replies to the rest of its group follow. */
static bool on_envelope(struct client *c)
{
    if (!is_possible(c)) {
        out_of_step(c);
        return false;
    }
    if (c->n_answered > c->mail->n_rcpts) {
        on_data_reply(c);
        return false;
    }
    if (c->n_answered == 0)
        on_mail_reply(c);
    else
        on_rcpt_reply(c, c->n_answered - 1);
    c->n_answered++;
    reply_begin(&c->reply);
    conn_deadline(c->conn, envelope_ms(c, c->n_answered));
    if (c->n_answered < c->n_sent)
        return true;
    go_on(c);
    return false;
}

static void on_final(struct client *c)
{
    if (c->reply.code / 100 == 3) {
        out_of_step(c);
        return;
    }
    result_for_rest(c, 0, false);
    ready(c);
}

static void on_reset(struct client *c)
{
    if (c->reply.code / 100 == 2)
        ready(c);
    else
        end_by_reply(c, VERDICT_TRY_LATER);
}

static void on_quit(struct client *c)
{
    end(c, VERDICT_TRY_LATER, "the connection was closed as planned");
}

/* The server refuses before it has seen the end: no delivery, and no final "no" either. */
static void on_early(struct client *c)
{
    if (c->reply.code / 100 >= 4)
        end_by_reply(c, VERDICT_TRY_LATER);
    else
        out_of_step(c);
}

/* True: more replies are due at once. False: c may be gone. */
static bool on_reply(struct client *c)
{
    static void (*const handlers[])(struct client *) = {
        [GREETING] = on_greeting, [EHLO] = on_hello,    [HELO] = on_hello,
        [FINAL] = on_final,       [EMPTY] = reset,      [RESETTING] = on_reset,
        [CONTENT] = on_early,     [QUITTING] = on_quit,
    };
    if (c->reply.code == 421) /* the server hangs up (RFC 5321 3.8) */
        end_by_reply(c, VERDICT_TRY_LATER);
    else if (c->state == ENVELOPE)
        return on_envelope(c);
    else
        handlers[c->state](c);
    return false;
}

/* Takes one line. True: look for the next one. False: c may be gone. */
static bool take_line(struct client *c)
{
    size_t used;
    enum reply_result got = reply_take(&c->reply, conn_input(c->conn), &used);
    if (got == REPLY_MORE)
        return false;
    if (got == REPLY_BAD) {
        out_of_step(c);
        return false;
    }
    if (c->state == EHLO && c->reply.code / 100 == 2 && c->reply.n_lines > 1)
        offer_learn(&c->offer, c->reply.line);
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
        end_by_us(c, "%s spoke or hung up without being asked", c->remote);
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

static void on_connected(void *owner)
{
    struct client *c = owner;
    c->state = GREETING;
    reply_begin(&c->reply);
    conn_deadline(c->conn, c->times->greeting_ms);
}

static void on_drained(void *owner)
{
    struct client *c = owner;
    if (c->state == CONTENT)
        send_content(c);
}

static void on_ended(void *owner, enum conn_end why)
{
    struct client *c = owner;
    char cause[64] = "timed out";
    if (why == CONN_ERROR)
        error_words(cause, sizeof cause, conn_errno(c->conn));
    else if (why == CONN_EOF)
        snprintf(cause, sizeof cause, "closed by the server");
    if (c->state == CONNECTING)
        end_by_us(c, "connect to %s: %s", c->remote, cause);
    else if (c->state == QUITTING)
        on_quit(c);
    else
        end_by_us(c, "connection to %s: %s (awaited: reply to %s)", c->remote, cause,
                  step_name(c, c->n_answered));
}

static const struct conn_ops conn_ops = {
    .input = on_input,
    .drained = on_drained,
    .connected = on_connected,
    .ended = on_ended,
};

/* --- the owner's calls --- */

static void too_large(struct client *c)
{
    char text[REPLY_MAX];
    int n = snprintf(text, sizeof text, "552 5.3.4 message of %llu octets, but %s takes only %llu",
                     (unsigned long long)command_content_size(c->mail), c->remote,
                     (unsigned long long)c->offer.size_max);
    for (size_t i = 0; i < c->mail->n_rcpts; i++)
        result(c, i, VERDICT_NEVER, (struct span){text, n > 0 ? (size_t)n : 0});
    ready(c);
}

static void call_back(void *arg)
{
    struct client *c = arg;
    char failure[REPLY_MAX]; /* the owner may free c before it reads the text */
    memcpy(failure, c->failure, sizeof failure);
    if (failure[0] != '\0')
        end(c, VERDICT_TRY_LATER, failure);
    else if (c->state == DECIDED)
        too_large(c);
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
    client_own(c, ops, owner);
    client_format_remote(c->remote, params->host, params->to);
    timer_init(&c->soon, params->loop, call_back, c);
    c->conn = conn_connect(params->loop, params->to, &conn_ops, c, INPUT_MAX, OUTPUT_MAX);
    if (c->conn == NULL) {
        char cause[64];
        error_words(cause, sizeof cause, errno);
        c->in_call = true;
        end_by_us(c, "connect to %s: %s", c->remote, cause);
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
    c->is_mail_ok = false;
    memset(c->is_accepted, 0, sizeof c->is_accepted);
    if (c->offer.has_size && c->offer.size_max > 0 &&
        command_content_size(mail) > c->offer.size_max) {
        c->state = DECIDED;
        timer_set(&c->soon, 0);
        return;
    }
    c->in_call = true;
    send_envelope(c);
    c->in_call = false;
}

void client_quit(struct client *c)
{
    c->in_call = true;
    if (say(c, QUITTING, "QUIT\r\n"))
        conn_deadline(c->conn, c->times->quit_ms);
    c->in_call = false;
}

void client_free(struct client *c)
{
    if (c == NULL)
        return;
    timer_stop(&c->soon);
    conn_free(c->conn);
    free(c);
}

const char *client_remote(const struct client *c)
{
    return c->remote;
}

unsigned client_mails(const struct client *c)
{
    return c->n_mails;
}
