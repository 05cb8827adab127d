/* STLS USER PASS QUIT: the way into a maildrop and out of it. */
#include "pop3d/cmd.h"

#include "common/id.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/utf8.h"
#include "common/verdict.h"

/* RFC 2595 4. The session goes on with it when it has taken this line: see session_go_on. */
void cmd_stls(struct session *s, struct span arg)
{
    (void)arg;
    if (conn_is_tls(s->conn)) {
        session_error(s, REPLY_TLS_ALREADY);
    } else if (!session_offers_tls(s)) {
        session_error(s, REPLY_NO_TLS);
    } else {
        s->wants_tls = true;
        s->is_waiting = true;
    }
}

void cmd_foreign(struct session *s, struct span arg)
{
    (void)arg;
    session_finish(s, REPLY_NOT_POP3, "not POP3");
}

static void forget_user(struct session *s)
{
    free(s->user);
    s->user = NULL;
}

void cmd_user(struct session *s, struct span arg)
{
    forget_user(s);
    if (!s->set.may_log_in) {
        session_error(s, REPLY_NEEDS_TLS);
        return;
    }
    if (!utf8_is_valid(arg)) { /* RFC 6856 2.2 */
        session_error(s, REPLY_NOT_UTF8);
        return;
    }
    s->user = span_dup(span_trim(arg));
    session_say(s, s->user != NULL ? REPLY_USER : REPLY_LOGIN_BUSY);
}

/* --- a login that fails --- */

/* Ours, not the user's fault: he may try again at once. */
static void not_now(struct session *s, const char *reply)
{
    session_close_box(s);
    drop_free(&s->drop);
    forget_user(s);
    s->is_opening = false;
    session_say(s, reply);
    session_resume(s);
}

/* authd logs the name if there is such a user; what was typed as one may be a password. The wait
 * that a wrong password costs is in its answer. */
static void refused(struct session *s, const char *reply, const char *why)
{
    char client[NETADDR_TEXT];
    netaddr_format(client, &s->client);
    LOG(s->id, "login-failed", LZ("client", client), LZ("why", why));
    forget_user(s);
    if (++s->failures >= s->set.failures_max)
        session_finish(s, REPLY_FAILURES, "failed logins");
    else
        session_say(s, reply);
    session_resume(s);
}

void box_silent(void *session)
{
    not_now(session, REPLY_NO_BOX);
}

/* --- a login that succeeds: the maildrop is opened and listed --- */

static void enter_transaction(struct session *s)
{
    char client[NETADDR_TEXT];
    netaddr_format(client, &s->client);
    s->is_opening = false;
    s->errors = 0;
    s->totals.messages = s->drop.n;
    s->totals.octets = s->drop.octets;
    s->state = STATE_TRANSACTION;
    LOG(s->id, "login", LZ("user", s->user), LZ("client", client),
        LN("messages", (int64_t)s->drop.n), LN("octets", (int64_t)s->drop.octets));
    session_sayf(s, REPLY_OPEN, s->drop.n, (unsigned long long)s->drop.octets);
    session_resume(s);
}

static void listed(void *arg, const union msg *answer, int fd)
{
    struct session *s = arg;
    const struct msg_box_list_re *r = answer != NULL ? &answer->box_list_re : NULL;
    bool is_sane =
        r != NULL && r->verdict == VERDICT_OK && drop_open(&s->drop, fd, r->n, r->text) == 0;
    if (fd >= 0)
        close(fd);
    if (is_sane)
        enter_transaction(s);
    else
        not_now(s, REPLY_NO_BOX);
}

static void ask_listing(struct session *s)
{
    struct msg_box_list m = {0};
    if (ipc_ask_box_list(s->box, &m, -1, ANSWER_MS, listed, s) == 0)
        not_now(s, REPLY_NO_BOX);
}

static void box_opened(void *owner, struct ipc *from, const union msg *m, int fd)
{
    struct session *s = owner;
    (void)from, (void)fd;
    if (!s->is_opening || !s->opening.is_set) { /* said twice: whatever this is, trust it no more */
        s->ended = "mailbox misbehaves";
        s->is_dead = true;
        session_go_on(s);
        return;
    }
    timer_stop(&s->opening);
    s->expire_days = m->box_opened.expire_days;
    if (m->box_opened.verdict == VERDICT_OK)
        ask_listing(s);
    else if (m->box_opened.reason == BOX_IN_USE)
        not_now(s, REPLY_IN_USE);
    else
        not_now(s, m->box_opened.reason == BOX_TOO_SOON ? REPLY_TOO_SOON : REPLY_NO_BOX);
}

static void box_lost(void *owner, struct ipc *ch)
{
    struct session *s = owner;
    (void)ch;
    if (s->is_opening) {
        not_now(s, REPLY_NO_BOX);
        return;
    }
    session_close_box(s); /* session_go_on says so when nothing is being sent */
    session_go_on(s);
}

static const struct ipc_handler box_handlers[] = {{MSG_BOX_OPENED, box_opened}};
static const struct ipc_ops box_ops = {
    .handlers = box_handlers, .n_handlers = 1, .on_close = box_lost};

static void granted(struct session *s, struct span address, int fd)
{
    char *user = span_dup(address);
    if (user == NULL) {
        close(fd);
        not_now(s, REPLY_NO_BOX);
        return;
    }
    forget_user(s);
    s->user = user;
    s->is_opening = true;
    s->box = ipc_open(s->host->loop, fd, ROLE_POP3D, ROLE_MAILBOX, &box_ops, s);
    if (s->box == NULL)
        not_now(s, REPLY_NO_BOX);
    else
        timer_set(&s->opening, ANSWER_MS);
}

void login_decided(struct session *s, const struct msg_login_re *r, int fd)
{
    if (r != NULL && r->verdict == VERDICT_OK && fd >= 0) {
        granted(s, r->address, fd);
        return;
    }
    if (fd >= 0)
        close(fd);
    if (r != NULL && r->reason == LOGIN_THROTTLED)
        refused(s, REPLY_THROTTLED, "throttled");
    else if (r == NULL || r->verdict != VERDICT_NEVER)
        not_now(s, REPLY_LOGIN_BUSY);
    else if (r->reason == LOGIN_DISABLED)
        refused(s, REPLY_DISABLED, "disabled");
    else if (r->reason == LOGIN_EXPIRED)
        refused(s, REPLY_EXPIRED, "expired");
    else
        refused(s, REPLY_WRONG, "wrong");
}

static void logged_in(void *arg, const union msg *answer, int fd)
{
    struct session *s = arg;
    s->login_tag = 0;
    login_decided(s, answer != NULL ? &answer->login_re : NULL, fd);
}

/* The rest of the line is the password, spaces and all (RFC 1939 7). */
void cmd_pass(struct session *s, struct span arg)
{
    if (!s->set.may_log_in || s->user == NULL) {
        session_error(s, s->set.may_log_in ? REPLY_NO_USER : REPLY_NEEDS_TLS);
        return;
    }
    if (!utf8_is_valid(arg)) {
        forget_user(s);
        session_error(s, REPLY_NOT_UTF8);
        return;
    }
    char client[NETADDR_TEXT];
    netaddr_format(client, &s->client);
    struct msg_login m = {.service = SERVICE_POP3,
                          .session = s->id,
                          .client = span_of(client),
                          .user = span_of(s->user),
                          .password = arg};
    struct ipc *authd = s->host->authd(s->host->owner);
    conn_deadline(s->conn, 2 * CHECK_MS); /* the client has done its part */
    s->login_tag = ipc_ask_login(authd, &m, -1, CHECK_MS, logged_in, s);
    s->is_waiting = s->login_tag != 0;
    if (!s->is_waiting) {
        forget_user(s);
        session_say(s, REPLY_LOGIN_BUSY);
    }
}

/* --- the end --- */

static void removed(void *arg, const union msg *answer, int fd)
{
    struct session *s = arg;
    (void)fd;
    char session[ID_TEXT];
    id_format(session, s->id);
    if (answer == NULL || answer->box_update_re.verdict != VERDICT_OK) {
        session_finish(s, REPLY_NOT_REMOVED, "not removed");
        session_resume(s);
        return;
    }
    for (size_t i = 0; s->drop.n_deleted > 0 && i < s->drop.n; i++)
        if (drop_has_deleted(&s->drop, i + 1))
            LOG(s->drop.listing.list[i].id, "deleted", LZ("session", session), LZ("user", s->user));
    s->totals.removed = s->drop.n_deleted;
    s->totals.removed_octets = s->totals.octets - s->drop.octets;
    session_finish(s, REPLY_BYE, "quit");
    session_resume(s);
}

/* One part of the update; the first one is the question. 0, or -1. */
static int send_part(struct session *s, struct msg_box_update *m)
{
    if (m->tag != 0)
        return ipc_send_box_update(s->box, m, -1);
    return ipc_ask_box_update(s->box, m, -1, UPDATE_MS, removed, s) != 0 ? 0 : -1;
}

static int send_update(struct session *s)
{
    char octets[LIST_MAX];
    struct packer w = packer_on(octets, sizeof octets);
    struct msg_box_update m = {0};
    size_t left = s->drop.n_deleted;
    for (size_t i = 0; i < s->drop.n && left > 0; i++) {
        if (!drop_has_deleted(&s->drop, i + 1))
            continue;
        pack_uint(&w, s->drop.listing.list[i].sequence, 8);
        if (--left > 0 && w.n + 8 <= w.cap)
            continue;
        m.sequences = packer_span(&w);
        m.is_last = left == 0;
        if (send_part(s, &m) < 0) {
            ipc_cancel(s->box, m.tag);
            return -1;
        }
        w = packer_on(octets, sizeof octets);
    }
    return 0;
}

void cmd_quit(struct session *s, struct span arg)
{
    (void)arg;
    if (s->state == STATE_TRANSACTION)
        s->state = STATE_UPDATE;
    collected_tell(&s->collected, s->box); /* before they are gone */
    if (s->drop.n_deleted == 0)
        session_finish(s, REPLY_BYE, "quit");
    else if (send_update(s) < 0)
        session_finish(s, REPLY_NOT_REMOVED, "not removed");
    else
        s->is_waiting = true;
}
