/* Responses that are made while they are sent, piece by piece as the client takes them. */
#include "pop3d/cmd.h"

#include "common/id.h"
#include "common/log.h"

#include <errno.h>

#define LISTING_STEP 4096 /* octets of lines made before looking at the connection again */

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

static size_t listing_line(const struct session *s, const struct drop_entry *e, char *out,
                           size_t cap)
{
    size_t number = (size_t)s->job.next;
    char id[ID_TEXT];
    if (s->job.kind == JOB_LIST)
        return (size_t)snprintf(out, cap, REPLY_LIST_LINE, number, (unsigned long long)e->octets);
    id_format(id, e->id);
    return (size_t)snprintf(out, cap, REPLY_UIDL_LINE, number, id);
}

static void step_listing(struct session *s)
{
    char lines[LISTING_STEP];
    size_t n = 0;
    for (; s->job.next < s->job.end && sizeof lines - n > 64; s->job.next++) {
        const struct drop_entry *e = drop_find(&s->drop, s->job.next);
        if (e != NULL)
            n += listing_line(s, e, lines + n, 64);
    }
    session_send(s, (struct span){lines, n});
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
    const struct drop_entry *e = &s->drop.list[s->reading - 1];
    char session[ID_TEXT];
    session_send(s, multiline_end(&s->job.lines));
    job_stop(s);
    if (s->is_top) {
        s->totals.topped++;
        return;
    }
    s->totals.retrieved++;
    s->totals.retrieved_octets += e->octets;
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

static void step_file(struct session *s)
{
    static char piece[PIECE];
    struct job *j = &s->job;
    size_t want = j->end - j->next < PIECE ? (size_t)(j->end - j->next) : PIECE;
    ssize_t n = pread(j->fd, piece, want, (off_t)j->next);
    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0) { /* so many octets were promised: only the end of the connection takes that back */
        LOG(s->drop.list[s->reading - 1].id, "unreadable", LZ("user", s->user),
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
