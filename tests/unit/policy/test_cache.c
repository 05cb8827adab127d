/* What is known of domains, for how long, and what happens when it cannot be found out. */
#include "stage.h"

#include <criterion/criterion.h>

#define OK     "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
#define FIRST  OK "version: STSv1\nmode: enforce\nmx: mx.remote.example\nmax_age: 864000\n"
#define SECOND OK "version: STSv1\nmode: testing\nmx: *.other.example\nmax_age: 864000\n"
#define NONE   OK "version: STSv1\nmode: none\nmax_age: 86400\n"
#define SHORT  OK "version: STSv1\nmode: enforce\nmx: mx.remote.example\nmax_age: 60\n"
#define GONE   "HTTP/1.1 404 Not Found\r\n\r\n"
#define DOMAIN "remote.example"
#define DAY_S  86400

static struct stage s;

static void begin(const char *response)
{
    stage_begin(&s, STAGE_HOSTS);
    stage_connect(&s);
    s.txt = "v=STSv1; id=one;";
    s.response = response;
}

static void expect(struct answer a, enum verdict verdict, enum sts_mode mode, const char *mx)
{
    cr_expect_eq(a.verdict, verdict, "%d", a.verdict);
    cr_expect_eq(a.mode, mode, "%s", sts_mode_name(a.mode));
    cr_expect_str_eq(a.mx, mx);
}

/* Minute after minute, as the process does it; who asks waits for a look that was begun. */
static void live(int64_t seconds)
{
    for (; seconds > 0; seconds -= 60) {
        size_t n = s.n_txt;
        stage_pass(&s, 60);
        cache_sweep(s.cache);
        for (int i = 0; i < 4; i++)
            loop_turn(s.loop, 0);
        if (s.n_txt != n)
            stage_ask(&s, DOMAIN);
    }
    stage_turns(&s, 10);
}

Test(cache, learnt_kept_and_not_asked_for_again)
{
    begin(FIRST);
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_ENFORCE, "mx.remote.example ");
    stage_turns(&s, 20);
    cr_expect_eq(s.n_keeps, 1);
    cr_expect_str_eq(s.kept.domain, DOMAIN);
    cr_expect_str_eq(s.kept.id, "one");
    cr_expect(s.kept.mode == STS_ENFORCE && s.kept.max_age == 864000 &&
              s.kept.fetched == STAGE_START_S);
    cr_expect_str_eq(s.kept.mx, "mx.remote.example ");
    stage_pass(&s, 299);
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_ENFORCE, "mx.remote.example ");
    cr_expect(s.n_txt == 1 && s.n_gets == 1, "five minutes (RFC 8461 3.3)");
    stage_pass(&s, 2);
    stage_ask(&s, DOMAIN);
    cr_expect(s.n_txt == 2 && s.n_gets == 1, "the record is what it was");
    stage_end(&s);
}

Test(cache, a_changed_record_brings_another_policy)
{
    begin(FIRST);
    stage_ask(&s, DOMAIN);
    s.txt = "v=STSv1; id=two;";
    s.response = SECOND;
    stage_pass(&s, 301);
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_TESTING, "*.other.example ");
    stage_turns(&s, 20);
    cr_expect_str_eq(s.kept.id, "two");
    cr_expect(stage_has_logged(&s, "policy-changed domain=remote.example id=two mode=testing"));
    stage_end(&s);
}

/* RFC 8461 3.3: neither a record that went nor a server that fails ends a policy before its time.
 */
Test(cache, it_counts_until_its_time_is_over)
{
    begin(FIRST);
    stage_ask(&s, DOMAIN);
    static const char *const faults[] = {GONE, "", &NONE[20], OK "<html>"};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        s.txt = "v=STSv1; id=two;";
        s.response = faults[i];
        stage_pass(&s, DAY_S);
        expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_ENFORCE, "mx.remote.example ");
    }
    cr_expect(stage_has_logged(&s, "policy-not-fetched"));
    s.txt = NULL;
    stage_pass(&s, DAY_S);
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_ENFORCE, "mx.remote.example ");
    cr_expect(stage_has_logged(&s, "policy-record-gone domain=remote.example"));
    s.is_dns_down = true;
    stage_pass(&s, DAY_S);
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_ENFORCE, "mx.remote.example ");
    s.is_dns_down = false;
    stage_pass(&s, 5 * DAY_S);
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_NONE, "");
    cr_expect_eq(s.n_keeps, 1);
    stage_end(&s);
}

/* 8.3: who wants to be rid of it says so by a policy. */
Test(cache, the_mode_none_takes_it_back)
{
    begin(FIRST);
    stage_ask(&s, DOMAIN);
    s.txt = "v=STSv1; id=two;";
    s.response = NONE;
    stage_pass(&s, 301);
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_NONE, "");
    stage_turns(&s, 20);
    cr_expect(s.n_keeps == 2 && s.kept.mode == STS_NONE && s.kept.max_age == 86400);
    size_t n_gets = s.n_gets;
    s.txt = NULL;
    s.response = FIRST;
    live(2 * DAY_S);
    cr_expect_eq(s.n_gets, n_gets, "nobody renews that there is none");
    stage_end(&s);
}

Test(cache, renewed_daily_though_nobody_asks)
{
    begin(FIRST);
    stage_ask(&s, DOMAIN);
    live(DAY_S - 60);
    cr_expect_eq(s.n_gets, 1);
    live(120);
    cr_expect_eq(s.n_gets, 2);
    cr_expect(stage_has_logged(&s, "policy-renewed domain=remote.example id=one"));
    cr_expect(s.n_keeps == 2 && s.kept.fetched >= STAGE_START_S + DAY_S);
    live(9 * DAY_S);
    cr_expect(s.n_gets >= 10 && s.n_gets <= 12, "%zu", s.n_gets);
    s.txt = NULL; /* nothing can be found out now */
    s.response = GONE;
    stage_pass(&s, 5 * DAY_S);
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_ENFORCE, "mx.remote.example ");
    stage_end(&s);
}

Test(cache, a_renewal_that_fails_is_tried_again_and_ends_nothing)
{
    begin(FIRST);
    stage_ask(&s, DOMAIN);
    s.response = GONE;
    live(DAY_S + 3600);
    size_t n = s.n_gets;
    cr_expect(n > 3 && n <= 1 + 3600 / 300 + 1, "every five minutes, not more: %zu", n);
    cr_expect(stage_has_logged(&s, "policy-not-fetched domain=remote.example because=\"status not "
                                   "200\" instead=\"the one before\""));
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_ENFORCE, "mx.remote.example ");
    s.response = SECOND;
    live(600);
    cr_expect(stage_has_logged(&s, "policy-renewed"), "it is for the same id");
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_TESTING, "*.other.example ");
    stage_end(&s);
}

/* Between two looks it ran out: that is not to have none. */
Test(cache, a_short_policy_that_ran_out_is_looked_for)
{
    begin(SHORT);
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_ENFORCE, "mx.remote.example ");
    stage_pass(&s, 61);
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_ENFORCE, "mx.remote.example ");
    cr_expect_eq(s.n_gets, 2);
    stage_pass(&s, 61);
    s.response = GONE;
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_NONE, "");
    stage_ask(&s, DOMAIN);
    cr_expect_eq(s.n_gets, 3, "and not more often than that");
    stage_end(&s);
}

Test(cache, what_cannot_be_found_out_is_not_none)
{
    begin(FIRST);
    s.is_dns_down = true;
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_NONE, ""); /* the resolver itself said so */
    ipc_close(s.resolver);
    s.resolver = NULL;
    stage_turns(&s, 20);
    expect(stage_ask(&s, "other.example"), VERDICT_TRY_LATER, STS_NONE, "");
    stage_end(&s);
}

/* Without memory for the new one. 21 octets: a length and "mx.remote.example"; 19: the other. */
Test(cache, without_memory_the_one_before_stays)
{
    begin(FIRST);
    stage_refuse_memory(4 + 17);
    expect(stage_ask(&s, DOMAIN), VERDICT_TRY_LATER, STS_NONE, "");
    stage_refuse_memory(0);
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_ENFORCE, "mx.remote.example ");
    s.txt = "v=STSv1; id=two;";
    s.response = SECOND;
    stage_refuse_memory(4 + 15);
    stage_pass(&s, 301);
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_ENFORCE, "mx.remote.example ");
    stage_turns(&s, 20);
    cr_expect_eq(s.n_keeps, 1);
    cr_expect(stage_has_logged(&s, "because=\"out of memory\" instead=\"the one before\""));
    stage_refuse_memory(0);
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_TESTING, "*.other.example ");
    stage_end(&s);
}

/* Mail that is due comes with the start: it waits until queue has said what it kept. */
Test(cache, what_queue_kept_counts_from_the_start)
{
    static const struct kept old[] = {
        {"bad.example", "1", 7, STAGE_START_S, DAY_S, "mx.bad.example"},
        {"late.example", "1", STS_ENFORCE, STAGE_START_S - 2 * DAY_S, DAY_S, "mx.late.example"},
        {DOMAIN, "one", STS_ENFORCE, STAGE_START_S - 60, DAY_S, "mx.kept.example"}};
    struct answer a;
    stage_begin(&s, STAGE_HOSTS);
    s.old = old;
    s.n_old = sizeof old / sizeof old[0];
    s.is_store_down = true;
    stage_connect(&s);
    stage_begin_ask(&s, DOMAIN, &a);
    stage_turns(&s, 50);
    cr_expect_not(a.is_there);
    s.is_store_down = false;
    cache_load(s.cache);
    cr_assert(stage_wait(&s, &a.is_there));
    expect(a, VERDICT_OK, STS_ENFORCE, "mx.kept.example ");
    expect(stage_ask(&s, "late.example"), VERDICT_OK, STS_NONE, "");
    expect(stage_ask(&s, "bad.example"), VERDICT_OK, STS_NONE, "");
    cache_load(s.cache); /* once is enough */
    stage_turns(&s, 20);
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_ENFORCE, "mx.kept.example ");
    stage_end(&s);
}

/* RFC 8460 4.3.2.2: a domain can be told why its policy does not count; not while one does. */
Test(cache, why_there_is_no_policy)
{
    begin(GONE);
    cr_expect_eq(stage_ask(&s, DOMAIN).fault, TLSRPT_STS_FETCH);
    cr_expect_eq(stage_ask(&s, DOMAIN).fault, TLSRPT_STS_FETCH, "it is remembered");
    cr_expect_eq(s.n_gets, 1);
    s.response = OK "<html>";
    stage_pass(&s, 301);
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_NONE, "");
    cr_expect_eq(stage_ask(&s, DOMAIN).fault, TLSRPT_STS_INVALID);
    s.txt = NULL;
    stage_pass(&s, 301);
    cr_expect_eq(stage_ask(&s, DOMAIN).fault, TLSRPT_NOTHING, "it does not announce one any more");
    s.txt = "v=STSv1; id=one;";
    s.response = SHORT;
    stage_pass(&s, 301);
    cr_expect_eq(stage_ask(&s, DOMAIN).fault, TLSRPT_NOTHING);
    s.txt = "v=STSv1; id=two;";
    s.response = GONE;
    stage_pass(&s, 30);
    struct answer a = stage_ask(&s, DOMAIN);
    cr_expect(a.mode == STS_ENFORCE && a.fault == TLSRPT_NOTHING, "it has one");
    stage_pass(&s, 301);
    a = stage_ask(&s, DOMAIN);
    cr_expect(a.mode == STS_NONE && a.fault == TLSRPT_STS_FETCH, "it ran out: %u", a.fault);
    stage_end(&s);
}

Test(cache, who_asked_may_go)
{
    struct answer a[3];
    begin(FIRST);
    for (size_t i = 0; i < 3; i++)
        stage_begin_ask(&s, DOMAIN, &a[i]);
    cr_assert(stage_wait(&s, &a[2].is_there));
    cr_expect(a[0].is_there && a[1].is_there && s.n_txt == 1, "one look for all of them");
    s.is_silent = true;
    s.response = "";
    stage_begin_ask(&s, "other.example", &a[0]);
    for (int i = 0; i < 10000 && s.n_gets < 1; i++)
        stage_turns(&s, 1);
    stage_disconnect_relay(&s);
    stage_turns(&s, 50);
    cr_expect_eq(a[0].is_there, false, "who hung up is told nothing");
    stage_end(&s);
}

/* Bounds: 20,000 domains, and 2,000 who wait. Domains without a policy make room for others. */
Test(cache, many_domains_push_out_who_has_none)
{
    char domain[64];
    begin(FIRST);
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_ENFORCE, "mx.remote.example ");
    s.txt = NULL;
    for (int i = 0; i < 20100; i++) {
        snprintf(domain, sizeof domain, "d%d.example", i);
        struct answer a = stage_ask(&s, domain);
        cr_assert(a.verdict == VERDICT_OK && a.mode == STS_NONE, "%d", i);
    }
    size_t n = s.n_txt;
    expect(stage_ask(&s, DOMAIN), VERDICT_OK, STS_ENFORCE, "mx.remote.example ");
    cr_expect_eq(s.n_txt, n, "it was not pushed out");
    stage_ask(&s, "d0.example");
    cr_expect_eq(s.n_txt, n + 1, "that one was");
    stage_end(&s);
}

Test(cache, too_many_who_wait_are_told_to_come_later)
{
    static struct answer a[2001];
    begin(FIRST);
    s.is_silent = true;
    s.response = "";
    for (size_t i = 0; i < 2001; i++)
        stage_begin_ask(&s, DOMAIN, &a[i]);
    cr_assert(stage_wait(&s, &a[2000].is_there));
    cr_expect_eq(a[2000].verdict, VERDICT_TRY_LATER);
    cr_expect_not(a[0].is_there || a[1999].is_there);
    stage_end(&s);
}
