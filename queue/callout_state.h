/* The inside of callout.h, for the three callout*.c alone: callout_keep.c is what is remembered and
 * how it gets into the table callout and out of it, callout.c judges and asks, callout_admin.c is
 * for the administrator.
 *
 * Memory holds what was asked about lately, by the monotonic clock; the table what was answered, by
 * the wall clock. A row is written by the next commit that there is anyway; when many wait, one is
 * made for them. */
#ifndef BARID_QUEUE_CALLOUT_STATE_H
#define BARID_QUEUE_CALLOUT_STATE_H

#include "common/route.h"
#include "common/verdict.h"
#include "queue/callout.h"
#include "queue/intake.h"

#include <sodium.h>

#define CALLOUT_BUCKETS      4096
#define CALLOUT_STALE_FACTOR 4
#define CALLOUT_FAILED_MS    60000
#define CALLOUT_FAILING      32              /* domains; of more, the last ones */
#define CALLOUT_NEVER_MS     (INT64_MIN / 4) /* "at" of what never was */

struct callout_waiting {
    struct callout_waiting *next;
    struct ipc *from;
    uint64_t tag;
};

/* What is known of one address. */
struct callout {
    struct callout *next; /* in its bucket */
    struct callout *older, *newer;
    struct callout *next_unsaved, **at_unsaved; /* while is_unsaved */
    bool is_unsaved;
    struct queue *q;
    uint64_t hash;
    int64_t known_ms, nobody_ms, failed_ms; /* when it was found out, by the monotonic clock */
    int64_t learned_s;                      /* the first or the second of them, by the other */
    int64_t host;                           /* that said it, or is being asked */
    uint64_t tag;                           /* relay was asked; 0: it is not */
    struct callout_waiting *waiting;
    struct timer patience; /* of those who wait */
    char address[];        /* folded */
};

/* A domain whose host could not be asked about the last one. */
struct callout_failing {
    uint64_t domain; /* hash */
    int64_t until_ms;
};

struct callouts {
    struct batch_part part; /* first: the batch gives it back */
    struct queue *q;
    struct callout *buckets[CALLOUT_BUCKETS];
    struct callout *oldest, *newest;
    size_t n, n_under_way;
    struct callout_failing failing[CALLOUT_FAILING];
    unsigned char key[crypto_shorthash_KEYBYTES]; /* nobody can choose one bucket for all */
    struct callout *unsaved, **last_unsaved;      /* who exists first */
    size_t n_unsaved;
    size_t n_saving;         /* of them, in the transaction that is open */
    uint64_t n_rows, n_gone; /* in the table, at most; removed in this transaction */
    uint64_t n_shown;        /* by the gauge */
    int64_t retry_ms;        /* nothing is written before */
    bool is_flushing;        /* all of them in one transaction */
    bool was_flushed;        /* before the end */
    struct listed **lists;   /* of the routes, NULL: none */
    size_t n_lists;
};

/* Whose word counts about this address: the same as long as its route is, and leads to the same
 * host. 0: it has none. */
int64_t callout_host(const struct queue *q, struct span address);
/* From memory, or from the table. NULL: nothing is known of it. */
struct callout *callout_find(struct queue *q, const char *key);
/* A new one; NULL without memory. */
struct callout *callout_add(struct queue *q, const char *key);
/* Somebody asked about it: it is the last to make room. */
void callout_touch(struct callout *c);
/* Its host could not be asked about the last one, less than a minute ago: who does not have to ask
 * it leaves it alone. */
bool callout_is_failing(const struct callout *c);
/* What its host said; "later": it could not be asked. */
void callout_learn(struct callout *c, enum verdict v);
/* The same as if nobody had ever asked: of one, or of all of "@DOMAIN". Of memory alone. */
void callouts_forget(struct queue *q, struct span what);
/* What is not in the table yet, now. 0, or -1: some of it still is not. */
int callouts_flush(struct queue *q);

#endif
