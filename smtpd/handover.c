#include "smtpd/handover.h"

#include "common/seal.h"

static void decide(struct txn *t, uint8_t verdict, uint8_t reason)
{
    t->is_decided = true;
    t->verdict = verdict;
    t->reason = reason;
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
        decide(t, m->queue_open_re.verdict, m->queue_open_re.reason);
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
enum reply handover_reply(const struct txn *t)
{
    static const enum reply later[] = {
        [INTAKE_DISK] = R_DISK_FULL,        [INTAKE_QUOTA] = R_MAILBOX_FULL,
        [INTAKE_RATE] = R_USER_TOO_FAST,    [INTAKE_LOGIN] = R_LOGIN_LOST,
        [INTAKE_UNVERIFIED] = R_UNVERIFIED,
    };
    static const enum reply never[] = {
        [INTAKE_TOO_BIG] = R_TOO_BIG,     [INTAKE_RELAYING] = R_NO_RELAYING,
        [INTAKE_CONTENT] = R_CONTENT_BAD, [INTAKE_SENDER] = R_NOT_YOURS,
        [INTAKE_NOBODY] = R_NO_SUCH_USER,
    };
    enum reply r = R_TRY_LATER;
    if (t->verdict == VERDICT_OK)
        return R_QUEUED;
    if (t->verdict == VERDICT_NEVER && t->reason < sizeof never / sizeof never[0] &&
        never[t->reason] != 0)
        r = never[t->reason];
    else if (t->reason < sizeof later / sizeof later[0] && later[t->reason] != 0)
        r = later[t->reason];
    return r;
}
