#include "queue/retention.h"

#include "common/maildb.h"
#include "common/verdict.h"
#include "queue/trash.h"

#define ANSWER_MS 30000

struct retention {
    struct waiter noted; /* first: the commit of an answer */
    struct queue *q;
    bool is_noting;
    uint64_t tag;     /* the question to authd; 0: none is open */
    uint64_t asked;   /* about this mailbox */
    uint64_t unknown; /* of this one it was not answered; tried again when it comes up again */
};

/* What was not saved is not asked for again at once: the disk may be full for long. */
static void noted(struct waiter *w, enum outcome o)
{
    struct retention *r = (struct retention *)w;
    r->is_noting = false;
    if (o != OUTCOME_SAVED)
        r->unknown = r->asked;
    trash_age_on(r->q);
}

struct retention *retention_new(struct queue *q)
{
    struct retention *r = calloc(1, sizeof *r);
    if (r != NULL)
        *r = (struct retention){.noted.settled = noted, .q = q};
    return r;
}

void retention_free(struct queue *q)
{
    if (q->retention == NULL)
        return;
    if (q->retention->tag != 0)
        ipc_cancel(q->authd, q->retention->tag);
    free(q->retention);
    q->retention = NULL;
}

/* --- in which domain it is --- */

static int note_domain(struct queue *q, uint64_t box, uint64_t domain)
{
    if (batch_begin(&q->batch) < 0)
        return -1;
    if (store_box_set_domain(q->store, box, domain) < 0) {
        batch_undo(&q->batch);
        return -1;
    }
    q->retention->is_noting = true;
    batch_keep(&q->batch, &q->retention->noted);
    return 0;
}

static void answered(void *arg, const union msg *m, int fd)
{
    struct queue *q = arg;
    struct retention *r = q->retention;
    (void)fd;
    uint64_t domain =
        m != NULL && m->box_domain_re.verdict == VERDICT_OK ? m->box_domain_re.domain : 0;
    r->tag = 0;
    if (domain == 0 || domain > INT64_MAX || note_domain(q, r->asked, domain) < 0) {
        r->unknown = r->asked;
        trash_age_on(q);
    }
}

/* FOUND_NONE: the answer is awaited. FOUND_YES: it is not to be had now. */
static enum found ask(struct queue *q, uint64_t box)
{
    struct retention *r = q->retention;
    struct msg_box_domain m = {.box = box};
    bool has_failed = r->unknown == box;
    r->unknown = 0;
    if (r->tag != 0 || r->is_noting)
        return FOUND_NONE;
    if (has_failed || q->authd == NULL)
        return FOUND_YES;
    r->asked = box;
    r->tag = ipc_ask_box_domain(q->authd, &m, -1, ANSWER_MS, answered, q);
    return r->tag != 0 ? FOUND_NONE : FOUND_YES;
}

/* --- what counts --- */

static uint64_t in_force(const struct queue *q, uint64_t own, uint64_t domain)
{
    struct maildb_retention r = {.own = own,
                                 .domain = domain,
                                 .all_ms = q->config->mailbox.retention_ms,
                                 .least_ms = q->config->mailbox.retention_least_ms};
    return maildb_retention_s(&r);
}

enum found retention_is_general(struct queue *q)
{
    return q->config->mailbox.retention_ms != DURATION_NONE ? FOUND_YES : store_keep_any(q->store);
}

enum found retention_of(struct queue *q, const struct box *box, uint64_t *seconds)
{
    uint64_t of_domain = 0;
    enum found any = box->retention_s > 0 ? FOUND_NONE : store_keep_any(q->store);
    if (any == FOUND_YES && box->domain == 0) {
        *seconds = 0;
        return ask(q, box->id);
    }
    if (any == FOUND_YES && store_keep_get(q->store, box->domain, &of_domain) == FOUND_FAULT)
        any = FOUND_FAULT;
    *seconds = in_force(q, box->retention_s, of_domain);
    return any == FOUND_FAULT ? FOUND_FAULT : FOUND_YES;
}

int retention_show(struct queue *q, const struct box *box, struct admin_row *row)
{
    uint64_t of_domain = 0;
    if (box->domain != 0 && store_keep_get(q->store, box->domain, &of_domain) == FOUND_FAULT)
        return -1;
    uint64_t set = box->retention_s != 0 ? box->retention_s : of_domain;
    bool counts = set >= MAILDB_RETENTION_NONE ||
                  (set > 0 && q->config->mailbox.retention_least_ms != DURATION_NONE);
    row_number(row, "retention", (int64_t)in_force(q, box->retention_s, of_domain));
    row_text(row, "retention_of",
             !counts                 ? SPAN("configuration")
             : box->retention_s != 0 ? SPAN("user")
                                     : SPAN("domain"));
    return 0;
}

/* --- setting it --- */

/* Seconds of 0: as configured. */
static bool takes_seconds(struct queue *q, struct admin_call *call, uint64_t *seconds)
{
    int64_t least = q->config->mailbox.retention_least_ms;
    if (call->n_args < 2 || span_u64(call->args[1], seconds) < 0 ||
        *seconds > MAILDB_RETENTION_NONE)
        admin_fail(call, VERDICT_NEVER, "how long? A time like 30d, none, or default");
    else if (*seconds != 0 && least == DURATION_NONE)
        admin_fail(call, VERDICT_NEVER,
                   "users and domains have no retention of their own here: set [mailbox] "
                   "retention_least, the shortest there may be, first");
    else if (*seconds != 0 && (int64_t)*seconds < least / 1000)
        admin_fail(call, VERDICT_NEVER, "shorter than [mailbox] retention_least allows");
    else
        return true;
    return false;
}

static bool takes_number(struct admin_call *call, uint64_t *n)
{
    if (call->n_args >= 1 && span_u64(call->args[0], n) == 0 && *n > 0 && *n <= INT64_MAX)
        return true;
    admin_fail(call, VERDICT_NEVER, "which one? Name its number");
    return false;
}

static void set(struct queue *q, struct admin_call *call,
                int (*fn)(struct store *s, uint64_t number, uint64_t seconds))
{
    uint64_t number, seconds;
    if (!takes_number(call, &number) || !takes_seconds(q, call, &seconds))
        return;
    bool is_done = batch_begin(&q->batch) == 0;
    if (is_done && fn(q->store, number, seconds) < 0) {
        batch_undo(&q->batch);
        is_done = false;
    }
    if (is_done && batch_finish(&q->batch) == OUTCOME_SAVED)
        admin_done(call, 0);
    else
        admin_fail(call, VERDICT_TRY_LATER, "the store cannot be written: see the log");
}

void retention_set_box(void *queue, struct admin_call *call)
{
    set(queue, call, store_box_set_retention);
}

static void show_domain(struct queue *q, struct admin_call *call)
{
    static struct admin_row row;
    uint64_t number, seconds = 0;
    if (!takes_number(call, &number))
        return;
    enum found f = store_keep_get(q->store, number, &seconds);
    if (f == FOUND_FAULT) {
        admin_fail(call, VERDICT_TRY_LATER, "the store cannot be read: see the log");
        return;
    }
    row_begin(&row);
    row_number(&row, "retention", (int64_t)in_force(q, 0, seconds));
    row_text(&row, "retention_of", f == FOUND_YES ? SPAN("domain") : SPAN("configuration"));
    row_send(&row, call, 0, "");
    admin_done(call, 0);
}

void retention_set_domain(void *queue, struct admin_call *call)
{
    if (call->n_args == 1)
        show_domain(queue, call);
    else
        set(queue, call, store_keep_set);
}
