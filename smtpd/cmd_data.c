/* DATA (RFC 5321 4.1.1.4): reads the content, and answers when the queue has. */
#include "common/clock.h"
#include "common/id.h"
#include "common/log.h"
#include "common/stats.h"
#include "smtpd/handover.h"
#include "smtpd/trace.h"
#include "smtpd/verbs.h"

#define PIECE_MAX     7500  /* taken at once: so content stays under CHUNK_MAX even if it doubles */
#define RATE_GRACE_MS 60000 /* before limits.minimum_rate is asked for */

_Static_assert(TXN_STREAM_AT + 2 * PIECE_MAX + 2 * BODY_ROOM_MORE + TRACE_DATE_MAX +
                       TRACE_MESSAGE_ID_MAX <=
                   CHUNK_MAX,
               "a part must fit into a message");

/* RFC 3848, RFC 6531 4.3. */
static struct span protocol_of(const struct session *s)
{
    static const struct span names[2][2][2] = {
        /* by UTF-8, TLS, login */
        {{{"ESMTP", 5}, {"ESMTPA", 6}}, {{"ESMTPS", 6}, {"ESMTPSA", 7}}},
        {{{"UTF8SMTP", 8}, {"UTF8SMTPA", 9}}, {{"UTF8SMTPS", 9}, {"UTF8SMTPSA", 10}}},
    };
    static const struct span lmtp_names[2][2] = {{{"LMTP", 4}, {"LMTPS", 5}},
                                                 {{"UTF8LMTP", 8}, {"UTF8LMTPS", 9}}};
    if (s->rules.peer.n == NETADDR_LOCAL)
        return SPAN("local");
    if (s->rules.is_lmtp)
        return lmtp_names[s->txn->is_utf8][s->tls != NULL];
    if (!s->is_esmtp)
        return SPAN("SMTP");
    return names[s->txn->is_utf8][s->tls != NULL][s->login != NULL];
}

static int add_trace(struct session *s, struct txn *t)
{
    char *room = txn_room(t, TRACE_MAX);
    if (room == NULL)
        return -1;
    struct trace trace = {
        .helo = span_of(s->helo),
        .client = s->rules.peer,
        .is_hidden = s->rules.hides_client && s->login != NULL,
        .hostname = s->hostname,
        .protocol = protocol_of(s),
        .tls = s->tls,
        .id = t->id,
        .rcpt = t->n_rcpts == 1 ? span_of(t->only_rcpt) : SPAN(""),
        .wall_s = clock_wall_s(),
    };
    t->n_content = trace_received(room, &trace);
    return 0;
}

/* Mail that other servers of ours hand on is theirs: nobody changes it but by request. */
static bool completes(const struct session *s)
{
    bool is_submitted = s->login != NULL || s->rules.peer.n == NETADDR_LOCAL;
    switch (s->rules.completes) {
    case COMPLETES_NO:
        return false;
    case COMPLETES_SUBMISSION:
        return is_submitted;
    case COMPLETES_TRUSTED:
        return is_submitted || s->rules.may_relay;
    case COMPLETES_YES:
        return true;
    }
    return false;
}

/* RFC 6409 8.2, 8.3: what a message is to have that begins its way here. */
static void complete(struct session *s, struct txn *t)
{
    struct span date = {t->date, trace_date(t->date, clock_wall_s())};
    struct span message_id = {t->message_id, trace_message_id(t->message_id, t->id, s->hostname)};
    body_complete(&t->body, date, message_id);
}

int data_begin(struct session *s)
{
    struct txn *t = s->txn;
    /* Room for the verdicts before there are any: they cannot get lost. */
    if (txn_is_each(s) && array_reserve((void **)&t->each, &t->each_cap, t->n_rcpts, 2) < 0)
        return -1;
    if (add_trace(s, t) < 0)
        return -1;
    body_begin(&t->body, s->rules.message_size_max, s->rules.limits.hops,
               s->rules.normalises_newlines);
    if (completes(s))
        complete(s, t);
    t->data_began_ms = t->data_last_ms = clock_mono_ms();
    return 0;
}

void cmd_data(struct session *s, struct span argument)
{
    if (argument.n > 0) {
        session_reply(s, R_BAD_ARGUMENT);
        return;
    }
    if (data_begin(s) < 0) {
        session_reply(s, R_TRY_LATER);
        return;
    }
    s->state = STATE_DATA;
    session_reply(s, R_GO_AHEAD);
}

int64_t data_due_ms(const struct session *s)
{
    const struct txn *t = s->txn;
    uint64_t rate = s->rules.limits.minimum_rate;
    int64_t idle_ms = t->data_last_ms + s->rules.limits.command_timeout_ms;
    uint64_t earned_ms = t->body.octets / rate * 1000;
    int64_t due_ms =
        t->data_began_ms + RATE_GRACE_MS + (earned_ms > INT32_MAX ? INT32_MAX : (int64_t)earned_ms);
    return rate == UINT64_MAX || idle_ms < due_ms ? idle_ms : due_ms;
}

static enum reply reply_for(enum body_problem problem)
{
    static const enum reply replies[] = {
        [BODY_FINE] = R_QUEUED,        [BODY_BARE] = R_CONTENT_BARE,     [BODY_NUL] = R_CONTENT_NUL,
        [BODY_LINE] = R_CONTENT_LINE,  [BODY_HEADER] = R_HEADER_TOO_BIG, [BODY_SIZE] = R_TOO_BIG,
        [BODY_HOPS] = R_TOO_MANY_HOPS,
    };
    return replies[problem];
}

static void log_accepted(struct session *s)
{
    const struct txn *t = s->txn;
    char session[ID_TEXT], client[NETADDR_TEXT];
    id_format(session, s->id);
    netaddr_format(client, &s->rules.peer);
    LOG(t->id, "accepted", LZ("session", session), LZ("from", t->sender),
        LZ("to", t->n_rcpts == 1 ? t->only_rcpt : ""), LN("rcpts", (int64_t)t->n_rcpts),
        LN("size", (int64_t)t->sent), LZ("client", client), LZ("helo", s->helo),
        LZ("login", s->login != NULL ? s->login : ""));
}

/* The content is at its end, and not one chunk of it. */
static bool is_end(const struct session *s)
{
    return !s->txn->body.is_chunked || s->chunk.is_last;
}

/* All recipients hear the same. RFC 2033 4.2, 4.3: after DATA and the last BDAT, a reply for each
 * RCPT that was agreed to. The last one is session_refuse's, which may end the session. */
static void refuse_all(struct session *s, enum reply r)
{
    const struct txn *t = s->txn;
    for (size_t i = 1; s->rules.is_lmtp && is_end(s) && i < t->n_agreed; i++)
        if (reply_add(&s->out, r, SPAN("")) < 0) {
            session_reply(s, R_NO_MEMORY);
            return;
        }
    session_reply(s, r);
}

/* The last reply of PRDR, about the whole: a refusal that may be over later is not made one for
 * good. */
static enum reply whole_of(const struct txn *t)
{
    enum reply r = handover_reply(t);
    for (size_t i = 0; t->verdict != VERDICT_OK && i < t->n_agreed; i++) {
        r = handover_reply_to(t, t->agreed[i]);
        if (reply_desc(r)->code[0] == '4')
            break;
    }
    return r;
}

static int add_reply(struct session *s, enum reply r, struct span id)
{
    return reply_add(&s->out, r, r == R_QUEUED ? id : SPAN(""));
}

/* A reply for each RCPT that was agreed to, in their order (RFC 2033 4.2; draft-hall-prdr 4.5, with
 * one before and one behind them). */
static void answer_each(struct session *s, struct span id)
{
    const struct txn *t = s->txn;
    int rc = t->is_prdr ? add_reply(s, R_EACH_FOLLOWS, id) : 0;
    for (size_t i = 0; i < t->n_agreed && rc == 0; i++) {
        enum reply r = handover_reply_to(t, t->agreed[i]);
        rc = add_reply(s, r, id);
        stats_add(STAT_SMTP_REFUSED, reply_is_refusal(r));
    }
    if (rc == 0 && t->is_prdr)
        rc = add_reply(s, whole_of(t), id);
    if (rc < 0)
        session_reply(s, R_NO_MEMORY);
}

static void note_accepted(struct session *s)
{
    log_accepted(s);
    s->accepted++;
    stats_count(STAT_SMTP_ACCEPTED);
    stats_time_us(STAT_TIME_ACCEPT, clock_mono_us() - s->txn->ended_us);
    s->errors = s->junk = 0;
}

void data_conclude(struct session *s)
{
    struct txn *t = s->txn;
    enum reply r = handover_reply(t);
    char id[ID_TEXT];
    id_format(id, t->id);
    s->state = STATE_READY;
    if (r == R_QUEUED)
        note_accepted(s);
    /* THE RESPONSIBILITY LINE, on the side of SMTP: where the reply is R_QUEUED, the queue has said
     * that the message is on disk; with this reply, and not before, it is ours. */
    if (txn_is_each(s) && is_end(s) && (r == R_QUEUED || t->has_each))
        answer_each(s, span_of(id));
    else if (r == R_QUEUED)
        session_reply_with(s, r, span_of(id));
    else
        refuse_all(s, r);
    txn_reset(s);
}

void data_decided(struct session *s)
{
    if (s->wait == WAIT_ROOM) {
        session_go_on(s);
    } else if (s->wait == WAIT_QUEUE) {
        data_conclude(s);
        session_answered(s);
    }
}

void data_refuse(struct session *s)
{
    enum reply r = reply_for(s->txn->body.problem);
    s->state = STATE_READY;
    refuse_all(s, r);
    txn_reset(s);
}

void data_is_over(struct session *s)
{
    struct txn *t = s->txn;
    t->ended_us = clock_mono_us();
    if (t->body.problem != BODY_FINE) {
        data_refuse(s);
        return;
    }
    if (!t->is_decided)
        handover_send(s, true);
    if (t->is_decided)
        data_conclude(s);
    else
        s->wait = WAIT_QUEUE;
}

/* After a part was sent: does the queue keep up? */
static void look_at_backlog(struct session *s)
{
    if (s->txn->is_decided || !s->rules.ops->queue_is_full(s->rules.client))
        return;
    s->wait = WAIT_ROOM;
    s->txn->stalled_ms = clock_mono_ms();
}

size_t data_take(struct session *s, struct span in)
{
    struct txn *t = s->txn;
    size_t n_out;
    in.n = in.n < PIECE_MAX ? in.n : PIECE_MAX;
    char *room = txn_room(t, body_room(&t->body, in.n));
    if (room == NULL) {
        session_reply(s, R_NO_MEMORY);
        return in.n;
    }
    size_t used = body_take(&t->body, in, room, &n_out);
    t->n_content += n_out;
    t->data_last_ms = clock_mono_ms();
    if (t->body.problem != BODY_FINE || t->is_decided)
        handover_drop(s);
    return used;
}

void data_pass_on(struct session *s)
{
    struct txn *t = s->txn;
    if (t->body.octets > s->rules.message_size_max + DATA_OVERSIZE_MAX) {
        session_reply(s, R_ENDLESS);
    } else if (t->n_content >= TXN_STREAM_AT) {
        handover_send(s, false);
        look_at_backlog(s);
    }
}

size_t data_input(struct session *s, struct span in)
{
    size_t used = data_take(s, in);
    if (s->state == STATE_OVER)
        return used;
    if (body_is_over(&s->txn->body))
        data_is_over(s);
    else
        data_pass_on(s);
    return used;
}
