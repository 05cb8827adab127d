#include "authd/cache.h"

#include "common/clock.h"

#include <criterion/criterion.h>
#include <sodium.h>

static struct cache *cache;
static struct user alice = {.box = 1, .generation = 1}, bob = {.box = 2, .generation = 1};

static void begin(void)
{
    cr_assert_geq(sodium_init(), 0);
    clock_fake(1000, 0);
    cache = cache_new();
    cr_assert_not_null(cache);
}

static void end(void)
{
    cache_free(cache);
    clock_fake(-1, -1);
}

TestSuite(cache, .init = begin, .fini = end);

static bool has(const struct user *user, enum login_service service, struct span password)
{
    struct cache_key key = cache_key(cache, user, service, password);
    struct credential which = {0};
    bool has = cache_has(cache, &key, &which);
    cr_expect(!has || (which.number == 5 && which.is_device));
    return has;
}

static void put(const struct user *user, enum login_service service, struct span password)
{
    struct cache_key key = cache_key(cache, user, service, password);
    cache_put(cache, &key, (struct credential){5, true});
}

Test(cache, the_key_is_all_that_the_answer_depends_on)
{
    cr_expect_not(has(&alice, SERVICE_POP3, SPAN("secret")));
    put(&alice, SERVICE_POP3, SPAN("secret"));
    cr_expect(has(&alice, SERVICE_POP3, SPAN("secret")));
    cr_expect_not(has(&alice, SERVICE_SUBMISSION, SPAN("secret")));
    cr_expect_not(has(&alice, SERVICE_POP3, SPAN("secret ")));
    cr_expect_not(has(&alice, SERVICE_POP3, SPAN("")));
    cr_expect_not(has(&bob, SERVICE_POP3, SPAN("secret")));
    struct user renewed = alice;
    renewed.generation++;
    cr_expect_not(has(&renewed, SERVICE_POP3, SPAN("secret")), "the password was changed");
}

Test(cache, forgets_after_its_time)
{
    put(&alice, SERVICE_POP3, SPAN("secret"));
    clock_fake(1000 + CACHE_TTL_MS - 1, 0);
    cr_expect(has(&alice, SERVICE_POP3, SPAN("secret")));
    clock_fake(1000 + CACHE_TTL_MS, 0);
    cr_expect_not(has(&alice, SERVICE_POP3, SPAN("secret")));
}

Test(cache, is_bounded_and_keeps_the_newest)
{
    for (uint64_t box = 1; box <= 100000; box++) {
        struct user user = {.box = box, .generation = box};
        clock_fake(1000 + (int64_t)box, 0);
        put(&user, SERVICE_POP3, SPAN("secret"));
    }
    struct user first = {.box = 1, .generation = 1}, last = {.box = 100000, .generation = 100000};
    cr_expect_not(has(&first, SERVICE_POP3, SPAN("secret")));
    cr_expect(has(&last, SERVICE_POP3, SPAN("secret")));
}

Test(cache, another_process_has_another_secret)
{
    struct cache *other = cache_new();
    struct cache_key a = cache_key(cache, &alice, SERVICE_POP3, SPAN("secret"));
    struct cache_key b = cache_key(other, &alice, SERVICE_POP3, SPAN("secret"));
    cr_expect_neq(memcmp(a.mac, b.mac, sizeof a.mac), 0);
    cache_free(other);
}
