#include "barid/logpipe.h"

#include "common/json.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>

#define LINE_OCTETS_MAX 4096
#define PIPE_OCTETS     (1 << 20)
#define PIECE_OCTETS    4096 /* a pipe that is ready takes this much without blocking */
#define READ_OCTETS     16384
#define PATIENCE_MS     200
#define PAUSE_MS        5 /* between two looks at a pipe, which a busy child writes at every turn */

static char out[65536];
static size_t n_out;
static uint64_t n_dropped;

static bool can_write(int wait_ms)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&p, 1, wait_ms) > 0 && (p.revents & POLLOUT) != 0;
}

static size_t count_lines(const char *p, size_t n)
{
    size_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += p[i] == '\n';
    return lines;
}

static void write_out(void)
{
    size_t at = 0;
    char note[64];
    if (n_dropped > 0 && can_write(0)) {
        int n = snprintf(note, sizeof note, "parent - log-dropped lines=%llu\n",
                         (unsigned long long)n_dropped);
        if (write(STDERR_FILENO, note, (size_t)n) == n)
            n_dropped = 0;
    }
    if (n_dropped > 0)
        n_dropped += count_lines(out, n_out);
    while (at < n_out && n_dropped == 0) {
        if (!can_write(PATIENCE_MS)) {
            n_dropped += count_lines(out + at, n_out - at);
            break;
        }
        size_t piece = n_out - at < PIECE_OCTETS ? n_out - at : PIECE_OCTETS;
        ssize_t n = write(STDERR_FILENO, out + at, piece);
        if (n < 0 && errno != EINTR)
            break;
        at += n > 0 ? (size_t)n : 0;
    }
    n_out = 0;
}

/* Children escape what they log; a taken-over one may not. */
static void add_line(enum role role, struct span line)
{
    if (sizeof out - n_out < LINE_OCTETS_MAX + 64)
        write_out();
    struct span name = span_of(role_name(role));
    memcpy(out + n_out, name.p, name.n);
    n_out += name.n;
    out[n_out++] = ' ';
    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];
        out[n_out++] = c < ' ' || c == 0x7f ? '?' : (char)c;
    }
    out[n_out++] = '\n';
}

void logpipe_say(struct span lines)
{
    while (lines.n > 0) {
        if (n_out == sizeof out)
            write_out();
        size_t n = lines.n < sizeof out - n_out ? lines.n : sizeof out - n_out;
        memcpy(out + n_out, lines.p, n);
        n_out += n;
        lines = span_from(lines, n);
    }
    write_out();
}

void logpipe_sayf(const char *fmt, ...)
{
    char line[LINE_OCTETS_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n > 0)
        logpipe_say((struct span){line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1});
}

static bool is_failing_in_json;

void logpipe_fail_in_json(void)
{
    is_failing_in_json = true;
}

void logpipe_fail(const char *fmt, ...)
{
    char text[1024];
    struct buf json;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_init(&json, 8192);
    if (is_failing_in_json && buf_addf(&json, "{\"error\": ") == 0 &&
        json_string(&json, span_of(text)) == 0 && buf_addf(&json, "}\n") == 0)
        logpipe_say(buf_span(&json));
    else
        logpipe_sayf("barid: %s\n", text);
    buf_free(&json);
}

static void take_lines(struct logpipe *lp)
{
    for (;;) {
        struct span held = buf_span(&lp->line);
        const char *end = held.n > 0 ? memchr(held.p, '\n', held.n) : NULL;
        if (end == NULL && held.n < LINE_OCTETS_MAX)
            return;
        size_t n = end != NULL ? (size_t)(end - held.p) : LINE_OCTETS_MAX;
        bool is_cut = n > LINE_OCTETS_MAX;
        n = is_cut ? LINE_OCTETS_MAX : n;
        add_line(lp->role, (struct span){held.p, n});
        buf_consume(&lp->line, end != NULL && !is_cut ? n + 1 : n);
    }
}

static bool read_some(struct logpipe *lp)
{
    static char piece[READ_OCTETS];
    ssize_t n = read(lp->fd, piece, sizeof piece);
    if (n < 0)
        return false;
    if (n == 0) {
        lp->is_ended = true;
        return false;
    }
    buf_add(&lp->line, piece, (size_t)n);
    take_lines(lp);
    return n == (ssize_t)sizeof piece;
}

static void ready(void *arg, bool readable, bool writable)
{
    (void)readable, (void)writable;
    struct logpipe *lp = arg;
    for (int i = 0; i < 8 && read_some(lp); i++)
        ;
    write_out();
    watch_set(&lp->watch, false, false);
    timer_set(&lp->pause, PAUSE_MS);
}

static void go_on(void *arg)
{
    struct logpipe *lp = arg;
    watch_set(&lp->watch, !lp->is_ended, false);
}

int logpipe_open(struct logpipe *lp, struct loop *l, enum role role)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    fcntl(fds[1], F_SETPIPE_SZ, PIPE_OCTETS);
    *lp = (struct logpipe){.role = role, .fd = fds[0]};
    buf_init(&lp->line, 65536);
    watch_init(&lp->watch, l, lp->fd, ready, lp);
    timer_init(&lp->pause, l, go_on, lp);
    watch_set(&lp->watch, true, false);
    return fds[1];
}

void logpipe_close(struct logpipe *lp)
{
    if (lp->fd < 0)
        return;
    /* What it left behind; not what somebody may go on writing to whom it gave its end. */
    for (size_t i = 0; i <= PIPE_OCTETS / READ_OCTETS && read_some(lp); i++)
        ;
    if (buf_span(&lp->line).n > 0)
        add_line(lp->role, buf_span(&lp->line));
    write_out();
    watch_stop(&lp->watch);
    timer_stop(&lp->pause);
    close(lp->fd);
    lp->fd = -1;
    buf_free(&lp->line);
}
