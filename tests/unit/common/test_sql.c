#include "common/sql.h"
#include "common/sql_peek.h"

#include "common/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define APP 0x62617200

static const char *const migrations[] = {
    "CREATE TABLE parent(id INTEGER PRIMARY KEY CHECK (id < 1000), name TEXT NOT NULL, body BLOB) "
    "STRICT;"
    "CREATE TABLE child(parent INTEGER NOT NULL REFERENCES parent(id) ON DELETE CASCADE) STRICT;",
    "ALTER TABLE parent ADD COLUMN size INTEGER NOT NULL DEFAULT 0 CHECK (size >= 0);",
};

static const char *const broken_migrations[] = {
    "CREATE TABLE parent(id INTEGER PRIMARY KEY) STRICT;",
    "CREATE TABLE other(id INTEGER PRIMARY KEY) STRICT; INSERT INTO nowhere VALUES (1);",
};

static struct sql_spec spec_of(int version)
{
    return (struct sql_spec){
        .path = "t.db", .application_id = APP, .migrations = migrations, .version = version};
}

static char dir[64];

static void enter_directory(void)
{
    snprintf(dir, sizeof dir, "/tmp/barid-sql-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(chdir(dir), 0);
    cr_assert_eq(chmod(".", 0755), 0);
}

static void leave_directory(void)
{
    static const char *const names[] = {"t.db", "t.db-wal", "t.db-shm", "l.db", "copy.db"};
    log_flush();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(names[i]);
    cr_assert_eq(chdir("/"), 0);
    rmdir(dir);
}

TestSuite(sql, .init = enter_directory, .fini = leave_directory);

static sqlite3 *must_open(int version)
{
    struct error e = {""};
    struct sql_spec spec = spec_of(version);
    sqlite3 *db = sql_open(&spec, &e);
    cr_assert_not_null(db, "%s", e.text);
    return db;
}

static sqlite3_stmt *must_prepare(sqlite3 *db, const char *sql)
{
    struct error e = {""};
    sqlite3_stmt *s = sql_prepare(db, sql, &e);
    cr_assert_not_null(s, "%s", e.text);
    return s;
}

static void refuses(const struct sql_spec *spec, const char *word)
{
    struct error e = {""};
    cr_assert_null(sql_open(spec, &e));
    cr_assert_not_null(strstr(e.text, word), "\"%s\" lacks \"%s\"", e.text, word);
}

static uint64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = must_prepare(db, sql);
    cr_assert_eq(sql_step(s), 1);
    uint64_t v = sql_column_u64(s, 0);
    sqlite3_finalize(s);
    return v;
}

static long wal_size(void)
{
    struct stat st;
    return stat("t.db-wal", &st) == 0 ? (long)st.st_size : -1;
}

Test(sql, makes_files_for_owner_and_group)
{
    umask(077);
    sql_close(must_open(2));
    static const char *const names[] = {"t.db", "t.db-wal", "t.db-shm"};
    for (size_t i = 0; i < 3; i++) {
        struct stat st;
        cr_assert_eq(stat(names[i], &st), 0, "%s", names[i]);
        cr_expect_eq(st.st_mode & 0777, 0640, "%s %o", names[i], st.st_mode & 0777);
    }
}

Test(sql, settings_hold)
{
    sqlite3 *db = must_open(2);
    cr_expect_eq(number(db, "PRAGMA synchronous"), 2);
    cr_expect_eq(number(db, "PRAGMA foreign_keys"), 1);
    cr_expect_eq(number(db, "PRAGMA trusted_schema"), 0);
    cr_expect_eq(number(db, "PRAGMA cell_size_check"), 1);
    cr_expect_eq(number(db, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode='wal'"),
                 1);
    int defensive = 0;
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, -1, &defensive);
    cr_expect_eq(defensive, 1);
    cr_expect_neq(sql_exec(db, "SELECT load_extension('x')"), 0);
    cr_expect_neq(sql_exec(db, "ATTACH 'other.db' AS o"), 0);
    cr_assert_eq(sql_exec(db, "INSERT INTO parent(id,name) VALUES (1,'a');"
                              "INSERT INTO child VALUES (1); DELETE FROM parent;"),
                 0);
    cr_expect_eq(number(db, "SELECT count(*) FROM child"), 0, "cascades work");
    sql_close(db);
}

Test(sql, binds_what_it_reads)
{
    sqlite3 *db = must_open(2);
    sqlite3_stmt *put = must_prepare(db, "INSERT INTO parent(name,body,size) VALUES (?,?,?)");
    static char big[3 << 20];
    memset(big, 'x', sizeof big);
    struct span rows[] = {{NULL, 0}, SPAN("a\0b"), {big, sizeof big}};
    for (size_t i = 0; i < 3; i++) {
        sql_bind_text(put, 1, SPAN("n"));
        sql_bind_blob(put, 2, rows[i]);
        sql_bind_u64(put, 3, INT64_MAX);
        cr_assert_eq(sql_run(put), 0);
    }
    sqlite3_stmt *get = must_prepare(db, "SELECT body, size, name FROM parent ORDER BY id");
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(sql_step(get), 1);
        cr_expect(span_eq(sql_column(get, 0), rows[i]));
        cr_expect_eq(sql_column_u64(get, 1), INT64_MAX);
        cr_expect(span_eq(sql_column(get, 2), SPAN("n")));
    }
    cr_expect_eq(sql_step(get), 0);
    sqlite3_finalize(put);
    sqlite3_finalize(get);
    sql_close(db);
}

/* A value that could not be bound must not be stored as NULL. */
Test(sql, refused_values_fail_the_statement)
{
    sqlite3 *db = must_open(2);
    sqlite3_stmt *put = must_prepare(db, "INSERT INTO parent(name,body,size) VALUES ('n',?,?)");
    char *huge = alloc_array(1, SQL_VALUE_MAX + 1);
    cr_assert_not_null(huge);
    sql_bind_blob(put, 1, (struct span){huge, SQL_VALUE_MAX + 1});
    sql_bind_u64(put, 2, 1);
    cr_expect_eq(sql_run(put), -1);
    sql_bind_blob(put, 1, SPAN("b"));
    sql_bind_u64(put, 2, UINT64_MAX);
    cr_expect_eq(sql_run(put), -1);
    cr_expect_eq(number(db, "SELECT count(*) FROM parent"), 0);
    sql_bind_blob(put, 1, SPAN("b"));
    sql_bind_u64(put, 2, 1);
    cr_expect_eq(sql_run(put), 0, "the statement is usable again");
    sqlite3_finalize(put);
    sql_close(db);
    free(huge);
}

Test(sql, constraints_fail_and_transactions_roll_back)
{
    sqlite3 *db = must_open(2);
    cr_assert_eq(sql_exec(db, "BEGIN IMMEDIATE"), 0);
    cr_assert_eq(sql_exec(db, "INSERT INTO parent(name) VALUES ('a')"), 0);
    cr_expect_eq(sql_exec(db, "INSERT INTO parent(name,size) VALUES ('b',-1)"), -1);
    cr_expect_eq(sql_fault(db), SQL_FAULT_OTHER);
    cr_assert_eq(sql_exec(db, "ROLLBACK"), 0);
    cr_expect_eq(number(db, "SELECT count(*) FROM parent"), 0);
    sql_close(db);
}

Test(sql, migrates_step_by_step)
{
    sqlite3 *db = must_open(1);
    cr_assert_eq(sql_exec(db, "INSERT INTO parent(id,name) VALUES (7,'a')"), 0);
    sql_close(db);
    db = must_open(2);
    cr_expect_eq(number(db, "SELECT size + 1 FROM parent WHERE id=7"), 1);
    cr_expect_eq(number(db, "PRAGMA user_version"), 2);
    sql_close(db);
}

/* What SQLite would check for a new column is none of the start's business. */
Test(sql, migrates_with_damaged_rows)
{
    sqlite3 *db = must_open(1);
    cr_assert_eq(sql_exec(db, "PRAGMA ignore_check_constraints = ON;"
                              "INSERT INTO parent(id,name) VALUES (1001,'a')"),
                 0);
    sql_close(db);
    db = must_open(2);
    cr_expect_eq(number(db, "SELECT count(*) FROM parent WHERE size = 0"), 1);
    cr_expect_lt(sql_exec(db, "INSERT INTO parent(id,name) VALUES (1002,'a')"), 0,
                 "from now on it is checked again");
    sql_close(db);
}

Test(sql, failed_migration_changes_nothing)
{
    struct sql_spec spec = spec_of(2);
    spec.migrations = broken_migrations;
    refuses(&spec, "nowhere");
    int id, version;
    struct error e;
    spec.version = 1;
    sqlite3 *db = sql_open(&spec, &e);
    cr_assert_not_null(db, "%s", e.text);
    cr_expect_eq(number(db, "SELECT count(*) FROM sqlite_schema WHERE name='other'"), 0);
    sql_close(db);
    cr_assert_eq(sql_peek("t.db", &id, &version, &e), 0);
    cr_expect_eq(version, 1);
}

Test(sql, refuses_what_is_not_its_own)
{
    sql_close(must_open(2));
    struct sql_spec spec = spec_of(1);
    refuses(&spec, "made by a newer barid (version 2, this one knows 1): install that version");
    spec = spec_of(2);
    spec.application_id = APP + 1;
    refuses(&spec, "another application");

    cr_assert_eq(symlink("t.db", "l.db"), 0);
    spec = spec_of(2);
    spec.path = "l.db";
    refuses(&spec, "l.db");
    unlink("l.db");
    spec.path = "nowhere/l.db";
    refuses(&spec, "No such file");

    int fd = open("l.db", O_CREAT | O_WRONLY, 0600);
    static const char junk[4096] = "this is no database";
    cr_assert_eq(write(fd, junk, sizeof junk), sizeof junk);
    close(fd);
    spec.path = "l.db";
    refuses(&spec, "not a database");
    int id, version;
    struct error e;
    cr_expect_eq(sql_peek("l.db", &id, &version, &e), -1);
}

Test(sql, refuses_a_plain_sqlite_file)
{
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open("t.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "CREATE TABLE bookmarks(x)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    struct sql_spec spec = spec_of(2);
    refuses(&spec, "another application");
}

Test(sql, peeks_at_headers)
{
    int id, version;
    struct error e;
    cr_expect_eq(sql_peek("t.db", &id, &version, &e), -1);
    sqlite3 *db = must_open(2);
    pid_t pid = fork(); /* not here: closing the file would drop our locks */
    if (pid == 0)
        _exit(sql_peek("t.db", &id, &version, &e) == 0 && id == APP && version == 2 ? 0 : 1);
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect_eq(status, 0, "the header is current while the owner runs");
    sql_close(db);
}

Test(sql, clean_stop_leaves_an_empty_wal)
{
    sqlite3 *db = must_open(2);
    cr_assert_eq(sql_exec(db, "INSERT INTO parent(name) VALUES ('a')"), 0);
    cr_expect_gt(wal_size(), 0);
    sql_close(db);
    cr_expect_eq(wal_size(), 0);
}

/* Damages a page after an owner that did not close: the next one must look, and say so. */
Test(sql, checks_after_an_unclean_stop)
{
    pid_t pid = fork();
    if (pid == 0) {
        sqlite3 *db = must_open(2);
        int rc = sql_exec(db, "INSERT INTO parent(name,body) VALUES ('a', zeroblob(100000));"
                              "PRAGMA wal_checkpoint; INSERT INTO parent(name) VALUES ('b')");
        _exit(rc == 0 ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    cr_assert_gt(wal_size(), 0);

    int fd = open("t.db", O_RDWR);
    char page[4096];
    memset(page, 0x5a, sizeof page);
    cr_assert_eq(pwrite(fd, page, sizeof page, 3 * 4096L), sizeof page);
    close(fd);
    struct sql_spec spec = spec_of(2);
    refuses(&spec, "damaged");
}

Test(sql, recovers_after_an_unclean_stop)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(sql_exec(must_open(2), "INSERT INTO parent(name) VALUES ('b')") == 0 ? 0 : 1);
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_gt(wal_size(), 0);
    sqlite3 *db = must_open(2);
    cr_expect_eq(number(db, "SELECT count(*) FROM parent"), 1);
    sql_close(db);
}

/* --- a reader of another uid, with nothing but read rights --- */

struct reader {
    pid_t pid;
    int ask, answer;
};

static char count_rows(void)
{
    struct error e = {""};
    struct sql_spec spec = spec_of(2);
    spec.is_readonly = true;
    sqlite3 *db = sql_open(&spec, &e);
    if (db == NULL)
        return 'f';
    if (sql_exec(db, "INSERT INTO parent(name) VALUES ('evil')") == 0 ||
        sql_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)") == 0)
        return 'w';
    sqlite3_stmt *s = sql_prepare(db, "SELECT count(*) FROM parent", &e);
    char found = s != NULL && sql_step(s) == 1 ? (char)('0' + sql_column_u64(s, 0)) : 'e';
    sqlite3_finalize(s);
    sql_close(db);
    return found;
}

static struct reader start_reader(void)
{
    int ask[2], answer[2];
    cr_assert(pipe(ask) == 0 && pipe(answer) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ask[1]);
        gid_t group = 54321;
        if (setgroups(1, &group) < 0 || setgid(54322) < 0 || setuid(54322) < 0)
            _exit(1);
        char c;
        while (read(ask[0], &c, 1) == 1) {
            c = count_rows();
            log_flush();
            if (write(answer[1], &c, 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    close(ask[0]);
    close(answer[1]);
    return (struct reader){pid, ask[1], answer[0]};
}

static char ask_reader(const struct reader *r)
{
    char c = '?';
    cr_assert_eq(write(r->ask, &c, 1), 1);
    cr_assert_eq(read(r->answer, &c, 1), 1);
    return c;
}

static void stop_reader(const struct reader *r)
{
    int status;
    close(r->ask);
    cr_assert_eq(waitpid(r->pid, &status, 0), r->pid);
    cr_expect_eq(status, 0);
}

/* Files as the owner of another uid would leave them: the group may read. */
static void give_to_group(void)
{
    static const char *const names[] = {".", "t.db", "t.db-wal", "t.db-shm"};
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(chown(names[i], 54323, 54321), 0);
    cr_assert_eq(chmod(".", 0750), 0);
}

Test(sql, readers_of_another_uid_follow_the_owner)
{
    if (geteuid() != 0)
        cr_skip("needs root");
    struct reader r = start_reader(); /* before SQLite remembers locks in this process */
    sql_close(must_open(2));
    give_to_group();
    cr_expect_eq(ask_reader(&r), '0', "while the owner is down");
    sqlite3 *db = must_open(2);
    cr_expect_eq(ask_reader(&r), '0', "empty log");
    for (int i = 1; i < 9; i++) {
        cr_assert_eq(sql_exec(db, "INSERT INTO parent(name) VALUES ('a')"), 0);
        cr_expect_eq(ask_reader(&r), '0' + i, "after commit %d", i);
        if (i == 4)
            cr_assert_eq(sql_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
    }
    cr_assert_eq(sql_exec(db, "BEGIN; INSERT INTO parent(name) VALUES ('open')"), 0);
    cr_expect_eq(ask_reader(&r), '8', "nothing uncommitted");
    cr_assert_eq(sql_exec(db, "COMMIT"), 0);
    sql_close(db);
    cr_expect_eq(ask_reader(&r), '9', "the owner is down again");
    stop_reader(&r);
}

Test(sql, readers_see_what_a_dead_owner_committed)
{
    if (geteuid() != 0)
        cr_skip("needs root");
    struct reader r = start_reader();
    sql_close(must_open(2));
    give_to_group();
    pid_t pid = fork();
    if (pid == 0)
        _exit(sql_exec(must_open(2), "INSERT INTO parent(name) VALUES ('b')") == 0 ? 0 : 1);
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_gt(wal_size(), 0);
    cr_expect_eq(ask_reader(&r), '1', "before the new owner recovers");
    sqlite3 *db = must_open(2);
    cr_expect_eq(ask_reader(&r), '1', "after it did");
    sql_close(db);
    stop_reader(&r);
}

Test(sql, readers_do_not_migrate)
{
    sql_close(must_open(1));
    struct sql_spec spec = spec_of(2);
    spec.is_readonly = true;
    refuses(&spec, "its owner must start first");
    spec.path = "nowhere.db";
    refuses(&spec, "nowhere.db");
}
