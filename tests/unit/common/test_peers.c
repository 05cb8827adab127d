#include "common/peers.h"

#include "common/clock.h"

#include <criterion/criterion.h>

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
    struct peers *p = peers_new(1);
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
    struct peers *p = peers_new(1);
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

/* The limit of all connections is that of the service: a worker has its share, rounded up. */
Test(peers, each_worker_has_its_share)
{
    struct limits_config l = limits;
    struct peers *p = peers_new(2);
    l.connections = 5;
    struct netaddr a = address("192.0.2.1");
    for (int i = 0; i < 3; i++)
        cr_expect_eq(peers_enter(p, &a, &l, true), PEERS_WELCOME);
    cr_expect_eq(peers_enter(p, &a, &l, true), PEERS_FULL);
    peers_free(p);
}
