/* The life of a child, the same for all: init (log, configuration, listeners and channels from the
 * parent) -> jail -> open -> ready -> serve -> drain. A daemon fills in a struct proc_spec and its
 * main is one call of proc_main.
 *
 * Channels: proc keeps one channel per peer instance, made by the parent, remade when the peer
 * died. Between death and remaking proc_peer is NULL and questions answer "could not". Messages
 * from peers, and from CLIs on the control socket, go to the handlers of the spec with `owner` =
 * the struct proc. */
#ifndef BARID_PROC_H
#define BARID_PROC_H

#include "common/config.h"
#include "common/ipc.h"

struct proc;

/* Sessions may keep a pointer to it: it stays valid for the life of the process, and `config` is
 * that of the configuration in force. */
struct listener {
    enum listen_kind kind;
    const struct listen_config *config; /* of the current configuration; NULL for LISTEN_CONTROL */
    struct netaddr local;
    char *path; /* of a Unix socket; NULL: it has the address `local` */
};

struct proc_spec {
    enum role role;
    const struct ipc_handler *handlers;
    size_t n_handlers;
    /* In the jail: open stores, make state (proc_set_state). 0, or -1 and e: reported to the
     * parent, who says it and does not start. May be NULL. */
    int (*open)(struct proc *p, struct error *e);
    /* Before the jail, still with the rights of the start: only what cannot be done inside (forking
     * verifiers, reading a trust anchor). May be NULL. */
    int (*prepare)(struct proc *p, struct error *e);
    /* A connection on a listener; fd is non-blocking and now belongs to the callee. `peer` of a
     * Unix socket is the user at its other end (netaddr_of_uid). */
    void (*accepted)(struct proc *p, const struct listener *on, int fd, const struct netaddr *peer);
    void (*peer_up)(struct proc *p, enum role role, unsigned instance, struct ipc *ch);
    /* Its questions were answered with NULL; `ch` is invalid after the return. Also for a CLI that
     * hung up (ROLE_CLI): forget what was kept to answer it. */
    void (*peer_down)(struct proc *p, enum role role, unsigned instance, struct ipc *ch);
    /* The backlog of a channel is empty again; may be NULL. owner: the struct proc. */
    void (*drained)(void *owner, struct ipc *ch);
    void (*reloaded)(struct proc *p); /* proc_config is the new one, the old one is freed after */
    void (*turn)(struct proc *p);     /* after every turn of the loop */
    /* Asked to stop: listeners are closed. Finish what is under way, then call proc_exit; after the
     * grace period the process exits anyway. NULL: exits at once. */
    void (*drain)(struct proc *p);
    uint64_t files_max;     /* RLIMIT_NOFILE; 0: 1024 */
    uint64_t memory_max;    /* RLIMIT_AS; 0: none */
    uint64_t file_size_max; /* RLIMIT_FSIZE; 0: writes no files */
    const char *root; /* under state_dir: "queue"; NULL: an empty directory; "/": the machine */
    unsigned processes_max; /* how many it may fork */
};

/* What a file of the configuration holds: `*n` octets to be freed, a zero behind them. NULL and e:
 * the parent could not open it, it is no longer there to be read (it can be had once after each
 * start or reload), or it is larger than a file of its kind can sensibly be. In `open` and
 * `reloaded` only. */
char *proc_read_file(struct proc *p, enum file_kind kind, size_t section, size_t *n,
                     struct error *e);
/* Counts the configurations: the same number in two processes means the same configuration. */
uint32_t proc_generation(const struct proc *p);

int proc_main(int argc, char **argv, const struct proc_spec *spec);

struct loop *proc_loop(struct proc *p);
/* Replaced on reload: do not keep the pointer over a turn. */
const struct config *proc_config(struct proc *p);
void *proc_state(struct proc *p);
void proc_set_state(struct proc *p, void *state);
unsigned proc_instance(const struct proc *p);
/* Shared with the other workers of the service (common/peers.h), or -1. Stays open. */
int proc_memory_fd(const struct proc *p);
/* The channel to a peer (first instance), or NULL while it is down. */
struct ipc *proc_peer(struct proc *p, enum role role);
bool proc_is_draining(const struct proc *p);
void proc_exit(struct proc *p);
/* Accepts no connections while true (limit reached, out of descriptors). */
void proc_pause_accept(struct proc *p, bool is_paused);

#endif
