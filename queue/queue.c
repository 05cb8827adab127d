#include "queue/queue.h"

#include "common/log.h"
#include "common/maildb.h"
#include "queue/backup.h"
#include "queue/bounce.h"
#include "queue/boxes.h"
#include "queue/callout.h"
#include "queue/contain.h"
#include "queue/counts.h"
#include "queue/devices.h"
#include "queue/dispatch.h"
#include "queue/intake.h"
#include "queue/local.h"
#include "queue/recover.h"
#include "queue/release.h"
#include "queue/retention.h"
#include "queue/schedule.h"
#include "queue/tidy.h"
#include "queue/tlsrpt.h"
#include "queue/trash.h"

#define ROUNDS 3 /* of a turn: what a commit set off may be committed in the same turn */

static void woken(void *arg)
{
    (void)arg; /* that the loop turned is all that was wanted */
}

static int make_parts(struct queue *q, struct error *e)
{
    q->intakes = intakes_new();
    q->locals = locals_new();
    q->boxes = boxes_new(q);
    q->devices = devices_new(q);
    q->trash = trash_new(q);
    q->retention = retention_new(q);
    q->tidy = tidy_new(q);
    q->schedule = schedule_new(q);
    q->dispatch = dispatch_new(q);
    q->bounces = bounces_new(q);
    q->contains = contains_new(q);
    q->counts = counts_new(q);
    q->notices = notices_new(q);
    q->releases = releases_new(q);
    q->callouts = callouts_new(q);
    q->tlsrpts = tlsrpts_new(q);
    if (q->intakes == NULL || q->locals == NULL || q->boxes == NULL || q->trash == NULL ||
        q->retention == NULL || q->devices == NULL || q->tidy == NULL || q->schedule == NULL ||
        q->dispatch == NULL || q->bounces == NULL || q->contains == NULL || q->counts == NULL ||
        q->notices == NULL || q->releases == NULL || q->callouts == NULL || q->tlsrpts == NULL)
        return error_set(e, "out of memory");
    return 0;
}

struct queue *queue_open(struct loop *loop, const struct config *config, struct error *e)
{
    struct queue *q = calloc(1, sizeof *q);
    if (q == NULL) {
        error_set(e, "out of memory");
        return NULL;
    }
    q->loop = loop;
    q->config = config;
    q->spool.dirfd = -1;
    timer_init(&q->wake, loop, woken, q);
    backup_clear();
    if (spool_open(&q->spool, e) == 0)
        q->store = store_open(MAILDB_PATH, e);
    if (q->store != NULL)
        store_trace(q->store, config->trace_ms > 0);
    batch_init(&q->batch, q->store, &q->spool);
    if (q->store != NULL && make_parts(q, e) == 0 && recover_spool(q, e) == 0)
        return q;
    queue_close(q);
    return NULL;
}

void queue_close(struct queue *q)
{
    if (q == NULL)
        return;
    if (q->store != NULL)
        store_rollback(q->store);
    timer_stop(&q->wake);
    backup_end(q);
    intakes_free(q);
    locals_free(q->locals);
    boxes_free(q);
    devices_free(q);
    trash_free(q);
    retention_free(q);
    tidy_free(q);
    schedule_free(q);
    dispatch_free(q);
    bounces_free(q);
    contains_free(q);
    counts_free(q);
    notices_free(q);
    releases_free(q);
    callouts_free(q);
    tlsrpts_free(q);
    batch_free(&q->batch);
    store_close(q->store);
    spool_close(&q->spool);
    free(q);
}

void queue_turn(struct queue *q)
{
    bool has_more = true, more_to_copy = false;
    for (int i = 0; i < ROUNDS && has_more && !q->batch.is_broken; i++) {
        batch_commit(&q->batch);
        /* Nothing is open here: what is read from now on is on disk, and may be acted upon. */
        if (i == 0)
            more_to_copy = backup_run(q);
        has_more = schedule_run(q);
        batch_commit(&q->batch);
        dispatch_run(q);
        bounce_run(q);
        has_more |= contain_run(q);
        callouts_run(q);
        has_more |= boxes_sweep(q);
        has_more |= devices_review(q);
        has_more |= trash_run(q);
        has_more |= batch_is_open(&q->batch);
    }
    has_more |= more_to_copy;
    if (!q->batch.is_broken && !has_more)
        tidy_run(q);
    has_more |= batch_is_open(&q->batch);
    if (store_fault(q->store) == STORE_FAULT_STOP)
        q->batch.is_broken = true;
    if (q->batch.is_broken)
        batch_commit(&q->batch); /* tells everybody that it was not done */
    else if (has_more)
        timer_set(&q->wake, 0);
}

bool queue_is_idle(const struct queue *q)
{
    return intake_count(q) == 0 && dispatch_jobs(q) == 0 && bounce_count(q) == 0 &&
           notices_are_idle(q) && release_count(q) == 0 && !batch_is_open(&q->batch);
}

void queue_peer_up(struct queue *q, enum role role, struct ipc *ch)
{
    if (role == ROLE_AUTHD) {
        q->authd = ch;
        bounce_kick(q);
        notices_kick(q);
        schedule_rewind(q); /* what could not be released without it */
    } else if (role == ROLE_RELAY) {
        q->relay = ch;
    } else if (role == ROLE_POLICY) {
        q->policy = ch;
    }
}

void queue_peer_down(struct queue *q, enum role role, struct ipc *ch)
{
    if (role == ROLE_SMTPD || role == ROLE_CLI)
        intake_channel_closed(q, ch);
    if (role == ROLE_SMTPD)
        callout_channel_closed(q, ch);
    if (role == ROLE_CLI)
        backup_channel_closed(q, ch);
    if (role == ROLE_MAILBOX || role == ROLE_AUTHD)
        boxes_channel_closed(q, ch);
    if (role == ROLE_AUTHD)
        devices_channel_closed(q, ch);
    if (q->authd == ch)
        q->authd = NULL;
    if (q->relay == ch)
        q->relay = NULL;
    if (q->policy == ch)
        q->policy = NULL;
}

void queue_set_key(struct queue *q, const struct msg_seal_key *m)
{
    q->has_key = m->key.n == sizeof q->key;
    if (q->has_key)
        memcpy(q->key, m->key.p, sizeof q->key);
    else
        LOG(0, "seal-key-refused", LN("octets", (int64_t)m->key.n));
}
