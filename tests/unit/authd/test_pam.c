/* Users whose password PAM checks: what pamd is asked, and what its answers lead to. */
#include "tests/unit/authd/fakeproc.h"

#include "authd/login.h"
#include "common/clock.h"

#include <criterion/criterion.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define DELAY_MS  50
#define SETTINGS                                                                                   \
    "[auth]\nfailures_per_address = 4/10m\nfailure_delay = 50ms\nscram_iterations = 4096\n"
#define WITH_PAM SETTINGS "[pam]\nservice = mail\n"

static struct ipc *pop3d, *pamd;

static void begin_with(const char *settings)
{
    fake_begin(settings);
    fake_must("domain add", ARGS("example.org"), "");
    fake_must("user add", ARGS("alice@example.org"), "secret");
    fake_must("user add", ARGS("bob@example.org", "pam=sysbob"), "");
    fake_connect(ROLE_MAILBOX);
    pop3d = fake_connect(ROLE_POP3D);
    pamd = fake_connect(ROLE_PAMD);
}

static void begin(void)
{
    begin_with(WITH_PAM);
}

TestSuite(pam, .init = begin, .fini = fake_end, .timeout = 60);

static void turn(void)
{
    loop_turn(proc_loop(fake_authd()->proc), 10);
}

static void noted(void *arg, const union msg *m, int fd)
{
    struct heard *h = arg;
    h->type = MSG_LOGIN_RE;
    h->verdict = m != NULL ? m->login_re.verdict : VERDICT_TRY_LATER;
    h->reason = m != NULL ? m->login_re.reason : UINT8_MAX;
    if (fd >= 0)
        close(fd);
}

static void begin_login(const char *user, const char *password, struct heard *out)
{
    struct msg_login m = {.service = SERVICE_POP3,
                          .session = 77,
                          .client = SPAN("192.0.2.9:4711"),
                          .user = span_of(user),
                          .password = span_of(password)};
    *out = (struct heard){.type = MSG_NONE};
    cr_assert_neq(ipc_ask_login(pop3d, &m, -1, 30000, noted, out), 0);
}

static void expect_end(const struct heard *h, enum login_reason reason)
{
    for (int i = 0; i < 3000 && h->type == MSG_NONE; i++)
        turn();
    cr_assert_eq(h->type, MSG_LOGIN_RE, "no answer");
    cr_expect_eq(h->reason, reason, "%u, not %u", h->reason, reason);
    cr_expect_eq(h->verdict == VERDICT_OK, reason == LOGIN_OK);
    cr_expect_eq(h->verdict == VERDICT_TRY_LATER,
                 reason == LOGIN_BUSY || reason == LOGIN_THROTTLED);
}

static void say(uint64_t tag, enum verdict v, enum pam_reason reason)
{
    struct msg_pam_check_re re = {.tag = tag, .verdict = (uint8_t)v, .reason = (uint8_t)reason};
    ipc_send_pam_check_re(pamd, &re, -1);
}

/* pamd is asked exactly this, answers, and that is what the client hears. */
static void expect_asked(const char *password, enum verdict v, enum pam_reason answer,
                         enum login_reason reason)
{
    struct heard login, asked;
    char wanted[200];
    begin_login("bob@example.org", password, &login);
    cr_assert(fake_hear(ROLE_PAMD, &asked));
    snprintf(wanted, sizeof wanted, "sysbob 192.0.2.9 %s", password);
    cr_expect_str_eq(asked.text, wanted);
    say(asked.tag, v, answer);
    expect_end(&login, reason);
    cr_expect_eq(fake_authd()->n_logins, 0);
}

static void expect_unasked(const char *user, const char *password, enum login_reason reason)
{
    struct heard login, asked;
    begin_login(user, password, &login);
    expect_end(&login, reason);
    cr_expect(!fake_hears_nothing(ROLE_PAMD, 20) ? (fake_hear(ROLE_PAMD, &asked), false) : true,
              "PAM was asked");
}

Test(pam, answers)
{
    expect_asked("right", VERDICT_OK, PAM_REASON_OK, LOGIN_OK);
    expect_asked("right", VERDICT_OK, PAM_REASON_OK, LOGIN_OK); /* again: nothing is remembered */
    expect_asked("wrong", VERDICT_NEVER, PAM_REASON_WRONG, LOGIN_WRONG);
    expect_asked("right", VERDICT_NEVER, PAM_REASON_EXPIRED, LOGIN_EXPIRED);
    expect_asked("right", VERDICT_TRY_LATER, PAM_REASON_BUSY, LOGIN_BUSY);
    expect_asked("right", VERDICT_OK, PAM_REASON_BUSY, LOGIN_BUSY); /* a pamd that is not itself */
    expect_asked("right", (enum verdict)99, (enum pam_reason)99, LOGIN_BUSY);
    expect_asked("", VERDICT_NEVER, PAM_REASON_WRONG, LOGIN_WRONG);
}

Test(pam, others_are_not_its_business)
{
    expect_unasked("alice@example.org", "secret", LOGIN_OK);
    expect_unasked("alice@example.org", "no", LOGIN_WRONG);
    expect_unasked("nobody@example.org", "no", LOGIN_WRONG);
    expect_unasked("sysbob", "no", LOGIN_WRONG);
}

Test(pam, everything_else_about_the_user_holds)
{
    fake_must("user disable", ARGS("bob@example.org"), "");
    expect_asked("right", VERDICT_OK, PAM_REASON_OK, LOGIN_DISABLED);
    fake_must("user enable", ARGS("bob@example.org"), "");
    for (int i = 0; i < 4; i++)
        expect_asked("wrong", VERDICT_NEVER, PAM_REASON_WRONG, LOGIN_WRONG);
    expect_unasked("bob@example.org", "right", LOGIN_THROTTLED);
}

Test(pam, app_passwords_are_looked_for_first)
{
    char app[sizeof fake_password];
    fake_must("user app-password add", ARGS("bob@example.org", "phone"), "");
    snprintf(app, sizeof app, "%s", fake_password);
    expect_unasked("bob@example.org", app, LOGIN_OK);
    expect_unasked("bob@example.org", app, LOGIN_OK); /* remembered */
    expect_asked("right", VERDICT_OK, PAM_REASON_OK, LOGIN_OK);
}

Test(pam, what_becomes_of_it_on_the_way)
{
    struct heard login, asked;
    begin_login("bob@example.org", "right", &login); /* pamd dies */
    cr_assert(fake_hear(ROLE_PAMD, &asked));
    fake_disconnect(ROLE_PAMD);
    expect_end(&login, LOGIN_BUSY);
    begin_login("bob@example.org", "right", &login); /* is away */
    expect_end(&login, LOGIN_BUSY);
    pamd = fake_connect(ROLE_PAMD);
    begin_login("bob@example.org", "right", &login); /* the user is another one meanwhile */
    cr_assert(fake_hear(ROLE_PAMD, &asked));
    fake_must("user pam", ARGS("bob@example.org", "other"), "");
    say(asked.tag, VERDICT_OK, PAM_REASON_OK);
    expect_end(&login, LOGIN_BUSY);
    begin_login("bob@example.org", "right", &login); /* or is gone */
    cr_assert(fake_hear(ROLE_PAMD, &asked));
    cr_expect_str_eq(asked.text, "other 192.0.2.9 right");
    fake_must("user remove", ARGS("bob@example.org"), "");
    say(asked.tag, VERDICT_OK, PAM_REASON_OK);
    expect_end(&login, LOGIN_BUSY);
}

Test(pam, who_hangs_up_gets_nothing)
{
    struct heard login, asked;
    begin_login("bob@example.org", "right", &login);
    cr_assert(fake_hear(ROLE_PAMD, &asked));
    fake_disconnect(ROLE_POP3D);
    say(asked.tag, VERDICT_OK, PAM_REASON_OK);
    for (int i = 0; i < 500 && fake_authd()->n_logins > 0; i++)
        turn();
    cr_expect_eq(fake_authd()->n_logins, 0);
}

/* Each is wrong, but nobody waits for the answers: they are counted all the same. */
Test(pam, hanging_up_saves_no_guess)
{
    struct heard login, asked;
    for (int i = 0; i < 4; i++) {
        begin_login("bob@example.org", "wrong", &login);
        cr_assert(fake_hear(ROLE_PAMD, &asked));
        fake_disconnect(ROLE_POP3D);
        say(asked.tag, VERDICT_NEVER, PAM_REASON_WRONG);
        for (int k = 0; k < 3000 && fake_authd()->n_logins > 0; k++)
            turn();
        cr_assert_eq(fake_authd()->n_logins, 0);
        pop3d = fake_connect(ROLE_POP3D);
    }
    expect_unasked("bob@example.org", "right", LOGIN_THROTTLED);
}

/* What PAM could not decide, or said to be expired, is no guess. */
Test(pam, hanging_up_is_no_failure)
{
    struct heard login, asked;
    for (int i = 0; i < 8; i++) {
        begin_login("bob@example.org", "right", &login);
        cr_assert(fake_hear(ROLE_PAMD, &asked));
        fake_disconnect(ROLE_POP3D);
        say(asked.tag, i % 2 == 0 ? VERDICT_TRY_LATER : VERDICT_OK,
            i % 2 == 0 ? PAM_REASON_BUSY : PAM_REASON_OK);
        for (int k = 0; k < 3000 && fake_authd()->n_logins > 0; k++)
            turn();
        pop3d = fake_connect(ROLE_POP3D);
    }
    expect_asked("right", VERDICT_OK, PAM_REASON_OK, LOGIN_OK);
}

/* Six at once, four may fail: the others hear nothing of what PAM says. */
Test(pam, guesses_at_once_are_throttled)
{
    struct heard login[6], asked[6];
    for (int i = 0; i < 6; i++) {
        begin_login("bob@example.org", "guess", &login[i]);
        cr_assert(fake_hear(ROLE_PAMD, &asked[i]));
    }
    for (int i = 0; i < 4; i++)
        say(asked[i].tag, VERDICT_NEVER, PAM_REASON_WRONG);
    for (int i = 0; i < 4; i++)
        expect_end(&login[i], LOGIN_WRONG);
    say(asked[4].tag, VERDICT_OK, PAM_REASON_OK);
    expect_end(&login[4], LOGIN_THROTTLED);
    say(asked[5].tag, VERDICT_NEVER, PAM_REASON_EXPIRED);
    expect_end(&login[5], LOGIN_THROTTLED);
    cr_expect_eq(fake_authd()->n_logins, 0);
}

/* Whether PAM was asked is not to be seen: who failed without it waits as long, and as a slow PAM
 * makes one wait, others do not. Only lower bounds, so a busy machine changes nothing. */
Test(pam, failures_take_the_same_time)
{
    struct heard login, asked;
    int64_t began_ms = clock_mono_ms();
    begin_login("bob@example.org", "wrong", &login);
    cr_assert(fake_hear(ROLE_PAMD, &asked));
    say(asked.tag, VERDICT_NEVER, PAM_REASON_WRONG);
    expect_end(&login, LOGIN_WRONG);
    cr_expect_geq(clock_mono_ms() - began_ms, 1000 + DELAY_MS - 10);
    static const char *const others[] = {"nobody@example.org", "alice@example.org"};
    for (size_t i = 0; i < 2; i++) {
        began_ms = clock_mono_ms();
        begin_login(others[i], "wrong", &login);
        expect_end(&login, LOGIN_WRONG);
        cr_expect_geq(clock_mono_ms() - began_ms, 1000 + DELAY_MS - 10, "%s", others[i]);
    }
}

/* The step is taken from the beginning, and what one waited for PAM is nobody else's delay. */
Test(pam, a_slow_one_delays_no_other)
{
    struct login quick = {.authd = fake_authd(), .began_us = clock_mono_us()};
    struct login slow = {
        .authd = fake_authd(), .began_us = clock_mono_us() - 30400000, .is_pam = true};
    for (int i = 0; i < 2; i++) {
        cr_expect_leq(login_failure_ms(&slow), 1000 + DELAY_MS);
        cr_expect_leq(login_failure_ms(&quick), 1000 + DELAY_MS);
    }
}

static void expect_refused(const char *command, const char *const *args, const char *secret,
                           const char *why)
{
    struct heard h = fake_admin(command, args, secret);
    cr_expect_eq(h.verdict, VERDICT_NEVER, "%s", command);
    cr_expect_not_null(strstr(h.text, why), "%s: %s", command, h.text);
}

Test(pam, commands)
{
    struct heard login;
    expect_refused("user add", ARGS("x@example.org", "pam=root"), "", "root");
    expect_refused("user add", ARGS("x@example.org", "pam=a b"), "", "not a login");
    expect_refused("user add", ARGS("x@example.org", "pam="), "", "not a login");
    expect_refused("user add", ARGS("x@example.org", "pam=x"), "secret", "cannot be set here");
    expect_refused("user add", ARGS("bob@example.org", "pam=x"), "", "exists already");
    expect_refused("user pam", ARGS("bob@example.org", "root"), "", "root");
    expect_refused("user pam", ARGS("nobody@example.org", "x"), "", "there is no user");
    expect_unasked("alice@example.org", "secret", LOGIN_OK);
    fake_must("user pam", ARGS("alice@example.org", "sysbob"), "");
    begin_login("alice@example.org", "secret", &login); /* not from the memory of good ones */
    struct heard asked;
    cr_assert(fake_hear(ROLE_PAMD, &asked));
    cr_expect_str_eq(asked.text, "sysbob 192.0.2.9 secret");
    say(asked.tag, VERDICT_NEVER, PAM_REASON_WRONG);
    expect_end(&login, LOGIN_WRONG);
    fake_must("user passwd", ARGS("alice@example.org"), "new");
    expect_unasked("alice@example.org", "new", LOGIN_OK);
    expect_unasked("alice@example.org", "secret", LOGIN_WRONG);
}

static void begin_without(void)
{
    begin_with(SETTINGS);
}

TestSuite(no_pam, .init = begin_without, .fini = fake_end, .timeout = 60);

Test(no_pam, without_a_service_nobody_is_asked_and_check_says_so)
{
    expect_unasked("bob@example.org", "right", LOGIN_BUSY);
    fake_must("alias add", ARGS("postmaster@example.org", "alice@example.org"), "");
    struct heard h = fake_admin("check", NULL, "");
    cr_expect_str_eq(h.text, "users.db");
    fake_must("user remove", ARGS("bob@example.org"), "");
    h = fake_admin("check", NULL, "");
    cr_expect_str_eq(h.text, "");
}
