#include "queue/release.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/stats.h"
#include "common/verdict.h"
#include "queue/bounce.h"
#include "queue/deliver.h"
#include "queue/parties.h"
#include "queue/schedule.h"

#include <sodium.h>

#define AT_ONCE     100
#define DEADLINE_MS 30000

/* One recipient under way: from the question who it is to the commit. */
struct release {
    struct waiter waiter; /* first: the commit gives it back */
    struct release *next, **at;
    struct queue *q;
    uint64_t message, tag;
    uint32_t number;
    char address[ADDRESS_MAX + 1], orcpt[ORCPT_MAX + 1];
    uint8_t notify;
    struct targets targets;
    bool is_elsewhere; /* there are recipients elsewhere now, due since before */
    const char *event; /* what became of it, for the log */
};

struct releases {
    struct release *first;
    size_t n;
    bool had_no_room;
};

struct releases *releases_new(struct queue *q)
{
    (void)q;
    return calloc(1, sizeof(struct releases));
}

static void free_release(struct release *r)
{
    struct releases *all = r->q->releases;
    *r->at = r->next;
    if (r->next != NULL)
        r->next->at = r->at;
    targets_free(&r->targets);
    if (--all->n <= AT_ONCE / 2 && all->had_no_room) {
        all->had_no_room = false;
        schedule_rewind(r->q);
    }
    free(r);
}

void releases_free(struct queue *q)
{
    if (q->releases == NULL)
        return;
    q->releases->had_no_room = false;
    while (q->releases->first != NULL) {
        ipc_cancel(q->authd, q->releases->first->tag);
        free_release(q->releases->first);
    }
    free(q->releases);
    q->releases = NULL;
}

size_t release_count(const struct queue *q)
{
    return q->releases->n;
}

/* --- writing what became of it --- */

static void settled(struct waiter *w, enum outcome o)
{
    struct release *r = (struct release *)w;
    struct queue *q = r->q;
    if (o == OUTCOME_SAVED) {
        LOG(r->message, r->event, LZ("to", r->address), LZ("because", "its time has come"));
        bounce_kick(q);
    }
    if (o == OUTCOME_SAVED && r->is_elsewhere)
        schedule_rewind(q); /* the search has passed their place */
    free_release(r);
}

static int note(struct release *r, const struct recipient *row)
{
    struct incident e = {.message = r->message,
                         .at = clock_wall_s(),
                         .what = r->event,
                         .address = row->address,
                         .remote = SPAN(""),
                         .reply = row->last_reply};
    return store_event_add(r->q->store, &e) < 0 ? -1 : store_rcpt_set(r->q->store, row);
}

static int fail(struct release *r, struct recipient *row, struct span status, struct span why)
{
    r->event = "failed";
    row->state = RCPT_FAILED;
    row->outcome = DONE_NOT;
    row->next_attempt = 0;
    row->status = status;
    row->last_reply = why;
    stats_count(STAT_BOUNCED);
    return note(r, row);
}

static int later(struct release *r, struct recipient *row, struct span why)
{
    int64_t now_s = clock_wall_s();
    r->event = "deferred";
    row->next_attempt = schedule_soon(now_s, false, randombytes_random());
    row->last_reply = why;
    schedule_at(r->q, row->next_attempt);
    return note(r, row);
}

static int put_into_boxes(struct release *r, struct recipient *row, const struct message *m)
{
    struct delivery d = {.message = m, .targets = &r->targets};
    size_t n_delivered = 0;
    switch (deliver_late(r->q->store, &d, &n_delivered)) {
    case INTAKE_OK:
        break;
    case INTAKE_QUOTA:
        return fail(r, row, SPAN("5.2.2"), SPAN("552 5.2.2 the mailbox is full"));
    case INTAKE_STALE:
        return later(r, row, SPAN("451 4.2.1 a mailbox was removed a moment ago"));
    default:
        return -1;
    }
    struct parties p = parties_of(m, SPAN(""));
    bool is_owed = r->targets.n_deeds > 0 && parties_tell(&p, row->notify, NOTIFY_SUCCESS);
    r->event = "delivered";
    r->is_elsewhere = r->targets.n_remotes > 0;
    row->state = is_owed ? RCPT_OWED : RCPT_DONE;
    row->outcome = is_owed ? r->targets.deeds[0].what : DONE_DELIVERED;
    row->next_attempt = 0;
    row->status = SPAN("2.0.0");
    row->last_reply = SPAN("");
    row->last_attempt = clock_wall_s();
    stats_add(STAT_DELIVERED_LOCAL, n_delivered);
    return note(r, row);
}

/* 0; -1: undo it. A domain that is no longer ours makes it a recipient elsewhere. */
static int apply(struct release *r, struct recipient *row, const struct message *m,
                 const struct msg_resolve_re *re)
{
    struct rcpt to = {
        .address = row->address, .orcpt = row->orcpt, .notify = row->notify, .sealed = re->sealed};
    bool is_unknown = re->verdict == VERDICT_NEVER || re->kind == ADDRESS_UNKNOWN;
    if (re->verdict != VERDICT_NEVER && (re->verdict != VERDICT_OK || !r->q->has_key))
        return later(r, row, SPAN("451 4.3.0 the address cannot be looked up now"));
    if (is_unknown)
        return fail(r, row, SPAN("5.1.1"), SPAN("550 5.1.1 no such mailbox here"));
    if (re->kind == ADDRESS_FOREIGN) {
        r->event = "released";
        r->is_elsewhere = true;
        row->outcome = DONE_NOT;
        row->next_attempt = clock_wall_s() - 1;
        row->last_reply = SPAN("");
        return note(r, row);
    }
    if (targets_add_sealed(&r->targets, &to, r->q->key, clock_wall_s()) < 0)
        return later(r, row, SPAN("451 4.3.0 the address cannot be looked up now"));
    targets_tidy(&r->targets);
    return put_into_boxes(r, row, m);
}

/* Removed, held or given up meanwhile: then it stays so. */
static bool still_waits(const struct recipient *row)
{
    return row->state == RCPT_WAITING && row->outcome == DONE_DELIVERED &&
           row->next_attempt <= clock_wall_s();
}

static int write_it(struct release *r, const struct msg_resolve_re *re)
{
    struct store *s = r->q->store;
    struct recipient row;
    struct message m;
    bool freed_file = false;
    enum found f = store_rcpt_get(s, r->message, r->number, &row);
    if (f != FOUND_YES || !still_waits(&row))
        return f == FOUND_FAULT ? -1 : 0;
    row.address = span_of(r->address); /* what a row shows is gone with the next one */
    row.orcpt = span_of(r->orcpt);
    f = store_message_get(s, r->message, &m);
    int rc = f == FOUND_YES ? apply(r, &row, &m, re) : -1;
    store_message_end(s);
    if (rc == 0)
        rc = store_message_settle(s, r->message, &freed_file);
    if (freed_file)
        batch_remove_file(&r->q->batch, r->message);
    return rc;
}

static void answered(void *arg, const union msg *m, int fd)
{
    static const struct msg_resolve_re none = {.verdict = VERDICT_TRY_LATER};
    struct release *r = arg;
    struct batch *b = &r->q->batch;
    r->tag = 0;
    if (fd >= 0)
        close(fd);
    r->event = "released";
    r->waiter.settled = settled;
    if (batch_begin(b) < 0) {
        settled(&r->waiter, OUTCOME_FAULT);
    } else if (write_it(r, m != NULL ? &m->resolve_re : &none) < 0) {
        settled(&r->waiter, batch_undo(b));
    } else {
        batch_keep(b, &r->waiter);
    }
}

/* --- beginning --- */

static bool is_under_way(const struct releases *all, uint64_t message, uint32_t number)
{
    for (const struct release *r = all->first; r != NULL; r = r->next)
        if (r->message == message && r->number == number)
            return true;
    return false;
}

/* False: the row cannot be read, or is another by now. */
static bool read_row(struct release *r)
{
    struct recipient row;
    if (store_rcpt_get(r->q->store, r->message, r->number, &row) != FOUND_YES ||
        !still_waits(&row) || span_copy(r->address, sizeof r->address, row.address) < 0 ||
        span_copy(r->orcpt, sizeof r->orcpt, row.orcpt) < 0)
        return false;
    r->notify = row.notify;
    return true;
}

bool release_add(struct queue *q, uint64_t message, uint32_t number)
{
    struct releases *all = q->releases;
    if (is_under_way(all, message, number))
        return true;
    struct release *r = all->n < AT_ONCE && q->authd != NULL ? calloc(1, sizeof *r) : NULL;
    if (r == NULL) {
        all->had_no_room = all->n > 0;
        return false;
    }
    *r = (struct release){
        .q = q, .message = message, .number = number, .next = all->first, .at = &all->first};
    if (r->next != NULL)
        r->next->at = &r->next;
    all->first = r;
    all->n++;
    if (!read_row(r)) {
        free_release(r);
        return true;
    }
    struct msg_resolve ask = {.address = span_of(r->address)};
    r->tag = ipc_ask_resolve(q->authd, &ask, -1, DEADLINE_MS, answered, r);
    if (r->tag != 0)
        return true;
    free_release(r);
    return false;
}
