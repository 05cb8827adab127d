/* What hosts said about recipients, when it is much of it: all of it gets into the table, and out
 * of it again. */
#include "queue/callout_state.h"
#include "queue/statements.h"
#include "world.h"

#include <criterion/criterion.h>

#define ROUTE    "[route backed.example]\nto = smtp://127.0.0.1:2526\nbackup_mx = yes\ncallout = yes\n"
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
