#include "queue/boxes.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/verdict.h"
#include "queue/contain.h"
#include "queue/trash.h"

#define SEQUENCE_OCTETS 8
#define DELETIONS_MAX   1000000    /* in one request */
#define REQUESTS_MAX    1024       /* in parts or waiting for the commit */
#define COLLECTED_MAX   (8U << 20) /* sequences of all requests in memory */
#define SWEEP_STEP      500
#define SWEEP_AGAIN_MS  15000 /* after one that was not saved: removing takes room on disk, too */

struct request {
    struct waiter waiter; /* first: the commit gives it back */
    struct request *next, **at;
    struct queue *q;
    struct ipc *ch; /* NULL: nobody waits for the answer */
    uint64_t tag, box, session, device;
    bool is_deletion; /* else: forget */
    bool is_complete; /* waits for the commit */
    bool is_refused;  /* answered; the rest of its parts is awaited only to be thrown away */
    uint64_t *sequences;
    size_t n, cap;
};

struct boxes {
    struct request *first;
    size_t n_requests, n_collected;
    bool may_need_sweep;
    struct waiter sweep; /* its commit */
    struct timer again;
};

static struct boxes *boxes_of_sweep(struct waiter *w)
{
    return (struct boxes *)(void *)((char *)w - offsetof(struct boxes, sweep));
}

static void sweep_put_off(struct boxes *b)
{
    b->may_need_sweep = false;
    timer_set(&b->again, SWEEP_AGAIN_MS);
}

static void sweep_again(void *boxes)
{
    ((struct boxes *)boxes)->may_need_sweep = true;
}

static void sweep_settled(struct waiter *w, enum outcome o)
{
    if (o != OUTCOME_SAVED)
        sweep_put_off(boxes_of_sweep(w));
}

struct boxes *boxes_new(struct queue *q)
{
    struct boxes *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->may_need_sweep = true; /* a removal may have been cut short by the last stop */
    b->sweep.settled = sweep_settled;
    timer_init(&b->again, q->loop, sweep_again, b);
    return b;
}

static struct request *new_request(struct queue *q, struct ipc *from, uint64_t tag)
{
    struct boxes *b = q->boxes;
    struct request *r = b->n_requests < REQUESTS_MAX ? calloc(1, sizeof *r) : NULL;
    if (r == NULL)
        return NULL;
    *r = (struct request){.q = q, .ch = from, .tag = tag, .next = b->first, .at = &b->first};
    if (r->next != NULL)
        r->next->at = &r->next;
    b->first = r;
    b->n_requests++;
    return r;
}

static void free_request(struct request *r)
{
    *r->at = r->next;
    if (r->next != NULL)
        r->next->at = r->at;
    r->q->boxes->n_requests--;
    r->q->boxes->n_collected -= r->n;
    free(r->sequences);
    free(r);
}

void boxes_free(struct queue *q)
{
    while (q->boxes != NULL && q->boxes->first != NULL)
        free_request(q->boxes->first);
    if (q->boxes != NULL)
        timer_stop(&q->boxes->again);
    free(q->boxes);
    q->boxes = NULL;
}

void boxes_channel_closed(struct queue *q, struct ipc *from)
{
    for (struct request *r = q->boxes->first, *next; r != NULL; r = next) {
        next = r->next;
        if (r->ch != from)
            continue;
        r->ch = NULL;
        if (!r->is_complete)
            free_request(r);
    }
}

static void answer_delete(struct ipc *ch, uint64_t tag, enum verdict v)
{
    if (ch != NULL)
        ipc_send_box_delete_re(ch, &(struct msg_box_delete_re){tag, (uint8_t)v}, -1);
}

static void answer_forget(struct ipc *ch, uint64_t tag, enum verdict v)
{
    if (ch != NULL)
        ipc_send_box_forget_re(ch, &(struct msg_box_forget_re){tag, (uint8_t)v}, -1);
}

/* A request that is not whole yet stays: its next part must not look like a request of its own,
 * which would delete some of what was to be deleted together. */
static void refuse_part(struct request *r, bool is_last)
{
    if (!r->is_refused)
        answer_delete(r->ch, r->tag, VERDICT_TRY_LATER);
    r->is_refused = true;
    if (is_last)
        free_request(r);
}

static void finish(struct request *r, enum verdict v)
{
    const char *result = v == VERDICT_OK ? "ok" : "failed";
    if (r->is_deletion) {
        LOG(r->session, "deleted", LN("mailbox", (int64_t)r->box), LN("messages", (int64_t)r->n),
            LN("device", (int64_t)r->device), LZ("result", result));
        answer_delete(r->ch, r->tag, v);
    } else {
        LOG(0, "mailbox-forgotten", LN("mailbox", (int64_t)r->box), LZ("result", result));
        answer_forget(r->ch, r->tag, v);
        r->q->boxes->may_need_sweep = true;
    }
    free_request(r);
}

static void settled(struct waiter *w, enum outcome o)
{
    finish((struct request *)w, o == OUTCOME_SAVED ? VERDICT_OK : VERDICT_TRY_LATER);
}

static void keep(struct request *r)
{
    r->is_complete = true;
    r->waiter.settled = settled;
    batch_keep(&r->q->batch, &r->waiter);
}

/* --- deletions --- */

static int collect(struct request *r, struct span packed)
{
    struct boxes *b = r->q->boxes;
    struct unpacker in = unpacker_on(packed);
    size_t more = packed.n / SEQUENCE_OCTETS;
    void *sequences = r->sequences;
    if (packed.n % SEQUENCE_OCTETS != 0 || r->n + more > DELETIONS_MAX ||
        b->n_collected + more > COLLECTED_MAX / SEQUENCE_OCTETS ||
        array_reserve(&sequences, &r->cap, r->n + more, SEQUENCE_OCTETS) < 0)
        return -1;
    r->sequences = sequences;
    b->n_collected += more;
    for (size_t i = 0; i < more; i++) {
        uint64_t seq = unpack_uint(&in, SEQUENCE_OCTETS);
        if (seq == 0 || seq > INT64_MAX)
            in.failed = true;
        r->sequences[r->n++] = seq;
    }
    return in.failed ? -1 : 0;
}

static struct request *find(struct queue *q, const struct ipc *ch, const struct msg_box_delete *m)
{
    struct request *r = q->boxes->first;
    while (r != NULL && (r->ch != ch || r->tag != m->tag || !r->is_deletion || r->is_complete))
        r = r->next;
    return r;
}

void boxes_delete(struct queue *q, struct ipc *from, const struct msg_box_delete *m)
{
    struct request *r = find(q, from, m);
    if (r == NULL && m->box > 0 && m->box <= INT64_MAX && m->device <= INT64_MAX &&
        (r = new_request(q, from, m->tag))) {
        r->is_deletion = true;
        r->box = m->box;
        r->device = m->device;
        r->session = m->session <= INT64_MAX ? m->session : 0;
    }
    if (r == NULL) {
        answer_delete(from, m->tag, VERDICT_TRY_LATER);
        return;
    }
    if (r->is_refused || r->box != m->box || r->device != m->device ||
        collect(r, m->sequences) < 0) {
        refuse_part(r, m->is_last != 0);
        return;
    }
    if (m->is_last == 0)
        return;
    struct deletion d = {.box = r->box,
                         .device = r->device,
                         .at = clock_wall_s(),
                         .address = m->address,
                         .client = m->client};
    if (batch_begin(&q->batch) < 0) {
        finish(r, VERDICT_TRY_LATER);
    } else if (trash_delete(q, &d, r->sequences, r->n) < 0) {
        batch_undo(&q->batch);
        finish(r, VERDICT_TRY_LATER);
    } else {
        keep(r);
    }
}

/* --- forgetting --- */

void boxes_forget(struct queue *q, struct ipc *from, const struct msg_box_forget *m)
{
    struct request *r = m->box > 0 && m->box <= INT64_MAX ? new_request(q, from, m->tag) : NULL;
    if (r == NULL) {
        answer_forget(from, m->tag, VERDICT_TRY_LATER);
        return;
    }
    r->box = m->box;
    if (batch_begin(&q->batch) < 0) {
        finish(r, VERDICT_TRY_LATER);
    } else if (store_box_forget(q->store, r->box) < 0 ||
               (m->address.n > 0 && contain_forget(q, m->address) < 0)) {
        batch_undo(&q->batch);
        finish(r, VERDICT_TRY_LATER);
    } else {
        keep(r);
    }
}

/* Removes some of a mailbox. 0 and whether all is gone, or -1. */
static int sweep_box(struct queue *q, uint64_t box, bool *is_empty)
{
    uint64_t seq, octets;
    *is_empty = false;
    for (int i = 0; i < SWEEP_STEP; i++) {
        enum found f = store_entry_first(q->store, box, &seq);
        if (f == FOUND_YES && trash_remove_entry(q, box, seq, &octets) < 0)
            return -1;
        if (f == FOUND_NONE && (f = trash_remove_first(q, box)) == FOUND_NONE) {
            f = store_box_unname(q->store, box);
            *is_empty = f == FOUND_NONE;
            return *is_empty ? store_box_emptied(q->store, box) : f == FOUND_FAULT ? -1 : 0;
        }
        if (f != FOUND_YES)
            return -1;
    }
    return 0;
}

bool boxes_sweep(struct queue *q)
{
    uint64_t box;
    bool is_empty;
    if (!q->boxes->may_need_sweep)
        return false;
    if (store_box_unswept(q->store, &box) != FOUND_YES) {
        q->boxes->may_need_sweep = false;
        return false;
    }
    if (batch_begin(&q->batch) < 0)
        return false;
    if (sweep_box(q, box, &is_empty) < 0) {
        batch_undo(&q->batch);
        sweep_put_off(q->boxes);
        return false;
    }
    batch_keep(&q->batch, &q->boxes->sweep);
    return true;
}
