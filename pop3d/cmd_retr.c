/* RETR TOP: the mailbox gives the content, here it becomes a multi-line response. */
#include "pop3d/cmd.h"

#include "common/verdict.h"

/* What a mailbox says is checked before anything of it is promised to the client. */
static bool is_sane(const struct msg_box_read_re *r, int fd)
{
    if (r->verdict != VERDICT_OK || r->header > r->octets || r->octets > INT64_MAX)
        return false;
    return fd >= 0 ? r->content.n == 0 : r->content.n == r->octets;
}

static void send_message(struct session *s, const struct msg_box_read_re *r, int fd)
{
    struct multiline lines;
    bool has_dots = r->flags & CONTENT_DOTS;
    unsigned long long octets = r->prefix.n + r->octets;
    if (s->is_top) {
        multiline_begin_top(&lines, has_dots, r->prefix.n + r->header, s->top_lines);
        session_say(s, REPLY_TOP);
    } else {
        multiline_begin(&lines, has_dots);
        session_sayf(s, REPLY_RETR, octets);
    }
    job_send_content(s, &lines, r->prefix);
    if (fd < 0)
        job_send_content(s, &lines, r->content);
    job_begin_file(s, fd, fd < 0 ? 0 : r->octets, &lines);
}

static void was_read(void *arg, const union msg *answer, int fd)
{
    struct session *s = arg;
    if (answer == NULL) {
        session_finish(s, REPLY_BOX_GONE, "mailbox gone");
    } else if (is_sane(&answer->box_read_re, fd)) {
        send_message(s, &answer->box_read_re, fd);
    } else {
        session_say(s, REPLY_UNREADABLE);
        if (fd >= 0)
            close(fd);
    }
    session_resume(s);
}

static void read_message(struct session *s, struct span number)
{
    const struct listing_entry *e;
    if (session_number(number, &s->reading) < 0) {
        session_error(s, REPLY_ARGUMENT);
        return;
    }
    if ((e = drop_find(&s->drop, s->reading)) == NULL) {
        session_say(s, REPLY_NO_MESSAGE);
        return;
    }
    struct msg_box_read m = {.sequence = e->sequence};
    if (ipc_ask_box_read(s->box, &m, -1, ANSWER_MS, was_read, s) == 0)
        session_finish(s, REPLY_BOX_GONE, "mailbox gone");
    else
        s->is_waiting = true;
}

void cmd_retr(struct session *s, struct span arg)
{
    s->is_top = false;
    read_message(s, span_trim(arg));
}

void cmd_top(struct session *s, struct span arg)
{
    struct span lines = span_trim(arg);
    struct span number = span_cut(&lines, ' ');
    if (span_u64(span_trim(lines), &s->top_lines) < 0) {
        session_error(s, REPLY_ARGUMENT);
        return;
    }
    s->is_top = true;
    read_message(s, number);
}
