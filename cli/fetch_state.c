#include "cli/fetch_state.h"

#include "common/clock.h"
#include "common/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#define APPLICATION_ID 0x42666574 /* "Bfet" */
#define FORGET_AFTER_S (90 * 86400LL)

static const char version_1[] = "CREATE TABLE seen ("
                                " account TEXT NOT NULL CHECK (length(account) BETWEEN 1 AND 4096),"
                                " uidl TEXT NOT NULL CHECK (length(uidl) BETWEEN 1 AND 255),"
                                " fetched INTEGER NOT NULL CHECK (fetched >= 0),"
                                " listed INTEGER NOT NULL CHECK (listed >= 0),"
                                " size INTEGER NOT NULL CHECK (size >= 0),"
                                " place INTEGER NOT NULL CHECK (place >= 0),"
                                " name TEXT NOT NULL CHECK (length(name) <= 255),"
                                " hash BLOB NOT NULL CHECK (length(hash) = 32),"
                                " pending INTEGER NOT NULL CHECK (pending IN (0, 1)),"
                                " PRIMARY KEY (account, uidl)"
                                ") STRICT, WITHOUT ROWID;"
                                "CREATE INDEX seen_pending ON seen (account) WHERE pending = 1;";
static const char *const migrations[] = {version_1};

enum statement { FIND, ADD, SETTLE, SETTLE_ONE, FORGET, PENDING, LISTED, PRUNE, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [FIND] = "SELECT fetched, size, place, name, hash, pending FROM seen"
             " WHERE account = ?1 AND uidl = ?2",
    [ADD] = "INSERT INTO seen (account, uidl, fetched, listed, size, place, name, hash, pending)"
            " VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8)",
    [SETTLE] = "UPDATE seen SET pending = 0 WHERE account = ?1 AND pending = 1",
    [SETTLE_ONE] = "UPDATE seen SET pending = 0 WHERE account = ?1 AND uidl = ?2",
    [FORGET] = "DELETE FROM seen WHERE account = ?1 AND uidl = ?2",
    [PENDING] = "SELECT fetched, size, place, name, hash, pending, uidl FROM seen"
                " WHERE account = ?1 AND pending = 1 LIMIT 1",
    [LISTED] =
        "UPDATE seen SET listed = ?3 WHERE account = ?1 AND uidl = ?2 AND listed < ?3 - 86400",
    [PRUNE] = "DELETE FROM seen WHERE account = ?1 AND pending = 0 AND listed < ?2",
};

struct fetch_state {
    sqlite3 *db;
    sqlite3_stmt *st[STATEMENTS];
    int lock;
    bool is_in_transaction; /* of fetch_state_listed */
};

/* Makes every directory of the path that is missing. */
static int make_dirs(const char *dir)
{
    char path[4096];
    if (span_copy(path, sizeof path, span_of(dir)) < 0)
        return -1;
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return -1;
        *at = '/';
    }
    return mkdir(path, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

static int take_lock(struct fetch_state *s, bool *is_busy, struct error *e)
{
    s->lock = open("fetch.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock < 0)
        return error_set(e, "cannot make fetch.lock: %s", strerror(errno));
    if (flock(s->lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    *is_busy = errno == EWOULDBLOCK;
    return error_set(e, *is_busy ? "another barid fetch of yours is running" : "cannot lock");
}

static int open_store(struct fetch_state *s, struct error *e)
{
    const struct sql_spec spec = {.path = "fetch.db",
                                  .application_id = APPLICATION_ID,
                                  .migrations = migrations,
                                  .version = 1};
    if ((s->db = sql_open(&spec, e)) == NULL)
        return -1;
    for (size_t i = 0; i < STATEMENTS; i++)
        if ((s->st[i] = sql_prepare(s->db, texts[i], e)) == NULL)
            return -1;
    return 0;
}

struct fetch_state *fetch_state_open(const char *dir, bool *is_busy, struct error *e)
{
    struct fetch_state *s = calloc(1, sizeof *s);
    *is_busy = false;
    if (s == NULL) {
        error_set(e, "no memory");
        return NULL;
    }
    s->lock = -1;
    if (make_dirs(dir) < 0 || chdir(dir) < 0)
        error_set(e, "cannot make or enter %.300s: %s", dir, strerror(errno));
    else if (take_lock(s, is_busy, e) == 0 && open_store(s, e) == 0)
        return s;
    fetch_state_close(s);
    return NULL;
}

void fetch_state_close(struct fetch_state *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(s->st[i]);
    sql_close(s->db);
    if (s->lock >= 0)
        close(s->lock);
    free(s);
}

static int broken(struct error *e)
{
    return error_set(e, "the list of what was fetched (fetch.db) cannot be read or written");
}

static sqlite3_stmt *begin(struct fetch_state *s, enum statement which, const char *account,
                           const char *uidl)
{
    sql_bind_text(s->st[which], 1, span_of(account));
    if (uidl != NULL)
        sql_bind_text(s->st[which], 2, span_of(uidl));
    return s->st[which];
}

static int run(sqlite3_stmt *st, struct error *e)
{
    return sql_run(st) == 0 ? 0 : broken(e);
}

/* What is read back is checked. 0, or -1: damaged. */
static int read_seen(sqlite3_stmt *st, struct fetch_seen *out)
{
    struct span hash = sql_column(st, 4);
    out->fetched_s = (int64_t)sql_column_u64(st, 0);
    out->size = sql_column_u64(st, 1);
    out->offset = sql_column_u64(st, 2);
    out->is_pending = sql_column_u64(st, 5) != 0;
    if (hash.n != sizeof out->hash ||
        span_copy(out->name, sizeof out->name, sql_column(st, 3)) < 0 ||
        strchr(out->name, '/') != NULL)
        return -1;
    memcpy(out->hash, hash.p, hash.n);
    return 0;
}

int fetch_state_find(struct fetch_state *s, const char *account, const char *uidl, bool *is_there,
                     struct fetch_seen *out, struct error *e)
{
    sqlite3_stmt *st = begin(s, FIND, account, uidl);
    int rc = sql_step(st);
    *is_there = rc == 1;
    if (rc == 1 && read_seen(st, out) < 0)
        rc = -1;
    sql_reset(st);
    return rc >= 0 ? 0 : broken(e);
}

int fetch_state_add(struct fetch_state *s, const char *account, const char *uidl,
                    const struct fetch_seen *seen, struct error *e)
{
    sqlite3_stmt *st = begin(s, ADD, account, uidl);
    sql_bind_i64(st, 3, seen->fetched_s);
    sql_bind_u64(st, 4, seen->size);
    sql_bind_u64(st, 5, seen->offset);
    sql_bind_text(st, 6, span_of(seen->name));
    sql_bind_blob(st, 7, (struct span){(const char *)seen->hash, sizeof seen->hash});
    sql_bind_u64(st, 8, seen->is_pending);
    return run(st, e);
}

int fetch_state_settle(struct fetch_state *s, const char *account, struct error *e)
{
    return run(begin(s, SETTLE, account, NULL), e);
}

int fetch_state_settle_one(struct fetch_state *s, const char *account, const char *uidl,
                           struct error *e)
{
    return run(begin(s, SETTLE_ONE, account, uidl), e);
}

int fetch_state_forget(struct fetch_state *s, const char *account, const char *uidl,
                       struct error *e)
{
    return run(begin(s, FORGET, account, uidl), e);
}

int fetch_state_pending(struct fetch_state *s, const char *account, char uidl[FETCH_NAME_MAX],
                        struct fetch_seen *out, bool *is_there, struct error *e)
{
    sqlite3_stmt *st = begin(s, PENDING, account, NULL);
    int rc = sql_step(st);
    *is_there = rc == 1;
    if (rc == 1 &&
        (read_seen(st, out) < 0 || span_copy(uidl, FETCH_NAME_MAX, sql_column(st, 6)) < 0))
        rc = -1;
    sql_reset(st);
    return rc >= 0 ? 0 : broken(e);
}

int fetch_state_listed(struct fetch_state *s, const char *account, const char *uidl,
                       struct error *e)
{
    if (!s->is_in_transaction && sql_exec(s->db, "BEGIN IMMEDIATE") < 0)
        return broken(e);
    s->is_in_transaction = true;
    sqlite3_stmt *st = begin(s, LISTED, account, uidl);
    sql_bind_i64(st, 3, clock_wall_s());
    return run(st, e);
}

int fetch_state_prune(struct fetch_state *s, const char *account, struct error *e)
{
    sqlite3_stmt *st = begin(s, PRUNE, account, NULL);
    sql_bind_i64(st, 2, clock_wall_s() - FORGET_AFTER_S);
    int rc = run(st, e);
    if (s->is_in_transaction && sql_exec(s->db, "COMMIT") < 0)
        rc = broken(e);
    s->is_in_transaction = false;
    return rc;
}
