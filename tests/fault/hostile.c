/* A sibling that was taken over says everything to each process it has a channel to, in both
 * directions of each channel of the tree: every row of the table, allowed or not, cut, lengthened,
 * changed, with a descriptor where none belongs; more than anybody can answer; and false answers to
 * what it is asked. So does who connects to an administrator's socket. The process closes that
 * channel and says so once, says nothing that the table does not let it say, keeps what it has
 * (descriptors and memory, too), and goes on to serve the others. New rows and new channels are
 * covered by themselves. */
#include "tests/fault/liar.h"
#include "tests/fault/subject.h"
#include "tests/fault/tap.h"
#include "tests/fault/work.h"

#include "barid/tree.h"
#include "common/config.h"
#include "common/unixsock.h"
#include "common/verdict.h"
#include "tests/fault/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define MUTATIONS  40
#define FLOOD      3000
#define DAYS       12 /* on which a sibling lies */
#define HOSTILE    1  /* the instance that is taken over; 0 is honest */
#define MEMORY_MAX (300U << 20)
#define FDS_SLACK  8 /* connections that are kept for a while; hundreds were sent */

static char base[PATH_MAX / 4], state[PATH_MAX / 2];
static struct ledger ledger;
static const struct subject *subject_of_cli; /* whom an administrator's socket is given */

struct pair {
    enum role owner, sibling;
    /* Says how the owner lives: the sibling is then the only one of its kind. NULL: it is one of
     * several instances, or sessions, and the others are honest. */
    const struct subject *subject;
    bool asks; /* the owner asks this sibling on a day, so it can give false answers */
};

struct attack {
    struct play *owner;
    const struct pair *pair;
    int channel;
    unsigned closed, wrong;
};

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

/* A mailbox that pop3d was given: one for each session, in a day of its own. */
static bool is_granted(const struct pair *p)
{
    return p->owner == ROLE_POP3D && p->sibling == ROLE_MAILBOX;
}

/* Listens where `barid` connects. */
static int control_socket = -1;

static int listen_for_cli(void)
{
    struct error e;
    int low = unixsock_listen(base, "control.sock", &e), fd;
    if (low < 0)
        play_give_up(e.text);
    fd = fcntl(low, F_DUPFD_CLOEXEC, 20);
    close(low);
    return fd;
}

static void give_control(struct play *owner)
{
    if (subject_of_cli != NULL && subject_of_cli->before_start != NULL)
        subject_of_cli->before_start(owner);
    play_send(owner->control, MSG_CHILD_LISTEN, &(struct msg_child_listen){.kind = LISTEN_CONTROL},
              control_socket);
}

/* It serves a few at a time: one who comes before the last one's end was seen is sent away. */
static int connect_cli(void)
{
    struct error e;
    bool is_absent;
    char first;
    for (int i = 0; i < 500; i++) {
        int fd = unixsock_connect(base, "control.sock", &is_absent, &e);
        if (fd < 0)
            play_give_up(e.text);
        play_make_roomy(fd);
        if (poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, PLAY_WAIT_MS) > 0 &&
            recv(fd, &first, 1, MSG_PEEK) > 0) { /* its HELLO */
            play_send(fd, MSG_HELLO, &(struct msg_hello){proto_hash(), ROLE_CLI}, -1);
            return fd;
        }
        close(fd);
        poll(NULL, 0, 10);
    }
    play_give_up("nobody serves the control socket");
}

static void reconnect(struct attack *a)
{
    const struct pair *p = a->pair;
    if (is_granted(p))
        return;
    if (p->sibling == ROLE_CLI) {
        if (a->channel >= 0)
            close(a->channel);
        a->channel = connect_cli();
        return;
    }
    if (p->subject != NULL) {
        play_connect(a->owner, p->sibling);
        a->channel = a->owner->channels[p->sibling];
        poll(&(struct pollfd){.fd = a->channel, .events = POLLIN}, 1, PLAY_WAIT_MS); /* its HELLO */
        return;
    }
    if (a->channel >= 0)
        close(a->channel);
    a->channel = p->owner == ROLE_MAILBOX && p->sibling == ROLE_POP3D
                     ? connect_pop3d(a->owner)
                     : play_connect_as(a->owner, p->sibling, HOSTILE);
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
        if (is_let_in || !liar_may(a->pair->owner, type, a->pair->sibling)) {
            printf("# it said %s to %s\n", proto_desc(type)->name, role_name(a->pair->sibling));
            a->wrong++;
        }
    }
    return rc;
}

/* --- attacks --- */

static void say_forbidden(struct attack *a, const struct lie *l)
{
    a->closed++;
    if (is_granted(a->pair)) { /* that it was closed is seen in the log */
        liar_say_instead(l);
        play_spoil(liar_interpose);
        for (int i = 0; i < 3 && !liar_has_said(); i++)
            a->pair->subject->day(a->owner);
        play_spoil(NULL);
        return;
    }
    play_send_raw(a->channel, l->octets, l->n, l->fd);
    if (take(a, 10000) == 0) {
        printf("# after %s %s the channel is open\n", l->what, proto_desc(l->type)->name);
        a->wrong++;
    }
    reconnect(a);
}

static void say_changed(struct attack *a, enum msg_type type)
{
    char out[IPC_MAX];
    for (int i = 0; i < MUTATIONS; i++) {
        size_t n = liar_pack(type, out);
        liar_change(out, n, 0);
        play_send_raw(a->channel, out, n, proto_desc(type)->has_fd ? liar_fd() : -1);
        reconnect(a); /* whatever became of it */
    }
}

/* Sends as fast as it is taken and reads nothing. */
static void flood(struct attack *a, enum msg_type type)
{
    char out[IPC_MAX];
    if (!liar_may(a->pair->sibling, type, a->pair->owner))
        return;
    struct timeval short_wait = {.tv_usec = 50000};
    setsockopt(a->channel, SOL_SOCKET, SO_SNDTIMEO, &short_wait, sizeof short_wait);
    for (int i = 0; i < FLOOD; i++)
        if (play_send_raw(a->channel, out, liar_pack(type, out),
                          proto_desc(type)->has_fd ? liar_fd() : -1) < 0)
            break;
    reconnect(a);
}

/* A day on which every second answer is not true. What the subject finds wrong with it is of no
 * interest here. */
static int lying_day(struct attack *a)
{
    fflush(stdout);
    int said = fcntl(1, F_DUPFD_CLOEXEC, 20), unsaid = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(unsaid, 1);
    play_spoil(liar_spoil);
    int rc = a->pair->subject->day(a->owner);
    subject_take_wrong();
    play_spoil(NULL);
    fflush(stdout);
    dup2(said, 1);
    close(said);
    close(unsaid);
    return rc;
}

static void lie(struct attack *a)
{
    for (int i = 0; i < DAYS && play_is_alive(a->owner); i++) {
        int rc = lying_day(a);
        if (rc == WORK_SILENCE) {
            printf("# it falls silent over false answers\n");
            a->wrong++;
        }
        reconnect(a);
    }
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

static bool serves_honest(struct play *owner, const struct subject *s)
{
    if (s != NULL) {
        s->again(owner);
        return subject_take_wrong() == 0;
    }
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

/* --- what it has --- */

/* -1: not to be known. */
static int count_fds(const struct play *p)
{
    char path[64];
    int n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)p->pid);
    DIR *d = opendir(path);
    if (d == NULL)
        return -1;
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static size_t memory_of(const struct play *p)
{
    char path[64];
    unsigned long total = 0, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)p->pid);
    FILE *f = fopen(path, "r");
    if (f == NULL || fscanf(f, "%lu %lu", &total, &resident) != 2)
        resident = 0;
    if (f != NULL)
        fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* What it was sent is soon closed again. */
static bool has_kept_nothing(const struct play *p, int fds_before)
{
    int fds = count_fds(p);
    for (int i = 0; i < 300 && fds > fds_before + FDS_SLACK; i++) {
        poll(NULL, 0, 20);
        fds = count_fds(p);
    }
    size_t memory = memory_of(p);
    if (fds <= fds_before + FDS_SLACK && memory < MEMORY_MAX)
        return true;
    printf("# it has %d descriptors (before: %d) and %zu octets of memory\n", fds, fds_before,
           memory);
    return false;
}

static void expect_lines(struct attack *a, const char *log)
{
    unsigned n = lines_with(log, "channel-closed");
    for (int i = 0; i < 1000 && n < a->closed; i++) {
        poll(NULL, 0, 10); /* a channel is closed a moment before its line is written */
        n = lines_with(log, "channel-closed");
    }
    if (n == a->closed)
        return;
    printf("# %u channels were closed, and the log says %u\n", a->closed, n);
    a->wrong++;
}

/* Where each needs a session: a sixth, without --all. */
static bool is_said(const struct pair *p)
{
    return !is_granted(p) || tap_is_all() || chance(6) == 0;
}

static unsigned attack(struct play *owner, const struct pair *p, const char *log)
{
    static struct lie l;
    struct attack a = {.owner = owner, .pair = p, .channel = -1};
    liar_begin(owner, p->sibling);
    reconnect(&a);
    for (size_t k = 0; k < LIES && play_is_alive(owner); k++)
        if (is_said(p) && liar_forbidden(k, p->sibling, p->owner, &l))
            say_forbidden(&a, &l);
    expect_lines(&a, log);
    for (unsigned t = MSG_NONE + 1; t < MSG_TYPES && play_is_alive(owner) && !is_granted(p); t++)
        say_changed(&a, (enum msg_type)t);
    for (unsigned t = MSG_NONE + 1; t < MSG_TYPES && play_is_alive(owner) && !is_granted(p); t++)
        flood(&a, (enum msg_type)t);
    if (p->asks)
        lie(&a);
    if (p->subject == NULL || p->sibling == ROLE_CLI)
        close(a.channel);
    return a.wrong;
}

static unsigned peers_of(const struct pair *p)
{
    static const unsigned peers[ROLES] = {[ROLE_QUEUE] = P_SMTPD | P_AUTHD | P_MAILBOX | P_RELAY,
                                          [ROLE_AUTHD] = P_SMTPD | P_POP3D | P_QUEUE | P_MAILBOX,
                                          [ROLE_KEYD] = P_SMTPD | P_POP3D,
                                          [ROLE_MAILBOX] = P_AUTHD | P_QUEUE};
    if (p->subject == NULL)
        return peers[p->owner];
    return p->subject->peers | (is_granted(p) || p->sibling == ROLE_CLI ? 0 : 1U << p->sibling);
}

static bool begin(struct play *owner, const struct pair *p)
{
    static char own[PATH_MAX / 2], template[PATH_MAX / 2];
    owner->peers = peers_of(p);
    if (p->subject != NULL) {
        snprintf(own, sizeof own, "%s/%s%s", base, role_name(p->owner),
                 p->subject->is_kept ? "" : role_name(p->sibling));
        snprintf(template, sizeof template, "%s/%s-template", base, role_name(p->owner));
        p->subject->lay_out(own, template);
        owner->state_dir = own;
        owner->extra = p->subject->config;
        owner->before_start = p->subject->before_start;
    }
    if (p->sibling == ROLE_CLI) {
        subject_of_cli = p->subject;
        owner->before_start = give_control;
    }
    return play_start(owner) == 0 &&
           (p->owner != ROLE_QUEUE || p->subject != NULL || work_begin(owner, &ledger) == 0);
}

static void face(const struct pair *p)
{
    char log[PATH_MAX];
    struct play owner = {.role = p->owner,
                         .state_dir = state,
                         .extra = WORK_CONFIG,
                         .trace_fd = -1,
                         .log_fd = open_log(log, sizeof log, p)};
    if (!begin(&owner, p)) {
        tap_ok(false, "%s starts: %s", role_name(p->owner), owner.why);
        return;
    }
    bool is_honest_before = serves_honest(&owner, p->subject);
    int fds = count_fds(&owner);
    unsigned wrong = attack(&owner, p, log);
    bool is_alive = play_is_alive(&owner),
         is_served = is_alive && serves_honest(&owner, p->subject);
    bool is_lean = is_alive && has_kept_nothing(&owner, fds);
    bool is_clean = is_alive ? play_stop(&owner) == 0 : play_kill(&owner) == 0;
    close(owner.log_fd);
    if (!is_alive || !is_served || !is_clean || !is_honest_before)
        printf("# alive: %d, serves others: %d (before: %d), stops: %d\n", is_alive, is_served,
               is_honest_before, is_clean);
    tap_ok(wrong == 0 && is_honest_before && is_served && is_clean && is_lean,
           "%s faces a hostile %s", role_name(p->owner), role_name(p->sibling));
}

static const struct pair pairs[] = {
    {ROLE_QUEUE, ROLE_SMTPD, NULL, false},
    {ROLE_QUEUE, ROLE_RELAY, NULL, false},
    {ROLE_QUEUE, ROLE_MAILBOX, NULL, false},
    {ROLE_QUEUE, ROLE_POLICY, NULL, false},
    {ROLE_QUEUE, ROLE_AUTHD, &subject_queue, true},
    {ROLE_QUEUE, ROLE_RELAY, &subject_queue, true},
    {ROLE_AUTHD, ROLE_SMTPD, NULL, false},
    {ROLE_AUTHD, ROLE_POP3D, NULL, false},
    {ROLE_AUTHD, ROLE_QUEUE, NULL, false},
    {ROLE_AUTHD, ROLE_MAILBOX, NULL, false},
    {ROLE_AUTHD, ROLE_PAMD, NULL, false},
    {ROLE_PAMD, ROLE_AUTHD, &subject_pamd, false},
    {ROLE_KEYD, ROLE_SMTPD, NULL, false},
    {ROLE_KEYD, ROLE_POP3D, NULL, false},
    {ROLE_SMTPD, ROLE_AUTHD, &subject_smtpd, true},
    {ROLE_SMTPD, ROLE_QUEUE, &subject_smtpd, true},
    {ROLE_SMTPD, ROLE_KEYD, &subject_smtpd, false},
    {ROLE_POP3D, ROLE_AUTHD, &subject_pop3d, true},
    {ROLE_POP3D, ROLE_MAILBOX, &subject_pop3d, true},
    {ROLE_POP3D, ROLE_KEYD, &subject_pop3d, false},
    {ROLE_RELAY, ROLE_QUEUE, &subject_relay, true},
    {ROLE_RELAY, ROLE_RESOLVER, &subject_relay, true},
    {ROLE_RELAY, ROLE_POLICY, &subject_relay, true},
    {ROLE_POLICY, ROLE_RELAY, &subject_policy, true},
    {ROLE_POLICY, ROLE_RESOLVER, &subject_policy, true},
    {ROLE_POLICY, ROLE_QUEUE, &subject_policy, true},
    {ROLE_RESOLVER, ROLE_RELAY, &subject_resolver, true},
    {ROLE_RESOLVER, ROLE_POLICY, &subject_resolver, false},
    {ROLE_MAILBOX, ROLE_AUTHD, &subject_mailbox, true},
    {ROLE_MAILBOX, ROLE_QUEUE, &subject_mailbox, true},
    {ROLE_MAILBOX, ROLE_POP3D, NULL, false},
    {ROLE_QUEUE, ROLE_CLI, NULL, false},
    {ROLE_AUTHD, ROLE_CLI, NULL, false},
    {ROLE_MAILBOX, ROLE_CLI, NULL, false},
    {ROLE_RELAY, ROLE_CLI, &subject_relay, false},
};
#define PAIRS (sizeof pairs / sizeof pairs[0])

/* Not every process is in every build. */
static bool is_built(enum role role)
{
#ifdef HAVE_PAM
    (void)role;
    return true;
#else
    return role != ROLE_PAMD;
#endif
}

static bool is_faced(enum role owner, enum role sibling)
{
    for (size_t i = 0; i < PAIRS; i++)
        if (pairs[i].owner == owner && pairs[i].sibling == sibling)
            return true;
    printf("# nobody looks how %s faces a hostile %s\n", role_name(owner), role_name(sibling));
    return false;
}

static void expect_all_channels(void)
{
    bool is_all = is_faced(ROLE_POP3D, ROLE_MAILBOX) && is_faced(ROLE_MAILBOX, ROLE_POP3D);
    for (size_t i = 0; i < tree_n_channels; i++) {
        const struct tree_channel *c = &tree_channels[i];
        is_all = is_faced(c->a, c->b) && is_faced(c->b, c->a) && is_all;
    }
    for (size_t i = 0; i < tree_n_processes; i++)
        if (tree_processes[i].control != NULL)
            is_all = is_faced(tree_processes[i].role, ROLE_CLI) && is_all;
    tap_ok(is_all, "both ends of every channel are attacked, and every socket for commands");
}

int main(int argc, char **argv)
{
    static const struct subject *const played[] = {&subject_relay, &subject_resolver,
                                                   &subject_mailbox};
    const char *only = getenv("BARID_HOSTILE_ROLE"); /* to look into one */
    char dir[PATH_MAX];
    tap_begin(argc, argv, "hostile", base, sizeof base);
    chance_begin(tap_seed());
    snprintf(state, sizeof state, "%s/state", base);
    snprintf(dir, sizeof dir, "%s/queue", state);
    play_layout(state);
    control_socket = listen_for_cli();
    expect_all_channels();
    for (size_t i = 0; i < PAIRS; i++)
        if (is_built(pairs[i].owner) &&
            (only == NULL || strcmp(only, role_name(pairs[i].owner)) == 0))
            face(&pairs[i]);
    for (size_t i = 0; i < sizeof played / sizeof played[0]; i++)
        played[i]->put_away();
    if (only == NULL)
        tap_ok(ledger_check(&ledger, dir, NEVER - 1) == 0, "the mail is as it was");
    return tap_end();
}
