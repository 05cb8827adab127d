/* Statements about deleted mail. What they promise is in store.h. */
#include "queue/statements.h"

static void bind_place(struct store *s, enum statement which, uint64_t box, uint64_t seq)
{
    sql_bind_u64(s->s[which], 1, box);
    sql_bind_u64(s->s[which], 2, seq);
}

int store_trash_add(struct store *s, uint64_t box, uint64_t seq, int64_t at)
{
    bind_place(s, S_TRASH_ADD, box, seq);
    sql_bind_i64(s->s[S_TRASH_ADD], 3, at);
    return statement_run(s, S_TRASH_ADD);
}

/* Takes the row out. */
static enum found take_out(struct store *s, uint64_t box, uint64_t seq, uint64_t *message,
                           uint64_t *octets)
{
    bind_place(s, S_TRASH_REMOVE, box, seq);
    int rc = statement_step(s, S_TRASH_REMOVE);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *message = sql_column_u64(s->s[S_TRASH_REMOVE], 0);
    *octets = sql_column_u64(s->s[S_TRASH_REMOVE], 1);
    sql_reset(s->s[S_TRASH_REMOVE]);
    return FOUND_YES;
}

enum found store_trash_remove(struct store *s, uint64_t box, uint64_t seq, uint64_t *message)
{
    uint64_t octets;
    enum found f = take_out(s, box, seq, message, &octets);
    if (f != FOUND_YES)
        return f;
    bind_place(s, S_BOX_TRASH_SUBTRACT, box, octets);
    return statement_run(s, S_BOX_TRASH_SUBTRACT) < 0 ? FOUND_FAULT : FOUND_YES;
}

enum found store_trash_oldest(struct store *s, int64_t until, uint64_t *box, uint64_t *seq)
{
    sqlite3_stmt *st = s->s[S_TRASH_OLDEST];
    sql_bind_i64(st, 1, until);
    int rc = statement_step(s, S_TRASH_OLDEST);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *box = sql_column_u64(st, 0);
    *seq = sql_column_u64(st, 1);
    sql_reset(st);
    return FOUND_YES;
}

enum found store_trash_next(struct store *s, uint64_t box, uint64_t after, int64_t since,
                            uint64_t *seq)
{
    bind_place(s, S_TRASH_NEXT, box, after);
    sql_bind_i64(s->s[S_TRASH_NEXT], 3, since);
    return statement_number(s, S_TRASH_NEXT, seq);
}

enum found store_trash_back(struct store *s, uint64_t box, uint64_t seq, uint64_t *message,
                            uint64_t *octets)
{
    bind_place(s, S_TRASH_BACK, box, seq);
    if (statement_run(s, S_TRASH_BACK) < 0)
        return FOUND_FAULT;
    return take_out(s, box, seq, message, octets);
}

int store_box_untrash(struct store *s, uint64_t box, uint64_t messages, uint64_t octets)
{
    bind_place(s, S_BOX_UNTRASH, box, messages);
    sql_bind_u64(s->s[S_BOX_UNTRASH], 3, octets);
    return statement_run(s, S_BOX_UNTRASH);
}

enum found store_box_trash(struct store *s, uint64_t box, uint64_t *octets)
{
    *octets = 0;
    sql_bind_u64(s->s[S_BOX_TRASH], 1, box);
    return statement_number(s, S_BOX_TRASH, octets);
}

int store_trash_hasten(struct store *s, uint64_t box)
{
    sql_bind_u64(s->s[S_TRASH_HASTEN], 1, box);
    return statement_run(s, S_TRASH_HASTEN);
}

int store_removal_add(struct store *s, const struct removal *r)
{
    sqlite3_stmt *st = s->s[S_REMOVAL_ADD];
    sql_bind_u64(st, 1, r->box);
    sql_bind_i64(st, 2, r->at);
    sql_bind_blob(st, 3, r->sequences);
    sql_bind_u64(st, 4, r->device);
    return statement_run(s, S_REMOVAL_ADD);
}

enum found store_removal_next(struct store *s, struct removal *r)
{
    sqlite3_stmt *st = s->s[S_REMOVAL_NEXT];
    int rc = statement_step(s, S_REMOVAL_NEXT);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *r = (struct removal){.id = sql_column_u64(st, 0),
                          .box = sql_column_u64(st, 1),
                          .at = (int64_t)sql_column_u64(st, 2),
                          .sequences = sql_column(st, 3),
                          .device = sql_column_u64(st, 4)};
    return FOUND_YES;
}

void store_removal_end(struct store *s)
{
    sql_reset(s->s[S_REMOVAL_NEXT]);
}

int store_removal_done(struct store *s, uint64_t id)
{
    sql_bind_u64(s->s[S_REMOVAL_DONE], 1, id);
    return statement_run(s, S_REMOVAL_DONE);
}
