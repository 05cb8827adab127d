/* Statements that set right what `barid fsck` found. What they promise is in store.h. */
#include "queue/statements.h"

#define SCANNED_FLAGS (CONTENT_8BIT | CONTENT_DOTS | CONTENT_LONGLINE | CONTENT_HEADER8)

int store_fix_facts(struct store *s, uint64_t id, const struct content_scan *scan)
{
    sqlite3_stmt *st = s->s[S_FIX_FACTS];
    sql_bind_u64(st, 1, id);
    sql_bind_u64(st, 2, scan->header);
    sql_bind_u64(st, 3, UINT8_MAX & ~SCANNED_FLAGS);
    sql_bind_u64(st, 4, scan->flags);
    return statement_run(s, S_FIX_FACTS);
}

static int run_for(struct store *s, enum statement which, uint64_t key)
{
    sql_bind_u64(s->s[which], 1, key);
    return statement_run(s, which);
}

static int fix_octets(struct store *s, enum statement which, uint64_t box)
{
    sql_bind_u64(s->s[which], 2, maildb_prefix_octets(SPAN(""), 0));
    sql_bind_u64(s->s[which], 3, CONTENT_BARE);
    return run_for(s, which, box);
}

int store_fix_box(struct store *s, uint64_t box)
{
    bool is_done = run_for(s, S_BOX_MAKE, box) == 0 && run_for(s, S_FIX_DROPPED, box) == 0 &&
                   fix_octets(s, S_FIX_ENTRY_OCTETS, box) == 0 &&
                   fix_octets(s, S_FIX_TRASH_OCTETS, box) == 0 &&
                   run_for(s, S_FIX_ENTRY_UIDL, box) == 0 &&
                   run_for(s, S_FIX_TRASH_UIDL, box) == 0 && run_for(s, S_FIX_UIDLS, box) == 0 &&
                   run_for(s, S_FIX_COUNTS, box) == 0;
    return is_done ? 0 : -1;
}

int store_fix_indexes(struct store *s)
{
    return sql_exec(s->db, "REINDEX");
}

int store_fix_removals(struct store *s)
{
    return run_for(s, S_FIX_REMOVALS, MAILDB_REMOVAL_OCTETS);
}

int store_fix_orphans(struct store *s)
{
    return statement_run(s, S_FIX_HOLDS) == 0 ? statement_run(s, S_FIX_TLSAS) : -1;
}

int store_fix_rcpts(struct store *s, uint64_t message)
{
    return run_for(s, S_FIX_RCPTS, message);
}

int store_fix_message(struct store *s, uint64_t id)
{
    return run_for(s, S_FIX_MESSAGE, id);
}

/* The row of a statement: the other of message and box, the number, whether it is deleted. */
static enum found take_place(struct store *s, enum statement which, uint64_t *other,
                             struct place *p)
{
    sqlite3_stmt *st = s->s[which];
    int rc = statement_step(s, which);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *other = sql_column_u64(st, 0);
    p->seq = sql_column_u64(st, 1);
    p->is_deleted = sql_column_u64(st, 2) != 0;
    sql_reset(st);
    return FOUND_YES;
}

enum found store_place_of(struct store *s, uint64_t message, struct place *p)
{
    *p = (struct place){.message = message};
    sql_bind_u64(s->s[S_FIX_PLACE], 1, message);
    return take_place(s, S_FIX_PLACE, &p->box, p);
}

enum found store_place_in(struct store *s, uint64_t box, struct place *p)
{
    *p = (struct place){.box = box};
    sql_bind_u64(s->s[S_FIX_IN_BOX], 1, box);
    return take_place(s, S_FIX_IN_BOX, &p->message, p);
}

enum found store_place_lost(struct store *s, uint64_t box, struct place *p)
{
    *p = (struct place){.box = box};
    sql_bind_u64(s->s[S_FIX_LOST], 1, box);
    return take_place(s, S_FIX_LOST, &p->message, p);
}

int store_place_remove(struct store *s, const struct place *p)
{
    struct store_removed r = {.messages = 1};
    uint64_t message;
    if (p->is_deleted)
        return store_trash_remove(s, p->box, p->seq, &message) == FOUND_YES ? 0 : -1;
    if (store_entry_remove(s, p->box, p->seq, &message, &r.octets) != FOUND_YES)
        return -1;
    return store_box_subtract(s, p->box, &r);
}
