#include "queue/agenda.h"
#include "queue/schedule.h"

#include <criterion/criterion.h>

Test(schedule, waits_grow_and_the_last_repeats)
{
    static int64_t retry[] = {300000, 900000, 3600000};
    struct relay_config c = {.retry_ms = retry, .n_retry = 3};
    static const struct {
        uint64_t attempts;
        int64_t now, expires;
        uint32_t dice; /* 0: a tenth less, 1000: none, 2000: a tenth more */
        int64_t next;
    } rows[] = {
        {1, 1000, 1000000, 1000, 1300},
        {2, 1000, 1000000, 1000, 1900},
        {3, 1000, 1000000, 1000, 4600},
        {4, 1000, 1000000, 1000, 4600},
        {UINT64_MAX, 0, 1000000, 1000, 3600},
        {1, 0, 1000000, 0, 270},
        {1, 0, 1000000, 2000, 330},
        {1, 0, 1000000, 2001, 270},  /* dice are cut, not trusted */
        {1, 1000, 1100, 1000, 1100}, /* one attempt at the end */
        {1, 1000, 1000, 1000, 1300}, /* it is over: whoever asks decides */
        {0, 1000, 1000000, 1000, 1300},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(
            schedule_next(&c, rows[i].attempts, rows[i].now, rows[i].expires, rows[i].dice),
            rows[i].next, "row %zu", i);
}

Test(schedule, a_wait_is_never_nothing)
{
    static int64_t retry[] = {10};
    struct relay_config c = {.retry_ms = retry, .n_retry = 1};
    cr_assert_eq(schedule_next(&c, 1, 1000, 5000, 0), 1001);
    retry[0] = 2000;
    cr_assert_eq(schedule_next(&c, 1, 1000, 5000, 0), 1002);
    c.n_retry = 0;
    cr_assert_gt(schedule_next(&c, 1, 1000, 5000, 0), 1000);
    cr_assert_gt(schedule_soon(1000, 0), 1000);
    cr_assert_leq(schedule_soon(1000, UINT32_MAX), 1060);
}

Test(agenda, a_recipient_is_in_it_once)
{
    struct agenda *a = agenda_new();
    struct agenda_job j, none;
    cr_assert_eq(agenda_add(a, 1, 0, "x"), AGENDA_ADDED);
    cr_assert_eq(agenda_add(a, 1, 0, "x"), AGENDA_KNOWN);
    cr_assert(agenda_take(a, &j));
    cr_assert_eq(agenda_add(a, 1, 0, "y"), AGENDA_KNOWN); /* also while it is tried */
    cr_assert(agenda_is_active(a, 1, 0));
    cr_assert(agenda_has_active(a, 1));
    cr_assert(!agenda_take(a, &none));
    agenda_done(a, &j);
    cr_assert(!agenda_has_active(a, 1));
    cr_assert_eq(agenda_add(a, 1, 0, "x"), AGENDA_ADDED);
    agenda_free(a);
}

Test(agenda, jobs_are_of_one_message_and_one_lane)
{
    struct agenda *a = agenda_new();
    struct agenda_job j;
    for (uint32_t i = 0; i < 100; i++)
        agenda_add(a, 1, i, i % 2 ? "odd" : "even");
    agenda_add(a, 2, 0, "odd");
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
    struct agenda *a = agenda_new();
    struct agenda_job j, k;
    agenda_add(a, 1, 0, "x");
    agenda_add(a, 1, 1, "x");
    agenda_add(a, 2, 0, "x");
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
    struct agenda *a = agenda_new();
    size_t n = 0;
    while (n < 100000 && agenda_add(a, n + 1, 0, "slow") == AGENDA_ADDED)
        n++;
    cr_assert_leq(n, AGENDA_MAX / 4);
    for (int lane = 0; lane < 1000; lane++) {
        char key[20];
        snprintf(key, sizeof key, "lane%d", lane);
        for (uint64_t i = 0; i < 100; i++)
            agenda_add(a, 1000000 + i, (uint32_t)lane, key);
    }
    cr_assert_leq(agenda_count(a), AGENDA_MAX);
    cr_assert_gt(agenda_count(a), AGENDA_MAX / 2);
    agenda_free(a);
}

/* However the work comes and goes: counts come back to nothing, and nobody is forgotten. */
Test(agenda, everything_gets_its_turn)
{
    struct agenda *a = agenda_new();
    static struct agenda_job running[JOBS_MAX];
    size_t n_running = 0, done = 0, added = 0;
    uint32_t random = 1;
    for (int step = 0; step < 200000; step++) {
        random = random * 1664525 + 1013904223;
        uint32_t dice = random >> 16;
        if (added < 3000 && dice % 3 == 0) {
            char key[20];
            snprintf(key, sizeof key, "lane%u", dice / 3 % 50);
            added += agenda_add(a, added + 1, dice, key) == AGENDA_ADDED;
        } else if (n_running < JOBS_MAX && agenda_take(a, &running[n_running])) {
            if (dice % 5 == 0)
                agenda_put_back(a, &running[n_running]);
            else
                n_running++;
        } else if (n_running > 0) {
            size_t at = dice % n_running;
            done += running[at].n;
            agenda_done(a, &running[at]);
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
    struct agenda *a = agenda_new();
    struct agenda_job j;
    uint64_t n = 0;
    while (agenda_add(a, n + 1, 0, "x") == AGENDA_ADDED)
        n++;
    cr_assert(!agenda_is_hungry(a));
    size_t done = 0;
    while (!agenda_is_hungry(a) && agenda_take(a, &j)) {
        agenda_done(a, &j);
        done++;
    }
    cr_assert(done > n / 4 && done < n, "%zu of %zu", done, (size_t)n);
    cr_assert_eq(agenda_add(a, 1000000, 0, "y"), AGENDA_ADDED); /* another lane changes nothing */
    cr_assert(agenda_is_hungry(a));
    while (agenda_add(a, 2000000 + n, 0, "x") == AGENDA_ADDED)
        n++;
    cr_assert(!agenda_is_hungry(a));
    while (agenda_take(a, &j))
        agenda_done(a, &j);
    cr_assert(agenda_is_hungry(a)); /* empty, and not forgotten */
    agenda_sated(a);
    cr_assert(!agenda_is_hungry(a));
    agenda_free(a);
}
