/* A worker of smtpd that was taken over, against authd and queue as they are: what it may relay,
 * for whom, and how much. All of it is told in doc/ARCHITECTURE.md. An honest worker beside it
 * keeps what it has. */
#include "tests/fault/disk.h"
#include "tests/fault/subject.h"
#include "tests/fault/tap.h"
#include "tests/fault/work.h"

#include "common/id.h"
#include "common/pack.h"
#include "common/seal.h"
#include "common/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/un.h>

#define CONFIG                                                                                     \
    "[auth]\nfailure_delay = 0s\nfailures_per_address = 3/1h\nfailures_per_account = 6/1h\n"       \
    "[containment]\nmessages_per_user = 4/1h\n"
#define PASSWORD  "correct horse"
#define ELSEWHERE "carol@example.net"

enum worker { HONEST, TAKEN, WORKERS };

static char base[PATH_MAX / 4], state[PATH_MAX / 2];
static struct play authd, queue;
static int to_authd[WORKERS], to_queue[WORKERS];
static uint64_t last_tag = 1000;

struct ticket {
    char octets[TICKET_OCTETS];
    uint64_t session;
};

/* --- the suite --- */

static struct play player(enum role role, unsigned peers)
{
    return (struct play){.role = role,
                         .state_dir = state,
                         .extra = CONFIG,
                         .peers = peers,
                         .trace_fd = -1,
                         .log_fd = tap_log()};
}

/* A channel between the two that neither end of is ours. */
static void join(void)
{
    int pair[2];
    play_pair(pair);
    struct msg_child_peer a = {.role = ROLE_QUEUE}, b = {.role = ROLE_AUTHD};
    play_send(authd.control, MSG_CHILD_PEER, &a, pair[0]);
    play_send(queue.control, MSG_CHILD_PEER, &b, pair[1]);
    close(pair[0]);
    close(pair[1]);
}

static void command(const char *words, struct span secret, const char *arg)
{
    char room[256];
    union msg m;
    int fd;
    struct packer w = packer_on(room, sizeof room);
    pack_bytes(&w, span_of(arg));
    struct msg_admin ask = {
        .tag = ++last_tag, .command = span_of(words), .args = packer_span(&w), .secret = secret};
    int rc = subject_ask(authd.channels[ROLE_CLI], MSG_ADMIN, &ask, MSG_ADMIN_RE, &m, &fd);
    if (rc != 1 || m.admin_re.verdict != VERDICT_OK) {
        errno = 0;
        play_give_up(words);
    }
}

static void connect_worker(enum worker w)
{
    if (to_authd[w] > 0)
        close(to_authd[w]);
    to_authd[w] = play_connect_as(&authd, ROLE_SMTPD, w);
}

static void start(void)
{
    authd = player(ROLE_AUTHD, P_CLI);
    queue = player(ROLE_QUEUE, P_RELAY);
    play_layout(state);
    if (play_start(&authd) < 0 || play_start(&queue) < 0) {
        errno = 0;
        play_give_up("authd and queue");
    }
    join();
    for (enum worker w = HONEST; w < WORKERS; w++) {
        connect_worker(w);
        to_queue[w] = play_connect_as(&queue, ROLE_SMTPD, w);
    }
    command("domain add", SPAN(""), "example.org");
    command("user add", SPAN(PASSWORD), "bob@example.org");
    command("user add", SPAN(PASSWORD), "eve@example.org");
    command("user add", SPAN(PASSWORD), "victim@example.org");
}

/* --- what a worker asks --- */

static enum login_reason log_in(enum worker w, struct msg_login m, struct ticket *t)
{
    union msg re;
    int fd;
    m.tag = ++last_tag;
    m.service = SERVICE_SUBMISSION;
    m.session = ++last_tag;
    if (subject_ask(to_authd[w], MSG_LOGIN, &m, MSG_LOGIN_RE, &re, &fd) != 1)
        play_give_up("a login has no answer");
    if (t != NULL && re.login_re.ticket.n == TICKET_OCTETS) {
        memcpy(t->octets, re.login_re.ticket.p, TICKET_OCTETS);
        t->session = m.session;
    }
    return (enum login_reason)re.login_re.reason;
}

static struct ticket ticket_of(enum worker w, const char *user)
{
    struct ticket t;
    struct msg_login m = {
        .client = SPAN("192.0.2.1"), .user = span_of(user), .password = SPAN(PASSWORD)};
    if (log_in(w, m, &t) != LOGIN_OK)
        play_give_up("a login is refused");
    return t;
}

/* How authd sealed an address of ours, in the room of `out`. */
static struct span sealed(const char *address, char out[SEALED_MAX])
{
    union msg re;
    int fd;
    struct msg_resolve m = {.tag = ++last_tag, .address = span_of(address)};
    if (subject_ask(to_authd[TAKEN], MSG_RESOLVE, &m, MSG_RESOLVE_RE, &re, &fd) != 1 ||
        re.resolve_re.kind != ADDRESS_LOCAL)
        play_give_up("an address is not local");
    memcpy(out, re.resolve_re.sealed.p, re.resolve_re.sealed.n);
    return (struct span){out, re.resolve_re.sealed.n};
}

struct attempt {
    enum worker by;
    struct span ticket;
    uint64_t session;
    const char *sender, *client, *to;
    struct span sealed;
    int fd; /* the connection of a local user, or 0 */
};

static enum intake_reason send_mail(const struct attempt *a)
{
    char room[SEALED_MAX + 1000];
    union msg re;
    enum msg_type type;
    int fd, rc;
    struct packer w = packer_on(room, sizeof room);
    struct rcpt r = {.address = span_of(a->to), .sealed = a->sealed};
    rcpt_pack(&w, &r);
    struct msg_queue_open m = {.tag = ++last_tag,
                               .id = id_new(),
                               .session = a->session,
                               .sender = span_of(a->sender),
                               .client = span_of(a->client),
                               .helo = SPAN("client.example"),
                               .ticket = a->ticket,
                               .rcpts = packer_span(&w),
                               .content = SPAN("Subject: x\r\n\r\nx\r\n"),
                               .is_last = 1};
    play_send(to_queue[a->by], MSG_QUEUE_OPEN, &m, a->fd > 0 ? a->fd : -1);
    while ((rc = play_receive(to_queue[a->by], &re, &type, &fd, PLAY_WAIT_MS)) > 0)
        if (type == MSG_QUEUE_OPEN_RE && re.queue_open_re.tag == m.tag)
            return (enum intake_reason)re.queue_open_re.reason;
    printf("# queue %s\n", rc < 0 ? "closed the channel" : "does not answer");
    return INTAKE_FAULT;
}

static struct attempt attempt(enum worker by, const struct ticket *t, const char *sender)
{
    return (struct attempt){.by = by,
                            .ticket =
                                t != NULL ? (struct span){t->octets, TICKET_OCTETS} : SPAN(""),
                            .session = t != NULL ? t->session : 4711,
                            .sender = sender,
                            .client = "192.0.2.1",
                            .to = ELSEWHERE,
                            .sealed = SPAN("")};
}

static void expect(const struct attempt *a, enum intake_reason wanted, const char *what)
{
    enum intake_reason got = send_mail(a);
    tap_ok(got == wanted, "%s: %s", what, wanted == INTAKE_OK ? "is taken" : "is refused");
    if (got != wanted)
        printf("# reason %u, not %u\n", got, wanted);
}

/* --- tickets --- */

static void other_tickets(struct ticket *bob)
{
    struct ticket eve = ticket_of(TAKEN, "eve@example.org"), t = eve;
    struct attempt a = attempt(TAKEN, &eve, "eve@example.org");
    expect(&a, INTAKE_OK, "the ticket of who logged in there");
    a = attempt(TAKEN, &eve, "bob@example.org");
    expect(&a, INTAKE_SENDER, "the same for another's address");
    a = attempt(TAKEN, NULL, "eve@example.org");
    expect(&a, INTAKE_RELAYING, "no ticket");
    t.octets[chance(TICKET_OCTETS)] ^= (char)(1 << chance(8));
    a = attempt(TAKEN, &t, "eve@example.org");
    expect(&a, INTAKE_LOGIN, "a forged ticket");
    a = attempt(TAKEN, &eve, "eve@example.org");
    a.ticket.n--;
    expect(&a, INTAKE_LOGIN, "a part of a ticket");
    a = attempt(TAKEN, &eve, "eve@example.org");
    a.session++;
    expect(&a, INTAKE_LOGIN, "a ticket in another session");
    a = attempt(TAKEN, bob, "bob@example.org");
    expect(&a, INTAKE_LOGIN, "the ticket of another worker's session");
    a = attempt(HONEST, &eve, "eve@example.org");
    expect(&a, INTAKE_LOGIN, "its ticket with another worker");
}

static void old_tickets(void)
{
    struct ticket eve = ticket_of(TAKEN, "eve@example.org");
    play_send(to_authd[TAKEN], MSG_LOGOUT, &(struct msg_logout){eve.session}, -1);
    ticket_of(TAKEN, "eve@example.org"); /* when it is answered the session has ended */
    struct attempt a = attempt(TAKEN, &eve, "eve@example.org");
    expect(&a, INTAKE_LOGIN, "a ticket after its session");
    eve = ticket_of(TAKEN, "eve@example.org");
    command("user passwd", SPAN("another horse"), "eve@example.org");
    a = attempt(TAKEN, &eve, "eve@example.org");
    expect(&a, INTAKE_LOGIN, "a ticket from before a change of the password");
    command("user passwd", SPAN(PASSWORD), "eve@example.org");
    eve = ticket_of(TAKEN, "eve@example.org");
    connect_worker(TAKEN);
    ticket_of(TAKEN, "eve@example.org"); /* the old channel is gone when this one answers */
    a = attempt(TAKEN, &eve, "eve@example.org");
    expect(&a, INTAKE_LOGIN, "a ticket of a channel that is no more");
}

/* --- recipients, clients --- */

static void seals(void)
{
    char room[SEALED_MAX];
    struct attempt a = attempt(TAKEN, NULL, "stranger@example.com");
    a.to = "bob@example.org";
    a.sealed = sealed("bob@example.org", room);
    expect(&a, INTAKE_OK, "mail for a recipient authd has sealed");
    a.to = "victim@example.org";
    expect(&a, INTAKE_STALE, "another recipient with that seal");
    a.to = ELSEWHERE;
    expect(&a, INTAKE_STALE, "one elsewhere with that seal");
    a.to = "bob@example.org";
    room[chance(a.sealed.n)] ^= (char)(1 << chance(8));
    expect(&a, INTAKE_STALE, "a changed seal");
    a.sealed = SPAN("");
    expect(&a, INTAKE_RELAYING, "one of ours without a seal, as if it were elsewhere");
}

/* A Unix socket as the parent makes it, under a name that is no file. */
static int listener(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof at.sun_family) < 0 || listen(fd, 1) < 0)
        play_give_up("a Unix socket");
    return fd;
}

static void clients(void)
{
    static const struct {
        const char *name;
        enum intake_reason reason; /* without a connection it may have been lost on the way */
    } rows[] = {{"127.0.0.1", INTAKE_RELAYING},
                {"::1", INTAKE_RELAYING},
                {"uid:0", INTAKE_FAULT},
                {"uid:1000", INTAKE_FAULT}};
    struct attempt a = attempt(TAKEN, NULL, "root@example.org");
    char uid[32];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        a.client = rows[i].name;
        expect(&a, rows[i].reason, rows[i].name);
    }
    snprintf(uid, sizeof uid, "uid:%u", (unsigned)geteuid());
    a.client = uid;
    a.fd = listener();
    expect(&a, INTAKE_RELAYING, "the socket users connect to, in the place of a user");
    close(a.fd);
    a.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    expect(&a, INTAKE_RELAYING, "a file in the place of a user");
    close(a.fd);
}

/* --- limits --- */

/* Takes the jobs of the relay until that sender's comes; how many are of `counted`. */
static unsigned jobs_until(const char *last, const char *counted)
{
    union msg m;
    enum msg_type type;
    int fd;
    unsigned n = 0;
    while (play_receive(queue.channels[ROLE_RELAY], &m, &type, &fd, PLAY_WAIT_MS) > 0) {
        if (fd >= 0)
            close(fd);
        if (type != MSG_RELAY_JOB)
            continue;
        n += span_eq(m.relay_job.sender, span_of(counted));
        char room[64];
        struct packer w = packer_on(room, sizeof room);
        struct unpacker u = unpacker_on(m.relay_job.rcpts);
        pack_uint(&w, unpack_uint(&u, 4), 4);
        pack_uint(&w, VERDICT_OK, 1);
        pack_bytes(&w, SPAN("250 2.0.0 ok"));
        bool is_last = span_eq(m.relay_job.sender, span_of(last));
        struct msg_relay_job_re re = {.tag = m.relay_job.tag,
                                      .reach = REACH_OK,
                                      .remote = SPAN("mx[192.0.2.1]:25"),
                                      .results = packer_span(&w)};
        play_send(queue.channels[ROLE_RELAY], MSG_RELAY_JOB_RE, &re, -1);
        if (is_last)
            return n;
    }
    printf("# the job of %s does not come\n", last);
    return UINT_MAX;
}

/* Whatever session, address and name of itself it says: what is counted is the login. The first
 * message was eve's only one so far. */
static void containment(struct ticket *bob)
{
    char client[32];
    unsigned taken = 0;
    for (int i = 0; i < 10; i++) {
        struct ticket eve = ticket_of(TAKEN, "eve@example.org");
        struct attempt a = attempt(TAKEN, &eve, "eve@example.org");
        snprintf(client, sizeof client, "198.51.100.%d", i);
        a.client = client;
        taken += send_mail(&a) == INTAKE_OK;
    }
    tap_ok(taken == 10, "mail of a contained user is not refused");
    struct attempt b = attempt(HONEST, bob, "bob@example.org");
    expect(&b, INTAKE_OK, "the mail of another user meanwhile");
    unsigned n = jobs_until("bob@example.org", "eve@example.org");
    tap_ok(n <= 4, "of 11 messages of his, 4 go out: %u", n);
}

/* Another address each time: then the account is what is counted, and also for pop3d. */
static void guesses(void)
{
    char client[32];
    enum login_reason r = LOGIN_WRONG;
    struct msg_login m = {.user = SPAN("victim@example.org"), .password = SPAN("guess")};
    for (int i = 0; i < 6 && r == LOGIN_WRONG; i++) {
        snprintf(client, sizeof client, "203.0.113.%d", i);
        m.client = span_of(client);
        r = log_in(TAKEN, m, NULL);
    }
    tap_ok(r == LOGIN_WRONG, "six guesses at one account are looked at");
    m.client = SPAN("203.0.113.200");
    m.password = SPAN(PASSWORD);
    r = log_in(TAKEN, m, NULL);
    tap_ok(r == LOGIN_THROTTLED, "the next is not, whatever address it is said to come from");
    r = log_in(HONEST, m, NULL);
    tap_ok(r == LOGIN_THROTTLED, "nor through another worker");
    m.client = SPAN("198.51.100.200");
    m.password = SPAN("guess");
    for (int i = 0; i < 3; i++) {
        m.user = i == 0 ? SPAN("a@example.org") : i == 1 ? SPAN("b@example.org") : SPAN("c@x.org");
        log_in(TAKEN, m, NULL);
    }
    m.user = SPAN("bob@example.org");
    m.password = SPAN(PASSWORD);
    r = log_in(TAKEN, m, NULL);
    tap_ok(r == LOGIN_THROTTLED, "guesses at many accounts from one address are throttled, too");
}

int main(int argc, char **argv)
{
    tap_begin(argc, argv, "tickets", base, sizeof base);
    chance_begin(tap_seed());
    snprintf(state, sizeof state, "%s/state", base);
    start();
    struct ticket bob = ticket_of(HONEST, "bob@example.org");
    other_tickets(&bob);
    old_tickets();
    seals();
    clients();
    containment(&bob);
    guesses();
    tap_ok(play_is_alive(&authd) && play_is_alive(&queue), "authd and queue live");
    bool is_clean = play_stop(&queue) == 0;
    tap_ok(play_stop(&authd) == 0 && is_clean, "and stop");
    return tap_end();
}
