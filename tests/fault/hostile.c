/* A sibling that was taken over says everything to an owner: every row of the table, allowed or
 * not, cut, lengthened, changed, with a descriptor where none belongs, and more than anybody can
 * answer. The owner closes that channel and says so once, answers with nothing that the table does
 * not let it say, keeps what it has, and goes on to serve the others. New rows are covered by
 * themselves. */
#include "tests/fault/disk.h"
#include "tests/fault/tap.h"
#include "tests/fault/work.h"

#include "common/verdict.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define MUTATIONS 40
#define FLOOD     3000
#define HOSTILE   1 /* the instance that is taken over; 0 is honest */

static char base[PATH_MAX / 4], state[PATH_MAX / 2];
static struct ledger ledger;

struct pair {
    enum role owner, sibling;
};

struct attack {
    struct play *owner;
    enum role sibling;
    int channel;
    unsigned closed, wrong;
};

/* --- messages --- */

/* A plausible value for every field. */
static size_t pack_some(enum msg_type type, char *out)
{
    static char octets[64];
    const struct msg_desc *d = proto_desc(type);
    union msg m = {0};
    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (char)chance(256);
    for (size_t i = 0; i < d->n_fields; i++) {
        const struct field_desc *f = &d->fields[i];
        char *at = (char *)&m + f->offset;
        uint64_t number = chance(3) == 0 ? chance(UINT64_MAX) : chance(3);
        struct span text = {f->type == FIELD_TEXT ? "eve@example.net" : octets, chance(15)};
        text.n = text.n < f->max ? text.n : f->max;
        if (f->type == FIELD_TEXT || f->type == FIELD_BYTES)
            memcpy(at, &text, sizeof text);
        else
            memcpy(at, &number, (size_t)1 << (f->type - FIELD_U8));
    }
    return proto_pack(out, IPC_MAX, type, &m);
}

static bool is_allowed(enum role from, enum msg_type type, enum role to)
{
    const struct msg_desc *d = proto_desc(type);
    return type != MSG_HELLO && (d->from & 1U << from) != 0 && (d->to & 1U << to) != 0;
}

/* --- channels --- */

static int connect_pop3d(struct play *mailbox)
{
    int pair[2];
    play_pair(pair);
    struct msg_box_grant m = {.box = LEDGER_BOXES,
                              .session = chance(INT64_MAX),
                              .address = SPAN("user@example.org"),
                              .client = SPAN("127.0.0.1")};
    play_send(mailbox->channels[ROLE_AUTHD], MSG_BOX_GRANT, &m, pair[1]);
    close(pair[1]);
    struct msg_hello hello = {proto_hash(), ROLE_POP3D};
    play_send(pair[0], MSG_HELLO, &hello, -1);
    return pair[0];
}

static void reconnect(struct attack *a)
{
    if (a->channel >= 0)
        close(a->channel);
    a->channel = a->owner->role == ROLE_MAILBOX && a->sibling == ROLE_POP3D
                     ? connect_pop3d(a->owner)
                     : play_connect_as(a->owner, a->sibling, HOSTILE);
}

/* Takes what comes. -1: the channel was closed. */
static int take(struct attack *a, int timeout_ms)
{
    union msg m;
    enum msg_type type;
    int fd, rc;
    while ((rc = play_receive(a->channel, &m, &type, &fd, timeout_ms)) > 0) {
        bool is_let_in = (type == MSG_LOGIN_RE && (m.login_re.verdict == VERDICT_OK || fd >= 0)) ||
                         (type == MSG_KEY_SIGN_RE && m.key_sign_re.verdict == VERDICT_OK);
        if (fd >= 0)
            close(fd);
        if (is_let_in || !is_allowed(a->owner->role, type, a->sibling)) {
            printf("# it said %s to %s\n", proto_desc(type)->name, role_name(a->sibling));
            a->wrong++;
        }
    }
    return rc;
}

static void expect_closed(struct attack *a, const char *what, enum msg_type type)
{
    if (take(a, 3000) == 0) {
        printf("# after %s %s the channel is open\n", what, proto_desc(type)->name);
        a->wrong++;
    }
    a->closed++;
    reconnect(a);
}

/* --- attacks --- */

static void send_forbidden(struct attack *a, enum msg_type type)
{
    char out[IPC_MAX];
    if (is_allowed(a->sibling, type, a->owner->role))
        return;
    play_send_raw(a->channel, out, pack_some(type, out), -1);
    expect_closed(a, "a forbidden", type);
}

static void send_damaged(struct attack *a, enum msg_type type)
{
    char out[IPC_MAX] = {0};
    size_t n = pack_some(type, out);
    size_t cuts[] = {1, n / 2, n - 1, n + 1};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++)
        if (cuts[i] > 0 && cuts[i] != n) {
            play_send_raw(a->channel, out, cuts[i], -1);
            expect_closed(a, "a cut", type);
        }
    if (proto_desc(type)->has_fd)
        return;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    play_send_raw(a->channel, out, n, fd);
    close(fd);
    expect_closed(a, "a descriptor with", type);
}

static void send_changed(struct attack *a, enum msg_type type)
{
    char out[IPC_MAX];
    for (int i = 0; i < MUTATIONS; i++) {
        size_t n = pack_some(type, out);
        for (uint64_t k = 0; k < 1 + chance(3); k++)
            out[chance(n)] ^= (char)(1 << chance(8));
        play_send_raw(a->channel, out, n, -1);
        reconnect(a); /* whatever became of it */
    }
}

/* Sends as fast as it is taken and reads nothing. */
static void flood(struct attack *a, enum msg_type type)
{
    char out[IPC_MAX];
    if (!is_allowed(a->sibling, type, a->owner->role))
        return;
    struct timeval short_wait = {.tv_usec = 50000};
    setsockopt(a->channel, SOL_SOCKET, SO_SNDTIMEO, &short_wait, sizeof short_wait);
    for (int i = 0; i < FLOOD; i++)
        if (play_send_raw(a->channel, out, pack_some(type, out), -1) < 0)
            break;
    reconnect(a);
}

/* --- the honest --- */

static bool resolves(struct play *authd)
{
    union msg m;
    enum msg_type type;
    int fd, smtpd = authd->channels[ROLE_SMTPD];
    struct msg_resolve ask = {.tag = 1, .address = SPAN("user@example.org")};
    return play_send(smtpd, MSG_RESOLVE, &ask, -1) == 0 &&
           play_receive(smtpd, &m, &type, &fd, PLAY_WAIT_MS) > 0 && type == MSG_RESOLVE_RE &&
           m.resolve_re.verdict == VERDICT_OK && m.resolve_re.kind == ADDRESS_FOREIGN;
}

static bool opens_box(struct play *mailbox)
{
    union msg m;
    enum msg_type type;
    int fd, channel = -1, rc = 0;
    for (int i = 0; i < 50; i++) { /* the taken-over session may hold its lock for a moment */
        channel = connect_pop3d(mailbox);
        rc = play_receive(channel, &m, &type, &fd, PLAY_WAIT_MS);
        close(channel);
        if (rc > 0 && type == MSG_BOX_OPENED && m.box_opened.reason == BOX_OK)
            return true;
        poll(NULL, 0, 20);
    }
    return false;
}

/* It has no keys here, and says so. */
static bool answers_about_key(struct play *keyd)
{
    union msg m;
    enum msg_type type;
    char key[KEY_ID] = {0};
    int fd, smtpd = keyd->channels[ROLE_SMTPD];
    struct msg_key_sign ask = {
        .tag = 1, .key = {key, sizeof key}, .scheme = KEY_ED25519, .input = SPAN("anything")};
    if (play_send(smtpd, MSG_KEY_SIGN, &ask, -1) < 0)
        return false;
    while (play_receive(smtpd, &m, &type, &fd, PLAY_WAIT_MS) > 0)
        if (type == MSG_KEY_SIGN_RE)
            return m.key_sign_re.verdict == VERDICT_NEVER;
    return false;
}

static bool serves_honest(struct play *owner)
{
    if (owner->role == ROLE_QUEUE)
        return work_proof(owner, &ledger) == 0;
    if (owner->role == ROLE_KEYD)
        return answers_about_key(owner);
    return owner->role == ROLE_AUTHD ? resolves(owner) : opens_box(owner);
}

static unsigned lines_with(const char *path, const char *text)
{
    char line[4096];
    unsigned n = 0;
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        n += strstr(line, text) != NULL;
    if (f != NULL)
        fclose(f);
    return n;
}

/* A pipe, as the parent's: not every role may write to a file. */
static int open_log(char *path, size_t cap, const struct pair *p)
{
    int ends[2], file;
    snprintf(path, cap, "%s/%s-%s.log", base, role_name(p->owner), role_name(p->sibling));
    file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || pipe2(ends, O_CLOEXEC) < 0)
        play_give_up(path);
    pid_t writer = fork();
    if (writer == 0) {
        char some[4096];
        close(ends[1]);
        for (ssize_t n; (n = read(ends[0], some, sizeof some)) > 0;)
            if (write(file, some, (size_t)n) != n)
                _exit(1);
        _exit(0);
    }
    close(file);
    close(ends[0]);
    int fd = fcntl(ends[1], F_DUPFD_CLOEXEC, 20);
    close(ends[1]);
    return fd;
}

static unsigned attack(struct play *owner, const struct pair *p, const char *log)
{
    struct attack a = {.owner = owner, .sibling = p->sibling, .channel = -1};
    reconnect(&a);
    for (unsigned t = MSG_NONE + 1; t < MSG_TYPES; t++) {
        send_forbidden(&a, (enum msg_type)t);
        send_damaged(&a, (enum msg_type)t);
    }
    for (int i = 0; i < 200 && lines_with(log, "channel-closed") < a.closed; i++)
        poll(NULL, 0, 10); /* a channel is closed a moment before its line is written */
    if (lines_with(log, "channel-closed") != a.closed) {
        printf("# %u channels were closed, and the log says %u\n", a.closed,
               lines_with(log, "channel-closed"));
        a.wrong++;
    }
    for (unsigned t = MSG_NONE + 1; t < MSG_TYPES && play_is_alive(owner); t++)
        send_changed(&a, (enum msg_type)t);
    for (unsigned t = MSG_NONE + 1; t < MSG_TYPES && play_is_alive(owner); t++)
        flood(&a, (enum msg_type)t);
    close(a.channel);
    return a.wrong;
}

static void face(const struct pair *p)
{
    char log[PATH_MAX];
    struct play owner = {.role = p->owner,
                         .state_dir = state,
                         .extra = WORK_CONFIG,
                         .peers = P_SMTPD | P_AUTHD | P_MAILBOX | P_RELAY,
                         .trace_fd = -1,
                         .log_fd = open_log(log, sizeof log, p)};
    if (p->owner == ROLE_AUTHD)
        owner.peers = P_SMTPD | P_POP3D | P_QUEUE | P_MAILBOX;
    if (p->owner == ROLE_KEYD)
        owner.peers = P_SMTPD | P_POP3D;
    if (p->owner == ROLE_MAILBOX)
        owner.peers = P_AUTHD | P_QUEUE;
    if (play_start(&owner) < 0 || (p->owner == ROLE_QUEUE && work_begin(&owner, &ledger) < 0)) {
        tap_ok(false, "%s starts: %s", role_name(p->owner), owner.why);
        return;
    }
    bool is_honest_before = serves_honest(&owner);
    unsigned wrong = attack(&owner, p, log);
    bool is_alive = play_is_alive(&owner), is_served = is_alive && serves_honest(&owner);
    bool is_clean = is_alive ? play_stop(&owner) == 0 : play_kill(&owner) == 0;
    close(owner.log_fd);
    if (!is_alive || !is_served || !is_clean || !is_honest_before)
        printf("# alive: %d, serves others: %d (before: %d), stops: %d\n", is_alive, is_served,
               is_honest_before, is_clean);
    tap_ok(wrong == 0 && is_honest_before && is_served && is_clean, "%s faces a hostile %s",
           role_name(p->owner), role_name(p->sibling));
}

int main(int argc, char **argv)
{
    static const struct pair pairs[] = {
        {ROLE_QUEUE, ROLE_SMTPD},   {ROLE_QUEUE, ROLE_RELAY},   {ROLE_QUEUE, ROLE_MAILBOX},
        {ROLE_QUEUE, ROLE_POLICY},  {ROLE_AUTHD, ROLE_SMTPD},   {ROLE_AUTHD, ROLE_POP3D},
        {ROLE_AUTHD, ROLE_QUEUE},   {ROLE_AUTHD, ROLE_MAILBOX}, {ROLE_MAILBOX, ROLE_POP3D},
        {ROLE_MAILBOX, ROLE_QUEUE}, {ROLE_KEYD, ROLE_SMTPD},    {ROLE_KEYD, ROLE_POP3D},
    };
    char dir[PATH_MAX];
    tap_begin(argc, argv, "hostile", base, sizeof base);
    chance_begin(tap_seed());
    snprintf(state, sizeof state, "%s/state", base);
    snprintf(dir, sizeof dir, "%s/queue", state);
    play_layout(state);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        face(&pairs[i]);
    tap_ok(ledger_check(&ledger, dir, NEVER - 1) == 0, "the mail is as it was");
    return tap_end();
}
