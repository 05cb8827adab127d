#include "queue/tlsrpt.h"

#include "common/addr.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/content.h"
#include "common/id.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/tlsrpt.h"
#include "common/verdict.h"
#include "queue/deliver.h"
#include "queue/dispatch.h"
#include "queue/statements.h"
#include "queue/tlsrpt_post.h"
#include "queue/tlsrpt_report.h"

#include <sodium.h>
#include <stdlib.h>

#define LOOK_MS     (5 * 60 * 1000)
#define ASK_MS      60000
#define SPREAD_S    (4 * 3600) /* RFC 8460 5.3: not all at midnight */
#define KEEP_DAYS   3
#define TLSA_OF_ONE 16 /* policies of DANE of a domain and day */

struct tlsrpts {
    struct waiter waiter; /* first: the commit gives it back */
    struct queue *q;
    struct timer timer;
    int64_t spread_s;
    bool is_busy;   /* with `domain` */
    bool is_forced; /* today's too, and now */
    int64_t day;    /* the last one that was looked at in this round, or is being */
    char domain[DOMAIN_MAX + 1];
    uint64_t id;
    struct ipc *asked; /* who owes the answer to `tag` */
    uint64_t tag;
    char to[RUA_OCTETS]; /* its addresses, and how many octets of them are resolved */
    size_t to_n, to_at;
    char urls[RUA_OCTETS];
    size_t urls_n;
    struct targets targets;
    struct tlsrpt_posts *posts;
};

static void look(void *arg);

struct tlsrpts *tlsrpts_new(struct queue *q)
{
    struct tlsrpts *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->posts = tlsrpt_posts_new(q);
    if (t->posts == NULL) {
        free(t);
        return NULL;
    }
    t->q = q;
    t->day = -1;
    t->spread_s = (int64_t)randombytes_uniform(SPREAD_S);
    timer_init(&t->timer, q->loop, look, t);
    timer_set(&t->timer, LOOK_MS);
    return t;
}

void tlsrpts_free(struct queue *q)
{
    struct tlsrpts *t = q->tlsrpts;
    if (t == NULL)
        return;
    timer_stop(&t->timer);
    if (t->tag != 0 && (t->asked == q->policy || t->asked == q->authd))
        ipc_cancel(t->asked, t->tag);
    targets_free(&t->targets);
    tlsrpt_posts_free(t->posts);
    free(t);
    q->tlsrpts = NULL;
}

void tlsrpts_look(struct queue *q)
{
    look(q->tlsrpts);
    tlsrpt_posts_look(q->tlsrpts->posts);
}

int64_t tlsrpts_delay_s(const struct queue *q)
{
    return q->tlsrpts->spread_s;
}

/* --- counting --- */

static bool is_name(struct span s)
{
    return s.n == 0 || addr_is_domain(s);
}

static bool is_address(struct span s)
{
    struct netaddr a;
    return s.n == 0 || netaddr_parse(s, &a) == 0;
}

static bool is_printable(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > '~')
            return false;
    return true;
}

static bool is_sane(const struct msg_tls_result *m)
{
    bool is_about = addr_is_domain(m->domain) && m->policy < TLSRPT_POLICIES &&
                    m->result > TLSRPT_NOTHING && m->result < TLSRPT_RESULTS;
    bool is_dane = m->policy == TLSRPT_TLSA && is_name(m->base) && tlsrpt_is_tlsa(m->tlsa);
    return is_about && (is_dane || m->base.n + m->tlsa.n == 0) && is_name(m->host) &&
           is_address(m->address) && is_name(m->helo) && is_address(m->source) &&
           is_printable(m->because);
}

/* By what a policy of DANE is known; 0: it is none. */
static int64_t tlsa_id(const struct msg_tls_result *m)
{
    crypto_generichash_state h;
    unsigned char hash[crypto_generichash_BYTES];
    int64_t id;
    if (m->base.n + m->tlsa.n == 0)
        return 0;
    crypto_generichash_init(&h, NULL, 0, sizeof hash);
    crypto_generichash_update(&h, (const unsigned char *)m->base.p, m->base.n);
    crypto_generichash_update(&h, (const unsigned char *)"", 1);
    crypto_generichash_update(&h, (const unsigned char *)m->tlsa.p, m->tlsa.n);
    crypto_generichash_final(&h, hash, sizeof hash);
    memcpy(&id, hash, sizeof id);
    return (id & INT64_MAX) | 1;
}

static void bind_row(sqlite3_stmt *st, const struct msg_tls_result *m, int64_t day)
{
    sql_bind_i64(st, 1, day);
    sql_bind_text(st, 2, m->domain);
    sql_bind_u64(st, 3, m->policy);
    sql_bind_u64(st, 4, m->result);
    sql_bind_text(st, 5, m->host);
    sql_bind_text(st, 6, m->address);
    sql_bind_i64(st, 7, tlsa_id(m));
    sql_bind_text(st, 8, m->helo);
    sql_bind_text(st, 9, m->source);
    sql_bind_text(st, 10, m->because);
}

/* Of more policies than that the report has no text. */
static int add_tlsa(struct store *s, const struct msg_tls_result *m, int64_t day)
{
    sqlite3_stmt *st = s->s[S_TLSRPT_TLSA_ADD];
    int64_t id = tlsa_id(m);
    if (id == 0)
        return 0;
    sql_bind_i64(st, 1, day);
    sql_bind_text(st, 2, m->domain);
    sql_bind_i64(st, 3, id);
    sql_bind_text(st, 4, m->base);
    sql_bind_blob(st, 5, m->tlsa);
    sql_bind_i64(st, 6, TLSA_OF_ONE);
    return statement_run(s, S_TLSRPT_TLSA_ADD);
}

/* How many rows there may be when one is added that has lost so many details. Without any, a domain
 * has 33 at most (policies and results), so there is always room left for those of one. */
static const struct {
    int64_t of_one; /* domain and day */
    int64_t in_all;
} bounds[] = {{100, 50000}, {120, 60000}, {140, 70000}, {160, 80000}, {200, 100000}};
#define ROUGHEST (sizeof bounds / sizeof bounds[0] - 1)

/* What many front ends of one provider differ in goes first. */
static void lose_details(struct msg_tls_result *m, size_t step)
{
    if (step >= 1)
        m->helo = m->source = m->because = SPAN("");
    if (step >= 2)
        m->address = SPAN("");
    if (step >= 3)
        m->host = SPAN("");
    if (step >= ROUGHEST)
        m->base = m->tlsa = SPAN("");
}

static int add_row(struct store *s, const struct msg_tls_result *m, int64_t day)
{
    bind_row(s->s[S_TLSRPT_ADD], m, day);
    return statement_run(s, S_TLSRPT_ADD) == 0 ? add_tlsa(s, m, day) : -1;
}

/* Counts on the row of just that, or adds it if there is room. 1: it did, 0, or -1. */
static int count_in(struct store *s, const struct msg_tls_result *m, int64_t day, size_t step)
{
    uint64_t has_room = 0;
    int64_t before = store_changes(s);
    bind_row(s->s[S_TLSRPT_MORE], m, day);
    if (statement_run(s, S_TLSRPT_MORE) < 0)
        return -1;
    if (store_changes(s) != before)
        return 1;
    sql_bind_i64(s->s[S_TLSRPT_ROOM], 1, day);
    sql_bind_text(s->s[S_TLSRPT_ROOM], 2, m->domain);
    sql_bind_i64(s->s[S_TLSRPT_ROOM], 3, bounds[step].of_one);
    sql_bind_i64(s->s[S_TLSRPT_ROOM], 4, bounds[step].in_all);
    if (statement_number(s, S_TLSRPT_ROOM, &has_room) == FOUND_FAULT)
        return -1;
    if (has_room == 0)
        return 0;
    return add_row(s, m, day) == 0 ? 1 : -1;
}

/* A session is left out only when there are very many rows of all domains. */
static int count_somewhere(struct store *s, const struct msg_tls_result *m, int64_t day)
{
    struct msg_tls_result rough = *m;
    int rc = 0;
    for (size_t step = 0; rc == 0 && step <= ROUGHEST; step++) {
        lose_details(&rough, step);
        rc = count_in(s, &rough, day, step);
    }
    return rc < 0 ? -1 : 0;
}

void tlsrpt_count(struct queue *q, const struct msg_tls_result *m)
{
    int64_t day = clock_wall_s() / TLSRPT_DAY_S;
    if (!is_sane(m)) {
        LOG(0, "tls-result-refused", LS("domain", m->domain));
        return;
    }
    if (q->config->relay.tls_reports != SWITCH_ON || q->is_draining || batch_begin(&q->batch) < 0)
        return;
    if (count_somewhere(q->store, m, day) == 0)
        batch_keep(&q->batch, NULL);
    else
        batch_undo(&q->batch);
}

/* --- sending --- */

/* The next domain has its turn in another turn of the loop. */
static void done_with_it(struct tlsrpts *t)
{
    t->is_busy = false;
    t->tag = 0;
    targets_free(&t->targets);
    timer_set(&t->timer, 0);
}

static bool has_addresses(const struct tlsrpts *t)
{
    return t->targets.n_boxes + t->targets.n_remotes > 0;
}

static void settled(struct waiter *w, enum outcome o)
{
    struct tlsrpts *t = (struct tlsrpts *)w;
    if (o == OUTCOME_SAVED && (has_addresses(t) || t->urls_n > 0))
        LOG(t->id, "tls-report", LZ("domain", t->domain), LN("day", t->day));
    if (o == OUTCOME_SAVED && has_addresses(t)) {
        struct message m = {.id = t->id,
                            .flags = CONTENT_TLS_OPTIONAL,
                            .sender = SPAN(""),
                            .client = SPAN(""),
                            .login = SPAN("")};
        dispatch_fresh_all(t->q, &m, &t->targets);
    }
    if (o == OUTCOME_SAVED && t->urls_n > 0)
        tlsrpt_posts_wake(t->posts);
    done_with_it(t);
}

static enum intake_reason deliver_report(struct tlsrpts *t, struct span content)
{
    struct content_scan scan;
    int64_t now_s = clock_wall_s();
    content_begin(&scan);
    content_add(&scan, content);
    content_end(&scan);
    struct message m = {.id = t->id,
                        .arrived = now_s,
                        .expires = now_s + TLSRPT_DAY_S, /* RFC 8460 5.4 */
                        .size = scan.octets,
                        .header = scan.header,
                        .flags = scan.flags | CONTENT_TLS_OPTIONAL};
    memcpy(m.hash, scan.hash, sizeof m.hash);
    struct delivery d = {
        .message = &m, .content = content, .targets = &t->targets, .passes_quota = true};
    return scan.is_damaged ? INTAKE_FAULT : deliver(t->q->store, &d);
}

static int write_mail(struct tlsrpts *t, const struct tlsrpt_about *about, struct span gzip)
{
    struct buf mail;
    buf_init(&mail, TLSRPT_REPORT_MAX);
    int rc = tlsrpt_compose_mail(about, gzip, &mail);
    if (rc == 0 && deliver_report(t, buf_span(&mail)) != INTAKE_OK)
        rc = -1;
    buf_free(&mail);
    return rc;
}

static int write_report(struct tlsrpts *t)
{
    struct buf gzip;
    struct tlsrpt_about about = {.id = t->id,
                                 .day = t->day,
                                 .domain = span_of(t->domain),
                                 .hostname = t->q->config->hostname,
                                 .to = {t->to, t->to_n}};
    buf_init(&gzip, TLSRPT_REPORT_MAX);
    int rc = tlsrpt_compose(t->q->store, &about, &gzip);
    struct tlsrpt_parcel parcel = {.report = t->id,
                                   .domain = about.domain,
                                   .urls = {t->urls, t->urls_n},
                                   .octets = buf_span(&gzip)};
    if (rc == 0 && has_addresses(t))
        rc = write_mail(t, &about, parcel.octets);
    if (rc == 0)
        rc = tlsrpt_posts_add(t->posts, &parcel);
    buf_free(&gzip);
    return rc;
}

static int remove_rows(struct tlsrpts *t)
{
    static const enum statement both[] = {S_TLSRPT_REMOVE, S_TLSRPT_TLSA_REMOVE};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        sqlite3_stmt *st = t->q->store->s[both[i]];
        sql_bind_i64(st, 1, t->day);
        sql_bind_text(st, 2, span_of(t->domain));
        rc = statement_run(t->q->store, both[i]);
    }
    return rc;
}

/* The report, if anybody is to have it, and that it was told. Ends in settled(). */
static void save(struct tlsrpts *t)
{
    struct batch *b = &t->q->batch;
    targets_tidy(&t->targets);
    bool is_wanted = has_addresses(t) || t->urls_n > 0;
    if (t->q->is_draining || batch_begin(b) < 0) {
        done_with_it(t);
    } else if ((is_wanted && write_report(t) < 0) || remove_rows(t) < 0) {
        LOG(0, "tls-report-not-written", LZ("domain", t->domain));
        batch_undo(b);
        done_with_it(t);
    } else {
        t->waiter.settled = settled;
        batch_keep(b, &t->waiter);
    }
}

static void resolve_next(struct tlsrpts *t);

/* Most addresses are elsewhere; one of ours would lead back to us. */
static void resolved(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct tlsrpts *t = arg;
    struct unpacker u = unpacker_on((struct span){t->to + t->to_at, t->to_n - t->to_at});
    struct rcpt to = {.address = unpack_text(&u, ADDRESS_MAX), .notify = NOTIFY_NEVER};
    const struct msg_resolve_re *re = m != NULL ? &m->resolve_re : NULL;
    t->tag = 0;
    t->to_at = t->to_n - u.left.n;
    if (re == NULL || re->verdict == VERDICT_TRY_LATER) {
        done_with_it(t); /* in the next round */
        return;
    }
    to.sealed = re->sealed;
    if (re->verdict == VERDICT_OK && re->kind == ADDRESS_FOREIGN)
        targets_add_remote(&t->targets, &to);
    else if (re->verdict == VERDICT_OK && re->kind == ADDRESS_LOCAL && t->q->has_key)
        targets_add_sealed(&t->targets, &to, t->q->key, clock_wall_s());
    resolve_next(t);
}

static void resolve_next(struct tlsrpts *t)
{
    struct unpacker u = unpacker_on((struct span){t->to + t->to_at, t->to_n - t->to_at});
    if (t->to_at == t->to_n) {
        save(t);
        return;
    }
    struct msg_resolve ask = {.address = unpack_text(&u, ADDRESS_MAX)};
    t->asked = t->q->authd;
    t->tag = u.failed ? 0 : ipc_ask_resolve(t->q->authd, &ask, -1, ASK_MS, resolved, t);
    if (t->tag == 0)
        done_with_it(t);
}

static bool is_destination(struct span to)
{
    struct addr a;
    size_t used = 0;
    struct tlsrpt_url url;
    return tlsrpt_is_url(to) ? tlsrpt_read_url(to, &url) == 0
                             : addr_parse(to, ADDR_MAILBOX, &a, &used) == 0 && used == to.n;
}

/* What policy says was text of strangers. */
static bool take_destinations(struct tlsrpts *t, struct span records)
{
    struct unpacker u = unpacker_on(records);
    struct packer addresses = packer_on(t->to, sizeof t->to);
    struct packer urls = packer_on(t->urls, sizeof t->urls);
    while (u.left.n > 0 && !u.failed) {
        struct span to = unpack_text(&u, ADDRESS_MAX);
        if (u.failed || !is_destination(to))
            return false;
        pack_bytes(tlsrpt_is_url(to) ? &urls : &addresses, to);
    }
    t->to_n = packer_span(&addresses).n;
    t->urls_n = packer_span(&urls).n;
    t->to_at = 0;
    return !addresses.failed && !urls.failed;
}

static void looked_up(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct tlsrpts *t = arg;
    t->tag = 0;
    bool is_known =
        m != NULL && m->rua_re.verdict == VERDICT_OK && take_destinations(t, m->rua_re.to);
    if (is_known)
        resolve_next(t);
    else
        done_with_it(t);
}

/* The next domain whose day is over. False: there is none in this round. */
static bool next_domain(struct tlsrpts *t)
{
    struct store *s = t->q->store;
    sqlite3_stmt *st = s->s[S_TLSRPT_NEXT];
    int64_t until_s = t->is_forced ? clock_wall_s() + TLSRPT_DAY_S : clock_wall_s() - t->spread_s;
    sql_bind_i64(st, 1, t->day);
    sql_bind_text(st, 2, span_of(t->domain));
    sql_bind_i64(st, 3, until_s / TLSRPT_DAY_S);
    bool is_found = statement_step(s, S_TLSRPT_NEXT) > 0;
    if (is_found) {
        t->day = (int64_t)sql_column_u64(st, 0);
        is_found = span_copy(t->domain, sizeof t->domain, sql_column(st, 1)) == 0;
    }
    sql_reset(st);
    return is_found;
}

static void sweep(struct queue *q)
{
    static const enum statement both[] = {S_TLSRPT_SWEEP, S_TLSRPT_TLSA_SWEEP};
    int rc = 0;
    if (batch_begin(&q->batch) < 0)
        return;
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        sql_bind_i64(q->store->s[both[i]], 1, clock_wall_s() / TLSRPT_DAY_S - KEEP_DAYS);
        rc = statement_run(q->store, both[i]);
    }
    if (rc == 0)
        batch_keep(&q->batch, NULL);
    else
        batch_undo(&q->batch);
}

static void look(void *arg)
{
    struct tlsrpts *t = arg;
    struct queue *q = t->q;
    timer_set(&t->timer, LOOK_MS);
    if (t->is_busy || q->is_draining || q->batch.is_broken ||
        q->config->relay.tls_reports != SWITCH_ON)
        return;
    if (t->day < 0)
        sweep(q);
    if (!next_domain(t)) { /* the round is over */
        t->day = -1;
        t->domain[0] = '\0';
        t->is_forced = false;
        return;
    }
    struct msg_rua ask = {.domain = span_of(t->domain)};
    t->is_busy = true;
    t->id = id_new();
    t->asked = q->policy;
    t->tag = ipc_ask_rua(q->policy, &ask, -1, ASK_MS, looked_up, t);
    if (t->tag == 0)
        done_with_it(t);
}

void tlsrpt_send(void *owner, struct admin_call *call)
{
    struct queue *q = owner;
    struct tlsrpts *t = q->tlsrpts;
    if (q->config->relay.tls_reports != SWITCH_ON) {
        admin_fail(call, VERDICT_NEVER, "[relay] tls_reports is not switched on");
        return;
    }
    t->is_forced = true;
    tlsrpt_posts_look(t->posts);
    if (!t->is_busy) {
        t->day = -1;
        t->domain[0] = '\0';
        timer_set(&t->timer, 0);
    }
    admin_done(call, 0);
}
