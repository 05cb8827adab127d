#include "fixture.h"

#include "common/content.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <sys/stat.h>

static char where[200];

sqlite3 *fixture_open_writer(void)
{
    struct error e;
    struct sql_spec spec = {.path = MAILDB_PATH,
                            .application_id = MAILDB_APPLICATION_ID,
                            .migrations = maildb_migrations,
                            .version = MAILDB_VERSION};
    sqlite3 *db = sql_open(&spec, &e);
    cr_assert(db != NULL, "%s", e.text);
    return db;
}

sqlite3 *fixture_begin(bool with_db)
{
    snprintf(where, sizeof where, "/tmp/barid-mailbox-XXXXXX");
    cr_assert(mkdtemp(where) != NULL && chdir(where) == 0 && mkdir(MAILDB_SPOOL_DIR, 0700) == 0);
    return with_db ? fixture_open_writer() : NULL;
}

void fixture_run(sqlite3 *db, const char *sql)
{
    char *why = NULL;
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, &why), SQLITE_OK, "%s: %s", sql, why);
}

void fixture_add(sqlite3 *db, uint64_t box, uint64_t sequence, uint64_t id, struct span content)
{
    struct error e;
    struct content_scan scan;
    content_begin(&scan);
    content_add(&scan, content);
    content_end(&scan);
    sqlite3_stmt *s =
        sql_prepare(db,
                    "INSERT INTO message (id, arrived, expires,"
                    " sender, client, helo, login, size, header, flags, warned,"
                    " spooled, hash, content) VALUES (?1, 1, 2, 'a@b.example', '', '', '',"
                    " ?2, ?3, ?4, 0, 0, ?6, ?5)",
                    &e);
    cr_assert(s != NULL, "%s", e.text);
    sql_bind_u64(s, 1, id);
    sql_bind_u64(s, 2, scan.octets);
    sql_bind_u64(s, 3, scan.header);
    sql_bind_u64(s, 4, scan.flags);
    sql_bind_blob(s, 5, content);
    sql_bind_blob(s, 6, (struct span){(const char *)scan.hash, sizeof scan.hash});
    cr_assert_eq(sql_run(s), 0);
    sqlite3_finalize(s);
    s = sql_prepare(db, "INSERT INTO entry VALUES (?1, ?2, ?3, ?4, NULL)", &e);
    cr_assert(s != NULL, "%s", e.text);
    sql_bind_u64(s, 1, box);
    sql_bind_u64(s, 2, sequence);
    sql_bind_u64(s, 3, id);
    sql_bind_u64(s, 4, scan.octets + maildb_prefix_octets(SPAN("a@b.example"), 0));
    cr_assert_eq(sql_run(s), 0);
    sqlite3_finalize(s);
}

static int forget(const char *path, const struct stat *st, int what, struct FTW *at)
{
    (void)st, (void)what, (void)at;
    return remove(path);
}

void fixture_end(sqlite3 *db)
{
    sql_close(db);
    nftw(where, forget, 8, FTW_DEPTH | FTW_PHYS);
}
