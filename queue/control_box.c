#include "queue/control_box.h"

#include "common/log.h"
#include "common/maildb.h"
#include "queue/retention.h"
#include "queue/trash.h"

/* 0, or -1. */
static int show_devices(struct queue *q, struct admin_call *call, const struct box *box)
{
    static struct admin_row row;
    uint64_t id = 0, dropped;
    char name[DEVICE_NAME_MAX + 1];
    enum found f;
    while ((f = store_device_next(q->store, box->id, id, &id, name)) == FOUND_YES) {
        if (store_device_dropped(q->store, box->id, id, &dropped) != FOUND_YES)
            return -1;
        row_begin(&row);
        row_text(&row, "name", span_of(name));
        row_number(&row, "messages", (int64_t)(box->messages - dropped));
        row_send(&row, call, 1, "devices");
    }
    return f == FOUND_FAULT ? -1 : 0;
}

/* The first argument; false: that was refused. */
static bool takes_box(struct admin_call *call, uint64_t *box)
{
    if (call->n_args >= 1 && span_u64(call->args[0], box) == 0 && *box > 0 && *box <= INT64_MAX)
        return true;
    admin_fail(call, VERDICT_NEVER, "which mailbox? Name its number");
    return false;
}

void box_show(void *owner, struct admin_call *call)
{
    static struct admin_row row;
    struct queue *q = owner;
    struct box box = {0};
    int64_t oldest = 0;
    uint64_t seq, id;
    if (!takes_box(call, &id))
        return;
    box.id = id;
    if (store_box_get(q->store, box.id, &box) == FOUND_FAULT ||
        store_box_oldest(q->store, box.id, &oldest, &seq) == FOUND_FAULT) {
        admin_fail(call, VERDICT_TRY_LATER, "the mailbox cannot be read: see the log");
        return;
    }
    if (box.domain == 0 && span_u64(admin_option(call, "domain"), &box.domain) < 0)
        box.domain = 0;
    row_begin(&row);
    row_number(&row, "messages", (int64_t)box.messages);
    row_size(&row, "octets", box.octets);
    row_time(&row, "oldest", oldest);
    row_number(&row, "deleted", (int64_t)box.deleted);
    int rc = retention_show(q, &box, &row);
    row_send(&row, call, 0, "");
    if (rc < 0 || show_devices(q, call, &box) < 0)
        admin_fail(call, VERDICT_TRY_LATER, "the mailbox cannot be read: see the log");
    else
        admin_done(call, 0);
}

void box_undelete(void *owner, struct admin_call *call)
{
    static struct admin_row row;
    struct queue *q = owner;
    uint64_t box, since = 0, cursor = call->cursor;
    struct span given = admin_option(call, "since");
    if (!takes_box(call, &box))
        return;
    if (given.p != NULL && (span_u64(given, &since) < 0 || since > INT64_MAX)) {
        admin_fail(call, VERDICT_NEVER, "since is a time in seconds since 1970");
        return;
    }
    long n = cursor <= INT64_MAX ? trash_undelete(q, box, (int64_t)since, &cursor) : -1;
    if (n < 0) {
        admin_fail(call, VERDICT_TRY_LATER, "the mailbox cannot be written: see the log");
        return;
    }
    if (n > 0)
        LOG(0, "undeleted", LN("mailbox", (int64_t)box), LN("messages", n));
    row_begin(&row);
    row_number(&row, "messages", n);
    row_send(&row, call, 0, "");
    admin_done(call, cursor);
}

void box_list(void *owner, struct admin_call *call)
{
    static struct admin_row row;
    struct queue *q = owner;
    struct box box = {.id = call->cursor};
    enum found f = FOUND_NONE;
    size_t n = 0;
    while (call->cursor <= INT64_MAX && n < ADMIN_PAGE &&
           (f = store_box_next(q->store, box.id, &box)) == FOUND_YES) {
        int64_t oldest;
        uint64_t seq;
        if ((f = store_box_oldest(q->store, box.id, &oldest, &seq)) == FOUND_FAULT)
            break;
        row_begin(&row);
        row_number(&row, "id", (int64_t)box.id);
        row_number(&row, "messages", (int64_t)box.messages);
        row_size(&row, "octets", box.octets);
        row_time(&row, "oldest", oldest);
        row_send(&row, call, 0, "");
        n++;
    }
    if (f == FOUND_FAULT)
        admin_fail(call, VERDICT_TRY_LATER, "the mailboxes cannot be read: see the log");
    else
        admin_done(call, n == ADMIN_PAGE ? box.id : 0);
}
