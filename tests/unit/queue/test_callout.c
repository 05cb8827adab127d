/* Whose mail a backup takes: by its list, by what the host itself says, and how long that is kept.
 */
#include "queue/callout.h"
#include "queue/listed.h"
#include "queue/statements.h"
#include "world.h"

#include <criterion/criterion.h>

#define HOUR_MS  (3600 * 1000LL)
#define ROUTE    "[route backed.example]\nto = smtp://127.0.0.1:2526\nbackup_mx = yes\n"
#define CALLOUT  ROUTE "callout = yes\n"
#define LISTED   ROUTE "recipients = /recipients\n"
#define START_MS 1000000

static struct world w;

static void room_told(void *arg, const union msg *m, int fd)
{
    (void)fd;
    cr_assert_not_null(m);
    *(struct msg_queue_room_re *)arg = m->queue_room_re;
}

#define NO_ANSWER 77

static void ask(const char *address, struct msg_queue_room_re *re)
{
    struct msg_queue_room m = {.address = span_of(address), .sealed = SPAN("")};
    *re = (struct msg_queue_room_re){.reason = NO_ANSWER};
    cr_assert_neq(ipc_ask_queue_room(w.smtpd, &m, -1, 60000, room_told, re), 0);
    world_pump(&w);
}

static void at_ms(int64_t ms)
{
    clock_fake(START_MS + ms, w.now_s * 1000 + ms);
}

/* As any mail's commit would. */
static void commit_rows(void)
{
    cr_assert_eq(batch_begin(&w.q->batch), 0);
    batch_keep(&w.q->batch, NULL);
    batch_commit(&w.q->batch);
}

Test(callout, the_file_of_recipients)
{
    size_t n_bad;
    struct listed *l =
        listed_new(SPAN("# ours\nbob@Backed.example\n  Carol.X@backed.example # boss\r\n"
                        "\n\nnot an address\n@backed.example\n\"a b\"@backed.example"),
                   &n_bad);
    static const struct {
        const char *address;
        bool is_there;
    } rows[] = {
        {"bob@backed.example", true},
        {"BOB@BACKED.example", true},
        {"carol.x@backed.example", true},
        {"\"a b\"@backed.example", true},
        {"bo@backed.example", false},
        {"bob@backed.exampl", false},
        {"bob+tag@backed.example", false},
        {"ours@backed.example", false},
        {"postmaster@any.example", true},
        {"", false},
        {"postmaster", false},
    };
    cr_assert_not_null(l);
    cr_expect_eq(listed_count(l), 3);
    cr_expect_eq(n_bad, 2);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(listed_has(l, span_of(rows[i].address)), rows[i].is_there, "%s",
                     rows[i].address);
    listed_free(l);
    l = listed_new(SPAN(""), &n_bad);
    cr_expect_eq(listed_count(l) + n_bad, 0);
    cr_expect_not(listed_has(l, SPAN("a@b.example")));
    listed_free(l);
}

Test(callout, a_list_decides_without_asking)
{
    struct msg_queue_room_re re;
    world_begin(&w, LISTED);
    ask("bob@backed.example", &re); /* the list is not there: that is no "no" */
    cr_expect_eq(re.reason, INTAKE_UNVERIFIED);
    cr_expect_eq(re.verdict, VERDICT_TRY_LATER);
    callouts_set_list(w.q, 0, SPAN("bob@backed.example\n"));
    ask("bob@backed.example", &re);
    cr_expect_eq(re.reason, INTAKE_OK);
    ask("eve@backed.example", &re);
    cr_expect_eq(re.reason, INTAKE_NOBODY);
    cr_expect_eq(re.verdict, VERDICT_NEVER);
    ask("bob@other.example", &re);
    cr_expect_eq(re.reason, INTAKE_RELAYING);
    cr_expect_eq(w.n_jobs, 0);
    world_end(&w);
}

Test(callout, the_host_is_asked_once_and_its_answer_is_kept)
{
    struct msg_queue_room_re first, second, other;
    world_begin(&w, CALLOUT "callout_positive = 3h\ncallout_negative = 1h\n");
    ask("bob@backed.example", &first);
    ask("Bob@backed.example", &second);
    ask("eve@backed.example", &other);
    cr_assert_eq(w.n_jobs, 2, "%zu", w.n_jobs);
    cr_expect(w.jobs[0].is_callout);
    cr_expect_str_eq(w.jobs[0].sender, "");
    cr_expect_str_eq(w.jobs[0].domain, "backed.example");
    cr_expect_str_eq(w.jobs[0].rcpts[0], "bob@backed.example");
    cr_expect_eq(w.jobs[0].size, 0);
    cr_expect_eq(first.reason, NO_ANSWER);
    world_relay(&w, 0, VERDICT_OK, "250 2.1.5 ok");
    world_relay(&w, 1, VERDICT_NEVER, "550 5.1.1 nobody");
    cr_expect_eq(first.reason, INTAKE_OK);
    cr_expect_eq(second.reason, INTAKE_OK);
    cr_expect_eq(other.reason, INTAKE_NOBODY);
    at_ms(HOUR_MS - 1);
    ask("eve@backed.example", &other);
    cr_expect_eq(other.reason, INTAKE_NOBODY);
    cr_expect_eq(w.n_jobs, 2);
    at_ms(HOUR_MS);
    ask("bob@backed.example", &first);
    cr_expect_eq(first.reason, INTAKE_OK);
    ask("eve@backed.example", &other); /* somebody may have made her mailbox since */
    cr_assert_eq(w.n_jobs, 3);
    world_relay(&w, 2, VERDICT_OK, "250 2.1.5 ok");
    cr_expect_eq(other.reason, INTAKE_OK);
    world_end(&w);
}

Test(callout, while_the_host_is_gone_who_was_known_is_taken)
{
    struct msg_queue_room_re re;
    world_begin(&w, CALLOUT "callout_positive = 2h\n");
    ask("bob@backed.example", &re);
    world_relay(&w, 0, VERDICT_OK, "250 2.1.5 ok");
    at_ms(2 * HOUR_MS);
    ask("bob@backed.example", &re);
    cr_assert_eq(w.n_jobs, 2);
    world_reach(&w, 1, VERDICT_TRY_LATER, "451 4.4.1 no connection", REACH_DOWN);
    cr_expect_eq(re.reason, INTAKE_OK);
    ask("new@backed.example", &re);
    world_reach(&w, 2, VERDICT_TRY_LATER, "451 4.4.1 no connection", REACH_DOWN);
    cr_expect_eq(re.reason, INTAKE_UNVERIFIED);
    ask("new@backed.example", &re); /* not again within a minute */
    cr_expect_eq(w.n_jobs, 3);
    cr_expect_eq(re.reason, INTAKE_UNVERIFIED);
    at_ms(8 * HOUR_MS + 1);
    ask("bob@backed.example", &re);
    cr_assert_eq(w.n_jobs, 4);
    world_reach(&w, 3, VERDICT_TRY_LATER, "451 4.4.1 no connection", REACH_DOWN);
    cr_expect_eq(re.reason, INTAKE_UNVERIFIED, "it was known too long ago");
    world_end(&w);
}

Test(callout, with_a_list_too_the_host_decides_while_it_can)
{
    struct msg_queue_room_re re;
    world_begin(&w, CALLOUT "recipients = /recipients\n");
    callouts_set_list(w.q, 0, SPAN("bob@backed.example\n"));
    ask("bob@backed.example", &re);
    world_reach(&w, 0, VERDICT_TRY_LATER, "451 4.4.1 no connection", REACH_DOWN);
    cr_expect_eq(re.reason, INTAKE_OK);
    ask("eve@backed.example", &re);
    world_reach(&w, 1, VERDICT_TRY_LATER, "451 4.4.1 no connection", REACH_DOWN);
    cr_expect_eq(re.reason, INTAKE_UNVERIFIED);
    at_ms(60000);
    ask("bob@backed.example", &re);
    world_relay(&w, 2, VERDICT_NEVER, "550 5.1.1 nobody");
    cr_expect_eq(re.reason, INTAKE_NOBODY);
    world_end(&w);
}

/* What smtpd says is asked again: a recipient that nobody asked about is not taken. */
Test(callout, the_message_itself_is_judged_again)
{
    char room[500];
    struct packer p = packer_on(room, sizeof room);
    struct msg_queue_room_re re;
    world_begin(&w, CALLOUT);
    world_rcpt(&p, "bob@backed.example", NULL, 0);
    for (uint64_t i = 0; i < 3; i++) {
        if (i == 1) {
            ask("bob@backed.example", &re);
            world_relay(&w, 0, VERDICT_NEVER, "550 5.1.1 nobody");
        } else if (i == 2) {
            at_ms(2 * HOUR_MS);
            ask("bob@backed.example", &re);
            world_relay(&w, 1, VERDICT_OK, "250 ok");
        }
        struct msg_queue_open m = {.tag = i + 1000,
                                   .id = id_new(),
                                   .session = id_new(),
                                   .sender = SPAN("eve@client.example"),
                                   .client = SPAN("192.0.2.9"),
                                   .helo = SPAN("client.example"),
                                   .rcpts = packer_span(&p),
                                   .content = SPAN("Subject: x\r\n\r\n"),
                                   .is_last = 1};
        intake_open(w.q, w.q_smtpd, &m, -1);
        world_pump(&w);
        cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), i == 2, "%d", (int)i);
    }
    world_end(&w);
}

Test(callout, a_host_is_asked_about_twenty_at_a_time)
{
    struct msg_queue_room_re re[30];
    char address[64];
    world_begin(&w, CALLOUT);
    for (int i = 0; i < 30; i++) {
        snprintf(address, sizeof address, "user%d@backed.example", i);
        ask(address, &re[i]);
    }
    cr_assert_eq(w.n_jobs, 20);
    for (int i = 0; i < 30; i++)
        cr_expect_eq(re[i].reason, i < 20 ? NO_ANSWER : INTAKE_UNVERIFIED);
    ipc_break(w.q_relay); /* the relay died: nobody is left without an answer */
    world_pump(&w);
    for (int i = 0; i < 20; i++)
        cr_expect_eq(re[i].reason, INTAKE_UNVERIFIED, "%d", i);
    w.q_relay = w.relay = NULL;
    ask("again@backed.example", &re[0]);
    cr_expect_eq(re[0].reason, INTAKE_UNVERIFIED);
    world_end(&w);
}

Test(callout, who_asked_may_be_gone)
{
    struct msg_queue_room_re re;
    world_begin(&w, CALLOUT);
    ask("bob@backed.example", &re);
    callout_channel_closed(w.q, w.q_smtpd);
    world_relay(&w, 0, VERDICT_OK, "250 ok");
    cr_expect_eq(re.reason, NO_ANSWER);
    ask("bob@backed.example", &re);
    cr_expect_eq(re.reason, INTAKE_OK);
    world_end(&w);
}

/* --- over a restart --- */

static int64_t kept(const char *where)
{
    char sql[300];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM callout WHERE %s", where);
    return world_count(&w, sql);
}

static void learn(const char *address, size_t job, bool exists)
{
    struct msg_queue_room_re re;
    ask(address, &re);
    cr_assert_eq(w.n_jobs, job + 1, "%s: %zu", address, w.n_jobs);
    if (exists)
        world_relay(&w, job, VERDICT_OK, "250 2.1.5 ok");
    else
        world_relay(&w, job, VERDICT_NEVER, "550 5.1.1 nobody");
}

Test(callout, what_was_said_is_known_after_a_restart_as_long_as_before)
{
    struct msg_queue_room_re re;
    world_begin(&w, CALLOUT "callout_positive = 2h\ncallout_negative = 1h\n");
    learn("Bob@Backed.example", 0, true);
    learn("eve@backed.example", 1, false);
    uint64_t n_commits = w.q->batch.n_commits;
    world_pump(&w);
    cr_expect_eq(w.q->batch.n_commits, n_commits, "no commit for these alone");
    commit_rows();
    cr_expect_eq(kept("address = 'bob@backed.example' AND verdict = 1"
                      " AND expires - learned = 8 * 3600"),
                 1);
    cr_expect_eq(kept("address = 'eve@backed.example' AND verdict = 2"
                      " AND expires - learned = 3600"),
                 1);
    at_ms(HOUR_MS / 2);
    world_restart(&w);
    ask("bob@backed.example", &re);
    cr_expect_eq(re.reason, INTAKE_OK);
    ask("eve@backed.example", &re);
    cr_expect_eq(re.reason, INTAKE_NOBODY);
    cr_expect_eq(w.n_jobs, 2);
    at_ms(HOUR_MS - 1);
    ask("eve@backed.example", &re);
    cr_expect_eq(re.reason, INTAKE_NOBODY, "the age does not begin anew");
    at_ms(HOUR_MS);
    ask("eve@backed.example", &re);
    cr_expect_eq(w.n_jobs, 3);
    world_end(&w);
}

Test(callout, after_a_restart_with_the_host_gone_who_was_known_is_taken)
{
    struct msg_queue_room_re re;
    world_begin(&w, CALLOUT "callout_positive = 2h\n");
    learn("bob@backed.example", 0, true);
    commit_rows();
    at_ms(7 * HOUR_MS);
    world_restart(&w);
    ask("bob@backed.example", &re);
    cr_assert_eq(w.n_jobs, 2, "it is asked, as the time is over");
    world_reach(&w, 1, VERDICT_TRY_LATER, "451 4.4.1 no connection", REACH_DOWN);
    cr_expect_eq(re.reason, INTAKE_OK);
    at_ms(8 * HOUR_MS);
    world_restart(&w);
    ask("bob@backed.example", &re);
    world_reach(&w, 2, VERDICT_TRY_LATER, "451 4.4.1 no connection", REACH_DOWN);
    cr_expect_eq(re.reason, INTAKE_UNVERIFIED, "that was too long ago");
    world_end(&w);
}

Test(callout, who_is_known_is_asked_about_again_before_that_ends)
{
    struct msg_queue_room_re re;
    world_begin(&w, CALLOUT "callout_positive = 2h\n");
    learn("bob@backed.example", 0, true);
    at_ms(HOUR_MS - 1);
    ask("bob@backed.example", &re);
    cr_expect_eq(w.n_jobs, 1);
    at_ms(HOUR_MS);
    ask("bob@backed.example", &re);
    cr_expect_eq(re.reason, INTAKE_OK, "nobody waits for it");
    cr_assert_eq(w.n_jobs, 2);
    ask("bob@backed.example", &re); /* asked already */
    cr_expect_eq(re.reason, INTAKE_OK);
    cr_expect_eq(w.n_jobs, 2);
    world_reach(&w, 1, VERDICT_TRY_LATER, "451 4.4.1 no connection", REACH_DOWN);
    at_ms(HOUR_MS + 59999);
    ask("bob@backed.example", &re);
    cr_expect_eq(re.reason, INTAKE_OK);
    cr_expect_eq(w.n_jobs, 2, "not again within a minute");
    at_ms(HOUR_MS + 60000);
    ask("bob@backed.example", &re);
    cr_assert_eq(w.n_jobs, 3);
    world_relay(&w, 2, VERDICT_OK, "250 2.1.5 ok");
    at_ms(3 * HOUR_MS);
    ask("bob@backed.example", &re); /* two hours from the second answer on */
    cr_expect_eq(re.reason, INTAKE_OK);
    cr_assert_eq(w.n_jobs, 4);
    world_relay(&w, 3, VERDICT_NEVER, "550 5.1.1 gone");
    ask("bob@backed.example", &re);
    cr_expect_eq(re.reason, INTAKE_NOBODY);
    commit_rows();
    cr_expect_eq(kept("verdict = 2"), 1);
    world_end(&w);
}

Test(callout, rows_that_cannot_be_ours_are_not_believed)
{
    static const char *const rows[] = {
        "verdict = 2, learned = learned + 3600, expires = expires + 3600", /* of a time to come */
        "expires = learned",                                               /* over */
        "verdict = 7",
        "host = host / 2", /* of another one */
        "address = 'carol@backed.example'",
    };
    struct msg_queue_room_re re;
    world_begin(&w, CALLOUT);
    learn("bob@backed.example", 0, true);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char sql[300];
        commit_rows();
        snprintf(sql, sizeof sql, "UPDATE callout SET %s", rows[i]);
        cr_assert_eq(
            sqlite3_exec(w.q->store->db, "PRAGMA ignore_check_constraints = 1", NULL, NULL, NULL),
            SQLITE_OK);
        cr_assert_eq(sqlite3_exec(w.q->store->db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sql);
        world_restart(&w);
        ask("bob@backed.example", &re);
        cr_assert_eq(w.n_jobs, i + 2, "%s: it is asked", rows[i]);
        world_relay(&w, i + 1, VERDICT_OK, "250 2.1.5 ok");
        cr_expect_eq(re.reason, INTAKE_OK);
    }
    world_end(&w);
}

Test(callout, rows_go_when_they_have_ended)
{
    world_begin(&w, CALLOUT "callout_positive = 1h\ncallout_negative = 10m\n");
    learn("bob@backed.example", 0, true);
    learn("eve@backed.example", 1, false);
    commit_rows();
    cr_expect_eq(kept("1"), 2);
    for (int hours = 0; hours < 5; hours++) {
        cr_expect_eq(kept("verdict = 1"), hours < 4, "%d", hours);
        cr_expect_eq(kept("verdict = 2"), hours < 1, "%d", hours);
        world_pass(&w, 3600);
    }
    world_end(&w);
}

/* Names that somebody tries at random do not push out those that exist. */
Test(callout, rows_are_bounded_and_those_that_end_first_go_first)
{
    struct msg_queue_room_re re;
    world_begin(&w, CALLOUT);
    learn("bob@backed.example", 0, true);
    commit_rows();
    cr_assert_eq(
        sqlite3_exec(w.q->store->db,
                     "WITH RECURSIVE n (i) AS"
                     " (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)"
                     " INSERT INTO callout (address, verdict, learned, expires, host)"
                     " SELECT 'u' || i || '@backed.example', 2, 1795000000, 1795003000 + i / 1000,"
                     " host FROM n, callout WHERE address = 'bob@backed.example'",
                     NULL, NULL, NULL),
        SQLITE_OK, "%s", sqlite3_errmsg(w.q->store->db));
    world_restart(&w);
    cr_expect_eq(kept("1"), 100000);
    learn("eve@backed.example", 1, false);
    commit_rows();
    cr_expect_eq(kept("1"), 99000);
    cr_expect_eq(kept("address = 'u500@backed.example'"), 0);
    cr_expect_eq(kept("address IN ('u5000@backed.example', 'eve@backed.example')"), 2);
    ask("bob@backed.example", &re);
    cr_expect_eq(re.reason, INTAKE_OK);
    cr_expect_eq(w.n_jobs, 2);
    world_end(&w);
}

Test(callout, what_cannot_be_written_is_in_memory_and_mail_goes_on)
{
    struct msg_queue_room_re re;
    world_begin(&w, CALLOUT);
    sqlite3 *db = w.q->store->db;
    cr_assert_eq(sqlite3_exec(db, "ALTER TABLE callout RENAME TO elsewhere", NULL, NULL, NULL),
                 SQLITE_OK);
    learn("bob@backed.example", 0, true);
    uint64_t box[] = {1, 0};
    world_send_local(&w, "eve@client.example", box[0], "Subject: x\r\n\r\n");
    world_pump(&w);
    cr_assert_eq(w.n_answers, 1);
    cr_expect_eq(w.answers[0].verdict, VERDICT_OK);
    ask("bob@backed.example", &re);
    cr_expect_eq(re.reason, INTAKE_OK);
    cr_expect_eq(w.n_jobs, 1);
    cr_assert_eq(sqlite3_exec(db, "ALTER TABLE elsewhere RENAME TO callout", NULL, NULL, NULL),
                 SQLITE_OK);
    commit_rows();
    cr_expect_eq(kept("1"), 0, "not tried again at once");
    clock_fake(START_MS + 60000, w.now_s * 1000);
    commit_rows();
    cr_expect_eq(kept("1"), 1);
    world_end(&w);
}

Test(callout, the_end_of_the_process_writes_what_is_in_memory)
{
    world_begin(&w, CALLOUT);
    learn("bob@backed.example", 0, true);
    cr_expect_eq(kept("1"), 0);
    w.q->is_draining = true;
    world_pump(&w);
    cr_expect_eq(kept("1"), 1);
    world_end(&w);
}

Test(callout, the_administrator_lists_and_forgets)
{
    struct msg_queue_room_re re;
    world_begin(&w, CALLOUT "[route other.example]\nto = smtp://127.0.0.1:9\nbackup_mx = yes\n"
                            "callout = yes\n");
    learn("bob@backed.example", 0, true);
    learn("eve@backed.example", 1, false);
    learn("bob@other.example", 2, true);
    world_admin(&w, "callout list", (const char *[]){NULL});
    cr_expect(strstr(w.rows, "address=bob@backed.example exists=1") != NULL, "%s", w.rows);
    cr_expect(strstr(w.rows, "address=eve@backed.example exists=0") != NULL, "%s", w.rows);
    world_admin(&w, "callout list", (const char *[]){"domain=Other.Example", NULL});
    cr_expect(strstr(w.rows, "bob@other.example") != NULL, "%s", w.rows);
    cr_expect(strstr(w.rows, "backed") == NULL, "%s", w.rows);
    world_admin(&w, "callout forget", (const char *[]){"Bob@Backed.Example", NULL});
    cr_expect(strstr(w.rows, "forgotten=1") != NULL, "%s", w.rows);
    cr_expect_eq(kept("address = 'bob@backed.example'"), 0);
    ask("bob@backed.example", &re);
    cr_expect_eq(w.n_jobs, 4, "it is asked anew");
    ask("eve@backed.example", &re);
    cr_expect_eq(re.reason, INTAKE_NOBODY);
    world_admin(&w, "callout forget", (const char *[]){"@backed.example", NULL});
    cr_expect(strstr(w.rows, "forgotten=1") != NULL, "%s", w.rows);
    cr_expect_eq(kept("1"), 1);
    world_relay(&w, 3, VERDICT_OK, "250 2.1.5 ok"); /* it was under way */
    ask("bob@backed.example", &re);
    cr_expect_eq(re.reason, INTAKE_OK);
    world_admin(&w, "callout forget", (const char *[]){"@nothing.example", NULL});
    cr_expect_eq(w.admin_re.verdict, VERDICT_NEVER);
    world_admin(&w, "callout forget", (const char *[]){"nonsense", NULL});
    cr_expect_eq(w.admin_re.verdict, VERDICT_NEVER);
    world_end(&w);
}

Test(callout, a_store_of_version_9)
{
    world_begin(&w, CALLOUT);
    world_send_remote(&w, "eve@client.example", "bob@remote.example", "Subject: x\r\n\r\n");
    world_pump(&w);
    world_restart_older(&w, WORLD_UNDO_10 "PRAGMA user_version = 9");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    learn("bob@backed.example", w.n_jobs, true);
    commit_rows();
    cr_expect_eq(kept("1"), 1);
    world_end(&w);
}

/* Who is known and asked about again leaves room for who is not known and waits. */
Test(callout, half_of_the_questions_are_for_who_waits)
{
    struct msg_queue_room_re re;
    char address[64];
    world_begin(&w, CALLOUT "callout_positive = 2h\n");
    for (size_t i = 0; i < 15; i++) {
        snprintf(address, sizeof address, "user%zu@backed.example", i);
        learn(address, i, true);
    }
    at_ms(HOUR_MS);
    for (size_t i = 0; i < 15; i++) {
        snprintf(address, sizeof address, "user%zu@backed.example", i);
        ask(address, &re);
        cr_expect_eq(re.reason, INTAKE_OK);
    }
    cr_expect_eq(w.n_jobs, 25, "%zu", w.n_jobs);
    ask("new@backed.example", &re);
    cr_expect_eq(w.n_jobs, 26, "%zu", w.n_jobs);
    cr_expect_eq(re.reason, NO_ANSWER);
    world_end(&w);
}
