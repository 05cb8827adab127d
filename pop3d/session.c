#include "pop3d/session.h"

#include "common/clock.h"
#include "common/id.h"
#include "common/line.h"
#include "common/log.h"
#include "common/tls_service.h"
#include "pop3d/cmd.h"

#include <stdarg.h>

enum verb_flags {
    VERB_NO_ARG = 1,
    VERB_ARG = 2, /* required */
};

struct verb {
    struct span word;
    unsigned states;
    unsigned flags;
    void (*run)(struct session *s, struct span arg);
};

static const struct verb verbs[] = {
    {SPAN("RETR"), STATE_TRANSACTION, VERB_ARG, cmd_retr},
    {SPAN("DELE"), STATE_TRANSACTION, VERB_ARG, cmd_dele},
    {SPAN("TOP"), STATE_TRANSACTION, VERB_ARG, cmd_top},
    {SPAN("UIDL"), STATE_TRANSACTION, 0, cmd_uidl},
    {SPAN("LIST"), STATE_TRANSACTION, 0, cmd_list},
    {SPAN("STAT"), STATE_TRANSACTION, VERB_NO_ARG, cmd_stat},
    {SPAN("NOOP"), STATE_TRANSACTION, VERB_NO_ARG, cmd_noop},
    {SPAN("RSET"), STATE_TRANSACTION, VERB_NO_ARG, cmd_rset},
    {SPAN("AUTH"), STATE_AUTHORIZATION, 0, cmd_auth},
    {SPAN("USER"), STATE_AUTHORIZATION, VERB_ARG, cmd_user},
    {SPAN("PASS"), STATE_AUTHORIZATION, 0, cmd_pass},
    {SPAN("STLS"), STATE_AUTHORIZATION, VERB_NO_ARG, cmd_stls},
    {SPAN("CAPA"), STATE_ANY, VERB_NO_ARG, cmd_capa},
    {SPAN("UTF8"), STATE_AUTHORIZATION, VERB_NO_ARG, cmd_utf8},
    {SPAN("LANG"), STATE_ANY, 0, cmd_lang},
    {SPAN("QUIT"), STATE_ANY, VERB_NO_ARG, cmd_quit},
    /* A browser or another protocol was led here, perhaps to speak for somebody. */
    {SPAN("GET"), STATE_AUTHORIZATION, 0, cmd_foreign},
    {SPAN("HEAD"), STATE_AUTHORIZATION, 0, cmd_foreign},
    {SPAN("POST"), STATE_AUTHORIZATION, 0, cmd_foreign},
    {SPAN("PUT"), STATE_AUTHORIZATION, 0, cmd_foreign},
    {SPAN("OPTIONS"), STATE_AUTHORIZATION, 0, cmd_foreign},
    {SPAN("CONNECT"), STATE_AUTHORIZATION, 0, cmd_foreign},
};

/* --- replies --- */

void session_send(struct session *s, struct span octets)
{
    if (!s->is_dead && conn_write_span(s->conn, octets) < 0) {
        s->ended = "no memory";
        s->is_dead = true;
    }
}

void session_say(struct session *s, const char *reply)
{
    session_send(s, span_of(reply));
    session_send(s, SPAN("\r\n"));
}

void session_sayf(struct session *s, const char *reply, ...)
{
    char line[512]; /* RFC 2449 4: with CRLF; our texts are shorter */
    va_list ap;
    va_start(ap, reply);
    int n = vsnprintf(line, sizeof line, reply, ap);
    va_end(ap);
    if (n > 0 && (size_t)n < sizeof line)
        session_say(s, line);
}

void session_finish(struct session *s, const char *reply, const char *why)
{
    session_close_box(s);
    session_say(s, reply);
    s->ended = why;
    s->is_finishing = true;
    conn_finish(s->conn);
}

void session_error(struct session *s, const char *reply)
{
    if (++s->errors >= s->set.errors_max)
        session_finish(s, REPLY_ERRORS, "errors");
    else
        session_say(s, reply);
}

/* --- commands --- */

int session_number(struct span arg, uint64_t *number)
{
    struct span digits = span_trim(arg);
    if (digits.n > 1 && digits.p[0] == '0')
        return -1;
    return span_u64(digits, number);
}

static const struct verb *verb_find(struct span word)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (span_ieq(verbs[i].word, word))
            return &verbs[i];
    return NULL;
}

static void run(struct session *s, struct span line)
{
    struct span rest = line;
    struct span word = span_cut(&rest, ' ');
    const struct verb *v = verb_find(word);
    if (v == NULL)
        session_error(s, REPLY_UNKNOWN);
    else if (!(v->states & (unsigned)s->state))
        session_error(s, REPLY_STATE);
    else if ((v->flags & VERB_NO_ARG) && span_trim(rest).n > 0)
        session_error(s, REPLY_ARGUMENT);
    else if ((v->flags & VERB_ARG) && span_trim(rest).n == 0)
        session_error(s, REPLY_ARGUMENT);
    else
        v->run(s, rest);
}

/* The line that is too long ends somewhere; until then nothing of it is a command. */
static bool skip_line(struct session *s)
{
    struct span in = conn_input(s->conn);
    const char *lf = in.n > 0 ? memchr(in.p, '\n', in.n) : NULL;
    size_t n = lf == NULL ? in.n : (size_t)(lf - in.p) + 1;
    s->is_skipping = lf == NULL;
    s->skipped += n;
    conn_consume(s->conn, n);
    if (s->skipped > SKIP_MAX)
        session_finish(s, REPLY_TOO_LONG, "line too long");
    else if (lf != NULL)
        session_error(s, REPLY_TOO_LONG);
    return n > 0;
}

static void rearm(struct session *s)
{
    if (s->state != STATE_AUTHORIZATION) {
        conn_deadline(s->conn, IDLE_MS);
        return;
    }
    int64_t left = s->started_ms + LOGIN_MS - clock_mono_ms();
    conn_deadline(s->conn, left < 1 ? 1 : left < LINE_MS ? left : LINE_MS);
}

/* false: there is no whole command. */
static bool take_command(struct session *s)
{
    struct span line;
    size_t used;
    if (s->is_skipping)
        return skip_line(s);
    switch (line_take(conn_input(s->conn), s->sasl != NULL ? SASL_LINE_MAX : LINE_OCTETS, &line,
                      &used)) {
    case LINE_MORE:
        return false;
    case LINE_TOO_LONG:
        s->skipped = 0;
        s->is_skipping = true;
        return true;
    case LINE_BARE:
    case LINE_NUL:
        session_finish(s, REPLY_NOT_A_LINE, "not a line");
        return true;
    case LINE_OK:
        break;
    }
    rearm(s);
    s->active_ms = clock_mono_ms();
    if (s->sasl != NULL)
        sasl_take_line(s, line);
    else
        run(s, line);
    conn_consume(s->conn, used);
    return true;
}

/* --- the session goes on --- */

static bool is_free(const struct session *s)
{
    return !s->is_dead && !s->is_finishing && !s->is_waiting;
}

static void one_thing(struct session *s, bool *is_idle)
{
    if (s->job.kind != JOB_NONE)
        job_step(s);
    else if (s->state == STATE_TRANSACTION && s->box == NULL)
        session_finish(s, REPLY_BOX_GONE, "mailbox gone");
    else if (s->is_draining)
        session_finish(s, REPLY_STOPPING, "stopping");
    else
        *is_idle = !take_command(s);
}

bool session_offers_tls(const struct session *s)
{
    return !conn_is_tls(s->conn) && s->host->tls(s->host->owner) != NULL;
}

static void begin_tls(struct session *s)
{
    struct tls_server *tls = s->host->tls(s->host->owner);
    s->wants_tls = false;
    if (tls != NULL && conn_start_tls(s->conn, tls, s->set.tls_timeout_ms) == 0)
        return;
    s->ended = tls == NULL ? "no usable certificate" : "no memory";
    s->is_finishing = true;
    conn_finish(s->conn);
}

/* What came in the same flight came in the clear, from whomever. */
static void answer_stls(struct session *s)
{
    if (conn_input(s->conn).n > 0) {
        s->wants_tls = false;
        session_finish(s, REPLY_EARLY, "input ahead of TLS");
        return;
    }
    session_say(s, REPLY_STLS);
    begin_tls(s);
}

void session_go_on(struct session *s)
{
    bool is_idle = false;
    while (!is_idle && is_free(s) && !s->job.is_past && conn_unsent(s->conn) <= OUT_BUSY)
        one_thing(s, &is_idle);
    if (s->wants_tls && !s->is_dead)
        answer_stls(s);
    if (s->is_dead) {
        session_free(s);
        return;
    }
    if (is_idle != s->wants_input && !s->is_finishing) {
        s->wants_input = is_idle;
        conn_want_input(s->conn, is_idle);
    }
}

void session_resume(struct session *s)
{
    s->is_waiting = false;
    if (!s->is_dead && !s->is_finishing)
        rearm(s);
    session_go_on(s);
}

void session_drain(struct session *s)
{
    s->is_draining = true;
    session_go_on(s);
}

bool session_is_nobody(const struct session *s)
{
    return s->state == STATE_AUTHORIZATION && s->login_tag == 0 && !s->is_opening;
}

void session_shed(struct session *s)
{
    s->ended = "made room for another";
    if (!conn_is_tls(s->conn) && !s->set.is_implicit && !s->is_finishing &&
        send(conn_fd(s->conn), REPLY_FULL, strlen(REPLY_FULL), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        shutdown(conn_fd(s->conn), SHUT_WR);
    session_free(s);
}

static void on_input(void *owner)
{
    session_go_on(owner);
}

static void on_drained(void *owner)
{
    struct session *s = owner;
    s->job.is_past = false;
    if (s->job.kind != JOB_NONE)
        rearm(s); /* the client takes what it asked for */
    session_go_on(s);
}

static void on_ended(void *owner, enum conn_end why)
{
    struct session *s = owner;
    static const char *const texts[] = {
        [CONN_EOF] = "connection closed", [CONN_ERROR] = "connection lost",
        [CONN_TIMEOUT] = "timeout",       [CONN_FLUSHED] = "finished",
        [CONN_TLS] = "TLS failed",
    };
    if (why == CONN_TLS)
        s->host->tls_failed(s->host->owner, s, conn_tls_why(s->conn));
    if (s->ended == NULL)
        s->ended = texts[why];
    session_free(s);
}

/* --- beginning and end --- */

/* The session begins anew: nothing that was said in the clear is left (RFC 2595 4). */
static void on_secured(void *owner)
{
    struct session *s = owner;
    tls_service_log(s->id, conn_tls(s->conn));
    free(s->user);
    s->user = NULL;
    s->state = STATE_AUTHORIZATION;
    s->is_skipping = false;
    s->set.may_log_in = true;
    if (s->set.is_implicit)
        session_say(s, REPLY_GREETING);
    session_resume(s);
}

static const struct conn_ops conn_ops = {
    .input = on_input, .drained = on_drained, .secured = on_secured, .ended = on_ended};

struct session *session_new(const struct session_host *host, const struct session_settings *set,
                            int fd, const struct netaddr *client)
{
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL) {
        close(fd);
        return NULL;
    }
    *s = (struct session){.host = host,
                          .set = *set,
                          .id = id_new(),
                          .client = *client,
                          .started_ms = clock_mono_ms(),
                          .active_ms = clock_mono_ms(),
                          .state = STATE_AUTHORIZATION,
                          .wants_input = true,
                          .granted_fd = -1,
                          .job.fd = -1};
    timer_init(&s->opening, host->loop, box_silent, s);
    s->conn = conn_new(host->loop, fd, &conn_ops, s, IN_MAX, OUT_MAX);
    if (s->conn == NULL) {
        free(s);
        return NULL;
    }
    rearm(s);
    if (set->is_implicit) {
        s->is_waiting = true;
        begin_tls(s);
    } else {
        session_say(s, REPLY_GREETING);
    }
    if (s->is_dead) { /* who hears no greeting says nothing, and would wait */
        conn_free(s->conn);
        free(s);
        return NULL;
    }
    return s;
}

void session_close_box(struct session *s)
{
    timer_stop(&s->opening);
    collected_tell(&s->collected, s->box);
    ipc_close(s->box);
    s->box = NULL;
}

static void log_end(const struct session *s)
{
    char client[NETADDR_TEXT];
    netaddr_format(client, &s->client);
    const char *why = s->ended != NULL ? s->ended : "stopping";
    if (s->state == STATE_AUTHORIZATION) {
        LOG(s->id, "closed", LZ("client", client), LZ("why", why));
        return;
    }
    LOG(s->id, "closed", LZ("user", s->user), LZ("client", client), LZ("why", why),
        LN("messages", (int64_t)s->totals.messages), LN("octets", (int64_t)s->totals.octets),
        LN("retrieved", (int64_t)s->totals.retrieved),
        LN("retrieved_octets", (int64_t)s->totals.retrieved_octets),
        LN("top", (int64_t)s->totals.topped), LN("deleted", (int64_t)s->totals.removed),
        LN("deleted_octets", (int64_t)s->totals.removed_octets),
        LN("left", (int64_t)(s->totals.messages - s->totals.removed)));
}

void session_free(struct session *s)
{
    log_end(s);
    session_close_box(s);
    sasl_drop(s);
    if (s->login_tag != 0)
        ipc_cancel(s->host->authd(s->host->owner), s->login_tag);
    job_stop(s);
    drop_free(&s->drop);
    conn_free(s->conn);
    free(s->user);
    s->host->closed(s->host->owner, s);
    free(s);
}
