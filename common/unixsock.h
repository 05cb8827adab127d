/* Unix sockets with names: the control sockets of run_dir (SOCK_SEQPACKET) and those that take
 * mail from the users of this machine (SOCK_STREAM). Names may be longer than sun_path holds; they
 * are reached through /proc/self/fd. */
#ifndef BARID_UNIXSOCK_H
#define BARID_UNIXSOCK_H

#include "common/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* A listening socket `dir`/`name`, mode 0600, in the place of an old one. The fd, or -1. */
int unixsock_listen(const char *dir, const char *name, struct error *e);
/* A listening stream socket that everybody may connect to. The fd, or -1. */
int unixsock_listen_stream(const char *path, struct error *e);
/* Who may connect, and which file it became. */
struct unixsock_rights {
    mode_t mode;
    const char *group; /* NULL: that of the process */
    dev_t dev;         /* out */
    ino_t ino;         /* out; 0: unknown */
};
/* The same for whom `how` allows, unless somebody listens there already (errno EADDRINUSE). Made
 * with its group and mode, so that in a directory of somebody else nothing but the new socket is
 * touched. The fd, or -1. */
int unixsock_listen_for(const char *path, struct unixsock_rights *how, struct error *e);
/* Removes the name of such a socket, if it is still this one's. */
void unixsock_remove(const char *path, const struct unixsock_rights *which);
/* Connects to one, blocking. The fd, or -1 (errno). */
int unixsock_connect_stream(const char *path, struct error *e);
/* The fd, or -1: *is_absent tells "nobody is listening" from other failures. */
int unixsock_connect(const char *dir, const char *name, bool *is_absent, struct error *e);
/* A connected pair, both ends close-on-exec and non-blocking, with large buffers. 0, or -1 (errno).
 */
int unixsock_pair(int fds[2]);
/* Who connected: 0, or -1. */
int unixsock_peer(int fd, uid_t *uid);

#endif
