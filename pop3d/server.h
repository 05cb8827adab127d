/* All POP3 sessions of this process: begins them within the limits, ends them when asked to stop.
 */
#ifndef BARID_POP3D_SERVER_H
#define BARID_POP3D_SERVER_H

#include "common/proc.h"

/* For struct proc_spec. */
int server_open(struct proc *p, struct error *e);
void server_accepted(struct proc *p, const struct listener *on, int fd, const struct netaddr *peer);
void server_reloaded(struct proc *p);
/* MSG_KEY_HELD */
void server_key_held(void *proc, struct ipc *from, const union msg *m, int fd);
void server_drain(struct proc *p);

#endif
