/* Where one message goes (targets), and the rows that put it there: the message, its entries in
 * local mailboxes, its recipients elsewhere. For intake and for bounces; within the caller's
 * transaction. */
#ifndef BARID_QUEUE_DELIVER_H
#define BARID_QUEUE_DELIVER_H

#include "common/proto.h"
#include "common/seal.h"
#include "queue/store.h"

#define TARGETS_MAX 200000 /* of one message, after its aliases are followed */

struct box_target {
    uint64_t box, quota;     /* quota: octets, 0: none */
    struct box_state before; /* for deliver: what is in it */
    bool is_refused;         /* tidied away */
};

struct remote_target {
    char *address; /* canonical local@domain */
    char *domain;  /* within address */
    char *orcpt;   /* "" if there is none */
    char *owner;   /* of the list that sends it there, to be its sender; NULL: none */
    uint8_t notify;
    bool is_local;      /* of a domain of ours: resolved again when it is released (release.h) */
    bool is_forwarded;  /* an address of ours sends it there */
    bool is_refused;    /* tidied away */
    bool is_noteworthy; /* its sender wrote to it for the first time, or for the first in a while */
};

/* Something was done for this recipient at once, and its sender asked to be told. */
struct deed {
    enum rcpt_deed what;
    char *address, *orcpt;
    bool is_refused; /* tidied away */
};

struct targets {
    struct box_target *boxes;
    size_t n_boxes, cap_boxes;
    struct remote_target *remotes;
    size_t n_remotes, cap_remotes;
    struct deed *deeds;
    size_t n_deeds, cap_deeds;
    char *forwards; /* the first address of ours without an owner that sends on to elsewhere */
    char *forward_sender; /* of what is sent on; NULL: that of the message */
};

void targets_free(struct targets *t); /* empties it */
/* A target that is there already is not added again. 0, or -1: too many, no address, or no memory.
 */
int targets_add_box(struct targets *t, uint64_t box, uint64_t quota);
int targets_add_remote(struct targets *t, const struct rcpt *r);
/* A recipient of ours, to be held: it waits as a row, as those elsewhere do. */
int targets_add_held(struct targets *t, const struct rcpt *r);
/* All that authd sealed for this recipient. 0, or -1: forged, stale, damaged or empty, or as above.
 * What its sender asks to be told goes with it to a single target; an alias of several that lead
 * elsewhere is itself a deed, and they report no success (RFC 3461 5.2.7). */
int targets_add_sealed(struct targets *t, const struct rcpt *r,
                       const unsigned char key[SEAL_KEY_OCTETS], int64_t now_s);

/* Those that are not ours. */
size_t targets_elsewhere(const struct targets *t);
/* The reverse-path of a recipient's own (recipient.sender); empty: it has none. */
struct span targets_path(const struct targets *t, const struct message *m,
                         const struct remote_target *r);

/* The owner of the i-th of remotes, if none before it has the same; NULL: not so. */
const char *targets_new_owner(const struct targets *t, size_t i);

/* When all are there: each once, however often it was added, without those that are refused. */
void targets_tidy(struct targets *t);

struct delivery {
    const struct message *message;
    struct span content;           /* unless message->is_spooled */
    const struct targets *targets; /* tidy */
    struct span uidl;              /* in its mailboxes; empty: its id */
    bool is_held;                  /* what goes elsewhere, as its sender is contained */
    const struct config *config;   /* whose routes say when that expires; NULL: with the message */
    int64_t hold_until;            /* seconds since 1970; 0: it is not held (RFC 4865) */
    bool passes_quota;             /* a bounce: short, and too important to be lost */
};

/* May the mailboxes with a quota take `size` octets more (0: anything at all)? Reads only; what it
 * says may be otherwise at the next message. INTAKE_OK, INTAKE_QUOTA, or as deliver. */
enum intake_reason deliver_room(struct store *s, const struct targets *t, uint64_t size);

/* May this one of d's mailboxes take the message? Reads only; as deliver. */
enum intake_reason deliver_look(struct store *s, const struct delivery *d, struct box_target *b);
/* INTAKE_OK; else undo all of it. What can be decided is decided before the first write.
 * INTAKE_STALE: a mailbox was removed meanwhile. INTAKE_FAULT: see store_fault. */
enum intake_reason deliver(struct store *s, const struct delivery *d);
/* More targets for a message that is there already; those it has are left out. *n_new: mailboxes
 * that it came to. Decides before it writes, as deliver. */
enum intake_reason deliver_late(struct store *s, const struct delivery *d, size_t *n_new);

#endif
