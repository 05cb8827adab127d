/* The health of users.db: what `barid fsck` asks about it, and what is done for it now and then.
 * What it promises is in users.h. */
#include "authd/statements.h"
#include "authd/users.h"
#include "common/sql_tidy.h"

int users_check(struct users *u, span_fn *fn, void *arg)
{
    bool is_read =
        sql_each_text(u->db, "PRAGMA integrity_check", fn, arg) == 0 &&
        sql_each_text(u->db,
                      "SELECT 'a row of ' || \"table\" || ' belongs to one of ' || parent ||"
                      " ' that is not there' FROM pragma_foreign_key_check",
                      fn, arg) == 0;
    return is_read ? 0 : users_failed(u);
}

int users_reindex(struct users *u)
{
    return sql_exec(u->db, "REINDEX") == 0 ? 0 : users_failed(u);
}

#define STEPS 20

static int give_back(struct users *u)
{
    int rc = sql_exec(u->db, "BEGIN IMMEDIATE") == 0 ? 1 : users_failed(u);
    if (rc < 0)
        return rc;
    for (int i = 0; i < STEPS && rc == 1; i++)
        rc = sql_tidy_step(u->db);
    if (rc < 0)
        users_failed(u);
    return users_end(u, rc < 0 ? -1 : 0);
}

int users_tidy(struct users *u)
{
    if (sql_tidy_has_room(u->db) && give_back(u) < 0)
        return -1;
    sql_tidy_end(u->db);
    return sql_tidy_statistics(u->db) < 0 ? users_failed(u) : 0;
}
