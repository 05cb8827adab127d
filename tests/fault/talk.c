#include "tests/fault/talk.h"

#include "tests/fault/work.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#define ROUNDS_MS 20

int talk_listen(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(fd, (struct sockaddr *)&at, n) < 0 || listen(fd, 16) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &n) < 0)
        play_give_up("a port");
    *port = ntohs(at.sin_port);
    return fd;
}

void talk_begin(struct talk *t, struct play *p,
                void (*answer)(struct talk *, enum role, enum msg_type, const union msg *, int))
{
    *t = (struct talk){.play = p, .answer = answer, .fd = -1, .box = -1};
}

int talk_connect(struct talk *t, uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    t->n = 0;
    t->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(t->fd, (struct sockaddr *)&to, sizeof to) < 0 ? -1 : 1;
}

void talk_end(struct talk *t)
{
    if (t->fd >= 0)
        close(t->fd);
    if (t->box >= 0)
        close(t->box);
    t->fd = t->box = -1;
}

/* --- siblings --- */

/* All that one of them was told. -1: its channel is closed. */
static int hear(struct talk *t, enum role sibling, int channel)
{
    union msg m;
    enum msg_type type;
    int fd, rc;
    while ((rc = play_receive(channel, &m, &type, &fd, 0)) > 0)
        t->answer(t, sibling, type, &m, fd);
    return rc;
}

static int hear_all(struct talk *t)
{
    for (unsigned r = 0; r < ROLES; r++)
        if (t->play->channels[r] >= 0 && hear(t, (enum role)r, t->play->channels[r]) < 0)
            return -1;
    if (t->box >= 0 && hear(t, ROLE_MAILBOX, t->box) < 0) { /* as after QUIT */
        close(t->box);
        t->box = -1;
    }
    return 0;
}

/* Until the connection has something, a sibling was told something, or 20 ms are over. */
static int wait_a_moment(struct talk *t)
{
    struct pollfd all[ROLES + 2];
    nfds_t n = 0;
    for (unsigned r = 0; r < ROLES; r++)
        if (t->play->channels[r] >= 0)
            all[n++] = (struct pollfd){.fd = t->play->channels[r], .events = POLLIN};
    all[n++] = (struct pollfd){.fd = t->fd, .events = POLLIN};
    all[n++] = (struct pollfd){.fd = t->box, .events = POLLIN};
    poll(all, n, ROUNDS_MS);
    return hear_all(t);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- the connection --- */

int talk_say(struct talk *t, const char *octets, size_t n)
{
    int64_t end = now_ms() + PLAY_WAIT_MS;
    while (n > 0) {
        ssize_t sent = send(t->fd, octets, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN)
            return -1;
        if (sent < 0) {
            poll(&(struct pollfd){.fd = t->fd, .events = POLLOUT}, 1, ROUNDS_MS);
            if (hear_all(t) < 0)
                return -1;
            if (now_ms() > end)
                return WORK_SILENCE;
            continue;
        }
        octets += sent;
        n -= (size_t)sent;
    }
    return 1;
}

int talk_line(struct talk *t)
{
    int64_t end = now_ms() + PLAY_WAIT_MS;
    for (t->n = 0; now_ms() < end;) {
        char c;
        ssize_t got = recv(t->fd, &c, 1, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return -1;
        if (got < 0) {
            if (wait_a_moment(t) < 0)
                return -1;
        } else if (c == '\n') {
            t->line[t->n] = '\0';
            return 1;
        } else if (c != '\r' && t->n + 1 < sizeof t->line) {
            t->line[t->n++] = c;
        }
    }
    return WORK_SILENCE;
}

int talk_reply(struct talk *t, unsigned *code)
{
    int rc;
    do {
        rc = talk_line(t);
        if (rc < 0)
            return rc;
    } while (t->n > 3 && t->line[3] == '-');
    *code = (unsigned)strtoul(t->line, NULL, 10);
    return 1;
}

int talk_until(struct talk *t, const bool *is_done)
{
    int64_t end = now_ms() + PLAY_WAIT_MS;
    while (!*is_done && now_ms() < end)
        if (wait_a_moment(t) < 0)
            return -1;
    return *is_done ? 1 : WORK_SILENCE;
}

int talk_day(struct talk *t, int (*one_session)(void))
{
    int rc = 0;
    for (int i = 0; i < 2 && rc != WORK_SILENCE && play_is_alive(t->play); i++)
        rc = one_session();
    return rc == WORK_SILENCE || !play_is_alive(t->play) ? rc : 0;
}
