#include "common/sql.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/trouble.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/random.h>
#include <sys/stat.h>

#define BUSY_TIMEOUT_MS    5000 /* recovery by a new owner; nothing else makes anyone wait */
#define JOURNAL_SIZE_LIMIT "67108864"

static const struct {
    int id, value;
} limits[] = {
    {SQLITE_LIMIT_LENGTH, SQL_VALUE_MAX},
    {SQLITE_LIMIT_SQL_LENGTH, 65536},
    {SQLITE_LIMIT_COLUMN, 64},
    {SQLITE_LIMIT_EXPR_DEPTH, 50},
    {SQLITE_LIMIT_COMPOUND_SELECT, 8},
    {SQLITE_LIMIT_VDBE_OP, 25000},
    {SQLITE_LIMIT_FUNCTION_ARG, 8},
    {SQLITE_LIMIT_ATTACHED, 0},
    {SQLITE_LIMIT_VARIABLE_NUMBER, 64},
    {SQLITE_LIMIT_TRIGGER_DEPTH, 4},
    {SQLITE_LIMIT_WORKER_THREADS, 0},
    {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1024},
};

static const struct {
    int option, value;
} options[] = {
    {SQLITE_DBCONFIG_DEFENSIVE, 1},   {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
    {SQLITE_DBCONFIG_ENABLE_FKEY, 1}, {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
    {SQLITE_DBCONFIG_ENABLE_VIEW, 0}, {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
    {SQLITE_DBCONFIG_DQS_DDL, 0},     {SQLITE_DBCONFIG_DQS_DML, 0},
};

/* What keeps failing, by SQLite's primary code: each is said once. */
static struct {
    struct trouble of[32];
    bool is_any;
} troubles;

/* The statement whose last bind failed: sqlite3 would go on with NULL in the place of the value. */
static const sqlite3_stmt *unbound;

/* --- start-up --- */

/* SQLite would read /dev/urandom, which is not there in the jail, and go on with time and pid. */
static int fill_random(sqlite3_vfs *vfs, int n, char *out)
{
    (void)vfs;
    for (int at = 0; at < n; at += 256)
        if (getentropy(out + at, (size_t)(n - at < 256 ? n - at : 256)) < 0)
            return at;
    return n;
}

static int start_sqlite(struct error *e)
{
    static sqlite3_vfs vfs;
    if (vfs.zName != NULL)
        return 0;
    sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    const sqlite3_vfs *unix_vfs = sqlite3_vfs_find(NULL);
    if (unix_vfs == NULL)
        return error_set(e, "SQLite does not start");
    vfs = *unix_vfs;
    vfs.zName = "barid";
    vfs.pNext = NULL;
    vfs.xRandomness = fill_random;
    if (sqlite3_vfs_register(&vfs, 1) == SQLITE_OK)
        return 0;
    vfs.zName = NULL;
    return error_set(e, "SQLite does not start");
}

static int failed(const struct sql_spec *spec, sqlite3 *db, struct error *e)
{
    int code = sqlite3_extended_errcode(db);
    if (code == SQLITE_CANTOPEN_SYMLINK)
        return error_set(e, "%s: is, or is behind, a symbolic link", spec->path);
    if ((code & 0xff) == SQLITE_NOTADB)
        return error_set(e, "%s is not a database: move it away or restore a backup", spec->path);
    if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_CONSTRAINT)
        return error_set(e, "%s is damaged (%s): restore a backup", spec->path, sqlite3_errmsg(db));
    int sys = sqlite3_system_errno(db);
    return error_set(e, "%s: %s%s%s", spec->path, sqlite3_errmsg(db), sys != 0 ? ": " : "",
                     sys != 0 ? strerror(sys) : "");
}

/* Makes the file, so that its mode is ours; SQLite gives -wal and -shm the same. */
static int make_file(const struct sql_spec *spec, struct error *e)
{
    int fd = open(spec->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0)
        return error_set(e, "%s: %s", spec->path, strerror(errno));
    struct stat st;
    int rc = fstat(fd, &st);
    if (rc == 0 && st.st_size == 0)
        rc = fchmod(fd, 0640);
    if (rc < 0)
        error_set(e, "%s: %s", spec->path, strerror(errno));
    close(fd);
    return rc;
}

static bool has_wal(const struct sql_spec *spec)
{
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s-wal", spec->path);
    return n > 0 && (size_t)n < sizeof path && stat(path, &st) == 0 && st.st_size > 0;
}

static sqlite3 *connect_to(const struct sql_spec *spec, struct error *e)
{
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                SQLITE_OPEN_EXRESCODE |
                (spec->is_readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
    if (sqlite3_open_v2(spec->path, &db, flags, "barid") == SQLITE_OK)
        return db;
    if (db == NULL)
        error_set(e, "%s: out of memory", spec->path);
    else
        failed(spec, db, e);
    sqlite3_close(db);
    return NULL;
}

static int set_up(sqlite3 *db, bool is_readonly)
{
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        sqlite3_limit(db, limits[i].id, limits[i].value);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (sqlite3_db_config(db, options[i].option, options[i].value, NULL) != SQLITE_OK)
            return -1;
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    if (sql_exec(db, "PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY;") < 0)
        return -1;
    if (is_readonly) {
        sqlite3_wal_autocheckpoint(db, 0);
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        return sql_exec(db, "PRAGMA query_only=ON;");
    }
    int persist = 1;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
    return 0;
}

/* --- is it ours, and of which version? --- */

static int read_number(sqlite3 *db, const char *constant_sql, int *out)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db, constant_sql, -1, &s, NULL) != SQLITE_OK)
        return -1;
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return rc == SQLITE_ROW ? 0 : -1;
}

/* 0 and the version (0: empty), or -1. */
static int identify(sqlite3 *db, const struct sql_spec *spec, int *version, struct error *e)
{
    int id, tables;
    if (read_number(db, "SELECT count(*) FROM sqlite_schema", &tables) < 0 ||
        read_number(db, "PRAGMA application_id", &id) < 0 ||
        read_number(db, "PRAGMA user_version", version) < 0)
        return failed(spec, db, e);
    bool is_new = id == 0 && *version == 0 && tables == 0;
    if (id != spec->application_id && !is_new)
        return error_set(e, "%s is a database of another application (id %#x): move it away",
                         spec->path, (unsigned)id);
    if (*version > spec->version)
        return error_set(e,
                         "%s was made by a newer barid (version %d, this one knows %d): "
                         "install that version or restore a backup",
                         spec->path, *version, spec->version);
    if (*version < 0 || (*version == 0 && !is_new))
        return error_set(e, "%s is damaged (version %d): restore a backup", spec->path, *version);
    if (spec->is_readonly && *version < spec->version)
        return error_set(e, "%s is of version %d, not yet of %d: its owner must start first",
                         spec->path, *version, spec->version);
    return 0;
}

/* --- migrations --- */

/* A pragma takes no bound value; the only thing put into these is a number of our own. */
static int set_header(sqlite3 *db, const struct sql_spec *spec, int version)
{
    char sql[100];
    snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%d;",
             spec->application_id, version);
    return sql_exec(db, sql);
}

static int take_steps(sqlite3 *db, const struct sql_spec *spec, int version, struct error *e)
{
    bool is_new = version == 0;
    for (; version < spec->version; version++) {
        if (spec->migrations[version] == NULL && is_new)
            continue;
        if (spec->migrations[version] == NULL)
            return error_set(e,
                             "%s was made by another barid (version %d, this one knows %d): export "
                             "its mail with that one, or move it away",
                             spec->path, version, spec->version);
        if (sql_exec(db, "BEGIN IMMEDIATE") == 0 && sql_exec(db, spec->migrations[version]) == 0 &&
            set_header(db, spec, version + 1) == 0 && sql_exec(db, "COMMIT") == 0)
            continue;
        failed(spec, db, e);
        sql_exec(db, "ROLLBACK");
        return -1;
    }
    return 0;
}

/* A damaged row is met as one when it is read, and ends no more than what it belongs to; a new
 * column would have all rows of its table checked, and one such row would end the start. */
static int migrate(sqlite3 *db, const struct sql_spec *spec, int version, struct error *e)
{
    if (version == spec->version)
        return 0;
    if (sql_exec(db, "PRAGMA ignore_check_constraints=ON") < 0)
        return failed(spec, db, e);
    int rc = take_steps(db, spec, version, e);
    if (sql_exec(db, "PRAGMA ignore_check_constraints=OFF") < 0 && rc == 0)
        rc = failed(spec, db, e);
    return rc;
}

/* --- the check after an unclean stop --- */

static int is_overdue(void *deadline_ms)
{
    return clock_mono_ms() > *(const int64_t *)deadline_ms;
}

static int quick_check(sqlite3 *db, const struct sql_spec *spec, struct error *e)
{
    int64_t begun_ms = clock_mono_ms(), deadline_ms = begun_ms + SQL_CHECK_MAX_MS;
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &s, NULL) != SQLITE_OK)
        return failed(spec, db, e);
    sqlite3_progress_handler(db, 10000, is_overdue, &deadline_ms);
    int code = sqlite3_step(s), rc = 0;
    if (code == SQLITE_ROW && !span_eq(sql_column(s, 0), SPAN("ok")))
        rc = error_set(e, "%s is damaged (%.200s): restore a backup", spec->path,
                       (const char *)sqlite3_column_text(s, 0));
    else if (code != SQLITE_ROW && code != SQLITE_INTERRUPT)
        rc = failed(spec, db, e);
    sqlite3_finalize(s);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    if (rc == 0)
        LOG(0, "store-checked", LZ("file", spec->path), LN("ms", clock_mono_ms() - begun_ms),
            LZ("result", code == SQLITE_INTERRUPT ? "cut short" : "ok"));
    return rc;
}

/* --- opening and closing --- */

static int begin_wal(sqlite3 *db, const struct sql_spec *spec, struct error *e)
{
    sqlite3_stmt *s = NULL;
    bool is_wal = sqlite3_prepare_v2(db, "PRAGMA journal_mode=WAL", -1, &s, NULL) == SQLITE_OK &&
                  sqlite3_step(s) == SQLITE_ROW && span_eq(sql_column(s, 0), SPAN("wal"));
    sqlite3_finalize(s);
    if (!is_wal || sql_exec(db, "PRAGMA synchronous=FULL; PRAGMA secure_delete=FAST;"
                                "PRAGMA journal_size_limit=" JOURNAL_SIZE_LIMIT ";") < 0)
        return failed(spec, db, e);
    return 0;
}

/* Empties -wal; at the start it also writes the header where sql_peek finds it. A reader in the way
 * is no harm: then it happens at a later checkpoint. */
static void checkpoint(sqlite3 *db)
{
    sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

static int open_owner(sqlite3 *db, const struct sql_spec *spec, bool is_unclean, struct error *e)
{
    int version;
    /* Counts for a database that has no tables yet: free pages can be given back in steps. */
    if (sql_exec(db, "PRAGMA auto_vacuum=INCREMENTAL;") < 0)
        return failed(spec, db, e);
    if (identify(db, spec, &version, e) < 0 || begin_wal(db, spec, e) < 0 ||
        (is_unclean && quick_check(db, spec, e) < 0) || migrate(db, spec, version, e) < 0)
        return -1;
    checkpoint(db);
    return 0;
}

static sqlite3 *open_as(const struct sql_spec *spec, struct error *e)
{
    if (start_sqlite(e) < 0 || (!spec->is_readonly && make_file(spec, e) < 0))
        return NULL;
    bool is_unclean = !spec->is_readonly && has_wal(spec);
    sqlite3 *db = connect_to(spec, e);
    if (db == NULL)
        return NULL;
    int version, rc;
    if (set_up(db, spec->is_readonly) < 0)
        rc = failed(spec, db, e);
    else
        rc = spec->is_readonly ? identify(db, spec, &version, e)
                               : open_owner(db, spec, is_unclean, e);
    if (rc == 0)
        return db;
    /* What could not be opened may need a person: nothing is to be changed in it by closing. */
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(db);
    return NULL;
}

static bool is_quiet;

bool sql_quiet(bool is_wanted)
{
    bool was_quiet = is_quiet;
    is_quiet = is_wanted;
    return was_quiet;
}

sqlite3 *sql_open(const struct sql_spec *spec, struct error *e)
{
    bool was_quiet = sql_quiet(true);
    sqlite3 *db = open_as(spec, e);
    sql_quiet(was_quiet);
    return db;
}

void sql_close(sqlite3 *db)
{
    if (db == NULL)
        return;
    if (sqlite3_db_readonly(db, "main") == 0)
        checkpoint(db);
    if (sqlite3_close(db) != SQLITE_OK)
        LOG(0, "store-left-open", LZ("why", sqlite3_errmsg(db)));
}

/* --- statements --- */

static void log_failure(sqlite3 *db)
{
    int code = sqlite3_extended_errcode(db);
    if ((code & 0xff) == SQLITE_CONSTRAINT)
        return;
    troubles.is_any = true;
    if (!is_quiet && trouble_is_news(&troubles.of[code & 31]))
        LOG(0, "store-failed", LN("code", code), LZ("why", sqlite3_errmsg(db)));
    if ((code & 0xff) == SQLITE_BUSY && sqlite3_db_readonly(db, "main") == 0)
        sqlite3_busy_timeout(db, 0); /* waiting once was enough; others wait for us */
}

void sql_saved(sqlite3 *db)
{
    if (!troubles.is_any)
        return;
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    troubles.is_any = false;
    for (size_t i = 0; i < sizeof troubles.of / sizeof troubles.of[0]; i++) {
        trouble_worked(&troubles.of[i], "store-recovered");
        troubles.is_any |= troubles.of[i].times > 0;
    }
}

int sql_exec(sqlite3 *db, const char *constant_sql)
{
    if (sqlite3_exec(db, constant_sql, NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    log_failure(db);
    return -1;
}

sqlite3_stmt *sql_prepare(sqlite3 *db, const char *constant_sql, struct error *e)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v3(db, constant_sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL) == SQLITE_OK)
        return s;
    error_set(e, "%s: cannot prepare \"%s\": %s", sqlite3_db_filename(db, "main"), constant_sql,
              sqlite3_errmsg(db));
    return NULL;
}

static void note_bind(const sqlite3_stmt *s, int code)
{
    if (code != SQLITE_OK)
        unbound = s;
}

void sql_bind_text(sqlite3_stmt *s, int at, struct span v)
{
    const char *p = v.p != NULL ? v.p : "";
    note_bind(s, sqlite3_bind_text64(s, at, p, v.n, SQLITE_STATIC, SQLITE_UTF8));
}

void sql_bind_blob(sqlite3_stmt *s, int at, struct span v)
{
    const char *p = v.p != NULL ? v.p : "";
    note_bind(s, sqlite3_bind_blob64(s, at, p, v.n, SQLITE_STATIC));
}

void sql_bind_u64(sqlite3_stmt *s, int at, uint64_t v)
{
    if (v > INT64_MAX)
        unbound = s;
    else
        sql_bind_i64(s, at, (int64_t)v);
}

void sql_bind_i64(sqlite3_stmt *s, int at, int64_t v)
{
    note_bind(s, sqlite3_bind_int64(s, at, v));
}

void sql_bind_null(sqlite3_stmt *s, int at)
{
    note_bind(s, sqlite3_bind_null(s, at));
}

struct span sql_column(sqlite3_stmt *s, int at)
{
    const char *p = sqlite3_column_blob(s, at);
    int n = sqlite3_column_bytes(s, at);
    return (struct span){p, p != NULL && n > 0 ? (size_t)n : 0};
}

uint64_t sql_column_u64(sqlite3_stmt *s, int at)
{
    int64_t v = sqlite3_column_int64(s, at);
    return v > 0 ? (uint64_t)v : 0;
}

void sql_reset(sqlite3_stmt *s)
{
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    if (unbound == s)
        unbound = NULL;
}

int sql_step(sqlite3_stmt *s)
{
    if (s == unbound) {
        LOG(0, "store-failed", LZ("why", "a value is too large"));
        sql_reset(s);
        return -1;
    }
    int code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        return 1;
    if (code != SQLITE_DONE)
        log_failure(sqlite3_db_handle(s));
    sql_reset(s);
    return code == SQLITE_DONE ? 0 : -1;
}

int sql_run(sqlite3_stmt *s)
{
    int rc = sql_step(s);
    if (rc == 1) {
        sql_reset(s);
        rc = 0;
    }
    return rc;
}

static bool has(struct span s, struct span what)
{
    return s.n > 0 && memmem(s.p, s.n, what.p, what.n) != NULL;
}

int sql_each_text(sqlite3 *db, const char *constant_sql, span_fn *fn, void *arg)
{
    struct error e;
    sqlite3_stmt *s = sql_prepare(db, constant_sql, &e);
    int rc = -1;
    while (s != NULL && (rc = sql_step(s)) == 1)
        if (!span_eq(sql_column(s, 0), SPAN("ok")))
            fn(arg, sql_column(s, 0));
    sqlite3_finalize(s);
    return rc;
}

bool sql_is_about_index(struct span line)
{
    return has(line, SPAN(" missing from index ")) || has(line, SPAN(" of entries in index "));
}

enum sql_fault sql_fault(sqlite3 *db)
{
    int code = sqlite3_extended_errcode(db), sys = sqlite3_system_errno(db);
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return SQL_FAULT_NONE;
    case SQLITE_FULL:
        return SQL_FAULT_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return SQL_FAULT_BUSY;
    case SQLITE_READONLY: /* a reader before the owner has started, or during its recovery */
        return code == SQLITE_READONLY_CANTINIT || code == SQLITE_READONLY_RECOVERY ||
                       code == SQLITE_READONLY_CANTLOCK
                   ? SQL_FAULT_BUSY
                   : SQL_FAULT_OTHER;
    case SQLITE_IOERR: /* a full disk or quota that was met outside of a plain write; fsync is not
                          one */
        return code != SQLITE_IOERR_FSYNC && (sys == ENOSPC || sys == EDQUOT) ? SQL_FAULT_FULL
                                                                              : SQL_FAULT_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return SQL_FAULT_DAMAGED;
    default:
        return SQL_FAULT_OTHER;
    }
}
