/* Statements about mailboxes and what is in them. What they promise is in store.h. */
#include "queue/statements.h"

/* Not one statement with RETURNING: SQLite makes a table in memory for its row, which takes longer
 * than a second look at a page that is in the cache. */
enum found store_box_look(struct store *s, uint64_t box, struct box_state *b)
{
    sqlite3_stmt *st = s->s[S_BOX_LOOK];
    sql_bind_u64(st, 1, box);
    int rc = statement_step(s, S_BOX_LOOK);
    if (rc < 0)
        return FOUND_FAULT;
    bool is_forgotten = rc > 0 && sql_column_u64(st, 2) != 0;
    *b = (struct box_state){.seq = 1};
    if (rc > 0)
        *b = (struct box_state){sql_column_u64(st, 0), sql_column_u64(st, 1), sql_column_u64(st, 3),
                                sql_column_u64(st, 4)};
    sql_reset(st);
    return is_forgotten ? FOUND_NONE : FOUND_YES;
}

int store_box_add(struct store *s, const struct entry *e)
{
    enum statement which = e->seq == 1 ? S_BOX_FIRST : S_BOX_ADD;
    sql_bind_u64(s->s[which], 1, e->box);
    sql_bind_u64(s->s[which], 2, e->octets);
    sql_bind_u64(s->s[which], 3, e->message);
    return statement_run(s, which);
}

int store_box_take_id(struct store *s, uint64_t box, uint64_t id)
{
    sql_bind_u64(s->s[S_BOX_TAKEN], 1, box);
    sql_bind_u64(s->s[S_BOX_TAKEN], 2, id);
    return statement_run(s, S_BOX_TAKEN);
}

enum found store_entry_look(struct store *s, uint64_t message, uint64_t box)
{
    uint64_t one;
    sql_bind_u64(s->s[S_ENTRY_LOOK], 1, message);
    sql_bind_u64(s->s[S_ENTRY_LOOK], 2, box);
    return statement_number(s, S_ENTRY_LOOK, &one);
}

static int add_uidl(struct store *s, uint64_t box, struct span uidl)
{
    sql_bind_u64(s->s[S_UIDL_ADD], 1, box);
    sql_bind_text(s->s[S_UIDL_ADD], 2, uidl);
    return statement_run(s, S_UIDL_ADD);
}

int store_entry_add(struct store *s, const struct entry *e)
{
    if (e->uidl.n > 0 && add_uidl(s, e->box, e->uidl) < 0)
        return -1;
    sqlite3_stmt *st = s->s[S_ENTRY_ADD];
    sql_bind_u64(st, 1, e->box);
    sql_bind_u64(st, 2, e->seq);
    sql_bind_u64(st, 3, e->message);
    sql_bind_u64(st, 4, e->octets);
    if (e->uidl.n > 0)
        sql_bind_text(st, 5, e->uidl);
    return statement_run(s, S_ENTRY_ADD);
}

enum found store_uidl_look(struct store *s, uint64_t box, struct span uidl)
{
    uint64_t one;
    sql_bind_u64(s->s[S_UIDL_LOOK], 1, box);
    sql_bind_text(s->s[S_UIDL_LOOK], 2, uidl);
    return statement_number(s, S_UIDL_LOOK, &one);
}

enum found store_imported_look(struct store *s, uint64_t box, struct span source)
{
    uint64_t one;
    sql_bind_u64(s->s[S_IMPORTED_LOOK], 1, box);
    sql_bind_blob(s->s[S_IMPORTED_LOOK], 2, source);
    return statement_number(s, S_IMPORTED_LOOK, &one);
}

int store_imported_add(struct store *s, uint64_t box, struct span source)
{
    sql_bind_u64(s->s[S_IMPORTED_ADD], 1, box);
    sql_bind_blob(s->s[S_IMPORTED_ADD], 2, source);
    return statement_run(s, S_IMPORTED_ADD);
}

enum found store_entry_remove(struct store *s, uint64_t box, uint64_t seq, uint64_t *message,
                              uint64_t *octets)
{
    sqlite3_stmt *st = s->s[S_ENTRY_REMOVE];
    sql_bind_u64(st, 1, box);
    sql_bind_u64(st, 2, seq);
    int rc = statement_step(s, S_ENTRY_REMOVE);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *message = sql_column_u64(st, 0);
    *octets = sql_column_u64(st, 1);
    sql_reset(st);
    return FOUND_YES;
}

int store_box_subtract(struct store *s, uint64_t box, const struct store_removed *r)
{
    sqlite3_stmt *st = s->s[S_BOX_SUBTRACT];
    sql_bind_u64(st, 1, box);
    sql_bind_u64(st, 2, r->messages);
    sql_bind_u64(st, 3, r->octets);
    sql_bind_u64(st, 4, r->trashed);
    sql_bind_u64(st, 5, r->trashed_octets);
    return statement_run(s, S_BOX_SUBTRACT);
}

int store_box_changed(struct store *s, uint64_t box)
{
    sql_bind_u64(s->s[S_BOX_CHANGED], 1, box);
    return statement_run(s, S_BOX_CHANGED);
}

int store_box_set_retention(struct store *s, uint64_t box, uint64_t seconds)
{
    sql_bind_u64(s->s[S_BOX_RETENTION], 1, box);
    sql_bind_u64(s->s[S_BOX_RETENTION], 2, seconds);
    return statement_run(s, S_BOX_RETENTION);
}

int store_box_set_domain(struct store *s, uint64_t box, uint64_t domain)
{
    sql_bind_u64(s->s[S_BOX_DOMAIN], 1, box);
    sql_bind_u64(s->s[S_BOX_DOMAIN], 2, domain);
    return statement_run(s, S_BOX_DOMAIN);
}

enum found store_keep_get(struct store *s, uint64_t domain, uint64_t *seconds)
{
    sql_bind_u64(s->s[S_KEEP_GET], 1, domain);
    return statement_number(s, S_KEEP_GET, seconds);
}

int store_keep_set(struct store *s, uint64_t domain, uint64_t seconds)
{
    enum statement which = seconds == 0 ? S_KEEP_REMOVE : S_KEEP_SET;
    sql_bind_u64(s->s[which], 1, domain);
    if (seconds > 0)
        sql_bind_u64(s->s[which], 2, seconds);
    return statement_run(s, which);
}

enum found store_keep_any(struct store *s)
{
    uint64_t one;
    return statement_number(s, S_KEEP_ANY, &one);
}

int store_box_forget(struct store *s, uint64_t box)
{
    sql_bind_u64(s->s[S_BOX_FORGET], 1, box);
    sql_bind_u64(s->s[S_DEVICES_FORGET], 1, box);
    return statement_run(s, S_BOX_FORGET) < 0 ? -1 : statement_run(s, S_DEVICES_FORGET);
}

enum found store_box_unswept(struct store *s, uint64_t *box)
{
    return statement_number(s, S_BOX_UNSWEPT, box);
}

enum found store_box_unname(struct store *s, uint64_t box)
{
    static const enum statement tables[] = {S_IMPORTED_FORGET, S_UIDLS_FORGET};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        sql_bind_u64(s->s[tables[i]], 1, box);
        if (statement_run(s, tables[i]) < 0)
            return FOUND_FAULT;
        if (sqlite3_changes(s->db) > 0)
            return FOUND_YES;
    }
    return FOUND_NONE;
}

int store_box_emptied(struct store *s, uint64_t box)
{
    sql_bind_u64(s->s[S_BOX_EMPTIED], 1, box);
    return statement_run(s, S_BOX_EMPTIED);
}

enum found store_entry_first(struct store *s, uint64_t box, uint64_t *seq)
{
    sql_bind_u64(s->s[S_ENTRY_FIRST], 1, box);
    return statement_number(s, S_ENTRY_FIRST, seq);
}

static enum found take_box(struct store *s, enum statement which, struct box *box)
{
    sqlite3_stmt *st = s->s[which];
    int rc = statement_step(s, which);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *box = (struct box){sql_column_u64(st, 0), sql_column_u64(st, 1), sql_column_u64(st, 2),
                        sql_column_u64(st, 3), sql_column_u64(st, 4), sql_column_u64(st, 5),
                        sql_column_u64(st, 6)};
    sql_reset(st);
    return FOUND_YES;
}

enum found store_box_get(struct store *s, uint64_t id, struct box *box)
{
    sql_bind_u64(s->s[S_BOX_GET], 1, id);
    return take_box(s, S_BOX_GET, box);
}

enum found store_box_next(struct store *s, uint64_t after, struct box *box)
{
    sql_bind_u64(s->s[S_BOX_NEXT], 1, after);
    return take_box(s, S_BOX_NEXT, box);
}

enum found store_box_aging(struct store *s, uint64_t after, bool all, struct box *box)
{
    sql_bind_u64(s->s[S_BOX_AGING], 1, after);
    sql_bind_u64(s->s[S_BOX_AGING], 2, all);
    return take_box(s, S_BOX_AGING, box);
}

enum found store_box_oldest(struct store *s, uint64_t id, int64_t *arrived, uint64_t *seq)
{
    sqlite3_stmt *st = s->s[S_BOX_OLDEST];
    sql_bind_u64(st, 1, id);
    int rc = statement_step(s, S_BOX_OLDEST);
    *arrived = 0;
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *arrived = (int64_t)sql_column_u64(st, 0);
    *seq = sql_column_u64(st, 1);
    sql_reset(st);
    return FOUND_YES;
}
