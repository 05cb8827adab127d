/* Statements about who is contained (contain.h). What they promise is in store.h. */
#include "queue/statements.h"

int store_contained_add(struct store *s, const struct containment *c)
{
    sqlite3_stmt *st = s->s[S_CONTAINED_ADD];
    sql_bind_text(st, 1, c->who);
    sql_bind_i64(st, 2, c->since);
    sql_bind_text(st, 3, c->why);
    return statement_run(s, S_CONTAINED_ADD);
}

static enum found take(struct store *s, enum statement which, struct containment *c)
{
    sqlite3_stmt *st = s->s[which];
    int rc = statement_step(s, which);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *c = (struct containment){.who = sql_column(st, 0),
                              .since = (int64_t)sql_column_u64(st, 1),
                              .why = sql_column(st, 2)};
    return FOUND_YES;
}

enum found store_contained_get(struct store *s, struct span who, struct containment *c)
{
    sql_bind_text(s->s[S_CONTAINED_GET], 1, who);
    return take(s, S_CONTAINED_GET, c);
}

enum found store_contained_untold(struct store *s, uint64_t told, struct containment *c)
{
    sql_bind_u64(s->s[S_CONTAINED_UNTOLD], 1, told);
    return take(s, S_CONTAINED_UNTOLD, c);
}

void store_contained_end(struct store *s)
{
    sql_reset(s->s[S_CONTAINED_GET]);
    sql_reset(s->s[S_CONTAINED_UNTOLD]);
}

int store_contained_tell(struct store *s, struct span who, uint64_t told)
{
    sql_bind_text(s->s[S_CONTAINED_TELL], 1, who);
    sql_bind_u64(s->s[S_CONTAINED_TELL], 2, told);
    return statement_run(s, S_CONTAINED_TELL);
}

enum found store_contained_remove(struct store *s, struct span who)
{
    uint64_t since;
    sql_bind_text(s->s[S_CONTAINED_REMOVE], 1, who);
    return statement_number(s, S_CONTAINED_REMOVE, &since);
}

enum found store_contained_unswept(struct store *s, char who[ADDRESS_MAX + 1], uint64_t *at)
{
    sqlite3_stmt *st = s->s[S_CONTAINED_UNSWEPT];
    int rc = statement_step(s, S_CONTAINED_UNSWEPT);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    bool fits = span_copy(who, ADDRESS_MAX + 1, sql_column(st, 0)) == 0;
    *at = sql_column_u64(st, 1);
    sql_reset(st);
    return fits ? FOUND_YES : FOUND_DAMAGED;
}

int store_contained_swept(struct store *s, struct span who, uint64_t at)
{
    sql_bind_text(s->s[S_CONTAINED_SWEPT], 1, who);
    sql_bind_u64(s->s[S_CONTAINED_SWEPT], 2, at);
    return statement_run(s, S_CONTAINED_SWEPT);
}

enum found store_held_of(struct store *s, struct span who, uint64_t *n)
{
    sql_bind_text(s->s[S_HELD_OF], 1, who);
    return statement_number(s, S_HELD_OF, n);
}

void store_contained_list(struct store *s, uint64_t skip, uint64_t max)
{
    sqlite3_stmt *st = s->s[S_CONTAINED_LIST];
    sql_bind_u64(st, 1, skip);
    sql_bind_u64(st, 2, max);
}

enum found store_contained_next(struct store *s, struct containment *c, uint64_t *held)
{
    enum found f = take(s, S_CONTAINED_LIST, c);
    if (f == FOUND_YES)
        *held = sql_column_u64(s->s[S_CONTAINED_LIST], 3);
    return f;
}

/* --- counts --- */

enum found store_counted_get(struct store *s, struct counted_row *r)
{
    sqlite3_stmt *st = s->s[S_COUNTED_GET];
    sql_bind_text(st, 1, r->who);
    sql_bind_u64(st, 2, r->what);
    int rc = statement_step(s, S_COUNTED_GET);
    if (rc > 0) {
        r->n = sql_column_u64(st, 0);
        r->until = (int64_t)sql_column_u64(st, 1);
        sql_reset(st);
    }
    return rc < 0 ? FOUND_FAULT : rc > 0 ? FOUND_YES : FOUND_NONE;
}

static void bind_counted(sqlite3_stmt *st, const struct counted_row *r)
{
    sql_bind_text(st, 1, r->who);
    sql_bind_u64(st, 2, r->what);
    sql_bind_u64(st, 3, r->n);
    sql_bind_i64(st, 4, r->until);
}

/* While its time lasts only the number changes, and not the index of times. */
int store_counted_set(struct store *s, const struct counted_row *r)
{
    bind_counted(s->s[S_COUNTED_MORE], r);
    if (statement_run(s, S_COUNTED_MORE) < 0)
        return -1;
    if (sqlite3_changes(s->db) > 0)
        return 0;
    bind_counted(s->s[S_COUNTED_SET], r);
    return statement_run(s, S_COUNTED_SET);
}

int store_counted_forget(struct store *s, struct span who)
{
    sql_bind_text(s->s[S_COUNTED_FORGET], 1, who);
    return statement_run(s, S_COUNTED_FORGET);
}

int store_counted_sweep(struct store *s, int64_t before_s)
{
    sql_bind_i64(s->s[S_COUNTED_SWEEP], 1, before_s);
    return statement_run(s, S_COUNTED_SWEEP);
}

/* --- who was written to --- */

enum found store_addressee_get(struct store *s, struct addressee *a)
{
    sqlite3_stmt *st = s->s[S_ADDRESSEE_GET];
    uint64_t at;
    sql_bind_i64(st, 1, a->user);
    sql_bind_i64(st, 2, a->address);
    enum found f = statement_number(s, S_ADDRESSEE_GET, &at);
    if (f == FOUND_YES)
        a->at = (int64_t)at;
    return f;
}

int store_addressee_set(struct store *s, const struct addressee *a)
{
    sqlite3_stmt *st = s->s[S_ADDRESSEE_SET];
    sql_bind_i64(st, 1, a->user);
    sql_bind_i64(st, 2, a->address);
    sql_bind_i64(st, 3, a->at);
    return statement_run(s, S_ADDRESSEE_SET);
}

int store_addressees_forget(struct store *s, int64_t user)
{
    sql_bind_i64(s->s[S_ADDRESSEES_FORGET], 1, user);
    return statement_run(s, S_ADDRESSEES_FORGET);
}

int store_addressees_sweep(struct store *s, int64_t before_s, int64_t n_max)
{
    sql_bind_i64(s->s[S_ADDRESSEES_SWEEP], 1, before_s);
    sql_bind_i64(s->s[S_ADDRESSEES_TRIM], 1, n_max);
    return statement_run(s, S_ADDRESSEES_SWEEP) < 0 ? -1 : statement_run(s, S_ADDRESSEES_TRIM);
}
