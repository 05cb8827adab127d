#include "world.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sqlite3.h>

#define CONTENT "Subject: hello\r\n\r\nthere\r\n"

static struct world w;

static void touch(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, "x", 1), 1);
    close(fd);
}

Test(recover, files_without_a_row_are_removed)
{
    char id[ID_TEXT], path[64];
    world_begin(&w, "");
    id_format(id, id_new());
    snprintf(path, sizeof path, "spool/%s", id);
    touch(path);
    touch("spool/something");
    world_restart(&w);
    cr_assert_neq(access(path, F_OK), 0);
    cr_assert_neq(access("spool/something", F_OK), 0);
    world_end(&w);
}

/* Runs SQL that a healthy queue would never run. */
static void tamper(const char *sql)
{
    sqlite3 *db;
    char *why = NULL;
    cr_assert_eq(sqlite3_open("mail.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, &why), SQLITE_OK, "%s: %s", sql, why);
    sqlite3_close(db);
}

Test(recover, damaged_rows_are_set_aside_and_nothing_else_suffers)
{
    static const char *const damage[] = {
        "UPDATE message SET sender = 'a@b' || char(13) || char(10) || 'RCPT TO:<x>'",
        "UPDATE recipient SET address = 'x' || char(10) || '@example.net'",
        "UPDATE recipient SET domain = 'a' || char(0) || 'b'",
        "UPDATE recipient SET last_reply = char(10)",
        "UPDATE recipient SET sender = 'a@b' || char(13) || char(10) || 'DATA'",
        "PRAGMA ignore_check_constraints = ON; UPDATE message SET size = 7",
        "PRAGMA ignore_check_constraints = ON; UPDATE message SET content = NULL, spooled = 1",
        "PRAGMA ignore_check_constraints = ON; UPDATE message SET header = 1000",
        "UPDATE message SET content = CAST(replace(content, 'e', 'x') AS BLOB)",
    };
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        memset(&w, 0, sizeof w);
        world_begin(&w, "");
        world_send_remote(&w, "a@example.org", "x@example.net", CONTENT);
        world_pump(&w);
        world_restart(&w);
        tamper(damage[i]);
        size_t n = w.n_jobs;
        world_pass(&w, 400);
        cr_expect_eq(w.n_jobs, n, "%s", damage[i]);
        cr_expect_eq(world_count(&w, "SELECT state FROM recipient"), RCPT_HELD, "%s", damage[i]);
        world_send_remote(&w, "a@example.org", "y@example.net", CONTENT);
        world_pump(&w);
        cr_expect_eq(w.n_jobs, n + 1, "%s", damage[i]);
        world_admin(&w, "queue list", NULL);
        cr_expect_eq(w.admin_re.verdict, VERDICT_OK);
        world_restart(&w);
        world_end(&w);
    }
}

Test(recover, a_failed_recipient_of_a_damaged_message_is_held)
{
    world_begin(&w, "");
    world_send_remote(&w, "a@example.org", "x@example.net", CONTENT);
    world_pump(&w);
    world_relay(&w, 0, VERDICT_NEVER, "550 no");
    cr_assert_eq(w.n_asked, 1);
    tamper("UPDATE message SET sender = char(10)");
    world_restart(&w);
    cr_assert_eq(w.n_asked, 1);
    cr_assert_eq(world_count(&w, "SELECT state FROM recipient"), RCPT_HELD);
    world_end(&w);
}
