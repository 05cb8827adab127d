/* smtpd: mail comes in while its siblings are played here. It says 250 to the end of the content
 * only if the queue took exactly that content; a fault of its own is never a 5xx, and never makes a
 * stranger a mailbox. */
#include "tests/fault/subject.h"
#include "tests/fault/talk.h"
#include "tests/fault/work.h"

#include "common/buf.h"
#include "common/config.h"
#include "common/peers.h"
#include "common/verdict.h"

#include <sys/socket.h>

#define PEERS (P_AUTHD | P_QUEUE)
#define SMALL 2000
#define LARGE 200000 /* in several messages */

static struct talk talk;
static int listening = -1;
static uint16_t port;
static struct buf taken;  /* what the queue was given of the message under way */
static bool is_ours;      /* it took all of it */
static uint64_t open_tag; /* of that message */
static char content[LARGE + 100];
static size_t content_n;

static void complain(const char *what)
{
    subject_complain("%s: \"%s\"", what, talk.line);
}

/* --- siblings --- */

static void take(struct talk *t, uint64_t tag, struct span part, bool is_last)
{
    struct msg_queue_open_re re = {.tag = tag, .verdict = VERDICT_OK};
    buf_add_span(&taken, part);
    if (!is_last)
        return;
    struct span all = buf_span(&taken);
    /* under the trace field stands what was sent */
    is_ours = all.n > content_n && memcmp(all.p + all.n - content_n, content, content_n) == 0;
    if (!is_ours) {
        complain("the queue was given something else");
        re.verdict = VERDICT_TRY_LATER;
    }
    play_send(t->play->channels[ROLE_QUEUE], MSG_QUEUE_OPEN_RE, &re, -1);
}

static void resolve(struct talk *t, const struct msg_resolve *m)
{
    bool is_known = span_eq(m->address, SPAN("user@example.org"));
    struct msg_resolve_re re = {.tag = m->tag,
                                .kind = is_known ? ADDRESS_LOCAL : ADDRESS_UNKNOWN,
                                .sealed = is_known ? SPAN("a seal") : SPAN("")};
    play_send(t->play->channels[ROLE_AUTHD], MSG_RESOLVE_RE, &re, -1);
}

/* Asked when a false answer of authd said that a mailbox has a quota. */
static void tell_room(struct talk *t, const struct msg_queue_room *m)
{
    struct msg_queue_room_re re = {.tag = m->tag, .verdict = VERDICT_OK};
    play_send(t->play->channels[ROLE_QUEUE], MSG_QUEUE_ROOM_RE, &re, -1);
}

static void answer(struct talk *t, enum role sibling, enum msg_type type, const union msg *m,
                   int fd)
{
    (void)sibling;
    if (fd >= 0)
        close(fd);
    if (type == MSG_RESOLVE)
        resolve(t, &m->resolve);
    if (type == MSG_QUEUE_ROOM)
        tell_room(t, &m->queue_room);
    if (type == MSG_QUEUE_OPEN) {
        buf_free(&taken);
        buf_init(&taken, LARGE + 10000);
        open_tag = m->queue_open.tag;
        take(t, open_tag, m->queue_open.content, m->queue_open.is_last);
    }
    if (type == MSG_QUEUE_MORE && m->queue_more.tag == open_tag)
        take(t, open_tag, m->queue_more.content, m->queue_more.is_last);
    if (type == MSG_QUEUE_ABORT && m->queue_abort.tag == open_tag)
        open_tag = 0;
}

/* --- a message --- */

/* 1: that class of reply came; 0: 4xx, which is always allowed; else the connection is over. */
static int command(const char *line, unsigned class)
{
    unsigned code = 0;
    int rc = talk_say(&talk, line, strlen(line));
    rc = rc > 0 ? talk_reply(&talk, &code) : rc;
    if (rc < 0)
        return rc;
    if (code / 100 == class)
        return 1;
    if (code / 100 != 4)
        complain(line);
    return 0;
}

static void write_content(size_t n)
{
    content_n = (size_t)snprintf(content, sizeof content, "Subject: x\r\n\r\n");
    while (content_n < n)
        content_n += (size_t)snprintf(content + content_n, 100, "octet %zu of it\r\n", content_n);
}

static int deliver(size_t n)
{
    write_content(n);
    is_ours = false;
    int rc = command("MAIL FROM:<eve@client.example>\r\n", 2);
    rc = rc > 0 ? command("RCPT TO:<nobody@example.org>\r\n", 5) : rc;
    rc = rc > 0 ? command("RCPT TO:<user@example.org>\r\n", 2) : rc;
    rc = rc > 0 ? command("DATA\r\n", 3) : rc;
    rc = rc > 0 ? talk_say(&talk, content, content_n) : rc;
    rc = rc > 0 ? command(".\r\n", 2) : rc;
    if (rc > 0 && !is_ours)
        complain("250 without the queue's word");
    return rc;
}

static int one_session(void)
{
    unsigned code = 0;
    int rc = talk_connect(&talk, port);
    rc = rc > 0 ? talk_reply(&talk, &code) : rc;
    if (rc > 0 && code != 220)
        rc = code / 100 == 4 ? 0 : (complain("the greeting"), 0);
    rc = rc > 0 ? command("EHLO client.example\r\n", 2) : rc;
    rc = rc > 0 ? deliver(SMALL) : rc;
    rc = rc > 0 ? deliver(LARGE) : rc;
    rc = rc > 0 ? command("QUIT\r\n", 2) : rc;
    talk_end(&talk);
    return rc;
}

/* --- the subject --- */

static void offer(struct play *p)
{
    int memory = peers_memory(1);
    play_send(p->control, MSG_CHILD_LISTEN,
              &(struct msg_child_listen){.kind = LISTEN_SMTP, .address = SPAN("127.0.0.1:25")},
              listening);
    play_send(p->control, MSG_CHILD_MEMORY, &(struct msg_child_memory){}, memory);
    close(memory);
}

static void lay_out(const char *state, const char *template)
{
    (void)template;
    if (listening < 0)
        listening = talk_listen(&port);
    play_layout(state);
}

static int day(struct play *p)
{
    talk_begin(&talk, p, answer);
    return talk_day(&talk, one_session);
}

static void again(struct play *p)
{
    talk_begin(&talk, p, answer);
    if (one_session() != 1)
        complain("afterwards, a message");
}

const struct subject subject_smtpd = {.role = ROLE_SMTPD,
                                      .peers = PEERS,
                                      .config = "[limits]\nconnection_rate = none\n",
                                      .sample = 3,
                                      .is_kept = true,
                                      .before_start = offer,
                                      .lay_out = lay_out,
                                      .day = day,
                                      .again = again};
