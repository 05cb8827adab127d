/* The walls around a child, put up once, before it reads anything from the network. */
#ifndef BARID_JAIL_H
#define BARID_JAIL_H

#include "common/error.h"
#include "common/proto.h"

#include <stdbool.h>
#include <sys/types.h>

struct jail {
    enum role role;
    const char *root;               /* directory to chroot into (as root) or to chdir into */
    uint64_t files_max;             /* RLIMIT_NOFILE */
    uint64_t memory_max;            /* RLIMIT_AS in octets; 0: none */
    uint64_t file_size_max;         /* RLIMIT_FSIZE; 0: writes no files, but the log pipe is none */
    bool has_seccomp, has_landlock; /* [jail] seccomp and landlock */
    unsigned processes;             /* RLIMIT_NPROC: how many it may fork (0: none) */
};

/* The account of a role: user `barid-<role>` if the machine has it, else a number of its own from
 * the range that systemd uses for dynamic users. *is_named tells which. */
void jail_account(enum role role, uid_t *uid, gid_t *gid, bool *is_named);
/* rlimits, chroot, groups and uid (proved), not dumpable, dies with its parent, no_new_privs.
 * Started as an ordinary user: the same without chroot and uid. 0, or -1: then the child must not
 * go on. */
int jail_enter(const struct jail *j, struct error *e);

#endif
