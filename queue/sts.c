#include "queue/sts.h"

#include "common/addr.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/sts.h"
#include "common/verdict.h"
#include "queue/statements.h"

#define ROWS_MAX 20000 /* as many as the policy process keeps; the one fetched longest ago goes */

/* What stands in a row, or comes from the policy process, which sees the network. */
static bool is_sane(const struct msg_sts_next_re *r)
{
    return addr_is_domain(r->domain) && r->id.n <= STS_ID_MAX && r->mode < STS_MODES &&
           r->fetched <= INT64_MAX && r->max_age <= STS_AGE_MAX && r->mx.n <= STS_MX_OCTETS &&
           sts_mx_is_sane(r->mx);
}

static int write_it(struct store *s, const struct msg_sts_keep *m)
{
    sqlite3_stmt *st = s->s[S_STS_SET];
    sql_bind_i64(s->s[S_STS_SWEEP], 1, clock_wall_s());
    if (statement_run(s, S_STS_SWEEP) < 0)
        return -1;
    sql_bind_text(st, 1, m->domain);
    sql_bind_text(st, 2, m->id);
    sql_bind_u64(st, 3, m->mode);
    sql_bind_u64(st, 4, m->fetched);
    sql_bind_u64(st, 5, m->max_age);
    sql_bind_blob(st, 6, m->mx);
    if (statement_run(s, S_STS_SET) < 0)
        return -1;
    sql_bind_i64(s->s[S_STS_BOUND], 1, ROWS_MAX);
    sql_bind_text(s->s[S_STS_BOUND], 2, m->domain);
    return statement_run(s, S_STS_BOUND);
}

/* If it cannot be written it is fetched again after the next start. */
void sts_keep(struct queue *q, const struct msg_sts_keep *m)
{
    struct msg_sts_next_re r = {.domain = m->domain,
                                .id = m->id,
                                .mode = m->mode,
                                .fetched = m->fetched,
                                .max_age = m->max_age,
                                .mx = m->mx};
    if (!is_sane(&r) || q->is_draining) {
        LOG(0, "policy-refused", LS("domain", m->domain));
        return;
    }
    if (batch_begin(&q->batch) < 0)
        return;
    if (write_it(q->store, m) == 0)
        batch_keep(&q->batch, NULL);
    else
        batch_undo(&q->batch);
}

/* The next row that is sane. Its spans hold until sql_reset. */
static enum found read_next(struct store *s, struct span after, struct msg_sts_next_re *r)
{
    sqlite3_stmt *st = s->s[S_STS_NEXT];
    sql_reset(st);
    sql_bind_text(st, 1, after);
    int rc = statement_step(s, S_STS_NEXT);
    if (rc <= 0)
        return rc < 0 ? FOUND_FAULT : FOUND_NONE;
    r->domain = sql_column(st, 0);
    r->id = sql_column(st, 1);
    r->mode = (uint8_t)(sql_column_u64(st, 2) & 0xff);
    r->fetched = sql_column_u64(st, 3);
    r->max_age = (uint32_t)(sql_column_u64(st, 4) & UINT32_MAX);
    r->mx = sql_column(st, 5);
    return is_sane(r) ? FOUND_YES : FOUND_DAMAGED;
}

void sts_next(struct queue *q, struct ipc *from, const struct msg_sts_next *m)
{
    struct msg_sts_next_re re = {.tag = m->tag};
    char after[DOMAIN_MAX + 1];
    enum found f = FOUND_FAULT;
    if (span_copy(after, sizeof after, m->after) == 0)
        while ((f = read_next(q->store, span_of(after), &re)) == FOUND_DAMAGED)
            if (span_copy(after, sizeof after, re.domain) < 0)
                break;
    if (f != FOUND_YES)
        re = (struct msg_sts_next_re){
            .tag = m->tag, .verdict = f == FOUND_NONE ? VERDICT_NEVER : VERDICT_TRY_LATER};
    ipc_send_sts_next_re(from, &re, -1);
    sql_reset(q->store->s[S_STS_NEXT]);
}

static void send_row(struct admin_call *call, const struct msg_sts_next_re *r)
{
    static struct admin_row row;
    static char names[LIST_MAX / 2];
    struct unpacker u = unpacker_on(r->mx);
    size_t n = 0;
    names[0] = '\0';
    while (u.left.n > 0) {
        struct span mx = unpack_text(&u, DOMAIN_MAX + 2);
        if (u.failed || n + mx.n + 2 > sizeof names)
            break;
        if (n > 0)
            names[n++] = ' ';
        memcpy(names + n, mx.p, mx.n);
        n += mx.n;
    }
    row_begin(&row);
    row_text(&row, "domain", r->domain);
    row_text(&row, "mode", span_of(sts_mode_name((enum sts_mode)r->mode)));
    row_text(&row, "id", r->id);
    row_text(&row, "mx", (struct span){names, n});
    row_time(&row, "fetched", (int64_t)r->fetched);
    row_time(&row, "expires", (int64_t)(r->fetched + r->max_age));
    row_send(&row, call, 0, "");
}

void sts_list(void *owner, struct admin_call *call)
{
    struct queue *q = owner;
    char after[DOMAIN_MAX + 1] = "";
    struct msg_sts_next_re r = {.verdict = VERDICT_OK};
    enum found f;
    while ((f = read_next(q->store, span_of(after), &r)) == FOUND_YES || f == FOUND_DAMAGED) {
        if (f == FOUND_YES)
            send_row(call, &r);
        if (span_copy(after, sizeof after, r.domain) < 0)
            break;
    }
    sql_reset(q->store->s[S_STS_NEXT]);
    if (f == FOUND_FAULT)
        admin_fail(call, VERDICT_TRY_LATER, "the store cannot be read: see the log");
    else
        admin_done(call, 0);
}
