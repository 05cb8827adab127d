#include "smtpd/session.h"

#include "common/clock.h"
#include "common/id.h"
#include "common/line.h"
#include "common/log.h"
#include "common/stats.h"
#include "smtpd/verbs.h"

#define LINE_MAX_OCTETS 2048 /* with parameters */
#define COMMAND_MAX     512  /* RFC 5321 4.5.3.1.4 */
#define OUT_MAX         (256U * 1024U)
#define REFUSALS_IN_LOG 50 /* of one session */

#define IN(state)  (1U << STATE_##state)
#define IN_ANY     (IN(START) | IN(READY) | IN(MAIL) | IN(RCPT) | IN(CHUNKS))
#define IN_GREETED (IN(READY) | IN(MAIL) | IN(RCPT))

static const struct verb verbs[] = {
    {{"EHLO", 4}, IN_ANY, VERB_JUNK | VERB_OPEN | VERB_CLEAR, cmd_ehlo},
    {{"HELO", 4}, IN_ANY, VERB_JUNK | VERB_OPEN, cmd_helo},
    {{"LHLO", 4}, IN_ANY, VERB_JUNK | VERB_OPEN | VERB_CLEAR, cmd_lhlo},
    {{"AUTH", 4}, IN(READY), VERB_PARAMS | VERB_LAST | VERB_OPEN, cmd_auth},
    {{"STARTTLS", 8}, IN_GREETED, VERB_LAST | VERB_OPEN | VERB_CLEAR, cmd_starttls},
    {{"MAIL", 4}, IN(READY), VERB_PARAMS, cmd_mail},
    {{"RCPT", 4}, IN(MAIL) | IN(RCPT), VERB_PARAMS, cmd_rcpt},
    {{"DATA", 4}, IN(RCPT), VERB_LAST, cmd_data},
    {{"BDAT", 4},
     IN_ANY,
     VERB_OPEN | VERB_CLEAR,
     cmd_bdat}, /* it eats its octets, whatever it says */
    {{"RSET", 4}, IN_ANY, VERB_JUNK | VERB_OPEN, cmd_rset},
    {{"NOOP", 4}, IN_ANY, VERB_JUNK | VERB_OPEN | VERB_CLEAR, cmd_noop},
    {{"QUIT", 4}, IN_ANY, VERB_LAST | VERB_OPEN | VERB_CLEAR, cmd_quit},
    {{"VRFY", 4}, IN_ANY, VERB_JUNK, cmd_vrfy},
    {{"HELP", 4}, IN_ANY, VERB_JUNK | VERB_OPEN, cmd_help},
    {{"EXPN", 4}, IN_ANY, VERB_JUNK, cmd_expn},
    {{"TURN", 4}, IN_ANY, 0, cmd_not_implemented},
    {{"SEND", 4}, IN_ANY, 0, cmd_not_implemented},
    {{"SOML", 4}, IN_ANY, 0, cmd_not_implemented},
    {{"SAML", 4}, IN_ANY, 0, cmd_not_implemented},
};

/* First words of protocols that a web page can make a browser speak to us. */
static const struct span foreign_words[] = {
    {"GET", 3}, {"POST", 4}, {"PUT", 3}, {"HEAD", 4}, {"CONNECT", 7}, {"OPTIONS", 7},
};

struct session *session_new(const struct session_rules *rules, struct span hostname)
{
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->rules = *rules;
    s->hostname = hostname;
    s->id = id_new();
    s->began_ms = clock_mono_ms();
    s->due_ms = s->began_ms + rules->limits.command_timeout_ms;
    buf_init(&s->out, OUT_MAX);
    return s;
}

void session_free(struct session *s)
{
    if (s == NULL)
        return;
    txn_reset(s);
    auth_forget(s);
    buf_free(&s->out);
    free(s->helo);
    free(s->verified);
    free(s);
}

uint64_t session_log_id(const struct session *s)
{
    return s->txn != NULL ? s->txn->id : s->id;
}

void session_log_end(const struct session *s, const char *why)
{
    LOG(s->id, "disconnect", LZ("why", why), LN("commands", (int64_t)s->commands),
        LN("accepted", (int64_t)s->accepted), LN("refused", (int64_t)s->refused),
        LN("ms", clock_mono_ms() - s->began_ms));
}

/* --- replies --- */

static void end(struct session *s)
{
    if (s->state == STATE_OVER)
        return;
    txn_reset(s);
    auth_forget(s);
    s->state = STATE_OVER;
    struct span out = buf_span(&s->out);
    if (out.n > 0)
        s->rules.ops->write(s->rules.client, out);
    buf_free(&s->out);
    s->rules.ops->finish(s->rules.client);
}

static void log_refusal(struct session *s, enum reply r, struct span about)
{
    if (s->refused++ >= REFUSALS_IN_LOG)
        return;
    char codes[REPLY_CODES_MAX], session[ID_TEXT], client[NETADDR_TEXT];
    reply_codes(codes, r);
    id_format(session, s->id);
    netaddr_format(client, &s->rules.peer);
    LOG(session_log_id(s), "refused", LZ("session", session), LZ("client", client),
        LS("command", s->verb != NULL ? s->verb->word : SPAN("-")), LZ("reply", codes),
        LZ("text", reply_desc(r)->text), LS("about", about));
}

/* The error limit says its own last word, after the reply that reached it. */
static void count_refusal(struct session *s, enum reply r, struct span about)
{
    stats_count(STAT_SMTP_REFUSED);
    log_refusal(s, r, about);
    s->owes_delay |=
        (reply_desc(r)->flags & REPLY_FAULT) != 0 && r != R_LOGIN_WRONG; /* authd waited */
    if ((reply_desc(r)->flags & REPLY_FAULT) == 0 || ++s->errors < s->rules.limits.errors)
        return;
    if ((reply_desc(r)->flags & REPLY_CLOSES) == 0)
        session_reply(s, R_TOO_MANY_ERRORS);
}

static void answer(struct session *s, enum reply r, struct span argument, struct span about)
{
    if (s->state == STATE_OVER)
        return;
    bool has_room = reply_add(&s->out, r, argument) == 0;
    if (reply_is_refusal(r))
        count_refusal(s, r, about);
    if (!has_room || (reply_desc(r)->flags & REPLY_CLOSES) != 0)
        end(s);
}

void session_reply(struct session *s, enum reply r)
{
    answer(s, r, SPAN(""), SPAN(""));
}

void session_reply_with(struct session *s, enum reply r, struct span argument)
{
    answer(s, r, argument, SPAN(""));
}

void session_refuse(struct session *s, enum reply r, struct span about)
{
    answer(s, r, SPAN(""), about);
}

/* A client that guesses costs us a timer and himself the time: his input is not read meanwhile. */
static void begin_delay(struct session *s)
{
    bool is_owed = s->owes_delay && s->rules.limits.error_delay_ms > 0;
    if (s->wait != WAIT_NOTHING || s->state == STATE_OVER)
        return;
    s->owes_delay = false;
    if (!is_owed)
        return;
    s->wait = WAIT_DELAY;
    s->due_ms = clock_mono_ms() + s->rules.limits.error_delay_ms;
}

/* Replies wait while a question about a recipient is open: they go out with the one that it
 * decides. */
static void write_replies(struct session *s)
{
    struct span out = buf_span(&s->out);
    if (s->state == STATE_OVER || s->wait == WAIT_RCPT || s->wait == WAIT_DELAY || out.n == 0)
        return;
    int rc = s->rules.ops->write(s->rules.client, out);
    buf_free(&s->out);
    if (rc < 0)
        end(s);
}

static void end_delay(struct session *s)
{
    s->wait = WAIT_NOTHING;
    s->due_ms = clock_mono_ms() + s->rules.limits.command_timeout_ms;
    write_replies(s); /* before the next mistake holds them again */
    if (s->state != STATE_OVER)
        s->rules.ops->resume(s->rules.client);
    write_replies(s);
}

void session_greet(struct session *s, bool talked_early)
{
    char text[DOMAIN_MAX + 16];
    if (talked_early) {
        session_reply(s, R_TALKS_EARLY);
        return;
    }
    snprintf(text, sizeof text, "%.*s %s barid", (int)s->hostname.n, s->hostname.p,
             s->rules.is_lmtp ? "LMTP" : "ESMTP");
    session_reply_with(s, R_BANNER, span_of(text));
    write_replies(s);
}

void session_secured(struct session *s, const struct tls_info *tls)
{
    txn_reset(s);
    auth_forget(s);
    free(s->helo);
    s->helo = NULL;
    s->is_esmtp = false;
    s->verb = NULL;
    s->state = STATE_START;
    s->wait = WAIT_NOTHING;
    s->tls = tls;
    s->due_ms = clock_mono_ms() + s->rules.limits.command_timeout_ms;
    if (s->is_draining)
        session_drain(s);
}

/* --- commands --- */

static const struct verb *find_verb(struct span word)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (span_ieq(word, verbs[i].word))
            return &verbs[i];
    return NULL;
}

static bool is_foreign(struct span word)
{
    for (size_t i = 0; i < sizeof foreign_words / sizeof foreign_words[0]; i++)
        if (span_ieq(word, foreign_words[i]))
            return true;
    return false;
}

static enum reply out_of_order(const struct session *s, const struct verb *v)
{
    if (s->state == STATE_START)
        return s->rules.is_lmtp ? R_LHLO_FIRST : R_HELO_FIRST;
    if (s->state == STATE_READY)
        return R_MAIL_FIRST;
    if (s->state == STATE_CHUNKS)
        return R_CHUNKS_BEGUN;
    if (s->rules.is_lmtp && s->state == STATE_MAIL && v->handle == cmd_data)
        return R_RCPT_FIRST;
    return (v->states & IN(RCPT)) != 0 ? R_NO_RCPTS : R_NESTED_MAIL;
}

/* Over the limit each of them is a mistake, though it is answered. */
static void count_junk(struct session *s)
{
    if (++s->junk > s->rules.limits.junk_commands && ++s->errors >= s->rules.limits.errors)
        session_reply(s, R_TOO_MANY_ERRORS);
}

static void run_verb(struct session *s, const struct verb *v, struct span argument)
{
    bool needs_login = s->rules.has_auth && s->login == NULL;
    if ((v->flags & VERB_LAST) != 0 && s->has_more_input)
        session_reply(s, R_TALKS_EARLY);
    else if (session_lacks_tls(s) && (v->flags & VERB_CLEAR) == 0)
        session_reply(s, R_TLS_FIRST);
    else if (needs_login && (v->flags & VERB_OPEN) == 0)
        session_reply(s, R_LOGIN_FIRST);
    else if ((v->states & 1U << s->state) == 0)
        session_reply(s, out_of_order(s, v));
    else
        v->handle(s, argument);
    if ((v->flags & VERB_JUNK) != 0)
        count_junk(s);
}

static void take_line(struct session *s, struct span line, size_t used)
{
    struct span argument = span_trim(line);
    struct span word = span_cut(&argument, ' ');
    s->verb = find_verb(word);
    s->commands++;
    if (word.n == 0)
        session_reply(s, R_BAD_LINE);
    else if (s->verb == NULL)
        session_reply(s, is_foreign(word) ? R_NOT_SMTP : R_UNKNOWN_COMMAND);
    else if (used > COMMAND_MAX && (s->verb->flags & VERB_PARAMS) == 0)
        session_reply(s, R_LINE_TOO_LONG);
    else
        run_verb(s, s->verb, span_trim(argument));
}

static size_t refuse_line(struct session *s, enum reply r, struct span in)
{
    s->verb = NULL;
    session_reply(s, r);
    return in.n;
}

/* What no command starts with: TLS and other binary protocols, told before there is a line. */
static bool is_control(char c)
{
    unsigned char u = (unsigned char)c;
    return (u < ' ' && c != '\r' && c != '\n' && c != '\t' && c != '\0') || u >= 127;
}

static size_t command_input(struct session *s, struct span in)
{
    struct span line;
    size_t used;
    if (is_control(in.p[0]))
        return refuse_line(s, R_NOT_SMTP, in);
    bool is_auth = s->rules.has_auth && span_istarts(in, SPAN("AUTH "));
    switch (line_take(in, is_auth ? SASL_LINE_MAX : LINE_MAX_OCTETS, &line, &used)) {
    case LINE_OK:
        s->has_more_input = used < in.n;
        take_line(s, line, used);
        return used;
    case LINE_MORE:
        return 0;
    case LINE_TOO_LONG:
        return refuse_line(s, R_LINE_ENDLESS, in);
    case LINE_BARE:
        return refuse_line(s, R_BARE_NEWLINE, in);
    case LINE_NUL:
        return refuse_line(s, R_LINE_NUL, in);
    }
    return 0;
}

/* --- input and answers --- */

/* Octets come that are no commands. */
static bool is_in_content(const struct session *s)
{
    return s->state == STATE_DATA || s->state == STATE_CHUNK;
}

size_t session_input(struct session *s, struct span in)
{
    size_t used = 0;
    while (s->wait == WAIT_NOTHING && s->state != STATE_OVER && used < in.n) {
        struct span rest = span_from(in, used);
        bool is_content = is_in_content(s);
        size_t n = s->state == STATE_DATA    ? data_input(s, rest)
                   : s->state == STATE_CHUNK ? chunk_input(s, rest)
                   : s->state == STATE_AUTH  ? auth_input(s, rest)
                                             : command_input(s, rest);
        if (n == 0)
            break;
        used += n;
        /* A line has its time as a whole, so the clock starts when the one before it was done. */
        if (!is_content || !is_in_content(s))
            s->due_ms = clock_mono_ms() + s->rules.limits.command_timeout_ms;
        begin_delay(s);
        if (s->is_draining)
            session_drain(s);
    }
    write_replies(s);
    return used;
}

void session_answered(struct session *s)
{
    s->wait = WAIT_NOTHING;
    s->due_ms = clock_mono_ms() + s->rules.limits.command_timeout_ms;
    begin_delay(s);
    if (s->is_draining)
        session_drain(s);
    if (s->state != STATE_OVER)
        s->rules.ops->resume(s->rules.client);
    /* resume took what input there was; without any, the replies are still here */
    write_replies(s);
}

void session_go_on(struct session *s)
{
    if (s->wait != WAIT_ROOM)
        return;
    s->wait = WAIT_NOTHING;
    s->txn->data_began_ms += clock_mono_ms() - s->txn->stalled_ms;
    s->txn->data_last_ms = clock_mono_ms();
    if (s->state == STATE_CHUNK)
        chunk_input(s, SPAN("")); /* it may have been the end of it that waited */
    if (s->state != STATE_OVER)
        s->rules.ops->resume(s->rules.client);
    write_replies(s);
}

int64_t session_due_ms(const struct session *s)
{
    bool is_ours = s->wait != WAIT_NOTHING && s->wait != WAIT_DELAY;
    if (is_ours || s->state == STATE_OVER)
        return INT64_MAX;
    int64_t end_ms = s->began_ms + s->rules.limits.session_timeout_ms;
    bool is_taken =
        s->state == STATE_DATA || (s->state == STATE_CHUNK && s->chunk.refusal == R_DONE);
    int64_t due_ms = is_taken && s->wait == WAIT_NOTHING ? data_due_ms(s) : s->due_ms;
    return due_ms < end_ms ? due_ms : end_ms;
}

void session_expire(struct session *s)
{
    s->verb = NULL;
    if (s->wait == WAIT_DELAY && clock_mono_ms() >= s->due_ms)
        end_delay(s);
    else
        session_reply(s, R_TIMEOUT);
}

void session_drain(struct session *s)
{
    s->is_draining = true;
    if (!is_in_content(s) && s->state != STATE_CHUNKS &&
        (s->wait == WAIT_NOTHING || s->wait == WAIT_DELAY)) {
        s->verb = NULL;
        session_reply(s, R_DRAINING);
    }
}
