#include "common/peers.h"

#include "common/clock.h"

#include <criterion/criterion.h>
#include <fcntl.h>

static struct netaddr address(const char *text)
{
    struct netaddr a;
    cr_assert_eq(netaddr_parse(span_of(text), &a), 0);
    return a;
}

static const struct limits_config limits = {
    .connections = 5,
    .connections_per_address = 2,
    .connection_rate = {.count = 3, .period_ms = 60000},
};

static const struct {
    const char *leaves, *enters; /* who goes (or NULL), then who comes */
    int64_t at_ms;
    bool is_trusted;
    enum peers_answer answer;
} steps[] = {
    {NULL, "192.0.2.1", 0, false, PEERS_WELCOME},
    {NULL, "192.0.2.1", 0, false, PEERS_WELCOME},
    {NULL, "192.0.2.1", 0, false, PEERS_TOO_MANY},
    {"192.0.2.1", "192.0.2.1", 0, false, PEERS_WELCOME},
    {"192.0.2.1", "192.0.2.1", 100, false, PEERS_TOO_FAST},
    {NULL, "2001:db8::1", 100, false, PEERS_WELCOME},
    {NULL, "2001:db8::2", 100, false, PEERS_WELCOME},
    {NULL, "2001:db8::ffff:3", 100, false, PEERS_TOO_MANY},
    {NULL, "2001:db8:0:1::1", 100, false, PEERS_WELCOME},
    {NULL, "192.0.2.1", 60000, false, PEERS_WELCOME},
    {NULL, "192.0.2.9", 60000, false, PEERS_FULL},
    {NULL, "127.0.0.1", 60000, true, PEERS_FULL},
    {"2001:db8::1", "127.0.0.1", 60000, true, PEERS_WELCOME},
    {"2001:db8::2", "127.0.0.1", 60000, true, PEERS_WELCOME},
    {"192.0.2.1", "127.0.0.1", 60000, true, PEERS_WELCOME},
};

Test(peers, steps)
{
    struct peers *p = peers_new(-1, 0);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        clock_fake(1000 + steps[i].at_ms, 0);
        if (steps[i].leaves != NULL) {
            struct netaddr gone = address(steps[i].leaves);
            peers_leave(p, &gone);
        }
        struct netaddr a = address(steps[i].enters);
        cr_expect_eq(peers_enter(p, &a, &limits, steps[i].is_trusted), steps[i].answer, "step %zu",
                     i);
    }
    cr_expect_eq(peers_count(p), 5);
    peers_free(p);
}

/* Addresses that came once and went do not stay. */
Test(peers, forgets)
{
    struct peers *p = peers_new(-1, 0);
    for (int round = 0; round < 3; round++) {
        clock_fake(1 + round * 60000, 0);
        for (unsigned i = 0; i < PEERS_MAX; i++) {
            struct netaddr a = {.octets = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}, .n = 4};
            cr_assert_eq(peers_enter(p, &a, &limits, false), PEERS_WELCOME, "%u in %d", i, round);
            peers_leave(p, &a);
        }
    }
    peers_free(p);
}

/* Both workers' counts are one; the one that dies takes its own with it. */
Test(peers, workers_count_together)
{
    int fd = peers_memory(2);
    cr_assert_geq(fd, 0);
    struct peers *one = peers_new(fd, 0), *two = peers_new(fd, 1);
    cr_assert(one != NULL && two != NULL && peers_new(fd, 2) == NULL);
    struct netaddr a = address("192.0.2.1"), b = address("2001:db8::1"), c = address("2001:db8::2");
    clock_fake(1000, 0);
    cr_expect_eq(peers_enter(one, &a, &limits, false), PEERS_WELCOME);
    cr_expect_eq(peers_enter(two, &a, &limits, false), PEERS_WELCOME);
    cr_expect_eq(peers_enter(one, &a, &limits, false), PEERS_TOO_MANY);
    cr_expect_eq(peers_enter(two, &a, &limits, false), PEERS_TOO_MANY);
    peers_leave(two, &a);
    cr_expect_eq(peers_enter(one, &a, &limits, false), PEERS_WELCOME);
    peers_leave(one, &a);
    cr_expect_eq(peers_enter(two, &a, &limits, false), PEERS_TOO_FAST);
    cr_expect_eq(peers_enter(one, &b, &limits, false), PEERS_WELCOME);
    cr_expect_eq(peers_enter(two, &c, &limits, false), PEERS_WELCOME);
    cr_expect_eq(peers_enter(two, &b, &limits, false), PEERS_TOO_MANY);
    cr_expect_eq(peers_enter(two, &b, &limits, true), PEERS_WELCOME);
    cr_expect_eq(peers_count(one), 4);
    cr_expect_eq(peers_enter(one, &b, &limits, true), PEERS_WELCOME);
    cr_expect_eq(peers_enter(two, &b, &limits, true), PEERS_FULL);
    peers_free(two);
    peers_memory_clear(fd, 1);
    cr_expect_eq(peers_count(one), 3);
    peers_free(one);
    close(fd);
}

/* A flood of addresses, each once, does not keep a new one out. */
Test(peers, a_flood_of_addresses)
{
    struct peers *p = peers_new(-1, 0);
    clock_fake(1, 0);
    for (unsigned i = 0; i < 4 * PEERS_MAX; i++) {
        struct netaddr a = {.octets = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i},
                            .n = 4};
        cr_assert_eq(peers_enter(p, &a, &limits, false), PEERS_WELCOME, "%u", i);
        peers_leave(p, &a);
    }
    peers_free(p);
}

/* What a sibling or a wrong descriptor holds is not believed. */
Test(peers, memory_of_another_kind)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    cr_expect_null(peers_new(fd, 0));
    close(fd);
}
