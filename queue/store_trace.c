/* Statements about what happened to messages. What they promise is in store.h. */
#include "common/clock.h"
#include "queue/statements.h"
#include "queue/trace.h"

void store_trace(struct store *s, bool is_on)
{
    s->is_tracing = is_on;
}

bool store_is_tracing(const struct store *s)
{
    return s->is_tracing;
}

static struct span at_most(struct span s, size_t max)
{
    return (struct span){s.p, s.n < max ? s.n : max};
}

int store_event_add(struct store *s, const struct incident *e)
{
    sqlite3_stmt *st = s->s[S_EVENT_ADD];
    if (!s->is_tracing)
        return 0;
    sql_bind_u64(st, 1, e->message);
    sql_bind_i64(st, 2, e->at);
    sql_bind_text(st, 3, span_of(e->what));
    sql_bind_text(st, 4, at_most(e->address, ADDRESS_MAX));
    sql_bind_text(st, 5, at_most(e->remote, REMOTE_MAX));
    sql_bind_text(st, 6, at_most(e->reply, REPLY_MAX));
    sql_bind_text(st, 7, at_most(e->tls, PROTECTION_MAX));
    sql_bind_u64(st, 8, e->dialogue);
    return statement_run(s, S_EVENT_ADD);
}

/* What both of the next have, from this column on. */
static void bind_incident(struct store *s, enum statement which, int column,
                          const struct incident *e)
{
    sqlite3_stmt *st = s->s[which];
    sql_bind_i64(st, column, e->at);
    sql_bind_text(st, column + 1, span_of(e->what));
    sql_bind_text(st, column + 2, at_most(e->address, ADDRESS_MAX));
    sql_bind_text(st, column + 3, at_most(e->remote, REMOTE_MAX));
    sql_bind_text(st, column + 4, at_most(e->reply, REPLY_MAX));
}

int store_event_at(struct store *s, uint64_t box, uint64_t seq, const struct incident *e,
                   bool is_first)
{
    if (!s->is_tracing)
        return 0;
    bind_incident(s, S_EVENT_AT, 1, e);
    sql_bind_u64(s->s[S_EVENT_AT], 6, box);
    sql_bind_u64(s->s[S_EVENT_AT], 7, seq);
    sql_bind_u64(s->s[S_EVENT_AT], 8, is_first);
    return statement_run(s, S_EVENT_AT);
}

int store_event_after_deletion(struct store *s, const struct incident *e)
{
    if (!s->is_tracing)
        return 0;
    sql_bind_u64(s->s[S_EVENT_AFTER], 1, e->message);
    bind_incident(s, S_EVENT_AFTER, 2, e);
    return statement_run(s, S_EVENT_AFTER);
}

void store_events_begin(struct store *s, uint64_t message)
{
    sql_reset(s->s[S_EVENTS_OF]);
    sql_bind_u64(s->s[S_EVENTS_OF], 1, message);
}

enum found store_events_next(struct store *s, struct incident *e)
{
    sqlite3_stmt *st = s->s[S_EVENTS_OF];
    int rc = statement_step(s, S_EVENTS_OF);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *e = (struct incident){.at = (int64_t)sql_column_u64(st, 0),
                           .word = sql_column(st, 1),
                           .address = sql_column(st, 2),
                           .remote = sql_column(st, 3),
                           .reply = sql_column(st, 4),
                           .tls = sql_column(st, 5),
                           .dialogue = sql_column_u64(st, 6)};
    return FOUND_YES;
}

int store_trace_sweep(struct store *s, int64_t before_s)
{
    sql_bind_i64(s->s[S_EVENTS_SWEEP], 1, before_s);
    sql_bind_i64(s->s[S_PAST_SWEEP], 1, before_s);
    return statement_run(s, S_EVENTS_SWEEP) < 0 || statement_run(s, S_PAST_SWEEP) < 0 ? -1 : 0;
}

int statement_past(struct store *s)
{
    sqlite3_stmt *from = s->s[S_MESSAGE_UNUSED], *to = s->s[S_PAST_ADD];
    if (!s->is_tracing)
        return 0;
    sql_bind_u64(to, 1, sql_column_u64(from, 1));
    sql_bind_u64(to, 2, sql_column_u64(from, 2));
    sql_bind_i64(to, 3, clock_wall_s());
    sql_bind_text(to, 4, sql_column(from, 3));
    sql_bind_text(to, 5, sql_column(from, 4));
    sql_bind_text(to, 6, sql_column(from, 5));
    sql_bind_u64(to, 7, sql_column_u64(from, 6));
    sql_bind_text(to, 8, trace_header_id(sql_column(from, 7)));
    return statement_run(s, S_PAST_ADD);
}

enum found store_past_get(struct store *s, uint64_t id, struct past *p)
{
    sqlite3_stmt *st = s->s[S_PAST_GET];
    sql_reset(st);
    sql_bind_u64(st, 1, id);
    int rc = statement_step(s, S_PAST_GET);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *p = (struct past){.id = sql_column_u64(st, 0),
                       .arrived = (int64_t)sql_column_u64(st, 1),
                       .gone = (int64_t)sql_column_u64(st, 2),
                       .sender = sql_column(st, 3),
                       .client = sql_column(st, 4),
                       .login = sql_column(st, 5),
                       .size = sql_column_u64(st, 6)};
    return FOUND_YES;
}

void store_past_end(struct store *s)
{
    sql_reset(s->s[S_PAST_GET]);
}

enum found store_past_find(struct store *s, struct span message_id, uint64_t *id)
{
    sql_bind_text(s->s[S_PAST_OF_MESSAGE_ID], 1, message_id);
    return statement_number(s, S_PAST_OF_MESSAGE_ID, id);
}

enum found store_header_before(struct store *s, uint64_t *id, struct span *header)
{
    sqlite3_stmt *st = s->s[S_HEADER_BEFORE];
    sql_reset(st);
    sql_bind_u64(st, 1, *id);
    int rc = statement_step(s, S_HEADER_BEFORE);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *id = sql_column_u64(st, 0);
    *header = sql_column(st, 1);
    return FOUND_YES;
}

void store_header_end(struct store *s)
{
    sql_reset(s->s[S_HEADER_BEFORE]);
}

int store_trail(struct store *s, enum trail t, const struct trail_wish *w, uint64_t *ids, int most)
{
    static const enum statement statements[TRAILS] = {S_TRAIL_SENT,   S_TRAIL_PAST, S_TRAIL_EVENTS,
                                                      S_TRAIL_QUEUED, S_TRAIL_BOX,  S_TRAIL_TRASH};
    enum statement which = statements[t];
    sqlite3_stmt *st = s->s[which];
    int n = 0, rc = 0;
    sql_reset(st);
    if (t == TRAIL_BOX || t == TRAIL_TRASH)
        sql_bind_u64(st, 1, w->box);
    else
        sql_bind_text(st, 1, w->address);
    sql_bind_u64(st, 2, w->before);
    sql_bind_i64(st, 3, most);
    if (t == TRAIL_QUEUED)
        sql_bind_text(st, 4, w->domain);
    while (n < most && (rc = statement_step(s, which)) > 0)
        ids[n++] = sql_column_u64(st, 0);
    sql_reset(st);
    return rc < 0 ? -1 : n;
}

void store_boxes_of_begin(struct store *s, uint64_t message)
{
    sql_reset(s->s[S_BOXES_OF]);
    sql_bind_u64(s->s[S_BOXES_OF], 1, message);
}

enum found store_boxes_of_next(struct store *s, uint64_t *box, int64_t *deleted_at)
{
    int rc = statement_step(s, S_BOXES_OF);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *box = sql_column_u64(s->s[S_BOXES_OF], 0);
    *deleted_at = (int64_t)sql_column_u64(s->s[S_BOXES_OF], 1);
    return FOUND_YES;
}
