#include "authd/verify.h"

#include "common/clock.h"
#include "common/log.h"

#include <criterion/criterion.h>
#include <signal.h>

static struct loop *loop;
static struct verifiers *v;
static bool is_gone;

static void all_gone(void *arg)
{
    (void)arg;
    is_gone = true;
}

static void begin(void)
{
    struct error e = {""};
    struct verify_spec spec = {.children = 2, .passes = 1, .memory = 8192};
    cr_assert_geq(sodium_init(), 0);
    v = verify_fork(&spec, &e);
    cr_assert_not_null(v, "%s", e.text);
    loop = loop_new();
    verify_start(v, loop, all_gone, NULL);
}

static void end(void)
{
    verify_stop(v);
    loop_free(loop);
    clock_fake(-1, -1);
    log_flush();
}

TestSuite(verify, .init = begin, .fini = end, .timeout = 20);

struct result {
    unsigned answers;
    enum verify_result last;
    char hash[USERS_HASH_MAX];
    struct scram_keys keys;
    bool is_unwanted;
};

static bool is_wanted(void *arg)
{
    return !((struct result *)arg)->is_unwanted;
}

static void done(void *arg, enum verify_result result, const struct verified *given)
{
    struct result *r = arg;
    r->answers++;
    r->last = result;
    snprintf(r->hash, sizeof r->hash, "%s", given->hash);
    r->keys = given->keys;
}

static void wait_for(const struct result *r, unsigned answers)
{
    while (r->answers < answers)
        loop_turn(loop, 1000);
}

static const struct verify_ask x_of_nobody = {.hash = "", .password = SPAN("x")};

static struct verify_call call_of(struct result *r)
{
    return (struct verify_call){is_wanted, done, r};
}

static enum verify_result check(const char *hash, struct span password)
{
    struct result r = {0};
    struct verify_call call = call_of(&r);
    cr_assert_eq(verify_check(v, &(struct verify_ask){.hash = hash, .password = password}, &call),
                 0);
    cr_assert_eq(r.answers, 0, "never from inside");
    wait_for(&r, 1);
    return r.last;
}

static void make(struct span password, char out[USERS_HASH_MAX])
{
    struct result r = {0};
    struct verify_call call = call_of(&r);
    cr_assert_eq(verify_hash(v, &(struct verify_ask){.password = password}, &call), 0);
    wait_for(&r, 1);
    cr_assert_eq(r.last, VERIFY_MATCH);
    memcpy(out, r.hash, USERS_HASH_MAX);
}

Test(verify, passwords)
{
    char hash[USERS_HASH_MAX], again[USERS_HASH_MAX];
    make(SPAN("s\303\251cret \377"), hash);
    make(SPAN("s\303\251cret \377"), again);
    cr_expect(strncmp(hash, "$argon2id$", 10) == 0);
    cr_expect_str_neq(hash, again, "each has its salt");
    cr_expect_eq(check(hash, SPAN("s\303\251cret \377")), VERIFY_MATCH);
    cr_expect_eq(check(hash, SPAN("s\303\251cret ")), VERIFY_WRONG);
    cr_expect_eq(check(hash, SPAN("")), VERIFY_WRONG);
    cr_expect_eq(check("", SPAN("s\303\251cret \377")), VERIFY_WRONG, "nobody");
    cr_expect_eq(check("", SPAN("")), VERIFY_WRONG);
}

/* "Could not decide" is not "no". */
Test(verify, damaged_hashes_are_a_fault)
{
    static const char *const rows[] = {"x", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$AAAA$"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(check(rows[i], SPAN("secret")), VERIFY_FAULT, "row %zu", i);
}

Test(verify, bounds)
{
    char password[PASSWORD_MAX + 1], hash[USERS_HASH_MAX];
    struct result r = {0};
    struct verify_call call = call_of(&r);
    memset(password, 'p', sizeof password);
    make((struct span){password, PASSWORD_MAX}, hash);
    cr_expect_eq(check(hash, (struct span){password, PASSWORD_MAX}), VERIFY_MATCH);
    cr_expect_eq(
        verify_check(
            v, &(struct verify_ask){.hash = hash, .password = {password, PASSWORD_MAX + 1}}, &call),
        -1);
    unsigned taken = 0;
    while (verify_check(v, &x_of_nobody, &call) == 0)
        taken++;
    cr_expect_eq(taken, VERIFY_QUEUE_MAX);
    wait_for(&r, taken);
    cr_expect_eq(verify_check(v, &x_of_nobody, &call), 0, "room again");
    wait_for(&r, taken + 1);
}

Test(verify, what_nobody_wants_is_not_worked_on)
{
    struct result r = {.is_unwanted = true};
    struct verify_call call = call_of(&r);
    cr_assert_eq(verify_check(v, &x_of_nobody, &call), 0);
    wait_for(&r, 1);
    cr_expect_eq(r.last, VERIFY_FAULT);
}

Test(verify, what_waits_too_long_is_a_fault)
{
    struct result r = {0};
    struct verify_call call = call_of(&r);
    clock_fake(1000, 0);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(verify_check(v, &x_of_nobody, &call), 0);
    clock_fake(1000 + VERIFY_DEADLINE_MS, 0);
    wait_for(&r, 20);
    cr_expect_eq(r.last, VERIFY_FAULT);
}

static void find_children(pid_t out[2])
{
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/task/%d/children", (int)getpid(), (int)getpid());
    FILE *f = fopen(name, "re");
    cr_assert_not_null(f);
    cr_assert_eq(fscanf(f, "%d %d", &out[0], &out[1]), 2);
    fclose(f);
}

Test(verify, goes_on_with_the_last_child_and_tells_when_it_is_gone)
{
    pid_t children[2];
    struct result r = {0};
    struct verify_call call = call_of(&r);
    find_children(children);
    cr_assert_eq(kill(children[0], SIGKILL), 0);
    cr_expect_neq(check("", SPAN("x")), VERIFY_MATCH);
    cr_expect_eq(check("", SPAN("x")), VERIFY_WRONG, "the other one works");
    cr_expect_not(is_gone);
    cr_assert_eq(kill(children[1], SIGSTOP), 0);
    cr_assert_eq(verify_check(v, &x_of_nobody, &call), 0);
    cr_assert_eq(verify_check(v, &x_of_nobody, &call), 0);
    loop_turn(loop, 1000); /* one is handed out, one waits */
    cr_assert_eq(kill(children[1], SIGKILL), 0);
    wait_for(&r, 2);
    cr_expect_eq(r.last, VERIFY_FAULT);
    cr_expect(is_gone);
}

/* An app password does not match the hash, but is known by its key. */
Test(verify, keys_come_with_what_does_not_match_and_depend_on_the_salt)
{
    struct verify_ask asks[] = {{.password = SPAN("one"), .salt = {{1}, 100}},
                                {.hash = "", .password = SPAN("one"), .salt = {{1}, 100}},
                                {.hash = "", .password = SPAN("one"), .salt = {{2}, 100}},
                                {.hash = "", .password = SPAN("two"), .salt = {{1}, 100}}};
    struct scram_keys keys;
    scram_derive(SPAN("one"), (struct span){(const char *)asks[0].salt.octets, SCRAM_SALT_OCTETS},
                 100, &keys);
    for (size_t i = 0; i < 4; i++) {
        struct result r = {0};
        struct verify_call call = call_of(&r);
        cr_assert_eq(i == 0 ? verify_hash(v, &asks[i], &call) : verify_check(v, &asks[i], &call),
                     0);
        wait_for(&r, 1);
        cr_expect_eq(r.last, i == 0 ? VERIFY_MATCH : VERIFY_WRONG);
        cr_expect_eq(memcmp(&r.keys, &keys, sizeof keys) == 0, i < 2, "%zu", i);
    }
}
