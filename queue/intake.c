#include "queue/intake.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/content.h"
#include "common/id.h"
#include "common/log.h"
#include "common/stats.h"
#include "common/verdict.h"
#include "queue/bounce.h"
#include "queue/callout.h"
#include "queue/contain.h"
#include "queue/dispatch.h"
#include "queue/envelope.h"
#include "queue/import.h"
#include "queue/intake_log.h"
#include "queue/local.h"
#include "queue/schedule.h"
#include "queue/verdicts.h"
#include "queue/warning.h"

#include <errno.h>

#define BUCKETS      256
#define OPEN_MAX     1024        /* of one channel, arriving in parts at once */
#define CHANNELS     64          /* counted apart; by the instance of the worker */
#define BUFFERED_MAX (64U << 20) /* of their content; beyond, it goes to files early */
#define TRACE_MAX    4096        /* what our own Received field may add to message_size_max */
#define TICKET_MS    30000

/* One message on its way in. */
struct intake {
    struct waiter waiter;      /* first: the commit gives it back */
    struct intake *next, **at; /* in its bucket */
    struct queue *q;
    struct ipc *ch; /* NULL: nobody waits for the answer */
    size_t channel; /* where it is counted */
    uint64_t tag, session;
    struct message message; /* its text is in `text` */
    char *text;
    struct netaddr client;
    bool may_relay;
    char *login;         /* who logged in, as authd says; NULL: nobody */
    uint64_t ticket_tag; /* authd is asked whose ticket it is; 0: not, or answered */
    uint64_t sender_tag; /* the same: with which sender an alias sends it on */
    bool knows_sender;   /* that is answered */
    bool is_all_here;    /* the last part came */
    uint64_t n_rcpts;    /* as smtpd named them */
    struct targets targets;
    int64_t hold_until;  /* as its sender asks (RFC 4865); 0: not */
    struct targets room; /* of a held one: mailboxes that must have room when it is taken, too */
    struct content_scan scan;
    struct buf content; /* what came in parts and is to be in the row */
    struct spool_file file;
    bool has_file;         /* a spool file was made */
    struct import *import; /* NULL: it is not one */
    bool is_held;          /* its sender is contained */
    struct charge charge;  /* what was counted for him */
    bool is_each;          /* who cannot have it is refused alone */
    struct verdicts verdicts;
};

struct intakes {
    struct intake *buckets[BUCKETS];
    size_t n, n_from[CHANNELS];
    size_t buffered;
    uint64_t counted_commit; /* of the batch, that took messages */
};

struct intakes *intakes_new(void)
{
    return calloc(1, sizeof(struct intakes));
}

size_t intake_count(const struct queue *q)
{
    return q->intakes->n;
}

bool intake_has_file(const struct queue *q, uint64_t id)
{
    struct intake *const *at = q->intakes->buckets, *const *end = at + BUCKETS, *in = NULL;
    while (in == NULL && at < end)
        for (in = *at++; in != NULL && (!in->has_file || in->message.id != id); in = in->next)
            ;
    return in != NULL;
}

static struct intake *find(struct queue *q, const struct ipc *ch, uint64_t tag)
{
    struct intake *in = q->intakes->buckets[tag % BUCKETS];
    while (in != NULL && (in->tag != tag || in->ch != ch))
        in = in->next;
    return in;
}

static void link_in(struct intake *in)
{
    struct intake **bucket = &in->q->intakes->buckets[in->tag % BUCKETS];
    in->next = *bucket;
    in->at = bucket;
    if (in->next != NULL)
        in->next->at = &in->next;
    *bucket = in;
    in->q->intakes->n++;
    in->q->intakes->n_from[in->channel]++;
}

static void drop_buffer(struct intake *in)
{
    in->q->intakes->buffered -= buf_span(&in->content).n;
    buf_free(&in->content);
}

static void free_intake(struct intake *in)
{
    *in->at = in->next;
    if (in->next != NULL)
        in->next->at = in->at;
    in->q->intakes->n--;
    in->q->intakes->n_from[in->channel]--;
    drop_buffer(in);
    targets_free(&in->targets);
    targets_free(&in->room);
    verdicts_free(&in->verdicts);
    if (in->ticket_tag != 0)
        ipc_cancel(in->q->authd, in->ticket_tag);
    if (in->sender_tag != 0)
        ipc_cancel(in->q->authd, in->sender_tag);
    free(in->login);
    free(in->text);
    free(in->import);
    free(in);
}

/* It does not become mail. If the store is broken nobody knows that yet: its row may be on disk
 * after all, so its file stays, and the next start decides. */
static void drop(struct intake *in)
{
    spool_abandon(&in->file);
    if (in->has_file && !in->q->batch.is_broken)
        spool_remove(&in->q->spool, in->message.id);
    free_intake(in);
}

void intakes_free(struct queue *q)
{
    for (size_t i = 0; q->intakes != NULL && i < BUCKETS; i++)
        while (q->intakes->buckets[i] != NULL)
            drop(q->intakes->buckets[i]);
    free(q->intakes);
    q->intakes = NULL;
}

/* --- answers --- */

/* each: of the recipients, if they were decided one by one. */
static void answer_intake(const struct intake *in, enum intake_reason reason,
                          const struct verdicts *each)
{
    static char room[2 * EACH_RCPTS_MAX];
    struct msg_queue_open_re re = {
        .tag = in->tag, .verdict = (uint8_t)intake_verdict(reason), .reason = (uint8_t)reason};
    if (each != NULL)
        re.each = verdicts_pack(each, room);
    if (in->import != NULL)
        import_answer(in->ch, in->tag, in->import, reason);
    else if (in->ch != NULL)
        ipc_send_queue_open_re(in->ch, &re, -1);
}

static void refuse(struct intake *in, enum intake_reason reason)
{
    intake_log_refused(in->message.id, in->message.sender, reason);
    contain_refund(in->q, &in->message, &in->charge);
    answer_intake(in, reason, NULL);
    drop(in);
}

/* No recipient can have it, each for a reason of his own. */
static void refuse_each(struct intake *in, enum intake_reason first)
{
    stats_count(STAT_REFUSED);
    verdicts_log(&in->verdicts, &in->message);
    answer_intake(in, first, &in->verdicts);
    drop(in);
}

static void count_accepted(const struct intake *in)
{
    struct intakes *all = in->q->intakes;
    stats_count(STAT_ACCEPTED);
    stats_add(STAT_ACCEPTED_OCTETS, in->message.size);
    stats_add(STAT_DELIVERED_LOCAL, in->targets.n_boxes);
    stats_add(STAT_COMMITS_OF_MAIL, all->counted_commit != in->q->batch.n_commits);
    all->counted_commit = in->q->batch.n_commits;
}

static void settled(struct waiter *w, enum outcome o)
{
    struct intake *in = (struct intake *)w;
    if (o != OUTCOME_SAVED) {
        refuse(in, o == OUTCOME_FULL ? INTAKE_DISK : INTAKE_FAULT);
        return;
    }
    /* ======================= THE RESPONSIBILITY LINE =======================
     * The commit is on disk: message, mailbox entries, recipients elsewhere.
     * From here on the message is ours. Nothing above this line says "OK". */
    answer_intake(in, INTAKE_OK, &in->verdicts);
    if (in->import != NULL) { /* one line each would be a log as long as the mailbox */
        in->has_file &= in->import->is_known;
        drop(in);
        return;
    }
    count_accepted(in);
    intake_log_accepted(&in->message, &in->targets, in->session, in->is_held);
    verdicts_log(&in->verdicts, &in->message);
    if (in->hold_until > 0)
        schedule_at(in->q, in->hold_until);
    else if (!in->is_held)
        dispatch_fresh_all(in->q, &in->message, &in->targets);
    if (in->targets.n_deeds > 0)
        bounce_kick(in->q);
    free_intake(in);
}

/* --- recipients and content --- */

static enum intake_reason add_rcpt(struct intake *in, const struct rcpt *r)
{
    if (!notify_is_sane(r->notify) || (r->orcpt.n > 0 && !orcpt_is_valid(r->orcpt)))
        return INTAKE_FAULT;
    if (r->sealed.n == 0) {
        enum intake_reason reason = INTAKE_OK;
        if (!in->may_relay && in->ticket_tag == 0) /* without an answer nothing is stored */
            reason = callout_judge(in->q, r->address);
        if (reason != INTAKE_OK)
            return reason;
        return targets_add_remote(&in->targets, r) == 0 ? INTAKE_OK : INTAKE_FAULT;
    }
    if (in->hold_until == 0)
        return intake_add_sealed(in->q, &in->targets, r);
    enum intake_reason reason = intake_add_sealed(in->q, &in->room, r);
    if (reason != INTAKE_OK)
        return reason;
    return targets_add_held(&in->targets, r) == 0 ? INTAKE_OK : INTAKE_FAULT;
}

static enum intake_reason add_rcpts(struct intake *in, struct span packed)
{
    uint64_t max = envelope_rcpts_max(in->q->config);
    struct unpacker records = unpacker_on(packed);
    struct rcpt r;
    while (rcpt_next(&records, &r)) {
        enum intake_reason reason = in->n_rcpts++ < max ? add_rcpt(in, &r) : INTAKE_FAULT;
        if (in->is_each)
            reason = verdicts_add(&in->verdicts, r.address, reason, &in->targets, &in->room);
        if (reason != INTAKE_OK)
            return reason;
    }
    return unpack_done(&records) ? INTAKE_OK : INTAKE_FAULT;
}

static enum intake_reason disk_reason(struct spool *s)
{
    int err = errno;
    spool_failed(s, "write");
    return err == ENOSPC || err == EDQUOT || err == EFBIG ? INTAKE_DISK : INTAKE_FAULT;
}

static enum intake_reason append_to_file(struct intake *in, struct span chunk)
{
    if (!in->has_file) {
        if (spool_create(&in->q->spool, in->message.id, &in->file) < 0)
            return disk_reason(&in->q->spool);
        in->has_file = true;
        if (spool_append(&in->file, buf_span(&in->content)) < 0)
            return disk_reason(&in->q->spool);
        drop_buffer(in);
    }
    return spool_append(&in->file, chunk) == 0 ? INTAKE_OK : disk_reason(&in->q->spool);
}

/* What is imported was accepted once, by a server with another limit. */
static bool is_too_big(const struct intake *in)
{
    if (in->import != NULL)
        return false;
    uint64_t max = in->q->config->message_size_max;
    return in->scan.octets > max && in->scan.octets - max > TRACE_MAX;
}

static enum intake_reason add_content(struct intake *in, struct span chunk)
{
    struct queue *q = in->q;
    content_add(&in->scan, chunk);
    if (is_too_big(in))
        return INTAKE_TOO_BIG;
    if (in->has_file || in->scan.octets > q->config->row_content_max ||
        q->intakes->buffered > BUFFERED_MAX)
        return append_to_file(in, chunk);
    if (buf_add_span(&in->content, chunk) < 0)
        return INTAKE_FAULT;
    q->intakes->buffered += chunk.n;
    return INTAKE_OK;
}

/* All is here: into the transaction with it. `whole` is the content if it goes into the row. */
static void store_it(struct intake *in, struct span whole)
{
    struct queue *q = in->q;
    struct message *m = &in->message;
    m->arrived = in->import != NULL ? in->import->arrived : clock_wall_s();
    m->expires = (in->hold_until > m->arrived ? in->hold_until : m->arrived) +
                 q->config->relay.delivery.expire_ms / 1000;
    m->size = in->scan.octets;
    m->header = in->scan.header;
    m->flags |= in->scan.flags;
    if (in->scan.is_tls_optional && (m->flags & CONTENT_REQUIRETLS) == 0) /* RFC 8689 4.1 */
        m->flags |= CONTENT_TLS_OPTIONAL;
    m->is_spooled = in->has_file;
    memcpy(m->hash, in->scan.hash, sizeof m->hash);
    struct delivery d = {.message = m, .content = whole, .targets = &in->targets};
    m->hold_until = in->hold_until;
    m->hold_who = contain_who(m->login, m->client);
    enum intake_reason reason = intake_may_hold(q, m);
    if (reason != INTAKE_OK) {
        refuse(in, reason);
        return;
    }
    if (in->is_each)
        reason = verdicts_decide(&in->verdicts, q->store, &d, &in->room);
    if (reason != INTAKE_OK) {
        refuse_each(in, reason);
        return;
    }
    targets_tidy(&in->targets);
    targets_tidy(&in->room);
    in->charge.recipients = targets_elsewhere(&in->targets) + in->room.n_remotes;
    in->is_held = contain_accept(q, m, &in->targets, &in->charge);
    d.is_held = in->is_held;
    d.config = q->config;
    d.hold_until = in->hold_until;
    if (batch_join(&q->batch) < 0) {
        refuse(in, store_fault(q->store) == STORE_FAULT_FULL ? INTAKE_DISK : INTAKE_FAULT);
        return;
    }
    /* Not before: who loses the files of a commit is who waits for it. */
    if (in->has_file && spool_finish(&q->spool, &in->file) < 0)
        reason = disk_reason(&q->spool);
    if (reason == INTAKE_OK && !in->is_each)
        reason = deliver_room(q->store, &in->room, m->size);
    if (reason == INTAKE_OK)
        reason = in->import != NULL ? import_deliver(q, in->import, &d) : warning_deliver(q, &d);
    if (reason == INTAKE_OK && !in->is_held && contain_remember(q, m, &in->targets) < 0)
        reason = INTAKE_FAULT;
    if (reason == INTAKE_OK) {
        in->waiter.settled = settled;
        batch_keep(&q->batch, &in->waiter);
        return;
    }
    if (batch_undo(&q->batch) == OUTCOME_FULL && reason == INTAKE_FAULT)
        reason = INTAKE_DISK;
    refuse(in, reason);
}

static enum intake_reason check_whole(struct intake *in)
{
    content_end(&in->scan);
    if (is_too_big(in))
        return INTAKE_TOO_BIG;
    if (in->scan.is_damaged || in->scan.octets == 0)
        return INTAKE_CONTENT;
    if (!in->is_each && in->targets.n_boxes + in->targets.n_remotes == 0)
        return INTAKE_FAULT;
    return INTAKE_OK;
}

/* --- with which sender it is sent on --- */

static bool waits_for_authd(const struct intake *in)
{
    return in->ticket_tag != 0 || in->sender_tag != 0;
}

static void sender_known(void *arg, const union msg *m, int fd)
{
    (void)fd; /* the table allows none */
    struct intake *in = arg;
    in->sender_tag = 0;
    in->knows_sender = m != NULL && m->forward_re.verdict == VERDICT_OK;
    bool is_same = in->knows_sender && span_eq(m->forward_re.sender, in->message.sender);
    if (in->knows_sender && !is_same)
        in->targets.forward_sender = span_dup(m->forward_re.sender);
    if (!in->knows_sender || (!is_same && in->targets.forward_sender == NULL))
        refuse(in, INTAKE_FAULT);
    else if (in->is_all_here && !waits_for_authd(in))
        store_it(in, buf_span(&in->content));
}

/* Asked once, as soon as an alias leads elsewhere: see authd/srs.h. 0, or -1: cannot be asked. */
static int ask_sender(struct intake *in)
{
    struct msg_forward ask = {.sender = in->message.sender};
    if (in->targets.forwards == NULL || in->message.sender.n == 0 || in->sender_tag != 0 ||
        in->knows_sender || in->q->config->relay.srs != SWITCH_ON)
        return 0;
    ask.rcpt = span_of(in->targets.forwards);
    in->sender_tag = ipc_ask_forward(in->q->authd, &ask, -1, TICKET_MS, sender_known, in);
    return in->sender_tag != 0 ? 0 : -1;
}

/* A part of the message; the last one stores it. Frees it on refusal. */
static void take_part(struct intake *in, struct span rcpts, struct span chunk, bool is_last)
{
    enum intake_reason reason = add_rcpts(in, rcpts);
    if (reason == INTAKE_OK && ask_sender(in) < 0)
        reason = INTAKE_FAULT;
    /* Most messages are one part; their octets go from the receive buffer right into the row. */
    bool is_whole = is_last && in->scan.octets == 0 && !waits_for_authd(in) &&
                    chunk.n <= in->q->config->row_content_max;
    if (reason == INTAKE_OK && is_whole)
        content_add(&in->scan, chunk);
    else if (reason == INTAKE_OK)
        reason = add_content(in, chunk);
    if (reason == INTAKE_OK && is_last)
        reason = check_whole(in);
    in->is_all_here = is_last;
    if (reason != INTAKE_OK)
        refuse(in, reason);
    else if (is_last && !waits_for_authd(in))
        store_it(in, is_whole ? chunk : buf_span(&in->content));
}

/* --- who sends it --- */

/* Others are committed while authd is asked; this one waits in memory or in its file. */
static void ticket_known(void *arg, const union msg *m, int fd)
{
    (void)fd; /* the table allows none */
    struct intake *in = arg;
    in->ticket_tag = 0;
    enum intake_reason reason = INTAKE_FAULT;
    if (m != NULL && m->ticket_re.verdict == VERDICT_OK)
        in->login = span_dup(m->ticket_re.login);
    else if (m != NULL && m->ticket_re.verdict == VERDICT_NEVER)
        reason = INTAKE_SENDER;
    else if (m != NULL)
        reason = INTAKE_LOGIN;
    if (in->login == NULL) {
        refuse(in, reason);
        return;
    }
    in->message.login = span_of(in->login);
    in->may_relay = true;
    if (in->is_all_here && !waits_for_authd(in))
        store_it(in, buf_span(&in->content));
}

/* smtpd only passes the ticket on; what it is worth authd says. 0, or -1: cannot be asked. */
static int redeem(struct intake *in, const struct msg_queue_open *m)
{
    struct msg_ticket ask = {.ticket = m->ticket,
                             .instance = (uint16_t)ipc_mark(in->ch),
                             .session = in->session,
                             .sender = m->sender};
    in->ticket_tag = ipc_ask_ticket(in->q->authd, &ask, -1, TICKET_MS, ticket_known, in);
    return in->ticket_tag != 0 ? 0 : -1;
}

/* --- messages from smtpd --- */

static struct intake *new_intake(struct queue *q, struct ipc *from, const struct msg_queue_open *m,
                                 int fd)
{
    struct netaddr client;
    size_t channel = from != NULL ? ipc_mark(from) % CHANNELS : 0;
    if (q->intakes->n_from[channel] >= OPEN_MAX || !envelope_is_plausible(q, m, &client) ||
        find(q, from, m->tag) != NULL)
        return NULL;
    struct intake *in = calloc(1, sizeof *in);
    if (in == NULL || (in->text = envelope_copy(&in->message, m)) == NULL) {
        free(in);
        return NULL;
    }
    in->q = q;
    in->ch = from;
    in->channel = channel;
    in->tag = m->tag;
    in->session = m->session;
    in->message.id = m->id;
    in->message.ret = m->ret;
    in->message.flags =
        (m->is_utf8 != 0 ? CONTENT_UTF8 : 0) | (m->requires_tls != 0 ? CONTENT_REQUIRETLS : 0);
    in->hold_until = (int64_t)m->hold_until;
    in->is_each = m->is_each != 0;
    in->client = client;
    in->may_relay = envelope_may_relay(q, &client, fd);
    in->file.fd = -1;
    content_begin(&in->scan);
    buf_init(&in->content, CHUNK_MAX);
    link_in(in);
    return in;
}

void intake_open(struct queue *q, struct ipc *from, const struct msg_queue_open *m, int fd)
{
    struct intake *in = q->is_draining ? NULL : new_intake(q, from, m, fd);
    if (in == NULL) {
        struct intake none = {.ch = from, .tag = m->tag};
        intake_log_refused(m->id <= INT64_MAX ? m->id : 0, m->sender, INTAKE_FAULT);
        answer_intake(&none, INTAKE_FAULT, NULL);
        return;
    }
    bool is_local = in->client.n == NETADDR_LOCAL;
    bool is_unproved_hold = is_local && m->hold_request.n > 0 && !in->may_relay;
    if (is_local && fd < 0) /* who that is cannot be told: it was lost on the way, or never sent */
        refuse(in, INTAKE_FAULT);
    else if (is_unproved_hold)
        refuse(in, INTAKE_FAULT);
    else if (is_local && local_is_too_fast(q->locals, netaddr_uid(&in->client),
                                           &q->config->submit.message_rate))
        refuse(in, INTAKE_RATE);
    else if (m->ticket.n > 0 && redeem(in, m) < 0)
        refuse(in, INTAKE_FAULT);
    else
        take_part(in, m->rcpts, m->content, m->is_last != 0);
}

/* Complete: it waits for the commit and takes no more parts. */
static bool is_complete(const struct intake *in)
{
    return in->waiter.settled != NULL;
}

void intake_more(struct queue *q, struct ipc *from, const struct msg_queue_more *m)
{
    struct intake *in = find(q, from, m->tag);
    if (in != NULL && !in->is_all_here) /* else it was refused before this part arrived */
        take_part(in, m->rcpts, m->content, m->is_last != 0);
}

void intake_abort(struct queue *q, struct ipc *from, const struct msg_queue_abort *m)
{
    struct intake *in = find(q, from, m->tag);
    if (in != NULL && !is_complete(in))
        drop(in);
    else if (in != NULL)
        in->ch = NULL;
}

static struct intake *new_import(struct queue *q, struct ipc *from, const struct msg_import_open *m)
{
    struct msg_queue_open open = {.tag = m->tag,
                                  .id = id_new(),
                                  .sender = m->sender,
                                  .client = SPAN("127.0.0.1"),
                                  .helo = SPAN("import")};
    struct import *im = import_new(m);
    struct intake *in = im != NULL ? new_intake(q, from, &open, -1) : NULL;
    if (in == NULL) {
        free(im);
        return NULL;
    }
    in->message.flags = m->flags;
    in->import = im;
    if (targets_add_box(&in->targets, m->box, m->quota) == 0)
        return in;
    drop(in);
    return NULL;
}

void intake_import(struct queue *q, struct ipc *from, const struct msg_import_open *m)
{
    struct intake *in = q->is_draining ? NULL : new_import(q, from, m);
    if (in == NULL)
        import_answer(from, m->tag, NULL, INTAKE_FAULT);
    else
        take_part(in, SPAN(""), m->content, m->is_last != 0);
}

void intake_import_more(struct queue *q, struct ipc *from, const struct msg_import_more *m)
{
    struct intake *in = find(q, from, m->tag);
    if (in != NULL && in->import != NULL && !is_complete(in))
        take_part(in, SPAN(""), m->content, m->is_last != 0);
}

void intake_channel_closed(struct queue *q, struct ipc *from)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct intake *in = q->intakes->buckets[i], *next; in != NULL; in = next) {
            next = in->next;
            if (in->ch != from)
                continue;
            in->ch = NULL;
            if (!is_complete(in))
                drop(in);
        }
}
