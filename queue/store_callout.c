/* Statements about what hosts said about recipients. What they promise is in store.h. */
#include "queue/statements.h"

static bool is_word(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    return s.n > 0 && s.n < ADDRESS_MAX;
}

/* verdict, learned, expires and host, from this column on. */
static enum found take(sqlite3_stmt *st, int at, struct callout_row *c)
{
    int64_t verdict = sqlite3_column_int64(st, at);
    c->learned = sqlite3_column_int64(st, at + 1);
    c->expires = sqlite3_column_int64(st, at + 2);
    c->host = sqlite3_column_int64(st, at + 3);
    c->exists = verdict == 1;
    bool is_sane = (verdict == 1 || verdict == 2) && c->learned >= 0 && c->expires >= c->learned &&
                   c->host > 0;
    return is_sane && is_word(c->address) ? FOUND_YES : FOUND_DAMAGED;
}

enum found store_callout_get(struct store *s, struct callout_row *c)
{
    sqlite3_stmt *st = s->s[S_CALLOUT_GET];
    sql_bind_text(st, 1, c->address);
    int rc = statement_step(s, S_CALLOUT_GET);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    enum found f = take(st, 0, c);
    sql_reset(st);
    return f;
}

int store_callout_set(struct store *s, const struct callout_row *c)
{
    sqlite3_stmt *st = s->s[S_CALLOUT_SET];
    sql_bind_text(st, 1, c->address);
    sql_bind_i64(st, 2, c->exists ? 1 : 2);
    sql_bind_i64(st, 3, c->learned);
    sql_bind_i64(st, 4, c->expires);
    sql_bind_i64(st, 5, c->host);
    return statement_run(s, S_CALLOUT_SET);
}

/* How many rows went. */
static int64_t run_deletion(struct store *s, enum statement which)
{
    return statement_run(s, which) < 0 ? -1 : sqlite3_changes64(s->db);
}

int64_t store_callout_forget(struct store *s, struct span what)
{
    bool is_domain = span_starts(what, SPAN("@"));
    enum statement which = is_domain ? S_CALLOUT_FORGET_OF : S_CALLOUT_FORGET;
    sql_bind_text(s->s[which], 1, what);
    return run_deletion(s, which);
}

void store_callouts_begin(struct store *s, uint64_t after, struct span domain)
{
    sqlite3_stmt *st = s->s[S_CALLOUT_LIST];
    sql_reset(st);
    sql_bind_u64(st, 1, after);
    sql_bind_text(st, 2, domain);
}

enum found store_callouts_next(struct store *s, struct callout_row *c)
{
    sqlite3_stmt *st = s->s[S_CALLOUT_LIST];
    int rc = statement_step(s, S_CALLOUT_LIST);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    c->id = sql_column_u64(st, 0);
    c->address = sql_column(st, 1);
    return take(st, 2, c);
}

void store_callouts_end(struct store *s)
{
    sql_reset(s->s[S_CALLOUT_LIST]);
}

int64_t store_callouts_sweep(struct store *s, int64_t now_s)
{
    sql_bind_i64(s->s[S_CALLOUT_SWEEP], 1, now_s);
    return run_deletion(s, S_CALLOUT_SWEEP);
}

int64_t store_callouts_trim(struct store *s, uint64_t n)
{
    sql_bind_u64(s->s[S_CALLOUT_TRIM_NOBODY], 1, n);
    int64_t gone = run_deletion(s, S_CALLOUT_TRIM_NOBODY);
    if (gone < 0 || (uint64_t)gone >= n)
        return gone;
    sql_bind_u64(s->s[S_CALLOUT_TRIM_HOST], 1, n - (uint64_t)gone);
    int64_t more = run_deletion(s, S_CALLOUT_TRIM_HOST);
    return more < 0 ? -1 : gone + more;
}

enum found store_callouts_count(struct store *s, uint64_t *n)
{
    return statement_number(s, S_CALLOUT_COUNT, n);
}
