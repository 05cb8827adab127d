#include "common/clock.h"
#include "queue/agenda.h"
#include "queue/schedule.h"
#include "queue/shares.h"

#include <criterion/criterion.h>

#define JOBS_MAX 200

static struct agenda *new_agenda(void)
{
    struct agenda *a = agenda_new();
    cr_assert_not_null(a);
    agenda_set_jobs(a, JOBS_MAX);
    return a;
}

static enum agenda_result add_flow(struct agenda *a, uint64_t message, const char *lane,
                                   uint64_t flow)
{
    static const int64_t retry[] = {300000, 900000};
    struct agenda_entry e = {
        .message = message,
        .flow = flow,
        .lane = lane,
        .rules = {.jobs_max = 20, .rate = {.is_off = true}, .retry_ms = retry, .n_retry = 2}};
    return agenda_add(a, &e);
}

static enum agenda_result add(struct agenda *a, uint64_t message, uint32_t number, const char *lane)
{
    struct agenda_entry e = {.message = message,
                             .number = number,
                             .lane = lane,
                             .rules = {.jobs_max = 20, .rate = {.is_off = true}}};
    return agenda_add(a, &e);
}

Test(schedule, waits_grow_and_the_last_repeats)
{
    static int64_t retry[] = {300000, 900000, 3600000};
    struct delivery_config c = {.retry_ms = retry, .n_retry = 3};
    static const struct {
        uint64_t attempts;
        int64_t now, expires;
        uint32_t dice; /* 0: nothing more, 1000: a tenth more */
        int64_t next;
    } rows[] = {
        {1, 1000, 1000000, 0, 1300}, {2, 1000, 1000000, 0, 1900},       {3, 1000, 1000000, 0, 4600},
        {4, 1000, 1000000, 0, 4600}, {UINT64_MAX, 0, 1000000, 0, 3600}, {1, 0, 1000000, 500, 315},
        {1, 0, 1000000, 1000, 330},  {1, 0, 1000000, 1001, 300}, /* dice are cut, not trusted */
        {1, 1000, 1100, 0, 1100},                                /* one attempt at the end */
        {1, 1000, 1000, 0, 1300}, /* it is over: whoever asks decides */
        {0, 1000, 1000000, 0, 1300},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(
            schedule_next(&c, rows[i].attempts, rows[i].now, rows[i].expires, rows[i].dice),
            rows[i].next, "row %zu", i);
}

Test(schedule, a_wait_is_never_nothing)
{
    static int64_t retry[] = {10};
    struct delivery_config c = {.retry_ms = retry, .n_retry = 1};
    cr_assert_eq(schedule_next(&c, 1, 1000, 5000, 0), 1001);
    retry[0] = 2000;
    cr_assert_eq(schedule_next(&c, 1, 1000, 5000, 0), 1002);
    c.n_retry = 0;
    cr_assert_gt(schedule_next(&c, 1, 1000, 5000, 0), 1000);
    cr_assert_gt(schedule_soon(1000, false, 0), 1000);
    cr_assert_leq(schedule_soon(1000, false, UINT32_MAX), 1060);
    cr_assert_gt(schedule_soon(1000, true, 0), 1000);
    cr_assert_leq(schedule_soon(1000, true, UINT32_MAX), 1004);
}

Test(agenda, a_recipient_is_in_it_once)
{
    struct agenda *a = new_agenda();
    struct agenda_job j, none;
    cr_assert_eq(add(a, 1, 0, "x"), AGENDA_ADDED);
    cr_assert_eq(add(a, 1, 0, "x"), AGENDA_KNOWN);
    cr_assert(agenda_take(a, &j));
    cr_assert_eq(add(a, 1, 0, "y"), AGENDA_KNOWN); /* also while it is tried */
    cr_assert(agenda_is_active(a, 1, 0));
    cr_assert(!agenda_take(a, &none));
    agenda_done(a, &j, REACH_UNKNOWN, SPAN(""));
    cr_assert(!agenda_is_active(a, 1, 0));
    cr_assert_eq(add(a, 1, 0, "x"), AGENDA_ADDED);
    agenda_free(a);
}

Test(agenda, jobs_are_of_one_message_and_one_lane)
{
    struct agenda *a = new_agenda();
    struct agenda_job j;
    for (uint32_t i = 0; i < 100; i++)
        add(a, 1, i, i % 2 ? "odd" : "even");
    add(a, 2, 0, "odd");
    size_t n = 0, n_jobs = 0;
    while (agenda_take(a, &j)) {
        n_jobs++;
        for (size_t i = 0; j.message == 1 && i < j.n; i++)
            cr_assert_eq(j.numbers[i] % 2, j.numbers[0] % 2);
        n += j.n;
        cr_assert_leq(j.n, RELAY_RCPTS_MAX);
    }
    cr_assert_eq(n, 101);
    cr_assert_eq(n_jobs, 5);
    agenda_free(a);
}

Test(agenda, what_could_not_start_is_the_next_to_start)
{
    struct agenda *a = new_agenda();
    struct agenda_job j, k;
    add(a, 1, 0, "x");
    add(a, 1, 1, "x");
    add(a, 2, 0, "x");
    cr_assert(agenda_take(a, &j));
    agenda_put_back(a, &j);
    cr_assert(!agenda_is_active(a, 1, 0));
    cr_assert(agenda_take(a, &k));
    cr_assert_eq(k.message, 1);
    cr_assert_eq(k.n, 2);
    cr_assert_eq(k.numbers[0], 0);
    agenda_free(a);
}

Test(agenda, no_lane_takes_all_and_memory_is_bounded)
{
    struct agenda *a = new_agenda();
    size_t n = 0;
    while (n < 100000 && add(a, n + 1, 0, "slow") == AGENDA_ADDED)
        n++;
    cr_assert_leq(n, AGENDA_MAX / 4);
    for (int lane = 0; lane < 1000; lane++) {
        char key[20];
        snprintf(key, sizeof key, "lane%d", lane);
        for (uint64_t i = 0; i < 100; i++)
            add(a, 1000000 + i, (uint32_t)lane, key);
    }
    cr_assert_leq(agenda_count(a), AGENDA_MAX);
    cr_assert_gt(agenda_count(a), AGENDA_MAX / 2);
    agenda_free(a);
}

/* However the work comes and goes: counts come back to nothing, and nobody is forgotten. */
Test(agenda, everything_gets_its_turn)
{
    struct agenda *a = new_agenda();
    static struct agenda_job running[JOBS_MAX];
    size_t n_running = 0, done = 0, added = 0;
    uint32_t random = 1;
    for (int step = 0; step < 200000; step++) {
        random = random * 1664525 + 1013904223;
        uint32_t dice = random >> 16;
        if (added < 3000 && dice % 3 == 0) {
            char key[20];
            snprintf(key, sizeof key, "lane%u", dice / 3 % 50);
            added += add(a, added + 1, dice, key) == AGENDA_ADDED;
        } else if (n_running < JOBS_MAX && agenda_take(a, &running[n_running])) {
            if (dice % 5 == 0)
                agenda_put_back(a, &running[n_running]);
            else
                n_running++;
        } else if (n_running > 0) {
            size_t at = dice % n_running;
            done += running[at].n;
            agenda_done(a, &running[at], REACH_UNKNOWN, SPAN(""));
            running[at] = running[--n_running];
        }
    }
    cr_assert_eq(added, 3000);
    cr_assert_eq(done, added);
    cr_assert_eq(agenda_count(a), 0);
    agenda_free(a);
}

Test(agenda, a_lane_that_left_some_out_says_when_it_has_room)
{
    struct agenda *a = new_agenda();
    struct agenda_job j;
    uint64_t n = 0;
    while (add(a, n + 1, 0, "x") == AGENDA_ADDED)
        n++;
    cr_assert(!agenda_is_hungry(a));
    size_t done = 0;
    while (!agenda_is_hungry(a) && agenda_take(a, &j)) {
        agenda_done(a, &j, REACH_UNKNOWN, SPAN(""));
        done++;
    }
    cr_assert(done > n / 4 && done < n, "%zu of %zu", done, (size_t)n);
    cr_assert_eq(add(a, 1000000, 0, "y"), AGENDA_ADDED); /* another lane changes nothing */
    cr_assert(agenda_is_hungry(a));
    while (add(a, 2000000 + n, 0, "x") == AGENDA_ADDED)
        n++;
    cr_assert(!agenda_is_hungry(a));
    while (agenda_take(a, &j))
        agenda_done(a, &j, REACH_UNKNOWN, SPAN(""));
    cr_assert(agenda_is_hungry(a)); /* empty, and not forgotten */
    agenda_sated(a);
    cr_assert(!agenda_is_hungry(a));
    agenda_free(a);
}

Test(agenda, a_large_mailing_keeps_nobody_out)
{
    struct agenda *a = new_agenda();
    struct agenda_job j;
    uint64_t n = 0;
    while (add_flow(a, n + 1, "x", 1) == AGENDA_ADDED)
        n++;
    cr_assert_gt(n, 2000);
    cr_assert_eq(add_flow(a, 1000000, "x", 2), AGENDA_ADDED);
    cr_assert(agenda_take(a, &j));
    cr_assert_eq(j.message, 1);
    cr_assert(agenda_take(a, &j));
    cr_assert_eq(j.message, 1000000); /* the second in turn */
    agenda_free(a);
}

/* One answer for all: what waits is handed back, what comes is not taken, until it is time. */
Test(agenda, what_is_down_is_not_asked_for_each_message)
{
    struct agenda *a = new_agenda();
    struct agenda_job j, k;
    struct span why;
    int64_t until;
    clock_fake(1000, 1000000000);
    for (uint64_t i = 1; i <= 30; i++)
        add_flow(a, i, "dead", i);
    cr_assert(agenda_take(a, &j));
    agenda_done(a, &j, REACH_DOWN, SPAN("connection refused"));
    cr_assert(!agenda_take(a, &k));
    size_t n = 0;
    while (agenda_take_stuck(a, &k, &until, &why)) {
        n += k.n;
        cr_assert_geq(until, 1000000000 + 300000);
        cr_assert(span_eq(why, SPAN("connection refused")));
    }
    cr_assert_eq(n, 29);
    cr_assert_eq(agenda_count(a), 0);
    cr_assert_eq(add_flow(a, 100, "dead", 1), AGENDA_DOWN);
    cr_assert_eq(agenda_down(a, "dead", &why), until);
    cr_assert_eq(add_flow(a, 100, "well", 1), AGENDA_ADDED);
    clock_fake(1000, until + 1);
    for (uint64_t i = 1; i <= 30; i++)
        cr_assert_eq(add_flow(a, i, "dead", i), AGENDA_ADDED);
    n = 0;
    while (agenda_take(a, &k))
        n++;
    cr_assert_eq(n, 2); /* one to each: this lane has to show that it is back */
    agenda_wake_all(a);
    agenda_free(a);
}

Test(pace, starts_slowly_and_backs_off)
{
    static const struct pace_rules r = {.jobs_max = 20, .rate = {.is_off = true}};
    struct pace p = {0};
    cr_assert_eq(pace_jobs(&p, &r), PACE_START);
    for (int64_t t = 1000; t < 1005; t++)
        pace_ended(&p, &r, REACH_OK, t, t, 0);
    cr_assert_eq(pace_jobs(&p, &r), 10);
    pace_ended(&p, &r, REACH_SLOW, 2000, 3000, 0);
    cr_assert_eq(pace_jobs(&p, &r), 5);
    pace_ended(&p, &r, REACH_SLOW, 2500, 3100, 0); /* it began before */
    cr_assert_eq(pace_jobs(&p, &r), 5);
    cr_assert_eq(pace_wait_ms(&p, &r, 3100), 0);
    pace_ended(&p, &r, REACH_LOST, 3200, 3300, 0);
    cr_assert_eq(pace_wait_ms(&p, &r, 3300), 0);
    pace_ended(&p, &r, REACH_LOST, 3400, 3500, 0);
    cr_assert_eq(pace_jobs(&p, &r), 1);
    cr_assert_gt(pace_wait_ms(&p, &r, 3500), 0);
    for (int i = 0; i < 20; i++)
        pace_ended(&p, &r, REACH_LOST, 10000000 + i * 1000, 10000500 + i * 1000, 0);
    cr_assert_eq(pace_jobs(&p, &r), 1);
    cr_assert_leq(pace_wait_ms(&p, &r, 10019500), 60000);
    pace_ended(&p, &r, REACH_OK, 10020000, 10020001, 0);
    cr_assert_eq(pace_wait_ms(&p, &r, 10020001), 0);
    for (int64_t t = 0; t < 100; t++)
        pace_ended(&p, &r, REACH_OK, 10030000 + t, 10030000 + t, 0);
    cr_assert_eq(pace_jobs(&p, &r), 20);
}

Test(pace, down_for_longer_each_time_but_not_for_ever)
{
    static const int64_t retry[] = {60000, 600000, 36000000};
    static const struct pace_rules r = {
        .jobs_max = 20, .rate = {.is_off = true}, .retry_ms = retry, .n_retry = 3};
    static const int64_t expected[] = {60000, 600000, 3272720, 3272720};
    struct pace p = {0};
    int64_t now = 1000000;
    for (size_t i = 0; i < 4; i++) {
        pace_ended(&p, &r, REACH_DOWN, now, now, 0);
        int64_t wait = pace_down_until_ms(&p, now) - now;
        cr_expect(wait >= expected[i] - 10 && wait <= PACE_DOWN_MAX_MS, "%zu: %lld", i,
                  (long long)wait);
        cr_assert_eq(pace_down_until_ms(&p, now - 100 * PACE_DOWN_MAX_MS), 0); /* a clock */
        now += wait + 1;
        cr_assert_eq(pace_down_until_ms(&p, now), 0);
    }
    pace_ended(&p, &r, REACH_OK, now, now, 0);
    pace_ended(&p, &r, REACH_DOWN, now, now + 1, 0); /* others get through: it is only slow */
    cr_assert_eq(pace_down_until_ms(&p, now + 1), 0);
}

Test(pace, rate_is_kept)
{
    static const struct pace_rules r = {.jobs_max = 20, .rate = {.count = 100, .period_ms = 60000}};
    struct pace p = {0};
    int64_t now = 5000000;
    size_t n = 0;
    for (int64_t end = now + 600000; now < end; now += 10)
        while (pace_wait_ms(&p, &r, now) == 0) {
            pace_started(&p, &r, now);
            n++;
        }
    cr_assert(n >= 1090 && n <= 1101, "%zu", n); /* 100 at once, then 100 a minute */
}

Test(shares, three_quarters_for_one_then_of_the_rest)
{
    static struct shares s;
    uint64_t n_free = 100, n[3] = {0};
    for (uint64_t flow = 0; flow < 3; flow++)
        for (; shares_may(&s, flow, n_free); n_free--) {
            shares_take(&s, flow);
            n[flow]++;
        }
    cr_expect_eq(n[0], 76, "%llu", (unsigned long long)n[0]);
    cr_expect_eq(n[1], 19, "%llu", (unsigned long long)n[1]);
    cr_expect_geq(n_free, 1);
    cr_expect(shares_may(&s, 99, n_free));
    for (; n[0] > 0; n[0]--)
        shares_give(&s, 0);
    cr_expect(shares_may(&s, 0, n_free));
    shares_give(&s, 77); /* has none */
    for (uint64_t flow = 1; flow < 3; flow++)
        for (; n[flow] > 0; n[flow]--)
            shares_give(&s, flow);
    cr_expect_eq(s.n, 0);
    for (uint64_t flow = 0; flow < SHARES_MAX + 5; flow++)
        shares_take(&s, flow);
    cr_expect_eq(s.n, SHARES_MAX);
}

/* A mailing to very many silent destinations leaves room for who comes later; when one of its jobs
 * is over, the next destination has its turn at once. */
Test(agenda, one_sender_does_not_take_all_jobs)
{
    struct agenda *a = new_agenda();
    struct agenda_job jobs[JOBS_MAX];
    char lane[32];
    size_t n = 0, n_done = 0;
    for (uint64_t i = 0; i < 2 * JOBS_MAX; i++) {
        snprintf(lane, sizeof lane, "d%d", (int)i);
        cr_assert_eq(add_flow(a, i + 1, lane, 5), AGENDA_ADDED);
    }
    while (n < JOBS_MAX && agenda_take(a, &jobs[n]))
        n++;
    cr_expect_eq(n, JOBS_MAX * 3 / 4 + 1, "%zu", n);
    cr_assert_eq(add_flow(a, 5000, "d7", 6), AGENDA_ADDED);
    cr_assert_eq(add_flow(a, 5001, "d399", 6), AGENDA_ADDED); /* behind what may not go */
    for (int i = 0; i < 2; i++) {
        cr_assert(agenda_take(a, &jobs[n]));
        cr_expect_geq(jobs[n++].message, 5000);
    }
    cr_expect_not(agenda_take(a, &jobs[n]));
    while (n > 0) {
        agenda_done(a, &jobs[--n], REACH_OK, SPAN(""));
        n_done++;
        while (n < JOBS_MAX && agenda_take(a, &jobs[n]))
            n++;
    }
    cr_expect_eq(n_done, 2 * JOBS_MAX + 2, "%zu", n_done);
    cr_expect_eq(agenda_count(a), 0);
    agenda_free(a);
}
