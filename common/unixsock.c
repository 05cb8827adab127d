#include "common/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define BUFFER_OCTETS (1 << 20)
#define BACKLOG       128

/* A short name for dir/name, however long dir is. */
static int address_in(int dirfd, const char *name, struct sockaddr_un *sa)
{
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(sa->sun_path, sizeof sa->sun_path, "/proc/self/fd/%d/%s", dirfd, name);
    return n < 0 || (size_t)n >= sizeof sa->sun_path ? -1 : 0;
}

/* Makes room for a socket of this name; anything but an old socket stays. */
static int clear_name(int dirfd, const char *name)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -1;
    if (S_ISSOCK(st.st_mode))
        return unlinkat(dirfd, name, 0);
    errno = EEXIST;
    return -1;
}

static int bind_in(int dirfd, const char *name, int type, mode_t mode)
{
    struct sockaddr_un sa;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    mode_t old = umask(~mode & 0777);
    bool is_done = address_in(dirfd, name, &sa) == 0 && clear_name(dirfd, name) == 0 &&
                   bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(fd, BACKLOG) == 0;
    int saved = errno;
    umask(old);
    if (is_done)
        return fd;
    close(fd);
    errno = saved;
    return -1;
}

static int listen_at(const char *dir, const char *name, int type, mode_t mode, struct error *e)
{
    int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = dirfd < 0 ? -1 : bind_in(dirfd, name, type, mode);
    int saved = errno;
    if (dirfd >= 0)
        close(dirfd);
    if (fd < 0)
        return error_set(e, "cannot make the socket %s/%s: %s", dir, name, strerror(saved));
    return fd;
}

int unixsock_listen(const char *dir, const char *name, struct error *e)
{
    return listen_at(dir, name, SOCK_SEQPACKET, 0600, e);
}

/* "dir/name" cut in two; the directory of "/name" is "/". */
static int split_path(const char *path, char dir[PATH_MAX], const char **name, struct error *e)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash[1] == '\0' || (size_t)(slash - path) >= PATH_MAX)
        return error_set(e, "'%.200s' cannot be the name of a socket", path);
    snprintf(dir, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    *name = slash + 1;
    return 0;
}

int unixsock_listen_stream(const char *path, struct error *e)
{
    char dir[PATH_MAX];
    const char *name;
    if (split_path(path, dir, &name, e) < 0)
        return -1;
    return listen_at(dir, name, SOCK_STREAM, 0666, e);
}

/* Takes over dirfd; -1 there is an error of its open. The socket, or -1 (errno). */
static int connect_at(int dirfd, const char *name, int type)
{
    struct sockaddr_un sa;
    int fd = dirfd < 0 ? -1 : socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    bool is_done = fd >= 0 && address_in(dirfd, name, &sa) == 0 &&
                   connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0;
    int saved = errno;
    if (dirfd >= 0)
        close(dirfd);
    if (is_done)
        return fd;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return -1;
}

/* Without waiting: where the line of those who wait is full, somebody listens. */
static bool is_served(const char *dir, const char *name)
{
    int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = connect_at(dirfd, name, SOCK_STREAM | SOCK_NONBLOCK);
    bool is_full = fd < 0 && errno == EAGAIN;
    if (fd >= 0)
        close(fd);
    return fd >= 0 || is_full;
}

/* What is made from here on gets that group. 0, or -1. */
static int make_for(const char *group, struct error *e)
{
    const struct group *g = getgrnam(group);
    if (g == NULL)
        return error_set(e, "there is no group '%s'", group);
    setfsgid(g->gr_gid);
    if ((gid_t)setfsgid((gid_t)-1) != g->gr_gid)
        return error_set(e, "may not give a socket to the group '%s': start as root", group);
    return 0;
}

static void note_file(const char *path, struct unixsock_rights *how)
{
    struct stat st;
    bool is_known = lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
    how->dev = is_known ? st.st_dev : 0;
    how->ino = is_known ? st.st_ino : 0;
}

int unixsock_listen_for(const char *path, struct unixsock_rights *how, struct error *e)
{
    char dir[PATH_MAX];
    const char *name;
    if (split_path(path, dir, &name, e) < 0)
        return -1;
    if (is_served(dir, name)) {
        error_set(e, "another server listens on %.200s: stop it or change the path", path);
        errno = EADDRINUSE;
        return -1;
    }
    gid_t before = (gid_t)setfsgid((gid_t)-1);
    bool is_ready = how->group == NULL || make_for(how->group, e) == 0;
    int fd = is_ready ? listen_at(dir, name, SOCK_STREAM, how->mode, e) : -1;
    setfsgid(before);
    if (fd >= 0)
        note_file(path, how);
    else
        errno = EACCES; /* told in e; nothing to be patient about */
    return fd;
}

void unixsock_remove(const char *path, const struct unixsock_rights *which)
{
    struct unixsock_rights now = {0};
    note_file(path, &now);
    if (which->ino != 0 && now.dev == which->dev && now.ino == which->ino)
        unlink(path);
}

int unixsock_connect_stream(const char *path, struct error *e)
{
    char dir[PATH_MAX];
    const char *name;
    if (split_path(path, dir, &name, e) < 0)
        return -1;
    int fd = connect_at(open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), name, SOCK_STREAM);
    if (fd >= 0)
        return fd;
    int saved = errno;
    error_set(e, "cannot reach %.200s: %s", path, strerror(saved));
    errno = saved;
    return -1;
}

int unixsock_connect(const char *dir, const char *name, bool *is_absent, struct error *e)
{
    *is_absent = false;
    int fd = connect_at(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), name, SOCK_SEQPACKET);
    if (fd >= 0)
        return fd;
    int saved = errno;
    *is_absent = saved == ENOENT || saved == ECONNREFUSED;
    return error_set(e, "cannot reach %s/%s: %s", dir, name, strerror(saved));
}

int unixsock_pair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return -1;
    int octets = BUFFER_OCTETS;
    for (int i = 0; i < 2; i++) /* a smaller buffer only means more waiting */
        if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &octets, sizeof octets) < 0)
            setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &octets, sizeof octets);
    return 0;
}

int unixsock_peer(int fd, uid_t *uid)
{
    struct ucred who;
    socklen_t n = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0)
        return -1;
    *uid = who.uid;
    return 0;
}
