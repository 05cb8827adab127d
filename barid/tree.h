/* The suite on one screen: which processes there are and who may talk to whom. Two const tables,
 * and they are the whole truth: the parent makes nothing that is not here. */
#ifndef BARID_TREE_H
#define BARID_TREE_H

#include "common/config.h"
#include "common/proto.h"

struct tree_process {
    enum role role;
    bool is_per_worker;  /* `workers` of them, else one */
    unsigned kinds;      /* 1 << enum listen_kind: sockets it serves */
    const char *control; /* its control socket in run_dir, or NULL */
    unsigned stop_rank;  /* 0 stops first; the next rank when all of it are gone */
    bool (*is_wanted)(const struct config *c); /* NULL: always */
};
extern const struct tree_process tree_processes[];
extern const size_t tree_n_processes;

struct tree_channel {
    enum role a, b;
};
extern const struct tree_channel tree_channels[];
extern const size_t tree_n_channels;

#endif
