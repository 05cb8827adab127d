/* Counters, their last minute, and times, on a fake clock. */
#include "common/clock.h"
#include "common/stats.h"

#include <criterion/criterion.h>

static struct stats_sum look(enum role role)
{
    static char octets[STATS_MAX];
    struct stats_sum sum = {0};
    size_t n = stats_pack(role, octets, sizeof octets);
    cr_assert_gt(n, 0);
    cr_assert_eq(stats_merge(&sum, (struct span){octets, n}), 0);
    return sum;
}

static void real_clock(void)
{
    clock_fake(-1, -1);
}

TestSuite(stats, .fini = real_clock);

Test(stats, the_last_minute_and_all_time)
{
    static const struct {
        int64_t ms;
        uint64_t total, minute;
    } rows[] = {
        {0, 5, 5}, {54000, 5, 5}, {65000, 5, 0}, {10000000, 5, 0}, {9000000 /* back */, 5, 0}};
    clock_fake(1000000, 0);
    stats_add(STAT_ACCEPTED, 2);
    stats_add(STAT_ACCEPTED, 3);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        clock_fake(1000000 + rows[i].ms, 0);
        struct stats_sum sum = look(ROLE_QUEUE);
        cr_expect_eq(sum.totals[STAT_ACCEPTED], rows[i].total, "row %zu", i);
        cr_expect_eq(sum.minute[STAT_ACCEPTED], rows[i].minute, "row %zu: %llu", i,
                     (unsigned long long)sum.minute[STAT_ACCEPTED]);
    }
}

Test(stats, a_process_tells_only_what_is_its_own)
{
    stats_count(STAT_LOGINS);
    cr_expect_eq(look(ROLE_QUEUE).totals[STAT_LOGINS], 0);
    cr_expect_eq(look(ROLE_AUTHD).totals[STAT_LOGINS], 1);
}

Test(stats, gauges_go_up_and_down)
{
    stats_gauge(STAT_SMTP_SESSIONS, 1);
    stats_gauge(STAT_SMTP_SESSIONS, 1);
    stats_gauge(STAT_SMTP_SESSIONS, -1);
    cr_expect_eq(look(ROLE_SMTPD).totals[STAT_SMTP_SESSIONS], 1);
}

/* Within an eighth, over the whole range. */
Test(stats, quantiles)
{
    for (int64_t us = 1; us < 8000000000; us = us * 3 + 1) {
        struct stats_sum before = look(ROLE_QUEUE), after;
        stats_time_us(STAT_TIME_COMMIT, us);
        after = look(ROLE_QUEUE);
        uint64_t one[STATS_BUCKETS];
        for (size_t i = 0; i < STATS_BUCKETS; i++)
            one[i] = after.times[STAT_TIME_COMMIT].buckets[i] -
                     before.times[STAT_TIME_COMMIT].buckets[i];
        uint64_t said = stats_quantile_us(one, 500);
        cr_expect(said >= (uint64_t)us && said <= (uint64_t)us + (uint64_t)us / 8, "%lld: %llu",
                  (long long)us, (unsigned long long)said);
        cr_expect_eq(stats_count_within(one, said), 1);
        cr_expect_eq(stats_count_within(one, (uint64_t)us / 2), 0, "%lld", (long long)us);
    }
}

Test(stats, of_many_times)
{
    for (int64_t i = 1; i <= 1000; i++)
        stats_time_us(STAT_TIME_ACCEPT, i * 1000);
    struct stats_sum sum = look(ROLE_SMTPD);
    const struct stats_hist *h = &sum.times[STAT_TIME_ACCEPT];
    cr_expect_eq(h->count, 1000);
    cr_expect_eq(h->max_us, 1000000);
    cr_expect_eq(h->sum_us, 500500000);
    uint64_t p50 = stats_quantile_us(h->buckets, 500), p99 = stats_quantile_us(h->buckets, 990);
    cr_expect(p50 >= 500000 && p50 <= 570000, "%llu", (unsigned long long)p50);
    cr_expect(p99 >= 990000 && p99 <= 1120000, "%llu", (unsigned long long)p99);
    cr_expect_eq(stats_quantile_us((uint64_t[STATS_BUCKETS]){0}, 990), 0);
}

Test(stats, recent_times_are_forgotten)
{
    clock_fake(30000 * 10, 0);
    stats_time_us(STAT_TIME_DNS, 100);
    struct stats_sum sum = look(ROLE_RESOLVER);
    cr_expect_gt(stats_quantile_us(sum.times[STAT_TIME_DNS].recent, 500), 0);
    clock_fake(30000 * 11, 0);
    sum = look(ROLE_RESOLVER);
    cr_expect_gt(stats_quantile_us(sum.times[STAT_TIME_DNS].recent, 500), 0);
    clock_fake(30000 * 12, 0);
    sum = look(ROLE_RESOLVER);
    cr_expect_eq(stats_quantile_us(sum.times[STAT_TIME_DNS].recent, 500), 0);
    cr_expect_gt(stats_quantile_us(sum.times[STAT_TIME_DNS].buckets, 500), 0);
}

Test(stats, workers_are_added_up)
{
    static char octets[STATS_MAX];
    struct stats_sum sum = {0};
    stats_add(STAT_POP3_RETRIEVED, 7);
    size_t n = stats_pack(ROLE_POP3D, octets, sizeof octets);
    cr_assert_eq(stats_merge(&sum, (struct span){octets, n}), 0);
    cr_assert_eq(stats_merge(&sum, (struct span){octets, n}), 0);
    cr_expect_eq(sum.totals[STAT_POP3_RETRIEVED], 14);
}

/* All that a process can say fits; what is cut or changed never passes for something else. */
Test(stats, damaged_octets)
{
    static char octets[STATS_MAX];
    for (int64_t us = 1; us < INT64_MAX / 2; us += us / 16 + 1) {
        stats_time_us(STAT_TIME_COMMIT, us);
        stats_time_us(STAT_TIME_DELIVERY, us);
    }
    size_t n = stats_pack(ROLE_QUEUE, octets, sizeof octets);
    cr_assert_gt(n, 0);
    for (size_t cut = 1; cut < n; cut += 13) {
        struct stats_sum sum = {0};
        if (stats_merge(&sum, (struct span){octets, cut}) < 0)
            cr_expect_eq(sum.times[STAT_TIME_COMMIT].count, 0, "nothing of it was added");
    }
    struct stats_sum sum = {0};
    octets[0] = (char)0xff;
    cr_expect_eq(stats_merge(&sum, (struct span){octets, n}), -1);
    cr_expect_eq(stats_pack(ROLE_QUEUE, octets, 100), 0);
}
