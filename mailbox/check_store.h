/* All that `barid fsck` asks of mail.db: SQL of the check, on a read-only connection of its own.
 * Used by check.c, in a process that the command starts for itself, so neither the writer nor a
 * session waits for it. Transactions are as long as one page of the check, so that the writer's
 * checkpoints get through.
 *
 * Everything read is given as it stands: what is wrong with it is what the check is to find. All
 * functions return 0, or -1: the database cannot be read there (check_store_why). */
#ifndef BARID_MAILBOX_CHECK_STORE_H
#define BARID_MAILBOX_CHECK_STORE_H

#include "common/content.h"
#include "common/error.h"
#include "common/str.h"

struct check_store;

/* NULL and e. */
struct check_store *check_store_open(const char *path, struct error *e);
void check_store_close(struct check_store *cs); /* NULL is allowed */
/* What SQLite said last. */
const char *check_store_why(struct check_store *cs);

/* One consistent state of the database, until the end. */
int check_store_begin(struct check_store *cs);
void check_store_end(struct check_store *cs);

/* The structure of one part: `part` counts from 0, CHECK_PARTS of them; the last is the table of
 * messages. CHECK_WHOLE: of all at once, and of the free pages. fn gets what SQLite found. */
#define CHECK_PARTS 24
#define CHECK_WHOLE 99
int check_store_structure(struct check_store *cs, unsigned part, span_fn *fn, void *arg);
/* Octets of the file, and about how many messages there are. */
int check_store_size(struct check_store *cs, uint64_t *octets, uint64_t *messages);

struct check_message {
    int64_t id, arrived, expires, size, header, flags, spooled, ret;
    struct span sender, client, helo, login, envid, hash;
    struct span content;
    bool has_content;
    int64_t n_holders, n_rcpts; /* entries and what is in the trash; recipients */
};
/* The first after this id. 1: found, its spans hold until the next call; 0: none. */
int check_store_message_next(struct check_store *cs, int64_t after, struct check_message *m);
int check_store_message(struct check_store *cs, int64_t id, struct check_message *m);
void check_store_message_end(struct check_store *cs);

/* Where a message is. */
typedef void check_holder_fn(void *arg, int64_t box, int64_t seq, bool is_deleted);
int check_store_holders(struct check_store *cs, int64_t message, check_holder_fn *fn, void *arg);

struct check_box {
    int64_t id, messages, octets, deleted, deleted_octets, next_seq, first_id;
    bool has_row, is_forgotten;
    bool is_sane; /* its other columns */
};
/* The next number that a row of box, entry or trash has. 1, or 0: none. */
int check_store_box_next(struct check_store *cs, int64_t after, struct check_box *b);

struct check_entry {
    int64_t seq, message, octets;
    struct span uidl; /* with p NULL: the id */
    bool has_message, is_deleted;
    int64_t size, flags; /* of the message */
    struct span sender;
};
typedef void check_entry_fn(void *arg, const struct check_entry *e);
/* Everything in a mailbox, then everything in its trash. */
int check_store_entries(struct check_store *cs, int64_t box, check_entry_fn *fn, void *arg);
/* What devices dropped of messages that are not there. */
int check_store_dropped(struct check_store *cs, int64_t box, int64_t *n);
/* UIDLs in use that are not noted as such. */
int check_store_uidls(struct check_store *cs, int64_t box, int64_t *n);

struct check_rcpt {
    int64_t message, number, state, notify, attempts, contained;
    struct span address, domain, status, remote, last_reply, orcpt;
    bool has_message;
};
typedef bool check_rcpt_fn(void *arg, const struct check_rcpt *r);
/* Recipients of messages above `after`, until fn says false or there are no more. */
int check_store_rcpts(struct check_store *cs, int64_t after, check_rcpt_fn *fn, void *arg);

/* Large deletions that cannot have been ours. */
int check_store_removals(struct check_store *cs, int64_t *n);
struct check_orphan {
    bool is_hold;    /* else TLSA records of a domain that no result of TLS is noted of */
    int64_t message; /* of a hold */
    struct span domain;
};
typedef void check_orphan_fn(void *arg, const struct check_orphan *o);
/* Rows about what is not there. A dialogue is none: it outlives its message. */
int check_store_orphans(struct check_store *cs, check_orphan_fn *fn, void *arg);
/* Is there a message whose content is in the file of this id? 1 or 0. */
int check_store_is_spooled(struct check_store *cs, int64_t id);

#endif
