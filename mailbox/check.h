/* The commands of `barid fsck`: what is stored is compared with what it should be, page by page.
 * Asked of a process that the command starts for itself; it reads and writes nothing.
 *
 * A row tells one thing that is wrong: `what` (a word), where (`box` and `seq`, `queued`,
 * `message`, `file`; 0 or empty if it is not there) and `text` for people. A row with the word "at"
 * tells how much of what was looked at. */
#ifndef BARID_MAILBOX_CHECK_H
#define BARID_MAILBOX_CHECK_H

#include "common/ipc.h"

struct check;

struct check *check_new(void); /* NULL without memory */
void check_free(struct check *c);
void check_run(struct check *c, struct ipc *from, const struct msg_admin *m);

#endif
