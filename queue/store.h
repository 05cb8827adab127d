/* Every SQL statement about mail is behind these functions; nothing else in queue/ knows SQL. The
 * one read-write connection to mail.db belongs to it. Tables and columns: common/maildb.c.
 *
 * What comes back from the disk is checked like input: a row that is not what we could have written
 * is FOUND_DAMAGED, and the caller sets it aside; it ends nothing else.
 *
 * Writing functions return 0, or -1 (store_fault says why), and need an open transaction. */
#ifndef BARID_QUEUE_STORE_H
#define BARID_QUEUE_STORE_H

#include "common/content.h"
#include "common/error.h"
#include "common/maildb.h"
#include "common/notify.h"
#include "common/proto.h"
#include "common/str.h"

struct store;
struct sql_copy;

#define STATUS_MAX 16  /* "5.1.1" */
#define REMOTE_MAX 400 /* as in RELAY_JOB_RE */

enum store_fault {
    STORE_FAULT_NONE,
    STORE_FAULT_FULL,  /* no room on disk; recovers by itself */
    STORE_FAULT_STOP,  /* I/O error or damage: stop, so that the next start recovers */
    STORE_FAULT_OTHER, /* this request only */
};

enum found {
    FOUND_FAULT = -1,
    FOUND_NONE = 0,
    FOUND_YES = 1,
    FOUND_DAMAGED = 2,
};

/* NULL and e. Makes or migrates the database. */
struct store *store_open(const char *path, struct error *e);
void store_close(struct store *s); /* NULL is allowed */
/* Why the last call that failed did so. STOP stays. */
enum store_fault store_fault(const struct store *s);
/* See sql_copy.h. */
struct sql_copy *store_copy(struct store *s, const char *path, struct error *e);

/* See sql_tidy.h. */
bool store_has_room(struct store *s);
int store_give_back(struct store *s); /* 1, 0 or -1; needs a transaction */
void store_given_back(struct store *s);
void store_statistics(struct store *s);

/* --- transactions --- */

int store_begin(struct store *s);
int store_commit(struct store *s);
void store_rollback(struct store *s);
/* A failed statement can end the whole transaction; then this is false. */
bool store_is_open(const struct store *s);
/* Rows written since the store was opened: has a request written anything yet? */
int64_t store_changes(const struct store *s);
/* Forgets why the last statement failed, unless it was for good. */
void store_clear_fault(struct store *s);
/* One savepoint at a time, within the transaction: each request's own "all or nothing". */
int store_mark(struct store *s);
int store_keep(struct store *s);
int store_undo(struct store *s);

/* --- messages --- */

struct message {
    uint64_t id;
    int64_t arrived, expires; /* seconds since 1970 */
    struct span sender, client, helo, login;
    uint64_t size, header;    /* octets of the content, and of its header section */
    uint8_t flags;            /* enum content_flag */
    bool is_warned;           /* its sender was told that it is late */
    bool is_spooled;          /* content is in the spool file */
    uint8_t ret;              /* enum ret */
    struct span envid;        /* as its client encoded it */
    struct span hold_request; /* hold.h, or empty; for store_message_add only, as are: */
    struct span hold_who;     /* on whose account it waits; empty: it is not counted */
    int64_t hold_until;       /* seconds since 1970; 0: it does not wait */
    unsigned char hash[CONTENT_HASH];
};

/* `content` is used unless m->is_spooled. */
int store_message_add(struct store *s, const struct message *m, struct span content);
/* Spans in *m hold until store_message_end, which must follow, or the next call of this. */
enum found store_message_get(struct store *s, uint64_t id, struct message *m);
/* Content that is in the row of the message just got, compared with its hash; holds as long as *m.
 */
enum found store_message_content(struct store *s, const struct message *m, struct span *content);
void store_message_end(struct store *s);
/* What its sender asked for (RFC 4865). FOUND_NONE: nothing. */
enum found store_message_hold(struct store *s, uint64_t id, char request[HOLD_REQUEST_MAX + 1]);
/* It does not wait for its time any more. 0 or -1. */
int store_hold_over(struct store *s, uint64_t id);
struct held {
    uint64_t messages, octets;
};
/* What waits after now_s on the account of `who`; of many, the first `most` messages. 0 or -1. */
int store_hold_count(struct store *s, struct span who, int64_t now_s, uint64_t most,
                     struct held *out);
/* Is there such a message? Then a file of its name is no stray one, whatever its row says. */
enum found store_message_is_spooled(struct store *s, uint64_t id);
/* The first message after this one whose content is in a file. */
enum found store_spooled_next(struct store *s, uint64_t after, uint64_t *id);
int store_message_set_warned(struct store *s, uint64_t id);
/* Removes what nobody needs any more: the recipients if none is pending, then the message if it is
 * in no mailbox and has no recipients. *freed_file: it had a spool file, to be removed after the
 * commit. */
int store_message_settle(struct store *s, uint64_t id, bool *freed_file);

/* --- mailboxes --- */

struct box {
    uint64_t id, messages, octets;
    uint64_t deleted, deleted_octets; /* in the trash */
    uint64_t retention_s;             /* how long mail stays; 0: nothing was set for its user */
    uint64_t domain;                  /* authd's number for it; 0: not known yet */
};

struct store_removed {
    uint64_t messages, octets;
    uint64_t trashed, trashed_octets; /* of them */
};

/* A mailbox before something is added. */
struct box_state {
    uint64_t seq; /* what the next entry gets as its number; 1: nothing ever came */
    uint64_t octets;
    uint64_t first_id, taken_id; /* see maildb.c */
};
/* FOUND_NONE: it was forgotten. A mailbox that never got mail is empty. */
enum found store_box_look(struct store *s, uint64_t box, struct box_state *b);
struct entry {
    uint64_t box, seq, message, octets;
    struct span uidl; /* empty: the message's id */
};
/* Counts one message in; seq is what store_box_look said. */
int store_box_add(struct store *s, const struct entry *e);
/* The UIDL, if it is no id, is one that no entry of this mailbox ever had. */
int store_entry_add(struct store *s, const struct entry *e);
/* Is the message in this mailbox, or in its trash? */
enum found store_entry_look(struct store *s, uint64_t message, uint64_t box);
/* Has an entry of this mailbox this UIDL (of its own, not an id), or had one it? */
enum found store_uidl_look(struct store *s, uint64_t box, struct span uidl);
/* This id was brought in as a UIDL. */
int store_box_take_id(struct store *s, uint64_t box, uint64_t id);
/* Was this imported into the mailbox before? */
enum found store_imported_look(struct store *s, uint64_t box, struct span source);
int store_imported_add(struct store *s, uint64_t box, struct span source);
/* FOUND_NONE: there is no such entry. The box's counts are the caller's to correct. */
enum found store_entry_remove(struct store *s, uint64_t box, uint64_t seq, uint64_t *message,
                              uint64_t *octets);
/* Counts what is no longer in the mailbox, and what of it went into the trash. */
int store_box_subtract(struct store *s, uint64_t box, const struct store_removed *r);
/* Readers of it shall look again: something was taken out that the counts do not show yet. */
int store_box_changed(struct store *s, uint64_t box);
int store_box_set_retention(struct store *s, uint64_t box, uint64_t seconds);
int store_box_set_domain(struct store *s, uint64_t box, uint64_t domain);
/* How long mail of a domain stays; seconds of 0 end that. FOUND_NONE: as configured. */
enum found store_keep_get(struct store *s, uint64_t domain, uint64_t *seconds);
int store_keep_set(struct store *s, uint64_t domain, uint64_t seconds);
enum found store_keep_any(struct store *s); /* is there one for any domain? */
/* The next mailbox after `after` with mail in it that gets too old; all: not only those with a
 * retention of their own. */
enum found store_box_aging(struct store *s, uint64_t after, bool all, struct box *box);
/* From now on nothing can be added; its entries are still there. */
int store_box_forget(struct store *s, uint64_t box);
/* A forgotten mailbox of which something is left. */
enum found store_box_unswept(struct store *s, uint64_t *box);
/* Removes some of what imports noted of a mailbox; FOUND_NONE: nothing is left of it. */
enum found store_box_unname(struct store *s, uint64_t box);
/* For a forgotten mailbox without entries: what it counted is gone. */
int store_box_emptied(struct store *s, uint64_t box);
enum found store_entry_first(struct store *s, uint64_t box, uint64_t *seq);
enum found store_box_get(struct store *s, uint64_t id, struct box *box);
enum found store_box_next(struct store *s, uint64_t after, struct box *box);
/* When the message in it that has the lowest number arrived, and that number. */
enum found store_box_oldest(struct store *s, uint64_t id, int64_t *arrived, uint64_t *seq);

/* --- what was deleted and can come back; see maildb.c --- */

/* Copies an entry there; to be followed by store_entry_remove. */
int store_trash_add(struct store *s, uint64_t box, uint64_t seq, int64_t at);
/* For good. The box's counts are corrected. */
enum found store_trash_remove(struct store *s, uint64_t box, uint64_t seq, uint64_t *message);
/* The one that was deleted first, not after `until`. */
enum found store_trash_oldest(struct store *s, int64_t until, uint64_t *box, uint64_t *seq);
/* The next of a mailbox after this number that was not deleted before `since`. */
enum found store_trash_next(struct store *s, uint64_t box, uint64_t after, int64_t since,
                            uint64_t *seq);
/* Puts it back into the mailbox. The counts are not corrected: store_box_untrash. */
enum found store_trash_back(struct store *s, uint64_t box, uint64_t seq, uint64_t *message,
                            uint64_t *octets);
int store_box_untrash(struct store *s, uint64_t box, uint64_t messages, uint64_t octets);
/* Octets in the trash of a mailbox. */
enum found store_box_trash(struct store *s, uint64_t box, uint64_t *octets);
/* The oldest of a mailbox are the next to go. */
int store_trash_hasten(struct store *s, uint64_t box);

/* A part of a large deletion; sequences is packed, eight octets each, REMOVAL_MAX at most. */
#define REMOVAL_MAX MAILDB_REMOVAL_MAX
struct removal {
    uint64_t id, box;
    uint64_t device; /* 0: for all */
    int64_t at;
    struct span sequences;
};
int store_removal_add(struct store *s, const struct removal *r);
/* The first that is left; its span holds until store_removal_end, which must follow. */
enum found store_removal_next(struct store *s, struct removal *r);
void store_removal_end(struct store *s);
int store_removal_done(struct store *s, uint64_t id);

/* --- devices (store_device.c); see maildb.c --- */

struct device {
    uint64_t id, box;
    struct span name;
};
/* FOUND_NONE: the mailbox has no such device. */
enum found store_device_look(struct store *s, uint64_t box, uint64_t device);
/* The next of a mailbox; its name is copied. */
enum found store_device_next(struct store *s, uint64_t box, uint64_t after, uint64_t *device,
                             char name[DEVICE_NAME_MAX + 1]);
int store_device_add(struct store *s, const struct device *d);
int store_device_remove(struct store *s, uint64_t box, uint64_t device);
/* Readers of its view shall look again. */
int store_device_changed(struct store *s, uint64_t device);
/* How many of the entries it dropped. */
enum found store_device_dropped(struct store *s, uint64_t box, uint64_t device, uint64_t *n);
/* The entry is not in the view of this device any more; nothing, if it is not there. */
int store_drop(struct store *s, uint64_t box, uint64_t seq, uint64_t device);
/* FOUND_NONE: no device of this mailbox has the entry in its view. */
enum found store_holder(struct store *s, uint64_t box, uint64_t seq);
/* dropped has to be looked through, or was. */
int store_box_review(struct store *s, uint64_t box, bool is_needed);
enum found store_review_next(struct store *s, uint64_t *box);
/* The next entry that a device dropped; what devices dropped that are no more is forgotten. */
enum found store_dropped_next(struct store *s, uint64_t box, uint64_t after, uint64_t *seq);
/* There is a row for this mailbox from now on. */
int store_box_make(struct store *s, uint64_t box);

/* --- recipients elsewhere --- */

/* Values are those of the column recipient.state. */
enum rcpt_state {
    RCPT_WAITING = 0, /* for next_attempt: "due" when that has come, "deferred" until then */
    RCPT_HELD = 1,
    RCPT_FAILED = 2, /* for good; its sender was not told yet */
    RCPT_DONE = 3,
    RCPT_BOUNCED = 4, /* failed, and its sender was told (or cannot be) */
    RCPT_OWED = 5,    /* done, but its sender asked to be told and was not told yet */
    RCPT_STATES
};

/* What was done; values of the column recipient.outcome. For RCPT_OWED. */
enum rcpt_deed {
    DONE_NOT = 0,
    DONE_DELIVERED = 1, /* into a mailbox here */
    DONE_RELAYED = 2,   /* to a server that tells nobody */
    DONE_EXPANDED = 3,  /* an alias of several addresses */
    RCPT_DEEDS
};

struct recipient {
    uint64_t message;
    uint32_t number; /* within the message, from 0 */
    struct span address, domain;
    enum rcpt_state state;
    uint64_t attempts;
    int64_t next_attempt; /* seconds since 1970. Held: when it expires, 0: never (damaged). 0 in
                             the states that wait for nothing */
    struct span status;   /* "5.1.1", of a failure */
    struct span remote;   /* who answered: "mx.example.org[192.0.2.1]:25" */
    struct span last_reply;
    int64_t last_attempt; /* 0: none yet */
    enum rcpt_deed outcome;
    uint8_t notify;     /* enum notify */
    struct span orcpt;  /* as its client encoded it, or empty */
    struct span sender; /* the reverse-path of its own, or empty: see parties.h */
    uint64_t dialogue;  /* of the last attempt; 0: none */
    bool is_contained;  /* it is held because its sender is contained; only while it is held */
};

int store_rcpt_add(struct store *s, const struct recipient *r);
/* Spans hold until the next call of this. */
enum found store_rcpt_get(struct store *s, uint64_t message, uint32_t number, struct recipient *r);
/* Writes all but the address and what was asked. */
int store_rcpt_set(struct store *s, const struct recipient *r);
int store_rcpt_set_state(struct store *s, uint64_t message, uint32_t number, enum rcpt_state state,
                         int64_t next_attempt);
int store_rcpt_remove(struct store *s, uint64_t message, uint32_t number);
/* Has the message a recipient of this address? NONE: *number is one that is free. */
enum found store_rcpt_look(struct store *s, uint64_t message, struct span address,
                           uint64_t *number);
/* The recipients of a message in order of number; spans hold until the next call. Ends by itself
 * with any result but FOUND_YES and FOUND_DAMAGED; store_rcpts_end ends it before. */
void store_rcpts_begin(struct store *s, uint64_t message);
enum found store_rcpts_next(struct store *s, struct recipient *r);
void store_rcpts_end(struct store *s);

/* The next message with recipients, after this id; `domain` empty: of any domain. */
enum found store_queued_next(struct store *s, uint64_t after, struct span domain, uint64_t *id);
/* The next message with recipients whose sender is to be told (RCPT_FAILED, RCPT_OWED), after this
 * id. */
enum found store_untold_next(struct store *s, uint64_t after, uint64_t *id);

/* A place in the order in which recipients become due. */
struct due {
    int64_t at;
    uint64_t message;
    uint32_t number;
    bool is_local;      /* for a mailbox here: release.h */
    bool is_report;     /* about TLS, or as free of it (CONTENT_TLS_OPTIONAL) */
    struct span domain; /* it and the next hold until the next call */
    struct span sender, client, login;
    struct span forward_sender; /* recipient.sender */
};

/* Those due before `before`, that come after the place `after`; at most `limit`. To be used like
 * store_rcpts_begin. */
void store_due_begin(struct store *s, const struct due *after, int64_t before, unsigned limit);
enum found store_due_next(struct store *s, struct due *d);
void store_due_end(struct store *s);
/* Recipients whose last attempt is in the future: the clock was ahead then, and so is the time of
 * their next one. Makes at most so many due. How many; or -1. */
int store_due_pull_in(struct store *s, int64_t now_s, unsigned most);
/* A held recipient whose message expired: its next_attempt is that time. */
enum found store_held_too_long(struct store *s, int64_t now_s, uint64_t *message, uint32_t *number);
/* When the first recipient becomes due at or after `from`. */
enum found store_due_when(struct store *s, int64_t from, int64_t *at);

/* --- what happened: for `barid trace` --- */

struct incident {
    uint64_t message;
    int64_t at;
    const char *what; /* when written: "delivered" */
    struct span word; /* the same, when read */
    struct span address, remote, reply;
    struct span tls;   /* how the connection was protected; empty: there was none */
    uint64_t dialogue; /* of the attempt; 0: none */
};
/* Nothing is kept (and these write nothing) until this says so. */
void store_trace(struct store *s, bool is_on);
bool store_is_tracing(const struct store *s);
int store_event_add(struct store *s, const struct incident *e);
/* The same for the message at this place of a mailbox, if there is one. is_first: not if the last
 * hundred events of the message have the same. e->message and what is of an attempt do not count.
 */
int store_event_at(struct store *s, uint64_t box, uint64_t seq, const struct incident *e,
                   bool is_first);
/* The same for a message that is known (in its last hundred events) to have been deleted. */
int store_event_after_deletion(struct store *s, const struct incident *e);
/* The first 500 of a message, in order of time; used like store_rcpts_begin. */
void store_events_begin(struct store *s, uint64_t message);
enum found store_events_next(struct store *s, struct incident *e);
/* Removes some of what is older: fewer than TRACE_STEP rows if that was all. */
#define TRACE_STEP 500
int store_trace_sweep(struct store *s, int64_t before_s);

/* --- what was said in attempts (store_dialogue.c); see relay/dialogue.h --- */

struct dialogue {
    uint64_t id, message;
    int64_t began_ms, at; /* milliseconds and seconds since 1970 */
    struct span remote, tls;
    struct span text; /* lines as in relay/dialogue.h; what they hold is not to be trusted */
};
int store_dialogue_add(struct store *s, const struct dialogue *d, uint64_t *id);
/* NONE also if it is another message's. Spans hold until store_dialogue_end, which must follow. */
enum found store_dialogue_get(struct store *s, uint64_t id, uint64_t message, struct dialogue *d);
void store_dialogue_end(struct store *s);
/* Those of a message, in order of time; used like store_rcpts_begin. */
void store_dialogues_begin(struct store *s, uint64_t message);
enum found store_dialogues_next(struct store *s, struct dialogue *d);
/* Keeps the last n of a message. */
int store_dialogues_trim(struct store *s, uint64_t message, uint64_t n);
/* Removes some of what is older, and of the oldest while there are more octets than n_max; like
 * store_trace_sweep. */
int store_dialogues_sweep(struct store *s, int64_t before_s, uint64_t n_max);

/* --- domains whose servers had TLS: secured.h --- */

struct memory {
    enum secured level; /* SECURED_TLS or SECURED_VERIFIED */
    int64_t seen;
    bool is_told;
};
enum found store_secured_get(struct store *s, struct span domain, struct memory *m);
int store_secured_set(struct store *s, struct span domain, const struct memory *m);
/* Removes some of what was not seen since, and of the oldest if there are more than n_max. */
int store_secured_sweep(struct store *s, int64_t before_s, int64_t n_max);

/* --- what hosts said about recipients (store_callout.c): callout.h --- */

struct callout_row {
    uint64_t id;         /* when read by store_callouts_next */
    struct span address; /* folded; holds until the next call */
    bool exists;
    int64_t learned, expires; /* seconds since 1970 */
    int64_t host;             /* whose word it is: positive, the same for the same host */
};
/* Of this address: fills in the rest. */
enum found store_callout_get(struct store *s, struct callout_row *c);
int store_callout_set(struct store *s, const struct callout_row *c);
/* An address, or "@DOMAIN": all of it. How many, or -1. */
int64_t store_callout_forget(struct store *s, struct span what);
/* In the order of ids after this one; of "@DOMAIN", or all. Used like store_rcpts_begin. */
void store_callouts_begin(struct store *s, uint64_t after, struct span domain);
enum found store_callouts_next(struct store *s, struct callout_row *c);
void store_callouts_end(struct store *s);
/* Some of those that end before. How many, or -1. */
int64_t store_callouts_sweep(struct store *s, int64_t now_s);
/* Of those that do not exist; if there are too few, of those of the host that has most. Each time
 * those that end first. How many, or -1. */
int64_t store_callouts_trim(struct store *s, uint64_t n);
enum found store_callouts_count(struct store *s, uint64_t *n);

struct past {
    uint64_t id, size;
    int64_t arrived, gone;
    struct span sender, client, login;
};
/* A message that was removed; spans hold until store_past_end. */
enum found store_past_get(struct store *s, uint64_t id, struct past *p);
void store_past_end(struct store *s);
enum found store_past_find(struct store *s, struct span message_id, uint64_t *id);
/* Messages that have to do with an address, by what tells of it. */
enum trail {
    TRAIL_SENT,   /* it is their sender */
    TRAIL_PAST,   /* the same, of those that were removed */
    TRAIL_EVENTS, /* something happened to it as their recipient, or in its mailbox */
    TRAIL_QUEUED, /* they wait for it; of the last 10,000 recipients of its domain */
    TRAIL_BOX,    /* they are in its mailbox */
    TRAIL_TRASH,  /* they were deleted there */
    TRAILS
};
struct trail_wish {
    struct span address, domain; /* case does not count; the domain in lower case */
    uint64_t box;                /* 0: it has none */
    uint64_t before;             /* only ids below */
};
/* At most so many ids, the newest first, by an index. How many; or -1. */
int store_trail(struct store *s, enum trail t, const struct trail_wish *w, uint64_t *ids, int most);
/* The newest message before this id; its header, if it is in the row, holds until the next call. */
enum found store_header_before(struct store *s, uint64_t *id, struct span *header);
void store_header_end(struct store *s);
/* Mailboxes that have it; deleted_at: 0, it is not. Used like store_rcpts_begin. */
void store_boxes_of_begin(struct store *s, uint64_t message);
enum found store_boxes_of_next(struct store *s, uint64_t *box, int64_t *deleted_at);

/* --- repairs (store_repair.c): what can be made again from what is right --- */

/* What content_scan found in content that is right. */
struct content_scan;
int store_fix_facts(struct store *s, uint64_t id, const struct content_scan *scan);
/* The counts of a mailbox, the sizes and UIDLs of what is in it, from what there is. */
int store_fix_box(struct store *s, uint64_t box);
/* Makes the indexes anew: takes long. */
int store_fix_indexes(struct store *s);
/* Removes parts of deletions that cannot be carried out: what they name is shown again. */
int store_fix_removals(struct store *s);
/* Removes holds of messages, and records of servers for reports about TLS, that are not there. */
int store_fix_orphans(struct store *s);
/* Removes recipients of a message that is not there. */
int store_fix_rcpts(struct store *s, uint64_t message);
/* Removes its row, whatever it holds; nothing may refer to it. */
int store_fix_message(struct store *s, uint64_t id);

struct place {
    uint64_t message, box, seq;
    bool is_deleted; /* in the trash */
};
/* Some place of a message; some message of a mailbox; one there whose message is gone. */
enum found store_place_of(struct store *s, uint64_t message, struct place *p);
enum found store_place_in(struct store *s, uint64_t box, struct place *p);
enum found store_place_lost(struct store *s, uint64_t box, struct place *p);
/* Takes it out; the counts of the mailbox are corrected, the message stays. */
int store_place_remove(struct store *s, const struct place *p);

/* --- who is contained (store_contain.c); see contain.h and maildb.c --- */

struct containment {
    struct span who; /* a login, or "uid:1000" */
    int64_t since;
    struct span why;
};
/* Nothing, if he is already. */
int store_contained_add(struct store *s, const struct containment *c);
/* Spans hold until store_contained_end, which must follow. */
enum found store_contained_get(struct store *s, struct span who, struct containment *c);
/* One with this value of the column told. */
enum found store_contained_untold(struct store *s, uint64_t told, struct containment *c);
void store_contained_end(struct store *s);
int store_contained_tell(struct store *s, struct span who, uint64_t told);
enum found store_contained_remove(struct store *s, struct span who);
/* One whose messages up to `at` were looked through, and not yet those after it. */
enum found store_contained_unswept(struct store *s, char who[ADDRESS_MAX + 1], uint64_t *at);
/* INT64_MAX: all of them were. */
int store_contained_swept(struct store *s, struct span who, uint64_t at);

/* One count of one user (counts.h). */
struct counted_row {
    struct span who;
    unsigned what;
    uint64_t n;
    int64_t until; /* seconds since 1970 */
};
/* Of who and what: fills in the rest. */
enum found store_counted_get(struct store *s, struct counted_row *r);
int store_counted_set(struct store *s, const struct counted_row *r);
int store_counted_forget(struct store *s, struct span who);
/* Some of those that were over before. */
int store_counted_sweep(struct store *s, int64_t before_s);

/* That a user wrote to an address (addressees.h): both are hashes. */
struct addressee {
    int64_t user, address;
    int64_t at; /* seconds since 1970 */
};
/* Of user and address: fills in the rest. */
enum found store_addressee_get(struct store *s, struct addressee *a);
int store_addressee_set(struct store *s, const struct addressee *a);
int store_addressees_forget(struct store *s, int64_t user);
/* Some of those before, and of the oldest if there are more than n_max. */
int store_addressees_sweep(struct store *s, int64_t before_s, int64_t n_max);

/* Messages of this user with recipients that are held as he is contained; of very many not all are
 * counted. */
enum found store_held_of(struct store *s, struct span who, uint64_t *n);
/* All who are contained, by name, each with the number of his held messages; store_contained_next
 * until it is not FOUND_YES. The spans hold until then. */
void store_contained_list(struct store *s, uint64_t skip, uint64_t max);
enum found store_contained_next(struct store *s, struct containment *c, uint64_t *held);

struct depth {
    uint64_t due, deferred, held;
};
int store_depth(struct store *s, int64_t now_s, struct depth *d);

#endif
