/* Plays the parent of one real process, and any of its siblings: starts its binary, hands it a
 * configuration and channels by the CHILD messages, and speaks every message of the table with it.
 * Calls block, for at most some seconds. What cannot be set up ends the test program. */
#ifndef BARID_TESTS_FAULT_PLAY_H
#define BARID_TESTS_FAULT_PLAY_H

#include "common/proto.h"

#include <sys/types.h>

#define PLAY_WAIT_MS 20000

struct play {
    /* Set before play_start: */
    enum role role;
    const char *state_dir; /* play_layout made it */
    const char *extra;     /* more lines of configuration, or NULL */
    unsigned peers;        /* P_* bits: a channel to each */
    int trace_fd;          /* for the shim, or -1 */
    const char *fault;     /* for the shim, or NULL */
    int log_fd;            /* its stderr */
    /* Sends it more before it starts: sockets, files; or NULL. */
    void (*before_start)(struct play *p);
    /* Set by it: */
    pid_t pid;
    int control;
    int channels[ROLES]; /* our ends, -1 if there is none */
    char why[600];       /* what it said when it did not start */
};

/* Makes state_dir and what belongs into it, with the owners that the process expects. */
void play_layout(const char *state_dir);
/* Gives a file or directory to the account of a role, if we are root. */
void play_give(const char *path, enum role role);
/* 0: it is ready; -1: it said why not, or is gone (p->why). */
int play_start(struct play *p);
/* A new channel in the place of the old one. */
void play_connect(struct play *p, enum role peer);
/* The same for an instance besides the first; our end. */
int play_connect_as(struct play *p, enum role peer, unsigned instance);
/* Blocking, with large buffers; ours is pair[0]. */
void play_pair(int pair[2]);
void play_make_roomy(int fd); /* the same for a socket of ours: sends wait, but not for ever */
/* SIGKILL, or after CHILD_STOP; closes all channels. The wait status, or -1 if it did not end. */
int play_kill(struct play *p);
int play_stop(struct play *p);
bool play_is_alive(const struct play *p);

/* From now on what play_send sends is handed to `spoil` first, which may change all of it (room:
 * IPC_MAX + 1 octets; *n 0: nothing is sent). *fd stays whose it is. NULL: no more. */
typedef void play_spoil_fn(int channel, char *octets, size_t *n, int *fd);
void play_spoil(play_spoil_fn *spoil);

/* 0, or -1: the channel is closed. */
int play_send(int channel, enum msg_type type, const void *fields, int fd);
int play_send_raw(int channel, const char *octets, size_t n, int fd);
/* 1: a message, which is valid until the next call (fd: -1 if none came with it); 0: nothing came
 * in time; -1: the channel is closed. HELLO is skipped. */
int play_receive(int channel, union msg *m, enum msg_type *type, int *fd, int timeout_ms);

/* Not _Noreturn, which cppcheck 2.10 does not understand. */
__attribute__((noreturn)) void play_give_up(const char *what);

#endif
