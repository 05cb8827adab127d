/* MAIL and RCPT (RFC 5321 4.1.1.2, 4.1.1.3): the envelope. */
#include "common/addr.h"
#include "common/idn.h"
#include "smtpd/params.h"
#include "smtpd/verbs.h"

/* --- paths --- */

/* "FROM:<path> rest": 0 and what follows the path, or -1. A space before the path is what many
 * clients send, so it is no mistake. */
static int take_path(struct span argument, struct span keyword, enum addr_form form,
                     struct addr *path, struct span *rest)
{
    size_t used;
    if (!span_istarts(argument, keyword))
        return -1;
    struct span in = span_trim(span_from(argument, keyword.n));
    if (addr_parse(in, form, path, &used) < 0)
        return -1;
    *rest = span_from(in, used);
    return rest->n == 0 || rest->p[0] == ' ' ? 0 : -1;
}

/* RFC 6531 3.5: only the client that said SMTPUTF8 may write a path beyond ASCII. */
static bool needs_utf8(const struct session *s, struct span argument, struct span rest)
{
    return !s->txn->is_utf8 && !idn_is_ascii((struct span){argument.p, argument.n - rest.n});
}

static void sender_is_fine(struct session *s)
{
    s->state = STATE_MAIL;
    session_reply(s, R_SENDER_DONE);
}

static void refuse_sender(struct session *s, enum reply r)
{
    session_refuse(s, r, span_of(s->txn->sender));
    txn_reset(s);
}

/* What authd says about who logged in and this sender. Queue asks again when the message comes. */
static void sender_known(void *arg, const union msg *m, int fd)
{
    (void)fd; /* the table allows none */
    struct session *s = arg;
    enum admission p = admission_sender(m != NULL ? &m->ticket_re : NULL);
    s->rcpt_tag = 0;
    if (p == ADMISSION_SENDER_DONE)
        sender_is_fine(s);
    else
        refuse_sender(s, reply_of_admission(p));
    session_answered(s);
}

static void ask_about_sender(struct session *s)
{
    struct msg_ticket m = {.ticket = {(const char *)s->ticket, sizeof s->ticket},
                           .session = s->id,
                           .sender = span_of(s->txn->sender)};
    s->rcpt_of = ROLE_AUTHD;
    s->rcpt_tag = s->rules.ops->ticket(s->rules.client, &m, sender_known, s);
    if (s->rcpt_tag == 0)
        refuse_sender(s, R_TRY_LATER);
    else
        s->wait = WAIT_RCPT;
}

void cmd_mail(struct session *s, struct span argument)
{
    struct addr path;
    struct span rest;
    if (take_path(argument, SPAN("FROM:"), ADDR_REVERSE_PATH, &path, &rest) < 0) {
        session_refuse(s, R_BAD_SENDER, argument);
        return;
    }
    if (txn_begin(s, span_of(path.text)) < 0) {
        session_reply(s, R_TRY_LATER);
        return;
    }
    enum reply r = params_take(s, PARAM_MAIL, rest);
    if (r == R_SENDER_DONE && needs_utf8(s, argument, rest))
        r = R_NEEDS_UTF8;
    if (r != R_SENDER_DONE) {
        session_refuse(s, r, span_of(path.text));
        txn_reset(s);
        return;
    }
    if (s->login != NULL)
        ask_about_sender(s);
    else
        sender_is_fine(s);
}

/* --- RCPT --- */

static void add_rcpt(struct session *s, struct span sealed)
{
    struct txn *t = s->txn;
    struct rcpt r = {.address = span_of(t->asked),
                     .sealed = sealed,
                     .orcpt = span_of(t->asked_orcpt),
                     .notify = t->asked_notify};
    bool is_agreed = txn_agree(s, t->n_rcpts) == 0;
    if (!is_agreed || txn_add_rcpt(t, &r) < 0) {
        t->n_agreed -= is_agreed;
        session_refuse(s, R_TOO_MANY_RCPTS, r.address);
        return;
    }
    s->state = STATE_RCPT;
    session_reply(s, R_RCPT_OK);
}

/* The commit decides about room. This asks before, so that one full mailbox refuses its own
 * recipient and not the message for all. */
static void room_known(void *arg, const union msg *m, int fd)
{
    (void)fd; /* the table allows none */
    struct session *s = arg;
    enum admission p = admission_room(m != NULL ? &m->queue_room_re : NULL);
    s->rcpt_tag = 0;
    if (p == ADMISSION_RCPT_OK)
        add_rcpt(s, buf_span(&s->txn->asked_seal));
    else
        session_refuse(s, reply_of_admission(p), span_of(s->txn->asked));
    session_answered(s);
}

static void ask_room(struct session *s, struct span sealed)
{
    struct txn *t = s->txn;
    struct msg_queue_room m = {.address = span_of(t->asked), .sealed = sealed, .size = t->declared};
    buf_free(&t->asked_seal);
    if (buf_add_span(&t->asked_seal, sealed) == 0) {
        s->rcpt_of = ROLE_QUEUE;
        s->rcpt_tag = s->rules.ops->queue_room(s->rules.client, &m, room_known, s);
    }
    if (s->rcpt_tag == 0)
        session_refuse(s, R_TRY_LATER, span_of(t->asked));
}

static void resolved(void *arg, const union msg *m, int fd)
{
    (void)fd; /* the table allows none */
    struct session *s = arg;
    static const struct msg_resolve_re none = {.verdict = VERDICT_TRY_LATER};
    const struct msg_resolve_re *re = m != NULL ? &m->resolve_re : &none;
    const struct session_rules *rules = &s->rules;
    struct admission_facts facts = {
        .may_relay = rules->may_relay,
        .has_login = s->login != NULL,
        .is_user = s->login != NULL || (rules->may_relay && !rules->is_lmtp),
        .has_sender = s->txn->sender[0] != '\0',
        .is_backup = !rules->is_lmtp && rules->ops->is_backup != NULL &&
                     rules->ops->is_backup(rules->client, span_of(s->txn->asked))};
    enum admission p = admission_rcpt(&facts, re);
    s->rcpt_tag = 0;
    if (p == ADMISSION_ASK_ROOM)
        ask_room(s, re->kind == ADDRESS_LOCAL ? re->sealed : SPAN(""));
    else if (p == ADMISSION_RCPT_OK) /* elsewhere: nothing is sealed */
        add_rcpt(s, re->kind == ADDRESS_LOCAL ? re->sealed : SPAN(""));
    else
        session_refuse(s, reply_of_admission(p), span_of(s->txn->asked));
    if (s->rcpt_tag == 0) /* else queue was asked too */
        session_answered(s);
}

static void ask(struct session *s, struct span address)
{
    struct msg_resolve m = {.address = address, .sender = span_of(s->txn->sender)};
    if (span_copy(s->txn->asked, sizeof s->txn->asked, address) == 0) {
        s->rcpt_of = ROLE_AUTHD;
        s->rcpt_tag = s->rules.ops->resolve(s->rules.client, &m, resolved, s);
    }
    if (s->rcpt_tag == 0)
        session_refuse(s, R_TRY_LATER, address);
    else
        s->wait = WAIT_RCPT;
}

static void agree_again(struct session *s, size_t rcpt)
{
    session_reply(s, txn_agree(s, rcpt) == 0 ? R_RCPT_OK : R_TOO_MANY_RCPTS);
}

/* Where each RCPT costs a reply after the content, one that came before costs one more. */
static void take_rcpt(struct session *s, struct span address)
{
    const struct txn *t = s->txn;
    size_t known = txn_find_rcpt(t, address);
    bool is_known = known < t->n_rcpts;
    size_t n = txn_is_each(s) ? t->n_agreed : is_known ? 0 : t->n_rcpts;
    if (n >= txn_rcpts_max(s))
        session_refuse(s, R_TOO_MANY_RCPTS, address);
    else if (is_known)
        agree_again(s, known);
    else
        ask(s, address);
}

void cmd_rcpt(struct session *s, struct span argument)
{
    struct addr path;
    struct span rest;
    enum reply r;
    bool is_local = s->rules.peer.n == NETADDR_LOCAL; /* "root" is enough for them */
    enum addr_form form = is_local ? ADDR_LOCAL_PATH : ADDR_FORWARD_PATH;
    if (take_path(argument, SPAN("TO:"), form, &path, &rest) < 0)
        session_refuse(s, R_BAD_RCPT, argument);
    else if ((r = params_take(s, PARAM_RCPT, rest)) != R_RCPT_OK)
        session_refuse(s, r, argument);
    else if (needs_utf8(s, argument, rest))
        session_refuse(s, R_NEEDS_UTF8, span_of(path.text));
    else
        take_rcpt(s, span_of(path.text));
}
