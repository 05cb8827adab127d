/* QUEUE_ROOM: would the mailboxes of a recipient take a message? Declared in intake.h. */
#include "common/clock.h"
#include "queue/callout.h"
#include "queue/deliver.h"
#include "queue/intake.h"

enum intake_reason intake_add_sealed(const struct queue *q, struct targets *t, const struct rcpt *r)
{
    if (!q->has_key)
        return INTAKE_STALE;
    return targets_add_sealed(t, r, q->key, clock_wall_s()) == 0 ? INTAKE_OK : INTAKE_STALE;
}

void intake_room(struct queue *q, struct ipc *from, const struct msg_queue_room *m)
{
    struct targets targets = {0};
    enum intake_reason reason = INTAKE_FAULT;
    struct rcpt r = {.address = m->address, .sealed = m->sealed};
    if (m->sealed.n == 0) {
        callout_ask(q, from, m);
        return;
    }
    if (!q->is_draining && !q->batch.is_broken)
        reason = intake_add_sealed(q, &targets, &r);
    if (reason == INTAKE_OK)
        reason = deliver_room(q->store, &targets, m->size);
    targets_free(&targets);
    struct msg_queue_room_re re = {
        .tag = m->tag, .verdict = (uint8_t)intake_verdict(reason), .reason = (uint8_t)reason};
    ipc_send_queue_room_re(from, &re, -1);
}
