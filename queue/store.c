#include "queue/statements.h"

#include "common/maildb.h"
#include "common/sql_copy.h"
#include "common/sql_tidy.h"

/* The writer makes every checkpoint. Larger than SQLite's 1000 pages, so that a burst is not
 * stopped for a sync of the whole file several times a second: about 32 MiB of log. */
#define CHECKPOINT_PAGES 8000

static const char *const texts[N_STATEMENTS] = {
#define STATEMENT_TEXT(NAME, text) text,
    STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

struct store *store_open(const char *path, struct error *e)
{
    struct sql_spec spec = {.path = path,
                            .application_id = MAILDB_APPLICATION_ID,
                            .migrations = maildb_migrations,
                            .version = MAILDB_VERSION};
    struct store *s = calloc(1, sizeof *s);
    if (s == NULL) {
        error_set(e, "%s: out of memory", path);
        return NULL;
    }
    s->db = sql_open(&spec, e);
    bool is_ready = s->db != NULL;
    if (is_ready)
        sqlite3_wal_autocheckpoint(s->db, CHECKPOINT_PAGES);
    for (size_t i = 0; is_ready && i < N_STATEMENTS; i++) {
        s->s[i] = sql_prepare(s->db, texts[i], e);
        is_ready = s->s[i] != NULL;
    }
    if (is_ready)
        return s;
    store_close(s);
    return NULL;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(s->s[i]);
    sql_close(s->db);
    free(s);
}

enum store_fault store_fault(const struct store *s)
{
    return s->fault;
}

struct sql_copy *store_copy(struct store *s, const char *path, struct error *e)
{
    return sql_copy_begin(s->db, path, e);
}

static void note_fault(struct store *s)
{
    switch (sql_fault(s->db)) {
    case SQL_FAULT_FULL:
        s->fault = STORE_FAULT_FULL;
        break;
    case SQL_FAULT_IO:
    case SQL_FAULT_DAMAGED:
        s->fault = STORE_FAULT_STOP;
        break;
    default:
        s->fault = STORE_FAULT_OTHER;
    }
}

int statement_step(struct store *s, enum statement which)
{
    int rc = sql_step(s->s[which]);
    if (rc < 0)
        note_fault(s);
    return rc;
}

int statement_run(struct store *s, enum statement which)
{
    int rc = sql_run(s->s[which]);
    if (rc < 0)
        note_fault(s);
    return rc;
}

enum found statement_number(struct store *s, enum statement which, uint64_t *out)
{
    int rc = statement_step(s, which);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *out = sql_column_u64(s->s[which], 0);
    sql_reset(s->s[which]);
    return FOUND_YES;
}

bool store_has_room(struct store *s)
{
    return sql_tidy_has_room(s->db);
}

int store_give_back(struct store *s)
{
    int rc = sql_tidy_step(s->db);
    if (rc < 0)
        note_fault(s);
    return rc;
}

void store_given_back(struct store *s)
{
    sql_tidy_end(s->db);
}

void store_statistics(struct store *s)
{
    if (sql_tidy_statistics(s->db) < 0)
        note_fault(s);
}

/* --- transactions --- */

int store_begin(struct store *s)
{
    return statement_run(s, S_BEGIN);
}

int store_commit(struct store *s)
{
    if (statement_run(s, S_COMMIT) < 0)
        return -1;
    sql_saved(s->db);
    return 0;
}

void store_rollback(struct store *s)
{
    s->knows_upto = false;
    if (store_is_open(s))
        sql_run(s->s[S_ROLLBACK]);
}

bool store_is_open(const struct store *s)
{
    return sqlite3_get_autocommit(s->db) == 0;
}

int64_t store_changes(const struct store *s)
{
    return sqlite3_total_changes64(s->db);
}

void store_clear_fault(struct store *s)
{
    if (s->fault != STORE_FAULT_STOP)
        s->fault = STORE_FAULT_NONE;
}

int store_mark(struct store *s)
{
    return statement_run(s, S_MARK);
}

int store_keep(struct store *s)
{
    return statement_run(s, S_KEEP);
}

int store_undo(struct store *s)
{
    s->knows_upto = false;
    if (!store_is_open(s) || statement_run(s, S_UNDO) < 0)
        return -1;
    return statement_run(s, S_KEEP); /* ROLLBACK TO leaves the savepoint itself on the stack */
}
