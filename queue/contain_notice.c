/* The postmaster is told of each user who is contained: one message, in the transaction that marks
 * it as sent. Where his mail goes authd says. */
#include "common/buf.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/log.h"
#include "common/utf8.h"
#include "common/verdict.h"
#include "queue/contain.h"
#include "queue/deliver.h"
#include "queue/dispatch.h"

#define NOTICE_MAX  4000
#define DEADLINE_MS 30000
#define AGAIN_MS    15000

/* Values of the column contained.told. */
enum told { TOLD_NOBODY, TOLD_LOG, TOLD_POSTMASTER };

struct notices {
    struct waiter waiter; /* first: the commit gives it back */
    struct queue *q;
    bool is_wanted;
    bool is_busy; /* from the question who the postmaster is to the commit */
    uint64_t tag; /* of the question, 0: none */
    struct timer again;
    struct targets targets;
    uint64_t id;               /* of the message; 0: there is nobody to tell */
    char who[ADDRESS_MAX + 1]; /* that it is about */
};

static void fire(void *arg)
{
    ((struct notices *)arg)->is_wanted = true;
}

struct notices *notices_new(struct queue *q)
{
    struct notices *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    n->q = q;
    n->is_wanted = true;
    timer_init(&n->again, q->loop, fire, n);
    return n;
}

void notices_free(struct queue *q)
{
    struct notices *n = q->notices;
    if (n == NULL)
        return;
    timer_stop(&n->again);
    if (n->tag != 0)
        ipc_cancel(q->authd, n->tag);
    targets_free(&n->targets);
    free(n);
    q->notices = NULL;
}

void notices_kick(struct queue *q)
{
    q->notices->is_wanted = true;
}

bool notices_are_idle(const struct queue *q)
{
    return !q->notices->is_busy;
}

static void over(struct notices *n, bool is_done)
{
    targets_free(&n->targets);
    n->is_busy = false;
    if (is_done)
        n->is_wanted = true; /* there may be another */
    else if (!n->again.is_set)
        timer_set(&n->again, AGAIN_MS);
}

static void settled(struct waiter *w, enum outcome o)
{
    struct notices *n = (struct notices *)w;
    char id[ID_TEXT] = "";
    if (o != OUTCOME_SAVED) {
        over(n, false);
        return;
    }
    if (n->id != 0)
        id_format(id, n->id);
    LOG(n->id, n->id != 0 ? "postmaster-told" : "postmaster-missing", LZ("about", n->who));
    if (n->id != 0) {
        struct message m = {.id = n->id};
        dispatch_fresh_all(n->q, &m, &n->targets);
    }
    over(n, true);
}

/* --- the message --- */

static int compose(const struct notices *n, const struct containment *c, struct buf *out)
{
    const char *host = n->q->config->hostname;
    char id[ID_TEXT], now[CLOCK_TEXT_MAX], since[CLOCK_TEXT_MAX];
    id_format(id, n->id);
    clock_rfc5322(now, clock_wall_s());
    clock_rfc5322(since, c->since);
    return buf_addf(out,
                    "From: Mail queue <MAILER-DAEMON@%s>\r\n"
                    "To: <postmaster@%s>\r\n"
                    "Subject: Outgoing mail of a user is held\r\n"
                    "Date: %s\r\n"
                    "Message-ID: <%s@%s>\r\n"
                    "Auto-Submitted: auto-generated\r\n"
                    "MIME-Version: 1.0\r\n"
                    "Content-Type: text/plain; charset=utf-8\r\n"
                    "Content-Transfer-Encoding: 8bit\r\n"
                    "\r\n",
                    host, host, now, id, host) |
           buf_addf(out,
                    "The user\r\n\r\n    %s\r\n\r\nsent %.*s\r\n(%s).\r\n\r\n"
                    "Somebody may have got hold of the password. Mail of this user to other\r\n"
                    "servers is accepted and held until you decide; mail to mailboxes here is\r\n"
                    "delivered. Nothing is lost.\r\n\r\n"
                    "What is held:      barid queue list --login %s\r\n"
                    "Why, since when:   barid user show %s\r\n"
                    "Send it after all: barid user release %s\r\n"
                    "Throw it away:     barid user release %s --purge\r\n\r\n"
                    "If it was a stranger, set a new password first: barid user passwd\r\n",
                    n->who, (int)c->why.n, c->why.p, since, n->who, n->who, n->who, n->who);
}

static enum intake_reason deliver_notice(struct notices *n, struct span content)
{
    struct content_scan scan;
    int64_t now_s = clock_wall_s();
    content_begin(&scan);
    content_add(&scan, content);
    content_end(&scan);
    if (scan.is_damaged)
        return INTAKE_FAULT;
    struct message m = {.id = n->id,
                        .arrived = now_s,
                        .expires = now_s + n->q->config->relay.delivery.expire_ms / 1000,
                        .size = scan.octets,
                        .header = scan.header,
                        .flags = scan.flags};
    memcpy(m.hash, scan.hash, sizeof m.hash);
    struct delivery d = {
        .message = &m, .content = content, .targets = &n->targets, .passes_quota = true};
    return deliver(n->q->store, &d);
}

/* 0, or -1: undo it and try later. */
static int write_notice(struct notices *n)
{
    struct containment c;
    struct buf out;
    enum found f = store_contained_get(n->q->store, span_of(n->who), &c);
    buf_init(&out, NOTICE_MAX);
    int rc = f == FOUND_YES ? compose(n, &c, &out) : f == FOUND_NONE ? 1 : -1;
    store_contained_end(n->q->store);
    if (rc == 0 && deliver_notice(n, buf_span(&out)) != INTAKE_OK)
        rc = -1;
    buf_free(&out);
    if (rc == 1)
        n->id = 0; /* he was released meanwhile */
    return rc < 0 ? -1 : 0;
}

/* Ends in settled() or over(). */
static void save(struct notices *n)
{
    struct batch *b = &n->q->batch;
    if (batch_begin(b) < 0) {
        over(n, false);
        return;
    }
    n->waiter.settled = settled;
    if ((n->id == 0 || write_notice(n) == 0) &&
        store_contained_tell(n->q->store, span_of(n->who), TOLD_POSTMASTER) == 0) {
        batch_keep(b, &n->waiter);
        return;
    }
    batch_undo(b);
    over(n, false);
}

static void answered(void *arg, const union msg *answer, int fd)
{
    (void)fd; /* the table allows none */
    struct notices *n = arg;
    struct queue *q = n->q;
    struct rcpt to = {.address = SPAN("postmaster"), .notify = NOTIFY_NEVER};
    int rc = 0;
    n->tag = 0;
    if (answer == NULL ||
        (answer->resolve_re.verdict != VERDICT_OK && answer->resolve_re.verdict != VERDICT_NEVER)) {
        over(n, false);
        return;
    }
    to.sealed = answer->resolve_re.sealed;
    if (answer->resolve_re.verdict == VERDICT_OK && answer->resolve_re.kind == ADDRESS_LOCAL)
        rc = q->has_key ? targets_add_sealed(&n->targets, &to, q->key, clock_wall_s()) : -1;
    else
        n->id = 0;
    targets_tidy(&n->targets);
    if (rc < 0)
        over(n, false);
    else
        save(n);
}

/* A name that can stand in a line of text and in a command. */
static bool is_printable(struct span who)
{
    for (size_t i = 0; i < who.n; i++)
        if ((unsigned char)who.p[i] <= ' ' || who.p[i] == 0x7f)
            return false;
    return who.n > 0 && utf8_is_valid(who);
}

/* The next one at this stage, into n->who. False: there is none. */
static bool next(struct notices *n, enum told told, struct containment *c)
{
    enum found f = store_contained_untold(n->q->store, told, c);
    bool fits = f == FOUND_YES && span_copy(n->who, sizeof n->who, c->who) == 0;
    if (f == FOUND_YES && (!fits || !is_printable(c->who)))
        LOG(0, "damaged", LZ("table", "contained"));
    return fits && is_printable(c->who);
}

/* Who is contained now and was not before is logged once: when that is on disk. */
static void log_new(struct notices *n)
{
    struct containment c;
    while (next(n, TOLD_NOBODY, &c)) {
        LOG(0, "user-contained", LZ("user", n->who), LS("because", c.why));
        store_contained_end(n->q->store);
        if (batch_begin(&n->q->batch) < 0)
            return;
        if (store_contained_tell(n->q->store, span_of(n->who), TOLD_LOG) < 0) {
            batch_undo(&n->q->batch);
            return;
        }
        batch_keep(&n->q->batch, NULL);
    }
    store_contained_end(n->q->store);
}

void notices_run(struct queue *q)
{
    struct notices *n = q->notices;
    struct containment c;
    if (!n->is_wanted || n->is_busy)
        return;
    log_new(n);
    n->is_wanted = false;
    bool is_one = next(n, TOLD_LOG, &c);
    store_contained_end(q->store);
    if (!is_one)
        return;
    n->is_busy = true;
    n->id = id_new();
    struct msg_resolve ask = {.address = SPAN("postmaster")};
    n->tag = ipc_ask_resolve(q->authd, &ask, -1, DEADLINE_MS, answered, n);
    if (n->tag == 0)
        over(n, false);
}
