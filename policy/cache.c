#include "policy/cache.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/verdict.h"
#include "policy/fetch.h"

#define BUCKETS     4096
#define ENTRIES_MAX 20000
#define WAITERS_MAX 2000
#define LOOK_MS     (5 * 60 * 1000) /* RFC 8461 3.3: not more often than every five minutes */
#define DNS_MS      10000
#define QUEUE_MS    30000
#define DAY_S       86400
#define SWEEP_STEP  20 /* renewals begun in one sweep */

struct waiter {
    struct waiter *next;
    struct ipc *from; /* NULL: gone */
    uint64_t tag;
};

struct entry {
    struct entry *next; /* in its bucket */
    struct cache *cache;
    char domain[DOMAIN_MAX + 1];
    bool is_known; /* id to mx hold */
    char id[STS_ID_MAX + 1];
    enum sts_mode mode;
    int64_t fetched_s, max_age_s;
    struct buf mx;
    int64_t looked_ms;            /* 0: not yet */
    bool had_one;                 /* a policy that counted, after that look */
    bool is_undecided;            /* the last look found nothing out, by a fault of ours */
    enum tlsrpt_result fault;     /* of theirs, in that look; NOTHING */
    char seen_id[STS_ID_MAX + 1]; /* of the record, while it is fetched */
    bool is_busy;
    uint64_t dns_tag;
    struct fetch *fetch;
    struct waiter *waiters;
};

struct cache {
    struct proc *proc;
    struct tls_client *tls;
    struct entry *buckets[BUCKETS];
    size_t n, n_waiters;
    uint64_t load_tag;
    bool is_loaded;
};

static size_t bucket(struct span domain)
{
    uint32_t h = 2166136261U;
    for (size_t i = 0; i < domain.n; i++)
        h = (h ^ (unsigned char)domain.p[i]) * 16777619U;
    return h % BUCKETS;
}

static struct entry *find(struct cache *c, struct span domain)
{
    struct entry *e = c->buckets[bucket(domain)];
    while (e != NULL && !span_eq(span_of(e->domain), domain))
        e = e->next;
    return e;
}

static bool is_valid(const struct entry *e)
{
    int64_t age = clock_wall_s() - e->fetched_s;
    return e->is_known && age < e->max_age_s && age > -DAY_S;
}

static void remove_entry(struct entry **at)
{
    struct entry *e = *at;
    *at = e->next;
    e->cache->n--;
    buf_free(&e->mx);
    free(e);
}

/* That a domain has no policy can be found out again. If all have one, the one looked at longest
 * ago goes, and is fetched again when it is asked for: who publishes very many must not keep the
 * others out. */
static void make_room(struct cache *c)
{
    struct entry **oldest = NULL;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry **at = &c->buckets[i]; *at != NULL;) {
            struct entry *e = *at;
            if (!e->is_busy && !is_valid(e)) {
                remove_entry(at);
                continue;
            }
            if (!e->is_busy && (oldest == NULL || e->looked_ms < (*oldest)->looked_ms))
                oldest = at;
            at = &e->next;
        }
    if (c->n >= ENTRIES_MAX && oldest != NULL)
        remove_entry(oldest);
}

static struct entry *find_or_add(struct cache *c, struct span domain)
{
    struct entry *e = find(c, domain);
    if (e == NULL && c->n >= ENTRIES_MAX)
        make_room(c);
    if (e != NULL || c->n >= ENTRIES_MAX || (e = calloc(1, sizeof *e)) == NULL)
        return e;
    if (span_copy(e->domain, sizeof e->domain, domain) < 0) {
        free(e);
        return NULL;
    }
    struct entry **at = &c->buckets[bucket(domain)];
    e->cache = c;
    buf_init(&e->mx, STS_MX_OCTETS);
    e->next = *at;
    *at = e;
    c->n++;
    return e;
}

/* --- answers --- */

static void answer(struct ipc *to, uint64_t tag, const struct entry *e)
{
    struct msg_sts_re re = {.tag = tag, .verdict = VERDICT_OK, .mode = STS_NONE, .mx = SPAN("")};
    if (is_valid(e)) {
        re.mode = (uint8_t)e->mode;
        re.mx = buf_span(&e->mx);
    } else if (e->is_undecided) {
        re.verdict = VERDICT_TRY_LATER;
    } else {
        re.fault = (uint8_t)e->fault;
    }
    if (to != NULL)
        ipc_send_sts_re(to, &re, -1);
}

static void answer_later(struct ipc *to, uint64_t tag)
{
    struct msg_sts_re re = {.tag = tag, .verdict = VERDICT_TRY_LATER, .mx = SPAN("")};
    ipc_send_sts_re(to, &re, -1);
}

static void looked(struct entry *e)
{
    struct waiter *w = e->waiters;
    e->waiters = NULL;
    e->is_busy = false;
    e->looked_ms = e->is_undecided ? 0 : clock_mono_ms();
    e->had_one = is_valid(e);
    while (w != NULL) {
        struct waiter *next = w->next;
        answer(w->from, w->tag, e);
        free(w);
        e->cache->n_waiters--;
        w = next;
    }
}

/* --- a look --- */

/* 0, or -1 without memory: the one before stays. Patterns were checked. */
static int set_policy(struct entry *e, enum sts_mode mode, struct span mx)
{
    struct buf fresh;
    buf_init(&fresh, STS_MX_OCTETS);
    if (buf_add_span(&fresh, mx) < 0)
        return -1;
    buf_free(&e->mx);
    e->mx = fresh;
    e->is_known = true;
    e->mode = mode;
    return 0;
}

static void keep(const struct entry *e)
{
    struct msg_sts_keep m = {.domain = span_of(e->domain),
                             .id = span_of(e->id),
                             .mode = (uint8_t)e->mode,
                             .fetched = (uint64_t)e->fetched_s,
                             .max_age = (uint32_t)e->max_age_s,
                             .mx = buf_span(&e->mx)};
    struct ipc *queue = proc_peer(e->cache->proc, ROLE_QUEUE);
    if (queue != NULL)
        ipc_send_sts_keep(queue, &m, -1);
}

static void fetched(void *arg, const struct sts_policy *policy, const struct fetch_fault *fault)
{
    struct entry *e = arg;
    const char *why = fault->why;
    bool was_known = e->is_known, was_valid = is_valid(e);
    bool is_same = was_known && strcmp(e->id, e->seen_id) == 0;
    e->fetch = NULL;
    e->fault = policy == NULL ? fault->result : TLSRPT_NOTHING;
    if (policy != NULL &&
        set_policy(e, policy->mode, (struct span){policy->mx, policy->mx_n}) < 0) {
        why = "out of memory";
        policy = NULL;
        e->is_undecided = true;
    }
    if (policy == NULL) {
        LOG(0, "policy-not-fetched", LZ("domain", e->domain), LZ("because", why),
            LZ("instead", was_valid ? "the one before" : "none"));
    } else {
        memcpy(e->id, e->seen_id, sizeof e->id);
        e->fetched_s = clock_wall_s();
        e->max_age_s = policy->max_age;
        LOG(0,
            !was_known ? "policy-learnt"
            : is_same  ? "policy-renewed"
                       : "policy-changed",
            LZ("domain", e->domain), LZ("id", e->id), LZ("mode", sts_mode_name(e->mode)),
            LN("mx", (int64_t)policy->n_mx), LN("max_age", e->max_age_s));
        keep(e);
    }
    looked(e);
}

static bool is_due(const struct entry *e)
{
    int64_t renew_s = e->max_age_s / 2 < DAY_S ? e->max_age_s / 2 : DAY_S;
    return !is_valid(e) || clock_wall_s() - e->fetched_s >= renew_s;
}

static void on_txt(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct entry *e = arg;
    struct cache *c = e->cache;
    e->dns_tag = 0;
    e->fault = TLSRPT_NOTHING;
    e->is_undecided = m == NULL;
    bool is_there = m != NULL && m->dns_txt_re.verdict == VERDICT_OK &&
                    sts_read_records(m->dns_txt_re.texts, e->seen_id) == 0;
    if (!is_there && is_valid(e) && e->mode != STS_NONE)
        LOG(0, "policy-record-gone", LZ("domain", e->domain), LZ("instead", "the one before"));
    if (!is_there || (is_valid(e) && !is_due(e) && strcmp(e->id, e->seen_id) == 0)) {
        looked(e);
        return;
    }
    struct fetch_params params = {.proc = c->proc, .tls = c->tls, .domain = span_of(e->domain)};
    e->fetch = c->tls != NULL ? fetch_begin(&params, fetched, e) : NULL;
    e->is_undecided = e->fetch == NULL;
    if (e->fetch == NULL)
        looked(e);
}

static void look(struct entry *e)
{
    char name[DOMAIN_MAX + 16];
    struct proc *p = e->cache->proc;
    snprintf(name, sizeof name, "_mta-sts.%s", e->domain);
    struct msg_dns_txt ask = {.name = span_of(name)};
    e->is_busy = true;
    if (ask.name.n <= DOMAIN_MAX)
        e->dns_tag = ipc_ask_dns_txt(proc_peer(p, ROLE_RESOLVER), &ask, -1, DNS_MS, on_txt, e);
    e->is_undecided = e->dns_tag == 0 && ask.name.n <= DOMAIN_MAX;
    if (e->dns_tag == 0)
        looked(e);
}

/* That a policy ran out is no reason to do without one: there may be another. */
static bool is_fresh(const struct entry *e)
{
    return e->looked_ms != 0 && (!e->had_one || is_valid(e)) &&
           clock_mono_ms() - e->looked_ms < LOOK_MS;
}

/* Until queue has said what it kept, an empty cache does not mean that there is no policy: the
 * question waits, for mail that is due comes with the start. */
void cache_ask(struct cache *c, struct ipc *from, const struct msg_sts *m)
{
    struct entry *e = find_or_add(c, m->domain);
    struct waiter *w = NULL;
    if (e != NULL && !e->is_busy && is_fresh(e)) {
        answer(from, m->tag, e);
        return;
    }
    if (e != NULL && c->n_waiters < WAITERS_MAX)
        w = malloc(sizeof *w);
    if (w == NULL) {
        answer_later(from, m->tag);
        return;
    }
    *w = (struct waiter){.next = e->waiters, .from = from, .tag = m->tag};
    e->waiters = w;
    c->n_waiters++;
    if (!e->is_busy && c->is_loaded)
        look(e);
    e->is_busy = e->waiters != NULL; /* a look can be over at once */
}

/* All that is kept is known. */
static void loaded(struct cache *c)
{
    c->is_loaded = true;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry *e = c->buckets[i]; e != NULL; e = e->next)
            if (e->waiters != NULL)
                look(e);
}

void cache_forget(struct cache *c, const struct ipc *from)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry *e = c->buckets[i]; e != NULL; e = e->next)
            for (struct waiter *w = e->waiters; w != NULL; w = w->next)
                if (w->from == from)
                    w->from = NULL;
}

/* --- in the background --- */

void cache_sweep(struct cache *c)
{
    unsigned begun = 0;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry **at = &c->buckets[i], *e; (e = *at) != NULL;) {
            bool is_idle = !e->is_busy && !is_fresh(e);
            if (is_idle && !is_valid(e)) {
                remove_entry(at);
                continue;
            }
            at = &e->next;
            if (is_idle && is_due(e) && e->mode != STS_NONE && begun++ < SWEEP_STEP)
                look(e);
        }
}

/* --- what queue kept --- */

static void load_next(struct cache *c, struct span after);

static void load_failed(struct cache *c)
{
    c->load_tag = 0; /* the channel's next life asks again */
}

static void on_kept(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct cache *c = arg;
    const struct msg_sts_next_re *re = m != NULL ? &m->sts_next_re : NULL;
    c->load_tag = 0;
    if (re == NULL || (re->verdict != VERDICT_OK && re->verdict != VERDICT_NEVER)) {
        load_failed(c);
        return;
    }
    if (re->verdict == VERDICT_NEVER) {
        loaded(c);
        return;
    }
    struct entry *e = find_or_add(c, re->domain);
    bool is_sane = e != NULL && !e->is_known && re->mode < STS_MODES && sts_mx_is_sane(re->mx) &&
                   re->fetched <= INT64_MAX && re->max_age <= STS_AGE_MAX;
    if (is_sane && set_policy(e, (enum sts_mode)re->mode, re->mx) == 0) {
        e->fetched_s = (int64_t)re->fetched;
        e->max_age_s = re->max_age;
        span_copy(e->id, sizeof e->id, re->id);
    }
    load_next(c, re->domain);
}

static void load_next(struct cache *c, struct span after)
{
    struct msg_sts_next ask = {.after = after};
    c->load_tag = ipc_ask_sts_next(proc_peer(c->proc, ROLE_QUEUE), &ask, -1, QUEUE_MS, on_kept, c);
}

void cache_load(struct cache *c)
{
    if (!c->is_loaded && c->load_tag == 0)
        load_next(c, SPAN(""));
}

struct cache *cache_new(struct proc *p)
{
    struct cache *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->proc = p;
    return c;
}

void cache_set_tls(struct cache *c, struct tls_client *tls)
{
    tls_client_free(c->tls);
    c->tls = tls;
}
