#include "queue/callout.h"

#include "common/clock.h"
#include "common/id.h"
#include "common/idn.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/route.h"
#include "common/verdict.h"
#include "queue/intake.h"
#include "queue/listed.h"

#include <sodium.h>
#include <stdlib.h>

#define KEPT_MAX      10000 /* addresses */
#define BUCKETS       4096
#define UNDER_WAY_MAX 100
#define PER_ROUTE_MAX 20
#define WAITING_MAX   100   /* for one address */
#define ANSWER_MS     25000 /* smtpd waits for 30 s */
#define JOB_MS        120000
#define FAILED_MS     60000
#define STALE_FACTOR  4
#define NEVER_MS      (INT64_MIN / 4) /* "at" of what never was */

struct waiting {
    struct waiting *next;
    struct ipc *from;
    uint64_t tag;
};

/* What is known of one address. */
struct callout {
    struct callout *next; /* in its bucket */
    struct callout *older, *newer;
    struct queue *q;
    uint64_t hash;
    int64_t known_ms, nobody_ms, failed_ms; /* when it was found out, by the monotonic clock */
    uint64_t tag;                           /* relay was asked; 0: it is not */
    struct waiting *waiting;
    struct timer patience; /* of those who wait */
    char address[];
};

struct callouts {
    struct callout *buckets[BUCKETS];
    struct callout *oldest, *newest;
    size_t n, n_under_way;
    unsigned char key[crypto_shorthash_KEYBYTES]; /* nobody can choose one bucket for all */
    struct listed **lists;                        /* of the routes, NULL: none */
    size_t n_lists;
};

struct callouts *callouts_new(struct queue *q)
{
    (void)q;
    struct callouts *all = calloc(1, sizeof *all);
    if (all != NULL)
        crypto_shorthash_keygen(all->key);
    return all;
}

/* --- lists --- */

void callouts_drop_lists(struct queue *q)
{
    struct callouts *all = q->callouts;
    for (size_t i = 0; i < all->n_lists; i++)
        listed_free(all->lists[i]);
    free(all->lists);
    all->lists = NULL;
    all->n_lists = 0;
}

void callouts_set_list(struct queue *q, size_t route, struct span text)
{
    struct callouts *all = q->callouts;
    size_t n_bad = 0;
    if (route >= q->config->n_routes)
        return;
    if (all->lists == NULL) {
        all->lists = alloc_array(q->config->n_routes, sizeof(struct listed *));
        all->n_lists = all->lists != NULL ? q->config->n_routes : 0;
    }
    struct listed *l = all->lists != NULL ? listed_new(text, &n_bad) : NULL;
    if (l == NULL) {
        LOG(0, "no-recipient-list", LZ("route", q->config->routes[route].domain),
            LZ("because", "out of memory"));
        return;
    }
    all->lists[route] = l;
    LOG(0, "recipient-list", LZ("route", q->config->routes[route].domain),
        LN("addresses", (int64_t)listed_count(l)), LN("ignored_lines", (int64_t)n_bad));
}

/* NULL: it has none, or it could not be read. */
static const struct listed *list_of(const struct queue *q, const struct route_config *r)
{
    size_t i = (size_t)(r - q->config->routes);
    return i < q->callouts->n_lists ? q->callouts->lists[i] : NULL;
}

/* --- what is kept --- */

static uint64_t hash_of(const struct callouts *all, const char *key)
{
    unsigned char out[crypto_shorthash_BYTES];
    uint64_t h;
    crypto_shorthash(out, (const unsigned char *)key, strlen(key), all->key);
    memcpy(&h, out, sizeof h);
    return h;
}

static struct callout *find(const struct callouts *all, const char *key)
{
    uint64_t h = hash_of(all, key);
    struct callout *c = all->buckets[h % BUCKETS];
    while (c != NULL && (c->hash != h || strcmp(c->address, key) != 0))
        c = c->next;
    return c;
}

static void link_newest(struct callouts *all, struct callout *c)
{
    c->newer = NULL;
    c->older = all->newest;
    *(c->older != NULL ? &c->older->newer : &all->oldest) = c;
    all->newest = c;
}

static void unlink_age(struct callouts *all, struct callout *c)
{
    *(c->older != NULL ? &c->older->newer : &all->oldest) = c->newer;
    *(c->newer != NULL ? &c->newer->older : &all->newest) = c->older;
}

static void drop(struct callouts *all, struct callout *c)
{
    struct callout **at = &all->buckets[c->hash % BUCKETS];
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    unlink_age(all, c);
    all->n--;
    timer_stop(&c->patience);
    while (c->waiting != NULL) {
        struct waiting *w = c->waiting;
        c->waiting = w->next;
        free(w);
    }
    free(c);
}

/* The one nobody asked about for longest makes room, but none that is being asked about. */
static void make_room(struct callouts *all)
{
    struct callout *c = all->oldest;
    while (c != NULL && c->tag != 0)
        c = c->newer;
    if (all->n >= KEPT_MAX && c != NULL)
        drop(all, c);
}

static void answer_waiting(void *arg);

static struct callout *add(struct queue *q, const char *key)
{
    struct callouts *all = q->callouts;
    make_room(all);
    struct callout *c = calloc(1, sizeof *c + strlen(key) + 1);
    if (c == NULL)
        return NULL;
    memcpy(c->address, key, strlen(key) + 1);
    c->q = q;
    c->known_ms = c->nobody_ms = c->failed_ms = NEVER_MS;
    c->hash = hash_of(all, key);
    struct callout **bucket = &all->buckets[c->hash % BUCKETS];
    c->next = *bucket;
    *bucket = c;
    link_newest(all, c);
    all->n++;
    timer_init(&c->patience, q->loop, answer_waiting, c);
    return c;
}

void callouts_free(struct queue *q)
{
    struct callouts *all = q->callouts;
    if (all == NULL)
        return;
    callouts_drop_lists(q);
    while (all->oldest != NULL) {
        if (all->oldest->tag != 0)
            ipc_cancel(q->relay, all->oldest->tag);
        drop(all, all->oldest);
    }
    free(all);
    q->callouts = NULL;
}

/* --- judging --- */

enum known { IS_KNOWN, IS_NOBODY, IS_OPEN, IS_FAILED };

static enum known known_of(const struct callout *c, const struct route_config *r)
{
    int64_t now_ms = clock_mono_ms();
    if (c == NULL)
        return IS_OPEN;
    if (c->known_ms > c->nobody_ms && now_ms - c->known_ms < r->callout_positive_ms)
        return IS_KNOWN;
    if (c->nobody_ms > c->known_ms && now_ms - c->nobody_ms < r->callout_negative_ms)
        return IS_NOBODY;
    return now_ms - c->failed_ms < FAILED_MS ? IS_FAILED : IS_OPEN;
}

static enum intake_reason by_list(const struct listed *l, struct span address)
{
    if (l == NULL)
        return INTAKE_UNVERIFIED;
    return listed_has(l, address) ? INTAKE_OK : INTAKE_NOBODY;
}

/* The host cannot be asked: who is listed, or was known not too long ago, is taken. */
static enum intake_reason unasked(const struct queue *q, const struct route_config *r,
                                  const struct callout *c, struct span address)
{
    bool was_known = c != NULL && c->known_ms > c->nobody_ms &&
                     clock_mono_ms() - c->known_ms < STALE_FACTOR * r->callout_positive_ms;
    if (was_known || by_list(list_of(q, r), address) == INTAKE_OK)
        return INTAKE_OK;
    return INTAKE_UNVERIFIED;
}

static enum intake_reason judge(const struct queue *q, const struct route_config *r,
                                const struct callout *c, struct span address)
{
    if (r->callout != SWITCH_ON)
        return by_list(list_of(q, r), address);
    switch (known_of(c, r)) {
    case IS_KNOWN:
        return INTAKE_OK;
    case IS_NOBODY:
        return INTAKE_NOBODY;
    default:
        return unasked(q, r, c, address);
    }
}

enum intake_reason callout_judge(struct queue *q, struct span address)
{
    char key[ADDRESS_MAX];
    const struct route_config *r = route_backup(q->config, address);
    if (r == NULL)
        return INTAKE_RELAYING;
    if (idn_fold(address, key, sizeof key) < 0)
        return INTAKE_UNVERIFIED;
    return judge(q, r, find(q->callouts, key), address);
}

const char *callout_explain(struct queue *q, struct span address, bool *is_open)
{
    char key[ADDRESS_MAX];
    const struct route_config *r = route_backup(q->config, address);
    *is_open = false;
    if (r == NULL || idn_fold(address, key, sizeof key) < 0)
        return "not an address of a backup_mx route";
    if (r->callout != SWITCH_ON) {
        const struct listed *l = list_of(q, r);
        return l == NULL                ? "the file of its recipients could not be read"
               : listed_has(l, address) ? "it is in the file of its recipients"
                                        : "it is not in the file of its recipients";
    }
    switch (known_of(find(q->callouts, key), r)) {
    case IS_KNOWN:
        return "its host said that it exists";
    case IS_NOBODY:
        return "its host said that it does not exist";
    case IS_FAILED:
        return "its host could not be asked a moment ago";
    default:
        *is_open = true;
        return "its host is asked when mail comes";
    }
}

/* --- asking --- */

static void answer(struct ipc *from, uint64_t tag, enum intake_reason reason)
{
    struct msg_queue_room_re re = {
        .tag = tag, .verdict = (uint8_t)intake_verdict(reason), .reason = (uint8_t)reason};
    ipc_send_queue_room_re(from, &re, -1);
}

static void answer_waiting(void *arg)
{
    struct callout *c = arg;
    timer_stop(&c->patience);
    while (c->waiting != NULL) {
        struct waiting *w = c->waiting;
        c->waiting = w->next;
        answer(w->from, w->tag, callout_judge(c->q, span_of(c->address)));
        free(w);
    }
}

/* The verdict about the only recipient; without one, or with a damaged record: later. */
static enum verdict verdict_of(const struct msg_relay_job_re *re)
{
    struct unpacker in = unpacker_on(re->results);
    unpack_uint(&in, 4);
    uint64_t v = unpack_uint(&in, 1);
    unpack_text(&in, REPLY_MAX);
    bool is_verdict = unpack_done(&in) && (v == VERDICT_OK || v == VERDICT_NEVER);
    return is_verdict ? (enum verdict)v : VERDICT_TRY_LATER;
}

static void answered(void *arg, const union msg *m, int fd)
{
    struct callout *c = arg;
    enum verdict v = m != NULL ? verdict_of(&m->relay_job_re) : VERDICT_TRY_LATER;
    if (fd >= 0)
        close(fd);
    c->tag = 0;
    c->q->callouts->n_under_way--;
    if (v == VERDICT_OK) {
        c->known_ms = clock_mono_ms();
        c->nobody_ms = NEVER_MS;
    } else if (v == VERDICT_NEVER) {
        c->nobody_ms = clock_mono_ms();
        c->known_ms = NEVER_MS;
    } else {
        c->failed_ms = clock_mono_ms();
    }
    answer_waiting(c);
}

static bool is_busy(const struct queue *q, const struct route_config *r)
{
    const struct callouts *all = q->callouts;
    size_t n = 0, seen = 0;
    for (const struct callout *c = all->newest; c != NULL && seen < all->n_under_way; c = c->older)
        if (c->tag != 0) {
            seen++;
            n += route_backup(q->config, span_of(c->address)) == r;
        }
    return all->n_under_way >= UNDER_WAY_MAX || n >= PER_ROUTE_MAX;
}

/* As one recipient of a message that does not exist. 0, or -1: it cannot be asked now. */
static int ask_relay(struct callout *c, struct span address)
{
    static const char hash[CONTENT_HASH];
    struct queue *q = c->q;
    char rcpt[ADDRESS_MAX + 16];
    struct packer w = packer_on(rcpt, sizeof rcpt);
    struct span domain = address;
    span_cut(&domain, '@');
    for (struct span rest = domain; rest.p != NULL; span_cut(&rest, '@'))
        domain = rest; /* what follows the last one */
    pack_uint(&w, 1, 4);
    pack_bytes(&w, address);
    pack_uint(&w, 0, 1);
    pack_bytes(&w, SPAN(""));
    struct msg_relay_job m = {.id = id_new(),
                              .domain = domain,
                              .is_callout = 1,
                              .hash = {hash, sizeof hash},
                              .rcpts = packer_span(&w)};
    if (w.failed || q->relay == NULL || q->is_draining)
        return -1;
    c->tag = ipc_ask_relay_job(q->relay, &m, -1, JOB_MS, answered, c);
    q->callouts->n_under_way += c->tag != 0;
    return c->tag != 0 ? 0 : -1;
}

/* False: there is no memory, or too many wait already. */
static bool wait_for(struct callout *c, struct ipc *from, uint64_t tag)
{
    size_t n = 0;
    for (const struct waiting *w = c->waiting; w != NULL; w = w->next)
        n++;
    struct waiting *w = n < WAITING_MAX ? malloc(sizeof *w) : NULL;
    if (w == NULL)
        return false;
    *w = (struct waiting){.next = c->waiting, .from = from, .tag = tag};
    c->waiting = w;
    if (n == 0)
        timer_set(&c->patience, ANSWER_MS);
    return true;
}

/* True: it is being asked, and the answer comes. */
static bool ask(struct queue *q, const struct route_config *r, struct ipc *from,
                const struct msg_queue_room *m)
{
    char key[ADDRESS_MAX];
    if (r->callout != SWITCH_ON || idn_fold(m->address, key, sizeof key) < 0)
        return false;
    struct callout *c = find(q->callouts, key);
    if (c != NULL) { /* it was asked about last */
        unlink_age(q->callouts, c);
        link_newest(q->callouts, c);
    }
    if (known_of(c, r) != IS_OPEN)
        return false;
    bool is_asked = c != NULL && c->tag != 0;
    if (!is_asked && is_busy(q, r))
        return false;
    if (c == NULL)
        c = add(q, key);
    return c != NULL && (is_asked || ask_relay(c, m->address) == 0) && wait_for(c, from, m->tag);
}

void callout_ask(struct queue *q, struct ipc *from, const struct msg_queue_room *m)
{
    const struct route_config *r = route_backup(q->config, m->address);
    if (r == NULL || !ask(q, r, from, m))
        answer(from, m->tag, callout_judge(q, m->address));
}

void callout_channel_closed(struct queue *q, const struct ipc *from)
{
    for (struct callout *c = q->callouts->oldest; c != NULL; c = c->newer)
        for (struct waiting **at = &c->waiting; *at != NULL;) {
            struct waiting *w = *at;
            if (w->from != from) {
                at = &w->next;
                continue;
            }
            *at = w->next;
            free(w);
        }
}
