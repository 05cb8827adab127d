#include "queue/callout_state.h"

#include "common/clock.h"
#include "common/id.h"
#include "common/idn.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/stats.h"
#include "common/verdict.h"
#include "queue/listed.h"

#include <stdlib.h>

#define UNDER_WAY_MAX 100
#define PER_ROUTE_MAX 20
#define WAITING_MAX   100   /* for one address */
#define ANSWER_MS     25000 /* smtpd waits for 30 s */
#define JOB_MS        120000

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
    return now_ms - c->failed_ms < CALLOUT_FAILED_MS ? IS_FAILED : IS_OPEN;
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
                     clock_mono_ms() - c->known_ms < CALLOUT_STALE_FACTOR * r->callout_positive_ms;
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
    return judge(q, r, callout_find(q, key), address);
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
    switch (known_of(callout_find(q, key), r)) {
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

void callout_answer_waiting(void *arg)
{
    struct callout *c = arg;
    timer_stop(&c->patience);
    while (c->waiting != NULL) {
        struct callout_waiting *w = c->waiting;
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
    callout_learn(c, v);
    callout_answer_waiting(c);
}

/* share: 1, or 2: half of it counts as all, so that others are left for who waits. */
static bool is_busy(const struct queue *q, const struct route_config *r, size_t share)
{
    const struct callouts *all = q->callouts;
    size_t n = 0, seen = 0;
    for (const struct callout *c = all->newest; c != NULL && seen < all->n_under_way; c = c->older)
        if (c->tag != 0) {
            seen++;
            n += route_backup(q->config, span_of(c->address)) == r;
        }
    return all->n_under_way >= UNDER_WAY_MAX / share || n >= PER_ROUTE_MAX / share;
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
    if (c->tag == 0)
        return -1;
    q->callouts->n_under_way++;
    stats_count(STAT_CALLOUTS);
    return 0;
}

/* False: there is no memory, or too many wait already. */
static bool wait_for(struct callout *c, struct ipc *from, uint64_t tag)
{
    size_t n = 0;
    for (const struct callout_waiting *w = c->waiting; w != NULL; w = w->next)
        n++;
    struct callout_waiting *w = n < WAITING_MAX ? malloc(sizeof *w) : NULL;
    if (w == NULL)
        return false;
    *w = (struct callout_waiting){.next = c->waiting, .from = from, .tag = tag};
    c->waiting = w;
    if (n == 0)
        timer_set(&c->patience, ANSWER_MS);
    return true;
}

/* Half of the time is over for which it is believed: asked again now, it stays known while its host
 * is gone. Nobody waits for that. */
static void refresh(struct callout *c, const struct route_config *r, struct span address)
{
    int64_t now_ms = clock_mono_ms();
    if (c->tag == 0 && now_ms - c->known_ms >= r->callout_positive_ms / 2 &&
        now_ms - c->failed_ms >= CALLOUT_FAILED_MS && !callout_is_failing(c) &&
        !is_busy(c->q, r, 2))
        ask_relay(c, address);
}

/* True: it is being asked, and the answer comes. */
static bool ask(struct queue *q, const struct route_config *r, struct ipc *from,
                const struct msg_queue_room *m)
{
    char key[ADDRESS_MAX];
    if (r->callout != SWITCH_ON || idn_fold(m->address, key, sizeof key) < 0)
        return false;
    struct callout *c = callout_find(q, key);
    if (c != NULL)
        callout_touch(c);
    enum known known = known_of(c, r);
    if (known == IS_KNOWN)
        refresh(c, r, m->address);
    if (known != IS_OPEN)
        return false;
    bool is_asked = c != NULL && c->tag != 0;
    if (!is_asked && is_busy(q, r, 1))
        return false;
    if (c == NULL)
        c = callout_add(q, key);
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
        for (struct callout_waiting **at = &c->waiting; *at != NULL;) {
            struct callout_waiting *w = *at;
            if (w->from != from) {
                at = &w->next;
                continue;
            }
            *at = w->next;
            free(w);
        }
}
