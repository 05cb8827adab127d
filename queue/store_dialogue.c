/* Statements about what was said in attempts. What they promise is in store.h. */
#include "queue/statements.h"

static struct span at_most(struct span s, size_t max)
{
    return (struct span){s.p, s.n < max ? s.n : max};
}

/* What the last dialogue has as its upto is asked once, as nobody else writes any. */
static int learn_upto(struct store *s)
{
    if (s->knows_upto)
        return 0;
    enum found f = statement_number(s, S_DIALOGUE_UPTO, &s->dialogue_upto);
    if (f == FOUND_FAULT)
        return -1;
    if (f != FOUND_YES || s->dialogue_upto > INT64_MAX / 2) /* nobody ever said so much */
        s->dialogue_upto = 0;
    s->knows_upto = true;
    return 0;
}

int store_dialogue_add(struct store *s, const struct dialogue *d, uint64_t *id)
{
    sqlite3_stmt *st = s->s[S_DIALOGUE_ADD];
    struct span text = at_most(d->text, DIALOGUE_MAX);
    if (learn_upto(s) < 0)
        return -1;
    sql_bind_u64(st, 1, d->message);
    sql_bind_i64(st, 2, d->began_ms);
    sql_bind_i64(st, 3, d->at);
    sql_bind_text(st, 4, at_most(d->remote, REMOTE_MAX));
    sql_bind_text(st, 5, at_most(d->tls, PROTECTION_MAX));
    sql_bind_text(st, 6, text);
    sql_bind_u64(st, 7, s->dialogue_upto + text.n);
    if (statement_run(s, S_DIALOGUE_ADD) < 0)
        return -1;
    s->dialogue_upto += text.n;
    *id = (uint64_t)sqlite3_last_insert_rowid(s->db);
    return 0;
}

static enum found take(struct store *s, enum statement which, struct dialogue *d)
{
    sqlite3_stmt *st = s->s[which];
    int rc = statement_step(s, which);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *d = (struct dialogue){.id = sql_column_u64(st, 0),
                           .began_ms = (int64_t)sql_column_u64(st, 1),
                           .at = (int64_t)sql_column_u64(st, 2),
                           .remote = at_most(sql_column(st, 3), REMOTE_MAX),
                           .tls = at_most(sql_column(st, 4), PROTECTION_MAX),
                           .text = at_most(sql_column(st, 5), DIALOGUE_MAX)};
    return FOUND_YES;
}

enum found store_dialogue_get(struct store *s, uint64_t id, uint64_t message, struct dialogue *d)
{
    sql_reset(s->s[S_DIALOGUE_GET]);
    sql_bind_u64(s->s[S_DIALOGUE_GET], 1, id);
    sql_bind_u64(s->s[S_DIALOGUE_GET], 2, message);
    return take(s, S_DIALOGUE_GET, d);
}

void store_dialogue_end(struct store *s)
{
    sql_reset(s->s[S_DIALOGUE_GET]);
}

void store_dialogues_begin(struct store *s, uint64_t message)
{
    sql_reset(s->s[S_DIALOGUES_OF]);
    sql_bind_u64(s->s[S_DIALOGUES_OF], 1, message);
}

enum found store_dialogues_next(struct store *s, struct dialogue *d)
{
    return take(s, S_DIALOGUES_OF, d);
}

int store_dialogues_trim(struct store *s, uint64_t message, uint64_t n)
{
    sql_bind_u64(s->s[S_DIALOGUES_TRIM], 1, message);
    sql_bind_u64(s->s[S_DIALOGUES_TRIM], 2, n);
    return statement_run(s, S_DIALOGUES_TRIM);
}

int store_dialogues_sweep(struct store *s, int64_t before_s, uint64_t n_max)
{
    sql_bind_i64(s->s[S_DIALOGUES_SWEEP], 1, before_s);
    sql_bind_u64(s->s[S_DIALOGUES_SWEEP], 2, n_max);
    return statement_run(s, S_DIALOGUES_SWEEP);
}
