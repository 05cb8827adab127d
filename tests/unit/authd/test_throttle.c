#include "authd/throttle.h"

#include "common/clock.h"

#include <criterion/criterion.h>
#include <sodium.h>

static struct throttle *throttle;
static const struct rate limit = {.count = 3, .period_ms = 60000};

static void begin(void)
{
    cr_assert_geq(sodium_init(), 0);
    clock_fake(5000, 0);
    throttle = throttle_new();
    cr_assert_not_null(throttle);
}

static void end(void)
{
    throttle_free(throttle);
    clock_fake(-1, -1);
}

TestSuite(throttle, .init = begin, .fini = end);

static struct netaddr address(const char *text)
{
    struct netaddr a;
    cr_assert_eq(netaddr_parse(span_of(text), &a), 0);
    a.port = 1234;
    return a;
}

static void fail(const char *text, int times)
{
    struct netaddr a = address(text);
    for (int i = 0; i < times; i++)
        throttle_failed(throttle, &limit, &a);
}

static bool is_over(const char *text)
{
    struct netaddr a = address(text);
    return throttle_is_over(throttle, &limit, &a);
}

Test(throttle, counts_by_address_and_by_network_of_ipv6)
{
    static const struct {
        const char *failing, *asking;
        int times;
        bool is_over;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", 2, false},
        {"192.0.2.2", "192.0.2.2", 3, true},
        {"192.0.2.2", "192.0.2.3", 3, false},
        {"2001:db8:0:1::5", "2001:db8:0:1:ffff::9", 3, true},
        {"2001:db8:0:2::5", "2001:db8:0:3::5", 3, false},
        {"::ffff:198.51.100.7", "198.51.100.7", 3, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fail(rows[i].failing, rows[i].times);
        cr_expect_eq(is_over(rows[i].asking), rows[i].is_over, "row %zu", i);
    }
}

Test(throttle, ends_a_period_after_the_first_failure)
{
    fail("192.0.2.1", 1);
    clock_fake(5000 + 59000, 0);
    fail("192.0.2.1", 2);
    cr_expect(is_over("192.0.2.1"));
    clock_fake(5000 + 60000, 0);
    cr_expect_not(is_over("192.0.2.1"));
    fail("192.0.2.1", 1);
    cr_expect_not(is_over("192.0.2.1"), "a new period begins at one");
}

Test(throttle, off_is_off)
{
    struct rate off = {.is_off = true};
    struct netaddr a = address("192.0.2.1");
    for (int i = 0; i < 1000; i++)
        throttle_failed(throttle, &off, &a);
    cr_expect_not(throttle_is_over(throttle, &off, &a));
    cr_expect_not(is_over("192.0.2.1"));
}

/* An attack from very many addresses does not free the worst of them. */
Test(throttle, is_bounded_and_keeps_the_worst)
{
    fail("192.0.2.1", 5);
    for (uint32_t i = 0; i < 200000; i++) {
        struct netaddr a = {.n = 4,
                            .octets = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
        throttle_failed(throttle, &limit, &a);
    }
    cr_expect(is_over("192.0.2.1"));
}
