/* Statements about devices. What they promise is in store.h. */
#include "queue/statements.h"

static void bind_two(struct store *s, enum statement which, uint64_t a, uint64_t b)
{
    sql_bind_u64(s->s[which], 1, a);
    sql_bind_u64(s->s[which], 2, b);
}

enum found store_device_look(struct store *s, uint64_t box, uint64_t device)
{
    uint64_t one;
    bind_two(s, S_DEVICE_LOOK, device, box);
    return statement_number(s, S_DEVICE_LOOK, &one);
}

enum found store_device_next(struct store *s, uint64_t box, uint64_t after, uint64_t *device,
                             char name[DEVICE_NAME_MAX + 1])
{
    sqlite3_stmt *st = s->s[S_DEVICE_NEXT];
    bind_two(s, S_DEVICE_NEXT, box, after);
    int rc = statement_step(s, S_DEVICE_NEXT);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *device = sql_column_u64(st, 0);
    rc = span_copy(name, DEVICE_NAME_MAX + 1, sql_column(st, 1));
    sql_reset(st);
    return rc == 0 ? FOUND_YES : FOUND_FAULT;
}

int store_device_add(struct store *s, const struct device *d)
{
    bind_two(s, S_DEVICE_ADD, d->id, d->box);
    sql_bind_text(s->s[S_DEVICE_ADD], 3, d->name);
    return statement_run(s, S_DEVICE_ADD);
}

int store_device_remove(struct store *s, uint64_t box, uint64_t device)
{
    bind_two(s, S_DEVICE_REMOVE, device, box);
    return statement_run(s, S_DEVICE_REMOVE);
}

int store_device_changed(struct store *s, uint64_t device)
{
    sql_bind_u64(s->s[S_DEVICE_CHANGED], 1, device);
    return statement_run(s, S_DEVICE_CHANGED);
}

enum found store_device_dropped(struct store *s, uint64_t box, uint64_t device, uint64_t *n)
{
    bind_two(s, S_DEVICE_DROPPED, box, device);
    return statement_number(s, S_DEVICE_DROPPED, n);
}

int store_drop(struct store *s, uint64_t box, uint64_t seq, uint64_t device)
{
    bind_two(s, S_DROP, box, seq);
    sql_bind_u64(s->s[S_DROP], 3, device);
    return statement_run(s, S_DROP);
}

enum found store_holder(struct store *s, uint64_t box, uint64_t seq)
{
    uint64_t device;
    bind_two(s, S_HOLDER, box, seq);
    return statement_number(s, S_HOLDER, &device);
}

int store_box_make(struct store *s, uint64_t box)
{
    sql_bind_u64(s->s[S_BOX_MAKE], 1, box);
    return statement_run(s, S_BOX_MAKE);
}

int store_box_review(struct store *s, uint64_t box, bool is_needed)
{
    bind_two(s, S_BOX_REVIEW, box, is_needed);
    return statement_run(s, S_BOX_REVIEW);
}

enum found store_review_next(struct store *s, uint64_t *box)
{
    return statement_number(s, S_REVIEW_NEXT, box);
}

enum found store_dropped_next(struct store *s, uint64_t box, uint64_t after, uint64_t *seq)
{
    bind_two(s, S_DROPPED_NEXT, box, after);
    enum found f = statement_number(s, S_DROPPED_NEXT, seq);
    if (f != FOUND_YES)
        return f;
    bind_two(s, S_DROPPED_CLEAN, box, *seq);
    return statement_run(s, S_DROPPED_CLEAN) < 0 ? FOUND_FAULT : FOUND_YES;
}
