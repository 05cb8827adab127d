#include "authd/accounts.h"

#include "common/clock.h"

#include <criterion/criterion.h>

static const struct rate limit = {.count = 3, .period_ms = 3600000};
static struct accounts *a;

static void begin(void)
{
    clock_fake(1000, 0);
    a = accounts_new();
    cr_assert_not_null(a);
}

static void end(void)
{
    accounts_free(a);
}

TestSuite(accounts, .init = begin, .fini = end);

static struct netaddr from(const char *text)
{
    struct netaddr n;
    cr_assert_eq(netaddr_parse(span_of(text), &n), 0);
    return n;
}

static bool is_over(const char *name, const char *client)
{
    struct netaddr n = from(client);
    return accounts_is_over(a, &limit, accounts_key(a, span_of(name)), &n);
}

static void fail(const char *name, const char *client)
{
    struct netaddr n = from(client);
    accounts_failed(a, &limit, accounts_key(a, span_of(name)), &n);
}

static void succeed(const char *name, const char *client)
{
    struct netaddr n = from(client);
    accounts_succeeded(a, accounts_key(a, span_of(name)), &n);
}

Test(accounts, failures_from_many_addresses_add_up)
{
    fail("ann@b.example", "192.0.2.1");
    fail("ann@b.example", "198.51.100.1");
    cr_expect_not(is_over("ann@b.example", "192.0.2.9"));
    fail("ann@b.example", "2001:db8::1");
    cr_expect(is_over("ann@b.example", "192.0.2.9"));
    cr_expect_not(is_over("bob@b.example", "192.0.2.9"), "another account");
    clock_fake(1000 + 3600000, 0);
    cr_expect_not(is_over("ann@b.example", "192.0.2.9"), "the hour is over");
}

Test(accounts, nobody_locks_a_user_out_where_he_is_known)
{
    succeed("ann@b.example", "192.0.2.1");
    succeed("ann@b.example", "2001:db8:1:2::3");
    for (int i = 0; i < 10; i++)
        fail("ann@b.example", "198.51.100.1");
    cr_expect(is_over("ann@b.example", "198.51.100.1"));
    cr_expect_not(is_over("ann@b.example", "192.0.2.1"));
    cr_expect_not(is_over("ann@b.example", "2001:db8:1:2::ffff"), "the same /64");
    cr_expect(is_over("ann@b.example", "2001:db8:1:3::3"));
    cr_expect(is_over("ann@b.example", "192.0.2.2"));
    fail("bob@b.example", "198.51.100.1");
    cr_expect_not(is_over("bob@b.example", "192.0.2.1"));
    clock_fake(1000 + 31LL * 24 * 3600 * 1000, 0);
    for (int i = 0; i < 3; i++)
        fail("ann@b.example", "198.51.100.1");
    cr_expect(is_over("ann@b.example", "192.0.2.1"), "that was long ago");
}

/* A program with an old password does not lock its user out elsewhere. */
Test(accounts, failures_where_he_is_known_do_not_count)
{
    succeed("ann@b.example", "192.0.2.1");
    for (int i = 0; i < 10; i++)
        fail("ann@b.example", "192.0.2.1");
    cr_expect_not(is_over("ann@b.example", "198.51.100.1"));
}

Test(accounts, none_is_no_limit)
{
    const struct rate off = {.is_off = true};
    struct netaddr n = from("192.0.2.1");
    uint64_t account = accounts_key(a, SPAN("ann"));
    for (int i = 0; i < 10; i++)
        accounts_failed(a, &off, account, &n);
    cr_expect_not(accounts_is_over(a, &off, account, &n));
}
