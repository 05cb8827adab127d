/* The inside of a child (proc.h), shared by proc.c and proc_listen.c only. */
#ifndef BARID_PROC_PRIVATE_H
#define BARID_PROC_PRIVATE_H

#include "common/buf.h"
#include "common/handed.h"
#include "common/proc.h"
#include "common/trouble.h"

#define INSTANCES_MAX 64
#define LISTENERS_MAX 1024 /* in use, or pointed at by sessions: a reload can close some */
#define CLIS_MAX      64

struct socket_in_use {
    struct listener pub;
    struct proc *proc;
    int fd; /* -1: closed by a reload; the struct stays for sessions that point at it */
    struct watch watch;
    uint16_t section;
    bool is_wanted; /* sent again during this reload */
};

struct peer {
    struct ipc *ch;
    int pending_fd; /* came before the jail; opened after `open` */
    bool is_lost;   /* was there, and is not */
};

struct proc {
    const struct proc_spec *spec;
    void *state;
    struct loop *loop;
    unsigned instance;
    int memory_fd;
    struct ipc *control;
    struct buf config_text;
    bool config_is_whole;
    struct config *config;
    struct handed files;
    uint32_t generation;
    struct socket_in_use *listeners[LISTENERS_MAX];
    size_t n_listeners;
    struct peer peers[ROLES][INSTANCES_MAX];
    struct ipc_ops peer_ops, cli_ops;
    struct ipc *clis[CLIS_MAX];
    struct timer grace, accept_again, ask_for_lost;
    struct trouble no_accept; /* out of descriptors */
    struct event *sigterm;
    bool is_started;     /* CHILD_START came at least once */
    bool lacks_listener; /* one that came could not be kept */
    bool is_serving;
    bool is_draining;
    bool is_accept_paused;
};

/* proc_listen.c */
void proc_accept_again(void *arg);
void proc_close_listener(struct socket_in_use *s);
void proc_on_listen(void *owner, struct ipc *from, const union msg *m, int fd);
void proc_settle_listeners(struct proc *p);

#endif
