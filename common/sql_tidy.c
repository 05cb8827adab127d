#include "common/sql_tidy.h"

#define SLACK_PAGES 1024 /* and a sixteenth of the file: what stays free */
#define SLACK_PART  16

/* 0, or -1. */
static int read_pragma(sqlite3 *db, const char *constant_sql, int64_t *out)
{
    sqlite3_stmt *s = NULL;
    int rc = -1;
    if (sqlite3_prepare_v2(db, constant_sql, -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW) {
        *out = sqlite3_column_int64(s, 0);
        rc = 0;
    }
    sqlite3_finalize(s);
    return rc;
}

/* How many pages are free beyond what is kept. -1: it cannot be read. */
static int64_t pages_over(sqlite3 *db, int64_t *slack)
{
    int64_t all = 0, are_free = 0;
    if (read_pragma(db, "PRAGMA page_count", &all) < 0 ||
        read_pragma(db, "PRAGMA freelist_count", &are_free) < 0)
        return -1;
    *slack = SLACK_PAGES + (all - are_free) / SLACK_PART;
    return are_free > *slack ? are_free - *slack : 0;
}

bool sql_tidy_has_room(sqlite3 *db)
{
    int64_t slack;
    return pages_over(db, &slack) > slack;
}

int sql_tidy_step(sqlite3 *db)
{
    int64_t slack, over = pages_over(db, &slack);
    if (over <= 0)
        return over < 0 ? -1 : 0;
    if (sql_exec(db, "PRAGMA incremental_vacuum(100)") < 0)
        return -1;
    return over > SQL_TIDY_PAGES ? 1 : 0;
}

void sql_tidy_end(sqlite3 *db)
{
    sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

int sql_tidy_statistics(sqlite3 *db)
{
    return sql_exec(db, "PRAGMA analysis_limit=400; PRAGMA optimize;");
}
