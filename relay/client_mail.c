/* One mail: envelope, content, and what the replies mean for its recipients. */
#include "relay/client_state.h"

#include <errno.h>

/* How long to wait for the reply to an envelope command. */
static int64_t envelope_ms(const struct client *c, size_t command)
{
    return command > c->mail->n_rcpts ? c->times->data_ms : c->times->command_ms;
}

/* The next command; with PIPELINING all of them (RFC 2920 3.1), DATA being the last of its group.
 */
bool client_send_envelope(struct client *c)
{
    size_t all = c->mail->n_rcpts + (c->mail->is_callout ? 1 : 2);
    size_t until = c->offer.has_pipelining ? all : c->n_sent + 1;
    c->state = ENVELOPE;
    while (c->n_sent < until) {
        char line[COMMAND_MAX];
        command_format(line, c->mail, &c->offer, c->n_sent);
        if (!client_send_line(c, line, envelope_ms(c, c->n_answered)))
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
    struct span text = client_reply_with_step(c, command, room);
    c->is_slow |= reply_verdict(&c->reply) == VERDICT_TRY_LATER;
    /* What is said to MAIL is no word about who exists. */
    enum verdict v = c->mail->is_callout ? VERDICT_TRY_LATER : reply_verdict(&c->reply);
    for (size_t i = 0; i < c->mail->n_rcpts; i++)
        if (all || c->is_accepted[i])
            result(c, i, v, text);
    c->n_accepted = 0;
}

/* A transaction that was begun and did not end must not leak into the next one. */
void client_reset(struct client *c)
{
    client_say(c, RESETTING, "RSET\r\n");
}

/* --- content --- */

/* Sends one more piece, as the connection has room again; after the last one the dot. From then on
 * only the answer to it counts. */
void client_send_content(struct client *c)
{
    conn_deadline(c->conn, c->times->chunk_ms);
    switch (source_write(&c->source, c->conn)) {
    case SOURCE_MORE:
        return;
    case SOURCE_DONE:
        client_remark(c, "content of %llu octets",
                      (unsigned long long)command_content_size(c->mail));
        if (client_send_line(c, ".\r\n", c->times->final_ms))
            c->state = FINAL;
        return;
    case SOURCE_DAMAGED:
        client_end_by_us(c, "451 4.3.0 the stored message is damaged; not sent to %s", c->remote);
        return;
    case SOURCE_UNREADABLE:
        client_end_by_us(c, "451 4.3.0 the stored message cannot be read: %s", strerror(errno));
        return;
    case SOURCE_FULL:
        client_end_by_us(c, "451 4.3.0 out of memory while sending to %s", c->remote);
        return;
    }
}

static void begin_content(struct client *c)
{
    c->state = CONTENT;
    source_begin(&c->source, c->mail->content, c->mail->fd, c->mail->size, c->mail->hash);
    if (conn_input(c->conn).n > 0)
        client_out_of_step(c);
    else
        client_send_content(c);
}

/* --- replies --- */

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

/* "550 5.7.1 …" says that we may not, not that there is nobody (RFC 3463 3.8). */
static enum verdict callout_verdict(const struct reply *r)
{
    struct span status = span_from(reply_text(r), sizeof "550");
    enum verdict v = rcpt_verdict(r);
    return v == VERDICT_NEVER && span_istarts(status, SPAN("5.7.")) ? VERDICT_TRY_LATER : v;
}

static void on_rcpt_reply(struct client *c, size_t rcpt)
{
    char room[REPLY_MAX];
    if (!c->is_mail_ok)
        return;
    if (c->mail->is_callout) {
        result(c, rcpt, callout_verdict(&c->reply), client_reply_with_step(c, rcpt + 1, room));
        return;
    }
    if (c->reply.code / 100 == 2) {
        c->is_accepted[rcpt] = true;
        c->n_accepted++;
        return;
    }
    result(c, rcpt, rcpt_verdict(&c->reply), client_reply_with_step(c, rcpt + 1, room));
}

static void on_data_reply(struct client *c)
{
    if (c->reply.code / 100 == 3 && c->n_accepted > 0) {
        begin_content(c);
    } else if (c->reply.code / 100 == 3) {
        client_say(c, EMPTY, ".\r\n");
    } else {
        if (c->n_accepted > 0)
            result_for_rest(c, c->n_answered, false);
        client_reset(c);
    }
}

/* RFC 5321 4.3.2: what may answer which command; anything else is out of step. */
static bool is_possible(const struct client *c)
{
    bool is_data = c->n_answered > c->mail->n_rcpts;
    return c->reply.code / 100 >= 4 || c->reply.code / 100 == (is_data ? 3U : 2U);
}

/* What to say after the last reply of a group. A call-out accepts nobody, and so ends here. */
static void go_on(struct client *c)
{
    bool was_last_rcpt = c->n_answered > c->mail->n_rcpts;
    if (!c->is_mail_ok || (was_last_rcpt && c->n_accepted == 0))
        client_reset(c);
    else
        client_send_envelope(c);
}

/* A reply to one of the envelope's commands. True: replies to the rest of its group follow. */
bool client_on_envelope(struct client *c)
{
    if (!is_possible(c)) {
        client_out_of_step(c);
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

void client_on_final(struct client *c)
{
    if (c->reply.code / 100 == 3) {
        client_out_of_step(c);
        return;
    }
    result_for_rest(c, 0, false);
    client_is_ready(c);
}

/* RFC 2033 4.2: in the order of the recipients that were accepted. */
bool client_on_lmtp_final(struct client *c)
{
    char room[REPLY_MAX];
    size_t i = 0;
    if (c->reply.code / 100 == 3) {
        client_out_of_step(c);
        return false;
    }
    while (!c->is_accepted[i])
        i++;
    result(c, i, reply_verdict(&c->reply), client_reply_with_step(c, 0, room));
    if (--c->n_accepted == 0) {
        client_is_ready(c);
        return false;
    }
    reply_begin(&c->reply);
    conn_deadline(c->conn, c->times->final_ms);
    return true;
}

void client_on_reset(struct client *c)
{
    if (c->reply.code / 100 == 2)
        client_is_ready(c);
    else
        client_end_by_reply(c, VERDICT_TRY_LATER);
}

/* The server refuses before it has seen the end: no delivery, and no final "no" either. */
void client_on_early(struct client *c)
{
    if (c->reply.code / 100 >= 4)
        client_end_by_reply(c, VERDICT_TRY_LATER);
    else
        client_out_of_step(c);
}

void client_too_large(struct client *c)
{
    char text[REPLY_MAX];
    int n = snprintf(text, sizeof text, "552 5.3.4 message of %llu octets, but %s takes only %llu",
                     (unsigned long long)command_content_size(c->mail), c->remote,
                     (unsigned long long)c->offer.size_max);
    client_remark(c, "%s", text);
    for (size_t i = 0; i < c->mail->n_rcpts; i++)
        result(c, i, VERDICT_NEVER, (struct span){text, n > 0 ? (size_t)n : 0});
    client_is_ready(c);
}
