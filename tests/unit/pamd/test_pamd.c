/* Questions of authd as messages: what is looked at before PAM is asked, and whose answer is whose.
 */
#include "pamd/pamd.h"

#include "common/log.h"
#include "common/unixsock.h"
#include "common/verdict.h"
#include "tests/unit/halfproc.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sodium.h>

static struct proc self;
static struct ipc *authd; /* its end */

static enum pam_reason play(const struct check_ask *ask, char why[CHECK_TEXT_MAX])
{
    snprintf(why, CHECK_TEXT_MAX, "played");
    if (strcmp(ask->login, "dies") == 0)
        raise(SIGKILL);
    if (strcmp(ask->service, "mail") != 0 || strcmp(ask->client, "192.0.2.9") != 0)
        return PAM_REASON_BUSY;
    if (strcmp(ask->login, "late") == 0)
        return PAM_REASON_EXPIRED;
    return strcmp(ask->login, ask->password) == 0 ? PAM_REASON_OK : PAM_REASON_WRONG;
}

static void gone(void *owner, struct ipc *ch)
{
    (void)owner;
    if (ch == self.peers[ROLE_AUTHD]) {
        self.peers[ROLE_AUTHD] = NULL;
        pamd_peer_down(&self, ROLE_AUTHD, 0, ch);
    }
    ipc_close(ch);
}

static void configure(const char *settings)
{
    char text[500];
    snprintf(text, sizeof text,
             "hostname = mx.example.org\n%s\n[listen smtp]\naddress = 127.0.0.1:2525\n", settings);
    halfproc_configure(&self, text);
}

static void connect_authd(void)
{
    static const struct ipc_handler handlers[] = {{MSG_PAM_CHECK, pamd_handle_check}};
    static const struct ipc_ops our_ops = {.handlers = handlers, .n_handlers = 1, .on_close = gone};
    static const struct ipc_ops their_ops = {.on_close = gone};
    int ends[2];
    cr_assert_eq(unixsock_pair(ends), 0);
    self.peers[ROLE_AUTHD] = ipc_open(self.loop, ends[0], ROLE_PAMD, ROLE_AUTHD, &our_ops, &self);
    authd = ipc_open(self.loop, ends[1], ROLE_AUTHD, ROLE_PAMD, &their_ops, NULL);
}

static void begin(void)
{
    struct error e;
    cr_assert_geq(sodium_init(), 0);
    self.loop = loop_new();
    configure("[pam]\nservice = mail\ntimeout = 30s");
    cr_assert_eq(pamd_open(&self, play, &e), 0);
    connect_authd();
}

static void end(void)
{
    ipc_close(authd);
    ipc_close(self.peers[ROLE_AUTHD]);
    log_flush();
}

TestSuite(pamd, .init = begin, .fini = end, .timeout = 120);

struct told {
    bool is_told, is_gone;
    uint8_t verdict, reason;
};

static void note(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct told *t = arg;
    t->is_told = true;
    t->is_gone = m == NULL;
    t->verdict = m != NULL ? m->pam_check_re.verdict : UINT8_MAX;
    t->reason = m != NULL ? m->pam_check_re.reason : UINT8_MAX;
}

static void ask(const char *login, struct span password, struct told *t)
{
    struct msg_pam_check m = {
        .session = 7, .client = SPAN("192.0.2.9"), .login = span_of(login), .password = password};
    *t = (struct told){0};
    cr_assert_neq(ipc_ask_pam_check(authd, &m, -1, 60000, note, t), 0);
}

static void expect(const char *login, struct span password, enum verdict v, enum pam_reason reason)
{
    struct told t;
    ask(login, password, &t);
    while (!t.is_told)
        loop_turn(self.loop, 1000);
    cr_expect_eq(t.verdict, v, "%s: %u", login, t.verdict);
    cr_expect_eq(t.reason, reason, "%s: %u", login, t.reason);
}

Test(pamd, answers)
{
    static char longest[1024];
    memset(longest, 'x', sizeof longest);
    expect("bob", SPAN("bob"), VERDICT_OK, PAM_REASON_OK);
    expect("bob", SPAN("no"), VERDICT_NEVER, PAM_REASON_WRONG);
    expect("bob", SPAN(""), VERDICT_NEVER, PAM_REASON_WRONG);
    expect("bob", SPAN("bob\0x"), VERDICT_NEVER, PAM_REASON_WRONG);
    expect("bob", (struct span){longest, sizeof longest}, VERDICT_NEVER, PAM_REASON_WRONG);
    expect("late", SPAN("late"), VERDICT_NEVER, PAM_REASON_EXPIRED);
    expect("dies", SPAN("dies"), VERDICT_TRY_LATER, PAM_REASON_BUSY);
}

Test(pamd, what_is_no_login_is_not_asked)
{
    static const char *const names[] = {"",    "root", "-x",   "a b",     "a/b",
                                        "a:b", ".",    "\x7f", "\xc3\xb6"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        expect(names[i], span_of(names[i]), VERDICT_NEVER, PAM_REASON_WRONG);
    expect("b.o-b_1@dom+x$", SPAN("b.o-b_1@dom+x$"), VERDICT_OK, PAM_REASON_OK);
}

Test(pamd, without_a_service_nothing_is_decided)
{
    configure("");
    pamd_configure(&self);
    expect("bob", SPAN("bob"), VERDICT_TRY_LATER, PAM_REASON_BUSY);
    configure("[pam]\nservice = other");
    expect("bob", SPAN("bob"), VERDICT_TRY_LATER, PAM_REASON_BUSY);
}

Test(pamd, many_at_once_each_gets_its_own_answer)
{
    static struct told told[40];
    for (size_t i = 0; i < 40; i++)
        ask("bob", i % 3 == 0 ? SPAN("bob") : SPAN("no"), &told[i]);
    for (size_t i = 0; i < 40; i++) {
        while (!told[i].is_told)
            loop_turn(self.loop, 1000);
        cr_expect_eq(told[i].verdict, i % 3 == 0 ? VERDICT_OK : VERDICT_NEVER);
    }
}

/* authd was started anew: the answers for the old one are not given to the new one. */
Test(pamd, a_new_authd_begins_anew)
{
    struct told old[20];
    for (size_t i = 0; i < 20; i++)
        ask("bob", SPAN("bob"), &old[i]);
    loop_turn(self.loop, 10);
    ipc_break(authd);
    while (self.peers[ROLE_AUTHD] != NULL)
        loop_turn(self.loop, 1000);
    connect_authd();
    for (int i = 0; i < 20; i++)
        expect("bob", i % 2 == 0 ? SPAN("bob") : SPAN("no"),
               i % 2 == 0 ? VERDICT_OK : VERDICT_NEVER,
               i % 2 == 0 ? PAM_REASON_OK : PAM_REASON_WRONG);
}
