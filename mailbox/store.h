/* The reader's view of mail.db: every SQL statement of mailbox is in store.c. Read-only, one short
 * statement at a time, so that no checkpoint of the writer waits for us. The file is opened when it
 * is first asked for and again after any failure: queue makes it, and may be late.
 *
 * What a row says is checked here; a damaged one is logged and is "could not", never a crash. */
#ifndef BARID_MAILBOX_STORE_H
#define BARID_MAILBOX_STORE_H

#include "common/proto.h"
#include "common/str.h"

struct store;

struct store_entry {
    uint64_t sequence, id;
    uint64_t octets;  /* with the Return-Path field in front */
    struct span uidl; /* empty: the id */
};

struct store_message {
    uint64_t id;
    struct span sender;
    uint64_t octets; /* of the content */
    uint64_t header; /* of that, the header section */
    uint8_t flags;   /* enum content_flag */
    bool is_spooled; /* then content is empty and in a file, and to be compared with hash */
    struct span content;
    unsigned char hash[CONTENT_HASH];
    /* Of store_next only. */
    uint64_t sequence, arrived;
    struct span uidl; /* empty: the id */
};

/* `path` must outlive it. NULL without memory. */
struct store *store_new(const char *path);
void store_free(struct store *st);

/* A mailbox as its user sees it, or one of his devices. */
struct store_view {
    uint64_t box;
    uint64_t device; /* 0: all of it */
    uint64_t domain; /* of the user, see keep in maildb.c; 0: not known */
};

struct store_box {
    uint64_t device; /* whose view it is */
    uint64_t limit;  /* the first sequence number that is not in it yet; 1: it never got mail */
    uint64_t epoch;  /* the same: nothing but additions happened */
    uint64_t device_epoch; /* the same: the device dropped nothing */
    uint64_t retention_s;  /* the user's; 0: none was set; MAILDB_RETENTION_NONE */
    uint64_t keep_s;       /* the same, of the domain */
};
/* 0, or -1. */
int store_look(struct store *st, const struct store_view *view, struct store_box *out);

/* Entries whose deletion was decided and is being carried out: nobody is shown them. Sorted. */
#define STORE_HIDDEN_MAX 4000000
struct store_hidden {
    uint64_t *list;
    size_t n, cap;
};
/* 0 (store_hidden_free it), or -1. */
int store_hidden(struct store *st, const struct store_view *view, struct store_hidden *out);
bool store_is_hidden(const struct store_hidden *h, uint64_t sequence);
void store_hidden_free(struct store_hidden *h); /* empties it */

struct store_range {
    uint64_t after, limit; /* sequence numbers between these */
    size_t most;           /* so many of them */
    uint64_t device;       /* without what it dropped; 0: all */
};
/* The spans in e are gone when it returns. -1 ends the listing. */
typedef int store_list_fn(void *arg, const struct store_entry *e);
/* Calls fn for the entries of a mailbox in order. Their number, or -1. */
long store_list(struct store *st, uint64_t box, const struct store_range *range, store_list_fn *fn,
                void *arg);

enum store_found {
    STORE_FOUND, /* its spans are valid until store_done */
    STORE_ABSENT,
    STORE_FAILED,
};
enum store_found store_read(struct store *st, uint64_t box, uint64_t sequence,
                            struct store_message *out);
/* The first message of a mailbox after this sequence number, whatever its content is. STORE_FAILED
 * with out->sequence: its row is damaged, others may be read; without: nothing can be read. */
enum store_found store_next(struct store *st, uint64_t box, uint64_t after,
                            struct store_message *out);
void store_done(struct store *st);

#endif
