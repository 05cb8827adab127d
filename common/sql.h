/* SQLite with the settings of the house: WAL, synchronous=FULL, STRICT schema, no extension,
 * nothing in the database is ever executed. Statements are constants with bound values. Only files
 * that hold all SQL of a store include this. One thread.
 *
 * Owner and readers. One process, the owner, opens a store read-write: it alone writes, recovers
 * and checkpoints. Others open it read-only, while the owner writes, without waiting for it:
 *   - The owner makes FILE, FILE-wal and FILE-shm with mode 0640 and never removes the last two, so
 * a reader needs nothing but membership of the group and x on the directory; it cannot write, not
 *     even to -shm, so a reader that was taken over cannot mislead the owner. (What it could do is
 * hold read locks and so stop the owner: a process that reads a store is trusted that far.)
 *   - A reader never checkpoints. Before the owner's first start is complete a reader gets "could
 * not" (SQL_FAULT_BUSY in statements): try later. While the owner is down readers see what was
 * committed.
 *   - A reader keeps its transactions short, since a checkpoint cannot pass it.
 * Paths should be relative to the working directory: a symbolic link anywhere in one is refused.
 *
 * Unclean stop: sql_close of the owner empties FILE-wal. If it is not empty when the owner opens
 * the store, the owner before it did not close it, and a quick_check runs first: for at most
 * SQL_CHECK_MAX_MS, then the log says that it was cut short (a store of many GB must come back
 * too). */
#ifndef BARID_SQL_H
#define BARID_SQL_H

#include "common/error.h"
#include "common/str.h"

#include <sqlite3.h>

#define SQL_VALUE_MAX    (8U << 20) /* octets of a value, and of a row */
#define SQL_CHECK_MAX_MS 20000

struct sql_spec {
    const char *path;
    int application_id; /* tells users.db from mail.db, and both from other people's files */
    /* migrations[i] takes a database of version i to i+1, in one transaction each; the number of
     * them is our version. A new database begins with the first that is there; one that would need
     * a NULL one, or is of a newer version, is refused. */
    const char *const *migrations;
    int version;
    bool is_readonly; /* no migration; a database that is not of our version yet is "could not" */
};

/* NULL and e. */
sqlite3 *sql_open(const struct sql_spec *spec, struct error *e);
/* What goes wrong is not logged from now on (or is again), as in sql_open: who opens a store is
 * told why he cannot, and says it, once. Returns how it was. */
bool sql_quiet(bool is_wanted);
void sql_close(sqlite3 *db); /* NULL is allowed; all statements must be finalized */
/* What fails is said once (common/trouble.h). The owner tells here that a transaction was
 * committed: then it is over. */
void sql_saved(sqlite3 *db);
/* Statements that are run once or need no values: BEGIN IMMEDIATE, COMMIT, ROLLBACK. 0, or -1. */
int sql_exec(sqlite3 *db, const char *constant_sql);

/* A statement that is kept. NULL and e (a mistake of ours, or a damaged schema). */
sqlite3_stmt *sql_prepare(sqlite3 *db, const char *constant_sql, struct error *e);
void sql_bind_text(sqlite3_stmt *s, int at, struct span v); /* kept by reference: until sql_reset */
void sql_bind_blob(sqlite3_stmt *s, int at, struct span v);
/* A value that cannot be bound (over SQL_VALUE_MAX, over INT64_MAX) makes the next step fail. */
void sql_bind_u64(sqlite3_stmt *s, int at, uint64_t v);
void sql_bind_i64(sqlite3_stmt *s, int at, int64_t v);
void sql_bind_null(sqlite3_stmt *s, int at);
struct span sql_column(sqlite3_stmt *s, int at);  /* text or blob, gone at the next step or reset */
uint64_t sql_column_u64(sqlite3_stmt *s, int at); /* 0 for negative numbers */
/* 1: a row; 0: done (and reset); -1: failed (and reset), see sql_fault. */
int sql_step(sqlite3_stmt *s);
/* For statements without rows: 0 or -1. Bindings are cleared in any case. */
int sql_run(sqlite3_stmt *s);
void sql_reset(sqlite3_stmt *s);

/* The first column of each row of a statement of checks; "ok" is left out. 0, or -1: it could not
 * be read. */
int sql_each_text(sqlite3 *db, const char *constant_sql, span_fn *fn, void *arg);

/* Does this line of PRAGMA integrity_check tell of an index, which REINDEX makes anew? */
bool sql_is_about_index(struct span line);

enum sql_fault {
    SQL_FAULT_NONE,
    SQL_FAULT_FULL,    /* no room: recovers by itself */
    SQL_FAULT_BUSY,    /* somebody else holds it */
    SQL_FAULT_IO,      /* stop, close, recover */
    SQL_FAULT_DAMAGED, /* the same; a person must look */
    SQL_FAULT_OTHER,
};
enum sql_fault sql_fault(sqlite3 *db); /* of the last failure */

#endif
