#include "queue/tlsrpt_post.h"

#include "common/addr.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/tlsrpt.h"
#include "common/verdict.h"
#include "queue/statements.h"

#include <stdlib.h>

#define LOOK_MS     60000
#define ASK_MS      90000 /* the policy process gives up after a minute */
#define SLOTS       4     /* as TLSRPT_POST_NEXT has room for */
#define ROWS_MAX    2000
#define FIRST_S     300
#define BACKOFF_S   (4 * 3600)
#define GIVE_UP_S   86400 /* RFC 8460 5.5 */
#define BECAUSE_MAX 200   /* as in TLS_POST_RE */

struct slot {
    struct waiter waiter; /* first: the commit gives it back */
    struct tlsrpt_posts *all;
    bool is_busy;   /* with the row `id`, which is above 0 unless it is damaged */
    uint64_t tag;   /* while it is posted, */
    struct ipc *at; /* who owes the answer to it */
    uint64_t report, attempts;
    int64_t id, began;
    char domain[DOMAIN_MAX + 1];
    const char *event; /* what is told of it when that is on disk */
    char because[BECAUSE_MAX + 1];
};

struct tlsrpt_posts {
    struct queue *q;
    struct timer timer;
    struct slot slots[SLOTS];
};

static void look(void *arg)
{
    struct tlsrpt_posts *p = arg;
    timer_set(&p->timer, LOOK_MS);
    tlsrpt_posts_look(p);
}

struct tlsrpt_posts *tlsrpt_posts_new(struct queue *q)
{
    struct tlsrpt_posts *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->q = q;
    for (size_t i = 0; i < SLOTS; i++)
        p->slots[i].all = p;
    timer_init(&p->timer, q->loop, look, p);
    timer_set(&p->timer, LOOK_MS);
    return p;
}

void tlsrpt_posts_free(struct tlsrpt_posts *p)
{
    if (p == NULL)
        return;
    timer_stop(&p->timer);
    for (size_t i = 0; i < SLOTS; i++)
        if (p->slots[i].tag != 0 && p->slots[i].at == p->q->policy)
            ipc_cancel(p->slots[i].at, p->slots[i].tag);
    free(p);
}

void tlsrpt_posts_wake(struct tlsrpt_posts *p)
{
    timer_set(&p->timer, 0);
}

int tlsrpt_posts_add(struct tlsrpt_posts *p, const struct tlsrpt_parcel *parcel)
{
    struct store *s = p->q->store;
    sqlite3_stmt *st = s->s[S_TLSRPT_POST_ADD];
    struct unpacker u = unpacker_on(parcel->urls);
    int rc = 0;
    if (parcel->urls.n > 0 && parcel->octets.n > CHUNK_MAX) { /* as a mail it may go all the same */
        LOG(parcel->report, "tls-report-not-posted", LS("domain", parcel->domain),
            LZ("because", "it is too large"));
        return 0;
    }
    while (rc == 0 && u.left.n > 0 && !u.failed) {
        struct span url = unpack_text(&u, RUA_URL_MAX);
        int64_t before = store_changes(s);
        sql_bind_u64(st, 1, parcel->report);
        sql_bind_text(st, 2, parcel->domain);
        sql_bind_text(st, 3, url);
        sql_bind_i64(st, 4, clock_wall_s());
        sql_bind_blob(st, 5, parcel->octets);
        sql_bind_i64(st, 6, ROWS_MAX);
        rc = u.failed ? -1 : statement_run(s, S_TLSRPT_POST_ADD);
        if (rc == 0 && store_changes(s) == before)
            LOG(parcel->report, "tls-report-not-posted", LS("domain", parcel->domain),
                LZ("because", "too many others wait"));
    }
    return rc;
}

/* --- what became of one --- */

static int write_end(struct slot *slot, bool is_over)
{
    struct store *s = slot->all->q->store;
    int64_t wait_s = FIRST_S;
    for (uint64_t i = 0; i < slot->attempts && wait_s < BACKOFF_S; i++)
        wait_s *= 2;
    if (wait_s > BACKOFF_S)
        wait_s = BACKOFF_S;
    enum statement which = is_over ? S_TLSRPT_POST_REMOVE : S_TLSRPT_POST_LATER;
    sql_bind_i64(s->s[which], 1, slot->id);
    if (!is_over) {
        sql_bind_u64(s->s[which], 2, slot->attempts + 1);
        sql_bind_i64(s->s[which], 3, clock_wall_s() + wait_s);
    }
    return statement_run(s, which);
}

static void log_end(const struct slot *slot)
{
    if (slot->because[0] == '\0')
        LOG(slot->report, slot->event, LZ("domain", slot->domain));
    else
        LOG(slot->report, slot->event, LZ("domain", slot->domain), LZ("because", slot->because));
}

/* What could not be written stays due, and waits for the next look: the server is not asked at once
 * again because our disk is full. */
static void not_written(struct slot *slot)
{
    slot->is_busy = false;
    LOG(slot->report, "tls-report-not-written", LZ("domain", slot->domain),
        LZ("about", slot->event));
}

static void settled(struct waiter *w, enum outcome o)
{
    struct slot *slot = (struct slot *)w;
    if (o != OUTCOME_SAVED) {
        not_written(slot);
        return;
    }
    log_end(slot);
    slot->is_busy = false;
    tlsrpt_posts_wake(slot->all);
}

static void end_slot(struct slot *slot, bool is_over)
{
    struct batch *b = &slot->all->q->batch;
    slot->waiter.settled = settled;
    if (slot->all->q->is_draining || batch_begin(b) < 0) {
        not_written(slot);
    } else if (write_end(slot, is_over) < 0) {
        batch_undo(b);
        not_written(slot);
    } else {
        batch_keep(b, &slot->waiter);
    }
}

/* No answer: the policy process is gone or silent. It may be this report that ended it, so it
 * counts as an attempt. */
static void answered(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct slot *slot = arg;
    slot->tag = 0;
    bool is_done = m != NULL && m->tls_post_re.verdict == VERDICT_OK;
    bool is_late = clock_wall_s() - slot->began >= GIVE_UP_S || slot->began > clock_wall_s();
    struct span because = m != NULL ? m->tls_post_re.because : SPAN("no answer from policy");
    slot->event = is_done   ? "tls-report-posted"
                  : is_late ? "tls-report-given-up"
                            : "tls-report-not-posted";
    if (is_done || span_copy(slot->because, sizeof slot->because, because) < 0)
        slot->because[0] = '\0';
    end_slot(slot, is_done || is_late);
}

/* --- what is due --- */

/* Of a row that was read: can it be asked for? */
static bool take_row(struct slot *slot, sqlite3_stmt *st, struct msg_tls_post *ask)
{
    struct tlsrpt_url parts;
    slot->id = sqlite3_column_int64(st, 0);
    slot->report = sql_column_u64(st, 1);
    slot->began = (int64_t)sql_column_u64(st, 4);
    slot->attempts = sql_column_u64(st, 5);
    *ask = (struct msg_tls_post){.url = sql_column(st, 3), .report = sql_column(st, 6)};
    slot->event = "tls-report-damaged";
    slot->because[0] = '\0';
    if (span_copy(slot->domain, sizeof slot->domain, sql_column(st, 2)) < 0 ||
        !addr_is_domain(span_of(slot->domain))) {
        slot->domain[0] = '\0';
        return false;
    }
    return slot->id > 0 && tlsrpt_read_url(ask->url, &parts) == 0 && ask->report.n > 0 &&
           ask->report.n <= CHUNK_MAX;
}

/* The next row, asked for. False: there is none, or nobody to ask. */
static bool begin(struct slot *slot)
{
    struct tlsrpt_posts *p = slot->all;
    struct store *s = p->q->store;
    sqlite3_stmt *st = s->s[S_TLSRPT_POST_NEXT];
    struct msg_tls_post ask;
    sql_bind_i64(st, 1, clock_wall_s());
    for (int i = 0; i < SLOTS; i++)
        sql_bind_i64(st, 2 + i, p->slots[i].is_busy ? p->slots[i].id : 0);
    bool is_found = statement_step(s, S_TLSRPT_POST_NEXT) > 0;
    bool is_good = is_found && take_row(slot, st, &ask);
    if (is_good) {
        slot->at = p->q->policy;
        slot->tag = ipc_ask_tls_post(slot->at, &ask, -1, ASK_MS, answered, slot);
        slot->is_busy = slot->tag != 0;
    }
    sql_reset(st);
    if (is_found && !is_good) {
        slot->is_busy = true;
        end_slot(slot, true);
    }
    return slot->is_busy;
}

static void bind_old(sqlite3_stmt *st)
{
    sql_bind_i64(st, 1, clock_wall_s() - GIVE_UP_S);
    sql_bind_i64(st, 2, clock_wall_s());
}

/* Who switched reports off wants none sent; those that wait go when their day is over. */
static void age_out(struct queue *q)
{
    struct store *s = q->store;
    uint64_t n = 0;
    bind_old(s->s[S_TLSRPT_POST_OLD]);
    if (statement_number(s, S_TLSRPT_POST_OLD, &n) == FOUND_FAULT || n == 0 ||
        batch_begin(&q->batch) < 0)
        return;
    bind_old(s->s[S_TLSRPT_POST_SWEEP]);
    if (statement_run(s, S_TLSRPT_POST_SWEEP) < 0) {
        batch_undo(&q->batch);
        return;
    }
    LOG(0, "tls-reports-given-up", LN("n", (int64_t)n),
        LZ("because", "tls_reports is switched off"));
    batch_keep(&q->batch, NULL);
}

void tlsrpt_posts_look(struct tlsrpt_posts *p)
{
    struct queue *q = p->q;
    if (q->is_draining || q->batch.is_broken)
        return;
    if (q->config->relay.tls_reports != SWITCH_ON) {
        age_out(q);
        return;
    }
    for (size_t i = 0; i < SLOTS && q->policy != NULL; i++)
        if (!p->slots[i].is_busy && !begin(&p->slots[i]))
            return;
}
