/* A whole POP3 session over real sockets, with an authd and a mailbox that answer by the first
 * octet of the input. */
#include "common/listing.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pack.h"
#include "common/unixsock.h"
#include "common/verdict.h"
#include "pop3d/session.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <sys/socket.h>

#define LETTERS 3
#define CONTENT "Subject: x\r\n\r\n.a\r\nb\r\n"
#define QUIET   8 /* turns in which nothing happens */

struct world {
    struct loop *loop;
    struct session *session;
    struct ipc *authd_here, *authd, *box;
    int client;
    unsigned mood;
    unsigned grants, updates;
    bool was_update_last, was_told;
};

static struct world w;

static void on_list(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)fd;
    int file = listing_create();
    for (uint64_t i = 0; i < LETTERS; i++) {
        struct listing_entry e = {i + 1, 100 + i, sizeof CONTENT - 1, 0, 0};
        fuzz_check(write(file, &e, sizeof e) == (ssize_t)sizeof e, "pop3: no memory file");
    }
    listing_seal(file);
    ipc_send_box_list_re(from, &(struct msg_box_list_re){.tag = m->box_list.tag, .n = LETTERS},
                         file);
    close(file);
}

static void on_read(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)fd;
    fuzz_check(m->box_read.sequence >= 1 && m->box_read.sequence <= LETTERS,
               "pop3: reads a message that was not listed");
    struct msg_box_read_re re = {.tag = m->box_read.tag,
                                 .verdict = (w.mood & 4) != 0 ? VERDICT_TRY_LATER : VERDICT_OK,
                                 .octets = sizeof CONTENT - 1,
                                 .header = 14,
                                 .flags = CONTENT_DOTS,
                                 .content = SPAN(CONTENT)};
    ipc_send_box_read_re(from, &re, -1);
}

static void on_update(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)fd;
    struct unpacker r = unpacker_on(m->box_update.sequences);
    fuzz_check(!w.was_update_last, "pop3: two updates");
    w.was_update_last = m->box_update.is_last;
    while (r.left.n > 0) {
        uint64_t sequence = unpack_uint(&r, 8);
        fuzz_check(sequence >= 1 && sequence <= LETTERS && ++w.updates <= LETTERS,
                   "pop3: removes a message twice, or one that was not listed");
    }
    struct msg_box_update_re re = {.tag = m->box_update.tag, .verdict = w.mood & 8};
    if (m->box_update.is_last)
        ipc_send_box_update_re(from, &re, -1);
}

static void on_retrieved(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)from, (void)fd;
    uint64_t seen = 0;
    struct unpacker r = unpacker_on(m->box_retrieved.sequences);
    fuzz_check(!w.was_told && !w.was_update_last, "pop3: says twice, or late, what was retrieved");
    w.was_told = true;
    while (r.left.n > 0) {
        uint64_t sequence = unpack_uint(&r, 8);
        fuzz_check(sequence >= 1 && sequence <= LETTERS && (seen & 1ULL << sequence) == 0,
                   "pop3: retrieved what was not listed, or one twice");
        seen |= 1ULL << sequence;
    }
}

static void channel_closed(void *owner, struct ipc *ch)
{
    (void)owner;
    w.box = w.box == ch ? NULL : w.box;
    w.authd = w.authd == ch ? NULL : w.authd;
    w.authd_here = w.authd_here == ch ? NULL : w.authd_here;
    ipc_close(ch);
}

static const struct ipc_handler box_handlers[] = {
    {MSG_BOX_LIST, on_list},
    {MSG_BOX_READ, on_read},
    {MSG_BOX_UPDATE, on_update},
    {MSG_BOX_RETRIEVED, on_retrieved},
};
static const struct ipc_ops box_ops = {box_handlers, 4, .on_close = channel_closed};

static int grant(void)
{
    int fds[2];
    fuzz_check(++w.grants == 1 && unixsock_pair(fds) == 0, "pop3: two mailboxes");
    w.box = ipc_open(w.loop, fds[1], ROLE_MAILBOX, ROLE_POP3D, &box_ops, NULL);
    ipc_send_box_opened(w.box, &(struct msg_box_opened){.verdict = VERDICT_OK}, -1);
    return fds[0];
}

static void on_login(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)fd;
    bool is_right = m->login.user.n % 2 == 1; /* "a", "bob" */
    struct msg_login_re re = {.tag = m->login.tag,
                              .verdict = is_right ? VERDICT_OK : VERDICT_NEVER,
                              .reason = is_right ? LOGIN_OK : LOGIN_WRONG,
                              .address = SPAN("a@example.org")};
    int granted = is_right ? grant() : -1;
    ipc_send_login_re(from, &re, granted);
    if (granted >= 0)
        close(granted);
}

static const struct ipc_handler authd_handlers[] = {{MSG_LOGIN, on_login}};
static const struct ipc_ops authd_ops = {authd_handlers, 1, .on_close = channel_closed};

static struct ipc *give_authd(void *owner)
{
    (void)owner;
    return w.authd_here;
}

static struct tls_server *no_tls(void *owner)
{
    (void)owner;
    return NULL;
}

static void session_closed(void *owner, struct session *s)
{
    (void)owner, (void)s;
    w.session = NULL;
}

/* Until nothing happens; whatever is said first is a greeting, and lines end as they must. */
static void run(void)
{
    static char got[65536];
    for (int quiet = 0; quiet < QUIET;) {
        loop_turn(w.loop, 0);
        ssize_t n = recv(w.client, got, sizeof got, MSG_DONTWAIT);
        quiet = n > 0 ? 0 : quiet + 1;
    }
}

static void begin(void)
{
    int fds[2];
    static struct session_host host = {
        .authd = give_authd, .tls = no_tls, .closed = session_closed};
    struct session_settings set = {
        .may_log_in = (w.mood & 1) == 0, .has_scram = true, .failures_max = 3, .errors_max = 4};
    struct netaddr peer = {.octets = {192, 0, 2, 1}, .n = 4};
    host.loop = w.loop = loop_new();
    fuzz_check(w.loop != NULL && unixsock_pair(fds) == 0, "pop3: no world");
    w.authd_here = ipc_open(w.loop, fds[0], ROLE_POP3D, ROLE_AUTHD, &authd_ops, NULL);
    w.authd = ipc_open(w.loop, fds[1], ROLE_AUTHD, ROLE_POP3D, &authd_ops, NULL);
    fuzz_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0,
               "pop3: no client");
    w.client = fds[1];
    w.session = session_new(&host, &set, fds[0], &peer);
    fuzz_check(w.session != NULL, "pop3: no session");
}

/* The second octet says how much of the input comes at once. */
void fuzz_pop3(struct span in)
{
    log_set_sink(fuzz_no_log);
    w = (struct world){.mood = in.n > 0 ? (unsigned char)in.p[0] : 0};
    size_t piece = in.n > 1 ? 1 + (size_t)(unsigned char)in.p[1] * 16 : 1;
    begin();
    in = span_from(in, 2);
    while (in.n > 0 && w.session != NULL) {
        struct span part = {in.p, in.n < piece ? in.n : piece};
        ssize_t n = send(w.client, part.p, part.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN)
            break;
        in = span_from(in, n > 0 ? (size_t)n : 0);
        run();
        if (n <= 0 && w.session != NULL)
            break; /* it waits for nobody here */
    }
    shutdown(w.client, SHUT_RDWR);
    run();
    fuzz_check(w.session == NULL, "pop3: the session outlives its client");
    close(w.client);
    ipc_close(w.box);
    ipc_close(w.authd);
    ipc_close(w.authd_here);
    loop_free(w.loop);
}
