/* The connections of one smtpd worker: who is let in, the sockets and channels behind its sessions,
 * the limits, and the end. */
#ifndef BARID_SMTPD_SERVER_H
#define BARID_SMTPD_SERVER_H

#include "common/proc.h"

/* The callbacks of struct proc_spec. */
int server_open(struct proc *p, struct error *e);
void server_accept(struct proc *p, const struct listener *on, int fd, const struct netaddr *peer);
void server_drained(void *proc, struct ipc *ch);
void server_peer_down(struct proc *p, enum role role, unsigned instance, struct ipc *ch);
void server_reloaded(struct proc *p);
/* MSG_KEY_HELD */
void server_key_held(void *proc, struct ipc *from, const union msg *m, int fd);
void server_turn(struct proc *p);
void server_drain(struct proc *p);

#endif
