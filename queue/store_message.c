/* Statements about messages. What they promise is in store.h. */
#include "queue/statements.h"

static bool is_line(struct span s, size_t max)
{
    if (s.n > max)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\0' || s.p[i] == '\r' || s.p[i] == '\n')
            return false;
    return true;
}

static int add_hold(struct store *s, const struct message *m)
{
    sqlite3_stmt *st = s->s[S_HOLD_ADD];
    sql_bind_u64(st, 1, m->id);
    sql_bind_text(st, 2, m->hold_request);
    sql_bind_text(st, 3, m->hold_who);
    sql_bind_i64(st, 4, m->hold_who.n > 0 ? m->hold_until : 0);
    sql_bind_u64(st, 5, m->size);
    return statement_run(s, S_HOLD_ADD);
}

int store_message_add(struct store *s, const struct message *m, struct span content)
{
    sqlite3_stmt *st = s->s[S_MESSAGE_ADD];
    sql_bind_u64(st, 1, m->id);
    sql_bind_i64(st, 2, m->arrived);
    sql_bind_i64(st, 3, m->expires);
    sql_bind_text(st, 4, m->sender);
    sql_bind_text(st, 5, m->client);
    sql_bind_text(st, 6, m->helo);
    sql_bind_text(st, 7, m->login);
    sql_bind_u64(st, 8, m->size);
    sql_bind_u64(st, 9, m->header);
    sql_bind_u64(st, 10, m->flags);
    sql_bind_u64(st, 11, m->is_warned);
    sql_bind_u64(st, 12, m->is_spooled);
    sql_bind_blob(st, 13, (struct span){(const char *)m->hash, sizeof m->hash});
    if (m->is_spooled)
        sql_bind_null(st, 14);
    else
        sql_bind_blob(st, 14, content);
    sql_bind_u64(st, 15, m->ret);
    sql_bind_text(st, 16, m->envid);
    if (statement_run(s, S_MESSAGE_ADD) < 0)
        return -1;
    return m->hold_request.n > 0 ? add_hold(s, m) : 0;
}

/* Could we have written this? */
static bool message_is_sane(const struct message *m)
{
    return m->id > 0 && m->arrived >= 0 && m->expires >= m->arrived && m->size > 0 &&
           m->header <= m->size && is_line(m->sender, ADDRESS_MAX) && is_line(m->client, IP_MAX) &&
           is_line(m->helo, HELO_MAX) && is_line(m->login, LOGIN_MAX) && m->ret <= RET_HDRS &&
           (m->envid.n == 0 || envid_is_valid(m->envid));
}

enum found store_message_get(struct store *s, uint64_t id, struct message *m)
{
    sqlite3_stmt *st = s->s[S_MESSAGE_GET];
    store_message_end(s);
    sql_bind_u64(st, 1, id);
    int rc = statement_step(s, S_MESSAGE_GET);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *m = (struct message){
        .id = sql_column_u64(st, 0),
        .arrived = (int64_t)sql_column_u64(st, 1),
        .expires = (int64_t)sql_column_u64(st, 2),
        .sender = sql_column(st, 3),
        .client = sql_column(st, 4),
        .helo = sql_column(st, 5),
        .login = sql_column(st, 6),
        .size = sql_column_u64(st, 7),
        .header = sql_column_u64(st, 8),
        .flags = (uint8_t)sql_column_u64(st, 9),
        .is_warned = sql_column_u64(st, 10) != 0,
        .is_spooled = sql_column_u64(st, 11) != 0,
        .ret = (uint8_t)sql_column_u64(st, 13),
        .envid = sql_column(st, 14),
    };
    struct span hash = sql_column(st, 12);
    if (hash.n != sizeof m->hash)
        return FOUND_DAMAGED;
    memcpy(m->hash, hash.p, hash.n);
    return message_is_sane(m) ? FOUND_YES : FOUND_DAMAGED;
}

enum found store_message_hold(struct store *s, uint64_t id, char request[HOLD_REQUEST_MAX + 1])
{
    sqlite3_stmt *st = s->s[S_HOLD_GET];
    sql_bind_u64(st, 1, id);
    int rc = statement_step(s, S_HOLD_GET);
    struct span text = rc > 0 ? sql_column(st, 0) : SPAN("");
    bool is_sane = hold_is_request(text) && span_copy(request, HOLD_REQUEST_MAX + 1, text) == 0;
    sql_reset(st);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    return is_sane ? FOUND_YES : FOUND_DAMAGED;
}

int store_hold_over(struct store *s, uint64_t id)
{
    sql_bind_u64(s->s[S_HOLD_OVER], 1, id);
    return statement_run(s, S_HOLD_OVER);
}

int store_hold_count(struct store *s, struct span who, int64_t now_s, uint64_t most,
                     struct held *out)
{
    sqlite3_stmt *st = s->s[S_HOLD_COUNT];
    sql_bind_text(st, 1, who);
    sql_bind_i64(st, 2, now_s);
    sql_bind_i64(st, 3, most < INT64_MAX ? (int64_t)most : INT64_MAX);
    int rc = statement_step(s, S_HOLD_COUNT);
    if (rc > 0)
        *out = (struct held){sql_column_u64(st, 0), sql_column_u64(st, 1)};
    sql_reset(st);
    return rc > 0 ? 0 : -1;
}

enum found store_message_content(struct store *s, const struct message *m, struct span *content)
{
    sqlite3_stmt *st = s->s[S_MESSAGE_CONTENT];
    sql_reset(st);
    sql_bind_u64(st, 1, m->id);
    int rc = statement_step(s, S_MESSAGE_CONTENT);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    *content = sql_column(st, 0);
    return content->n == m->size && content_is(*content, m->hash) ? FOUND_YES : FOUND_DAMAGED;
}

void store_message_end(struct store *s)
{
    sql_reset(s->s[S_MESSAGE_GET]);
    sql_reset(s->s[S_MESSAGE_CONTENT]);
}

enum found store_message_is_spooled(struct store *s, uint64_t id)
{
    uint64_t one;
    sql_bind_u64(s->s[S_MESSAGE_IS_SPOOLED], 1, id);
    return statement_number(s, S_MESSAGE_IS_SPOOLED, &one);
}

enum found store_spooled_next(struct store *s, uint64_t after, uint64_t *id)
{
    sql_bind_u64(s->s[S_SPOOLED_NEXT], 1, after);
    return statement_number(s, S_SPOOLED_NEXT, id);
}

int store_message_set_warned(struct store *s, uint64_t id)
{
    sql_bind_u64(s->s[S_MESSAGE_WARNED], 1, id);
    return statement_run(s, S_MESSAGE_WARNED);
}

static int remove_unused(struct store *s, uint64_t id, bool *freed_file)
{
    sqlite3_stmt *st = s->s[S_MESSAGE_UNUSED];
    sql_bind_u64(st, 1, id);
    int rc = statement_step(s, S_MESSAGE_UNUSED);
    bool is_unused = rc > 0;
    if (is_unused) {
        *freed_file = sql_column_u64(st, 0) != 0;
        rc = statement_past(s);
    }
    sql_reset(st);
    if (rc < 0)
        return -1;
    if (!is_unused)
        return store_hold_over(s, id);
    sql_bind_u64(s->s[S_MESSAGE_REMOVE], 1, id);
    return statement_run(s, S_MESSAGE_REMOVE);
}

/* Removes the recipients. FOUND_YES: one is still pending, and all are there. */
static enum found settle_rcpts(struct store *s, uint64_t id)
{
    sqlite3_stmt *st = s->s[S_RCPTS_STATES];
    uint64_t number = 0;
    size_t n = 0;
    int rc;
    sql_bind_u64(st, 1, id);
    while ((rc = statement_step(s, S_RCPTS_STATES)) > 0) {
        uint64_t state = sql_column_u64(st, 1);
        if (state != RCPT_DONE && state != RCPT_BOUNCED)
            break;
        number = sql_column_u64(st, 0);
        n++;
    }
    sql_reset(st);
    if (rc != 0)
        return rc < 0 ? FOUND_FAULT : FOUND_YES;
    if (n > 1 || number > UINT32_MAX) {
        sql_bind_u64(s->s[S_RCPTS_REMOVE], 1, id);
        rc = statement_run(s, S_RCPTS_REMOVE);
    } else if (n == 1) {
        rc = store_rcpt_remove(s, id, (uint32_t)number); /* mostly; much cheaper */
    }
    return rc < 0 ? FOUND_FAULT : FOUND_NONE;
}

int store_message_settle(struct store *s, uint64_t id, bool *freed_file)
{
    *freed_file = false;
    enum found pending = settle_rcpts(s, id);
    if (pending != FOUND_NONE)
        return pending == FOUND_FAULT ? -1 : 0;
    return remove_unused(s, id, freed_file);
}
