/* What the owner of a store does for it when nobody waits: gives space that became free back to the
 * disk, and lets SQLite look at its statistics. Not while the store is copied (sql_copy.h). */
#ifndef BARID_SQL_TIDY_H
#define BARID_SQL_TIDY_H

#include "common/sql.h"

#define SQL_TIDY_PAGES 100 /* given back in one step: a millisecond or two, and its commit */

/* Is so much of the file free that some of it should go? A part stays, for what comes next. */
bool sql_tidy_has_room(sqlite3 *db);
/* One step, in the caller's transaction. 1: there is more to give back; 0: that was all; -1. */
int sql_tidy_step(sqlite3 *db);
/* After the last step: the file gets shorter when its log was written into it. Outside of a
 * transaction. */
void sql_tidy_end(sqlite3 *db);
/* Bounded, whatever the size of the store. 0, or -1. */
int sql_tidy_statistics(sqlite3 *db);

#endif
