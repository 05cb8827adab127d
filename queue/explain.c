#include "queue/explain.h"

#include "queue/callout.h"
#include "queue/deliver.h"

/* A number of an argument: 0, or -1. */
static int number_of(const struct admin_call *call, size_t i, uint64_t *out)
{
    return i < call->n_args && span_u64(call->args[i], out) == 0 && *out <= INT64_MAX ? 0 : -1;
}

void explain_room(void *owner, struct admin_call *call)
{
    static struct admin_row row;
    struct queue *q = owner;
    struct targets targets = {0};
    struct box box = {0};
    uint64_t quota, size;
    if (number_of(call, 0, &box.id) < 0 || box.id == 0 || number_of(call, 1, &quota) < 0 ||
        number_of(call, 2, &size) < 0) {
        admin_fail(call, VERDICT_NEVER, "a mailbox, its quota and a size are numbers");
        return;
    }
    enum intake_reason reason = INTAKE_FAULT;
    if (targets_add_box(&targets, box.id, quota) == 0)
        reason = deliver_room(q->store, &targets, size);
    targets_free(&targets);
    if (store_box_get(q->store, box.id, &box) == FOUND_FAULT)
        reason = INTAKE_FAULT;
    row_begin(&row);
    row_number(&row, "reason", reason);
    row_size(&row, "octets", box.octets);
    row_send(&row, call, 0, "");
    admin_done(call, 0);
}

void explain_recipient(void *owner, struct admin_call *call)
{
    static struct admin_row row;
    struct queue *q = owner;
    bool is_open;
    struct span address = call->n_args > 0 ? call->args[0] : SPAN("");
    const char *why = callout_explain(q, address, &is_open);
    row_begin(&row);
    row_number(&row, "reason", callout_judge(q, address));
    row_bool(&row, "is_open", is_open);
    row_text(&row, "why", span_of(why));
    row_send(&row, call, 0, "");
    admin_done(call, 0);
}
