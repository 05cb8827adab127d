/* Responses that are made while they are sent, piece by piece as the client takes them. */
#include "pop3d/cmd.h"

#include "common/id.h"
#include "common/log.h"
#include "common/stats.h"

#include <errno.h>
#include <sys/sendfile.h>

#define LISTING_LINE (20 + 1 + LISTING_UIDL_MAX + 2) /* the longest */
#define LISTING_STEP 16384 /* octets of lines made before looking at the connection again */

void job_stop(struct session *s)
{
    if (s->job.fd >= 0)
        close(s->job.fd);
    s->job = (struct job){.fd = -1};
}

/* --- LIST and UIDL --- */

void job_begin_listing(struct session *s, enum job_kind kind)
{
    s->job = (struct job){.kind = kind, .fd = -1, .next = 1, .end = s->drop.n + 1};
}

/* A line for each message adds up: printf took most of the time of a listing. */
static char *put_number(char *out, uint64_t v)
{
    char digits[20];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    while (n > 0)
        *out++ = digits[--n];
    return out;
}

static char *put_span(char *out, struct span s)
{
    memcpy(out, s.p, s.n);
    return out + s.n;
}

static char *put_line(const struct session *s, const struct listing_entry *e, char *out)
{
    char room[ID_TEXT];
    out = put_number(out, s->job.next);
    *out++ = ' ';
    if (s->job.kind == JOB_LIST)
        out = put_number(out, e->octets);
    else
        out = put_span(out, listing_uidl(&s->drop.listing, e, room));
    return put_span(out, SPAN("\r\n"));
}

static void step_listing(struct session *s)
{
    char lines[LISTING_STEP], *end = lines;
    while (s->job.next < s->job.end && end <= lines + sizeof lines - LISTING_LINE) {
        const struct listing_entry *e = drop_find(&s->drop, s->job.next);
        if (e != NULL)
            end = put_line(s, e, end);
        s->job.next++;
    }
    session_send(s, (struct span){lines, (size_t)(end - lines)});
    if (s->job.next < s->job.end)
        return;
    session_send(s, SPAN(".\r\n"));
    job_stop(s);
}

/* --- RETR and TOP --- */

void job_send_content(struct session *s, struct multiline *lines, struct span content)
{
    for (struct span out; (out = multiline_next(lines, &content)).n > 0;)
        session_send(s, out);
}

static void finish_message(struct session *s)
{
    const struct listing_entry *e = &s->drop.listing.list[s->reading - 1];
    char session[ID_TEXT];
    session_send(s, multiline_end(&s->job.lines));
    job_stop(s);
    if (s->is_top) {
        s->totals.topped++;
        return;
    }
    collected_add(&s->collected, e->sequence);
    s->totals.retrieved++;
    s->totals.retrieved_octets += e->octets;
    stats_count(STAT_POP3_RETRIEVED);
    stats_add(STAT_POP3_RETRIEVED_OCTETS, e->octets);
    id_format(session, s->id);
    LOG(e->id, "retrieved", LZ("session", session), LZ("user", s->user),
        LN("octets", (int64_t)e->octets));
}

void job_begin_file(struct session *s, int fd, uint64_t octets, const struct multiline *lines)
{
    s->job = (struct job){.kind = JOB_FILE, .fd = fd, .end = octets, .lines = *lines};
    if (octets == 0 || multiline_is_done(lines))
        finish_message(s);
}

/* What goes to the client as it is stored, in the clear, the kernel copies, once what was said
 * before it is sent. The end takes the usual way, which sees whether it is one; so does all that
 * cannot be sent so, which says why. */
static bool send_past(struct session *s)
{
    struct job *j = &s->job;
    uint64_t left = j->end - j->next;
    off_t at = (off_t)j->next;
    if (left <= TAIL || !multiline_is_plain(&j->lines) || conn_is_tls(s->conn))
        return false;
    left -= TAIL;
    j->is_past = true;
    if (conn_unsent(s->conn) > 0)
        return true;
    ssize_t n = sendfile(conn_fd(s->conn), j->fd, &at, left < BURST ? (size_t)left : BURST);
    j->is_past = n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
    j->next = (uint64_t)at;
    if (j->is_past)
        conn_await_room(s->conn);
    return j->is_past;
}

static void step_file(struct session *s)
{
    static char piece[PIECE];
    struct job *j = &s->job;
    if (send_past(s))
        return;
    size_t want = j->end - j->next < PIECE ? (size_t)(j->end - j->next) : PIECE;
    ssize_t n = pread(j->fd, piece, want, (off_t)j->next);
    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0) { /* so many octets were promised: only the end of the connection takes that back */
        LOG(s->drop.listing.list[s->reading - 1].id, "unreadable", LZ("user", s->user),
            LZ("why", n < 0 ? strerror(errno) : "file is too short"));
        s->ended = "content unreadable";
        s->is_dead = true;
        return;
    }
    job_send_content(s, &j->lines, (struct span){piece, (size_t)n});
    j->next += (uint64_t)n;
    if (j->next == j->end || multiline_is_done(&j->lines))
        finish_message(s);
}

void job_step(struct session *s)
{
    if (s->job.kind == JOB_FILE)
        step_file(s);
    else
        step_listing(s);
}
