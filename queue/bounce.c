#include "queue/bounce.h"

#include "common/clock.h"
#include "common/content.h"
#include "common/id.h"
#include "common/idn.h"
#include "common/log.h"
#include "common/stats.h"
#include "common/verdict.h"
#include "queue/deliver.h"
#include "queue/dispatch.h"
#include "queue/dsn.h"
#include "queue/lifetime.h"
#include "queue/parties.h"
#include "queue/warning.h"

#define AT_ONCE     20
#define LATE_MAX    64
#define DEADLINE_MS 30000
#define AGAIN_MS    15000
#define PUT_OFF_MAX 256
#define TOLD_MAX    1000 /* recipients in one notification; their text is bounded by dsn.c */

/* One notification under way: from the question who its sender is to the commit. */
struct bounce {
    struct waiter waiter; /* first: the commit gives it back */
    struct bounce *next, **at;
    struct queue *q;
    enum dsn_kind kind;
    uint64_t message; /* that it is about */
    uint64_t id;      /* of the notification; 0: nobody can be told */
    uint8_t
        requires_tls; /* CONTENT_REQUIRETLS of the message, which its report keeps (RFC 8689 5) */
    bool is_damaged;  /* the message: its failed recipients are held, for a person to look at */
    uint64_t tag;     /* of the question */
    struct targets targets;
    size_t n_told, n_failed;
    char reader[ADDRESS_MAX + 1]; /* it goes to him, about those of whom he is told; "": nobody */
};

struct bounces {
    struct queue *q;
    struct bounce *first;
    size_t n;
    bool is_wanted;
    uint64_t after; /* how far the search for failed recipients got */
    uint64_t late[LATE_MAX];
    size_t n_late;
    uint64_t put_off[PUT_OFF_MAX]; /* messages that could not be told about just now */
    size_t n_put_off;
    struct timer again; /* then they are tried again */
};

static void fire(void *arg)
{
    struct bounces *all = arg;
    all->n_put_off = 0;
    bounce_kick(all->q);
}

struct bounces *bounces_new(struct queue *q)
{
    struct bounces *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->q = q;
    b->is_wanted = true;
    timer_init(&b->again, q->loop, fire, b);
    return b;
}

static void free_bounce(struct bounce *b)
{
    *b->at = b->next;
    if (b->next != NULL)
        b->next->at = b->at;
    b->q->bounces->n--;
    targets_free(&b->targets);
    free(b);
}

void bounces_free(struct queue *q)
{
    struct bounces *all = q->bounces;
    if (all == NULL)
        return;
    timer_stop(&all->again);
    while (all->first != NULL) {
        ipc_cancel(q->authd, all->first->tag);
        free_bounce(all->first);
    }
    free(all);
    q->bounces = NULL;
}

void bounce_kick(struct queue *q)
{
    q->bounces->is_wanted = true;
    q->bounces->after = 0;
}

void bounce_late(struct queue *q, uint64_t message)
{
    struct bounces *all = q->bounces;
    if (all->n_late < LATE_MAX)
        all->late[all->n_late++] = message;
}

size_t bounce_count(const struct queue *q)
{
    return q->bounces->n;
}

/* It could not be done now; what it is about is still in the database. */
static void later(struct bounce *b, const char *because)
{
    struct bounces *all = b->q->bounces;
    LOG(b->message, "bounce-delayed", LZ("because", because));
    if (all->n_put_off < PUT_OFF_MAX)
        all->put_off[all->n_put_off++] = b->message;
    free_bounce(b);
    if (!all->again.is_set)
        timer_set(&all->again, AGAIN_MS);
}

/* --- writing it --- */

static void settled(struct waiter *w, enum outcome o)
{
    struct bounce *b = (struct bounce *)w;
    struct queue *q = b->q;
    char id[ID_TEXT];
    id_format(id, b->id);
    if (o != OUTCOME_SAVED) {
        later(b, "not saved");
        return;
    }
    if (b->id == 0) {
        LOG(b->message, b->is_damaged ? "damaged" : "bounce-dropped", LZ("to", b->reader),
            LN("recipients", (int64_t)b->n_told));
    } else {
        stats_count(STAT_REPORTS);
        const char *event = b->n_failed > 0 ? "bounced" : "sender-told";
        LOG(b->message, b->kind == DSN_LATE ? "sender-warned" : event, LZ("to", b->reader),
            LN("recipients", (int64_t)b->n_told), LZ("as", id));
        struct message report = {.id = b->id};
        dispatch_fresh_all(q, &report, &b->targets);
    }
    free_bounce(b);
    bounce_kick(q); /* those that did not fit */
}

struct told {
    uint32_t numbers[TOLD_MAX];
    enum rcpt_state becomes[TOLD_MAX];
    size_t n;
    size_t n_shown; /* in the notification; of the others nobody wants to hear */
    uint64_t dialogues[DSN_DIALOGUES_MAX]; /* of the last attempts for those shown */
    size_t n_dialogues;
};

/* m NULL: it is damaged, and so all are to be held. */
static bool is_about(const struct bounce *b, const struct message *m, const struct recipient *r)
{
    if (m != NULL && !span_eq(parties_of(m, r->sender).reader, span_of(b->reader)))
        return false;
    if (b->kind == DSN_FINAL)
        return r->state == RCPT_FAILED || r->state == RCPT_OWED;
    return r->state == RCPT_WAITING && r->attempts > 0;
}

static enum dsn_action action_of(const struct recipient *r)
{
    static const enum dsn_action done[RCPT_DEEDS] = {
        [DONE_NOT] = DSN_DELIVERED,
        [DONE_DELIVERED] = DSN_DELIVERED,
        [DONE_RELAYED] = DSN_RELAYED,
        [DONE_EXPANDED] = DSN_EXPANDED,
    };
    if (r->state == RCPT_OWED)
        return done[r->outcome];
    return r->state == RCPT_FAILED ? DSN_FAILED : DSN_DELAYED;
}

/* Is the reader to be told of it? */
static bool is_wanted(const struct message *m, const struct recipient *r)
{
    struct parties p = parties_of(m, r->sender);
    enum notify what = r->state == RCPT_OWED     ? NOTIFY_SUCCESS
                       : r->state == RCPT_FAILED ? NOTIFY_FAILURE
                                                 : NOTIFY_DELAY;
    return parties_tell(&p, r->notify, what);
}

/* 0, or -1: no more fit. */
static int add_rcpt(struct dsn *d, const struct recipient *r, int64_t expires)
{
    struct dsn_recipient about = {
        .action = action_of(r),
        .address = r->address,
        .orcpt = r->orcpt,
        .status = r->state == RCPT_WAITING ? dsn_status(r->last_reply, '4') : r->status,
        .remote = r->remote,
        .reply = r->last_reply,
        .last_attempt = r->last_attempt,
        .expires = expires,
        .is_expired = r->state == RCPT_FAILED && span_eq(r->status, SPAN("4.4.7")),
    };
    return dsn_add(d, &about);
}

static void note_dialogue(struct told *told, const struct recipient *r)
{
    bool is_new = r->dialogue != 0 && r->state != RCPT_OWED;
    for (size_t i = 0; i < told->n_dialogues; i++)
        is_new = is_new && told->dialogues[i] != r->dialogue;
    if (is_new && told->n_dialogues < DSN_DIALOGUES_MAX)
        told->dialogues[told->n_dialogues++] = r->dialogue;
}

/* Those that are gone, or cannot be read, are no reason not to bounce. */
static void quote_dialogues(const struct bounce *b, struct dsn *d, const struct told *told)
{
    struct dialogue said;
    for (size_t i = 0; i < told->n_dialogues; i++) {
        if (store_dialogue_get(b->q->store, told->dialogues[i], b->message, &said) == FOUND_YES) {
            struct dsn_dialogue quoted = {.text = said.text, .began = said.began_ms / 1000};
            dsn_quote(d, &quoted);
        }
        store_dialogue_end(b->q->store);
    }
}

/* By its route it may be nobody's concern that it waits. */
static struct lifetime lifetime(const struct bounce *b, const struct message *m,
                                const struct recipient *r)
{
    struct lifetime l = {.expires = 0, .late = 0};
    return b->kind == DSN_LATE ? lifetime_of(b->q->config, b->q->store, m, r) : l;
}

/* Adds the recipients it is about to the notification (d NULL: there is none) and to the list.
 * m NULL: see is_about; then there is no notification. */
static int read_rcpts(struct bounce *b, const struct message *m, struct dsn *d, struct told *told)
{
    struct store *store = b->q->store;
    struct recipient r;
    enum found f;
    told->n = told->n_shown = told->n_dialogues = 0;
    store_rcpts_begin(store, b->message);
    while ((f = store_rcpts_next(store, &r)) == FOUND_YES || f == FOUND_DAMAGED) {
        if (f == FOUND_DAMAGED || !is_about(b, m, &r))
            continue;
        struct lifetime l = lifetime(b, m, &r);
        bool is_shown = d != NULL && is_wanted(m, &r) && l.late != INT64_MAX;
        if (told->n == TOLD_MAX || (is_shown && add_rcpt(d, &r, l.expires) < 0))
            break;
        told->n_shown += is_shown;
        if (is_shown)
            note_dialogue(told, &r);
        told->becomes[told->n] = r.state == RCPT_OWED ? RCPT_DONE : RCPT_BOUNCED;
        told->numbers[told->n++] = r.number;
    }
    store_rcpts_end(store);
    return f == FOUND_FAULT ? -1 : 0;
}

/* The start of the content, in `room`. Empty if it cannot be read: no reason not to bounce. */
static struct span read_start(struct queue *q, const struct message *m, char room[DSN_MAX])
{
    struct span content;
    size_t n = m->size < DSN_MAX ? (size_t)m->size : DSN_MAX;
    if (!m->is_spooled) {
        if (store_message_content(q->store, m, &content) != FOUND_YES)
            return SPAN("");
        memcpy(room, content.p, n);
        return (struct span){room, n};
    }
    int fd = spool_read(&q->spool, m->id, m->size);
    if (fd < 0)
        return SPAN("");
    ssize_t got = pread(fd, room, n, 0);
    close(fd);
    return (struct span){room, got > 0 ? (size_t)got : 0};
}

/* What the reader asked for with the message, if he sent it. */
static struct parties asked_by_reader(const struct bounce *b, const struct message *m)
{
    struct parties of_sender = parties_of(m, SPAN(""));
    bool is_his = span_eq(of_sender.reader, span_of(b->reader));
    return is_his ? of_sender : parties_of(m, span_of(b->reader));
}

/* 0 and the notification in *out; 1: there is nobody (any more) to tell about; -1. */
static int compose(struct bounce *b, const struct message *m, struct buf *out, struct told *told)
{
    static char start[DSN_MAX];
    char hold_request[HOLD_REQUEST_MAX + 1];
    struct parties asked = asked_by_reader(b, m);
    struct dsn d;
    struct dsn_facts facts = {.kind = b->kind,
                              .hostname = span_of(b->q->config->hostname),
                              .id = b->id,
                              .about = m->id,
                              .to = span_of(b->reader),
                              .arrived = m->arrived,
                              .expires = m->expires,
                              .now = clock_wall_s(),
                              .envid = asked.envid};
    if (!asked.is_asked) /* "owner-" is not of its name */
        facts.list = span_from(facts.to, strlen("owner-"));
    if (asked.is_asked && store_message_hold(b->q->store, m->id, hold_request) == FOUND_YES)
        facts.hold_request = span_of(hold_request);
    b->requires_tls = m->flags & CONTENT_REQUIRETLS;
    dsn_begin(&d, &facts);
    int rc = read_rcpts(b, m, &d, told);
    quote_dialogues(b, &d, told);
    struct dsn_original original = {.start = read_start(b->q, m, start),
                                    .size = m->size,
                                    .header = (size_t)m->header,
                                    .flags = m->flags,
                                    .wants_all = asked.ret == RET_FULL && b->requires_tls == 0};
    if (dsn_finish(&d, &original, out) < 0 || rc < 0)
        return -1;
    return told->n_shown > 0 ? 0 : 1;
}

static enum intake_reason deliver_report(struct bounce *b, struct span content)
{
    struct queue *q = b->q;
    struct content_scan scan;
    content_begin(&scan);
    content_add(&scan, content);
    content_end(&scan);
    int64_t now_s = clock_wall_s();
    struct message report = {.id = b->id,
                             .arrived = now_s,
                             .expires = now_s + q->config->relay.delivery.expire_ms / 1000,
                             .size = scan.octets,
                             .header = scan.header,
                             .flags = scan.flags | b->requires_tls |
                                      (idn_is_ascii(span_of(b->reader)) ? 0 : CONTENT_UTF8)};
    memcpy(report.hash, scan.hash, sizeof report.hash);
    struct delivery d = {
        .message = &report, .content = content, .targets = &b->targets, .passes_quota = true};
    return warning_deliver(q, &d);
}

/* So that they are not told again. */
static int mark_told(struct bounce *b, const struct told *told)
{
    struct store *store = b->q->store;
    bool freed_file;
    b->n_told = told->n;
    b->n_failed = 0;
    for (size_t i = 0; i < told->n; i++)
        b->n_failed += told->becomes[i] == RCPT_BOUNCED;
    if (b->kind == DSN_LATE)
        return store_message_set_warned(store, b->message);
    for (size_t i = 0; i < told->n; i++)
        if (store_rcpt_set_state(store, b->message, told->numbers[i],
                                 b->is_damaged ? RCPT_HELD : told->becomes[i], 0) < 0)
            return -1;
    if (store_message_settle(store, b->message, &freed_file) < 0)
        return -1;
    if (freed_file)
        batch_remove_file(&b->q->batch, b->message);
    return 0;
}

/* 0, or -1: undo it and try later. b->id is 0 if nobody can be told. */
static int write_report(struct bounce *b, struct told *told)
{
    struct store *store = b->q->store;
    struct message m;
    struct buf out;
    buf_init(&out, DSN_MAX);
    int rc =
        store_message_get(store, b->message, &m) == FOUND_YES ? compose(b, &m, &out, told) : -1;
    store_message_end(store);
    if (rc == 0 && deliver_report(b, buf_span(&out)) != INTAKE_OK)
        rc = -1; /* no room, or the mailbox was removed a moment ago: next time authd knows that */
    if (rc == 1)
        b->id = 0;
    buf_free(&out);
    return rc < 0 ? -1 : mark_told(b, told);
}

static int write_off(struct bounce *b, struct told *told)
{
    struct message m;
    int rc = 0;
    told->n = 0;
    if (b->kind == DSN_LATE)
        return mark_told(b, told);
    if (b->is_damaged)
        return read_rcpts(b, NULL, NULL, told) == 0 ? mark_told(b, told) : -1;
    rc = store_message_get(b->q->store, b->message, &m) == FOUND_YES ? read_rcpts(b, &m, NULL, told)
                                                                     : -1;
    store_message_end(b->q->store);
    return rc == 0 ? mark_told(b, told) : -1;
}

/* Ends in settled() or later(). */
static void save(struct bounce *b)
{
    static struct told told;
    struct batch *batch = &b->q->batch;
    if (batch_begin(batch) < 0) {
        later(b, "not saved");
        return;
    }
    b->waiter.settled = settled;
    if ((b->id != 0 ? write_report(b, &told) : write_off(b, &told)) == 0) {
        batch_keep(batch, &b->waiter);
        return;
    }
    batch_undo(batch);
    later(b, "not saved");
}

/* --- who is told? --- */

static void answered(void *arg, const union msg *answer, int fd)
{
    struct bounce *b = arg;
    struct queue *q = b->q;
    struct rcpt reader = {.address = span_of(b->reader), .notify = NOTIFY_NEVER};
    int rc = 0;
    if (fd >= 0)
        close(fd);
    b->tag = 0;
    if (answer == NULL ||
        (answer->resolve_re.verdict != VERDICT_OK && answer->resolve_re.verdict != VERDICT_NEVER)) {
        later(b, "sender not resolved");
        return;
    }
    reader.sealed = answer->resolve_re.sealed;
    if (answer->resolve_re.verdict == VERDICT_NEVER || answer->resolve_re.kind == ADDRESS_UNKNOWN)
        b->id = 0;
    else if (answer->resolve_re.kind == ADDRESS_FOREIGN)
        rc = targets_add_remote(&b->targets, &reader);
    else
        rc = q->has_key ? targets_add_sealed(&b->targets, &reader, q->key, clock_wall_s()) : -1;
    targets_tidy(&b->targets);
    if (rc < 0)
        later(b, "sender not resolved");
    else
        save(b);
}

static struct bounce *new_bounce(struct queue *q, uint64_t message, enum dsn_kind kind)
{
    struct bounces *all = q->bounces;
    struct bounce *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    *b = (struct bounce){.q = q, .message = message, .kind = kind, .next = all->first};
    b->at = &all->first;
    if (b->next != NULL)
        b->next->at = &b->next;
    all->first = b;
    all->n++;
    return b;
}

/* Who is told about the first of those nobody was told about. A report has one reader, so what
 * others are told comes in reports of their own. 0, or -1. */
static int read_first(struct bounce *b, const struct message *m)
{
    struct recipient r;
    enum found f;
    bool has_one = false;
    store_rcpts_begin(b->q->store, b->message);
    while (!has_one &&
           ((f = store_rcpts_next(b->q->store, &r)) == FOUND_YES || f == FOUND_DAMAGED)) {
        has_one = f == FOUND_YES && (r.state == RCPT_FAILED || r.state == RCPT_OWED);
        if (has_one)
            b->is_damaged |=
                span_copy(b->reader, sizeof b->reader, parties_of(m, r.sender).reader) < 0;
    }
    store_rcpts_end(b->q->store);
    return !has_one && f == FOUND_FAULT ? -1 : 0;
}

/* Fills in the reader. 0; 1: there is nothing (more) to tell him; -1: the store cannot be read. A
 * warning is for the sender, and there is one: attempts for two recipients may have said that it is
 * late before the first was told. */
static int read_reader(struct bounce *b)
{
    struct message m;
    enum found f = store_message_get(b->q->store, b->message, &m);
    bool is_told = b->kind == DSN_LATE && (f == FOUND_NONE || (f == FOUND_YES && m.is_warned));
    int rc = f == FOUND_FAULT ? -1 : is_told;
    b->is_damaged = f != FOUND_YES;
    if (f == FOUND_YES) {
        struct span sender = parties_of(&m, SPAN("")).reader;
        b->is_damaged = span_copy(b->reader, sizeof b->reader, sender) < 0;
        if (b->kind == DSN_FINAL && !b->is_damaged)
            rc = read_first(b, &m);
    }
    store_message_end(b->q->store);
    return rc;
}

static void start(struct queue *q, uint64_t message, enum dsn_kind kind)
{
    struct bounce *b = new_bounce(q, message, kind);
    if (b == NULL)
        return;
    int rc = read_reader(b);
    if (rc != 0) {
        if (rc < 0)
            later(b, "message not read");
        else
            free_bounce(b);
        return;
    }
    if (b->is_damaged || b->reader[0] == '\0') {
        save(b); /* with id 0: nobody is told */
        return;
    }
    b->id = id_new();
    struct msg_resolve ask = {.address = span_of(b->reader)};
    b->tag = ipc_ask_resolve(q->authd, &ask, -1, DEADLINE_MS, answered, b);
    if (b->tag == 0)
        later(b, "authd is down");
}

/* Or was a moment ago, without success. */
static bool is_under_way(const struct queue *q, uint64_t message)
{
    for (size_t i = 0; i < q->bounces->n_put_off; i++)
        if (q->bounces->put_off[i] == message)
            return true;
    for (const struct bounce *b = q->bounces->first; b != NULL; b = b->next)
        if (b->message == message)
            return true;
    return false;
}

static void start_late(struct queue *q)
{
    struct bounces *all = q->bounces;
    while (all->n_late > 0 && all->n < AT_ONCE) {
        uint64_t message = all->late[--all->n_late];
        if (!is_under_way(q, message))
            start(q, message, DSN_LATE);
    }
}

void bounce_run(struct queue *q)
{
    struct bounces *all = q->bounces;
    if (q->is_draining || q->authd == NULL || all->n_put_off == PUT_OFF_MAX)
        return;
    start_late(q);
    while (all->is_wanted && all->n < AT_ONCE) {
        uint64_t message;
        if (store_untold_next(q->store, all->after, &message) != FOUND_YES) {
            all->is_wanted = false;
            all->after = 0;
            return;
        }
        all->after = message;
        /* While others of its recipients are being tried it waits, so that one report tells all. */
        if (!is_under_way(q, message) && !dispatch_has_active(q, message))
            start(q, message, DSN_FINAL);
    }
}
