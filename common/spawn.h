/* Starting a process of the suite, and telling it what it needs. Used by the parent for all of them
 * and by the CLI for authd alone when nothing is running. */
#ifndef BARID_SPAWN_H
#define BARID_SPAWN_H

#include "common/config.h"
#include "common/ipc.h"

#include <sys/types.h>

#define SPAWN_CONTROL_FD 3 /* where a child finds its channel to who started it */

/* The directory of the process binaries: beside this program (../libexec/barid), else
 * PKGLIBEXECDIR. 0, or -1 and e. */
int spawn_libexec(char *out, size_t cap, struct error *e);

struct spawned {
    pid_t pid;
    int control; /* our end of its channel, a SOCK_SEQPACKET */
};
/* To be called first of all: a program that is started without stdin, stdout or stderr gets
 * /dev/null there, or the first file it opens would take that number, and the log would be written
 * into it. */
void spawn_fill_standard(void);

/* From now on what our children leave behind when they die (authd its verifiers) becomes our child;
 * spawn_wait_all waits for the end of all. They end with who made them (PR_SET_PDEATHSIG). */
void spawn_adopt_orphans(void);
void spawn_wait_all(void);

/* Starts libexec/barid/<role> with a clean environment; its stderr is log_fd. 0, or -1 and e. */
int spawn_role(enum role role, unsigned instance, int log_fd, struct spawned *out, struct error *e);

/* Sends the configuration in parts. `text` is the file's; what only we can ask the system is set in
 * front of it (config_child_text), so that a jailed child has the same. 0, or -1. */
int spawn_send_config(struct ipc *control, struct span text, const struct config *c);

#endif
