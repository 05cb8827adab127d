#include "tests/unit/authd/fakeproc.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/unixsock.h"
#include "tests/unit/halfproc.h"

#include <criterion/criterion.h>
#include <sys/stat.h>

#define HEARD_MAX 64

struct side {
    struct ipc *ours, *theirs;
    struct heard heard[HEARD_MAX];
    size_t n;
};

static struct proc self;
static struct side sides[ROLES];
static char dir[64];
char fake_password[100];

int proc_main(int argc, char **argv, const struct proc_spec *spec)
{
    (void)argc, (void)argv, (void)spec;
    return 1;
}

/* --- channels --- */

static void gone(void *owner, struct ipc *ch)
{
    (void)owner;
    enum role role = ipc_peer(ch);
    sides[role].ours = self.peers[role] = NULL;
    authd_spec.peer_down(&self, role, 0, ch);
    ipc_close(ch);
}

static void ignore(void *owner, struct ipc *ch)
{
    (void)owner, (void)ch;
}

static struct side *side_of(void *owner)
{
    return &sides[(uintptr_t)owner];
}

static struct heard *note(void *owner, enum msg_type type, int fd)
{
    struct side *s = side_of(owner);
    cr_assert_lt(s->n, HEARD_MAX);
    struct heard *h = &s->heard[s->n++];
    *h = (struct heard){.type = type, .fd = fd};
    return h;
}

static void copy(struct heard *h, struct span text)
{
    size_t n = text.n < sizeof h->text - 1 ? text.n : sizeof h->text - 1;
    if (n > 0)
        memcpy(h->text, text.p, n);
    h->text[n] = '\0';
}

static void on_seal_key(void *owner, struct ipc *ch, const union msg *m, int fd)
{
    (void)ch, (void)m;
    note(owner, MSG_SEAL_KEY, fd);
}

static void on_grant(void *owner, struct ipc *ch, const union msg *m, int fd)
{
    (void)ch;
    struct heard *h = note(owner, MSG_BOX_GRANT, fd);
    h->box = m->box_grant.box;
    h->device = m->box_grant.device;
    copy(h, m->box_grant.address);
}

static void on_forget(void *owner, struct ipc *ch, const union msg *m, int fd)
{
    (void)ch;
    struct heard *h = note(owner, MSG_BOX_FORGET, fd);
    h->box = m->box_forget.box;
    h->tag = m->box_forget.tag;
    copy(h, m->box_forget.address);
}

static void on_devices(void *owner, struct ipc *ch, const union msg *m, int fd)
{
    (void)ch;
    struct heard *h = note(owner, MSG_BOX_DEVICES, fd);
    struct unpacker r = unpacker_on(m->box_devices.devices);
    h->box = m->box_devices.box;
    h->tag = m->box_devices.tag;
    h->device = 0;
    while (r.left.n > 0) { /* the sum of their numbers */
        h->device += unpack_uint(&r, 8);
        unpack_bytes(&r, DEVICE_NAME_MAX);
    }
}

static void on_pam_check(void *owner, struct ipc *ch, const union msg *m, int fd)
{
    (void)ch;
    struct heard *h = note(owner, MSG_PAM_CHECK, fd);
    h->tag = m->pam_check.tag;
    snprintf(h->text, sizeof h->text, "%.*s %.*s %.*s", (int)m->pam_check.login.n,
             m->pam_check.login.p, (int)m->pam_check.client.n, m->pam_check.client.p,
             (int)m->pam_check.password.n, m->pam_check.password.p);
}

static void on_row(void *owner, struct ipc *ch, const union msg *m, int fd)
{
    (void)ch;
    struct unpacker fields = unpacker_on(m->admin_row.fields);
    struct column c;
    struct heard *h = note(owner, MSG_ADMIN_ROW, fd);
    bool is_first = true;
    while (column_next(&fields, &c)) {
        if (is_first)
            copy(h, c.text);
        if (span_eq(c.name, SPAN("password")))
            span_copy(fake_password, sizeof fake_password, c.text);
        is_first = false;
    }
}

static const struct ipc_handler their_handlers[] = {
    {MSG_SEAL_KEY, on_seal_key},   {MSG_BOX_GRANT, on_grant},     {MSG_BOX_FORGET, on_forget},
    {MSG_BOX_DEVICES, on_devices}, {MSG_PAM_CHECK, on_pam_check}, {MSG_ADMIN_ROW, on_row}};
static const struct ipc_ops their_ops = {.handlers = their_handlers,
                                         .n_handlers =
                                             sizeof their_handlers / sizeof their_handlers[0],
                                         .on_close = ignore};
static struct ipc_ops our_ops;

struct ipc *fake_connect(enum role role)
{
    int ends[2];
    cr_assert_eq(unixsock_pair(ends), 0);
    struct side *s = &sides[role];
    s->n = 0;
    our_ops = (struct ipc_ops){
        .handlers = authd_spec.handlers, .n_handlers = authd_spec.n_handlers, .on_close = gone};
    self.peers[role] = s->ours = ipc_open(self.loop, ends[0], ROLE_AUTHD, role, &our_ops, &self);
    s->theirs = ipc_open(self.loop, ends[1], role, ROLE_AUTHD, &their_ops, (void *)(uintptr_t)role);
    cr_assert(s->ours != NULL && s->theirs != NULL);
    authd_spec.peer_up(&self, role, 0, s->ours);
    return s->theirs;
}

void fake_disconnect(enum role role)
{
    ipc_close(sides[role].theirs);
    sides[role].theirs = NULL;
    for (int i = 0; i < 100 && sides[role].ours != NULL; i++)
        loop_turn(self.loop, 10);
}

static bool take_heard(enum role role, struct heard *out)
{
    struct side *s = &sides[role];
    if (s->n == 0)
        return false;
    *out = s->heard[0];
    memmove(&s->heard[0], &s->heard[1], --s->n * sizeof s->heard[0]);
    return true;
}

bool fake_hear(enum role role, struct heard *out)
{
    for (int i = 0; i < 500; i++) {
        if (take_heard(role, out))
            return true;
        loop_turn(self.loop, 10);
    }
    return false;
}

bool fake_hears_nothing(enum role role, int64_t ms)
{
    for (int64_t i = 0; i < ms; i += 5)
        loop_turn(self.loop, 5);
    return sides[role].n == 0;
}

/* --- life --- */

static void configure(const char *settings)
{
    char text[1000];
    snprintf(text, sizeof text,
             "hostname = mx.example.org\nstate_dir = %s\nrun_dir = %s\n%s\n"
             "[listen smtp]\naddress = 127.0.0.1:2525\n",
             dir, dir, settings);
    halfproc_configure(&self, text);
}

void fake_begin(const char *settings)
{
    struct error e = {""};
    snprintf(dir, sizeof dir, "/tmp/barid-authd-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(chdir(dir), 0);
    cr_assert(chmod(".", 0755) == 0 && mkdir("empty", 0755) == 0);
    self.loop = loop_new();
    configure(settings);
    cr_assert_eq(authd_spec.prepare(&self, &e), 0, "%s", e.text);
    cr_assert_eq(authd_spec.open(&self, &e), 0, "%s", e.text);
}

void fake_end(void)
{
    static const char *const names[] = {"users.db", "users.db-wal", "users.db-shm", "users.lock"};
    struct authd *a = fake_authd();
    for (unsigned r = 0; r < ROLES; r++)
        fake_disconnect((enum role)r);
    if (a->users != NULL)
        authd_spec.drain(&self);
    verify_stop(a->verifiers);
    log_flush();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(names[i]);
    rmdir("empty");
    cr_assert_eq(chdir("/"), 0);
    rmdir(dir);
    config_free(self.config);
    clock_fake(-1, -1);
}

struct authd *fake_authd(void)
{
    return self.state;
}

bool fake_has_exited(void)
{
    return self.has_exited;
}

static void ended(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct heard *h = arg;
    h->type = MSG_ADMIN_RE;
    if (m == NULL) {
        h->verdict = VERDICT_TRY_LATER;
        return;
    }
    h->verdict = m->admin_re.verdict;
    if (m->admin_re.error.n > 0)
        copy(h, m->admin_re.error);
}

struct heard fake_admin(const char *command, const char *const *args, const char *secret)
{
    char octets[4096];
    struct heard end = {.type = MSG_NONE}, row;
    struct packer w = packer_on(octets, sizeof octets);
    if (sides[ROLE_CLI].ours == NULL)
        fake_connect(ROLE_CLI);
    for (; args != NULL && *args != NULL; args++)
        pack_bytes(&w, span_of(*args));
    struct msg_admin m = {
        .command = span_of(command), .args = packer_span(&w), .secret = span_of(secret)};
    cr_assert_neq(ipc_ask_admin(sides[ROLE_CLI].theirs, &m, -1, 10000, ended, &end), 0);
    for (int i = 0; i < 1000 && end.type == MSG_NONE; i++)
        loop_turn(self.loop, 10);
    cr_assert_eq(end.type, MSG_ADMIN_RE, "no answer to %s", command);
    while (take_heard(ROLE_CLI, &row))
        if (end.text[0] == '\0')
            memcpy(end.text, row.text, sizeof end.text);
    return end;
}

void fake_must(const char *command, const char *const *args, const char *secret)
{
    struct heard h = fake_admin(command, args, secret);
    cr_assert_eq(h.verdict, VERDICT_OK, "%s: %s", command, h.text);
}
