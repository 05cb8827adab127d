#include "queue/devices.h"

#include "common/log.h"
#include "common/pack.h"
#include "common/verdict.h"
#include "queue/trash.h"

#define AGAIN_MS 15000 /* after a step that was not saved */

struct request {
    struct waiter waiter; /* first: the commit gives it back */
    struct request *next;
    struct devices *devices;
    struct ipc *ch; /* NULL: nobody waits for the answer */
    uint64_t tag, box;
    bool has_removed;
};

struct devices {
    struct request *waiting;
    struct waiter step; /* its commit */
    struct timer again;
    bool may_review;
    uint64_t box, cursor; /* how far the review of this mailbox came */
};

static void review_again(void *devices)
{
    struct devices *d = devices;
    d->may_review = true;
    d->box = d->cursor = 0;
}

static void put_off(struct devices *d)
{
    d->may_review = false;
    timer_set(&d->again, AGAIN_MS);
}

static void step_settled(struct waiter *w, enum outcome o)
{
    if (o != OUTCOME_SAVED)
        put_off((struct devices *)(void *)((char *)w - offsetof(struct devices, step)));
}

struct devices *devices_new(struct queue *q)
{
    struct devices *d = calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    d->step.settled = step_settled;
    timer_init(&d->again, q->loop, review_again, d);
    d->may_review = true; /* the last stop may have cut it short */
    return d;
}

void devices_free(struct queue *q)
{
    struct devices *d = q->devices;
    if (d == NULL)
        return;
    for (struct request *r = d->waiting, *next; r != NULL; r = next) {
        next = r->next;
        free(r);
    }
    timer_stop(&d->again);
    free(d);
    q->devices = NULL;
}

void devices_channel_closed(struct queue *q, struct ipc *from)
{
    for (struct request *r = q->devices->waiting; r != NULL; r = r->next)
        if (r->ch == from)
            r->ch = NULL;
}

/* --- which there are --- */

struct given {
    struct device list[DEVICES_MAX];
    size_t n;
};

/* 0, or -1: not what authd would say. */
static int take(struct span packed, uint64_t box, struct given *out)
{
    struct unpacker r = unpacker_on(packed);
    out->n = 0;
    while (r.left.n > 0) {
        struct device d = {.id = unpack_uint(&r, 8), .box = box};
        d.name = unpack_bytes(&r, DEVICE_NAME_MAX);
        if (r.failed || out->n == DEVICES_MAX || d.id == 0 || d.id > INT64_MAX)
            return -1;
        out->list[out->n++] = d;
    }
    return 0;
}

static bool is_given(const struct given *g, uint64_t id)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->list[i].id == id)
            return true;
    return false;
}

/* 0 and whether there were any, or -1. */
static int remove_others(struct queue *q, uint64_t box, const struct given *g, bool *has_removed)
{
    uint64_t id = 0;
    char name[DEVICE_NAME_MAX + 1];
    enum found f;
    while ((f = store_device_next(q->store, box, id, &id, name)) == FOUND_YES) {
        if (is_given(g, id))
            continue;
        if (store_device_remove(q->store, box, id) < 0)
            return -1;
        *has_removed = true;
    }
    if (f == FOUND_FAULT)
        return -1;
    return *has_removed ? store_box_review(q->store, box, true) : 0;
}

static int add_new(struct queue *q, const struct given *g)
{
    for (size_t i = 0; i < g->n; i++) {
        enum found f = store_device_look(q->store, g->list[i].box, g->list[i].id);
        if (f == FOUND_FAULT || (f == FOUND_NONE && store_device_add(q->store, &g->list[i]) < 0))
            return -1;
    }
    return 0;
}

static int set(struct queue *q, uint64_t box, const struct given *g, bool *has_removed)
{
    struct box_state state;
    enum found f = store_box_look(q->store, box, &state);
    if (f != FOUND_YES) /* a mailbox that is forgotten has no devices */
        return f == FOUND_NONE ? 0 : -1;
    if (store_box_make(q->store, box) < 0 || remove_others(q, box, g, has_removed) < 0)
        return -1;
    return add_new(q, g);
}

static void answer(struct ipc *ch, uint64_t tag, enum verdict v)
{
    if (ch != NULL)
        ipc_send_box_devices_re(ch, &(struct msg_box_devices_re){tag, (uint8_t)v}, -1);
}

static void free_request(struct request *r)
{
    struct request **at = &r->devices->waiting;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    free(r);
}

static void settled(struct waiter *w, enum outcome o)
{
    struct request *r = (struct request *)w;
    if (o == OUTCOME_SAVED && r->has_removed)
        review_again(r->devices);
    answer(r->ch, r->tag, o == OUTCOME_SAVED ? VERDICT_OK : VERDICT_TRY_LATER);
    free_request(r);
}

static struct request *new_request(struct devices *d, struct ipc *from,
                                   const struct msg_box_devices *m)
{
    struct request *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    *r = (struct request){.waiter = {.settled = settled},
                          .next = d->waiting,
                          .devices = d,
                          .ch = from,
                          .tag = m->tag,
                          .box = m->box};
    d->waiting = r;
    return r;
}

void devices_set(struct queue *q, struct ipc *from, const struct msg_box_devices *m)
{
    static struct given given;
    struct devices *d = q->devices;
    bool is_right = m->box > 0 && m->box <= INT64_MAX && take(m->devices, m->box, &given) == 0;
    bool has_removed = false;
    if (!is_right || batch_begin(&q->batch) < 0) {
        answer(from, m->tag, VERDICT_TRY_LATER);
        return;
    }
    struct request *r = NULL;
    if (set(q, m->box, &given, &has_removed) < 0 || (r = new_request(d, from, m)) == NULL) {
        batch_undo(&q->batch);
        answer(from, m->tag, VERDICT_TRY_LATER);
        return;
    }
    r->has_removed = has_removed;
    LOG(0, "devices", LN("mailbox", (int64_t)m->box), LN("n", (int64_t)given.n));
    if (r->has_removed)
        d->box = d->cursor = 0; /* a step in this turn begins anew */
    batch_keep(&q->batch, &r->waiter);
}

/* --- after one was removed --- */

static int review_some(struct queue *q, uint64_t box)
{
    struct devices *d = q->devices;
    if (d->box != box)
        d->cursor = 0;
    d->box = box;
    enum found f = trash_review(q, box, &d->cursor);
    if (f == FOUND_NONE)
        return store_box_review(q->store, box, false);
    return f == FOUND_FAULT ? -1 : 0;
}

bool devices_review(struct queue *q)
{
    struct devices *d = q->devices;
    uint64_t box;
    if (q->is_draining || !d->may_review)
        return false;
    if (store_review_next(q->store, &box) != FOUND_YES) {
        d->may_review = false;
        return false;
    }
    if (batch_begin(&q->batch) < 0) {
        put_off(d);
        return false;
    }
    if (review_some(q, box) < 0) {
        batch_undo(&q->batch);
        put_off(d);
        return false;
    }
    batch_keep(&q->batch, &d->step);
    return true;
}
