/* A copy of an open store as a file without a name, for a backup: made in short steps by the owner
 * of the store between its transactions, so that it goes on writing meanwhile. The copy is the
 * store as it is at the end of the last step, all of it: what is written in between goes into both.
 */
#ifndef BARID_SQL_COPY_H
#define BARID_SQL_COPY_H

#include "common/error.h"

#include <sqlite3.h>
#include <stdint.h>

struct sql_copy;

/* Into the file `path`, in the place of one that a crash left there. NULL and e. */
struct sql_copy *sql_copy_begin(sqlite3 *db, const char *path, struct error *e);
/* Copies for about so long; not within a transaction of the store. 1: there is more to do; 0: done;
 * -1: failed, and e. */
int sql_copy_step(struct sql_copy *c, int64_t max_ms, struct error *e);
/* After the last step: a descriptor to read it; its name is gone. -1 and e. Frees c in any case. */
int sql_copy_finish(struct sql_copy *c, struct error *e);
/* Gives up; to be called before the store is closed. NULL is allowed. */
void sql_copy_free(struct sql_copy *c);
/* Removes what a crash left of one. */
void sql_copy_clear(const char *path);

#endif
