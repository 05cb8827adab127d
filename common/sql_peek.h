/* The header of a database file, read without SQLite: for who must not open a store that belongs to
 * another process. https://www.sqlite.org/fileformat.html 1.3 */
#ifndef BARID_SQL_PEEK_H
#define BARID_SQL_PEEK_H

#include "common/error.h"

/* What the header of a database file says, without opening it as one; both 0 for an empty file. 0;
 * -1 and e: no such file or not a database. Not for a store that this process has open (closing the
 * file would drop its locks). */
int sql_peek(const char *path, int *application_id, int *version, struct error *e);

#endif
