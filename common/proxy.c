#include "common/proxy.h"

#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define V1_MAX      107 /* with CRLF */
#define V2_FIXED    16
#define WAIT_MS     5000
#define WAITING_MAX 1000

/* --- version 1: a line --- */

static int client_of(struct span family, struct span address, struct span port,
                     struct netaddr *peer)
{
    struct netaddr a;
    uint64_t number;
    size_t n = span_eq(family, SPAN("TCP4")) ? 4 : 16;
    if (netaddr_parse(address, &a) < 0 || a.n != n || span_u64(port, &number) < 0 ||
        number > UINT16_MAX)
        return -1;
    a.port = (uint16_t)number;
    *peer = a;
    return 0;
}

static enum proxy_result parse_line(struct span line, struct netaddr *peer)
{
    struct netaddr ours;
    span_cut(&line, ' '); /* PROXY */
    struct span family = span_cut(&line, ' ');
    if (span_eq(family, SPAN("UNKNOWN")))
        return PROXY_DONE;
    struct span from = span_cut(&line, ' '), to = span_cut(&line, ' ');
    struct span from_port = span_cut(&line, ' '), to_port = span_cut(&line, ' ');
    bool is_known = span_eq(family, SPAN("TCP4")) || span_eq(family, SPAN("TCP6"));
    if (!is_known || line.p != NULL || client_of(family, to, to_port, &ours) < 0 ||
        client_of(family, from, from_port, peer) < 0)
        return PROXY_BAD;
    return PROXY_DONE;
}

static enum proxy_result parse_v1(struct span in, struct netaddr *peer, size_t *used)
{
    const char *end = memmem(in.p, in.n < V1_MAX ? in.n : V1_MAX, "\r\n", 2);
    if (end == NULL)
        return in.n < V1_MAX ? PROXY_MORE : PROXY_BAD;
    *used = (size_t)(end - in.p) + 2;
    return parse_line((struct span){in.p, *used - 2}, peer);
}

/* --- version 2: octets --- */

static enum proxy_result parse_v2(struct span in, struct netaddr *peer, size_t *used)
{
    const unsigned char *o = (const unsigned char *)in.p;
    if (in.n < V2_FIXED)
        return PROXY_MORE;
    size_t rest = (size_t)o[14] << 8 | o[15];
    size_t n = o[13] == 0x11 ? 4 : o[13] == 0x21 ? 16 : 0; /* TCP over IPv4, over IPv6 */
    bool is_local = o[12] == 0x20;
    if ((!is_local && o[12] != 0x21) || V2_FIXED + rest > PROXY_MAX ||
        rest < (n > 0 ? 2 * n + 4 : 0))
        return PROXY_BAD;
    if (in.n < V2_FIXED + rest)
        return PROXY_MORE;
    *used = V2_FIXED + rest;
    if (is_local || n == 0)
        return PROXY_DONE;
    *peer = (struct netaddr){
        .n = (uint8_t)n, .port = (uint16_t)(o[V2_FIXED + 2 * n] << 8 | o[V2_FIXED + 2 * n + 1])};
    memcpy(peer->octets, o + V2_FIXED, n);
    return PROXY_DONE;
}

static bool may_be(struct span in, struct span start)
{
    size_t n = in.n < start.n ? in.n : start.n;
    return memcmp(in.p, start.p, n) == 0;
}

enum proxy_result proxy_parse(struct span in, struct netaddr *peer, size_t *used)
{
    if (in.n == 0)
        return PROXY_MORE;
    if (may_be(in, SPAN("PROXY ")))
        return parse_v1(in, peer, used);
    return may_be(in, SPAN("\r\n\r\n\0\r\nQUIT\n")) ? parse_v2(in, peer, used) : PROXY_BAD;
}

/* --- waiting for it --- */

struct waiting {
    struct watch watch;
    struct timer timer;
    int fd;
    struct netaddr peer; /* until the header came: the proxy */
    proxy_done_fn *done;
    void *arg;
    size_t n;
    char octets[PROXY_MAX];
};

static size_t n_waiting;

static void end(struct waiting *w, const char *why)
{
    char text[NETADDR_TEXT];
    watch_stop(&w->watch);
    timer_stop(&w->timer);
    if (why != NULL) {
        netaddr_format(text, &w->peer);
        LOG(0, "proxy-refused", LZ("client", text), LZ("because", why));
        close(w->fd);
    } else {
        w->done(w->arg, w->fd, &w->peer);
    }
    n_waiting--;
    free(w);
}

static void too_slow(void *arg)
{
    end(arg, "no PROXY header in time");
}

/* Looks first and takes only what belongs to the header: what follows is the session's. */
static void ready(void *arg, bool readable, bool writable)
{
    (void)readable, (void)writable;
    struct waiting *w = arg;
    size_t used = 0, had = w->n;
    ssize_t n = recv(w->fd, w->octets + had, sizeof w->octets - had, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        end(w, "closed before its PROXY header");
        return;
    }
    w->n += (size_t)n;
    enum proxy_result r = proxy_parse((struct span){w->octets, w->n}, &w->peer, &used);
    if (r == PROXY_BAD || (r == PROXY_MORE && w->n == sizeof w->octets)) {
        end(w, "no PROXY header");
        return;
    }
    size_t take = (r == PROXY_DONE ? used : w->n) - had;
    w->n = had + take;
    if (recv(w->fd, w->octets + had, take, MSG_DONTWAIT) != (ssize_t)take)
        end(w, "connection lost");
    else if (r == PROXY_DONE)
        end(w, NULL);
}

void proxy_wait(struct loop *loop, int fd, const struct netaddr *from, proxy_done_fn *done,
                void *arg)
{
    struct waiting *w = n_waiting < WAITING_MAX ? calloc(1, sizeof *w) : NULL;
    if (w == NULL) {
        close(fd); /* the proxy tries another server, or again */
        return;
    }
    n_waiting++;
    w->fd = fd;
    w->peer = *from;
    w->done = done;
    w->arg = arg;
    watch_init(&w->watch, loop, fd, ready, w);
    watch_set(&w->watch, true, false);
    timer_init(&w->timer, loop, too_slow, w);
    timer_set(&w->timer, WAIT_MS);
}
