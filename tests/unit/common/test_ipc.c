#include "common/ipc.h"
#include "common/log.h"

#include "common/pack.h"
#include "common/unixsock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct side {
    struct loop *loop;
    struct ipc *ch;
    int n_handled, n_closed, n_answers, n_unanswered;
    uint64_t last_tag;
    char text[256];
    int fd;
};

static void on_resolve(void *owner, struct ipc *from, const union msg *m, int fd)
{
    struct side *s = owner;
    s->n_handled++;
    s->fd = fd;
    s->last_tag = m->resolve.tag;
    span_copy(s->text, sizeof s->text, m->resolve.address);
    ipc_send_resolve_re(
        from, &(struct msg_resolve_re){.tag = m->resolve.tag, .kind = ADDRESS_UNKNOWN}, -1);
}

static void on_close(void *owner, struct ipc *ch)
{
    struct side *s = owner;
    s->n_closed++;
    s->ch = NULL;
    ipc_close(ch);
}

static const struct ipc_handler authd_handlers[] = {{MSG_RESOLVE, on_resolve}};
static const struct ipc_ops authd_ops = {
    .handlers = authd_handlers, .n_handlers = 1, .on_close = on_close};
static const struct ipc_ops smtpd_ops = {.on_close = on_close};

static void on_answer(void *arg, const union msg *answer, int fd)
{
    struct side *s = arg;
    cr_assert_eq(fd, -1);
    if (answer == NULL)
        s->n_unanswered++;
    else
        s->n_answers++;
}

static void turn(struct loop *l)
{
    for (int i = 0; i < 4; i++)
        loop_turn(l, 0);
}

/* A smtpd with a channel to an authd; `raw` is authd's end if the test wants to be authd itself. */
static void link_up(struct side *smtpd, struct side *authd, int *raw)
{
    int pair[2];
    *smtpd = (struct side){.loop = loop_new(), .fd = -1};
    *authd = (struct side){.loop = smtpd->loop, .fd = -1};
    cr_assert_eq(unixsock_pair(pair), 0);
    smtpd->ch = ipc_open(smtpd->loop, pair[0], ROLE_SMTPD, ROLE_AUTHD, &smtpd_ops, smtpd);
    if (raw != NULL)
        *raw = pair[1];
    else
        authd->ch = ipc_open(authd->loop, pair[1], ROLE_AUTHD, ROLE_SMTPD, &authd_ops, authd);
}

static uint64_t ask(struct side *s, const char *address)
{
    struct msg_resolve m = {.address = span_of(address)};
    return ipc_ask_resolve(s->ch, &m, -1, 1000, on_answer, s);
}

Test(ipc, question_gets_its_answer)
{
    struct side smtpd, authd;
    link_up(&smtpd, &authd, NULL);
    uint64_t tag = ask(&smtpd, "a@example.org");
    cr_assert_neq(tag, 0);
    turn(smtpd.loop);
    cr_assert_eq(authd.last_tag, tag);
    cr_assert_str_eq(authd.text, "a@example.org");
    cr_assert_eq(smtpd.n_answers, 1);
}

Test(ipc, cancelled_question_is_forgotten)
{
    struct side smtpd, authd;
    link_up(&smtpd, &authd, NULL);
    ipc_cancel(smtpd.ch, ask(&smtpd, "a@example.org"));
    turn(smtpd.loop);
    cr_assert_eq(authd.n_handled, 1);
    cr_assert_eq(smtpd.n_answers + smtpd.n_unanswered, 0);
    cr_assert_eq(smtpd.n_closed, 0, "a late answer is no mistake of the peer");
}

Test(ipc, peer_gone_answers_with_null)
{
    struct side smtpd, authd;
    int raw;
    link_up(&smtpd, &authd, &raw);
    ask(&smtpd, "a@example.org");
    close(raw);
    turn(smtpd.loop);
    cr_assert_eq(smtpd.n_unanswered, 1);
    cr_assert_eq(smtpd.n_closed, 1);
}

/* What a peer said before it closed is heard, even if it closed without reading all of ours. */
Test(ipc, a_file_is_no_channel)
{
    struct loop *l = loop_new();
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    for (int i = 0; i < 2; i++) {
        cr_expect_null(ipc_open(l, fds[i], ROLE_MAILBOX, ROLE_POP3D, &smtpd_ops, NULL));
        cr_expect_eq(fcntl(fds[i], F_GETFD), -1, "it is closed");
    }
    loop_free(l);
}

Test(ipc, last_words_of_a_peer)
{
    struct side smtpd, authd;
    link_up(&smtpd, &authd, NULL);
    uint64_t tag = ask(&smtpd, "a@example.org");
    ipc_send_resolve_re(authd.ch, &(struct msg_resolve_re){.tag = tag}, -1);
    ipc_close(authd.ch);
    turn(smtpd.loop);
    cr_assert_eq(smtpd.n_answers, 1);
    cr_assert_eq(smtpd.n_unanswered, 0);
    cr_assert_eq(smtpd.n_closed, 1);
}

Test(ipc, deadline_answers_with_null)
{
    struct side smtpd, authd;
    int raw;
    link_up(&smtpd, &authd, &raw);
    struct msg_resolve m = {.address = SPAN("a@example.org")};
    ipc_ask_resolve(smtpd.ch, &m, -1, 1, on_answer, &smtpd);
    for (int i = 0; i < 40 && smtpd.n_unanswered == 0; i++)
        loop_turn(smtpd.loop, 50);
    cr_assert_eq(smtpd.n_unanswered, 1);
    cr_assert_eq(smtpd.n_closed, 0);
}

static char logged[500];

static void note_lines(struct span lines)
{
    span_copy(logged, sizeof logged, lines);
}

Test(ipc, too_long_a_field_is_not_sent)
{
    struct side smtpd, authd;
    char big[ADDRESS_MAX + 1];
    memset(big, 'a', sizeof big);
    link_up(&smtpd, &authd, NULL);
    struct msg_resolve m = {.address = {big, sizeof big}};
    log_set_sink(note_lines);
    cr_assert_eq(ipc_send_resolve(smtpd.ch, &m, -1), -1);
    log_flush();
    cr_expect_not_null(strstr(logged, "message-unsent to=authd"), "%s", logged);
    log_set_sink(NULL);
}

static size_t pack(char *out, enum msg_type type, const void *m)
{
    return proto_pack(out, IPC_MAX, type, m);
}

/* What a taken-over authd may try on smtpd: each costs it the channel. */
Test(ipc, a_peer_that_breaks_the_rules_loses_the_channel)
{
    static char out[IPC_MAX], hello[IPC_MAX];
    size_t n_hello = pack(hello, MSG_HELLO, &(struct msg_hello){proto_hash(), ROLE_AUTHD});
    struct msg_resolve_re re = {.tag = 1};
    struct msg_seal_key key = {.key = SPAN("01234567890123456789012345678901")};
    struct msg_hello other = {proto_hash() + 1, ROLE_AUTHD};
    struct {
        const char *what;
        bool greet;
        enum msg_type type;
        const void *m;
        size_t cut;
        bool with_fd;
    } rows[] = {
        {"before HELLO", false, MSG_RESOLVE_RE, &re, 0, false},
        {"another table", false, MSG_HELLO, &other, 0, false},
        {"HELLO twice", true, MSG_HELLO, &(struct msg_hello){proto_hash(), 0}, 0, false},
        {"not its message", true, MSG_SEAL_KEY, &key, 0, false},
        {"truncated", true, MSG_RESOLVE_RE, &re, 1, false},
        {"descriptor where none may be", true, MSG_RESOLVE_RE, &re, 0, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct side smtpd, authd;
        int raw;
        link_up(&smtpd, &authd, &raw);
        if (rows[i].greet)
            cr_assert_eq(send(raw, hello, n_hello, 0), (ssize_t)n_hello);
        size_t n = pack(out, rows[i].type, rows[i].m) - rows[i].cut;
        union {
            struct cmsghdr align;
            char room[CMSG_SPACE(sizeof(int))];
        } control = {0};
        struct iovec iov = {out, n};
        struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
        if (rows[i].with_fd) {
            mh.msg_control = control.room;
            mh.msg_controllen = sizeof control.room;
            struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            c->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(c), &raw, sizeof raw);
        }
        cr_assert_eq(sendmsg(raw, &mh, 0), (ssize_t)n);
        turn(smtpd.loop);
        cr_assert_eq(smtpd.n_closed, 1, "%s", rows[i].what);
        close(raw);
    }
}

Test(ipc, what_the_socket_does_not_take_waits_in_order)
{
    struct side smtpd, authd;
    static char content[CHUNK_MAX];
    static char in[IPC_MAX];
    int raw;
    link_up(&smtpd, &authd, &raw);
    close(raw);
    ipc_close(smtpd.ch);
    int pair[2];
    cr_assert_eq(unixsock_pair(pair), 0);
    struct ipc *ch = ipc_open(smtpd.loop, pair[0], ROLE_SMTPD, ROLE_QUEUE, &smtpd_ops, &smtpd);
    for (uint64_t i = 1; i <= 200; i++) {
        struct msg_queue_more m = {.tag = i, .content = {content, sizeof content}};
        cr_assert_eq(ipc_send_queue_more(ch, &m, -1), 0);
    }
    cr_assert_gt(ipc_backlog(ch), 0);
    uint64_t next = 0;
    while (next < 200) {
        ssize_t n = recv(pair[1], in, sizeof in, MSG_DONTWAIT);
        if (n < 0) {
            loop_turn(smtpd.loop, 0);
            continue;
        }
        enum msg_type type;
        union msg m;
        cr_assert_eq(proto_unpack((struct span){in, (size_t)n}, &type, &m), 0);
        if (type == MSG_HELLO)
            continue;
        cr_assert_eq(m.queue_more.tag, ++next);
    }
    loop_turn(smtpd.loop, 0);
    cr_assert_eq(ipc_backlog(ch), 0);
}

/* Every row of the table survives the way through the wire, and no cut of it does. */
Test(proto, every_message_is_exact)
{
    static char out[IPC_MAX];
    for (unsigned t = MSG_NONE + 1; t < MSG_TYPES; t++) {
        const struct msg_desc *d = proto_desc(t);
        union msg sent, got;
        memset(&sent, 0, sizeof sent);
        for (size_t i = 0; i < d->n_fields; i++) {
            struct span s = SPAN("x");
            if (d->fields[i].type == FIELD_TEXT || d->fields[i].type == FIELD_BYTES)
                memcpy((char *)&sent + d->fields[i].offset, &s, sizeof s);
        }
        size_t n = proto_pack(out, sizeof out, (enum msg_type)t, &sent);
        enum msg_type type;
        cr_assert_gt(n, 0, "%s", d->name);
        cr_assert_eq(proto_unpack((struct span){out, n}, &type, &got), 0, "%s", d->name);
        cr_assert_eq(type, t);
        for (size_t cut = 0; cut < n; cut++)
            cr_assert_eq(proto_unpack((struct span){out, cut}, &type, &got), -1, "%s", d->name);
        cr_assert_eq(proto_unpack((struct span){out, n + 1}, &type, &got), -1, "%s", d->name);
    }
}

/* The bounds of every row fit a message. */
Test(proto, the_largest_message_fits)
{
    for (unsigned t = MSG_NONE + 1; t < MSG_TYPES; t++) {
        const struct msg_desc *d = proto_desc(t);
        size_t n = 2;
        for (size_t i = 0; i < d->n_fields; i++)
            n += 8 + d->fields[i].max;
        cr_assert_leq(n, IPC_MAX, "%s needs %zu", d->name, n);
    }
}

Test(proto, text_holds_no_line_ends)
{
    static char out[IPC_MAX];
    static const struct span bad[] = {SPAN("a\rb"), SPAN("a\nb"), {"a\0b", 3}};
    for (size_t i = 0; i < 3; i++) {
        struct msg_resolve m = {.tag = 1, .address = bad[i]};
        enum msg_type type;
        union msg got;
        size_t n = proto_pack(out, sizeof out, MSG_RESOLVE, &m);
        cr_assert_eq(proto_unpack((struct span){out, n}, &type, &got), -1);
    }
}

/* A remade channel takes the place of one whose end was not seen yet. */
Test(ipc, a_broken_channel_answers_with_null)
{
    struct side smtpd, authd;
    link_up(&smtpd, &authd, NULL);
    ask(&smtpd, "a@example.org");
    ask(&smtpd, "b@example.org");
    ipc_break(smtpd.ch);
    cr_expect_eq(smtpd.n_unanswered, 2);
    cr_expect_eq(smtpd.n_closed, 1);
    cr_expect_null(smtpd.ch);
}

static void on_grant(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)m;
    struct side *s = owner;
    s->n_handled++;
    s->fd = fd;
}

static const struct ipc_handler mailbox_handlers[] = {{MSG_BOX_GRANT, on_grant}};
static const struct ipc_ops mailbox_ops = {
    .handlers = mailbox_handlers, .n_handlers = 1, .on_close = on_close};

/* Running out of them is our shortage, and no reason to send the peer away. */
Test(ipc, a_descriptor_for_which_there_is_no_room)
{
    struct loop *loop = loop_new();
    struct side authd = {.loop = loop}, mailbox = {.loop = loop, .fd = -2};
    int pair[2];
    struct rlimit few, before;
    cr_assert_eq(unixsock_pair(pair), 0);
    authd.ch = ipc_open(loop, pair[0], ROLE_AUTHD, ROLE_MAILBOX, &smtpd_ops, &authd);
    mailbox.ch = ipc_open(loop, pair[1], ROLE_MAILBOX, ROLE_AUTHD, &mailbox_ops, &mailbox);
    turn(loop);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){0, before.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    cr_assert_eq(ipc_send_box_grant(authd.ch, &(struct msg_box_grant){.box = 1}, 2), 0);
    turn(loop);
    cr_expect_eq(mailbox.n_handled, 1);
    cr_expect_eq(mailbox.fd, -1);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    cr_assert_eq(ipc_send_box_grant(authd.ch, &(struct msg_box_grant){.box = 1}, 2), 0);
    turn(loop);
    cr_expect_eq(mailbox.n_handled, 2);
    cr_expect_geq(mailbox.fd, 0);
    cr_expect_eq(authd.n_closed + mailbox.n_closed, 0);
}
