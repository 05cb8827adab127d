/* Statements about domains whose servers had TLS. What they promise is in store.h. */
#include "queue/statements.h"

enum found store_secured_get(struct store *s, struct span domain, struct memory *m)
{
    sqlite3_stmt *st = s->s[S_SECURED_GET];
    sql_bind_text(st, 1, domain);
    int rc = statement_step(s, S_SECURED_GET);
    if (rc > 0)
        *m = (struct memory){.level = (enum secured)sql_column_u64(st, 0),
                             .seen = (int64_t)sql_column_u64(st, 1),
                             .is_told = sql_column_u64(st, 2) != 0};
    sql_reset(st);
    if (rc > 0 && m->level != SECURED_TLS && m->level != SECURED_VERIFIED)
        return FOUND_DAMAGED;
    return rc < 0 ? FOUND_FAULT : rc > 0 ? FOUND_YES : FOUND_NONE;
}

int store_secured_set(struct store *s, struct span domain, const struct memory *m)
{
    sqlite3_stmt *st = s->s[S_SECURED_SET];
    sql_bind_text(st, 1, domain);
    sql_bind_i64(st, 2, m->level);
    sql_bind_i64(st, 3, m->seen);
    sql_bind_i64(st, 4, m->is_told);
    return statement_run(s, S_SECURED_SET);
}

int store_secured_sweep(struct store *s, int64_t before_s, int64_t n_max)
{
    sql_bind_i64(s->s[S_SECURED_SWEEP], 1, before_s);
    sql_bind_i64(s->s[S_SECURED_TRIM], 1, n_max);
    return statement_run(s, S_SECURED_SWEEP) < 0 || statement_run(s, S_SECURED_TRIM) < 0 ? -1 : 0;
}
