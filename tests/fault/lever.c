/* Preloaded into the processes of a suite that runs as a whole: what surrounds them changes while
 * they run, when a test writes into the file that BARID_LEVER names (tests/e2e/lever.py).
 * Production code knows nothing of it. The file is mapped before the jail closes, so that nobody
 * can tell this from a clock that was set, a file system that became read-only or a machine that is
 * out of descriptors. It asks for no memory, and makes only system calls that the processes may
 * make. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define FDS 8192

/* As in lever.py, each 8 octets in the order of the machine. */
struct lever {
    int64_t clock_shift_s;
    int64_t write_errno; /* of all that would change a file system */
    int64_t open_errno;  /* of all that makes a descriptor */
};

static const struct lever idle;
static const volatile struct lever *lever = &idle;
static bool is_file[FDS]; /* opened by a name, to be written to */

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("BARID_LEVER");
    int fd = path != NULL ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof *lever, PROT_READ, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED)
        lever = at;
    syscall(SYS_close, fd);
}

static bool fails(int64_t error)
{
    if (error == 0)
        return false;
    errno = (int)error;
    return true;
}

/* --- the clock --- */

int clock_gettime(clockid_t which, struct timespec *now)
{
    int rc = (int)syscall(SYS_clock_gettime, which, now);
    if (which == CLOCK_REALTIME)
        now->tv_sec += lever->clock_shift_s;
    return rc;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL)
        *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

/* --- files --- */

static bool changes(int fd)
{
    return fd >= 0 && fd < FDS && is_file[fd];
}

static int open_file(int dirfd, const char *path, int flags, mode_t mode)
{
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    if ((writes && fails(lever->write_errno)) || fails(lever->open_errno))
        return -1;
    int fd = (int)syscall(SYS_openat, dirfd, path, flags, mode);
    if (fd >= 0 && fd < FDS)
        is_file[fd] = writes;
    return fd;
}

#include "tests/fault/opened.h"

int close(int fd)
{
    if (fd >= 0 && fd < FDS)
        is_file[fd] = false;
    return (int)syscall(SYS_close, fd);
}

ssize_t write(int fd, const void *octets, size_t n)
{
    return changes(fd) && fails(lever->write_errno) ? -1 : syscall(SYS_write, fd, octets, n);
}

ssize_t pwrite64(int fd, const void *octets, size_t n, off_t at)
{
    return changes(fd) && fails(lever->write_errno) ? -1 : syscall(SYS_pwrite64, fd, octets, n, at);
}

int ftruncate64(int fd, off_t size)
{
    return changes(fd) && fails(lever->write_errno) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int unlinkat(int dirfd, const char *path, int flags)
{
    return fails(lever->write_errno) ? -1 : (int)syscall(SYS_unlinkat, dirfd, path, flags);
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

/* --- connections --- */

int accept4(int fd, struct sockaddr *from, socklen_t *n, int flags)
{
    return fails(lever->open_errno) ? -1 : (int)syscall(SYS_accept4, fd, from, n, flags);
}

int socket(int family, int type, int protocol)
{
    return fails(lever->open_errno) ? -1 : (int)syscall(SYS_socket, family, type, protocol);
}

int socketpair(int family, int type, int protocol, int pair[2])
{
    return fails(lever->open_errno) ? -1
                                    : (int)syscall(SYS_socketpair, family, type, protocol, pair);
}

int memfd_create(const char *name, unsigned flags)
{
    return fails(lever->open_errno) ? -1 : (int)syscall(SYS_memfd_create, name, flags);
}

static int control_file(int fd, int command, va_list ap)
{
    long value = va_arg(ap, long);
    bool makes_one = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
    return makes_one && fails(lever->open_errno) ? -1 : (int)syscall(SYS_fcntl, fd, command, value);
}

int fcntl(int fd, int command, ...)
{
    va_list ap;
    va_start(ap, command);
    int rc = control_file(fd, command, ap);
    va_end(ap);
    return rc;
}

int fcntl64(int fd, int command, ...)
{
    va_list ap;
    va_start(ap, command);
    int rc = control_file(fd, command, ap);
    va_end(ap);
    return rc;
}

/* As the kernel does it: the message comes, what was passed with it does not. */
static void take_away(struct msghdr *m)
{
    bool had_any = false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        had_any = true;
        for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
            close(fd);
        }
    }
    if (!had_any)
        return;
    m->msg_controllen = 0;
    m->msg_flags |= MSG_CTRUNC;
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    ssize_t n = syscall(SYS_recvmsg, fd, m, flags);
    if (n >= 0 && lever->open_errno != 0)
        take_away(m);
    return n;
}
