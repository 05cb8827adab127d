/* The views of `barid sql`: names and columns are a promise (doc/SQL.md), the tables behind them
 * are not. They are temporary views of our connection, so that nothing in mail.db is executed, and
 * what may be read is decided by an authorizer column by column: never content, hashes or keys of
 * what was imported. Passwords are in another database, which is not opened. */
#ifndef BARID_SQL_VIEWS_H
#define BARID_SQL_VIEWS_H

#include "common/error.h"

#include <sqlite3.h>

struct sql_view {
    const char *name, *meaning;
    const char *create; /* statement */
    const char *probe;  /* a query that names its columns */
};
/* NULL-named at the end. */
extern const struct sql_view sql_views[];

/* Makes the views, and a table `account` (box, address) for the names of mailboxes. 0, or -1 and e.
 */
int sql_views_make(sqlite3 *db, struct error *e);
/* From now on only the views can be read, and nothing else be done. */
void sql_views_guard(sqlite3 *db);

#endif
