#include "queue/job.h"

#include "common/clock.h"
#include "common/id.h"
#include "common/log.h"
#include "common/route.h"
#include "common/stats.h"
#include "queue/bounce.h"
#include "queue/contain.h"
#include "queue/dispatch.h"
#include "queue/dsn.h"
#include "queue/lifetime.h"
#include "queue/parties.h"
#include "queue/schedule.h"
#include "queue/secured.h"

#include <sodium.h>

#define RESAVE_MS     1000
#define SOON_LOSSES   2  /* of one message, and then it waits like one that was refused */
#define DIALOGUES_MAX 20 /* of one message: the last ones */

static const char silence[] =
    "The program that sends mail from here stopped during the attempt, or did not say how it ended."
    " The message may have arrived all the same.";

void job_free(struct job *j)
{
    *j->at = j->next;
    if (j->next != NULL)
        j->next->at = j->at;
    j->q->dispatch->n_jobs--;
    stats_gauge(STAT_JOBS, -1);
    free(j->text);
    free(j->who);
    free(j);
}

/* What to tell those who wait for the same destination. */
static struct span first_complaint(const struct job *j)
{
    for (size_t i = 0; i < j->what.n; i++)
        if (j->results[i].verdict == VERDICT_TRY_LATER && j->results[i].reply.n > 0)
            return j->results[i].reply;
    return SPAN("");
}

static void job_over(struct job *j)
{
    struct queue *q = j->q;
    agenda_done(q->dispatch->agenda, &j->what, j->reach, first_complaint(j));
    bounce_kick(q); /* also if nothing failed now: it may have waited for the end of this job */
    if (j->again_s != 0)
        schedule_at(q, j->again_s);
    if (j->is_late)
        bounce_late(q, j->what.message);
    schedule_room(q);
    job_free(j);
}

static const char *event_of(const struct result *r)
{
    if (r->verdict == VERDICT_OK)
        return "delivered";
    if (r->is_held)
        return "held";
    return r->verdict == VERDICT_NEVER ? "failed" : r->is_expired ? "expired" : "deferred";
}

static void count_result(const struct job *j, const struct result *r)
{
    if (r->verdict == VERDICT_OK) {
        stats_count(STAT_DELIVERED);
        stats_time_us(STAT_TIME_DELIVERY, (clock_wall_ms() - id_wall_ms(j->what.message)) * 1000);
    } else if (r->verdict == VERDICT_NEVER || r->is_expired) {
        stats_count(STAT_BOUNCED);
    } else {
        stats_count(STAT_DEFERRED);
    }
}

/* Something came of it, and be it that there is no more time. */
static bool has_outcome(const struct job *j, const struct result *r)
{
    return j->is_answered || r->is_expired;
}

static void log_results(const struct job *j)
{
    struct unpacker rcpts = unpacker_on(j->rcpts);
    if (!j->is_answered)
        LOG(j->what.message, "relay-silent", LN("recipients", (int64_t)j->what.n));
    for (size_t i = 0; i < j->what.n && rcpts.left.n > 0; i++) {
        struct unpacker here = rcpts;
        if (unpack_uint(&here, 4) != j->what.numbers[i])
            continue; /* it was not wanted any more when the job began */
        const struct result *r = &j->results[i];
        struct span to = unpack_bytes(&here, ADDRESS_MAX);
        unpack_uint(&here, 1);
        unpack_bytes(&here, ORCPT_MAX);
        rcpts = here;
        if (!has_outcome(j, r))
            continue;
        count_result(j, r);
        LOG(j->what.message, event_of(r), LS("to", to), LS("remote", j->remote),
            LS("reply", r->reply));
    }
}

static void save_later(struct job *j)
{
    struct dispatch *d = j->q->dispatch;
    j->next_unsaved = d->unsaved;
    d->unsaved = j;
    if (!d->resave.is_set)
        timer_set(&d->resave, RESAVE_MS);
}

static void settled(struct waiter *w, enum outcome o)
{
    struct job *j = (struct job *)w;
    if (o != OUTCOME_SAVED) {
        save_later(j); /* or else it would be sent again */
        return;
    }
    log_results(j);
    job_over(j);
}

static const struct delivery_config *delivery_for(const struct job *j, const struct message *m,
                                                  const struct recipient *r)
{
    struct route route;
    route_for(j->q->config, r->domain, parties_sender(m->sender, r->sender), &route);
    return route.delivery;
}

/* What relay had may be what it dies of: at the third time it waits by the list of retries, on
 * which each of those that were lost together comes back at a time of its own. */
static int64_t again_after_loss(const struct job *j, const struct message *m,
                                const struct recipient *r, int64_t expires)
{
    int64_t now_s = clock_wall_s();
    int64_t soon = schedule_soon(now_s, j->is_lost, randombytes_random());
    if (j->n_losses <= SOON_LOSSES)
        return soon;
    int64_t later = schedule_next(delivery_for(j, m, r), j->n_losses - SOON_LOSSES, now_s, expires,
                                  randombytes_random());
    return later > soon ? later : soon;
}

/* The row after an attempt without an answer. What it came to is unknown, so it counts as no
 * attempt; but it is not tried for longer than other mail. */
static void apply_silence(struct job *j, struct result *result, const struct message *m,
                          struct recipient *r)
{
    int64_t now_s = clock_wall_s();
    struct lifetime l = lifetime_of(j->q->config, j->q->store, m, r);
    result->is_expired = now_s >= l.expires;
    if (result->is_expired) {
        result->reply = span_of(silence);
        r->state = RCPT_FAILED;
        r->status = SPAN("4.4.7"); /* RFC 3463 3.5 */
        r->remote = SPAN("");
        r->last_reply = result->reply;
        r->last_attempt = now_s;
        r->next_attempt = 0;
    } else if (r->state == RCPT_WAITING) {
        r->next_attempt = again_after_loss(j, m, r, l.expires);
    }
}

/* The recipient's row after the attempt. */
static void apply_result(struct job *j, struct result *result, const struct message *m,
                         struct recipient *r)
{
    int64_t now_s = clock_wall_s();
    struct lifetime l = {.expires = m->expires, .late = INT64_MAX};
    if (result->verdict == VERDICT_TRY_LATER)
        l = lifetime_of(j->q->config, j->q->store, m, r);
    bool is_expired = now_s >= l.expires;
    struct parties p = parties_of(m, r->sender);
    struct span why_held = contain_holds(r) ? r->last_reply : SPAN("");
    r->attempts++;
    r->last_attempt = now_s;
    r->remote = j->remote;
    r->last_reply = result->reply;
    r->dialogue = j->dialogue_id;
    if (result->is_held) {
        r->state = RCPT_HELD;
        r->next_attempt = l.expires;
    } else if (result->verdict == VERDICT_OK) {
        bool is_owed = parties_tell(&p, r->notify, NOTIFY_SUCCESS) && !j->is_told;
        r->state = is_owed ? RCPT_OWED : RCPT_DONE;
        r->outcome = DONE_RELAYED;
        r->status = dsn_status(result->reply, '2');
        r->next_attempt = 0;
    } else if (result->verdict == VERDICT_NEVER || is_expired) {
        r->state = RCPT_FAILED;
        r->next_attempt = 0;
        r->status = result->verdict == VERDICT_NEVER ? dsn_status(result->reply, '5')
                                                     : SPAN("4.4.7"); /* RFC 3463 3.5 */
        result->is_expired = result->verdict != VERDICT_NEVER;
    } else {
        bool is_held = r->state == RCPT_HELD;
        r->last_reply = why_held.n > 0 ? why_held : r->last_reply; /* which says why */
        r->next_attempt = is_held ? l.expires
                                  : schedule_next(delivery_for(j, m, r), r->attempts, now_s,
                                                  l.expires, randombytes_random());
        j->is_late |= parties_tell(&p, r->notify, NOTIFY_DELAY) && !m->is_warned && now_s >= l.late;
    }
}

static int save_recipient(struct job *j, size_t i, const struct message *m)
{
    struct recipient r = {.state = RCPT_HELD};
    enum found f = store_rcpt_get(j->q->store, j->what.message, j->what.numbers[i], &r);
    if (f == FOUND_FAULT)
        return -1;
    /* Removed meanwhile, or given up: then only a success still counts, as its sender is not told
     * before this job is over. A damaged row was set aside. */
    bool is_pending = r.state == RCPT_WAITING || r.state == RCPT_HELD;
    bool is_good_news =
        r.state == RCPT_FAILED && j->is_answered && j->results[i].verdict == VERDICT_OK;
    if (f != FOUND_YES || (!is_pending && !is_good_news))
        return 0;
    if (j->is_answered)
        apply_result(j, &j->results[i], m, &r);
    else
        apply_silence(j, &j->results[i], m, &r);
    bool has_one = has_outcome(j, &j->results[i]);
    if (r.state == RCPT_WAITING && (j->again_s == 0 || r.next_attempt < j->again_s))
        j->again_s = r.next_attempt;
    struct incident e = {.message = r.message,
                         .at = clock_wall_s(),
                         .what = has_one ? event_of(&j->results[i]) : "relay-silent",
                         .address = r.address,
                         .remote = j->is_answered ? j->remote : SPAN(""),
                         .tls = j->is_answered ? j->tls : SPAN(""),
                         .reply = has_one ? j->results[i].reply : SPAN(""),
                         .dialogue = j->dialogue_id};
    j->is_repeated |= r.attempts > 1 || r.number >= DIALOGUES_MAX;
    if (store_event_add(j->q->store, &e) < 0)
        return -1;
    return store_rcpt_set(j->q->store, &r);
}

static int save_dialogue(struct job *j)
{
    struct dialogue d = {.message = j->what.message,
                         .began_ms = j->began_ms,
                         .at = clock_wall_s(),
                         .remote = j->remote,
                         .tls = j->tls,
                         .text = j->dialogue};
    j->dialogue_id = 0;
    j->is_repeated = false;
    if (!j->is_answered || d.text.n == 0 || j->q->config->dialogues_ms == 0)
        return 0;
    return store_dialogue_add(j->q->store, &d, &j->dialogue_id);
}

/* What the servers said about the mail of one user, counted once however often it is saved. */
static int count_results(struct job *j)
{
    uint64_t n_taken = 0, n_refused = 0;
    for (size_t i = 0; j->is_answered && i < j->what.n; i++) {
        n_taken += j->results[i].verdict == VERDICT_OK;
        n_refused += j->results[i].verdict == VERDICT_NEVER;
    }
    if (j->who == NULL || n_taken + n_refused == 0)
        return 0;
    bool is_counted = j->is_counted;
    j->is_counted = true;
    return contain_results(j->q, span_of(j->who), n_taken, n_refused, is_counted);
}

static int save_all(struct job *j)
{
    struct store *store = j->q->store;
    struct message m;
    bool freed_file = false;
    enum found f = store_message_get(store, j->what.message, &m);
    int rc = f == FOUND_FAULT ? -1 : 0;
    if (f == FOUND_YES)
        rc = save_dialogue(j);
    for (size_t i = 0; f == FOUND_YES && rc == 0 && i < j->what.n; i++)
        rc = save_recipient(j, i, &m);
    store_message_end(store);
    if (rc == 0 && j->is_repeated)
        rc = store_dialogues_trim(store, j->what.message, DIALOGUES_MAX);
    if (rc == 0 && j->is_answered)
        rc = secured_learn(j->q, j->what.message, span_of(j->domain), j->secured);
    if (rc == 0)
        rc = count_results(j);
    if (rc == 0)
        rc = store_message_settle(store, j->what.message, &freed_file);
    if (freed_file)
        batch_remove_file(&j->q->batch, j->what.message);
    return rc;
}

void job_save(struct job *j)
{
    struct batch *b = &j->q->batch;
    j->is_late = false;
    j->again_s = 0;
    j->waiter.settled = settled;
    if (batch_begin(b) < 0) {
        save_later(j);
    } else if (save_all(j) < 0) {
        batch_undo(b);
        save_later(j);
    } else {
        batch_keep(b, &j->waiter);
    }
}

void job_resave(void *arg)
{
    struct queue *q = arg;
    struct job *j = q->dispatch->unsaved;
    q->dispatch->unsaved = NULL;
    while (j != NULL) {
        struct job *next = j->next_unsaved;
        job_save(j);
        j = next;
    }
}
