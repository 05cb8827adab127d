#include "queue/trash.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/maildb.h"
#include "common/pack.h"
#include "queue/chronicle.h"
#include "queue/retention.h"

#define AT_ONCE   256 /* a deletion of more is carried out later */
#define STEP      200
#define PAGE      500 /* messages brought back in one transaction */
#define LOOK_MS   60000
#define AGAIN_MS  15000 /* after a step that was not saved: freeing takes room on disk, too */
#define FULL_MS   60000 /* after the disk was full everything in the trash may go */
#define SEQ_BYTES 8

_Static_assert(AT_ONCE <= REMOVAL_MAX, "a step of a removal is no larger than one done at once");

struct trash {
    struct waiter step; /* its commit */
    struct timer look, again;
    bool has_removals, may_purge, may_age;
    bool is_put_off;
    int64_t full_until_ms; /* mono */
    uint64_t aging;        /* the mailbox whose mail was looked at last */
    unsigned notes_left;   /* of what goes by age, until the next look */
};

static struct trash *trash_of_step(struct waiter *w)
{
    return (struct trash *)(void *)((char *)w - offsetof(struct trash, step));
}

static void step_settled(struct waiter *w, enum outcome o)
{
    struct trash *t = trash_of_step(w);
    if (o == OUTCOME_SAVED)
        return;
    t->is_put_off = true;
    t->has_removals = t->may_purge = t->may_age = true;
    timer_set(&t->again, AGAIN_MS);
}

static void look(void *arg)
{
    struct trash *t = arg;
    t->may_purge = t->may_age = true;
    t->notes_left = AT_ONCE;
    timer_set(&t->look, LOOK_MS);
}

void trash_age_on(struct queue *q)
{
    q->trash->may_age = true;
}

void trash_look(struct queue *q)
{
    look(q->trash);
}

static void try_again(void *arg)
{
    ((struct trash *)arg)->is_put_off = false;
}

struct trash *trash_new(struct queue *q)
{
    struct trash *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->step.settled = step_settled;
    t->has_removals = true; /* they may have been cut short by the last stop */
    timer_init(&t->look, q->loop, look, t);
    timer_init(&t->again, q->loop, try_again, t);
    look(t);
    return t;
}

void trash_free(struct queue *q)
{
    if (q->trash == NULL)
        return;
    timer_stop(&q->trash->look);
    timer_stop(&q->trash->again);
    free(q->trash);
    q->trash = NULL;
}

/* --- deletion --- */

static bool keeps_deleted(const struct queue *q)
{
    return q->config->mailbox.undelete_for_ms != DURATION_NONE;
}

static int settle(struct queue *q, uint64_t message)
{
    bool freed_file;
    if (store_message_settle(q->store, message, &freed_file) < 0)
        return -1;
    if (freed_file)
        batch_remove_file(&q->batch, message);
    return 0;
}

int trash_remove_entry(struct queue *q, uint64_t box, uint64_t seq, uint64_t *octets)
{
    uint64_t message;
    *octets = 0;
    enum found f = store_entry_remove(q->store, box, seq, &message, octets);
    if (f != FOUND_YES)
        return f == FOUND_NONE ? 0 : -1;
    return settle(q, message);
}

static int put_into_trash(struct queue *q, uint64_t box, uint64_t seq, int64_t at, uint64_t *octets)
{
    uint64_t message;
    *octets = 0;
    if (store_trash_add(q->store, box, seq, at) < 0)
        return -1;
    return store_entry_remove(q->store, box, seq, &message, octets) == FOUND_FAULT ? -1 : 0;
}

/* Does anybody else want what this device drops? */
static enum found drop(struct queue *q, const struct deletion *d, uint64_t seq)
{
    if (store_drop(q->store, d->box, seq, d->device) < 0)
        return FOUND_FAULT;
    return store_holder(q->store, d->box, seq);
}

static int delete_one(struct queue *q, const struct deletion *d, uint64_t seq,
                      struct store_removed *sum)
{
    uint64_t octets;
    bool keeps = keeps_deleted(q);
    int rc = keeps ? put_into_trash(q, d->box, seq, d->at, &octets)
                   : trash_remove_entry(q, d->box, seq, &octets);
    if (rc < 0)
        return -1;
    sum->messages += octets > 0;
    sum->octets += octets;
    sum->trashed = keeps ? sum->messages : 0;
    sum->trashed_octets = keeps ? sum->octets : 0;
    return 0;
}

static int delete_all(struct queue *q, const struct deletion *d, struct span sequences,
                      struct store_removed *sum)
{
    struct unpacker in = unpacker_on(sequences);
    while (in.left.n > 0) {
        uint64_t seq = unpack_uint(&in, SEQ_BYTES);
        if (in.failed)
            break;
        if (d->note != NULL && chronicle_note(q, d->note, seq) < 0)
            return -1;
        enum found f = d->device != 0 ? drop(q, d, seq) : FOUND_NONE;
        if (f == FOUND_FAULT || (f == FOUND_NONE && delete_one(q, d, seq, sum) < 0))
            return -1;
    }
    return 0;
}

/* Packed sequences, in this transaction. What a device that is no more wanted is left undone. */
static int delete_now(struct queue *q, const struct deletion *d, struct span sequences)
{
    struct store_removed sum = {0};
    enum found f = d->device != 0 ? store_device_look(q->store, d->box, d->device) : FOUND_YES;
    if (f != FOUND_YES)
        return f == FOUND_NONE ? 0 : -1;
    if (delete_all(q, d, sequences, &sum) < 0)
        return -1;
    return d->device != 0 && sum.messages == 0 ? 0 : store_box_subtract(q->store, d->box, &sum);
}

static struct span pack_some(char *out, const uint64_t *sequences, size_t n)
{
    struct packer w = packer_on(out, AT_ONCE * SEQ_BYTES);
    for (size_t i = 0; i < n; i++)
        pack_uint(&w, sequences[i], SEQ_BYTES);
    return packer_span(&w);
}

/* The views that will not show what is deleted. */
static int note_change(struct queue *q, const struct deletion *d)
{
    return d->device != 0 ? store_device_changed(q->store, d->device)
                          : store_box_changed(q->store, d->box);
}

/* So few that each is noted. */
static int delete_some(struct queue *q, const struct deletion *d, struct span sequences)
{
    struct deletion noted = *d;
    struct chronicle note;
    struct actor by = {d->box, d->device, d->address, d->client};
    if (chronicle_begin(&note, q, &by, "deleted") < 0)
        return -1;
    noted.note = &note;
    return delete_now(q, &noted, sequences);
}

int trash_delete(struct queue *q, const struct deletion *d, const uint64_t *sequences, size_t n)
{
    char room[AT_ONCE * SEQ_BYTES];
    struct box there;
    struct removal r = {.box = d->box, .device = d->device, .at = d->at};
    if (d->device != 0 && store_device_look(q->store, d->box, d->device) != FOUND_YES)
        return -1;
    if (n <= AT_ONCE) {
        int rc = delete_some(q, d, pack_some(room, sequences, n));
        return rc < 0 || d->device == 0 ? rc : note_change(q, d);
    }
    enum found f = store_box_get(q->store, d->box, &there);
    if (f != FOUND_YES) /* a mailbox that never was, or is no more, has nothing to delete */
        return f == FOUND_FAULT ? -1 : 0;
    for (size_t i = 0; i < n; i += AT_ONCE) {
        r.sequences = pack_some(room, sequences + i, n - i < AT_ONCE ? n - i : AT_ONCE);
        if (store_removal_add(q->store, &r) < 0)
            return -1;
    }
    q->trash->has_removals = true;
    return note_change(q, d);
}

/* One part of a large deletion. FOUND_NONE: there is none. */
static enum found carry_out(struct queue *q)
{
    char room[AT_ONCE * SEQ_BYTES];
    struct removal r;
    enum found f = store_removal_next(q->store, &r);
    if (f != FOUND_YES)
        return f;
    struct deletion d = {.box = r.box, .device = r.device, .at = r.at};
    size_t n = r.sequences.n <= sizeof room ? r.sequences.n : 0;
    memcpy(room, r.sequences.p, n);
    store_removal_end(q->store);
    if (n == 0)
        LOG(0, "damaged", LZ("row", "removal"), LN("mailbox", (int64_t)r.box));
    else if (delete_now(q, &d, (struct span){room, n}) < 0)
        return FOUND_FAULT;
    return store_removal_done(q->store, r.id) < 0 ? FOUND_FAULT : FOUND_YES;
}

enum found trash_review(struct queue *q, uint64_t box, uint64_t *cursor)
{
    uint64_t device, seq;
    char name[DEVICE_NAME_MAX + 1];
    struct deletion d = {.box = box, .at = clock_wall_s()};
    struct store_removed sum = {0};
    enum found f = store_device_next(q->store, box, 0, &device, name), next = FOUND_YES;
    if (f == FOUND_FAULT)
        return f;
    bool has_devices = f == FOUND_YES;
    for (int i = 0; i < STEP && next == FOUND_YES; i++) {
        next = store_dropped_next(q->store, box, *cursor, &seq);
        if (next != FOUND_YES)
            break;
        *cursor = seq;
        f = has_devices ? store_holder(q->store, box, seq) : FOUND_YES;
        if (f == FOUND_FAULT || (f == FOUND_NONE && delete_one(q, &d, seq, &sum) < 0))
            return FOUND_FAULT;
    }
    if (sum.messages > 0 && store_box_subtract(q->store, box, &sum) < 0)
        return FOUND_FAULT;
    return next;
}

/* --- the end of the grace period --- */

static bool is_disk_full(const struct queue *q)
{
    return clock_mono_ms() < q->trash->full_until_ms;
}

static enum found remove_trashed(struct queue *q, uint64_t box, uint64_t seq)
{
    uint64_t message;
    enum found f = store_trash_remove(q->store, box, seq, &message);
    if (f != FOUND_YES)
        return f;
    if (!is_disk_full(q) && chronicle_after_deletion(q, box, message, "purged") < 0)
        return FOUND_FAULT;
    return settle(q, message) < 0 ? FOUND_FAULT : FOUND_YES;
}

enum found trash_remove_first(struct queue *q, uint64_t box)
{
    uint64_t seq;
    enum found f = store_trash_next(q->store, box, 0, 0, &seq);
    return f == FOUND_YES ? remove_trashed(q, box, seq) : f;
}

/* Deleted before this, it is gone for good. */
static int64_t purge_until(const struct queue *q)
{
    if (!keeps_deleted(q) || is_disk_full(q))
        return INT64_MAX;
    return clock_wall_s() - q->config->mailbox.undelete_for_ms / 1000;
}

static enum found purge_one(struct queue *q)
{
    uint64_t box, seq;
    enum found f = store_trash_oldest(q->store, purge_until(q), &box, &seq);
    return f == FOUND_YES ? remove_trashed(q, box, seq) : f;
}

/* --- retention --- */

/* A message may wait for retention in great numbers: those of a minute beyond some are in the log
 * alone. */
static int note_age(struct queue *q, uint64_t box, uint64_t seq)
{
    struct chronicle note;
    if (q->trash->notes_left == 0)
        return 0;
    q->trash->notes_left--;
    return chronicle_begin(&note, q, &(struct actor){.box = box}, "retention") < 0
               ? -1
               : chronicle_note(q, &note, seq);
}

/* Removes the oldest message of a mailbox if it is too old. FOUND_NONE: it is not. */
static enum found expire_one(struct queue *q, const struct box *box, uint64_t keep_s)
{
    int64_t arrived;
    struct store_removed sum = {.messages = 1};
    uint64_t seq;
    if (keep_s == 0)
        return FOUND_NONE;
    enum found f = store_box_oldest(q->store, box->id, &arrived, &seq);
    if (f != FOUND_YES)
        return f;
    if (clock_wall_s() - arrived <= (int64_t)keep_s)
        return FOUND_NONE;
    if (note_age(q, box->id, seq) < 0 || trash_remove_entry(q, box->id, seq, &sum.octets) < 0 ||
        store_box_subtract(q->store, box->id, &sum) < 0)
        return FOUND_FAULT;
    LOG(0, "expired", LN("mailbox", (int64_t)box->id), LN("octets", (int64_t)sum.octets));
    return FOUND_YES;
}

static enum found age_one(struct queue *q)
{
    struct trash *t = q->trash;
    struct box box;
    uint64_t keep_s;
    enum found all = retention_is_general(q);
    enum found f =
        all == FOUND_FAULT ? all : store_box_aging(q->store, t->aging, all == FOUND_YES, &box);
    if (f != FOUND_YES) {
        t->aging = 0;
        return f;
    }
    f = retention_of(q, &box, &keep_s);
    if (f != FOUND_YES)
        return f;
    f = expire_one(q, &box, keep_s);
    if (f == FOUND_NONE)
        t->aging = box.id;
    return f == FOUND_FAULT ? f : FOUND_YES;
}

/* --- steps --- */

/* Up to `n` of one kind of work. *has_more: it may go on. */
static int work(struct queue *q, enum found (*one)(struct queue *q), int n, bool *has_more)
{
    enum found f = FOUND_YES;
    while (n-- > 0 && f == FOUND_YES)
        f = one(q);
    *has_more = f == FOUND_YES;
    return f == FOUND_FAULT ? -1 : 0;
}

static int step(struct queue *q)
{
    struct trash *t = q->trash;
    if (t->has_removals)
        return work(q, carry_out, 1, &t->has_removals);
    if (t->may_purge)
        return work(q, purge_one, STEP, &t->may_purge);
    return work(q, age_one, STEP, &t->may_age);
}

static void notice_full_disk(struct queue *q)
{
    struct trash *t = q->trash;
    if (!q->batch.was_full)
        return;
    q->batch.was_full = false;
    if (clock_mono_ms() >= t->full_until_ms)
        LOG(0, "trash-cleared", LZ("because", "no room on disk"));
    t->full_until_ms = clock_mono_ms() + FULL_MS;
    t->may_purge = true;
}

bool trash_run(struct queue *q)
{
    struct trash *t = q->trash;
    notice_full_disk(q);
    if (q->is_draining || t->is_put_off || !(t->has_removals || t->may_purge || t->may_age))
        return false;
    if (batch_begin(&q->batch) < 0) {
        step_settled(&t->step, OUTCOME_FAULT);
        return false;
    }
    if (step(q) < 0) {
        batch_undo(&q->batch);
        step_settled(&t->step, OUTCOME_FAULT);
        return false;
    }
    batch_keep(&q->batch, &t->step);
    return true;
}

/* --- back --- */

/* 0 and how many, or -1. */
static int bring_back(struct queue *q, uint64_t box, int64_t since, uint64_t *cursor, uint64_t *n)
{
    uint64_t sum = 0, octets, message;
    enum found f = FOUND_NONE;
    while (*n < PAGE &&
           (f = store_trash_next(q->store, box, *cursor, since, cursor)) == FOUND_YES) {
        if (store_trash_back(q->store, box, *cursor, &message, &octets) != FOUND_YES ||
            chronicle_after_deletion(q, box, message, "undeleted") < 0)
            return -1;
        sum += octets;
        ++*n;
    }
    if (f == FOUND_NONE)
        *cursor = 0;
    return f == FOUND_FAULT ? -1 : store_box_untrash(q->store, box, *n, sum);
}

long trash_undelete(struct queue *q, uint64_t box, int64_t since, uint64_t *cursor)
{
    uint64_t n = 0;
    if (batch_begin(&q->batch) < 0)
        return -1;
    if (bring_back(q, box, since, cursor, &n) < 0) {
        batch_undo(&q->batch);
        return -1;
    }
    return batch_finish(&q->batch) == OUTCOME_SAVED ? (long)n : -1;
}
