#include "queue/lifetime.h"

#include "world.h"

#include <criterion/criterion.h>

#define ROUTES                                                                                     \
    "retry = 10m\nexpire = 1d\ndelay_warning = none\n"                                             \
    "[route short.example]\nto = smtp://10.0.0.1:25\nexpire = 1h\ndelay_warning = 15m\n"           \
    "[route long.example]\nto = smtp://10.0.0.2:25\nexpire = 10d\n"                                \
    "[route never.example]\nto = hold\nexpire = 2h\n"

static struct world w;

static const char *const addresses[] = {"x@short.example", "x@long.example", "x@example.net"};

/* One message to all of them, which nobody takes now. */
static void send_all(void)
{
    char room[4000];
    struct packer p = packer_on(room, sizeof room);
    for (size_t i = 0; i < 3; i++)
        world_rcpt(&p, addresses[i], NULL, 0);
    world_send(&w, "s@example.org", packer_span(&p), "Subject: x\r\n\r\ny\r\n");
    world_pump(&w);
    cr_assert_eq(w.n_jobs, 3);
    for (size_t i = 0; i < 3; i++)
        world_relay(&w, i, VERDICT_TRY_LATER, "450 4.2.0 later");
}

static int64_t state_of(const char *domain)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "SELECT coalesce((SELECT state FROM recipient WHERE domain = '%s'), -1)", domain);
    return world_count(&w, sql);
}

/* Time passes, and all that is tried is put off again. */
static void pass(int64_t seconds)
{
    size_t known = w.n_jobs;
    world_pass(&w, seconds);
    for (size_t i = known; i < w.n_jobs; i++)
        world_relay(&w, i, VERDICT_TRY_LATER, "450 4.2.0 later");
    world_pump(&w);
}

/* What a section says itself holds, whatever [relay] says now or said when the mail came. */
Test(lifetime, a_route_of_the_same_time_has_its_own)
{
    static const char text[] =
        "[relay]\nexpire = 5d\n[route own.example]\nto = smtp://10.0.0.1:25\nexpire = 5d\n"
        "[route none.example]\nto = smtp://10.0.0.2:25\n";
    struct message m = {
        .id = 1, .arrived = WORLD_START_S, .expires = WORLD_START_S + 86400, .sender = SPAN("")};
    struct recipient r = {.sender = SPAN(""), .domain = SPAN("own.example")};
    world_begin(&w, text + strlen("[relay]\n"));
    cr_expect_eq(lifetime_of(w.config, w.q->store, &m, &r).expires, WORLD_START_S + 5 * 86400);
    r.domain = SPAN("none.example");
    cr_expect_eq(lifetime_of(w.config, w.q->store, &m, &r).expires, m.expires);
    r.domain = SPAN("else.example");
    cr_expect_eq(lifetime_of(w.config, w.q->store, &m, &r).expires, m.expires);
    world_end(&w);
}

Test(lifetime, each_route_gives_up_in_its_own_time)
{
    world_begin(&w, ROUTES);
    send_all();
    pass(3700);
    cr_expect_eq(state_of("short.example"), RCPT_FAILED);
    cr_expect_eq(state_of("example.net"), RCPT_WAITING);
    cr_expect_eq(state_of("long.example"), RCPT_WAITING);
    cr_assert_eq(w.n_asked, 1);
    world_resolve(&w, 0, ADDRESS_LOCAL, 99);
    char *text = world_text(&w, "SELECT CAST(content AS TEXT) FROM message WHERE sender = ''");
    cr_assert_not_null(text);
    cr_expect(strstr(text, "x@short.example\r\nAction: failed\r\nStatus: 4.4.7\r\n") != NULL);
    cr_expect(strstr(text, "x@example.net") == NULL && strstr(text, "x@long.example") == NULL);
    free(text);
    pass(86400);
    cr_expect_eq(state_of("example.net"), RCPT_FAILED);
    cr_expect_eq(state_of("long.example"), RCPT_WAITING);
    world_resolve(&w, 1, ADDRESS_LOCAL, 99);
    pass(8 * 86400);
    cr_expect_eq(state_of("long.example"), RCPT_WAITING);
    pass(86400);
    cr_expect_eq(state_of("long.example"), RCPT_FAILED);
    world_end(&w);
}

/* The last attempt is at the end of the route's time, not a whole wait later or earlier. */
Test(lifetime, the_last_attempt_is_at_its_end)
{
    world_begin(&w, "retry = 40m\nexpire = 5d\n"
                    "[route short.example]\nto = smtp://10.0.0.1:25\nexpire = 1h\n");
    world_send_remote(&w, "s@example.org", "x@short.example", "Subject: x\r\n\r\ny\r\n");
    world_pump(&w);
    world_relay(&w, 0, VERDICT_TRY_LATER, "450 4.2.0 later");
    pass(2700);
    cr_expect_eq(w.n_jobs, 2);
    cr_expect_eq(world_count(&w, "SELECT next_attempt FROM recipient"), WORLD_START_S + 3600);
    world_end(&w);
}

Test(lifetime, each_route_warns_in_its_own_time_or_never)
{
    world_begin(&w, ROUTES);
    send_all();
    pass(700);
    cr_expect_eq(w.n_asked, 0);
    pass(700);
    cr_assert_eq(w.n_asked, 1);
    world_resolve(&w, 0, ADDRESS_LOCAL, 99);
    char *text = world_text(&w, "SELECT CAST(content AS TEXT) FROM message WHERE sender = ''");
    cr_assert_not_null(text);
    cr_expect(strstr(text, "x@short.example\r\nAction: delayed\r\n") != NULL);
    cr_expect(strstr(text, "x@long.example") == NULL, "by [relay] nobody is told");
    cr_expect(strstr(text, "Will-Retry-Until: Wed, 18 Nov 2026 12:06:40 +0000\r\n") != NULL);
    cr_expect(strstr(text, "tried again until\r\nWed, 18 Nov 2026 12:06:40 +0000;") != NULL);
    free(text);
    pass(700);
    cr_expect_eq(w.n_asked, 1, "once");
    world_end(&w);
}

/* By the route itself and by an administrator; test_contain.c has the third way. */
Test(lifetime, what_is_held_expires_by_its_route)
{
    world_begin(&w, ROUTES);
    world_send_remote(&w, "s@example.org", "x@never.example", "Subject: x\r\n\r\ny\r\n");
    world_pass(&w, 1);
    cr_expect_eq(state_of("never.example"), RCPT_HELD);
    send_all();
    world_admin(&w, "queue hold", (const char *[]){"from=s@example.org", NULL});
    for (size_t i = 0; i < 3; i++)
        cr_expect_eq(state_of(addresses[i] + 2), RCPT_HELD);
    pass(3600);
    cr_expect_eq(state_of("short.example"), RCPT_FAILED);
    cr_expect_eq(state_of("never.example"), RCPT_HELD);
    pass(3700);
    cr_expect_eq(state_of("never.example"), RCPT_FAILED);
    cr_expect_eq(state_of("example.net"), RCPT_HELD);
    pass(9 * 86400);
    cr_expect_eq(state_of("example.net"), RCPT_FAILED);
    cr_expect_eq(state_of("long.example"), RCPT_HELD);
    pass(86400);
    cr_expect_eq(state_of("long.example"), RCPT_FAILED);
    world_end(&w);
}

/* A new configuration counts for what waits already. */
Test(lifetime, a_route_that_is_new)
{
    world_begin(&w, "retry = 10m\nexpire = 1d\n"
                    "[route later.example]\nto = smtp://10.0.0.1:25\nexpire = 3d\n");
    world_send_remote(&w, "s@example.org", "x@later.example", "Subject: x\r\n\r\ny\r\n");
    world_pump(&w);
    world_admin(&w, "queue list", NULL);
    cr_expect(strstr(w.rows, "expires=1795259200") != NULL, "%s", w.rows);
    w.config->routes[0].delivery.expire_ms = w.config->relay.delivery.expire_ms;
    world_admin(&w, "queue list", NULL);
    cr_expect(strstr(w.rows, "expires=1795086400") != NULL, "%s", w.rows);
    cr_expect(strstr(w.rows, "expires=1795259200") == NULL, "%s", w.rows);
    world_end(&w);
}

/* What its sender asked to hold has its whole time after that (RFC 4865). */
Test(lifetime, it_counts_from_the_release)
{
    char room[2000];
    struct packer p = packer_on(room, sizeof room);
    world_begin(&w, ROUTES);
    world_rcpt(&p, "x@short.example", NULL, 0);
    w.hold_until = WORLD_START_S + 3600; /* "for;3600" */
    world_send(&w, "s@example.org", packer_span(&p), "Subject: x\r\n\r\ny\r\n");
    world_pump(&w);
    world_ticket(&w, VERDICT_OK, TICKET_GOOD);
    world_pump(&w);
    world_pass(&w, 3602);
    cr_assert_eq(w.n_jobs, 1);
    world_relay(&w, 0, VERDICT_TRY_LATER, "450 4.2.0 later");
    cr_expect_eq(state_of("short.example"), RCPT_WAITING);
    cr_expect_eq(w.n_asked, 0, "it is not late");
    pass(3590);
    cr_expect_eq(state_of("short.example"), RCPT_WAITING);
    pass(20);
    cr_expect_eq(state_of("short.example"), RCPT_FAILED);
    world_end(&w);
}
