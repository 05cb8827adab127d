#include "relay/sessions.h"

#include "common/clock.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define T0 INT64_C(1000000)

static void at(int64_t ms)
{
    clock_fake(T0 + ms, T0 + ms);
}

static void begin(struct sessions *s, uint64_t n_max)
{
    static struct loop *l;
    if (l == NULL)
        l = loop_new();
    sessions_begin(s, l, n_max);
}

static const unsigned char *key(unsigned i)
{
    static unsigned char k[SESSION_KEY];
    memset(k, 0, sizeof k);
    k[0] = (unsigned char)(i % 3); /* several in a bucket */
    k[1] = (unsigned char)i;
    k[2] = (unsigned char)(i >> 8);
    return k;
}

static void keep(struct sessions *s, unsigned k, const char *text, int64_t for_ms)
{
    sessions_keep(s, s->epoch, key(k), span_of(text), clock_mono_ms() + for_ms);
}

/* What is taken, "-" for nothing. */
static const char *take(struct sessions *s, unsigned k)
{
    static char text[64];
    struct session_taken t = sessions_take(s, key(k));
    snprintf(text, sizeof text, "%.*s", (int)t.octets.n, t.octets.n > 0 ? t.octets.p : "");
    bool is_empty = t.octets.n == 0;
    sessions_wipe(&t);
    cr_expect(t.octets.p == NULL && t.octets.n == 0);
    return is_empty ? "-" : text;
}

static void check_empty(struct sessions *s)
{
    begin(s, 0);
    cr_expect(s->n == 0 && s->n_octets == 0 && s->oldest == NULL && s->newest == NULL);
    cr_expect_not(s->sweep.is_set);
    for (size_t i = 0; i < 256; i++)
        cr_expect_null(s->buckets[i]);
}

Test(sessions, each_is_used_once_newest_first)
{
    struct sessions s = {0};
    at(0);
    begin(&s, 10);
    keep(&s, 1, "old", 1000);
    keep(&s, 1, "new", 1000);
    keep(&s, 4, "other", 1000);
    cr_expect_str_eq(take(&s, 1), "new");
    cr_expect_str_eq(take(&s, 1), "old");
    cr_expect_str_eq(take(&s, 1), "-");
    cr_expect_str_eq(take(&s, 2), "-");
    cr_expect_str_eq(take(&s, 4), "other");
    cr_expect_eq(s.n, 0);
    check_empty(&s);
}

Test(sessions, one_octet_of_the_key_is_enough_to_be_another)
{
    struct sessions s = {0};
    at(0);
    begin(&s, 10);
    keep(&s, 7, "x", 1000);
    for (size_t i = 0; i < SESSION_KEY; i++) {
        unsigned char other[SESSION_KEY];
        memcpy(other, key(7), sizeof other);
        other[i] ^= 1;
        struct session_taken t = sessions_take(&s, other);
        cr_expect_eq(t.octets.n, 0, "octet %zu", i);
    }
    cr_expect_str_eq(take(&s, 7), "x");
    check_empty(&s);
}

Test(sessions, time)
{
    struct sessions s = {0};
    at(0);
    begin(&s, 10);
    keep(&s, 1, "short", 1000);
    keep(&s, 1, "long", 5000);
    keep(&s, 1, "short again", 1000);
    at(999);
    struct session_taken t = sessions_take(&s, key(1));
    cr_expect(span_eq(t.octets, SPAN("short again")) && t.until_ms == T0 + 1000);
    sessions_wipe(&t);
    at(1000);
    cr_expect_str_eq(take(&s, 1), "long");
    cr_expect_str_eq(take(&s, 1), "-");
    cr_expect_eq(s.n, 0, "what is over is gone when it is met");
    keep(&s, 1, "over", 0);
    cr_expect_str_eq(take(&s, 1), "-");
    check_empty(&s);
}

Test(sessions, bounds)
{
    static char large[1U << 20];
    struct sessions s = {0};
    at(0);
    keep(&s, 1, "nothing was begun", 1000);
    cr_expect_eq(s.n, 0);
    begin(&s, 20);
    for (unsigned i = 0; i < 100; i++)
        keep(&s, i, "x", 1000);
    cr_expect_eq(s.n, 20);
    for (unsigned i = 0; i < 100; i++)
        cr_expect_str_eq(take(&s, i), i < 80 ? "-" : "x", "%u", i);
    for (unsigned i = 0; i < 100; i++)
        keep(&s, 1, i < 92 ? "early" : "late", 1000);
    cr_expect_eq(s.n, SESSIONS_OF_ONE_MAX, "one destination does not push out the others");
    for (unsigned i = 0; i < SESSIONS_OF_ONE_MAX; i++)
        cr_expect_str_eq(take(&s, 1), "late");
    memset(large, 'x', sizeof large);
    for (unsigned i = 0; i < 20; i++) {
        sessions_keep(&s, s.epoch, key(i), (struct span){large, sizeof large}, T0 + 1000);
        cr_expect_leq(s.n_octets, SESSIONS_OCTETS_MAX);
    }
    cr_expect_eq(s.n, SESSIONS_OCTETS_MAX / sizeof large);
    begin(&s, 20);
    cr_expect_eq(s.n, 0, "a reload forgets all");
    check_empty(&s);
}

Test(sessions, barred)
{
    struct sessions s = {0};
    at(0);
    begin(&s, 10);
    keep(&s, 1, "a", 1000);
    keep(&s, 1, "b", 1000);
    keep(&s, 4, "other", 2 * SESSIONS_MS);
    sessions_bar(&s, key(1));
    cr_expect_str_eq(take(&s, 1), "-");
    keep(&s, 1, "c", 1000);
    cr_expect_str_eq(take(&s, 1), "-");
    cr_expect_eq(s.n, 1);
    at(SESSIONS_MS);
    keep(&s, 1, "d", 1000);
    cr_expect_str_eq(take(&s, 1), "d");
    cr_expect_str_eq(take(&s, 4), "other");
    check_empty(&s);
}

Test(sessions, a_bar_is_not_pushed_out_by_sessions_of_others)
{
    struct sessions s = {0};
    at(0);
    begin(&s, 1);
    sessions_bar(&s, key(1));
    sessions_bar(&s, key(1));
    cr_expect_eq(s.next_bar, 1, "it is barred already");
    for (unsigned i = 2; i < 100; i++)
        keep(&s, i, "other", SESSIONS_MS);
    at(SESSIONS_MS - 1);
    keep(&s, 1, "a", SESSIONS_MS);
    cr_expect_str_eq(take(&s, 1), "-");
    for (unsigned i = 2; i < SESSIONS_BARS_MAX + 2; i++)
        sessions_bar(&s, key(i));
    keep(&s, 1, "b", SESSIONS_MS);
    cr_expect_str_eq(take(&s, 1), "b", "there is room for so many bars");
    keep(&s, 2, "c", SESSIONS_MS);
    cr_expect_str_eq(take(&s, 2), "-");
    begin(&s, 1);
    keep(&s, 2, "d", SESSIONS_MS);
    cr_expect_str_eq(take(&s, 2), "d", "a reload forgets all");
    check_empty(&s);
}

Test(sessions, what_is_over_goes_though_nobody_asks)
{
    struct sessions s = {0};
    at(0);
    begin(&s, 10);
    cr_expect_not(s.sweep.is_set);
    keep(&s, 1, "long", SESSIONS_MS);
    cr_expect(s.sweep.is_set && s.sweep.in_ms == SESSIONS_SWEEP_MS);
    keep(&s, 2, "short", 1000);
    keep(&s, 5, "longer", SESSIONS_MS + 1);
    at(1000);
    timer_set(&s.sweep, 0);
    loop_turn(s.sweep.loop, 30000);
    cr_expect_eq(s.n, 2);
    cr_expect(s.sweep.is_set && s.sweep.in_ms == SESSIONS_SWEEP_MS, "again in a minute");
    at(SESSIONS_MS + 1);
    timer_set(&s.sweep, 0);
    loop_turn(s.sweep.loop, 30000);
    cr_expect(s.n == 0 && s.n_octets == 0);
    cr_expect_not(s.sweep.is_set, "there is nothing to wait for");
    keep(&s, 1, "new", 1000);
    cr_expect(s.sweep.is_set);
    check_empty(&s);
}

Test(sessions, what_comes_of_a_connection_of_before_a_reload)
{
    struct sessions s = {0};
    at(0);
    begin(&s, 10);
    uint32_t before = s.epoch;
    begin(&s, 10);
    sessions_keep(&s, before, key(1), SPAN("old"), T0 + 1000);
    cr_expect_eq(s.n, 0);
    sessions_keep(&s, s.epoch, key(1), SPAN("new"), T0 + 1000);
    cr_expect_str_eq(take(&s, 1), "new");
    check_empty(&s);
}
