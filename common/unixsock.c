#include "common/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define BUFFER_OCTETS (1 << 20)

/* A short name for dir/name, however long dir is. */
static int address_in(int dirfd, const char *name, struct sockaddr_un *sa)
{
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(sa->sun_path, sizeof sa->sun_path, "/proc/self/fd/%d/%s", dirfd, name);
    return n < 0 || (size_t)n >= sizeof sa->sun_path ? -1 : 0;
}

static int bind_in(int dirfd, const char *name)
{
    struct sockaddr_un sa;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    mode_t old = umask(0177);
    bool is_done = address_in(dirfd, name, &sa) == 0 &&
                   (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT) &&
                   bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(fd, 64) == 0;
    int saved = errno;
    umask(old);
    if (is_done)
        return fd;
    close(fd);
    errno = saved;
    return -1;
}

int unixsock_listen(const char *dir, const char *name, struct error *e)
{
    int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = dirfd < 0 ? -1 : bind_in(dirfd, name);
    int saved = errno;
    if (dirfd >= 0)
        close(dirfd);
    if (fd < 0)
        return error_set(e, "cannot make the control socket %s/%s: %s", dir, name, strerror(saved));
    return fd;
}

int unixsock_connect(const char *dir, const char *name, bool *is_absent, struct error *e)
{
    struct sockaddr_un sa;
    *is_absent = false;
    int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = dirfd < 0 ? -1 : socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    bool is_done = fd >= 0 && address_in(dirfd, name, &sa) == 0 &&
                   connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0;
    int saved = errno;
    if (dirfd >= 0)
        close(dirfd);
    if (is_done)
        return fd;
    if (fd >= 0)
        close(fd);
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
