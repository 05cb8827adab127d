#include "common/fd.h"

#include <errno.h>

int fd_write_all(int fd, struct span octets)
{
    while (octets.n > 0) {
        ssize_t n = write(fd, octets.p, octets.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return -1;
        }
        octets = span_from(octets, (size_t)n);
    }
    return 0;
}
