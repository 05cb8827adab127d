/* Listings of mailboxes (common/listing.h): making them, and keeping those that were made lately. A
 * kept one of the same epoch still holds, and only what was added has to be read. */
#ifndef BARID_MAILBOX_SHELF_H
#define BARID_MAILBOX_SHELF_H

#include "common/buf.h"
#include "common/listing.h"
#include "mailbox/store.h"

/* A listing: of entries below look.limit. */
struct shelf_item {
    uint64_t box;
    struct store_box look;
    int fd; /* -1: it is empty */
    uint64_t n, text_n;
    uint64_t last; /* the highest sequence number in it */
};

/* Bounds: so many listings, so many octets of them. */
#define SHELF_PLACES 256
#define SHELF_OCTETS (64U << 20)

struct shelf;
struct shelf *shelf_new(void); /* NULL without memory */
void shelf_free(struct shelf *s);
/* The one that was kept, if it holds for the mailbox as it looks now (as far as its own limit). */
const struct shelf_item *shelf_find(const struct shelf *s, uint64_t box,
                                    const struct store_box *look);
/* Keeps it if it is worth it. fd stays the caller's. */
void shelf_keep(struct shelf *s, const struct shelf_item *item);

/* One that is being made, some thousand entries at a time. */
struct shelf_work {
    struct shelf_item item;
    const struct store_hidden *hidden;
    struct buf entries, text;
    bool failed;
};

/* known: what to begin with, or NULL. 0, or -1; shelf_work_end in any case. */
int shelf_work_begin(struct shelf_work *w, uint64_t box, const struct store_box *look,
                     const struct store_hidden *hidden, const struct shelf_item *known);
/* 1: there is more; 0: done, w->item is a sealed listing; -1. */
int shelf_work_step(struct shelf_work *w, struct store *st);
void shelf_work_end(struct shelf_work *w);

#endif
