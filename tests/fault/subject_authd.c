/* authd: logins, questions about addresses, commands. A fault of its own is never "wrong password"
 * or "no such user"; a wrong password is never right; what a command was told was done is there. */
#include "tests/fault/subject.h"
#include "tests/fault/work.h"

#include "common/pack.h"
#include "common/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#define DOMAIN   "example.org"
#define OLD      "old@" DOMAIN
#define NEW      "new@" DOMAIN
#define PASSWORD "correct horse"
#define PEERS    (P_SMTPD | P_POP3D | P_QUEUE | P_MAILBOX | P_CLI)
#define CONFIG   "[auth]\nfailure_delay = 0s\nfailures_per_address = none\n"

static struct {
    bool was_asked, was_added, is_unsure; /* NEW */
} told;

static uint64_t last_tag;

/* --- questions --- */

static int command(struct play *p, const char *words, struct span secret, struct span arg,
                   enum verdict *verdict)
{
    char room[256];
    union msg m;
    int fd;
    struct packer w = packer_on(room, sizeof room);
    pack_bytes(&w, arg);
    struct msg_admin ask = {
        .tag = ++last_tag, .command = span_of(words), .args = packer_span(&w), .secret = secret};
    int rc = subject_ask(p->channels[ROLE_CLI], MSG_ADMIN, &ask, MSG_ADMIN_RE, &m, &fd);
    *verdict = rc > 0 ? (enum verdict)m.admin_re.verdict : VERDICT_TRY_LATER;
    return rc;
}

static int log_in(struct play *p, enum role as, const char *user, const char *password,
                  enum verdict *verdict)
{
    union msg m;
    enum msg_type type;
    int fd, grant_fd;
    last_tag++;
    struct msg_login ask = {.tag = last_tag,
                            .service = as == ROLE_POP3D ? SERVICE_POP3 : SERVICE_SUBMISSION,
                            .session = last_tag,
                            .client = SPAN("192.0.2.1"),
                            .user = span_of(user),
                            .password = span_of(password)};
    int rc = subject_ask(p->channels[as], MSG_LOGIN, &ask, MSG_LOGIN_RE, &m, &fd);
    if (rc < 0)
        return rc;
    *verdict = (enum verdict)m.login_re.verdict;
    if (fd >= 0)
        close(fd);
    while (play_receive(p->channels[ROLE_MAILBOX], &m, &type, &grant_fd, 0) > 0)
        if (grant_fd >= 0)
            close(grant_fd);
    return 1;
}

static int expect_login(struct play *p, enum role as, const char *password)
{
    enum verdict v;
    bool is_right = strcmp(password, PASSWORD) == 0;
    int rc = log_in(p, as, OLD, password, &v);
    if (rc > 0 && v != VERDICT_TRY_LATER && v != (is_right ? VERDICT_OK : VERDICT_NEVER))
        subject_complain_of(is_right ? "the right password" : "a wrong password", v);
    return rc;
}

/* -1, WORK_SILENCE or 1; *kind: ADDRESS_… */
static int resolve(struct play *p, const char *address, enum verdict *v, unsigned *kind)
{
    union msg m;
    int fd;
    struct msg_resolve ask = {.tag = ++last_tag, .address = span_of(address)};
    int rc = subject_ask(p->channels[ROLE_SMTPD], MSG_RESOLVE, &ask, MSG_RESOLVE_RE, &m, &fd);
    *v = rc > 0 ? (enum verdict)m.resolve_re.verdict : VERDICT_TRY_LATER;
    *kind = rc > 0 ? m.resolve_re.kind : ADDRESS_UNKNOWN;
    return rc;
}

static int expect_local(struct play *p)
{
    enum verdict v;
    unsigned kind;
    int rc = resolve(p, OLD, &v, &kind);
    if (rc > 0 && v == VERDICT_OK && kind != ADDRESS_LOCAL)
        subject_complain_of("a user's address is not local", v);
    return rc;
}

static int add_new(struct play *p)
{
    enum verdict v;
    told.was_asked = true;
    int rc = command(p, "user add", SPAN(PASSWORD), SPAN(NEW), &v);
    told.was_added = rc > 0 && v == VERDICT_OK;
    told.is_unsure = rc < 0;
    return rc;
}

/* --- a day --- */

static int day(struct play *p)
{
    int rc = expect_local(p);
    rc = rc > 0 ? expect_login(p, ROLE_POP3D, PASSWORD) : rc;
    rc = rc > 0 ? expect_login(p, ROLE_SMTPD, "wrong horse") : rc;
    rc = rc > 0 ? add_new(p) : rc;
    rc = rc > 0 ? expect_login(p, ROLE_SMTPD, PASSWORD) : rc;
    return rc > 0 ? 0 : rc;
}

/* After an I/O error it ends, and what it refused may be on disk. */
static void evening(bool is_clean)
{
    told.is_unsure |= !is_clean;
}

static void again(struct play *p)
{
    enum verdict v = VERDICT_TRY_LATER;
    unsigned kind;
    if (log_in(p, ROLE_POP3D, OLD, PASSWORD, &v) < 0 || v != VERDICT_OK)
        subject_complain_of("afterwards, a login", v);
    if (resolve(p, NEW, &v, &kind) < 0 || v != VERDICT_OK)
        subject_complain_of("afterwards, an address", v);
    bool is_there = v == VERDICT_OK && kind == ADDRESS_LOCAL;
    if (is_there ? !told.was_asked || (!told.was_added && !told.is_unsure) : told.was_added)
        subject_complain_of(
            is_there ? "a user who was refused is there" : "a user who was added is gone", v);
    if (is_there && (log_in(p, ROLE_SMTPD, NEW, PASSWORD, &v) < 0 || v != VERDICT_OK))
        subject_complain_of("a login of the new user", v);
}

static unsigned stopped(const char *state)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/authd/users.db", state);
    return subject_check_store(path);
}

/* --- before --- */

static void copy(const char *from, const char *to)
{
    static char octets[1 << 20];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t n = read(in, octets, sizeof octets);
    if (out < 0 || n <= 0 || n == sizeof octets || write(out, octets, (size_t)n) != n)
        play_give_up(from);
    close(in);
    close(out);
    play_give(to, ROLE_AUTHD);
}

static void make_template(const char *state)
{
    enum verdict a = VERDICT_NEVER, b = VERDICT_NEVER;
    struct play p = {.role = ROLE_AUTHD,
                     .state_dir = state,
                     .extra = CONFIG,
                     .peers = PEERS,
                     .trace_fd = -1,
                     .log_fd = 2};
    play_layout(state);
    if (play_start(&p) < 0 || command(&p, "domain add", SPAN(""), SPAN(DOMAIN), &a) < 0 ||
        command(&p, "user add", SPAN(PASSWORD), SPAN(OLD), &b) < 0 || a != VERDICT_OK ||
        b != VERDICT_OK || play_stop(&p) != 0) {
        errno = 0;
        play_give_up("authd without a fault");
    }
}

static void lay_out(const char *state, const char *template)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct stat st;
    memset(&told, 0, sizeof told);
    if (stat(template, &st) < 0)
        make_template(template);
    play_layout(state);
    snprintf(from, sizeof from, "%s/authd/users.db", template);
    snprintf(to, sizeof to, "%s/authd/users.db", state);
    copy(from, to);
}

const struct subject subject_authd = {.role = ROLE_AUTHD,
                                      .peers = PEERS,
                                      .config = CONFIG,
                                      .sample = 2,
                                      .lay_out = lay_out,
                                      .day = day,
                                      .evening = evening,
                                      .again = again,
                                      .stopped = stopped};
