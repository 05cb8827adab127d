/* Directories of a running suite, made by who starts processes (the parent, or the CLI for authd
 * alone). Each store has a directory that only its owner can write; root opens nothing below it
 * afterwards. */
#ifndef BARID_LAYOUT_H
#define BARID_LAYOUT_H

#include "common/config.h"

/* state_dir (0755), state_dir/authd (0700, authd), state_dir/queue (2750, queue, group mailbox),
 * state_dir/empty (0555, the root of who needs no files), and the links users.db, mail.db, spool.
 * Makes what is missing, one level deep; checks what is there. 0, or -1 and e. */
int layout_state(const struct config *c, struct error *e);
/* run_dir (0755), for the control sockets. */
int layout_run(const struct config *c, struct error *e);

#endif
