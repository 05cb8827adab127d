#include "cli/pump.h"

#include "common/fd.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#define PIECE 16384

static ssize_t read_some(int fd, char *p, size_t n)
{
    ssize_t got;
    do
        got = read(fd, p, n);
    while (got < 0 && errno == EINTR);
    return got;
}

/* 1 at the end of `in`, 0, or -1. A socket that takes no more is read to its end all the same. */
static int to_socket(int in, int socket, char *last)
{
    char piece[PIECE], out[2 * PIECE];
    size_t n = 0;
    ssize_t got = read_some(in, piece, sizeof piece);
    if (got <= 0) {
        shutdown(socket, SHUT_WR);
        return got == 0 ? 1 : -1;
    }
    for (ssize_t i = 0; i < got; i++) {
        if (piece[i] == '\n' && *last != '\r')
            out[n++] = '\r';
        out[n++] = *last = piece[i];
    }
    for (size_t at = 0; at < n;) {
        ssize_t done = send(socket, out + at, n - at, MSG_NOSIGNAL);
        if (done < 0 && errno != EINTR)
            return 1;
        at += done > 0 ? (size_t)done : 0;
    }
    return 0;
}

int pump(int in, int out, int socket)
{
    char piece[PIECE], last = '\0';
    struct pollfd fds[2] = {{.fd = in, .events = POLLIN}, {.fd = socket, .events = POLLIN}};
    for (;;) {
        int n = poll(fds, 2, -1);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n <= 0)
            continue;
        if (fds[1].revents != 0) {
            ssize_t got = read_some(socket, piece, sizeof piece);
            if (got <= 0)
                return (int)got;
            if (fd_write_all(out, (struct span){piece, (size_t)got}) < 0)
                return -1;
        }
        if (fds[0].revents != 0) {
            int rc = to_socket(in, socket, &last);
            if (rc < 0)
                return -1;
            fds[0].fd = rc == 1 ? -1 : in;
        }
    }
}
