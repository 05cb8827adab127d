/* Directories of a running suite, made by who starts processes (the parent, or the CLI for authd
 * alone). Each store has a directory that only its owner can write; root opens nothing below it
 * afterwards. */
#ifndef BARID_LAYOUT_H
#define BARID_LAYOUT_H

#include "common/config.h"
#include "common/proto.h"

#include <sys/types.h>

/* Who owns what a role writes: its account if we are root, else ourselves. */
void layout_owner(enum role role, uid_t *uid, gid_t *gid);
/* While there is a file of this name in state_dir, a restore is not complete: nothing is started.
 */
#define LAYOUT_RESTORING "restoring"

/* state_dir (0755), state_dir/authd (0700, authd), state_dir/queue (2750, queue, group mailbox),
 * state_dir/empty (0555, the root of who needs no files), and the links users.db, mail.db, spool.
 * Makes what is missing, one level deep; checks what is there. 0, or -1 and e. */
int layout_state(const struct config *c, struct error *e);
/* run_dir (0755), for the control sockets. */
int layout_run(const struct config *c, struct error *e);

#endif
