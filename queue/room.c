/* Is there room? In the mailboxes of a recipient (QUEUE_ROOM), or among what is held. Declared in
 * intake.h. */
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

/* RFC 4865 6.2. What came before in the batch is counted, too. */
enum intake_reason intake_may_hold(struct queue *q, const struct message *m)
{
    uint64_t messages_max = q->config->held_messages, size_max = q->config->held_size;
    struct held held;
    if (m->hold_until == 0 || m->hold_who.n == 0)
        return INTAKE_OK;
    if (store_hold_count(q->store, m->hold_who, m->arrived, messages_max, &held) < 0)
        return INTAKE_FAULT;
    bool fits = held.messages < messages_max && held.octets <= size_max &&
                m->size <= size_max - held.octets;
    return fits ? INTAKE_OK : INTAKE_HELD;
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
