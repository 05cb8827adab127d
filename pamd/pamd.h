/* pamd: asks PAM for authd about logins of the system. It knows the question's login, password and
 * client, and answers yes, no, expired, or "could not decide"; who that user is here, and whether
 * he may log in at all, is not its business. Its jail is wider than the others'
 * (doc/ARCHITECTURE.md): PAM loads modules of the system, which read /etc and speak to services of
 * this machine. */
#ifndef BARID_PAMD_PAMD_H
#define BARID_PAMD_PAMD_H

#include "common/proc.h"
#include "pamd/pool.h"

/* `check` is check_by_pam, but for tests. 0, or -1 and e. */
int pamd_open(struct proc *p, check_fn *check, struct error *e);
void pamd_configure(struct proc *p);
void pamd_peer_down(struct proc *p, enum role role, unsigned instance, struct ipc *ch);
void pamd_handle_check(void *owner, struct ipc *from, const union msg *m, int fd);

#endif
