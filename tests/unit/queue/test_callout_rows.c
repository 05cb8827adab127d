/* What hosts said about recipients, when it is much of it: all of it gets into the table, and out
 * of it again. */
#include "queue/callout_state.h"
#include "queue/statements.h"
#include "world.h"

#include <criterion/criterion.h>

#define ROUTE    "[route backed.example]\nto = smtp://127.0.0.1:2526\nbackup_mx = yes\ncallout = yes\n"
#define TWO      "[route any.example]\nto = smtp://127.0.0.1:2527\nbackup_mx = yes\ncallout = yes\n"
#define START_MS 1000000

static struct world w;

static int64_t kept(const char *where)
{
    char sql[300];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM callout WHERE %s", where);
    return world_count(&w, sql);
}

static void run_sql(const char *sql)
{
    sqlite3 *db = w.q->store->db;
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
}

/* As any mail's commit would. */
static void commit_rows(void)
{
    cr_assert_eq(batch_begin(&w.q->batch), 0);
    batch_keep(&w.q->batch, NULL);
    batch_commit(&w.q->batch);
}

/* As if its host had answered. */
static void learn(const char *address, enum verdict v)
{
    struct callout *c = callout_find(w.q, address);
    if (c == NULL)
        c = callout_add(w.q, address);
    cr_assert_not_null(c);
    callout_learn(c, v);
}

static void learn_many(const char *name, int n, enum verdict v)
{
    char address[64];
    for (int i = 0; i < n; i++) {
        snprintf(address, sizeof address, "%s%d@backed.example", name, i);
        learn(address, v);
    }
}

Test(callout_rows, many_do_not_wait_for_mail)
{
    world_begin(&w, ROUTE);
    learn_many("a", 199, VERDICT_OK);
    world_pump(&w);
    cr_expect_eq(kept("1"), 0, "so many do");
    learn_many("b", 251, VERDICT_OK);
    world_pump(&w);
    cr_expect_eq(kept("1"), 400);
    learn_many("c", 150, VERDICT_OK);
    world_pump(&w);
    cr_expect_eq(kept("1"), 600);
    world_end(&w);
}

Test(callout_rows, who_exists_is_written_first)
{
    world_begin(&w, ROUTE);
    learn("late@backed.example", VERDICT_NEVER);
    learn_many("nobody", 250, VERDICT_NEVER);
    learn("bob@backed.example", VERDICT_OK);
    learn("late@backed.example", VERDICT_OK); /* another word about one who waits */
    learn("carol@backed.example", VERDICT_OK);
    commit_rows();
    cr_expect_eq(kept("1"), 200);
    cr_expect_eq(kept("verdict = 1"), 3);
    commit_rows();
    cr_expect_eq(kept("1"), 253);
    cr_expect_eq(kept("verdict = 2"), 250);
    cr_expect_eq(w.q->callouts->n_unsaved, 0);
    learn("dave@backed.example", VERDICT_NEVER); /* the list of who waits is whole */
    commit_rows();
    cr_expect_eq(kept("1"), 254);
    world_end(&w);
}

Test(callout_rows, the_end_of_the_process_writes_all_of_it)
{
    world_begin(&w, ROUTE);
    learn_many("user", 1000, VERDICT_OK);
    w.q->is_draining = true;
    queue_turn(w.q);
    cr_expect_eq(kept("1"), 1000);
    cr_expect(queue_is_idle(w.q));
    learn("bob@backed.example", VERDICT_OK); /* its host was being asked */
    queue_turn(w.q);
    cr_expect_eq(kept("1"), 1001);
    world_end(&w);
}

static unsigned n_refused;

static int refuse(struct batch_part *p)
{
    (void)p;
    n_refused++;
    return -1;
}

/* The rows could be written, their commit not: the disk is full. */
Test(callout_rows, a_commit_that_fails_is_tried_again_after_a_minute)
{
    struct batch_part part = {.write = refuse};
    world_begin(&w, ROUTE);
    batch_add_part(&w.q->batch, &part);
    learn_many("user", 300, VERDICT_OK);
    world_pump(&w);
    cr_expect_eq(n_refused, 1);
    w.q->is_draining = true;
    world_pump(&w);
    cr_expect_eq(n_refused, 2, "at the end once more, whatever the time");
    batch_remove_part(&w.q->batch, &part);
    world_pump(&w);
    cr_expect_eq(kept("1"), 0, "and mail goes on without them");
    clock_fake(START_MS + 60000, w.now_s * 1000 + 60000);
    world_pump(&w);
    cr_expect_eq(kept("1"), 300);
    world_end(&w);
}

Test(callout_rows, the_administrator_sees_and_forgets_all_of_it)
{
    world_begin(&w, ROUTE);
    learn_many("user", 300, VERDICT_NEVER);
    world_admin(&w, "callout forget", (const char *[]){"user290@backed.example", NULL});
    cr_expect(strstr(w.rows, "forgotten=1") != NULL, "%s", w.rows);
    commit_rows();
    cr_expect_eq(kept("address = 'user290@backed.example'"), 0);
    cr_expect_eq(kept("1"), 299);
    learn_many("more", 300, VERDICT_NEVER);
    world_admin(&w, "callout forget", (const char *[]){"@backed.example", NULL});
    cr_expect(strstr(w.rows, "forgotten=599") != NULL, "%s", w.rows);
    commit_rows();
    cr_expect_eq(kept("1"), 0);
    world_end(&w);
}

Test(callout_rows, what_could_not_be_written_can_be_forgotten)
{
    const char *bob[] = {"bob@backed.example", NULL};
    world_begin(&w, ROUTE);
    run_sql("ALTER TABLE callout RENAME TO elsewhere");
    learn(bob[0], VERDICT_OK);
    commit_rows();
    world_admin(&w, "callout forget", bob);
    cr_expect_eq(w.admin_re.verdict, VERDICT_TRY_LATER);
    run_sql("ALTER TABLE elsewhere RENAME TO callout");
    world_admin(&w, "callout forget", bob); /* within the minute in which no commit tries it */
    cr_expect(strstr(w.rows, "forgotten=1") != NULL, "%s", w.rows);
    clock_fake(START_MS + 60000, w.now_s * 1000);
    commit_rows();
    cr_expect_eq(kept("1"), 0);
    cr_expect(callout_find(w.q, bob[0]) == NULL);
    world_end(&w);
}

/* --- how many --- */

/* As if its host had said so of n, a second later than of any before. */
static void add_rows(const char *domain, int n)
{
    char sql[500];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO callout (address, verdict, learned, expires, host)"
             " SELECT 'u' || i || '@%s', 1, learned + 1, expires + 1, host FROM n, callout"
             " WHERE address = 'first@%s'",
             n, domain, domain);
    run_sql(sql);
}

Test(callout_rows, a_host_that_takes_any_name_pushes_out_only_its_own)
{
    world_begin(&w, ROUTE TWO);
    learn("bob@backed.example", VERDICT_OK); /* all others end later */
    learn("eve@backed.example", VERDICT_NEVER);
    learn("first@any.example", VERDICT_OK);
    commit_rows();
    add_rows("any.example", 99997);
    world_restart(&w);
    cr_expect_eq(kept("1"), 100000);
    learn("one-more@any.example", VERDICT_OK);
    commit_rows();
    cr_expect_eq(kept("1"), 99000);
    cr_expect_eq(kept("address = 'bob@backed.example'"), 1);
    cr_expect_eq(kept("address = 'eve@backed.example'"), 0, "who does not exist goes first");
    cr_expect_eq(kept("address = 'first@any.example'"), 0);
    world_end(&w);
}

Test(callout_rows, another_word_about_the_same_is_no_further_row)
{
    char address[64];
    world_begin(&w, ROUTE);
    learn("first@backed.example", VERDICT_OK);
    commit_rows();
    add_rows("backed.example", 99980);
    world_restart(&w);
    for (int i = 1; i <= 50; i++) {
        snprintf(address, sizeof address, "u%d@backed.example", i);
        learn(address, VERDICT_OK);
    }
    commit_rows();
    cr_expect_eq(kept("1"), 99981);
    world_end(&w);
}

/* --- whose word it is --- */

/* Another one, as after a change of the configuration; -1: the one before again. */
static void move_host(int by)
{
    for (size_t i = 0; i < w.config->n_routes; i++)
        if (strcmp(w.config->routes[i].domain, "backed.example") == 0)
            w.config->routes[i].to[0].port = (uint16_t)(w.config->routes[i].to[0].port + by);
}

static enum intake_reason judge(const char *address)
{
    return callout_judge(w.q, span_of(address));
}

Test(callout_rows, another_host_is_not_bound_by_what_the_last_one_said)
{
    static const char bob[] = "bob@backed.example", eve[] = "eve@backed.example";
    world_begin(&w, ROUTE TWO);
    learn(bob, VERDICT_OK);
    learn(eve, VERDICT_NEVER);
    learn("dan@any.example", VERDICT_OK);
    commit_rows();
    move_host(1);
    cr_expect_eq(judge(bob), INTAKE_UNVERIFIED, "in memory");
    cr_expect_eq(judge(eve), INTAKE_UNVERIFIED);
    cr_expect_eq(judge("dan@any.example"), INTAKE_OK);
    world_restart(&w);
    cr_expect_eq(judge(bob), INTAKE_UNVERIFIED, "in the table");
    cr_expect_eq(judge(eve), INTAKE_UNVERIFIED);
    cr_expect_eq(judge("dan@any.example"), INTAKE_OK);
    world_admin(&w, "callout list", (const char *[]){NULL});
    cr_expect(strstr(w.rows, "dan@any.example") != NULL, "%s", w.rows);
    cr_expect(strstr(w.rows, bob) == NULL, "%s", w.rows);
    learn(bob, VERDICT_NEVER);
    commit_rows();
    world_restart(&w);
    cr_expect_eq(judge(bob), INTAKE_NOBODY, "the new one has the word");
    move_host(-1);
    cr_expect_eq(judge(bob), INTAKE_UNVERIFIED);
    cr_expect_eq(judge(eve), INTAKE_NOBODY, "it is the old one again");
    world_end(&w);
}

static void room_told(void *arg, const union msg *m, int fd)
{
    (void)fd;
    cr_assert_not_null(m);
    *(struct msg_queue_room_re *)arg = m->queue_room_re;
}

Test(callout_rows, who_was_asked_before_a_reload_has_no_word_after_it)
{
    struct msg_queue_room m = {.address = SPAN("bob@backed.example"), .sealed = SPAN("")};
    struct msg_queue_room_re re = {.reason = INTAKE_OK};
    world_begin(&w, ROUTE);
    cr_assert_neq(ipc_ask_queue_room(w.smtpd, &m, -1, 60000, room_told, &re), 0);
    world_pump(&w);
    cr_assert_eq(w.n_jobs, 1);
    move_host(1);
    world_relay(&w, 0, VERDICT_OK, "250 2.1.5 ok");
    cr_expect_eq(re.reason, INTAKE_UNVERIFIED);
    cr_assert_neq(ipc_ask_queue_room(w.smtpd, &m, -1, 60000, room_told, &re), 0);
    world_pump(&w);
    cr_assert_eq(w.n_jobs, 2, "the new one is asked at once");
    world_relay(&w, 1, VERDICT_OK, "250 2.1.5 ok");
    cr_expect_eq(re.reason, INTAKE_OK);
    world_end(&w);
}

/* --- what is read back --- */

Test(callout_rows, damaged_ones_are_seen)
{
    static const struct {
        const char *change;
        enum found is;
    } rows[] = {
        {"verdict = 1", FOUND_YES},
        {"verdict = 0", FOUND_DAMAGED},
        {"verdict = 7", FOUND_DAMAGED},
        {"verdict = -4294967295", FOUND_DAMAGED},
        {"learned = -1", FOUND_DAMAGED},
        {"expires = learned", FOUND_YES},
        {"expires = learned - 1", FOUND_DAMAGED},
        {"host = 0", FOUND_DAMAGED},
        {"host = -1", FOUND_DAMAGED},
        {"address = 'x' || char(10) || '@backed.example'", FOUND_DAMAGED},
    };
    world_begin(&w, ROUTE);
    learn("bob@backed.example", VERDICT_OK);
    commit_rows();
    run_sql("PRAGMA ignore_check_constraints = 1;"
            "CREATE TEMP TABLE good AS SELECT * FROM callout");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char sql[300];
        struct callout_row row = {.id = 0};
        snprintf(sql, sizeof sql, "UPDATE callout SET %s", rows[i].change);
        run_sql(sql);
        store_callouts_begin(w.q->store, 0, SPAN(""));
        cr_expect_eq(store_callouts_next(w.q->store, &row), rows[i].is, "%s", rows[i].change);
        store_callouts_end(w.q->store);
        if (strstr(rows[i].change, "address") == NULL) {
            row = (struct callout_row){.address = SPAN("bob@backed.example")};
            cr_expect_eq(store_callout_get(w.q->store, &row), rows[i].is, "%s", rows[i].change);
        }
        run_sql("DELETE FROM callout; INSERT INTO callout SELECT * FROM good");
    }
    world_end(&w);
}

/* What is sound, but of another time. */
Test(callout_rows, what_is_over_or_of_a_time_to_come_is_not_believed)
{
    static const struct {
        const char *change;
        bool is_believed;
    } rows[] = {
        {"expires = learned + 1", true},
        {"expires = learned", false}, /* over, though it was said just now */
        {"learned = learned + 60, expires = expires + 60", true}, /* the clock was put back */
        {"learned = learned + 61, expires = expires + 61", false},
    };
    world_begin(&w, ROUTE);
    learn("bob@backed.example", VERDICT_OK);
    commit_rows();
    run_sql("CREATE TEMP TABLE good AS SELECT * FROM callout");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char sql[300];
        snprintf(sql, sizeof sql,
                 "DELETE FROM callout; INSERT INTO callout SELECT * FROM good;"
                 "UPDATE callout SET %s",
                 rows[i].change);
        run_sql(sql);
        callouts_forget(w.q, SPAN("bob@backed.example")); /* memory */
        cr_expect_eq(callout_find(w.q, "bob@backed.example") != NULL, rows[i].is_believed, "%s",
                     rows[i].change);
    }
    world_end(&w);
}

/* --- asking again, before it is over --- */

static size_t jobs_after(const char *address)
{
    struct msg_queue_room m = {.address = span_of(address), .sealed = SPAN("")};
    struct msg_queue_room_re re = {.reason = INTAKE_NOBODY};
    cr_assert_neq(ipc_ask_queue_room(w.smtpd, &m, -1, 60000, room_told, &re), 0);
    world_pump(&w);
    cr_expect_eq(re.reason, INTAKE_OK, "%s", address);
    return w.n_jobs;
}

Test(callout_rows, a_silent_host_is_not_asked_again_about_one_after_the_other)
{
    const int64_t half_ms = 3600 * 1000;
    world_begin(&w, ROUTE TWO);
    for (size_t i = 0; i < w.config->n_routes; i++)
        w.config->routes[i].callout_positive_ms = 2 * half_ms;
    learn_many("user", 5, VERDICT_OK);
    learn("dan@any.example", VERDICT_OK);
    clock_fake(START_MS + half_ms, w.now_s * 1000 + half_ms);
    cr_assert_eq(jobs_after("user0@backed.example"), 1);
    world_reach(&w, 0, VERDICT_TRY_LATER, "451 4.4.1 no connection", REACH_DOWN);
    cr_expect_eq(jobs_after("user1@backed.example"), 1);
    cr_assert_eq(jobs_after("dan@any.example"), 2, "another one is");
    world_relay(&w, 1, VERDICT_OK, "250 2.1.5 ok");
    clock_fake(START_MS + half_ms + 59999, w.now_s * 1000 + half_ms);
    cr_expect_eq(jobs_after("user1@backed.example"), 2);
    clock_fake(START_MS + half_ms + 60000, w.now_s * 1000 + half_ms);
    cr_assert_eq(jobs_after("user1@backed.example"), 3, "a minute later it is");
    cr_assert_eq(jobs_after("user2@backed.example"), 4);
    world_reach(&w, 2, VERDICT_TRY_LATER, "451 4.4.1 no connection", REACH_DOWN);
    world_relay(&w, 3, VERDICT_OK, "250 2.1.5 ok");
    cr_expect_eq(jobs_after("user3@backed.example"), 5, "it works again");
    world_end(&w);
}
