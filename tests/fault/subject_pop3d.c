/* pop3d: a client fetches and deletes while authd and mailbox are played here. What it gets is the
 * message, octet by octet, or an error; QUIT is +OK only if mailbox removed the messages; a fault
 * of its own is never a wrong password. */
#include "tests/fault/subject.h"
#include "tests/fault/talk.h"
#include "tests/fault/work.h"

#include "common/config.h"
#include "common/listing.h"
#include "common/pack.h"
#include "common/peers.h"
#include "common/verdict.h"

#include <sys/mman.h>
#include <sys/socket.h>

#define PEERS (P_AUTHD)
#define SMALL 2000
#define LARGE 200000 /* as a descriptor */

static struct talk talk;
static int listening = -1;
static uint16_t port;
static bool is_removed; /* mailbox said yes to BOX_UPDATE, for the first message alone */
static char contents[2][LARGE + 100];
static size_t sizes[2];

static void complain(const char *what)
{
    subject_complain("%s: \"%s\"", what, talk.line);
}

/* --- siblings --- */

static void let_in(struct talk *t, const struct msg_login *m)
{
    int pair[2];
    bool is_right = span_eq(m->password, SPAN("pencil"));
    struct msg_login_re re = {.tag = m->tag, .verdict = VERDICT_NEVER, .reason = LOGIN_WRONG};
    if (!is_right) {
        play_send(t->play->channels[ROLE_AUTHD], MSG_LOGIN_RE, &re, -1);
        return;
    }
    if (t->box >= 0)
        close(t->box);
    play_pair(pair);
    t->box = pair[0];
    re = (struct msg_login_re){.tag = m->tag, .address = SPAN("user@example.org")};
    play_send(t->play->channels[ROLE_AUTHD], MSG_LOGIN_RE, &re, pair[1]);
    close(pair[1]);
    play_send(t->box, MSG_HELLO, &(struct msg_hello){proto_hash(), ROLE_MAILBOX}, -1);
    play_send(t->box, MSG_BOX_OPENED, &(struct msg_box_opened){0}, -1);
}

static void list(struct talk *t, uint64_t tag)
{
    struct listing_entry entries[2] = {{.sequence = 1, .id = 1001, .octets = sizes[0]},
                                       {.sequence = 2, .id = 1002, .octets = sizes[1]}};
    int fd = listing_create();
    if (write(fd, entries, sizeof entries) != sizeof entries || listing_seal(fd) < 0)
        play_give_up("listing");
    play_send(t->box, MSG_BOX_LIST_RE, &(struct msg_box_list_re){.tag = tag, .n = 2}, fd);
    close(fd);
}

static void read_one(struct talk *t, const struct msg_box_read *m)
{
    size_t i = (size_t)m->sequence - 1;
    struct msg_box_read_re re = {.tag = m->tag, .octets = sizes[i], .header = 14};
    int fd = -1;
    if (i == 0)
        re.content = (struct span){contents[0], sizes[0]};
    else
        fd = subject_file(contents[1], sizes[1]);
    play_send(t->box, MSG_BOX_READ_RE, &re, fd);
    if (fd >= 0)
        close(fd);
}

static void answer(struct talk *t, enum role sibling, enum msg_type type, const union msg *m,
                   int fd)
{
    (void)sibling;
    if (fd >= 0)
        close(fd);
    if (type == MSG_LOGIN)
        let_in(t, &m->login);
    else if (type == MSG_BOX_LIST)
        list(t, m->box_list.tag);
    else if (type == MSG_BOX_READ && m->box_read.sequence - 1 < 2)
        read_one(t, &m->box_read);
    else if (type == MSG_BOX_UPDATE) {
        struct unpacker u = unpacker_on(m->box_update.sequences);
        is_removed = unpack_uint(&u, 8) == 1 && unpack_done(&u);
        enum verdict v = is_removed ? VERDICT_OK : VERDICT_TRY_LATER;
        if (!is_removed)
            complain("another message is to be removed");
        play_send(t->box, MSG_BOX_UPDATE_RE,
                  &(struct msg_box_update_re){m->box_update.tag, (uint8_t)v}, -1);
    }
}

/* --- a session --- */

/* 1: +OK; 0: -ERR; else the connection is over. */
static int command(const char *line)
{
    int rc = talk_say(&talk, line, strlen(line));
    rc = rc > 0 ? talk_line(&talk) : rc;
    return rc < 0 ? rc : strncmp(talk.line, "+OK", 3) == 0;
}

static int log_in(const char *password, bool is_right)
{
    char line[100];
    snprintf(line, sizeof line, "PASS %s\r\n", password);
    int rc = command("USER user@example.org\r\n");
    rc = rc > 0 ? command(line) : rc;
    if (rc > 0 && !is_right)
        complain("a wrong password");
    if (rc == 0 && is_right && strstr(talk.line, "[AUTH]") != NULL)
        complain("the right password");
    return rc;
}

/* Reads a multi-line response and compares it. */
static int retrieve(size_t i)
{
    char line[40];
    size_t at = 0;
    snprintf(line, sizeof line, "RETR %zu\r\n", i + 1);
    int rc = command(line);
    while (rc > 0 && (rc = talk_line(&talk)) > 0 && strcmp(talk.line, ".") != 0) {
        const char *text = talk.line[0] == '.' ? talk.line + 1 : talk.line;
        size_t n = strlen(text);
        if (at + n + 2 > sizes[i] || memcmp(contents[i] + at, text, n) != 0 ||
            memcmp(contents[i] + at + n, "\r\n", 2) != 0) {
            complain("another line than in the message");
            return 0;
        }
        at += n + 2;
    }
    if (rc > 0 && at != sizes[i])
        complain("a part of the message");
    return rc;
}

static int one_session(void)
{
    is_removed = false;
    int rc = talk_connect(&talk, port);
    rc = rc > 0 ? talk_line(&talk) : rc;
    rc = rc > 0 ? log_in("a guess", false) : rc;
    rc = rc >= 0 ? log_in("pencil", true) : rc;
    rc = rc > 0 ? retrieve(0) : rc;
    rc = rc > 0 ? retrieve(1) : rc;
    rc = rc > 0 ? command("DELE 1\r\n") : rc;
    rc = rc > 0 ? command("QUIT\r\n") : rc;
    if (rc > 0 && !is_removed)
        complain("+OK, and the message is there");
    talk_end(&talk);
    return rc;
}

/* --- the subject --- */

static void offer(struct play *p)
{
    int memory = peers_memory(1);
    play_send(p->control, MSG_CHILD_LISTEN,
              &(struct msg_child_listen){
                  .kind = LISTEN_POP3, .address = SPAN("127.0.0.1:110"), .section = 1},
              listening);
    play_send(p->control, MSG_CHILD_MEMORY, &(struct msg_child_memory){}, memory);
    close(memory);
}

static void lay_out(const char *state, const char *template)
{
    (void)template;
    for (size_t i = 0; i < 2 && listening < 0; i++) {
        size_t n = (size_t)snprintf(contents[i], 100, "Subject: %zu\r\n\r\n", i);
        while (n < (i == 0 ? SMALL : LARGE))
            n += (size_t)snprintf(contents[i] + n, 100, "octet %zu of it\r\n", n);
        sizes[i] = n;
    }
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
        complain("afterwards, a session");
}

const struct subject subject_pop3d = {
    .role = ROLE_POP3D,
    .peers = PEERS,
    .config = "[listen pop3]\nplaintext_without_tls = yes\n[auth]\nfailure_delay = 0s\n"
              "[limits]\nconnection_rate = none\n",
    .sample = 2,
    .is_kept = true,
    .before_start = offer,
    .lay_out = lay_out,
    .day = day,
    .again = again};
