#include "stage.h"

#include "common/pack.h"
#include "common/unixsock.h"
#include "common/verdict.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#define PREFIX "Return-Path: <a@b.example>\r\n"

const struct letter stage_letters[2] = {
    {SPAN("Subject: one\r\n\r\nline 1\r\n.line 2\r\nline 3\r\n"), 16, CONTENT_DOTS, -1},
    {SPAN("Subject: two\r\n\r\nx\r\n"), 16, 0, -1},
};

/* --- mailbox --- */

static void on_list(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct stage *st = owner;
    struct msg_box_list_re re = {.tag = m->box_list.tag, .n = st->n_letters};
    int file = st->n_letters > 0 ? listing_create() : -1;
    for (uint64_t i = 0; i < st->n_letters; i++) { /* sequence is index + 1 */
        struct listing_entry e = {i + 1, 101 + i, SPAN(PREFIX).n + st->letters[i % 2].content.n, 0,
                                  0};
        cr_assert_eq(write(file, &e, sizeof e), (ssize_t)sizeof e);
    }
    if (!st->is_unsealed && file >= 0)
        listing_seal(file);
    ipc_send_box_list_re(from, &re, file);
    if (file >= 0)
        close(file);
}

static void on_read(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct stage *st = owner;
    uint64_t i = m->box_read.sequence - 1;
    const struct letter *l = &st->letters[st->n_letters > 2 ? i % 2 : i];
    struct msg_box_read_re re = {.tag = m->box_read.tag,
                                 .octets = l->content.n,
                                 .header = l->header,
                                 .flags = l->flags,
                                 .prefix = SPAN(PREFIX)};
    if (l->fd < 0)
        re.content = l->content;
    if (!st->reads_nothing)
        ipc_send_box_read_re(from, &re, l->fd);
}

static void on_update(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct stage *st = owner;
    struct unpacker r = unpacker_on(m->box_update.sequences);
    while (r.left.n > 0) {
        uint64_t sequence = unpack_uint(&r, 8);
        if (st->n_removed < 100)
            st->removed[st->n_removed] = sequence;
        st->n_removed++;
    }
    if (!m->box_update.is_last)
        return;
    st->n_updates++;
    struct msg_box_update_re re = {.tag = m->box_update.tag,
                                   .verdict = (uint8_t)st->update_verdict};
    ipc_send_box_update_re(from, &re, -1);
}

static void on_retrieved(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct stage *st = owner;
    struct unpacker r = unpacker_on(m->box_retrieved.sequences);
    st->n_retrieved = 0;
    while (r.left.n > 0 && st->n_retrieved < RETRIEVED_MAX)
        st->retrieved[st->n_retrieved++] = unpack_uint(&r, 8);
    st->more_retrieved = m->box_retrieved.more;
    st->updates_before_retrieved = st->n_updates;
    st->n_told++;
}

static void box_closed(void *owner, struct ipc *ch)
{
    struct stage *st = owner;
    if (st->box == ch)
        st->box = NULL;
    ipc_close(ch);
}

static const struct ipc_handler box_handlers[] = {
    {MSG_BOX_LIST, on_list},
    {MSG_BOX_READ, on_read},
    {MSG_BOX_UPDATE, on_update},
    {MSG_BOX_RETRIEVED, on_retrieved},
};
static const struct ipc_ops box_ops = {
    .handlers = box_handlers, .n_handlers = 4, .on_close = box_closed};

static int grant(struct stage *st)
{
    int fds[2];
    cr_assert_eq(unixsock_pair(fds), 0);
    st->grants++;
    st->box = ipc_open(st->loop, fds[1], ROLE_MAILBOX, ROLE_POP3D, &box_ops, st);
    struct msg_box_opened m = {.verdict = (uint8_t)st->opened, .expire_days = st->expire_days};
    if (st->opened == 97)
        m = (struct msg_box_opened){.verdict = VERDICT_TRY_LATER, .reason = BOX_TOO_SOON};
    if (st->opened == 98)
        m = (struct msg_box_opened){.verdict = VERDICT_TRY_LATER, .reason = BOX_IN_USE};
    if (st->opened != 99)
        ipc_send_box_opened(st->box, &m, -1);
    return fds[0];
}

/* --- authd --- */

static void on_login(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct stage *st = owner;
    const struct msg_login *l = &m->login;
    int granted = -1;
    struct msg_login_re re = {.tag = l->tag, .verdict = VERDICT_NEVER, .reason = LOGIN_WRONG};
    cr_expect_eq(l->service, SERVICE_POP3);
    if (span_eq(l->user, SPAN("silent")))
        return;
    if (span_eq(l->user, SPAN("busy"))) {
        re.verdict = VERDICT_TRY_LATER;
        re.reason = LOGIN_BUSY;
    } else if (span_eq(l->user, SPAN("throttled"))) {
        re.reason = LOGIN_THROTTLED;
    } else if (span_eq(l->user, SPAN("disabled"))) {
        re.reason = LOGIN_DISABLED;
    } else if (span_eq(l->user, SPAN("alice")) && span_eq(l->password, SPAN("se cret"))) {
        re.verdict = VERDICT_OK;
        re.reason = LOGIN_OK;
        re.address = SPAN("alice@b.example");
        granted = grant(st);
    }
    ipc_send_login_re(from, &re, granted);
    if (granted >= 0)
        close(granted);
}

static void authd_closed(void *owner, struct ipc *ch)
{
    struct stage *st = owner;
    if (ch == st->authd)
        st->authd = NULL;
    else
        st->authd_here = NULL;
    ipc_close(ch);
}

static const struct ipc_handler authd_handlers[] = {{MSG_LOGIN, on_login}};
static const struct ipc_ops authd_ops = {
    .handlers = authd_handlers, .n_handlers = 1, .on_close = authd_closed};

/* --- the process and the client --- */

static struct ipc *give_authd(void *owner)
{
    struct stage *st = owner;
    return st->authd_here;
}

static void closed(void *owner, struct session *s)
{
    struct stage *st = owner;
    cr_expect_eq(st->session, s);
    st->session = NULL;
}

static struct tls_server *no_tls(void *owner)
{
    (void)owner;
    return NULL;
}

struct stage *stage_begin(void)
{
    struct stage *st = calloc(1, sizeof *st);
    int fds[2];
    cr_assert(st != NULL);
    st->loop = loop_new();
    st->host = (struct session_host){
        .loop = st->loop, .authd = give_authd, .tls = no_tls, .closed = closed, .owner = st};
    st->set = (struct session_settings){
        .may_log_in = true, .has_scram = true, .failures_max = 3, .errors_max = 4};
    st->client = -1;
    st->letters = stage_letters;
    st->n_letters = 2;
    cr_assert_eq(unixsock_pair(fds), 0);
    st->authd_here = ipc_open(st->loop, fds[0], ROLE_POP3D, ROLE_AUTHD, &authd_ops, st);
    st->authd = ipc_open(st->loop, fds[1], ROLE_AUTHD, ROLE_POP3D, &authd_ops, st);
    return st;
}

void stage_connect(struct stage *st)
{
    int fds[2];
    struct netaddr client = {.octets = {192, 0, 2, 1}, .n = 4};
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    st->client = fds[1];
    st->session = session_new(&st->host, &st->set, fds[0], &client);
    cr_assert(st->session != NULL);
}

void stage_end(struct stage *st)
{
    if (st->session != NULL)
        session_free(st->session);
    ipc_close(st->box);
    ipc_close(st->authd);
    ipc_close(st->authd_here);
    if (st->client >= 0)
        close(st->client);
    loop_free(st->loop);
    free(st);
}

static bool read_some(struct stage *st)
{
    size_t room = sizeof st->got - 1 - st->n_got;
    if (st->is_slow && room > 3000)
        room = 3000;
    ssize_t n = st->client < 0 ? 0 : read(st->client, st->got + st->n_got, room);
    if (n > 0)
        st->n_got += (size_t)n;
    return n > 0;
}

void stage_turns(struct stage *st, int n)
{
    for (int i = 0; i < n; i++) {
        loop_turn(st->loop, 0);
        read_some(st);
    }
}

void stage_run(struct stage *st)
{
    for (int quiet = 0; quiet < 40;) {
        loop_turn(st->loop, 0);
        quiet = read_some(st) ? 0 : quiet + 1;
    }
}

void stage_send(struct stage *st, struct span in)
{
    while (in.n > 0) {
        ssize_t n = send(st->client, in.p, in.n, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* the session is over */
        if (n > 0)
            in = span_from(in, (size_t)n);
        else
            stage_turns(st, 1);
    }
}

const char *stage_got(struct stage *st)
{
    st->got[st->n_got] = '\0';
    st->n_got = 0;
    return st->got;
}
