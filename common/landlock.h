/* The file system and the network as a role may use them, enforced by the kernel (Landlock), in the
 * strength that the running kernel knows (ABI 1 and up). */
#ifndef BARID_LANDLOCK_H
#define BARID_LANDLOCK_H

#include "common/error.h"

#include <stdbool.h>

enum landlock_files {
    LANDLOCK_NO_FILES,
    LANDLOCK_READS,  /* below root */
    LANDLOCK_SYSTEM, /* reads what the libraries and modules of the system lie and look in */
    LANDLOCK_WRITES, /* below root: reads, makes, writes, removes files and directories */
};

struct landlock_rules {
    const char *root; /* seen from inside the jail */
    enum landlock_files files;
    bool may_connect; /* TCP, from ABI 4 on */
};

/* For good, for this process and its children. 1: done; 0: this kernel has no Landlock; -1 and e.
 */
int landlock_enter(const struct landlock_rules *rules, struct error *e);

#endif
