#include "queue/dispatch.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/route.h"
#include "common/stats.h"
#include "common/verdict.h"
#include "queue/bounce.h"
#include "queue/contain.h"
#include "queue/job.h"
#include "queue/parties.h"
#include "queue/postpone.h"
#include "queue/schedule.h"
#include "queue/secured.h"

#include <errno.h>
#include <sodium.h>

/* The relay answers within relay_job_ms. Silence for a minute more is "could not". */
#define EXTRA_MS     (60 * 1000)
#define PUT_OFF_STEP 25 /* messages in one turn */
#define QUIET_MS                                                                                   \
    (600 * 1000)          /* so long without a death of relay, and the next one is a first one */
#define ONE_DEATH_MS 1000 /* all jobs that it had are told within that */

static void wake(void *arg)
{
    (void)arg; /* the turn that follows does it */
}

struct dispatch *dispatch_new(struct queue *q)
{
    struct dispatch *d = calloc(1, sizeof *d);
    if (d != NULL)
        d->agenda = agenda_new();
    if (d == NULL || d->agenda == NULL) {
        free(d);
        return NULL;
    }
    timer_init(&d->resave, q->loop, job_resave, q);
    timer_init(&d->wake, q->loop, wake, q);
    agenda_set_jobs(d->agenda, q->config->relay.connections);
    return d;
}

void dispatch_free(struct queue *q)
{
    struct dispatch *d = q->dispatch;
    if (d == NULL)
        return;
    timer_stop(&d->resave);
    timer_stop(&d->wake);
    while (d->jobs != NULL) {
        ipc_cancel(q->relay, d->jobs->tag);
        job_free(d->jobs);
    }
    agenda_free(d->agenda);
    free(d);
    q->dispatch = NULL;
}

static uint64_t hash_text(uint64_t h, struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)ascii_lower(s.p[i])) * 0x100000001b3U;
    return (h ^ 0xff) * 0x100000001b3U;
}

/* The login; without one, the client and the sender, of whom what stands behind a '+' or '=' is
 * cut, as mailing lists put each recipient there. */
uint64_t dispatch_flow(struct span login, struct span client, struct span sender)
{
    struct span domain = sender;
    uint64_t h = hash_text(0xcbf29ce484222325U, login);
    if (login.n > 0)
        return h;
    struct span local = span_cut(&domain, '@');
    for (size_t i = 0; i < local.n; i++)
        if (local.p[i] == '+' || local.p[i] == '=')
            local.n = i;
    return hash_text(hash_text(hash_text(h, client), local), domain.p != NULL ? domain : SPAN(""));
}

uint64_t dispatch_forward_flow(uint64_t flow, struct span forward_sender)
{
    return forward_sender.n > 0 ? hash_text(hash_text(flow, SPAN("forwarded")), forward_sender)
                                : flow;
}

/* What keeps others from a server is what the report is about. */
static void own_lane(char lane[ROUTE_KEY_MAX])
{
    size_t n = strlen(lane);
    snprintf(lane + n, ROUTE_KEY_MAX - n, " report");
}

static void make_entry(struct queue *q, const struct dispatch_item *item, char lane[ROUTE_KEY_MAX],
                       struct agenda_entry *e)
{
    struct route route;
    route_for(q->config, span_of(item->domain), item->sender, &route);
    route_key(&route, span_of(item->domain), lane, ROUTE_KEY_MAX);
    if (item->is_report)
        own_lane(lane);
    *e = (struct agenda_entry){.message = item->message,
                               .number = item->number,
                               .flow = item->flow,
                               .lane = lane,
                               .rules = {.jobs_max = route.delivery->connections_per_destination,
                                         .rate = route.delivery->rate,
                                         .retry_ms = route.delivery->retry_ms,
                                         .n_retry = route.delivery->n_retry}};
}

enum agenda_result dispatch_add(struct queue *q, const struct dispatch_item *item)
{
    char lane[ROUTE_KEY_MAX];
    struct agenda_entry e;
    struct span why;
    make_entry(q, item, lane, &e);
    enum agenda_result result = agenda_add(q->dispatch->agenda, &e);
    if (result == AGENDA_DOWN) {
        struct agenda_job one = {.message = item->message, .n = 1, .numbers = {item->number}};
        int64_t until_ms = agenda_down(q->dispatch->agenda, lane, &why);
        postpone(q, &one, until_ms, why);
    }
    return result;
}

void dispatch_fresh_all(struct queue *q, const struct message *m, const struct targets *t)
{
    struct dispatch_item item = {.message = m->id,
                                 .is_report = (m->flags & CONTENT_TLS_OPTIONAL) != 0};
    uint64_t flow = t->n_remotes > 0 ? dispatch_flow(m->login, m->client, m->sender) : 0;
    char lane[ROUTE_KEY_MAX];
    struct agenda_entry e;
    for (size_t i = 0; i < t->n_remotes && !q->is_draining; i++) {
        struct span own = targets_path(t, m, &t->remotes[i]);
        item.number = (uint32_t)i;
        item.domain = t->remotes[i].domain;
        item.sender = parties_sender(m->sender, own);
        item.flow = dispatch_forward_flow(flow, own);
        make_entry(q, &item, lane, &e);
        if (agenda_add(q->dispatch->agenda, &e) != AGENDA_ADDED)
            schedule_kick(q);
    }
}

bool dispatch_put_off(struct queue *q)
{
    struct agenda_job job;
    struct span why;
    int64_t until_ms;
    for (int i = 0; i < PUT_OFF_STEP; i++) {
        if (!agenda_take_stuck(q->dispatch->agenda, &job, &until_ms, &why))
            return false;
        postpone(q, &job, until_ms, why);
    }
    return true;
}

void dispatch_wake(struct queue *q)
{
    agenda_wake_all(q->dispatch->agenda);
}

void dispatch_reloaded(struct queue *q)
{
    agenda_set_jobs(q->dispatch->agenda, q->config->relay.connections);
    agenda_reload(q->dispatch->agenda);
}

bool dispatch_is_active(const struct queue *q, uint64_t message, uint32_t number)
{
    return agenda_is_active(q->dispatch->agenda, message, number);
}

bool dispatch_has_active(const struct queue *q, uint64_t message)
{
    for (const struct job *j = q->dispatch->jobs; j != NULL; j = j->next)
        if (j->what.message == message)
            return true;
    return false;
}

size_t dispatch_count(const struct queue *q)
{
    return agenda_count(q->dispatch->agenda);
}

bool dispatch_is_hungry(const struct queue *q)
{
    return agenda_is_hungry(q->dispatch->agenda);
}

void dispatch_sated(struct queue *q)
{
    agenda_sated(q->dispatch->agenda);
}

size_t dispatch_jobs(const struct queue *q)
{
    return q->dispatch->n_jobs;
}

/* --- the relay's answer --- */

static void take_result(struct job *j, uint64_t number, uint64_t verdict, struct span reply)
{
    for (size_t i = 0; i < j->what.n; i++)
        if (j->what.numbers[i] == number) {
            struct result *r = &j->results[i];
            r->verdict = verdict == VERDICT_OK || verdict == VERDICT_NEVER ? (enum verdict)verdict
                                                                           : VERDICT_TRY_LATER;
            r->reply = reply;
            return;
        }
}

static struct span keep(char **at, struct span s)
{
    struct span kept = {*at, s.n};
    memcpy(*at, s.p, s.n);
    *at += s.n;
    return kept;
}

static void make_printable(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((text[i] < ' ' || text[i] > '~') && text[i] != '\n')
            text[i] = '?';
}

/* Text is copied, as the answer is gone before it is saved. A damaged record ends the list: who has
 * no result is tried again. */
static int take_answer(struct job *j, const struct msg_relay_job_re *m)
{
    j->text = malloc(m->remote.n + m->tls.n + m->dialogue.n + m->results.n + 1);
    if (j->text == NULL)
        return -1;
    char *at = j->text;
    j->remote = keep(&at, m->remote);
    j->tls = keep(&at, m->tls);
    j->began_ms = m->began_ms < INT64_MAX ? (int64_t)m->began_ms : 0;
    char *dialogue = at;
    j->dialogue = keep(&at, m->dialogue);
    make_printable(dialogue, j->dialogue.n);
    struct unpacker in = unpacker_on(keep(&at, m->results));
    while (in.left.n > 0 && !in.failed) {
        uint64_t number = unpack_uint(&in, 4), verdict = unpack_uint(&in, 1);
        struct span reply = unpack_text(&in, REPLY_MAX);
        if (!in.failed)
            take_result(j, number, verdict, reply);
    }
    j->is_told = m->told != 0;
    j->secured = m->secured <= SECURED_VERIFIED ? (enum secured)m->secured : SECURED_UNKNOWN;
    j->reach = m->reach <= REACH_DOWN ? (enum reach)m->reach : REACH_UNKNOWN;
    j->is_answered = true;
    return 0;
}

/* What relay had when it died is tried again soon, unless relay dies again and again: one of these
 * messages may be what it dies of. */
static bool is_first_loss(struct dispatch *d)
{
    int64_t now_ms = clock_mono_ms();
    if (!d->was_lost || now_ms - d->lost_ms > QUIET_MS)
        d->lost_since_ms = now_ms;
    d->was_lost = true;
    d->lost_ms = now_ms;
    return now_ms - d->lost_since_ms < ONE_DEATH_MS;
}

static void answered(void *arg, const union msg *answer, int fd)
{
    struct job *j = arg;
    if (fd >= 0)
        close(fd);
    j->is_lost = answer == NULL && !ipc_is_up(j->q->relay) && is_first_loss(j->q->dispatch);
    if (answer == NULL || take_answer(j, &answer->relay_job_re) < 0)
        j->is_answered = false;
    if (!j->is_answered)
        j->n_losses =
            losses_add(&j->q->dispatch->losses, j->what.message, clock_mono_ms(), ONE_DEATH_MS);
    job_save(j);
}

/* --- starting --- */

struct start {
    struct msg_relay_job m;
    char rcpts[LIST_MAX];
    char domain[DOMAIN_MAX + 1];
    char path[ADDRESS_MAX + 1]; /* the sender of its recipients; "": of the message */
    unsigned char hash[CONTENT_HASH];
    struct span who; /* whom it counts for */
    int fd;
};

/* What is damaged must not be sent on, and what to do about it nobody but a person can decide. */
static void hold(struct queue *q, uint64_t message, const uint32_t *numbers, size_t n)
{
    LOG(message, "damaged", LN("recipients", (int64_t)n), LZ("state", "held"));
    if (batch_begin(&q->batch) < 0)
        return;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = store_rcpt_set_state(q->store, message, numbers[i], RCPT_HELD, 0);
    if (rc == 0)
        batch_keep(&q->batch, NULL);
    else
        batch_undo(&q->batch);
}

/* The recipients that still want to be tried; the others are forgotten with the job. */
static int read_rcpts(struct queue *q, const struct agenda_job *what, struct start *s)
{
    struct packer w = packer_on(s->rcpts, sizeof s->rcpts);
    struct recipient r;
    for (size_t i = 0; i < what->n; i++) {
        enum found f = store_rcpt_get(q->store, what->message, what->numbers[i], &r);
        if (f == FOUND_FAULT)
            return -1;
        if (f == FOUND_DAMAGED)
            hold(q, what->message, &what->numbers[i], 1);
        if (f != FOUND_YES || r.state != RCPT_WAITING)
            continue;
        if (w.n == 0) {
            span_copy(s->domain, sizeof s->domain, r.domain);
            span_copy(s->path, sizeof s->path, r.sender);
        }
        if (!span_eq(r.sender, span_of(s->path)))
            continue; /* two flows that look alike: it is put off, as without an answer */
        pack_uint(&w, r.number, 4);
        pack_bytes(&w, r.address);
        pack_uint(&w, r.notify, 1);
        pack_bytes(&w, r.orcpt);
    }
    s->m.rcpts = packer_span(&w);
    return w.failed ? -1 : 0;
}

/* The message's part of the job; its spans hold until store_message_end. */
static enum found read_message(struct queue *q, uint64_t id, struct start *s)
{
    struct message m;
    enum found f = store_message_get(q->store, id, &m);
    if (f != FOUND_YES)
        return f;
    struct parties p = parties_of(&m, span_of(s->path));
    s->m.id = id;
    s->who = contain_who(m.login, m.client);
    s->m.sender = p.sender;
    s->m.domain = span_of(s->domain);
    s->m.flags = m.flags;
    s->m.requires_tls = (m.flags & CONTENT_REQUIRETLS) != 0;
    s->m.size = m.size;
    memcpy(s->hash, m.hash, sizeof s->hash);
    s->m.hash = (struct span){(const char *)s->hash, sizeof s->hash};
    s->m.ret = p.ret;
    s->m.envid = p.envid;
    if (!m.is_spooled) {
        f = store_message_content(q->store, &m, &s->m.content);
        return f == FOUND_YES && s->m.content.n > CHUNK_MAX ? FOUND_DAMAGED : f;
    }
    s->fd = spool_read(&q->spool, id, m.size);
    q->spool.has_worked |= s->fd >= 0;
    if (s->fd >= 0)
        return FOUND_YES;
    bool is_shortage = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
    if (is_shortage) { /* of ours; it lasts, and is met by each message */
        spool_failed(&q->spool, "open");
        return FOUND_FAULT;
    }
    LOG(id, "spool-not-read", LZ("because", strerror(errno)));
    return FOUND_DAMAGED;
}

_Static_assert(RELAY_RCPTS_MAX *(4 + 4 + RCPT_ADDRESS_MAX + 1 + 4 + ORCPT_MAX) <= LIST_MAX,
               "the recipients of a job fit");

enum started { STARTED, NOT_WANTED, NOT_NOW };

static struct job *new_job(struct queue *q, const struct agenda_job *what, struct span rcpts)
{
    struct dispatch *d = q->dispatch;
    struct job *j = calloc(1, sizeof *j + rcpts.n);
    if (j == NULL)
        return NULL;
    *j = (struct job){.q = q, .what = *what, .next = d->jobs, .at = &d->jobs};
    j->remote = j->tls = SPAN("");
    if (j->next != NULL)
        j->next->at = &j->next;
    d->jobs = j;
    d->n_jobs++;
    stats_gauge(STAT_JOBS, 1);
    memcpy(j->octets, rcpts.p, rcpts.n);
    j->rcpts = (struct span){j->octets, rcpts.n};
    for (size_t i = 0; i < what->n; i++)
        j->results[i] = (struct result){.verdict = VERDICT_TRY_LATER, .reply = SPAN("")};
    return j;
}

/* A route that sends nothing decides by itself. */
static void decide(struct job *j, const struct route *route)
{
    bool is_held = route_kind(route) == HOP_HOLD;
    for (size_t i = 0; i < j->what.n; i++)
        j->results[i] =
            (struct result){.verdict = is_held ? VERDICT_TRY_LATER : VERDICT_OK,
                            .is_held = is_held,
                            .reply = is_held ? SPAN("held by its route in the configuration")
                                             : SPAN("discarded by its route in the configuration")};
    j->is_answered = true;
    job_save(j);
}

static enum started ask_relay(struct queue *q, const struct agenda_job *what, struct start *s)
{
    struct route route;
    struct job *j = new_job(q, what, s->m.rcpts);
    if (j == NULL)
        return NOT_NOW;
    j->who = s->who.n > 0 ? span_dup(s->who) : NULL; /* without memory it is not counted */
    route_for(q->config, s->m.domain, s->m.sender, &route);
    if (route_kind(&route) != HOP_SMTP) {
        decide(j, &route);
        return STARTED;
    }
    span_copy(j->domain, sizeof j->domain, s->m.domain);
    s->m.expects_tls = secured_expects(q, s->m.domain);
    int64_t deadline_ms = relay_job_ms(s->m.size) + EXTRA_MS;
    j->tag = ipc_ask_relay_job(q->relay, &s->m, s->fd, deadline_ms, answered, j);
    if (j->tag != 0)
        return STARTED;
    job_free(j);
    return NOT_NOW;
}

static enum started start_job(struct queue *q, const struct agenda_job *what)
{
    static struct start s;
    enum started result = NOT_WANTED;
    s.m = (struct msg_relay_job){.content = SPAN("")};
    s.fd = -1;
    s.who = SPAN("");
    s.path[0] = '\0';
    if (read_rcpts(q, what, &s) < 0)
        return NOT_NOW;
    enum found f = s.m.rcpts.n > 0 ? read_message(q, what->message, &s) : FOUND_NONE;
    if (f == FOUND_YES)
        result = ask_relay(q, what, &s);
    else if (f == FOUND_FAULT)
        result = NOT_NOW;
    store_message_end(q->store);
    if (s.fd >= 0)
        close(s.fd);
    if (f == FOUND_DAMAGED)
        hold(q, what->message, what->numbers, what->n);
    return result;
}

void dispatch_run(struct queue *q)
{
    struct agenda_job what;
    bool is_possible = q->relay != NULL && !q->is_draining;
    if (!is_possible)
        return;
    int64_t wake_ms = agenda_wake(q->dispatch->agenda);
    timer_stop(&q->dispatch->wake);
    if (wake_ms > 0)
        timer_set(&q->dispatch->wake, wake_ms);
    while (is_possible && agenda_take(q->dispatch->agenda, &what)) {
        switch (start_job(q, &what)) {
        case STARTED:
            break;
        case NOT_WANTED:
            agenda_done(q->dispatch->agenda, &what, REACH_UNKNOWN, SPAN(""));
            schedule_room(q);
            break;
        case NOT_NOW:
            agenda_put_back(q->dispatch->agenda, &what);
            is_possible = false;
            schedule_kick(q); /* for a turn a little later */
        }
    }
}
