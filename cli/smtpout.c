#include "cli/smtpout.h"

#include "common/addr.h"
#include "common/hold.h"
#include "common/line.h"
#include "common/unixsock.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/socket.h>

#define LINES_MAX 100
#define PIECE     16384

/* --- octets --- */

static int lose(struct smtpout *s, const char *why)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    snprintf(s->reply, sizeof s->reply, "%s", why);
    return 0;
}

static int send_all(struct smtpout *s, struct span out)
{
    while (out.n > 0 && s->fd >= 0) {
        ssize_t n = send(s->fd, out.p, out.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1; /* what the server said before it closed can still be read */
        out = span_from(out, (size_t)n);
    }
    return s->fd >= 0 ? 0 : -1;
}

/* More octets into s->in. 0, or -1. */
static int fill(struct smtpout *s)
{
    char *room = buf_room(&s->in, 4096);
    ssize_t n = -1;
    if (room != NULL)
        do
            n = recv(s->fd, room, 4096, 0);
        while (n < 0 && errno == EINTR);
    if (n <= 0)
        return -1;
    buf_grew(&s->in, (size_t)n);
    return 0;
}

/* --- replies --- */

/* One line into s->reply. 0, or -1. */
static int read_line(struct smtpout *s)
{
    struct span line;
    size_t used;
    for (;;) {
        enum line_result r = buf_span(&s->in).n > 0
                                 ? line_take(buf_span(&s->in), SMTPOUT_LINE_MAX, &line, &used)
                                 : LINE_MORE;
        if (r == LINE_OK)
            break;
        if (r != LINE_MORE || fill(s) < 0)
            return -1;
    }
    int rc = span_copy(s->reply, sizeof s->reply, line);
    buf_consume(&s->in, used);
    if (s->is_verbose)
        fprintf(stderr, "<<< %s\n", s->reply);
    return rc;
}

static void learn(struct smtpout *s)
{
    struct span rest = span_of(s->reply + 4);
    struct span word = span_cut(&rest, ' ');
    s->has_dsn = s->has_dsn || span_ieq(word, SPAN("DSN"));
    s->has_8bitmime = s->has_8bitmime || span_ieq(word, SPAN("8BITMIME"));
    s->has_size = s->has_size || span_ieq(word, SPAN("SIZE"));
    if (span_ieq(word, SPAN("FUTURERELEASE")) &&
        hold_read_for(span_cut(&rest, ' '), &s->hold_max_s) < 0)
        s->hold_max_s = 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int read_lines(struct smtpout *s, bool learns)
{
    for (int i = 0; i < LINES_MAX; i++) {
        if (s->fd < 0 || read_line(s) < 0)
            return lose(s, "the connection to the mail system was lost");
        const char *r = s->reply;
        if (!is_digit(r[0]) || !is_digit(r[1]) || !is_digit(r[2]) || (r[3] != ' ' && r[3] != '-'))
            break;
        if (learns)
            learn(s);
        if (r[3] == ' ')
            return (r[0] - '0') * 100 + (r[1] - '0') * 10 + (r[2] - '0');
    }
    return lose(s, "what answers at the submit socket does not speak SMTP");
}

static int read_reply(struct smtpout *s)
{
    return read_lines(s, false);
}

int smtpout_ask(struct smtpout *s, const char *fmt, ...)
{
    char line[SMTPOUT_LINE_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line - 2, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof line - 2) {
        snprintf(s->reply, sizeof s->reply, "501 a command would be too long");
        return 501;
    }
    if (s->is_verbose)
        fprintf(stderr, ">>> %s\n", line);
    memcpy(line + n, "\r\n", 2);
    send_all(s, (struct span){line, (size_t)n + 2});
    return read_reply(s);
}

/* --- the session --- */

static int greet(struct smtpout *s, struct error *e)
{
    int code = read_reply(s);
    struct span rest = span_of(code == 220 ? s->reply + 4 : "");
    struct span name = span_cut(&rest, ' ');
    if (code != 220)
        return error_set(e, "the mail system takes nothing now: %.300s", s->reply);
    if (!addr_is_domain(name) || span_copy(s->hostname, sizeof s->hostname, name) < 0)
        return error_set(e, "what answers at the submit socket does not speak SMTP");
    char hello[300];
    int n = snprintf(hello, sizeof hello, "EHLO %s\r\n", s->hostname);
    send_all(s, (struct span){hello, (size_t)n});
    code = read_lines(s, true);
    return code == 250 ? 0 : error_set(e, "the mail system takes nothing now: %.300s", s->reply);
}

int smtpout_open(struct smtpout *s, const char *path, struct error *e)
{
    struct timeval patience = {.tv_sec = SMTPOUT_TIMEOUT_S};
    buf_init(&s->in, 4 * SMTPOUT_LINE_MAX);
    s->fd = unixsock_connect_stream(path, e);
    if (s->fd < 0)
        return -1;
    setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return greet(s, e);
}

void smtpout_close(struct smtpout *s)
{
    if (s->fd >= 0) {
        smtpout_ask(s, "QUIT");
        lose(s, "");
    }
    buf_free(&s->in);
}

/* --- content --- */

struct piece {
    char octets[PIECE];
    size_t n;
};

static int put(struct smtpout *s, struct piece *p, struct span in)
{
    while (in.n > 0) {
        size_t room = PIECE - p->n, n = in.n < room ? in.n : room;
        memcpy(p->octets + p->n, in.p, n);
        p->n += n;
        in = span_from(in, n);
        if (p->n == PIECE && send_all(s, (struct span){p->octets, p->n}) < 0)
            return -1;
        p->n = p->n == PIECE ? 0 : p->n;
    }
    return 0;
}

int smtpout_content(struct smtpout *s, struct span content)
{
    struct piece piece;
    piece.n = 0;
    int rc = 0;
    while (content.n > 0 && rc == 0) {
        const char *lf = memchr(content.p, '\n', content.n);
        struct span line = {content.p, lf != NULL ? (size_t)(lf - content.p) + 1 : content.n};
        if (!s->is_in_line && line.p[0] == '.')
            rc = put(s, &piece, SPAN("."));
        rc |= put(s, &piece, line);
        s->is_in_line = lf == NULL;
        content = span_from(content, line.n);
    }
    return rc | send_all(s, (struct span){piece.octets, piece.n});
}

int smtpout_end(struct smtpout *s)
{
    if (s->is_verbose)
        fputs(">>> .\n", stderr);
    send_all(s, SPAN(".\r\n"));
    return read_reply(s);
}
