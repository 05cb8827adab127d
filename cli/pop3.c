#include "cli/pop3.h"

#include "cli/pop3in.h"
#include "common/net.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/socket.h>

#define PIECE      16384
#define CONNECT_MS 30000
#define LINES_MAX  (2 * POP3_MESSAGES_MAX)

static int lost(struct pop3 *p, struct error *e, const char *why)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    p->is_temporary = true;
    return error_set(e, "%s", why);
}

static int refused(struct pop3 *p, struct error *e, bool is_temporary, const char *what)
{
    p->is_temporary = is_temporary;
    return error_set(e, "%s: the server says: %.300s", what, p->text[0] ? p->text : "-ERR");
}

/* --- octets --- */

static int fill(struct pop3 *p, struct error *e)
{
    char *room = buf_room(&p->in, PIECE);
    ssize_t n;
    if (p->fd < 0)
        return -1;
    if (room == NULL)
        return lost(p, e, "no memory");
    do
        n = recv(p->fd, room, PIECE, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        buf_grew(&p->in, (size_t)n);
    return n > 0    ? 0
           : n == 0 ? lost(p, e, "the server closed the connection")
           : errno == EAGAIN || errno == EWOULDBLOCK
               ? lost(p, e, "the server says nothing any more")
               : lost(p, e, "the connection to the server was lost");
}

static int send_all(struct pop3 *p, struct span out, struct error *e)
{
    while (out.n > 0) {
        ssize_t n = p->fd < 0 ? -1 : send(p->fd, out.p, out.n, MSG_NOSIGNAL);
        if (n < 0 && p->fd >= 0 && errno == EINTR)
            continue;
        if (n < 0)
            return lost(p, e, "the connection to the server was lost");
        out = span_from(out, (size_t)n);
    }
    return 0;
}

int pop3_say(struct pop3 *p, struct error *e, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line - 2, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof line - 2)
        return error_set(e, "a command would be too long");
    memcpy(line + n, "\r\n", 2);
    return send_all(p, (struct span){line, (size_t)n + 2}, e);
}

int pop3_status(struct pop3 *p, bool *is_ok, struct error *e)
{
    struct span text;
    size_t used;
    enum pop3in_result r;
    while ((r = pop3in_status(buf_span(&p->in), &text, &used)) == POP3IN_MORE)
        if (fill(p, e) < 0)
            return -1;
    if (r == POP3IN_BAD)
        return lost(p, e, "what answers there does not speak POP3");
    size_t n = text.n < sizeof p->text - 1 ? text.n : sizeof p->text - 1;
    memcpy(p->text, text.n > 0 ? text.p : "", n);
    p->text[n] = '\0';
    buf_consume(&p->in, used);
    *is_ok = r == POP3IN_OK;
    return 0;
}

int pop3_lines(struct pop3 *p, pop3_line_fn *line, void *arg, struct error *e)
{
    for (size_t i = 0; i < LINES_MAX; i++) {
        struct span text;
        size_t used;
        enum pop3in_result r;
        while ((r = pop3in_line(buf_span(&p->in), &text, &used)) == POP3IN_MORE)
            if (fill(p, e) < 0)
                return -1;
        if (r == POP3IN_BAD || (r == POP3IN_LINE && line(arg, text) < 0))
            return lost(p, e, "the server sends a listing that is none");
        buf_consume(&p->in, used);
        if (r == POP3IN_END)
            return 0;
    }
    return lost(p, e, "the server sends a listing without an end");
}

int pop3_content(struct pop3 *p, uint64_t max, pop3_write_fn *write, void *arg, struct error *e)
{
    struct pop3in_content c = {.state = CONTENT_START};
    uint64_t octets = 0;
    while (c.state != CONTENT_OVER) {
        char out[2 * PIECE + 2];
        size_t n_out;
        struct span in = buf_span(&p->in);
        if (in.n == 0) {
            if (fill(p, e) < 0)
                return -1;
            continue;
        }
        in.n = in.n < PIECE ? in.n : PIECE;
        buf_consume(&p->in, pop3in_content(&c, in, out, &n_out));
        octets += n_out;
        if (octets > max)
            return lost(p, e, "the server sends more than it announced, and than --size-max");
        if (write(arg, (struct span){out, n_out}, e) < 0) {
            struct error why = *e;
            return lost(p, e, why.text);
        }
    }
    return 0;
}

/* --- the connection --- */

/* 0, or -1 (errno). */
static int connect_in_time(int fd, const struct addrinfo *a)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    struct timeval patience = {.tv_sec = POP3_TIMEOUT_S};
    int why = 0;
    socklen_t n = sizeof why;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    patience.tv_sec = CONNECT_MS / 1000;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); /* connect waits so long */
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return 0;
    if (errno != EINTR)
        return -1;
    if (poll(&ready, 1, CONNECT_MS) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &n) < 0 ||
        why != 0) {
        errno = why != 0 ? why : ETIMEDOUT;
        return -1;
    }
    return 0;
}

/* Passwords do not cross a network in the clear. */
static bool is_here(const struct addrinfo *a)
{
    struct sockaddr_storage ss = {0};
    struct netaddr address;
    if (a->ai_addrlen > sizeof ss)
        return false;
    memcpy(&ss, a->ai_addr, a->ai_addrlen);
    return netaddr_from_sockaddr(&ss, &address) == 0 && netaddr_is_loopback(&address);
}

static int connect_to(struct pop3 *p, const struct addrinfo *found, const char *host,
                      struct error *e)
{
    for (const struct addrinfo *a = found; a != NULL; a = a->ai_next) {
        if (!is_here(a)) {
            p->is_temporary = false;
            error_set(e,
                      "%s is not this machine, and passwords do not go over a network without "
                      "TLS, which this version of fetch does not speak",
                      host);
            continue;
        }
        p->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (p->fd >= 0 && connect_in_time(p->fd, a) == 0)
            return 0;
        int why = errno;
        if (p->fd >= 0)
            close(p->fd);
        p->fd = -1;
        p->is_temporary = true;
        error_set(e, "cannot connect to %s: %s", host, strerror(why));
    }
    return -1;
}

static int connect_by_name(struct pop3 *p, const char *host, const char *port, struct error *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int why = getaddrinfo(host, port, &hints, &found);
    if (why != 0) {
        p->is_temporary = why == EAI_AGAIN || why == EAI_MEMORY || why == EAI_SYSTEM;
        return error_set(e, "cannot find %s: %s", host, gai_strerror(why));
    }
    error_set(e, "%s has no address", host);
    int rc = connect_to(p, found, host, e);
    freeaddrinfo(found);
    return rc;
}

static int learn(void *arg, struct span line)
{
    struct pop3 *p = arg;
    struct span word = span_cut(&line, ' ');
    p->has_uidl = p->has_uidl || span_ieq(word, SPAN("UIDL"));
    p->has_pipelining = p->has_pipelining || span_ieq(word, SPAN("PIPELINING"));
    p->has_stls = p->has_stls || span_ieq(word, SPAN("STLS"));
    p->has_user = p->has_user || span_ieq(word, SPAN("USER"));
    p->has_top = p->has_top || span_ieq(word, SPAN("TOP"));
    return 0;
}

static int ask_capa(struct pop3 *p, struct error *e)
{
    p->has_uidl = p->has_pipelining = p->has_stls = p->has_user = p->has_top = false;
    if (pop3_say(p, e, "CAPA") < 0 || pop3_status(p, &p->has_capa, e) < 0)
        return -1;
    return p->has_capa ? pop3_lines(p, learn, p, e) : 0;
}

int pop3_open(struct pop3 *p, const char *host, const char *port, struct error *e)
{
    bool is_ok;
    *p = (struct pop3){.fd = -1};
    buf_init(&p->in, 4 * PIECE);
    if (connect_by_name(p, host, port, e) < 0 || pop3_status(p, &is_ok, e) < 0)
        return -1;
    return is_ok ? ask_capa(p, e) : refused(p, e, true, "no service now");
}

void pop3_close(struct pop3 *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    buf_free(&p->in);
}

/* --- the session --- */

/* RFC 2449 8, RFC 3206: what a later try can change. */
static bool says_later(const char *text)
{
    struct span t = span_of(text);
    return span_istarts(t, SPAN("[IN-USE]")) || span_istarts(t, SPAN("[SYS/TEMP]")) ||
           span_istarts(t, SPAN("[LOGIN-DELAY]"));
}

static bool is_sayable(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
            return false;
    return s.n > 0 && s.n <= 500;
}

int pop3_login(struct pop3 *p, const char *user, struct span password, struct error *e)
{
    bool is_ok;
    p->is_temporary = false;
    if (!is_sayable(span_of(user)) || memchr(user, ' ', strlen(user)) != NULL)
        return error_set(e, "the user name cannot be said in POP3");
    if (!is_sayable(password))
        return error_set(e, "the password cannot be said in POP3: it is empty, too long or has "
                            "control characters");
    if (pop3_say(p, e, "USER %s", user) < 0 || pop3_status(p, &is_ok, e) < 0)
        return -1;
    if (!is_ok)
        return refused(p, e, says_later(p->text), "the user was refused");
    if (pop3_say(p, e, "PASS %.*s", (int)password.n, password.p) < 0 ||
        pop3_status(p, &is_ok, e) < 0)
        return -1;
    if (!is_ok)
        return refused(p, e, says_later(p->text), "the login was refused");
    return ask_capa(p, e); /* after the login a server may offer more */
}

struct listing {
    struct pop3_list *out;
    size_t at; /* lines so far */
};

/* "number rest". 0 and both, or -1. */
static int split_line(struct span line, uint32_t *number, struct span *rest)
{
    uint64_t v;
    *rest = span_trim(line);
    if (span_u64(span_cut(rest, ' '), &v) < 0 || v == 0 || v > UINT32_MAX)
        return -1;
    *number = (uint32_t)v;
    *rest = span_trim(*rest);
    return 0;
}

static int take_size(void *arg, struct span line)
{
    struct listing *g = arg;
    struct pop3_list *l = g->out;
    struct pop3_message m = {.number = 0};
    struct span rest;
    if (split_line(line, &m.number, &rest) < 0 || span_u64(span_cut(&rest, ' '), &m.size) < 0 ||
        (l->n > 0 && m.number <= l->list[l->n - 1].number) || l->n == POP3_MESSAGES_MAX ||
        array_reserve((void **)&l->list, &l->cap, l->n + 1, sizeof m) < 0)
        return -1;
    l->list[l->n++] = m;
    return 0;
}

/* The lines come in the order of LIST; a number that LIST did not have is passed over. */
static int take_uidl(void *arg, struct span line)
{
    struct listing *g = arg;
    struct pop3_list *l = g->out;
    uint32_t number;
    struct span uidl;
    if (split_line(line, &number, &uidl) < 0 || uidl.n == 0 || uidl.n > POP3_UIDL_MAX)
        return -1;
    while (g->at < l->n && l->list[g->at].number < number)
        g->at++;
    if (g->at == l->n || l->list[g->at].number != number)
        return 0;
    return span_copy(l->list[g->at].uidl, sizeof l->list[g->at].uidl, uidl);
}

static int list_with(struct pop3 *p, const char *command, pop3_line_fn *fn, struct pop3_list *out,
                     struct error *e)
{
    bool is_ok;
    struct listing g = {.out = out};
    if (pop3_say(p, e, "%s", command) < 0 || pop3_status(p, &is_ok, e) < 0)
        return -1;
    return is_ok ? pop3_lines(p, fn, &g, e) : refused(p, e, false, command);
}

int pop3_list(struct pop3 *p, struct pop3_list *out, struct error *e)
{
    *out = (struct pop3_list){.n = 0};
    if (list_with(p, "LIST", take_size, out, e) < 0)
        return -1;
    return list_with(p, "UIDL", take_uidl, out, e);
}

void pop3_list_free(struct pop3_list *l)
{
    free(l->list);
    *l = (struct pop3_list){.n = 0};
}

int pop3_quit(struct pop3 *p, struct error *e)
{
    bool is_ok;
    if (pop3_say(p, e, "QUIT") < 0 || pop3_status(p, &is_ok, e) < 0)
        return -1;
    return is_ok ? 0 : refused(p, e, true, "not all messages were deleted");
}
