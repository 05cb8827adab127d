/* What tells users.db from other files: for authd, which owns it, and for `barid check`, which only
 * looks at its header. The schema is in authd/users.c. */
#ifndef BARID_USERDB_H
#define BARID_USERDB_H

#define USERDB_APPLICATION_ID 0x62617255 /* "barU" */
#define USERDB_VERSION        5
#define USERDB_OLDEST         1 /* that is taken to ours step by step */

#endif
