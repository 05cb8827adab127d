/* The state of the parent process. It reads the configuration, binds, starts, supervises, reloads
 * and stops; it never reads a byte that came from the network. */
#ifndef BARID_PARENT_H
#define BARID_PARENT_H

#include "barid/listen.h"
#include "barid/logpipe.h"
#include "barid/tree.h"
#include "common/admin.h"
#include "common/ipc.h"
#include "common/trouble.h"

#include <sys/types.h>

#define CHILDREN_MAX 160
#define CLIENTS_MAX  16

struct parent;
struct gathering;

/* A file that the configuration names, opened for who may read it. What is in force is kept open,
 * so that a child that is started again gets what the others have. */
struct opened {
    enum file_kind kind;
    uint16_t section;
    int fd;        /* -1: could not be opened */
    char why[256]; /* then */
};
struct opened_list {
    struct opened *list;
    size_t n;
};

struct child {
    struct parent *parent;
    const struct tree_process *kind;
    unsigned instance;
    pid_t pid; /* 0: not running */
    struct ipc *control;
    struct logpipe log;
    int control_socket; /* listening, or -1; outlives the process */
    bool is_ready;
    char failure[512]; /* why it could not start, in its own words */
    char said[512];    /* the same, of the last time that the log tells of */
    struct trouble trouble;
    int64_t since_s, born_ms;
    unsigned restarts;
    int64_t backoff_ms;
    int64_t linked_ms; /* when a channel of it was last made */
    struct trouble losses;
    struct timer again;
};

struct parent {
    struct loop *loop;
    const char *config_path;
    char *text; /* the configuration as read */
    size_t text_n;
    struct config *config;
    struct bound_list bound;
    int memory_fds[ROLES]; /* of services with workers: who is connected; else -1 */
    struct opened_list files;
    uint32_t generation; /* of the configuration */
    struct child *children[CHILDREN_MAX];
    size_t n_children;
    int socket; /* run_dir/parent.sock */
    struct watch socket_watch;
    struct ipc *clients[CLIENTS_MAX];
    struct gathering *gatherings; /* gather.c */
    int lock;
    bool was_ready; /* all were ready once: from now on the dead are restarted */
    bool is_stopping;
    unsigned stop_rank;
    struct timer stop_limit;
    struct timer reap;
    int64_t started_s;
    int exit_status;
};

/* supervise.c */
/* Starts every process of the tree. 0, or -1 and e. */
int supervise_start(struct parent *p, struct error *e);
/* Can this build do what is configured? 0, or -1 and e. */
int supervise_check(const struct config *c, struct error *e);
void supervise_reap(struct parent *p);
/* Tells all children the present configuration and sockets. */
void supervise_tell_all(struct parent *p);
/* Rank by rank; a second call ends everything at once. */
void supervise_stop(struct parent *p);
void supervise_kill(struct parent *p);

/* files.c */
/* Opens what the configuration names; parses nothing. 0, or -1 and e: no memory. A file that cannot
 * be opened is no failure here: its users say what becomes of it. */
int files_open(const struct config *c, struct opened_list *out, struct error *e);
void files_close(struct opened_list *l);
/* Gives a child those that its role may read. */
void files_hand_over(const struct opened_list *l, enum role to, struct ipc *control);

/* control.c */
int control_open(struct parent *p, struct error *e);

/* gather.c */
/* Answers the call when the children have. */
void gather_start(struct parent *p, struct admin_call *call);
/* Its questions will not be answered. Before its channel is closed. */
void gather_child_gone(struct parent *p, const struct child *c);
void gather_client_gone(struct parent *p, const struct ipc *ch);

/* reload.c */
/* Reads and checks the configuration, says every problem on stderr. 0, or -1. */
int reload_read(const char *path, char **text, size_t *n, struct config **c);
void reload(struct parent *p);

#endif
