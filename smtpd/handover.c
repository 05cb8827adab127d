#include "smtpd/handover.h"

#include "common/seal.h"

static void decide(struct txn *t, uint8_t verdict, uint8_t reason)
{
    t->is_decided = true;
    t->verdict = verdict;
    t->reason = reason;
}

/* A verdict for each of them, or one for all. */
static void take_verdicts(struct txn *t, const struct msg_queue_open_re *m)
{
    t->has_each = t->each != NULL && m->each.n > 0 && m->each.n == 2 * t->n_rcpts;
    if (t->has_each)
        memcpy(t->each, m->each.p, m->each.n);
    bool is_odd = m->each.n > 0 && !t->has_each;
    decide(t, is_odd ? VERDICT_TRY_LATER : m->verdict, is_odd ? INTAKE_FAULT : m->reason);
}

/* No answer (the queue died, or took too long) means that we do not know: later. An answer before
 * the last part can only be a refusal. */
static void answered(void *arg, const union msg *m, int fd)
{
    (void)fd; /* the table allows none */
    struct session *s = arg;
    struct txn *t = s->txn;
    bool is_too_early =
        s->wait != WAIT_QUEUE && m != NULL && m->queue_open_re.verdict == VERDICT_OK;
    if (m == NULL)
        s->rules.ops->queue_abort(s->rules.client, t->tag);
    t->tag = 0;
    if (m == NULL || is_too_early)
        decide(t, VERDICT_TRY_LATER, INTAKE_FAULT);
    else
        take_verdicts(t, &m->queue_open_re);
    data_decided(s);
}

/* As many of the recipients that are left as fit into one message. */
static struct span next_rcpts(const struct txn *t)
{
    struct span all = buf_span(&t->rcpts);
    struct unpacker records = unpacker_on(all);
    struct rcpt r;
    size_t fits = 0;
    while (rcpt_next(&records, &r) && all.n - records.left.n <= LIST_MAX)
        fits = all.n - records.left.n;
    return (struct span){all.p, fits};
}

static bool send_open(struct session *s, struct span rcpts, struct span content, bool is_last)
{
    struct txn *t = s->txn;
    char client[NETADDR_TEXT];
    netaddr_format(client, &s->rules.peer);
    struct msg_queue_open m = {
        .id = t->id,
        .session = s->id,
        .sender = span_of(t->sender),
        .client = span_of(client),
        .helo = span_of(s->helo),
        .ticket = {(const char *)s->ticket, s->login != NULL ? sizeof s->ticket : 0},
        .body_8bit = t->body_8bit,
        .size = t->declared,
        .ret = t->ret,
        .is_utf8 = t->is_utf8,
        .requires_tls = t->requires_tls,
        .hold_until = (uint64_t)t->hold_until,
        .hold_request = span_of(t->hold_request),
        .is_each = txn_is_each(s),
        .envid = span_of(t->envid),
        .rcpts = rcpts,
        .content = content,
        .is_last = is_last,
    };
    t->tag = s->rules.ops->queue_open(s->rules.client, &m, answered, s);
    t->is_handed = true;
    return t->tag != 0;
}

static bool send_more(struct session *s, struct span rcpts, struct span content, bool is_last)
{
    struct msg_queue_more m = {
        .tag = s->txn->tag, .rcpts = rcpts, .content = content, .is_last = is_last};
    return s->rules.ops->queue_more(s->rules.client, &m) == 0;
}

/* Recipients go first; content with the last of them. */
static bool send_part(struct session *s, bool is_last)
{
    struct txn *t = s->txn;
    bool is_rest;
    do {
        struct span rcpts = next_rcpts(t);
        is_rest = rcpts.n == buf_span(&t->rcpts).n;
        struct span content = {t->content, is_rest ? t->n_content : 0};
        bool ok = t->is_handed ? send_more(s, rcpts, content, is_last && is_rest)
                               : send_open(s, rcpts, content, is_last && is_rest);
        if (!ok)
            return false;
        buf_consume(&t->rcpts, rcpts.n);
    } while (!is_rest);
    return true;
}

void handover_send(struct session *s, bool is_last)
{
    struct txn *t = s->txn;
    if (send_part(s, is_last)) {
        t->sent += t->n_content;
        t->n_content = 0;
        return;
    }
    handover_drop(s);
    decide(t, VERDICT_TRY_LATER, INTAKE_FAULT);
}

void handover_drop(struct session *s)
{
    struct txn *t = s->txn;
    if (t->tag != 0)
        s->rules.ops->queue_abort(s->rules.client, t->tag);
    t->tag = 0;
    t->n_content = 0;
}

/* A refusal for good needs a verdict and a reason that both say so. */
static enum reply reply_for(uint8_t verdict, uint8_t reason)
{
    static const enum reply later[] = {
        [INTAKE_DISK] = R_DISK_FULL,        [INTAKE_QUOTA] = R_MAILBOX_FULL,
        [INTAKE_RATE] = R_USER_TOO_FAST,    [INTAKE_LOGIN] = R_LOGIN_LOST,
        [INTAKE_UNVERIFIED] = R_UNVERIFIED, [INTAKE_HELD] = R_HOLD_FULL,
    };
    static const enum reply never[] = {
        [INTAKE_TOO_BIG] = R_TOO_BIG,     [INTAKE_RELAYING] = R_NO_RELAYING,
        [INTAKE_CONTENT] = R_CONTENT_BAD, [INTAKE_SENDER] = R_NOT_YOURS,
        [INTAKE_NOBODY] = R_NO_SUCH_USER,
    };
    enum reply r = R_TRY_LATER;
    if (verdict == VERDICT_OK)
        return R_QUEUED;
    if (verdict == VERDICT_NEVER && reason < sizeof never / sizeof never[0] && never[reason] != 0)
        r = never[reason];
    else if (reason < sizeof later / sizeof later[0] && later[reason] != 0)
        r = later[reason];
    return r;
}

enum reply handover_reply(const struct txn *t)
{
    return reply_for(t->verdict, t->reason);
}

/* What was not taken as a whole nobody has, whatever else is said. */
enum reply handover_reply_to(const struct txn *t, size_t rcpt)
{
    if (!t->has_each)
        return handover_reply(t);
    uint8_t verdict = (uint8_t)t->each[2 * rcpt], reason = (uint8_t)t->each[2 * rcpt + 1];
    bool is_odd = verdict == VERDICT_OK && t->verdict != VERDICT_OK;
    return is_odd ? R_TRY_LATER : reply_for(verdict, reason);
}
