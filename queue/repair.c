#include "queue/repair.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/log.h"
#include "queue/intake.h"
#include "queue/quarantine.h"

#include <errno.h>
#include <inttypes.h>

#define PAGE 50 /* messages put into quarantine for one answer */

struct repair {
    struct queue *q;
    struct admin_call *call;
    struct error error;
    const char *done; /* NULL: there was nothing to do */
};

static struct repair begun(void *queue, struct admin_call *call)
{
    struct repair r = {.q = queue, .call = call};
    batch_commit(&r.q->batch); /* what is read from now on is on disk */
    error_set(&r.error, "the store cannot be written: see the log");
    return r;
}

/* The end: rc 0, or -1 and the error. */
static void finish(struct repair *r, int rc, uint64_t cursor)
{
    static struct admin_row row;
    if (rc < 0) {
        admin_fail(r->call, VERDICT_TRY_LATER, "%s", r->error.text);
        return;
    }
    row_begin(&row);
    row_text(&row, "done", span_of(r->done != NULL ? r->done : "it is in order now"));
    row_send(&row, r->call, 0, "");
    admin_done(r->call, cursor);
}

/* A transaction of its own around fn. */
static int in_transaction(struct repair *r, int (*fn)(struct repair *r, uint64_t key), uint64_t key)
{
    struct batch *b = &r->q->batch;
    if (batch_begin(b) < 0)
        return -1;
    if (fn(r, key) < 0) {
        batch_undo(b);
        return -1;
    }
    return batch_finish(b) == OUTCOME_SAVED ? 0 : -1;
}

static bool takes_number(struct admin_call *call, uint64_t *n)
{
    if (call->n_args == 1 && span_u64(call->args[0], n) == 0 && *n > 0 && *n <= INT64_MAX)
        return true;
    admin_fail(call, VERDICT_NEVER, "which one? Name its number");
    return false;
}

static bool takes_id(struct admin_call *call, uint64_t *id)
{
    if (call->n_args == 1 && id_parse(call->args[0], id) == 0)
        return true;
    admin_fail(call, VERDICT_NEVER, "which message? Name its id");
    return false;
}

/* --- indexes --- */

static int make_indexes(struct repair *r, uint64_t unused)
{
    (void)unused;
    return store_fix_indexes(r->q->store);
}

void repair_indexes(void *queue, struct admin_call *call)
{
    struct repair r = begun(queue, call);
    r.done = "the indexes were made anew";
    int rc = in_transaction(&r, make_indexes, 0);
    if (rc == 0)
        LOG(0, "repaired", LZ("what", "indexes"));
    finish(&r, rc, 0);
}

/* --- messages --- */

enum state { IN_ORDER, WRONG_FACTS, NOBODYS, DAMAGED, UNKNOWN };

static const char *const reasons[] = {
    [IN_ORDER] = "",
    [WRONG_FACTS] = "",
    [NOBODYS] = "it was in no mailbox and had no recipient",
    [DAMAGED] = "it was damaged: what is left of it is not what was accepted",
    [UNKNOWN] = "",
};

static int scan_file(const struct queue *q, const struct message *m, struct content_scan *scan)
{
    static char room[CHUNK_MAX];
    ssize_t n;
    int fd = spool_read(&q->spool, m->id, m->size);
    if (fd < 0)
        return -1;
    while ((n = read(fd, room, sizeof room)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            content_add(scan, (struct span){room, (size_t)n});
    close(fd);
    return n < 0 ? -1 : 0;
}

/* 0, or -1: the content is not there. */
static int scan(const struct queue *q, const struct message *m, struct content_scan *s)
{
    struct span content = SPAN("");
    int rc = 0;
    content_begin(s);
    if (m->is_spooled)
        rc = scan_file(q, m, s);
    else if (store_message_content(q->store, m, &content) == FOUND_YES)
        content_add(s, content);
    else
        rc = -1;
    content_end(s);
    return rc;
}

static bool is_needed(struct queue *q, uint64_t id)
{
    struct place p;
    struct recipient r;
    bool is_placed = store_place_of(q->store, id, &p) != FOUND_NONE;
    store_rcpts_begin(q->store, id);
    bool has_rcpts = store_rcpts_next(q->store, &r) != FOUND_NONE;
    store_rcpts_end(q->store);
    return is_placed || has_rcpts;
}

/* The same questions as mailbox/check_message.c. */
static enum state look(struct queue *q, uint64_t id, struct content_scan *s)
{
    struct message m;
    enum state state = DAMAGED;
    const uint8_t scanned = CONTENT_8BIT | CONTENT_DOTS | CONTENT_LONGLINE | CONTENT_HEADER8;
    enum found f = store_message_get(q->store, id, &m);
    if (f == FOUND_NONE || f == FOUND_FAULT)
        state = f == FOUND_NONE ? IN_ORDER : UNKNOWN;
    else if (f == FOUND_YES && scan(q, &m, s) == 0 && s->octets == m.size &&
             memcmp(s->hash, m.hash, sizeof m.hash) == 0)
        state = s->header != m.header || s->flags != (m.flags & scanned) ? WRONG_FACTS
                : is_needed(q, id)                                       ? IN_ORDER
                                                                         : NOBODYS;
    store_message_end(q->store);
    return state;
}

struct content_fix {
    uint64_t id;
    struct content_scan scan;
};

static struct content_fix fix; /* of the command that runs */

static int set_facts(struct repair *r, uint64_t id)
{
    return store_fix_facts(r->q->store, id, &fix.scan);
}

static int note_event(struct repair *r, uint64_t id)
{
    struct incident e = {.message = id,
                         .at = clock_wall_s(),
                         .what = "quarantined",
                         .address = SPAN(""),
                         .remote = SPAN(""),
                         .reply = SPAN("damaged; see the directory quarantine")};
    return store_event_add(r->q->store, &e);
}

static int remove_rcpts(struct repair *r, uint64_t id)
{
    struct recipient rcpt;
    enum found f;
    while (store_rcpts_begin(r->q->store, id),
           (f = store_rcpts_next(r->q->store, &rcpt)) == FOUND_YES || f == FOUND_DAMAGED) {
        uint32_t number = rcpt.number;
        store_rcpts_end(r->q->store);
        if (store_rcpt_remove(r->q->store, id, number) < 0)
            return -1;
    }
    return f == FOUND_FAULT ? -1 : 0;
}

/* From all mailboxes and the queue. It is in the quarantine. */
static int take_out(struct repair *r, uint64_t id)
{
    struct place p;
    bool freed_file;
    enum found f;
    while ((f = store_place_of(r->q->store, id, &p)) == FOUND_YES)
        if (store_place_remove(r->q->store, &p) < 0)
            return -1;
    if (f == FOUND_FAULT || remove_rcpts(r, id) < 0 || note_event(r, id) < 0 ||
        store_message_settle(r->q->store, id, &freed_file) < 0 ||
        store_fix_message(r->q->store, id) < 0)
        return -1;
    if (freed_file)
        batch_remove_file(&r->q->batch, id);
    return 0;
}

void repair_message(void *queue, struct admin_call *call)
{
    struct repair r = begun(queue, call);
    uint64_t id;
    int rc = 0;
    if (!takes_id(call, &id))
        return;
    enum state state = look(r.q, id, &fix.scan);
    if (state == UNKNOWN) {
        rc = -1;
    } else if (state == WRONG_FACTS) {
        r.done = "noted anew what its lines are";
        rc = in_transaction(&r, set_facts, id);
    } else if (state != IN_ORDER) {
        r.done = "moved to " QUARANTINE_DIR ": its sender and its readers were told nothing";
        rc = quarantine_message(r.q, id, reasons[state], &r.error);
        rc = rc == 0 ? in_transaction(&r, take_out, id) : rc;
    }
    if (rc == 0 && r.done != NULL)
        LOG(id, state == WRONG_FACTS ? "repaired" : "quarantined", LZ("because", reasons[state]));
    finish(&r, rc, 0);
}

/* --- recipients --- */

struct damaged_rcpts {
    struct buf note;
    uint32_t *numbers;
    size_t n, cap;
    bool has_message;
};

/* What cannot be right, and all of it if the message is gone. 0, or -1. */
static int collect_rcpts(struct queue *q, uint64_t id, struct damaged_rcpts *d)
{
    struct recipient r;
    enum found f;
    d->has_message = store_message_is_spooled(q->store, id) == FOUND_YES;
    store_rcpts_begin(q->store, id);
    while ((f = store_rcpts_next(q->store, &r)) == FOUND_YES || f == FOUND_DAMAGED) {
        void *numbers = d->numbers;
        if (f == FOUND_YES && d->has_message)
            continue;
        if (array_reserve(&numbers, &d->cap, d->n + 1, sizeof *d->numbers) < 0)
            break;
        d->numbers = numbers;
        d->numbers[d->n++] = r.number;
        buf_addf(&d->note, "recipient %u, damaged: ", (unsigned)r.number);
        for (size_t i = 0; i < r.address.n && i < ADDRESS_MAX; i++)
            buf_add(&d->note, (unsigned char)r.address.p[i] < ' ' ? "?" : &r.address.p[i], 1);
        buf_add(&d->note, "\n", 1);
    }
    store_rcpts_end(q->store);
    return f == FOUND_NONE ? 0 : -1;
}

static struct damaged_rcpts rcpts; /* of the command that runs */

static int drop_rcpts(struct repair *r, uint64_t id)
{
    bool freed_file;
    for (size_t i = 0; i < rcpts.n; i++)
        if (store_rcpt_remove(r->q->store, id, rcpts.numbers[i]) < 0)
            return -1;
    if (!rcpts.has_message)
        return store_fix_rcpts(r->q->store, id);
    if (store_message_settle(r->q->store, id, &freed_file) < 0)
        return -1;
    if (freed_file)
        batch_remove_file(&r->q->batch, id);
    return 0;
}

void repair_recipients(void *queue, struct admin_call *call)
{
    struct repair r = begun(queue, call);
    uint64_t id;
    if (!takes_id(call, &id))
        return;
    rcpts = (struct damaged_rcpts){.n = 0};
    buf_init(&rcpts.note, 1U << 20);
    int rc = collect_rcpts(r.q, id, &rcpts);
    if (rc == 0 && rcpts.n > 0) {
        r.done = "written down in " QUARANTINE_DIR ", and taken out of the queue";
        if (rcpts.has_message)
            rc = quarantine_message(r.q, id, "one of its recipients was damaged", &r.error);
        if (rc == 0)
            rc = quarantine_note(id, buf_span(&rcpts.note), &r.error);
        rc = rc == 0 ? in_transaction(&r, drop_rcpts, id) : rc;
    }
    if (rc == 0 && rcpts.n > 0)
        LOG(id, "quarantined", LN("recipients", (int64_t)rcpts.n));
    buf_free(&rcpts.note);
    free(rcpts.numbers);
    finish(&r, rc, 0);
}

/* --- mailboxes --- */

/* Entries whose message is gone: nothing is left of them but their place. */
static int drop_lost(struct repair *r, uint64_t box)
{
    struct place p;
    enum found f;
    while ((f = store_place_lost(r->q->store, box, &p)) == FOUND_YES) {
        char line[120];
        int n = snprintf(line, sizeof line,
                         "it was in mailbox %" PRIu64 " as number %" PRIu64
                         ", but its content and sender are gone\n",
                         box, p.seq);
        if (n < 0 || quarantine_note(p.message, span_of(line), &r->error) < 0 ||
            store_place_remove(r->q->store, &p) < 0)
            return -1;
        LOG(p.message, "quarantined", LN("mailbox", (int64_t)box), LZ("because", "no content"));
    }
    return f == FOUND_FAULT ? -1 : 0;
}

static int fix_box(struct repair *r, uint64_t box)
{
    return drop_lost(r, box) < 0 ? -1 : store_fix_box(r->q->store, box);
}

void repair_box(void *queue, struct admin_call *call)
{
    struct repair r = begun(queue, call);
    uint64_t box;
    if (!takes_number(call, &box))
        return;
    r.done = "counted anew";
    int rc = in_transaction(&r, fix_box, box);
    if (rc == 0)
        LOG(0, "repaired", LN("mailbox", (int64_t)box));
    finish(&r, rc, 0);
}

static int remove_place(struct repair *r, uint64_t box)
{
    struct place p;
    bool freed_file;
    if (store_place_in(r->q->store, box, &p) != FOUND_YES ||
        store_place_remove(r->q->store, &p) < 0 ||
        store_message_settle(r->q->store, p.message, &freed_file) < 0)
        return -1;
    if (freed_file)
        batch_remove_file(&r->q->batch, p.message);
    return 0;
}

static int forget(struct repair *r, uint64_t box)
{
    enum found f = store_box_forget(r->q->store, box) < 0 ? FOUND_FAULT : FOUND_YES;
    while (f == FOUND_YES)
        f = store_box_unname(r->q->store, box);
    return f == FOUND_FAULT ? -1 : store_box_emptied(r->q->store, box);
}

/* A page of its messages, or its end. */
void repair_nobodys(void *queue, struct admin_call *call)
{
    struct repair r = begun(queue, call);
    struct place p;
    uint64_t box;
    int rc = 0;
    enum found f = FOUND_YES;
    if (!takes_number(call, &box))
        return;
    r.done = "its mail was moved to " QUARANTINE_DIR;
    for (int i = 0; i < PAGE && rc == 0; i++) {
        f = store_place_in(r.q->store, box, &p);
        if (f != FOUND_YES)
            break;
        rc = quarantine_message(r.q, p.message, "the user it was for is not there", &r.error);
        rc = rc == 0 ? in_transaction(&r, remove_place, box) : rc;
        LOG(p.message, "quarantined", LN("mailbox", (int64_t)box), LZ("because", "no such user"));
    }
    if (rc == 0 && f == FOUND_NONE)
        rc = in_transaction(&r, forget, box);
    finish(&r, f == FOUND_FAULT ? -1 : rc, f == FOUND_YES ? call->cursor + 1 : 0);
}

static int drop_removals(struct repair *r, uint64_t unused)
{
    (void)unused;
    return store_fix_removals(r->q->store);
}

void repair_removals(void *queue, struct admin_call *call)
{
    struct repair r = begun(queue, call);
    r.done = "taken back: what they named is in its mailbox again";
    finish(&r, in_transaction(&r, drop_removals, 0), 0);
}

static int drop_orphans(struct repair *r, uint64_t unused)
{
    (void)unused;
    return store_fix_orphans(r->q->store);
}

void repair_orphans(void *queue, struct admin_call *call)
{
    struct repair r = begun(queue, call);
    r.done = "the note was removed";
    int rc = in_transaction(&r, drop_orphans, 0);
    if (rc == 0)
        LOG(0, "repaired", LZ("what", "orphans"));
    finish(&r, rc, 0);
}

/* --- files --- */

static enum found is_stray(struct queue *q, struct span name)
{
    uint64_t id;
    struct message m = {.id = 0};
    if (id_parse(name, &id) < 0)
        return FOUND_YES;
    enum found f = store_message_get(q->store, id, &m);
    bool is_in_use = f == FOUND_DAMAGED || (f == FOUND_YES && m.is_spooled);
    store_message_end(q->store);
    if (f == FOUND_FAULT)
        return f;
    return is_in_use || intake_has_file(q, id) || batch_holds_file(&q->batch, id) ? FOUND_NONE
                                                                                  : FOUND_YES;
}

void repair_stray(void *queue, struct admin_call *call)
{
    static struct admin_row row;
    enum found f = is_stray(queue, call->n_args == 1 ? call->args[0] : SPAN(""));
    row_begin(&row);
    row_bool(&row, "is_stray", f != FOUND_NONE);
    row_send(&row, call, 0, "");
    admin_done(call, 0);
}

void repair_file(void *queue, struct admin_call *call)
{
    struct repair r = begun(queue, call);
    struct span name = call->n_args == 1 ? call->args[0] : SPAN("");
    int rc = 0;
    enum found f = is_stray(r.q, name);
    if (f == FOUND_YES) {
        r.done = "moved to " QUARANTINE_DIR;
        rc = quarantine_file(r.q, name, &r.error);
        LOG(0, "quarantined", LS("file", name));
    }
    finish(&r, f == FOUND_FAULT ? -1 : rc, 0);
}
