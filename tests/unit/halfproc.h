/* What proc.c gives to a daemon, without a process around it: a test makes the loop, the
 * configuration and the channels, and the code of one daemon finds them by the functions of
 * common/proc.h. */
#ifndef BARID_TESTS_HALFPROC_H
#define BARID_TESTS_HALFPROC_H

#include "common/proc.h"

struct proc {
    void *state;
    struct loop *loop;
    struct config *config;
    struct ipc *peers[ROLES]; /* our ends */
    bool has_exited;
};

/* Parses settings and makes them those of the process; ends the test when they are wrong. */
void halfproc_configure(struct proc *p, const char *settings);

#endif
