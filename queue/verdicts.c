#include "queue/verdicts.h"

#include "common/log.h"
#include "common/pack.h"
#include "queue/intake.h"

/* How many targets there are. */
struct extent {
    size_t boxes, remotes, deeds;
};

struct asker {
    enum intake_reason reason;
    struct extent end, room_end; /* of his; they begin where those of the one before end */
    char *address;
};

static struct extent extent_of(const struct targets *t)
{
    return (struct extent){.boxes = t->n_boxes, .remotes = t->n_remotes, .deeds = t->n_deeds};
}

void verdicts_free(struct verdicts *v)
{
    for (size_t i = 0; i < v->n; i++)
        free(v->askers[i].address);
    free(v->askers);
    *v = (struct verdicts){0};
}

enum intake_reason verdicts_add(struct verdicts *v, struct span address, enum intake_reason reason,
                                const struct targets *t, const struct targets *room)
{
    void *askers = v->askers;
    if (v->n >= EACH_RCPTS_MAX || array_reserve(&askers, &v->cap, v->n + 1, sizeof *v->askers) < 0)
        return INTAKE_FAULT;
    v->askers = askers;
    struct asker new = {.reason = reason,
                        .end = extent_of(t),
                        .room_end = extent_of(room),
                        .address = span_dup(address)};
    if (new.address == NULL)
        return INTAKE_FAULT;
    v->askers[v->n++] = new;
    return INTAKE_OK;
}

/* The first "no" of his mailboxes. */
static enum intake_reason look(struct store *s, const struct delivery *d, const struct extent *from,
                               const struct asker *a)
{
    enum intake_reason reason = INTAKE_OK;
    for (size_t i = from->boxes; i < a->end.boxes && reason == INTAKE_OK; i++)
        reason = deliver_look(s, d, &d->targets->boxes[i]);
    return reason;
}

static enum intake_reason look_for_room(struct store *s, const struct targets *room, size_t from,
                                        const struct asker *a, uint64_t size)
{
    struct targets his = {0};
    his.boxes = room->boxes + from;
    his.n_boxes = a->room_end.boxes - from;
    return his.n_boxes > 0 ? deliver_room(s, &his, size) : INTAKE_OK;
}

static void refuse_targets(const struct targets *t, const struct extent *from,
                           const struct extent *to)
{
    for (size_t i = from->boxes; i < to->boxes; i++)
        t->boxes[i].is_refused = true;
    for (size_t i = from->remotes; i < to->remotes; i++)
        t->remotes[i].is_refused = true;
    for (size_t i = from->deeds; i < to->deeds; i++)
        t->deeds[i].is_refused = true;
}

enum intake_reason verdicts_decide(struct verdicts *v, struct store *s, const struct delivery *d,
                                   const struct targets *room)
{
    struct extent from = {0}, room_from = {0};
    size_t n_refused = 0;
    for (size_t i = 0; i < v->n; i++) {
        struct asker *a = &v->askers[i];
        if (a->reason == INTAKE_OK)
            a->reason = look(s, d, &from, a);
        if (a->reason == INTAKE_OK)
            a->reason = look_for_room(s, room, room_from.boxes, a, d->message->size);
        if (a->reason != INTAKE_OK) {
            refuse_targets(d->targets, &from, &a->end);
            refuse_targets(room, &room_from, &a->room_end);
            n_refused++;
        }
        from = a->end;
        room_from = a->room_end;
    }
    v->are_decided = v->n > 0;
    if (n_refused < v->n)
        return INTAKE_OK;
    return v->n > 0 ? v->askers[0].reason : INTAKE_FAULT;
}

struct span verdicts_pack(const struct verdicts *v, char *room)
{
    struct packer p = packer_on(room, 2 * EACH_RCPTS_MAX);
    for (size_t i = 0; v->are_decided && i < v->n; i++) {
        pack_uint(&p, intake_verdict(v->askers[i].reason), 1);
        pack_uint(&p, v->askers[i].reason, 1);
    }
    return packer_span(&p);
}

void verdicts_log(const struct verdicts *v, const struct message *m)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->askers[i].reason != INTAKE_OK)
            LOG(m->id, "refused", LS("from", m->sender), LZ("to", v->askers[i].address),
                LZ("because", intake_reason_name(v->askers[i].reason)));
}
