#include "queue/chronicle.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/pack.h"

#define SEQUENCE_OCTETS 8

/* Empty: there is no such device any more. */
static int name_of(struct queue *q, const struct actor *by, char name[DEVICE_NAME_MAX + 1])
{
    uint64_t device = 0;
    enum found f = FOUND_NONE;
    if (by->device != 0)
        f = store_device_next(q->store, by->box, by->device - 1, &device, name);
    if (f != FOUND_YES || device != by->device)
        name[0] = '\0';
    return f == FOUND_FAULT ? -1 : 0;
}

int chronicle_begin(struct chronicle *c, struct queue *q, const struct actor *by, const char *what)
{
    char name[DEVICE_NAME_MAX + 1];
    if (store_is_tracing(q->store) && name_of(q, by, name) < 0)
        return -1;
    *c = (struct chronicle){
        .box = by->box,
        .event = {
            .at = clock_wall_s(), .what = what, .address = by->address, .remote = by->client}};
    if (!store_is_tracing(q->store))
        return 0;
    snprintf(c->place, sizeof c->place, "mailbox %llu%s%s", (unsigned long long)by->box,
             name[0] != '\0' ? ", device " : "", name);
    return 0;
}

static struct incident incident_of(const struct chronicle *c)
{
    struct incident e = c->event;
    e.reply = span_of(c->place);
    return e;
}

int chronicle_note(struct queue *q, const struct chronicle *c, uint64_t seq)
{
    struct incident e = incident_of(c);
    return store_event_at(q->store, c->box, seq, &e, false);
}

int chronicle_after_deletion(struct queue *q, uint64_t box, uint64_t message, const char *what)
{
    struct chronicle c;
    if (chronicle_begin(&c, q, &(struct actor){.box = box}, what) < 0)
        return -1;
    struct incident e = incident_of(&c);
    e.message = message;
    return store_event_after_deletion(q->store, &e);
}

/* --- what was retrieved --- */

static int note_first(struct queue *q, const struct msg_box_collected *m)
{
    struct actor by = {m->box, m->device, m->address, m->client};
    struct unpacker in = unpacker_on(m->sequences);
    struct chronicle c;
    if (chronicle_begin(&c, q, &by, "retrieved") < 0)
        return -1;
    struct incident e = incident_of(&c);
    while (in.left.n > 0) {
        uint64_t seq = unpack_uint(&in, SEQUENCE_OCTETS);
        if (in.failed || seq > INT64_MAX)
            return 0;
        if (store_event_at(q->store, m->box, seq, &e, true) < 0)
            return -1;
    }
    return 0;
}

void chronicle_collected(struct queue *q, const struct msg_box_collected *m)
{
    if (!store_is_tracing(q->store) || m->box == 0 || m->box > INT64_MAX || m->device > INT64_MAX ||
        batch_begin(&q->batch) < 0)
        return;
    if (note_first(q, m) < 0)
        batch_undo(&q->batch);
    else
        batch_keep(&q->batch, NULL);
    if (m->more > 0)
        LOG(m->session <= INT64_MAX ? m->session : 0, "retrieved-not-noted",
            LN("mailbox", (int64_t)m->box),
            LN("messages", m->more <= INT64_MAX ? (int64_t)m->more : INT64_MAX));
}
