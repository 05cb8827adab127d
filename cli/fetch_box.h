/* Where `barid fetch` puts messages. In this order, so that a kill at any moment leaves neither a
 * loss nor a second copy:
 *   1. begin, write, end: the whole message on disk (fsync), where no reader looks;
 *   2. fetch_state_add: its row, pending, committed;
 *   3. publish: into its place;
 *   4. sync: places are on disk; the rows are settled, and only then may the server delete.
 * What is pending at the start of a run was between 2 and 4: `recover` finishes it, or finds that
 * it never came into its place.
 *
 *   Maildir: 1 writes tmp/NAME, 3 renames it into new/.
 *   mbox: 1 writes a file beside it, 2 notes where in the mbox it will stand, 3 appends under a
 * lock, then removes that file; what stands there afterwards, whole or in part, is known by
 * comparing. submit socket: 1 writes a file without a name, 3 sends it. Whether a message arrived
 * whose 250 was not heard nobody knows: it is sent again. */
#ifndef BARID_FETCH_BOX_H
#define BARID_FETCH_BOX_H

#include "cli/fetch_state.h"
#include "cli/smtpout.h"

#include <sodium.h>

enum fetch_kind { FETCH_MAILDIR, FETCH_MBOX, FETCH_SUBMIT };

struct fetch_box {
    enum fetch_kind kind;
    const char *path;  /* absolute; of the directory, the file, or the submit socket */
    const char *rcpt;  /* FETCH_SUBMIT */
    bool is_temporary; /* of the last failure: trying again later can help */
    /* private */
    int dir, tmp, fresh; /* Maildir: itself, tmp/, new/ */
    int mbox;
    int file;                   /* of the message being written; -1 */
    bool was_cr, is_line_start; /* of the text so far; mbox: but for > */
    size_t matched;             /* octets of "From " at the start of a line, not yet written */
    uint64_t written;
    unsigned count;
    char name[FETCH_NAME_MAX];
    crypto_hash_sha256_state hash;
    struct smtpout smtp;
};

/* All return 0, or -1 and e. */
/* Makes the Maildir or the mbox if it is missing. Before the working directory changes. */
int fetch_box_open(struct fetch_box *b, struct error *e);
void fetch_box_close(struct fetch_box *b);
int fetch_box_begin(struct fetch_box *b, struct error *e);
int fetch_box_write(void *box, struct span content, struct error *e); /* a pop3_write_fn */
int fetch_box_end(struct fetch_box *b, struct fetch_seen *out, struct error *e);
void fetch_box_drop(struct fetch_box *b);  /* instead of end or publish */
void fetch_box_leave(struct fetch_box *b); /* the same, but what was written stays for recover */
int fetch_box_publish(struct fetch_box *b, const struct fetch_seen *m, struct error *e);
int fetch_box_sync(struct fetch_box *b, struct error *e);
/* *is_there: it is in its place now; else forget it, and it will be fetched again. */
int fetch_box_recover(struct fetch_box *b, const struct fetch_seen *m, bool *is_there,
                      struct error *e);
/* After that, when its row is settled or forgotten and no sooner: without the part of an mbox that
 * is pending the message counts as there. */
void fetch_box_discard(struct fetch_box *b, const struct fetch_seen *m);

#endif
