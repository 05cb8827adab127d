/* Statements about recipients elsewhere. What they promise is in store.h. */
#include "queue/statements.h"

static void bind_progress(sqlite3_stmt *st, int at, const struct recipient *r)
{
    sql_bind_u64(st, at, r->state);
    sql_bind_u64(st, at + 1, r->attempts);
    sql_bind_i64(st, at + 2, r->next_attempt);
    sql_bind_text(st, at + 3, r->status);
    sql_bind_text(st, at + 4, r->remote);
    sql_bind_text(st, at + 5, r->last_reply);
    sql_bind_i64(st, at + 6, r->last_attempt);
    sql_bind_u64(st, at + 7, r->outcome);
}

/* Whatever becomes of it, only what is held is held for that. */
static bool is_contained(const struct recipient *r)
{
    return r->is_contained && r->state == RCPT_HELD;
}

int store_rcpt_add(struct store *s, const struct recipient *r)
{
    sqlite3_stmt *st = s->s[S_RCPT_ADD];
    sql_bind_u64(st, 1, r->message);
    sql_bind_u64(st, 2, r->number);
    sql_bind_text(st, 3, r->address);
    sql_bind_text(st, 4, r->domain);
    bind_progress(st, 5, r);
    sql_bind_u64(st, 13, r->notify);
    sql_bind_text(st, 14, r->orcpt);
    sql_bind_text(st, 15, r->sender);
    sql_bind_u64(st, 16, r->dialogue);
    sql_bind_u64(st, 17, is_contained(r));
    return statement_run(s, S_RCPT_ADD);
}

int store_rcpt_set(struct store *s, const struct recipient *r)
{
    sqlite3_stmt *st = s->s[S_RCPT_SET];
    sql_bind_u64(st, 1, r->message);
    sql_bind_u64(st, 2, r->number);
    bind_progress(st, 3, r);
    sql_bind_u64(st, 11, r->dialogue);
    sql_bind_u64(st, 12, is_contained(r));
    return statement_run(s, S_RCPT_SET);
}

int store_rcpt_set_state(struct store *s, uint64_t message, uint32_t number, enum rcpt_state state,
                         int64_t next_attempt)
{
    sqlite3_stmt *st = s->s[S_RCPT_SET_STATE];
    sql_bind_u64(st, 1, message);
    sql_bind_u64(st, 2, number);
    sql_bind_u64(st, 3, state);
    sql_bind_i64(st, 4, next_attempt);
    return statement_run(s, S_RCPT_SET_STATE);
}

int store_rcpt_remove(struct store *s, uint64_t message, uint32_t number)
{
    sql_bind_u64(s->s[S_RCPT_REMOVE], 1, message);
    sql_bind_u64(s->s[S_RCPT_REMOVE], 2, number);
    return statement_run(s, S_RCPT_REMOVE);
}

static bool is_line(struct span s, size_t min, size_t max)
{
    if (s.n < min || s.n > max)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\0' || s.p[i] == '\r' || s.p[i] == '\n')
            return false;
    return true;
}

static enum found take_rcpt(sqlite3_stmt *st, struct recipient *r)
{
    uint64_t number = sql_column_u64(st, 1), state = sql_column_u64(st, 4);
    uint64_t outcome = sql_column_u64(st, 11), notify = sql_column_u64(st, 12);
    *r = (struct recipient){
        .message = sql_column_u64(st, 0),
        .number = (uint32_t)number,
        .address = sql_column(st, 2),
        .domain = sql_column(st, 3),
        .state = state < RCPT_STATES ? (enum rcpt_state)state : RCPT_HELD,
        .attempts = sql_column_u64(st, 5),
        .next_attempt = (int64_t)sql_column_u64(st, 6),
        .status = sql_column(st, 7),
        .remote = sql_column(st, 8),
        .last_reply = sql_column(st, 9),
        .last_attempt = (int64_t)sql_column_u64(st, 10),
        .outcome = outcome < RCPT_DEEDS ? (enum rcpt_deed)outcome : DONE_NOT,
        .notify = (uint8_t)notify,
        .orcpt = sql_column(st, 13),
        .sender = sql_column(st, 14),
        .dialogue = sql_column_u64(st, 15),
        .is_contained = sql_column_u64(st, 16) == 1,
    };
    bool is_sane = number <= UINT32_MAX && state < RCPT_STATES && notify_is_sane(notify) &&
                   (r->orcpt.n == 0 || orcpt_is_valid(r->orcpt)) &&
                   is_line(r->address, 1, RCPT_ADDRESS_MAX) && is_line(r->domain, 1, DOMAIN_MAX) &&
                   is_line(r->status, 0, STATUS_MAX) && is_line(r->remote, 0, REMOTE_MAX) &&
                   is_line(r->last_reply, 0, REPLY_MAX) && is_line(r->sender, 0, ADDRESS_MAX);
    return is_sane ? FOUND_YES : FOUND_DAMAGED;
}

/* Moves the text of a row that is sane, and so fits, out of the statement. */
static void keep_text(struct store *s, struct recipient *r)
{
    struct span *all[] = {&r->address,    &r->domain, &r->status, &r->remote,
                          &r->last_reply, &r->orcpt,  &r->sender};
    char *to = s->rcpt_text;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i]->n > 0)
            memcpy(to, all[i]->p, all[i]->n);
        all[i]->p = to;
        to += all[i]->n;
    }
}

enum found store_rcpt_get(struct store *s, uint64_t message, uint32_t number, struct recipient *r)
{
    sqlite3_stmt *st = s->s[S_RCPT_GET];
    sql_reset(st);
    sql_bind_u64(st, 1, message);
    sql_bind_u64(st, 2, number);
    int rc = statement_step(s, S_RCPT_GET);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    enum found f = take_rcpt(st, r);
    if (f == FOUND_YES)
        keep_text(s, r);
    sql_reset(st); /* an open SELECT would hold back the checkpoints */
    return f;
}

void store_rcpts_begin(struct store *s, uint64_t message)
{
    sql_reset(s->s[S_RCPTS_OF]);
    sql_bind_u64(s->s[S_RCPTS_OF], 1, message);
}

enum found store_rcpts_next(struct store *s, struct recipient *r)
{
    int rc = statement_step(s, S_RCPTS_OF);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    return take_rcpt(s->s[S_RCPTS_OF], r);
}

void store_rcpts_end(struct store *s)
{
    sql_reset(s->s[S_RCPTS_OF]);
}

enum found store_queued_next(struct store *s, uint64_t after, struct span domain, uint64_t *id)
{
    enum statement which = domain.n > 0 ? S_QUEUED_NEXT_OF : S_QUEUED_NEXT;
    sql_bind_u64(s->s[which], 1, after);
    if (domain.n > 0)
        sql_bind_text(s->s[which], 2, domain);
    return statement_number(s, which, id);
}

static enum found untold_next(struct store *s, enum rcpt_state state, uint64_t after, uint64_t *id)
{
    sql_bind_u64(s->s[S_UNTOLD_NEXT], 1, after);
    sql_bind_u64(s->s[S_UNTOLD_NEXT], 2, state);
    return statement_number(s, S_UNTOLD_NEXT, id);
}

enum found store_untold_next(struct store *s, uint64_t after, uint64_t *id)
{
    uint64_t owed = 0;
    enum found failed = untold_next(s, RCPT_FAILED, after, id);
    enum found f = untold_next(s, RCPT_OWED, after, &owed);
    if (f == FOUND_YES && (failed != FOUND_YES || owed < *id)) {
        *id = owed;
        return FOUND_YES;
    }
    return f == FOUND_FAULT ? f : failed;
}

enum found store_rcpt_look(struct store *s, uint64_t message, struct span address, uint64_t *number)
{
    sqlite3_stmt *st = s->s[S_RCPT_LOOK];
    sql_bind_u64(st, 1, message);
    sql_bind_text(st, 2, address);
    int rc = statement_step(s, S_RCPT_LOOK);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    bool is_there = sql_column_u64(st, 0) == 1;
    *number = sql_column_u64(st, 1);
    sql_reset(st);
    return is_there ? FOUND_YES : FOUND_NONE;
}

void store_due_begin(struct store *s, const struct due *after, int64_t before, unsigned limit)
{
    sqlite3_stmt *st = s->s[S_DUE];
    sql_reset(st);
    sql_bind_i64(st, 1, after->at);
    sql_bind_u64(st, 2, after->message);
    sql_bind_u64(st, 3, after->number);
    sql_bind_i64(st, 4, before);
    sql_bind_u64(st, 5, limit);
}

enum found store_due_next(struct store *s, struct due *d)
{
    sqlite3_stmt *st = s->s[S_DUE];
    int rc = statement_step(s, S_DUE);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    uint64_t number = sql_column_u64(st, 2);
    *d = (struct due){.at = (int64_t)sql_column_u64(st, 0),
                      .message = sql_column_u64(st, 1),
                      .number = (uint32_t)number,
                      .domain = sql_column(st, 3),
                      .sender = sql_column(st, 4),
                      .client = sql_column(st, 5),
                      .login = sql_column(st, 6),
                      .is_local = sql_column_u64(st, 7) == DONE_DELIVERED,
                      .forward_sender = sql_column(st, 8),
                      .is_report = (sql_column_u64(st, 9) & CONTENT_TLS_OPTIONAL) != 0};
    bool is_sane = number <= UINT32_MAX && is_line(d->domain, 1, DOMAIN_MAX) &&
                   is_line(d->sender, 0, ADDRESS_MAX) && is_line(d->forward_sender, 0, ADDRESS_MAX);
    return is_sane ? FOUND_YES : FOUND_DAMAGED;
}

void store_due_end(struct store *s)
{
    sql_reset(s->s[S_DUE]);
}

int store_due_pull_in(struct store *s, int64_t now_s, unsigned most)
{
    int64_t before = store_changes(s);
    sql_bind_i64(s->s[S_DUE_PULL_IN], 1, now_s);
    sql_bind_i64(s->s[S_DUE_PULL_IN], 2, most);
    return statement_run(s, S_DUE_PULL_IN) < 0 ? -1 : (int)(store_changes(s) - before);
}

enum found store_held_too_long(struct store *s, int64_t now_s, uint64_t *message, uint32_t *number)
{
    sqlite3_stmt *st = s->s[S_HELD_TOO_LONG];
    sql_bind_i64(st, 1, now_s);
    int rc = statement_step(s, S_HELD_TOO_LONG);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *message = sql_column_u64(st, 0);
    *number = (uint32_t)sql_column_u64(st, 1);
    sql_reset(st);
    return FOUND_YES;
}

enum found store_due_when(struct store *s, int64_t from, int64_t *at)
{
    uint64_t v = 0;
    sql_bind_i64(s->s[S_DUE_WHEN], 1, from);
    enum found f = statement_number(s, S_DUE_WHEN, &v);
    *at = (int64_t)v;
    return f;
}

int store_depth(struct store *s, int64_t now_s, struct depth *d)
{
    *d = (struct depth){0};
    sql_bind_i64(s->s[S_COUNT_DUE], 1, now_s);
    sql_bind_i64(s->s[S_COUNT_DEFERRED], 1, now_s);
    bool is_known = statement_number(s, S_COUNT_DUE, &d->due) == FOUND_YES &&
                    statement_number(s, S_COUNT_DEFERRED, &d->deferred) == FOUND_YES &&
                    statement_number(s, S_COUNT_HELD, &d->held) == FOUND_YES;
    return is_known ? 0 : -1;
}
