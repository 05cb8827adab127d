/* Domains whose servers had TLS: what is remembered, for how long, and what comes of it. */
#include "queue/secured.h"
#include "world.h"

#include <criterion/criterion.h>
#include <sqlite3.h>

#define DAY (24 * 3600)

static struct world w;

/* Sends one message there; its attempt sees `what`. */
static const struct world_job *attempt(enum secured what)
{
    size_t n = w.n_jobs;
    w.secured = (uint8_t)what;
    world_send_remote(&w, "a@example.org", "x@example.net", "S: x\r\n\r\n");
    world_pump(&w);
    cr_assert_eq(w.n_jobs, n + 1);
    world_relay(&w, n, VERDICT_OK, "250 ok");
    return &w.jobs[n];
}

static int64_t row(const char *column)
{
    char sql[100];
    snprintf(sql, sizeof sql, "SELECT %s FROM secured WHERE domain = 'example.net'", column);
    return world_count(&w, sql);
}

Test(secured, is_learned_renewed_and_missed_once)
{
    world_begin(&w, "");
    attempt(SECURED_NOT);
    attempt(SECURED_UNKNOWN);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM secured"), 0);
    attempt(SECURED_TLS);
    cr_expect_eq(row("level"), SECURED_TLS);
    cr_expect_eq(row("seen"), w.now_s);
    world_pass(&w, 100);
    attempt(SECURED_TLS);
    cr_expect_eq(row("seen"), w.now_s - 100, "not written for each mail");
    attempt(SECURED_VERIFIED);
    cr_expect_eq(row("level"), SECURED_VERIFIED);
    world_pass(&w, DAY);
    attempt(SECURED_VERIFIED);
    cr_expect_eq(row("seen"), w.now_s);
    world_pass(&w, 100);
    attempt(SECURED_NOT);
    cr_expect_eq(row("told"), 1);
    cr_expect_eq(row("seen"), w.now_s - 100);
    attempt((enum secured)77);
    attempt(SECURED_VERIFIED);
    cr_expect_eq(row("told"), 0);
    world_end(&w);
}

Test(secured, is_expected_only_if_that_is_set)
{
    world_begin(&w, "");
    attempt(SECURED_TLS);
    cr_expect_eq(attempt(SECURED_TLS)->expects_tls, 0);
    world_end(&w);
    world_begin(&w, "tls_seen = require\n");
    cr_expect_eq(attempt(SECURED_NOT)->expects_tls, 0);
    cr_expect_eq(attempt(SECURED_TLS)->expects_tls, 0);
    cr_expect_eq(attempt(SECURED_UNKNOWN)->expects_tls, 1);
    world_restart(&w);
    cr_expect_eq(attempt(SECURED_UNKNOWN)->expects_tls, 1);
    world_pass(&w, SECURED_KEEP_S + 1);
    cr_expect_eq(attempt(SECURED_UNKNOWN)->expects_tls, 0);
    world_end(&w);
}

static void add(const char *domain, int64_t seen)
{
    struct memory m = {.level = SECURED_TLS, .seen = seen};
    cr_assert_eq(store_secured_set(w.q->store, span_of(domain), &m), 0);
}

/* A store of before. */
Test(secured, version_5_becomes_ours_with_its_mail)
{
    sqlite3 *db;
    world_begin(&w, "");
    world_send_local(&w, "a@example.org", 7, "S: x\r\n\r\n");
    world_pump(&w);
    cr_assert_eq(sqlite3_open("mail.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                              "DROP TABLE secured; DROP TABLE contained;"
                              "DROP TABLE IF EXISTS sts;" WORLD_UNDO_7
                              "ALTER TABLE recipient DROP COLUMN sender; PRAGMA user_version = 5",
                              NULL, NULL, NULL),
                 SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
    world_restart(&w);
    cr_expect_eq(world_count(&w, "PRAGMA user_version"), MAILDB_VERSION);
    cr_expect_eq(world_count(&w, "SELECT messages FROM box WHERE id = 7"), 1);
    attempt(SECURED_TLS);
    cr_expect_eq(row("level"), SECURED_TLS);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM contained"), 0);
    world_end(&w);
}

Test(secured, is_forgotten_by_age_and_number)
{
    world_begin(&w, "");
    cr_assert_eq(batch_begin(&w.q->batch), 0);
    add("old.example", w.now_s - SECURED_KEEP_S - 1);
    add("a.example", w.now_s - 3);
    add("b.example", w.now_s - 2);
    add("c.example", w.now_s - 1);
    cr_assert_eq(secured_sweep(w.q, w.now_s), 0);
    batch_keep(&w.q->batch, NULL);
    world_pump(&w);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM secured"), 3);
    cr_assert_eq(batch_begin(&w.q->batch), 0);
    cr_assert_eq(store_secured_sweep(w.q->store, 0, 2), 0);
    batch_keep(&w.q->batch, NULL);
    world_pump(&w);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM secured"), 2);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM secured WHERE domain = 'a.example'"), 0);
    world_end(&w);
}
