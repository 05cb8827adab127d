/* Group commit. Everything that one turn of the event loop wants to write goes into one
 * transaction: it begins with the first request and is committed once, at the end of the turn. A
 * request that fails does not hurt the others: it has a savepoint of its own (batch_begin), or
 * finds out before it writes (batch_join). Only after the commit is anybody told that something was
 * done.
 *
 *     if (batch_begin(b) < 0) ...                  nothing can be written now
 *     if (all statements worked) batch_keep(b, &request->waiter);
 *     else outcome = batch_undo(b);
 */
#ifndef BARID_QUEUE_BATCH_H
#define BARID_QUEUE_BATCH_H

#include "common/loop.h"
#include "queue/spool.h"
#include "queue/store.h"

enum outcome {
    OUTCOME_SAVED, /* on disk, for good */
    OUTCOME_FULL,  /* nothing was written: no room. It may work a little later */
    OUTCOME_FAULT, /* nothing was written, or (I/O error) nobody knows until the next start */
};

/* Part of whatever waits for the commit. It is off the list when it is called and may free itself.
 * It must not write: what comes next is noted and done in the queue's turn. */
struct waiter {
    struct waiter *next;
    void (*settled)(struct waiter *w, enum outcome o);
};

/* What was only counted so far belongs into each transaction: it is written last. */
struct batch_part {
    struct batch_part *next;
    int (*write)(struct batch_part *p);    /* -1: nothing is committed */
    void (*written)(struct batch_part *p); /* it is on disk; called before anybody else is told */
    void (*lost)(struct batch_part *p);    /* NULL, or: it was taken back with all of the turn */
};

struct batch {
    struct store *store;
    struct spool *spool;
    struct waiter *first, **last;
    struct batch_part *parts;                  /* NULL: none */
    uint64_t *files;                           /* messages whose spool file goes after the commit */
    size_t n_files, cap_files, n_files_before; /* before: when the request under way began */
    uint64_t n_commits;                        /* since the start */
    bool has_mark;                             /* the request under way has a savepoint */
    int64_t changes_before;                    /* else: rows written when it began */
    bool holds_files;                          /* a backup reads them: they go when it is over */
    uint64_t *held;
    size_t n_held, cap_held;
    bool was_full;  /* no room on disk since somebody looked */
    bool is_broken; /* I/O error: nothing is written any more, the process must stop */
};

void batch_init(struct batch *b, struct store *store, struct spool *spool);
void batch_free(struct batch *b);
/* *p stays where it is until it is removed. */
void batch_add_part(struct batch *b, struct batch_part *p);
void batch_remove_part(struct batch *b, const struct batch_part *p);
int batch_begin(struct batch *b); /* 0, or -1: broken, or no transaction (store_fault) */
/* As batch_begin, without a savepoint: one costs a fifth of a delivery. For requests that decide
 * before they write: if one fails after its first write, which only a fault of the store can do,
 * batch_undo takes back all of this turn, and everybody in it is told so. */
int batch_join(struct batch *b);
/* The request's part is complete. w may be NULL, if nobody wants to know. */
void batch_keep(struct batch *b, struct waiter *w);
/* As batch_keep, and commits at once: for who answers at once. Says what came of it. */
enum outcome batch_finish(struct batch *b);
/* The request changes nothing after all. Tells why, if a statement failed. */
enum outcome batch_undo(struct batch *b);
void batch_remove_file(struct batch *b, uint64_t id);
/* Is it waiting to be removed? */
bool batch_holds_file(const struct batch *b, uint64_t id);
/* Files that were held and need not be any more: removes some of them. True if there are more. */
bool batch_release_files(struct batch *b, size_t most);
bool batch_is_open(const struct batch *b);
/* Commits and tells everybody. */
void batch_commit(struct batch *b);

#endif
