#include "queue/addressees.h"
#include "queue/contain.h"
#include "queue/counts.h"
#include "tests/unit/queue/world.h"

#include <criterion/criterion.h>
#include <sqlite3.h>

#define LIMITS                                                                                     \
    "[containment]\nmessages_per_user = 3/1h\nrecipients_per_user = 6/1h\nbounce_ratio = 50\n"     \
    "new_recipients_per_user = none\n"                                                             \
    "[submit]\nmessage_rate = none\n"

static struct world w;
static int64_t hold_until; /* of what is submitted; 0: not held */

static void noted(void *arg, const union msg *m, int fd)
{
    (void)fd;
    cr_assert(m != NULL);
    *(struct msg_queue_open_re *)arg = m->queue_open_re;
}

static void run_sql(const char *sql)
{
    sqlite3 *db;
    cr_assert_eq(sqlite3_open("mail.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* From alice@example.org, who logged in, to so many recipients elsewhere and to a mailbox here. */
static uint64_t submit_to(uint64_t box, size_t elsewhere, enum verdict expected)
{
    char room[8000], to[64];
    struct packer p = packer_on(room, sizeof room);
    for (size_t i = 0; i < elsewhere; i++) {
        snprintf(to, sizeof to, "r%zu@far.example", i);
        world_rcpt(&p, to, NULL, 0);
    }
    world_rcpt(&p, "bob@example.org", (uint64_t[]){box, 0}, 0);
    struct msg_queue_open_re re = {.verdict = 99};
    struct msg_queue_open m = {.id = id_new(),
                               .session = 4711,
                               .sender = SPAN("alice@example.org"),
                               .client = SPAN("192.0.2.1"),
                               .helo = SPAN("client.example"),
                               .ticket = SPAN("0123456789abcdef"),
                               .envid = SPAN(""),
                               .hold_until = (uint64_t)hold_until,
                               .hold_request = span_of(hold_until != 0 ? "for;3600" : ""),
                               .rcpts = packer_span(&p),
                               .content = SPAN("Subject: x\r\n\r\ny\r\n"),
                               .is_last = 1};
    cr_assert_neq(ipc_ask_queue_open(w.smtpd, &m, -1, 60000, noted, &re), 0);
    world_pump(&w);
    world_ticket(&w, VERDICT_OK, TICKET_GOOD);
    world_pump(&w);
    cr_assert_eq(re.verdict, expected, "%u, reason %u", re.verdict, re.reason);
    return m.id;
}

static uint64_t submit(size_t elsewhere)
{
    return submit_to(7, elsewhere, VERDICT_OK);
}

static int64_t held(void)
{
    return world_count(&w, "SELECT count(*) FROM recipient WHERE state = 1");
}

static int64_t contained(void)
{
    return world_count(&w, "SELECT count(*) FROM contained");
}

Test(contain, a_message_too_many_is_held)
{
    world_begin(&w, LIMITS);
    for (int i = 0; i < 3; i++)
        submit(1);
    cr_expect_eq(contained(), 0);
    cr_expect_eq(w.n_jobs, 3);
    submit(1);
    cr_expect_eq(contained(), 1);
    cr_expect_eq(w.n_jobs, 3, "what is held is not tried");
    submit(1);
    cr_expect_geq(held(), 2);
    cr_expect_eq(world_count(&w, "SELECT messages FROM box WHERE id = 7"), 5,
                 "mail for here is delivered");
    world_end(&w);
}

Test(contain, recipients_too_many)
{
    world_begin(&w, LIMITS);
    submit(6);
    cr_expect_eq(contained(), 0);
    submit(1);
    cr_expect_eq(contained(), 1);
    char *why = world_text(&w, "SELECT why FROM contained");
    cr_expect_str_eq(why, "more than 6 recipients in 3600 s");
    free(why);
    world_end(&w);
}

Test(contain, the_count_begins_anew_when_its_time_is_over)
{
    world_begin(&w, LIMITS);
    for (int i = 0; i < 12; i++) {
        submit(1);
        if (i % 3 == 2)
            clock_fake(1000000 + (i + 1) * 3600 * 1000LL, w.now_s * 1000);
    }
    cr_expect_eq(contained(), 0);
    world_end(&w);
}

Test(contain, the_counts_outlive_a_restart)
{
    world_begin(&w, LIMITS);
    submit(2);
    world_restart(&w);
    submit(2);
    cr_expect_eq(world_count(&w, "SELECT n FROM counted WHERE what = 0"), 2);
    cr_expect_eq(world_count(&w, "SELECT n FROM counted WHERE what = 1"), 4);
    cr_expect_eq(world_count(&w, "SELECT max(until) FROM counted"), w.now_s + 3600);
    world_restart(&w);
    submit(1);
    cr_expect_eq(contained(), 0);
    world_restart(&w);
    submit(1);
    cr_expect_eq(contained(), 1, "3 before the restarts, and one");
    world_end(&w);
}

/* So many messages, which their servers take at once. */
static void send_off(int n)
{
    for (int i = 0; i < n; i++) {
        size_t job = w.n_jobs;
        submit(1);
        for (; job < w.n_jobs; job++)
            world_relay(&w, job, VERDICT_OK, "250 2.0.0 ok");
        world_pump(&w);
    }
}

static void restart_at(int64_t mono_ms, int64_t wall_s)
{
    clock_fake(mono_ms, wall_s * 1000);
    world_restart(&w);
}

/* Their time goes on while the queue is down. */
Test(contain, a_second_is_left_of_the_time)
{
    world_begin(&w, LIMITS);
    send_off(3);
    restart_at(2000000, w.now_s + 3599);
    send_off(1);
    cr_expect_eq(contained(), 1);
    world_end(&w);
}

Test(contain, the_time_was_over_meanwhile)
{
    world_begin(&w, LIMITS);
    send_off(3);
    restart_at(2000000, w.now_s + 3600);
    send_off(3);
    cr_expect_eq(contained(), 0);
    world_end(&w);
}

/* A clock that goes back makes it a whole period, not a day. */
Test(contain, the_time_is_never_longer_than_it_was)
{
    world_begin(&w, LIMITS);
    send_off(2);
    restart_at(2000000, w.now_s - 86400);
    send_off(1);
    clock_fake(2000000 + 3600 * 1000, (w.now_s - 86400 + 3600) * 1000);
    send_off(1);
    cr_expect_eq(contained(), 0);
    world_end(&w);
}

/* Rows that nobody of us wrote. */
Test(contain, strange_counts)
{
    world_begin(&w, LIMITS);
    submit(1);
    run_sql("UPDATE counted SET n = 9223372036854775807, until = 9223372036854775807");
    world_restart(&w);
    submit(1);
    cr_expect_eq(contained(), 1);
    cr_expect_lt(world_count(&w, "SELECT n FROM counted WHERE what = 0"), INT64_MAX);
    world_end(&w);
}

/* An end that could not be written is none: what he sent still counts. */
Test(contain, counts_outlive_an_end_that_fails)
{
    world_begin(&w, LIMITS);
    for (int i = 0; i < 4; i++)
        submit(1);
    cr_assert_eq(contained(), 1);
    run_sql("ALTER TABLE counted RENAME TO elsewhere");
    world_admin(&w, "contained end", (const char *const[]){"alice@example.org", NULL});
    cr_expect_eq(w.admin_re.verdict, VERDICT_TRY_LATER);
    cr_expect_eq(contained(), 1);
    run_sql("ALTER TABLE elsewhere RENAME TO counted; DELETE FROM contained");
    submit(1);
    cr_expect_eq(contained(), 1, "he is over the limit still");
    world_admin(&w, "contained end", (const char *const[]){"alice@example.org", NULL});
    submit(1);
    cr_expect_eq(contained(), 0, "now it begins anew");
    world_end(&w);
}

/* What the store did not take was not sent. */
Test(contain, what_is_refused_does_not_count)
{
    world_begin(&w, LIMITS);
    submit(1);
    world_admin(&w, "contained show", (const char *const[]){"alice@example.org", NULL});
    run_sql("INSERT INTO box (id, messages, octets, next_seq, forgotten)"
            " VALUES (8, 0, 0, 1, 1)");
    for (int i = 0; i < 5; i++)
        submit_to(8, 1, VERDICT_TRY_LATER);
    submit(1);
    cr_expect_eq(world_count(&w, "SELECT n FROM counted WHERE what = 0"), 2);
    cr_expect_eq(contained(), 0);
    world_end(&w);
}

Test(contain, counts_go_when_they_are_over)
{
    world_begin(&w, LIMITS);
    send_off(1);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM counted"), 3);
    world_pass(&w, 3 * 3600);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM counted"), 0);
    clock_fake(3 * 3600 * 1000, w.now_s * 1000);
    submit(1);
    cr_expect_eq(world_count(&w, "SELECT n FROM counted WHERE what = 0"), 1);
    world_end(&w);
}

/* Many messages of one user in one commit are one write of his counts; that they are all counted
 * is what matters here. */
Test(contain, several_in_one_commit)
{
    world_begin(&w, LIMITS);
    for (int i = 0; i < 5; i++)
        counts_add(w.q, SPAN("a@b.example"), COUNT_MESSAGES, 1, 60000);
    counts_add(w.q, SPAN("uid:7"), COUNT_REFUSED, 2, 60000);
    counts_take_back(w.q, SPAN("a@b.example"), COUNT_MESSAGES, 2);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM counted"), 0, "with the next commit");
    submit(0);
    cr_expect_eq(world_count(&w, "SELECT n FROM counted WHERE who = 'a@b.example'"), 3);
    cr_expect_eq(world_count(&w, "SELECT n FROM counted WHERE who = 'uid:7' AND what = 3"), 2);
    counts_take_back(w.q, SPAN("a@b.example"), COUNT_MESSAGES, 50);
    cr_expect_eq(counts_add(w.q, SPAN("a@b.example"), COUNT_MESSAGES, 0, 60000), 0);
    world_end(&w);
}

Test(contain, none_is_no_limit_and_mail_for_here_does_not_count)
{
    world_begin(&w, "[containment]\nmessages_per_user = none\nrecipients_per_user = none\n");
    for (int i = 0; i < 20; i++)
        submit(3);
    cr_expect_eq(contained(), 0);
    world_end(&w);
    world_begin(&w, LIMITS);
    for (int i = 0; i < 20; i++)
        submit(0);
    cr_expect_eq(contained(), 0);
    world_end(&w);
}

/* Strangers' mail is nobody's, and mail of a network that may relay has no user. */
Test(contain, who)
{
    cr_expect(span_eq(contain_who(SPAN("a@b.example"), SPAN("uid:5")), SPAN("a@b.example")));
    cr_expect(span_eq(contain_who(SPAN(""), SPAN("uid:5")), SPAN("uid:5")));
    cr_expect_eq(contain_who(SPAN(""), SPAN("uid:0")).n, 0);
    cr_expect_eq(contain_who(SPAN(""), SPAN("192.0.2.1")).n, 0);
}

Test(contain, what_waits_already_is_held_too)
{
    world_begin(&w, LIMITS);
    for (int i = 0; i < 3; i++)
        submit(2);
    for (size_t i = 0; i < 3; i++)
        world_relay(&w, i, VERDICT_TRY_LATER, "450 4.2.0 later");
    world_pump(&w);
    world_send_remote(&w, "x@client.example", "y@far.example", "Subject: x\r\n\r\ny\r\n");
    world_pump(&w);
    world_relay(&w, 3, VERDICT_TRY_LATER, "450 4.2.0 later");
    world_pump(&w);
    cr_expect_eq(held(), 0);
    submit(1);
    for (int i = 0; i < 5; i++)
        world_pump(&w);
    cr_expect_eq(held(), 7);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient WHERE state = 0"), 1,
                 "of nobody else");
    cr_expect_eq(
        world_count(&w, "SELECT count(*) FROM recipient WHERE state = 1"
                        " AND next_attempt = (SELECT expires FROM message WHERE id = message)"),
        7, "until they expire");
    world_end(&w);
}

/* What came before and what comes after he passed the limit. */
Test(contain, what_is_held_expires_by_its_route)
{
    world_begin(&w, LIMITS "[route far.example]\nto = smtp://10.0.0.1:25\nexpire = 1h\n");
    for (int i = 0; i < 3; i++)
        submit(1);
    for (size_t i = 0; i < 3; i++)
        world_relay(&w, i, VERDICT_TRY_LATER, "450 4.2.0 later");
    submit(1);
    for (int i = 0; i < 5; i++)
        world_pump(&w);
    cr_expect_eq(held(), 4);
    cr_expect_eq(world_count(&w,
                             "SELECT count(*) FROM recipient WHERE state = 1 AND next_attempt = "
                             "(SELECT arrived + 3600 FROM message WHERE id = message)"),
                 4);
    world_end(&w);
}

Test(contain, it_holds_over_a_restart_and_until_it_is_ended)
{
    world_begin(&w, LIMITS);
    for (int i = 0; i < 4; i++)
        submit(1);
    world_restart(&w);
    size_t jobs = w.n_jobs;
    submit(1);
    cr_expect_eq(w.n_jobs, jobs);
    world_admin(&w, "contained show", (const char *const[]){"alice@example.org", NULL});
    cr_expect_neq(strstr(w.rows, "contained_because=more than 3 messages in 3600 s"), NULL, "%s",
                  w.rows);
    cr_expect_neq(strstr(w.rows, "held="), NULL, "%s", w.rows);
    world_admin(&w, "queue list",
                (const char *const[]){"login=alice@example.org", "state=held", NULL});
    cr_expect_neq(strstr(w.rows, "sender is contained"), NULL, "%s", w.rows);
    world_admin(&w, "queue list", (const char *const[]){"login=bob@example.org", NULL});
    cr_expect_eq(w.rows_n, 0);
    world_admin(&w, "contained end", (const char *const[]){"alice@example.org", NULL});
    cr_expect_neq(strstr(w.rows, "was_contained=1"), NULL, "%s", w.rows);
    cr_expect_eq(contained(), 0);
    submit(1);
    cr_expect_eq(contained(), 0, "the count begins anew");
    cr_expect_eq(w.n_jobs, jobs + 1);
    world_admin(&w, "queue release",
                (const char *const[]){"login=alice@example.org", "state=held", NULL});
    world_pass(&w, 2);
    cr_expect_eq(held(), 0);
    world_admin(&w, "contained end", (const char *const[]){"alice@example.org", NULL});
    cr_expect_neq(strstr(w.rows, "was_contained=0"), NULL, "%s", w.rows);
    world_end(&w);
}

Test(contain, the_postmaster_is_told_once)
{
    world_begin(&w, LIMITS);
    for (int i = 0; i < 6; i++)
        submit(1);
    cr_assert_eq(w.n_asked, 1);
    cr_expect_str_eq(w.asked[0], "postmaster");
    cr_expect_eq(world_count(&w, "SELECT told FROM contained"), 1);
    world_resolve(&w, 0, ADDRESS_LOCAL, 9);
    world_pump(&w);
    cr_expect_eq(world_count(&w, "SELECT messages FROM box WHERE id = 9"), 1);
    cr_expect_eq(world_count(&w, "SELECT told FROM contained"), 2);
    char *text =
        world_text(&w, "SELECT content FROM message, entry WHERE id = message AND box = 9");
    cr_expect_neq(strstr(text, "alice@example.org"), NULL);
    cr_expect_neq(strstr(text, "more than 3 messages in 3600 s"), NULL, "%s", text);
    free(text);
    world_restart(&w);
    submit(1);
    cr_expect_eq(w.n_asked, 1);
    cr_expect_eq(world_count(&w, "SELECT messages FROM box WHERE id = 9"), 1);
    world_end(&w);
}

Test(contain, a_postmaster_who_cannot_be_told_now_is_told_later)
{
    world_begin(&w, LIMITS);
    for (int i = 0; i < 4; i++)
        submit(1);
    world_restart(&w); /* the question is lost */
    world_pump(&w);
    cr_assert_eq(w.n_asked, 2);
    world_resolve(&w, 1, ADDRESS_UNKNOWN, 0);
    world_pump(&w);
    cr_expect_eq(world_count(&w, "SELECT told FROM contained"), 2, "nobody is there");
    world_end(&w);
}

/* 20 refused, and more than half. */
Test(contain, mail_that_is_mostly_refused)
{
    world_begin(&w, "[containment]\nbounce_ratio = 50\n");
    size_t job = 0;
    for (int i = 0; i < 10; i++) {
        submit(2);
        cr_assert_eq(w.n_jobs, ++job);
        world_relay(&w, job - 1, VERDICT_OK, "250 2.0.0 ok");
        world_pump(&w);
    }
    for (int i = 0; i < 10; i++) {
        cr_expect_eq(contained(), 0, "%d", i);
        submit(2);
        cr_assert_eq(w.n_jobs, ++job);
        world_relay(&w, job - 1, VERDICT_NEVER, "550 5.1.1 no");
        world_pump(&w);
    }
    cr_expect_eq(contained(), 0, "half of it");
    submit(1);
    world_relay(&w, job, VERDICT_NEVER, "550 5.1.1 no");
    world_pump(&w);
    world_pump(&w);
    cr_expect_eq(contained(), 1);
    char *why = world_text(&w, "SELECT why FROM contained");
    cr_expect_str_eq(why, "21 of 41 recipients refused");
    free(why);
    world_end(&w);
}

/* --- recipients that are new --- */

#define NEW_LIMIT "[containment]\nnew_recipients_per_user = 3/1d\n[submit]\nmessage_rate = none\n"

static int64_t known(void)
{
    return world_count(&w, "SELECT count(*) FROM addressee");
}

Test(contain, new_recipients_too_many)
{
    world_begin(&w, NEW_LIMIT);
    submit(3);
    submit(3);
    submit(2);
    cr_expect_eq(known(), 3);
    cr_expect_eq(contained(), 0, "they are new once");
    world_restart(&w);
    submit(3);
    cr_expect_eq(contained(), 0, "and known after a restart");
    submit(5);
    cr_expect_eq(contained(), 1);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient WHERE state = 1"
                                 " AND message = (SELECT max(id) FROM message)"),
                 5, "those that are known too");
    cr_expect_eq(known(), 3, "held mail says nothing about who is known");
    char *why = world_text(&w, "SELECT why FROM contained");
    cr_expect_str_eq(why, "more than 3 new recipients in 86400 s");
    free(why);
    submit(9);
    cr_expect_eq(known(), 3);
    world_end(&w);
}

static const char *const alice[] = {"login=alice@example.org", "state=held", NULL};

Test(contain, who_gets_what_is_released_is_known)
{
    world_begin(&w, NEW_LIMIT);
    submit(5);
    cr_expect_eq(contained(), 1);
    world_admin(&w, "contained end", (const char *const[]){"alice@example.org", NULL});
    world_admin(&w, "queue release", alice);
    world_pump(&w);
    cr_expect_eq(known(), 5);
    cr_expect_eq(held(), 0);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient WHERE last_reply = ''"), 5);
    submit(5);
    cr_expect_eq(contained(), 0);
    submit(9);
    cr_expect_eq(contained(), 1);
    world_admin(&w, "contained end", (const char *const[]){"alice@example.org", NULL});
    world_admin(&w, "queue remove", alice);
    cr_expect_eq(known(), 5, "of what is removed nobody is");
    world_end(&w);
}

Test(contain, new_is_new_for_each_user_and_in_any_case)
{
    world_begin(&w, NEW_LIMIT);
    static struct remote_target list[2];
    struct targets t = {.remotes = list, .n_remotes = 2};
    list[0] = (struct remote_target){.address = (char[]){"Bob@far.example"}};
    list[1] = (struct remote_target){.address = (char[]){"bob@FAR.example"}};
    cr_assert_eq(batch_begin(&w.q->batch), 0);
    cr_expect_eq(addressees_look(w.q, SPAN("a@b.example"), &t), 2, "one message, not looked at");
    cr_expect_eq(addressees_note(w.q, SPAN("a@b.example"), &t), 0);
    cr_expect_eq(addressees_look(w.q, SPAN("A@b.example"), &t), 0);
    cr_expect_not(list[0].is_noteworthy || list[1].is_noteworthy);
    cr_expect_eq(addressees_look(w.q, SPAN("uid:7"), &t), 2);
    list[0].is_local = list[1].is_forwarded = true;
    cr_expect_eq(addressees_look(w.q, SPAN("uid:7"), &t), 0, "ours, and an alias's");
    batch_keep(&w.q->batch, NULL);
    batch_commit(&w.q->batch);
    cr_expect_eq(known(), 1);
    world_end(&w);
}

/* Written anew once in a month, and gone after 400 days. */
Test(contain, known_for_a_time)
{
    struct remote_target one = {.address = (char[]){"x@far.example"}};
    struct targets t = {.remotes = &one, .n_remotes = 1};
    const struct span who = SPAN("a@b.example");
    world_begin(&w, NEW_LIMIT);
    static const struct {
        int64_t days;
        uint64_t n_new;
        bool is_written;
    } rows[] = {{0, 1, true},   {29, 0, false}, {2, 0, true},   {29, 0, false},
                {300, 0, true}, {-40, 0, true}, {29, 0, false}, {401, 1, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world_pass(&w, rows[i].days * 86400);
        cr_assert_eq(batch_begin(&w.q->batch), 0);
        cr_expect_eq(addressees_look(w.q, who, &t), rows[i].n_new, "row %zu", i);
        cr_expect_eq(one.is_noteworthy, rows[i].is_written, "row %zu", i);
        cr_expect_eq(addressees_note(w.q, who, &t), 0);
        batch_keep(&w.q->batch, NULL);
        batch_commit(&w.q->batch);
    }
    cr_expect_eq(known(), 1);
    world_end(&w);
}

Test(contain, without_the_limit_nobody_is_kept_in_mind)
{
    world_begin(&w, "[containment]\nnew_recipients_per_user = none\n");
    submit(9);
    cr_expect_eq(known(), 0);
    cr_expect_eq(contained(), 0);
    world_end(&w);
}

Test(contain, a_message_that_is_refused_makes_nobody_known)
{
    world_begin(&w, NEW_LIMIT);
    submit(1);
    run_sql("INSERT INTO box (id, messages, octets, next_seq, forgotten) VALUES (8, 0, 0, 1, 1)");
    for (int i = 0; i < 5; i++)
        submit_to(8, 2, VERDICT_TRY_LATER);
    cr_expect_eq(known(), 1);
    submit(3);
    cr_expect_eq(contained(), 0);
    cr_expect_eq(world_count(&w, "SELECT n FROM counted WHERE what = 4"), 3);
    world_end(&w);
}

/* --- what an administrator sees and does --- */

Test(contain, the_list)
{
    world_begin(&w, LIMITS);
    world_admin(&w, "user contained", (const char *const[]){NULL});
    cr_expect_eq(w.rows_n, 0);
    for (int i = 0; i < 6; i++)
        submit(1);
    run_sql("INSERT INTO contained (who, since, why, told, swept) VALUES"
            " ('uid:7', 1795000000, 'more', 2, 0), ('a@b.example', 1795000000, 'more', 2, 0)");
    world_pump(&w);
    world_admin(&w, "user contained", (const char *const[]){NULL});
    char *first = strstr(w.rows, "address=a@b.example"),
         *second = strstr(w.rows, "address=alice@example.org"),
         *third = strstr(w.rows, "address=uid:7");
    cr_assert(first != NULL && second > first && third > second, "%s", w.rows);
    cr_expect_neq(strstr(second, "contained_because=more than 3 messages in 3600 s"), NULL);
    int64_t n = world_count(&w, "SELECT count(DISTINCT message) FROM recipient WHERE state = 1");
    char text[40];
    snprintf(text, sizeof text, "held=%d", (int)n);
    cr_expect_neq(strstr(second, text), NULL, "%s: %s", text, w.rows);
    cr_expect_neq(strstr(third, "held=0"), NULL, "%s", w.rows);
    world_end(&w);
}

/* "user release" names what containment holds; an administrator's own holds stay. */
Test(contain, what_an_administrator_holds_stays)
{
    world_begin(&w, LIMITS);
    for (int i = 0; i < 3; i++)
        submit(1);
    for (size_t i = 0; i < 3; i++)
        world_relay(&w, i, VERDICT_TRY_LATER, "450 4.2.0 later");
    world_pump(&w);
    char id[ID_TEXT];
    id_format(id, (uint64_t)world_count(&w, "SELECT min(message) FROM recipient"));
    world_admin(&w, "queue hold", (const char *const[]){id, NULL});
    submit(1);
    for (int i = 0; i < 5; i++)
        world_pump(&w);
    cr_assert_eq(held(), 4);
    world_admin(&w, "contained show", (const char *const[]){"alice@example.org", NULL});
    cr_expect_neq(strstr(w.rows, "held=3"), NULL, "%s", w.rows);
    const char *const his[] = {"login=alice@example.org", "contained=yes", NULL};
    world_admin(&w, "queue list", his);
    cr_expect_eq(strstr(w.rows, id), NULL);
    world_admin(&w, "contained end", (const char *const[]){"alice@example.org", NULL});
    world_admin(&w, "queue release", his);
    cr_expect_eq(strstr(w.rows, id), NULL);
    cr_expect_eq(held(), 1);
    world_admin(&w, "queue release", his);
    cr_expect_neq(strstr(w.admin_error, "nothing in the queue matches"), NULL, "%s", w.admin_error);
    world_end(&w);
}

static void end_and_release(void)
{
    world_admin(&w, "contained end", (const char *const[]){"alice@example.org", NULL});
    world_admin(&w, "queue release",
                (const char *const[]){"login=alice@example.org", "contained=yes", NULL});
}

/* Its attempt ends later, with a word of its own. */
Test(contain, what_was_under_way_is_released_too)
{
    world_begin(&w, LIMITS);
    for (int i = 0; i < 4; i++)
        submit(1);
    for (int i = 0; i < 5; i++)
        world_pump(&w);
    cr_assert_eq(held(), 4);
    world_relay(&w, 0, VERDICT_TRY_LATER, "450 4.2.0 later");
    world_pump(&w);
    cr_expect_eq(held(), 4);
    end_and_release();
    cr_expect_eq(held(), 0);
    world_end(&w);
}

/* Mail with a time of its own: for here it comes then, whatever happens; for elsewhere not before,
 * whoever releases it. */
Test(contain, what_waits_for_its_time)
{
    world_begin(&w, LIMITS);
    hold_until = WORLD_START_S + 3600;
    submit(1);
    hold_until = 0;
    for (int i = 0; i < 3; i++)
        submit(1);
    for (int i = 0; i < 5; i++)
        world_pump(&w);
    cr_assert_eq(contained(), 1);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient WHERE state = 1"
                                 " AND address = 'bob@example.org'"),
                 0);
    end_and_release();
    cr_expect_eq(held(), 0);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient WHERE next_attempt ="
                                 " 3600 + (SELECT arrived FROM message WHERE id = message)"),
                 2);
    world_end(&w);
}

/* What was released and held again by hand is not containment's. */
Test(contain, held_again_by_hand)
{
    world_begin(&w, LIMITS);
    for (int i = 0; i < 4; i++)
        submit(1);
    char id[ID_TEXT];
    id_format(id, (uint64_t)world_count(&w, "SELECT max(message) FROM recipient"));
    const char *const one[] = {id, NULL};
    world_admin(&w, "queue release", one);
    world_relay(&w, w.n_jobs - 1, VERDICT_TRY_LATER, "450 4.2.0 later");
    world_pump(&w);
    world_admin(&w, "queue hold", one);
    world_admin(&w, "queue remove",
                (const char *const[]){"login=alice@example.org", "contained=yes", NULL});
    cr_expect_eq(strstr(w.rows, id), NULL, "%s", w.rows);
    world_admin(&w, "queue show", one);
    cr_expect_neq(strstr(w.rows, "state=held"), NULL, "%s", w.rows);
    world_end(&w);
}

Test(contain, of_a_removed_user_nothing_is_known)
{
    world_begin(&w, "[containment]\nmessages_per_user = 3/1h\n");
    for (int i = 0; i < 4; i++)
        submit(2);
    cr_assert_eq(contained(), 1);
    int64_t n_held = held();
    struct msg_box_forget m = {.tag = 1, .box = 9, .address = SPAN("bob@example.org")};
    cr_assert_eq(ipc_send_box_forget(w.authd, &m, -1), 0);
    world_pump(&w);
    cr_expect_eq(contained(), 1, "somebody else was removed");
    m.address = SPAN("alice@example.org");
    cr_assert_eq(ipc_send_box_forget(w.authd, &m, -1), 0);
    world_pump(&w);
    cr_expect_eq(contained(), 0);
    cr_expect_eq(known(), 0);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM counted"), 0);
    cr_expect_eq(held(), n_held, "an administrator decides about that");
    world_end(&w);
}

/* The mark is a column: whatever stands in the text. */
Test(contain, what_is_held_for_that_is_found_whatever_its_text)
{
    world_begin(&w, LIMITS);
    for (int i = 0; i < 3; i++)
        submit(1);
    world_admin(&w, "queue hold", (const char *const[]){"login=alice@example.org", NULL});
    submit(1);
    run_sql("UPDATE recipient SET last_reply = CASE contained WHEN 1 THEN '450 other words'"
            " ELSE 'held, as its sender is contained: see barid user show' END");
    world_restart(&w);
    world_admin(&w, "contained show", (const char *const[]){"alice@example.org", NULL});
    cr_expect_neq(strstr(w.rows, "held=1"), NULL, "%s", w.rows);
    world_admin(&w, "user contained", (const char *const[]){NULL});
    cr_expect_neq(strstr(w.rows, "held=1"), NULL, "%s", w.rows);
    end_and_release();
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient WHERE contained = 1"), 0);
    cr_expect_eq(held(), 3, "an administrator holds these");
    world_end(&w);
}

/* Of the version before: the text is what it is told by, once. */
Test(contain, a_store_of_version_9)
{
    world_begin(&w, LIMITS);
    for (int i = 0; i < 3; i++)
        submit(1);
    world_admin(&w, "queue hold", (const char *const[]){"login=alice@example.org", NULL});
    for (int i = 0; i < 2; i++)
        submit(1);
    cr_expect_eq(held(), 5);
    world_restart_older(&w, WORLD_UNDO_10 "PRAGMA user_version = 9");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient WHERE contained = 1"), 2);
    end_and_release();
    cr_expect_eq(held(), 3);
    world_end(&w);
}

Test(contain, addressees_are_bounded)
{
    world_begin(&w, LIMITS);
    run_sql("INSERT INTO addressee (user, address, at) VALUES (1, 1, 1794999001),"
            " (1, 2, 1794999002), (2, 1, 1794999003), (2, 2, 1794999004), (3, 1, 1794999005)");
    cr_assert_eq(batch_begin(&w.q->batch), 0);
    cr_assert_eq(store_addressees_sweep(w.q->store, 0, 2), 0);
    batch_keep(&w.q->batch, NULL);
    batch_commit(&w.q->batch);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM addressee"), 2);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM addressee WHERE at >= 1794999004"), 2);
    world_end(&w);
}
