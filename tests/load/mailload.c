/* Loads an SMTP server with messages and says how fast it took them: for ./dev bench, against any
 * server.
 *
 *   mailload [-c CONNECTIONS] [-n MESSAGES] [-s OCTETS] [-1] [-r RATE] [-f FROM] [-t TO[,TO…]]
 *            [-d DOMAINS] ADDRESS PORT
 *
 * Connections are kept for all their messages; with -1 each message gets one of its own. With -r no
 * more than RATE messages a second are begun. With -d what follows the @ of TO gets d0., d1. … in
 * front, one after the other: as many domains. Envelope
 * and DATA go in one flight if the server offers PIPELINING. The line on stdout: messages=20000
 * errors=0 seconds=1.234 rate=16207 p50_ms=0.912 p99_ms=2.210 where the times are those from the
 * last octet of a message to its final 250. Exit status 1 if there was an error. One thread, epoll;
 * what a server may say is bounded. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define CONNECTIONS_MAX 10000
#define RCPTS_MAX       1000
#define REPLY_MAX       4096
#define ERRORS_MAX      100 /* more: the server is not there, or refuses us */

enum phase { GREETING, EHLO, MAIL, RCPT, DATA, CONTENT, WAITING, QUIT, CLOSED };

/* What the server must answer for the phase to be over (first digit). */
static const char expected[] = {
    [GREETING] = '2', [EHLO] = '2',  [MAIL] = '2', [RCPT] = '2', [DATA] = '3',
    [CONTENT] = '2',  [WAITING] = 0, [QUIT] = '2', [CLOSED] = 0,
};

struct options {
    size_t connections, messages, size, rate; /* rate 0: as fast as it goes */
    size_t domains;                           /* 0: those of rcpts */
    bool one_each;
    const char *from;
    const char *rcpts[RCPTS_MAX];
    size_t n_rcpts;
    struct sockaddr_storage server;
    socklen_t server_len;
};

struct conn {
    int fd;
    enum phase phase;
    bool pipelining;
    uint64_t serial; /* tells a connection from the next one in its place */
    char in[REPLY_MAX];
    size_t in_len;
    char command[1024];
    const char *out;
    size_t out_len;
    uint64_t sent_ns; /* when the content was sent whole */
};

struct load {
    struct options o;
    int epoll;
    struct conn *conns;
    char *content; /* with the final dot */
    size_t content_len;
    size_t begun, done, errors, open, waiting;
    uint64_t started_ns;
    uint64_t serials;
    uint32_t *micros; /* of each message done */
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "mailload: %s\n", what);
    exit(2);
}

/* --- one connection --- */

static void conn_want(struct load *l, struct conn *c)
{
    struct epoll_event e = {.events = EPOLLIN | (c->out_len > 0 ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static void conn_open(struct load *l, struct conn *c)
{
    *c = (struct conn){.phase = GREETING, .serial = ++l->serials};
    c->fd = socket(l->o.server.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("no more sockets: see ulimit -n");
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (const struct sockaddr *)&l->o.server, l->o.server_len) < 0 &&
        errno != EINPROGRESS)
        die("cannot connect");
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e);
    l->open++;
}

static void conn_close(struct load *l, struct conn *c)
{
    close(c->fd);
    l->waiting -= c->phase == WAITING;
    c->phase = CLOSED;
    l->open--;
}

/* Closes, and opens anew if there is still work. */
static void conn_end(struct load *l, struct conn *c)
{
    conn_close(l, c);
    if (l->begun < l->o.messages && l->errors <= ERRORS_MAX)
        conn_open(l, c);
}

static void conn_fail(struct load *l, struct conn *c, const char *why)
{
    if (l->errors++ < 5)
        fprintf(stderr, "mailload: in phase %d: %s\n", (int)c->phase, why);
    if (c->phase >= MAIL && c->phase <= CONTENT)
        l->begun--; /* its message is sent again by somebody */
    conn_end(l, c);
}

static void conn_write(struct load *l, struct conn *c)
{
    while (c->out_len > 0) {
        ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n < 0) {
            conn_fail(l, c, strerror(errno));
            return;
        }
        c->out += n;
        c->out_len -= (size_t)n;
    }
    if (c->out_len == 0 && c->phase == CONTENT)
        c->sent_ns = now_ns();
    conn_want(l, c);
}

static void conn_say(struct load *l, struct conn *c, const char *octets, size_t n)
{
    c->out = octets;
    c->out_len = n;
    conn_write(l, c);
}

/* --- the conversation --- */

/* Whom the message that is begun goes to. */
static void format_rcpt(const struct load *l, char *out, size_t cap)
{
    const struct options *o = &l->o;
    const char *rcpt = o->rcpts[l->begun % o->n_rcpts];
    const char *at = strchr(rcpt, '@');
    int n = o->domains == 0 || at == NULL ? snprintf(out, cap, "%s", rcpt)
                                          : snprintf(out, cap, "%.*s@d%zu.%s", (int)(at - rcpt),
                                                     rcpt, l->begun % o->domains, at + 1);
    if (n < 0 || (size_t)n >= cap)
        die("an address is too long");
}

static size_t format_envelope(const struct load *l, struct conn *c, enum phase first)
{
    const struct options *o = &l->o;
    char rcpt[512];
    format_rcpt(l, rcpt, sizeof rcpt);
    int n = 0;
    char *out = c->command;
    size_t cap = sizeof c->command;
    if (c->pipelining)
        n = snprintf(out, cap, "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", o->from, rcpt);
    else if (first == MAIL)
        n = snprintf(out, cap, "MAIL FROM:<%s>\r\n", o->from);
    else if (first == RCPT)
        n = snprintf(out, cap, "RCPT TO:<%s>\r\n", rcpt);
    else
        n = snprintf(out, cap, "DATA\r\n");
    if (n < 0 || (size_t)n >= cap)
        die("addresses too long");
    return (size_t)n;
}

static bool is_early(const struct load *l)
{
    uint64_t due = (now_ns() - l->started_ns) / 1000 * l->o.rate / 1000000;
    return l->o.rate > 0 && l->begun >= due;
}

static void begin_message(struct load *l, struct conn *c)
{
    if (l->begun == l->o.messages || l->errors > ERRORS_MAX) {
        c->phase = QUIT;
        conn_say(l, c, "QUIT\r\n", 6);
        return;
    }
    if (is_early(l)) {
        c->phase = WAITING;
        l->waiting++;
        return;
    }
    size_t n = format_envelope(l, c, MAIL);
    l->begun++;
    c->phase = MAIL;
    conn_say(l, c, c->command, n);
}

static void end_message(struct load *l, struct conn *c)
{
    l->micros[l->done++] = (uint32_t)((now_ns() - c->sent_ns) / 1000);
    if (!l->o.one_each) {
        begin_message(l, c);
        return;
    }
    c->phase = QUIT;
    conn_say(l, c, "QUIT\r\n", 6);
}

/* The phase has its answer: on to the next. */
static void advance(struct load *l, struct conn *c)
{
    switch (c->phase) {
    case GREETING:
        c->phase = EHLO;
        conn_say(l, c, "EHLO load.example\r\n", 19);
        break;
    case EHLO:
        begin_message(l, c);
        break;
    case MAIL:
    case RCPT:
        c->phase++;
        if (!c->pipelining)
            conn_say(l, c, c->command, format_envelope(l, c, c->phase));
        break;
    case DATA:
        c->phase = CONTENT;
        conn_say(l, c, l->content, l->content_len);
        break;
    case CONTENT:
        end_message(l, c);
        break;
    case WAITING:
    case QUIT:
    case CLOSED:
        conn_end(l, c);
        break;
    }
}

/* Those whose time has come, and with the last message all of them. */
static void wake(struct load *l)
{
    for (size_t i = 0; i < l->o.connections && l->waiting > 0; i++) {
        struct conn *c = &l->conns[i];
        if (c->phase != WAITING)
            continue;
        if (l->begun < l->o.messages && l->errors <= ERRORS_MAX && is_early(l))
            return;
        l->waiting--;
        begin_message(l, c);
    }
}

/* One line of a reply, without its CRLF. */
static void take_line(struct load *l, struct conn *c, const char *line, size_t n)
{
    if (c->phase == EHLO && n >= 14 && strncmp(line + 4, "PIPELINING", 10) == 0)
        c->pipelining = true;
    if (n >= 4 && line[3] == '-')
        return;
    if (n < 3 || line[0] != expected[c->phase]) {
        char said[128];
        snprintf(said, sizeof said, "%.*s", (int)(n < 100 ? n : 100), line);
        conn_fail(l, c, said);
        return;
    }
    advance(l, c);
}

static void take_lines(struct load *l, struct conn *c)
{
    size_t at = 0;
    uint64_t serial = c->serial;
    while (c->phase != CLOSED && c->serial == serial) {
        const char *end = memchr(c->in + at, '\n', c->in_len - at);
        if (end == NULL)
            break;
        size_t n = (size_t)(end - (c->in + at));
        size_t line = at;
        at += n + 1;
        take_line(l, c, c->in + line, n > 0 && c->in[line + n - 1] == '\r' ? n - 1 : n);
    }
    if (c->phase == CLOSED || c->serial != serial)
        return;
    memmove(c->in, c->in + at, c->in_len - at);
    c->in_len -= at;
}

static void conn_read(struct load *l, struct conn *c)
{
    if (c->in_len == sizeof c->in) {
        conn_fail(l, c, "a reply line without an end");
        return;
    }
    ssize_t n = recv(c->fd, c->in + c->in_len, sizeof c->in - c->in_len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    if (n <= 0) {
        conn_fail(l, c, n == 0 ? "the server closed" : strerror(errno));
        return;
    }
    c->in_len += (size_t)n;
    take_lines(l, c);
}

/* --- the run --- */

static void make_content(struct load *l)
{
    static const char head[] = "From: load <load@load.example>\r\nTo: you\r\nSubject: load\r\n\r\n";
    static const char line[] =
        "All work and no play makes a mail server a dull boy, says the load.\r\n";
    size_t lines = l->o.size > sizeof head ? (l->o.size - sizeof head) / (sizeof line - 1) : 0;
    size_t n = sizeof head - 1 + lines * (sizeof line - 1) + 3;
    l->content = malloc(n);
    if (l->content == NULL)
        die("out of memory");
    char *p = l->content;
    memcpy(p, head, sizeof head - 1);
    p += sizeof head - 1;
    for (size_t i = 0; i < lines; i++, p += sizeof line - 1)
        memcpy(p, line, sizeof line - 1);
    memcpy(p, ".\r\n", 3);
    l->content_len = n;
}

static void run(struct load *l)
{
    struct epoll_event events[256];
    for (size_t i = 0; i < l->o.connections && i < l->o.messages; i++)
        conn_open(l, &l->conns[i]);
    while (l->open > 0) {
        int n = epoll_wait(l->epoll, events, 256, l->waiting > 0 ? 1 : 60000);
        if (n == 0 && l->waiting == 0)
            die("the server says nothing for a minute");
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            uint64_t serial = c->serial;
            if (c->phase != CLOSED && (events[i].events & EPOLLOUT) != 0)
                conn_write(l, c);
            if (c->phase != CLOSED && c->serial == serial &&
                (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
                conn_read(l, c);
        }
        wake(l);
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(const struct load *l, size_t percent)
{
    return l->done == 0 ? 0 : l->micros[(l->done - 1) * percent / 100] / 1000.0;
}

static size_t number(const char *text, size_t max)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || n == 0 || n > max)
        die("an option's number is out of range");
    return n;
}

static void split_rcpts(struct options *o, char *list)
{
    o->n_rcpts = 0;
    for (char *at = list; at != NULL && o->n_rcpts < RCPTS_MAX;) {
        o->rcpts[o->n_rcpts++] = at;
        at = strchr(at, ',');
        if (at != NULL)
            *at++ = '\0';
    }
}

static void set_server(struct options *o, const char *address, const char *port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&o->server;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&o->server;
    in_port_t p = htons((uint16_t)number(port, 65535));
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = p;
        o->server_len = sizeof *v4;
    } else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = p;
        o->server_len = sizeof *v6;
    } else {
        die("ADDRESS is an IPv4 or IPv6 address");
    }
}

static void set_options(struct options *o, int argc, char **argv)
{
    *o = (struct options){.connections = 20,
                          .messages = 1000,
                          .size = 4096,
                          .from = "load@load.example",
                          .rcpts = {"alice@example.org"},
                          .n_rcpts = 1};
    for (int c; (c = getopt(argc, argv, "c:n:s:1r:f:t:d:")) != -1;) {
        if (c == 'c')
            o->connections = number(optarg, CONNECTIONS_MAX);
        else if (c == 'n')
            o->messages = number(optarg, 100000000);
        else if (c == 's')
            o->size = number(optarg, 1 << 30);
        else if (c == '1')
            o->one_each = true;
        else if (c == 'r')
            o->rate = number(optarg, 1000000);
        else if (c == 'f')
            o->from = optarg;
        else if (c == 't')
            split_rcpts(o, optarg);
        else if (c == 'd')
            o->domains = number(optarg, 1000000);
        else
            optind = argc;
    }
    if (argc - optind != 2)
        die("usage: mailload [-c CONNECTIONS] [-n MESSAGES] [-s OCTETS] [-1] [-r RATE] "
            "[-f FROM] [-t TO,TO...] [-d DOMAINS] ADDRESS PORT");
    set_server(o, argv[optind], argv[optind + 1]);
}

int main(int argc, char **argv)
{
    struct load l = {0};
    set_options(&l.o, argc, argv);
    make_content(&l);
    l.conns = calloc(l.o.connections, sizeof *l.conns);
    /* a message whose answer was lost is sent again: room for those */
    l.micros = calloc(l.o.messages + ERRORS_MAX + CONNECTIONS_MAX, sizeof *l.micros);
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l.conns == NULL || l.micros == NULL || l.epoll < 0)
        die("out of memory");
    l.started_ns = now_ns();
    run(&l);
    double seconds = (double)(now_ns() - l.started_ns) / 1e9;
    qsort(l.micros, l.done, sizeof *l.micros, compare);
    printf("messages=%zu errors=%zu seconds=%.3f rate=%.0f p50_ms=%.3f p99_ms=%.3f\n", l.done,
           l.errors, seconds, (double)l.done / seconds, percentile_ms(&l, 50),
           percentile_ms(&l, 99));
    free(l.micros);
    free(l.conns);
    free(l.content);
    return l.errors == 0 && l.done == l.o.messages ? 0 : 1;
}
