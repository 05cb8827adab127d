/* Which system calls a role may make (seccomp). One table in seccomp.c. */
#ifndef BARID_SECCOMP_H
#define BARID_SECCOMP_H

#include "common/error.h"
#include "common/proto.h"

/* For good. What is not in the table answers ENOSYS; what no role ever needs (execve, ptrace, mount
 * …) and sockets where none are granted end the process. 0, or -1 and e. */
int seccomp_enter(enum role role, struct error *e);

#endif
