#include "queue/batch.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/stats.h"

#include <errno.h>

void batch_init(struct batch *b, struct store *store, struct spool *spool)
{
    *b = (struct batch){.store = store, .spool = spool};
    b->last = &b->first;
}

void batch_free(struct batch *b)
{
    free(b->files);
    free(b->held);
    *b = (struct batch){0};
}

void batch_add_part(struct batch *b, struct batch_part *p)
{
    p->next = b->parts;
    b->parts = p;
}

void batch_remove_part(struct batch *b, const struct batch_part *p)
{
    for (struct batch_part **at = &b->parts; *at != NULL; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            return;
        }
}

bool batch_is_open(const struct batch *b)
{
    return b->first != NULL || store_is_open(b->store);
}

static enum outcome outcome_of(struct batch *b)
{
    switch (store_fault(b->store)) {
    case STORE_FAULT_FULL:
        b->was_full = true;
        return OUTCOME_FULL;
    case STORE_FAULT_STOP:
        b->is_broken = true;
        return OUTCOME_FAULT;
    default:
        return OUTCOME_FAULT;
    }
}

static void tell(struct batch *b, enum outcome o)
{
    struct waiter *w = b->first;
    b->first = NULL;
    b->last = &b->first;
    while (w != NULL) {
        struct waiter *next = w->next;
        stats_add(STAT_COMMIT_REQUESTS, o == OUTCOME_SAVED);
        w->settled(w, o);
        w = next;
    }
}

/* The transaction is gone, with what earlier requests of this turn had done in it. */
static void lost(struct batch *b, enum outcome o)
{
    store_rollback(b->store);
    b->n_files = 0;
    for (struct batch_part *p = b->parts; p != NULL; p = p->next)
        if (p->lost != NULL)
            p->lost(p);
    tell(b, o);
}

static int open_transaction(struct batch *b)
{
    if (b->is_broken)
        return -1;
    if (!store_is_open(b->store)) {
        if (b->first != NULL)
            lost(b, OUTCOME_FAULT);
        if (store_begin(b->store) < 0) {
            outcome_of(b);
            return -1;
        }
        b->n_files = 0;
    }
    store_clear_fault(b->store);
    b->n_files_before = b->n_files;
    return 0;
}

int batch_join(struct batch *b)
{
    if (open_transaction(b) < 0)
        return -1;
    b->has_mark = false;
    b->changes_before = store_changes(b->store);
    return 0;
}

int batch_begin(struct batch *b)
{
    if (open_transaction(b) < 0)
        return -1;
    b->has_mark = true;
    if (store_mark(b->store) == 0)
        return 0;
    enum outcome o = outcome_of(b);
    if (!store_is_open(b->store))
        lost(b, o);
    return -1;
}

void batch_keep(struct batch *b, struct waiter *w)
{
    if (b->has_mark && store_keep(b->store) < 0) {
        enum outcome o = batch_undo(b);
        if (w != NULL)
            w->settled(w, o);
        return;
    }
    if (w == NULL)
        return;
    w->next = NULL;
    *b->last = w;
    b->last = &w->next;
}

enum outcome batch_undo(struct batch *b)
{
    enum outcome o = outcome_of(b);
    b->n_files = b->n_files_before;
    bool is_undone = b->has_mark
                         ? store_undo(b->store) == 0
                         : store_is_open(b->store) && store_changes(b->store) == b->changes_before;
    if (!is_undone)
        lost(b, o);
    return o;
}

void batch_remove_file(struct batch *b, uint64_t id)
{
    void *files = b->files;
    if (array_reserve(&files, &b->cap_files, b->n_files + 1, sizeof *b->files) == 0) {
        b->files = files;
        b->files[b->n_files++] = id;
    } /* else the next start removes it */
}

static void hold_file(struct batch *b, uint64_t id)
{
    void *held = b->held;
    if (array_reserve(&held, &b->cap_held, b->n_held + 1, sizeof *b->held) == 0) {
        b->held = held;
        b->held[b->n_held++] = id;
    } /* else the next start removes it */
}

static bool has(const uint64_t *list, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == id)
            return true;
    return false;
}

bool batch_holds_file(const struct batch *b, uint64_t id)
{
    return has(b->files, b->n_files, id) || has(b->held, b->n_held, id);
}

bool batch_release_files(struct batch *b, size_t most)
{
    while (b->n_held > 0 && most-- > 0)
        spool_remove(b->spool, b->held[--b->n_held]);
    return b->n_held > 0;
}

static enum outcome commit(struct batch *b)
{
    if (!store_is_open(b->store))
        return OUTCOME_FAULT;
    for (struct batch_part *p = b->parts; p != NULL; p = p->next)
        if (p->write(p) < 0)
            return outcome_of(b);
    if (spool_sync(b->spool) < 0) {
        bool is_full = errno == ENOSPC || errno == EDQUOT;
        spool_failed(b->spool, "sync");
        *(is_full ? &b->was_full : &b->is_broken) = true;
        return is_full ? OUTCOME_FULL : OUTCOME_FAULT;
    }
    return store_commit(b->store) == 0 ? OUTCOME_SAVED : outcome_of(b);
}

void batch_commit(struct batch *b)
{
    if (!batch_is_open(b))
        return;
    int64_t began_us = clock_mono_us();
    enum outcome o = b->is_broken ? OUTCOME_FAULT : commit(b);
    if (o != OUTCOME_SAVED) { /* why is in the log: store-failed, spool-failed */
        lost(b, o);
        return;
    }
    spool_worked(b->spool);
    for (size_t i = 0; i < b->n_files; i++)
        if (b->holds_files)
            hold_file(b, b->files[i]);
        else
            spool_remove(b->spool, b->files[i]);
    b->n_files = 0;
    b->n_commits++;
    stats_count(STAT_COMMITS);
    stats_time_us(STAT_TIME_COMMIT, clock_mono_us() - began_us);
    for (struct batch_part *p = b->parts; p != NULL; p = p->next)
        p->written(p);
    tell(b, OUTCOME_SAVED);
}

struct finished {
    struct waiter waiter; /* first */
    enum outcome outcome;
};

static void note(struct waiter *w, enum outcome o)
{
    ((struct finished *)(void *)w)->outcome = o;
}

enum outcome batch_finish(struct batch *b)
{
    struct finished f = {.waiter.settled = note, .outcome = OUTCOME_FAULT};
    batch_keep(b, &f.waiter);
    batch_commit(b);
    return f.outcome;
}
