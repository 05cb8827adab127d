/* The two forms in which a mailbox leaves: a Maildir, or an mbox file (mboxrd). Lines end with LF.
 *
 * A Maildir's messages are written in tmp, synced, and then named in new; what is there from an
 * earlier run is left alone. Beside them stands a dovecot-uidlist with the UIDLs, which Dovecot and
 * our import understand. An mbox is written beside its final name and renamed when it is whole. */
#ifndef BARID_MAILBOX_FILE_H
#define BARID_MAILBOX_FILE_H

#include "common/buf.h"
#include "common/error.h"

struct mailbox_file;

struct mailbox_file_message {
    uint64_t sequence;
    struct span id; /* unique, good as a part of a file name */
    struct span uidl, sender;
    int64_t arrived;
};

/* NULL and e. An mbox must not be there yet. */
struct mailbox_file *mailbox_file_maildir(const char *path, struct error *e);
struct mailbox_file *mailbox_file_mbox(const char *path, struct error *e);
/* 1: to be written; 0: it is there already; -1 and e. */
int mailbox_file_begin(struct mailbox_file *f, const struct mailbox_file_message *m,
                       struct error *e);
/* Content in wire form. 0, or -1 and e. */
int mailbox_file_add(struct mailbox_file *f, struct span octets, struct error *e);
/* is_right false: what was added of this message is undone. 0, or -1 and e. */
int mailbox_file_end(struct mailbox_file *f, bool is_right, struct error *e);
/* All is on disk under its final name. 0, or -1 and e. */
int mailbox_file_finish(struct mailbox_file *f, struct error *e);
void mailbox_file_close(struct mailbox_file *f); /* NULL is allowed */

#endif
