#include "queue/control.h"

#include "common/admin.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/log.h"
#include "common/maildb.h"
#include "queue/bounce.h"
#include "queue/callout.h"
#include "queue/contain.h"
#include "queue/control_box.h"
#include "queue/deliver.h"
#include "queue/dispatch.h"
#include "queue/explain.h"
#include "queue/filter.h"
#include "queue/lifetime.h"
#include "queue/repair.h"
#include "queue/retention.h"
#include "queue/schedule.h"
#include "queue/sts.h"
#include "queue/tlsrpt.h"
#include "queue/trace.h"
#include "queue/trail.h"

#include <inttypes.h>

#define LOOKED_AT_MAX 2000 /* messages looked at for one page: the thread has other work too */
#define PAGE_ROWS     1000 /* a message with its recipients is never split */
#define MATCHED       (1ULL << 63) /* in a cursor: a page before had something */

/* --- walking the queue, page by page --- */

struct walk {
    struct queue *q;
    struct admin_call *call;
    struct filter filter;
    const struct action *action;   /* NULL: list */
    uint64_t n_matched;            /* messages */
    const struct message *message; /* being changed or shown */
    struct span who;               /* sent it, if he could be contained */
    struct changed {
        uint64_t id;
        size_t n;
    } * changed; /* for the log, after the commit; n_matched of them */
    size_t n_rows;
};

/* 0, or -1: the store failed. */
typedef int visit_fn(struct walk *w, const struct message *m);

/* Calls fn for messages from the cursor on; *cursor is where to go on, 0 at the end. */
static int walk_page(struct walk *w, visit_fn *fn, uint64_t *cursor)
{
    struct store *store = w->q->store;
    char room[DOMAIN_MAX];
    struct span domain = w->filter.domain.p != NULL ? filter_domain(&w->filter, room) : SPAN("");
    uint64_t id = *cursor & ~MATCHED;
    *cursor = 0;
    for (size_t n = 0; w->n_matched < w->filter.limit; n++) {
        struct message m;
        uint64_t before = filter_skip(&w->filter, id);
        enum found f = store_queued_next(store, before, domain, &id);
        if (f != FOUND_YES)
            return f == FOUND_FAULT ? -1 : 0;
        if (n == LOOKED_AT_MAX || w->n_rows >= PAGE_ROWS) {
            *cursor = before;
            return 0;
        }
        f = store_message_get(store, id, &m);
        int rc = f == FOUND_YES && filter_has_message(&w->filter, &m) ? fn(w, &m) : 0;
        store_message_end(store);
        if (rc < 0 || f == FOUND_FAULT)
            return -1;
    }
    return 0;
}

/* --- list and show --- */

struct survey {
    enum shown_state state;
    uint64_t n_rcpts;
    int64_t expires; /* the last of those that wait */
};

/* When it is given up; 0: it does not wait. */
static int64_t expiry(struct walk *w, const struct recipient *r)
{
    bool is_pending = r->state == RCPT_WAITING || r->state == RCPT_HELD;
    return is_pending ? lifetime_of(w->q->config, w->q->store, w->message, r).expires : 0;
}

/* What the message is as a whole; false if none of its recipients is meant. */
static bool survey(struct walk *w, uint64_t id, struct survey *s)
{
    struct recipient r;
    bool is_meant = false;
    enum found f;
    *s = (struct survey){.state = SHOWN_DONE};
    store_rcpts_begin(w->q->store, id);
    while ((f = store_rcpts_next(w->q->store, &r)) == FOUND_YES || f == FOUND_DAMAGED) {
        if (f == FOUND_DAMAGED)
            continue;
        enum shown_state state = shown_state_of(w->q, &r, w->filter.now_s);
        s->state = state < s->state ? state : s->state;
        s->n_rcpts++;
        int64_t expires = expiry(w, &r);
        s->expires = expires > s->expires ? expires : s->expires;
        is_meant |= filter_has_rcpt(&w->filter, w->q, &r);
    }
    return is_meant;
}

static void send_message(struct walk *w, const struct message *m, const struct survey *s)
{
    static struct admin_row row;
    char id[ID_TEXT];
    id_format(id, m->id);
    row_begin(&row);
    row_text(&row, "id", span_of(id));
    row_text(&row, "state", span_of(shown_state_name(s->state)));
    row_text(&row, "from", m->sender);
    row_size(&row, "size", m->size);
    row_time(&row, "arrived", m->arrived);
    row_time(&row, "expires", s->expires > 0 ? s->expires : m->expires);
    row_text(&row, "login", m->login);
    row_text(&row, "client", m->client);
    row_number(&row, "recipients_count", (int64_t)s->n_rcpts);
    row_send(&row, w->call, 0, "");
    w->n_rows++;
}

static void send_rcpt(struct walk *w, const struct recipient *r)
{
    static struct admin_row row;
    row_begin(&row);
    row_text(&row, "address", r->address);
    row_text(&row, "state", span_of(shown_state_name(shown_state_of(w->q, r, w->filter.now_s))));
    row_number(&row, "attempts", (int64_t)r->attempts);
    row_time(&row, "next_attempt", r->state == RCPT_WAITING ? r->next_attempt : 0);
    row_time(&row, "expires", expiry(w, r));
    row_text(&row, "last_reply", r->last_reply);
    if (r->sender.n > 0)
        row_text(&row, "sender", r->sender);
    row_send(&row, w->call, 1, "recipients");
    w->n_rows++;
}

static int list_one(struct walk *w, const struct message *m)
{
    struct survey s;
    struct recipient r;
    enum found f = FOUND_YES;
    w->message = m;
    if (!survey(w, m->id, &s))
        return 0;
    send_message(w, m, &s);
    store_rcpts_begin(w->q->store, m->id);
    for (uint64_t n = 0; n < w->filter.rcpts; n++) {
        f = store_rcpts_next(w->q->store, &r);
        if (f == FOUND_YES)
            send_rcpt(w, &r);
        else if (f != FOUND_DAMAGED)
            break;
    }
    store_rcpts_end(w->q->store);
    w->n_matched++;
    return f == FOUND_FAULT ? -1 : 0;
}

static const char which_messages[] =
    "which messages? Name an id, or a filter like --from, --to, --domain, --login, --state, "
    "--contained, --older, --larger";

/* Where the next page begins, and whether this one or one before had something. */
static uint64_t after_page(const struct walk *w, uint64_t cursor, bool *has_matched)
{
    *has_matched = w->n_matched > 0 || (w->call->cursor & MATCHED) != 0;
    return cursor == 0 ? 0 : cursor | (*has_matched ? MATCHED : 0);
}

/* `is_show`: of what is named, and there must be something. */
static void list(struct queue *q, struct admin_call *call, bool is_show)
{
    struct walk w = {.q = q, .call = call};
    struct error e;
    bool has_matched;
    uint64_t cursor = call->cursor;
    if (filter_read(&w.filter, call, &e) < 0) {
        admin_fail(call, VERDICT_NEVER, "%s", e.text);
    } else if (is_show && w.filter.is_empty) {
        admin_fail(call, VERDICT_NEVER, "%s", which_messages);
    } else if (walk_page(&w, list_one, &cursor) < 0) {
        admin_fail(call, VERDICT_TRY_LATER, "the queue cannot be read: see the log");
    } else {
        cursor = after_page(&w, cursor, &has_matched);
        if (cursor == 0 && !has_matched && (is_show || w.filter.n_ids > 0))
            admin_fail(call, VERDICT_NEVER,
                       w.filter.n_ids > 0 ? "this message is not in the queue"
                                          : "nothing in the queue matches");
        else
            admin_done(call, cursor);
    }
}

static void queue_list(void *owner, struct admin_call *call)
{
    list(owner, call, false);
}

static void queue_show(void *owner, struct admin_call *call)
{
    list(owner, call, true);
}

/* --- commands that change recipients --- */

struct action {
    const char *event; /* in the log */
    /* Does it apply to a recipient in this state? Those it does not apply to count as not matched.
     */
    bool (*applies)(const struct recipient *r);
    int (*apply)(struct walk *w, uint64_t message, uint32_t number);
    bool makes_due;
};

static bool is_waiting(const struct recipient *r)
{
    return r->state == RCPT_WAITING;
}

static bool is_held(const struct recipient *r)
{
    return r->state == RCPT_HELD;
}

static bool is_pending(const struct recipient *r)
{
    return r->state == RCPT_WAITING || r->state == RCPT_HELD;
}

static bool is_any(const struct recipient *r)
{
    return r->state != RCPT_DONE && r->state != RCPT_BOUNCED;
}

/* Due since a second ago: this second's rows are only looked at when it is over. */
static int make_due(struct walk *w, uint64_t message, uint32_t number)
{
    if (store_hold_over(w->q->store, message) < 0)
        return -1;
    return store_rcpt_set_state(w->q->store, message, number, RCPT_WAITING, w->filter.now_s - 1);
}

/* What was held as its sender is contained is known to be his then, and so is who gets it. It does
 * not go before the time that he gave. */
static int let_go(struct walk *w, uint64_t message, uint32_t number)
{
    struct recipient r;
    enum found f = store_rcpt_get(w->q->store, message, number, &r);
    if (f != FOUND_YES)
        return f == FOUND_NONE ? 0 : -1;
    bool is_contained = contain_holds(&r);
    if (is_contained && contain_trust(w->q, w->who, r.address) < 0)
        return -1;
    if (is_contained)
        r.last_reply = SPAN("");
    r.state = RCPT_WAITING;
    int64_t wished = is_contained ? lifetime_held_until(w->q->store, message) : 0;
    r.next_attempt = wished > w->filter.now_s ? wished : w->filter.now_s - 1;
    return store_rcpt_set(w->q->store, &r);
}

/* Until it expires like any other. */
static int make_held(struct walk *w, uint64_t message, uint32_t number)
{
    struct recipient r;
    enum found f = store_rcpt_get(w->q->store, message, number, &r);
    if (f != FOUND_YES)
        return f == FOUND_NONE ? 0 : -1;
    int64_t expires = lifetime_of(w->q->config, w->q->store, w->message, &r).expires;
    return store_rcpt_set_state(w->q->store, message, number, RCPT_HELD, expires);
}

static int remove_it(struct walk *w, uint64_t message, uint32_t number)
{
    return store_rcpt_remove(w->q->store, message, number);
}

static int give_up(struct walk *w, uint64_t message, uint32_t number)
{
    struct recipient r;
    enum found f = store_rcpt_get(w->q->store, message, number, &r);
    if (f != FOUND_YES)
        return f == FOUND_NONE ? 0 : -1;
    r.state = RCPT_FAILED;
    r.next_attempt = 0;
    r.status = SPAN("5.0.0");
    if (r.last_reply.n == 0) {
        r.remote = SPAN("");
        r.last_reply = SPAN("delivery was given up by the administrator");
    }
    return store_rcpt_set(w->q->store, &r);
}

static const struct action retry = {"retried", is_waiting, make_due, true};
static const struct action hold = {"held", is_waiting, make_held, false};
static const struct action release = {"released", is_held, let_go, true};
static const struct action removal = {"removed", is_any, remove_it, false};
static const struct action bounce = {"given-up", is_pending, give_up, false};

struct chosen {
    uint32_t numbers[TARGETS_MAX];
    size_t n;
};

/* The recipients it applies to; they are collected before any of them is changed. */
static int choose(struct walk *w, uint64_t id, struct chosen *c)
{
    struct recipient r;
    enum found f = FOUND_NONE;
    c->n = 0;
    store_rcpts_begin(w->q->store, id);
    while (c->n < TARGETS_MAX &&
           ((f = store_rcpts_next(w->q->store, &r)) == FOUND_YES || f == FOUND_DAMAGED))
        if (f == FOUND_YES && w->action->applies(&r) && filter_has_rcpt(&w->filter, w->q, &r))
            c->numbers[c->n++] = r.number;
    store_rcpts_end(w->q->store);
    return f == FOUND_FAULT ? -1 : 0;
}

static void send_changed(struct walk *w, uint64_t message, size_t n)
{
    static struct admin_row row;
    char id[ID_TEXT];
    id_format(id, message);
    row_begin(&row);
    row_text(&row, "id", span_of(id));
    row_number(&row, "recipients", (int64_t)n);
    row_send(&row, w->call, 0, "");
    w->n_rows++;
}

static int change_one(struct walk *w, const struct message *m)
{
    static struct chosen c;
    uint64_t id = m->id;
    bool freed_file;
    w->message = m;
    w->who = contain_who(m->login, m->client);
    if (choose(w, id, &c) < 0)
        return -1;
    for (size_t i = 0; i < c.n && !w->filter.is_dry_run; i++)
        if (w->action->apply(w, id, c.numbers[i]) < 0)
            return -1;
    if (c.n == 0)
        return 0;
    struct incident e = {.message = id,
                         .at = w->filter.now_s,
                         .what = w->action->event,
                         .address = SPAN(""),
                         .remote = SPAN(""),
                         .reply = SPAN("by the administrator")};
    if (!w->filter.is_dry_run && store_event_add(w->q->store, &e) < 0)
        return -1;
    w->changed[w->n_matched++] = (struct changed){id, c.n};
    send_changed(w, id, c.n);
    if (w->filter.is_dry_run)
        return 0;
    store_message_end(w->q->store); /* it may go now */
    if (store_message_settle(w->q->store, id, &freed_file) < 0)
        return -1;
    if (freed_file)
        batch_remove_file(&w->q->batch, id);
    return 0;
}

static void log_changed(const struct walk *w)
{
    for (uint64_t i = 0; i < w->n_matched && !w->filter.is_dry_run; i++)
        LOG(w->changed[i].id, w->action->event, LN("recipients", (int64_t)w->changed[i].n),
            LZ("by", "administrator"));
}

/* The rest of a change, once its page is walked: commit, then say so. */
static void finish_change(struct walk *w, uint64_t cursor)
{
    struct queue *q = w->q;
    bool has_matched;
    cursor = after_page(w, cursor, &has_matched);
    enum outcome o = batch_finish(&q->batch);
    if (w->action->makes_due && !w->filter.is_dry_run)
        dispatch_wake(q);
    schedule_rewind(q);
    bounce_kick(q);
    if (o != OUTCOME_SAVED) {
        admin_fail(w->call, VERDICT_TRY_LATER, "nothing was changed: the store cannot be written");
        return;
    }
    log_changed(w);
    if (cursor == 0 && !has_matched && !w->filter.is_none_fine)
        admin_fail(w->call, VERDICT_NEVER,
                   "nothing in the queue matches that could be %s: see barid queue list",
                   w->action->event);
    else
        admin_done(w->call, cursor);
}

static void change(struct queue *q, struct admin_call *call, const struct action *action)
{
    static struct changed changed[LOOKED_AT_MAX];
    struct walk w = {.q = q, .call = call, .action = action, .changed = changed};
    struct error e;
    uint64_t cursor = call->cursor;
    if (filter_read(&w.filter, call, &e) < 0) {
        admin_fail(call, VERDICT_NEVER, "%s", e.text);
    } else if (w.filter.is_empty) {
        admin_fail(call, VERDICT_NEVER, "%s", which_messages);
    } else if (batch_begin(&q->batch) < 0) {
        admin_fail(call, VERDICT_TRY_LATER, "the store cannot be written: see the log");
    } else if (walk_page(&w, change_one, &cursor) < 0) {
        batch_undo(&q->batch);
        admin_fail(call, VERDICT_TRY_LATER, "nothing was changed: see the log");
    } else {
        finish_change(&w, cursor);
    }
}

static void queue_retry(void *owner, struct admin_call *call)
{
    change(owner, call, &retry);
}

static void queue_hold(void *owner, struct admin_call *call)
{
    change(owner, call, &hold);
}

static void queue_release(void *owner, struct admin_call *call)
{
    change(owner, call, &release);
}

static void queue_remove(void *owner, struct admin_call *call)
{
    change(owner, call, &removal);
}

static void queue_bounce(void *owner, struct admin_call *call)
{
    change(owner, call, &bounce);
}

/* --- depth --- */

static void queue_depth(void *owner, struct admin_call *call)
{
    static struct admin_row row;
    struct queue *q = owner;
    struct depth d;
    if (store_depth(q->store, clock_wall_s(), &d) < 0) {
        admin_fail(call, VERDICT_TRY_LATER, "the queue cannot be read: see the log");
        return;
    }
    row_begin(&row);
    row_number(&row, "due", (int64_t)d.due);
    row_number(&row, "deferred", (int64_t)d.deferred);
    row_number(&row, "held", (int64_t)d.held);
    row_send(&row, call, 0, "");
    admin_done(call, 0);
}

static const struct admin_command commands[] = {
    {"tls policies", sts_list},
    {"tls report", tlsrpt_send},
    {"trace", trace_show},
    {"trace address", trail_show},
    {"queue list", queue_list},
    {"queue show", queue_show},
    {"queue retry", queue_retry},
    {"queue hold", queue_hold},
    {"queue release", queue_release},
    {"queue remove", queue_remove},
    {"queue bounce", queue_bounce},
    {"queue depth", queue_depth},
    {"box show", box_show},
    {"callout list", callout_list},
    {"callout forget", callout_forget},
    {"user contained", contain_list},
    {"contained show", contain_show},
    {"contained end", contain_end},
    {"box list", box_list},
    {"box room", explain_room},
    {"recipient look", explain_recipient},
    {"box undelete", box_undelete},
    {"box retention", retention_set_box},
    {"domain retention", retention_set_domain},
    {"fsck stray", repair_stray},
    {"fsck indexes", repair_indexes},
    {"fsck message", repair_message},
    {"fsck recipients", repair_recipients},
    {"fsck box", repair_box},
    {"fsck nobodys", repair_nobodys},
    {"fsck removals", repair_removals},
    {"fsck orphans", repair_orphans},
    {"fsck file", repair_file},
};

void control_run(struct queue *q, struct ipc *from, const struct msg_admin *m)
{
    admin_dispatch(commands, sizeof commands / sizeof commands[0], q, from, m);
}
