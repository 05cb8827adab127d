/* Many questions at once, each in a process of its own; what a module of PAM can do to it. */
#include "pamd/pool.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sodium.h>
#include <unistd.h>

#define N 12

static struct loop *loop;
static struct pool *pool;

static struct heard {
    unsigned times;
    struct worker_answer last;
} heard[1000];
static unsigned n_heard;

static void answered(void *arg, uint64_t tag, const struct worker_answer *a)
{
    (void)arg;
    cr_assert_lt(tag, sizeof heard / sizeof heard[0]);
    heard[tag].times++;
    heard[tag].last = *a;
    n_heard++;
}

/* What the login is called says what the module does. */
static enum pam_reason play(const struct check_ask *ask, char why[CHECK_TEXT_MAX])
{
    snprintf(why, CHECK_TEXT_MAX, "played %s", ask->login);
    if (strcmp(ask->login, "dies") == 0)
        raise(SIGKILL);
    if (strcmp(ask->login, "crashes") == 0) {
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
    }
    if (strcmp(ask->login, "ends") == 0)
        _exit(0);
    if (strcmp(ask->login, "stubborn") == 0) {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        alarm(0);
    }
    while (strcmp(ask->login, "hangs") == 0 || strcmp(ask->login, "stubborn") == 0)
        pause();
    if (strcmp(ask->login, "late") == 0)
        return PAM_REASON_EXPIRED;
    if (strcmp(ask->login, "odd") == 0)
        return (enum pam_reason)200;
    return strcmp(ask->password, "right") == 0 ? PAM_REASON_OK : PAM_REASON_WRONG;
}

static void begin(void)
{
    struct pool_spec spec = {.check = play, .answered = answered};
    cr_assert_geq(sodium_init(), 0);
    memset(heard, 0, sizeof heard);
    n_heard = 0;
    loop = loop_new();
    pool = pool_new(loop, &spec);
    cr_assert_not_null(pool);
    pool_configure(pool, 4, 60000);
}

static void end(void)
{
    pool_free(pool);
    loop_free(loop);
}

TestSuite(pool, .init = begin, .fini = end, .timeout = 120);

static int ask(uint64_t tag, const char *login, const char *password)
{
    struct check_ask a = {.service = "test"};
    snprintf(a.login, sizeof a.login, "%s", login);
    snprintf(a.password, sizeof a.password, "%s", password);
    return pool_ask(pool, tag, &a);
}

static void wait_for(unsigned n)
{
    while (n_heard < n)
        loop_turn(loop, 1000);
}

Test(pool, answers)
{
    static const struct {
        const char *login, *password;
        enum pam_reason reason;
        const char *why;
    } rows[] = {
        {"bob", "right", PAM_REASON_OK, "played bob"},
        {"bob", "wrong", PAM_REASON_WRONG, "played bob"},
        {"bob", "", PAM_REASON_WRONG, "played bob"},
        {"late", "right", PAM_REASON_EXPIRED, "played late"},
        {"odd", "right", PAM_REASON_BUSY, "played odd"},
        {"dies", "right", PAM_REASON_BUSY, "its process died"},
        {"crashes", "right", PAM_REASON_BUSY, "its process died"},
        {"ends", "right", PAM_REASON_BUSY, "its process died"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(ask(i, rows[i].login, rows[i].password), 0);
        cr_assert_eq(n_heard, i, "never from inside pool_ask");
        wait_for((unsigned)i + 1);
        cr_expect_eq(heard[i].last.reason, rows[i].reason, "%s", rows[i].login);
        cr_expect_str_eq(heard[i].last.why, rows[i].why);
    }
}

Test(pool, more_than_there_are_places_wait_and_all_are_answered_once)
{
    for (uint64_t i = 0; i < N; i++)
        cr_assert_eq(ask(i, "bob", i % 2 == 0 ? "right" : "wrong"), 0);
    wait_for(N);
    for (uint64_t i = 0; i < N; i++) {
        cr_expect_eq(heard[i].times, 1);
        cr_expect_eq(heard[i].last.reason, i % 2 == 0 ? PAM_REASON_OK : PAM_REASON_WRONG);
    }
}

/* Three that hang do not keep the fourth place from anybody. */
Test(pool, a_slow_one_does_not_make_others_wait)
{
    for (uint64_t i = 0; i < 3; i++)
        cr_assert_eq(ask(i, "hangs", ""), 0);
    for (uint64_t i = 3; i < N; i++)
        cr_assert_eq(ask(i, "bob", "right"), 0);
    wait_for(N - 3);
    for (uint64_t i = 0; i < N; i++)
        cr_expect_eq(heard[i].times, i < 3 ? 0 : 1);
}

/* Whoever hangs is answered in time, ended by the kernel whatever it does about signals, and its
 * place is free again. */
Test(pool, time_is_limited)
{
    pool_configure(pool, 2, 300);
    cr_assert_eq(ask(0, "hangs", ""), 0);
    cr_assert_eq(ask(1, "stubborn", ""), 0);
    cr_assert_eq(ask(2, "hangs", ""), 0); /* waits for a turn, and has no time left then */
    wait_for(3);
    for (uint64_t i = 0; i < 3; i++) {
        cr_expect_eq(heard[i].times, 1);
        cr_expect_eq(heard[i].last.reason, PAM_REASON_BUSY);
        cr_expect_str_eq(heard[i].last.why, "no answer in time");
    }
    pool_configure(pool, 2, 60000);
    cr_assert_eq(ask(3, "bob", "right"), 0);
    cr_assert_eq(ask(4, "bob", "right"), 0);
    wait_for(5);
    cr_expect_eq(heard[3].last.reason, PAM_REASON_OK);
    cr_expect_eq(heard[4].last.reason, PAM_REASON_OK);
}

Test(pool, who_waits_is_bounded)
{
    uint64_t n = 0;
    while (n < 900 && ask(n, "bob", "right") == 0)
        n++;
    cr_expect_eq(n, POOL_WAITING_MAX);
    wait_for((unsigned)n);
    cr_assert_eq(ask(n, "bob", "right"), 0);
    wait_for((unsigned)n + 1);
}

Test(pool, nobody_is_told_what_he_no_longer_asks)
{
    for (uint64_t i = 0; i < N; i++)
        cr_assert_eq(ask(i, "bob", "right"), 0);
    loop_turn(loop, 0); /* some have workers now */
    pool_abandon(pool);
    cr_assert_eq(ask(N, "bob", "right"), 0);
    wait_for(1);
    cr_expect_eq(heard[N].times, 1);
    for (uint64_t i = 0; i < N; i++)
        cr_expect_eq(heard[i].times, 0);
}
