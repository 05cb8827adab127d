#include "relay/job_state.h"

#include "common/addr.h"
#include "common/clock.h"
#include "common/content.h"
#include "common/id.h"
#include "common/idn.h"
#include "common/log.h"
#include "common/route.h"
#include "relay/tally.h"

#include <sodium.h>

/* --- answering --- */

static void log_result(const struct job *j, size_t rcpt, enum verdict v, struct span text)
{
    if (j->mail.is_callout) {
        static const char *const said[] = {
            [VERDICT_OK] = "known", [VERDICT_TRY_LATER] = "undecided", [VERDICT_NEVER] = "unknown"};
        LOG(j->id, "call-out", LS("to", j->rcpts[rcpt].address), LZ("remote", j->remote),
            LZ("recipient", said[v]), LS("reply", text));
        return;
    }
    const char *event = v == VERDICT_OK ? "sent" : v == VERDICT_NEVER ? "failed" : "deferred";
    LOG(j->id, event, LS("to", j->rcpts[rcpt].address), LZ("remote", j->remote),
        LZ("tls", j->protection), LS("reply", text),
        LN("delay_ms", clock_wall_ms() - id_wall_ms(j->id)));
}

/* "Must issue a STARTTLS command first" (RFC 3207 4), after just that did not work: not now. */
static bool is_for_want_of_tls(const struct job *j, struct span text)
{
    return j->is_hopeless && span_istarts(text, SPAN("530"));
}

static void record(struct job *j, size_t rcpt, enum verdict v, struct span text)
{
    if (j->has_result[rcpt])
        return;
    if (is_for_want_of_tls(j, text)) {
        v = VERDICT_TRY_LATER;
        j->is_barred = true;
        memo_drop(&j->relay->no_tls, &j->plan.to);
    }
    if (text.n > REPLY_MAX)
        text.n = REPLY_MAX;
    j->has_result[rcpt] = true;
    if (v == VERDICT_OK)
        j->reach = REACH_OK;
    pack_uint(&j->results, j->numbers[rcpt], 4);
    pack_uint(&j->results, v, 1);
    pack_bytes(&j->results, text);
    log_result(j, rcpt, v, text);
}

static void record_rest(struct job *j, enum verdict v, struct span text)
{
    for (size_t i = 0; i < j->mail.n_rcpts; i++)
        record(j, i, v, text);
}

static void free_job(struct job *j)
{
    struct relay *r = j->relay;
    timer_stop(&j->deadline);
    ipc_cancel(proc_peer(r->proc, ROLE_RESOLVER), j->dns_tag);
    ipc_cancel(proc_peer(r->proc, ROLE_POLICY), j->sts_tag);
    free(j->sts_mx);
    client_free(j->client);
    if (j->turn.is_waiting)
        pool_withdraw(&r->pool, &j->turn);
    else if (j->turn.dest != NULL)
        pool_give(&r->pool, &j->turn, NULL);
    if (j->fd >= 0)
        close(j->fd);
    free(j->tlsa);
    dialogue_free(&j->dialogue);
    *(j->prev != NULL ? &j->prev->next : &r->jobs) = j->next;
    if (j->next != NULL)
        j->next->prev = j->prev;
    if (r->n_jobs-- == JOBS_MAX && r->paused != NULL) {
        ipc_pause(r->paused, false);
        r->paused = NULL;
    }
    free(j);
}

/* Answers and is gone. */
static void finish(struct job *j)
{
    char dialogue[DIALOGUE_MAX];
    struct msg_relay_job_re re = {.tag = j->tag,
                                  .reach = (uint8_t)j->reach,
                                  .remote = span_of(j->remote),
                                  .told = j->is_told,
                                  .tls = span_of(j->protection),
                                  .secured = (uint8_t)j->secured,
                                  .results = packer_span(&j->results),
                                  .began_ms = (uint64_t)j->dialogue.wall_ms,
                                  .dialogue = dialogue_text(&j->dialogue, dialogue)};
    ipc_send_relay_job_re(j->from, &re, -1);
    free_job(j);
}

void job_finish_all(struct job *j, enum verdict v, struct span text)
{
    /* Who never came to RCPT was told nothing about who exists. */
    record_rest(j, j->mail.is_callout ? VERDICT_TRY_LATER : v, text);
    finish(j);
}

static void took_too_long(void *arg)
{
    struct job *j = arg;
    j->reach = REACH_LOST;
    dialogue_addf(&j->dialogue, "the attempt took too long");
    job_finish_all(j, VERDICT_TRY_LATER, SPAN("451 4.4.7 the attempt took too long"));
}

/* --- the client's callbacks --- */

/* Puts a recipient that has its result behind those that are sent to. */
static void set_apart(struct job *j, size_t i)
{
    size_t last = --j->mail.n_rcpts;
    struct client_rcpt rcpt = j->rcpts[i];
    uint32_t number = j->numbers[i];
    bool has_result = j->has_result[i];
    j->rcpts[i] = j->rcpts[last];
    j->numbers[i] = j->numbers[last];
    j->has_result[i] = j->has_result[last];
    j->rcpts[last] = rcpt;
    j->numbers[last] = number;
    j->has_result[last] = has_result;
}

/* Who needs SMTPUTF8 cannot be sent to through a server without it (RFC 6531 3.2): all of them if
 * it is the sender's address or the header that needs it. */
static void refuse_utf8(struct job *j)
{
    char text[REPLY_MAX];
    const uint8_t both = CONTENT_UTF8 | CONTENT_HEADER8;
    bool is_all = !idn_is_ascii(j->mail.sender) || (j->mail.flags & both) == both;
    int n = snprintf(text, sizeof text,
                     "553 5.6.7 %s does not take addresses beyond ASCII (SMTPUTF8)", j->remote);
    for (size_t i = j->mail.n_rcpts; i-- > 0;)
        if (is_all || !idn_is_ascii(j->rcpts[i].address)) {
            record(j, i, VERDICT_NEVER, (struct span){text, n > 0 ? (size_t)n : 0});
            set_apart(j, i);
        }
}

static bool needs_utf8(const struct job *j)
{
    const uint8_t both = CONTENT_UTF8 | CONTENT_HEADER8;
    bool is_ascii = idn_is_ascii(j->mail.sender) && (j->mail.flags & both) != both;
    for (size_t i = 0; is_ascii && i < j->mail.n_rcpts; i++)
        is_ascii = idn_is_ascii(j->rcpts[i].address);
    return !is_ascii;
}

/* What a kept connection is like was told by who made it; routes are the administrator's. */
static void note_protection(struct job *j)
{
    span_copy(j->protection, sizeof j->protection, client_protection(j->client));
    if (!j->is_kept && j->plan.by != PLAN_BY_ROUTE && j->plan.policy.level != RELAY_TLS_NONE)
        j->secured = client_secured(j->client);
}

/* RFC 8461 5: a policy that is tested refuses nothing. */
static void tell_sts_test(const struct job *j)
{
    const struct plan *p = &j->plan;
    bool is_verified = strstr(j->protection, " verified=yes") != NULL;
    if (p->policy.is_sts_tested && (!p->facts.is_sts_host || !is_verified))
        LOG(j->id, "sts-would-refuse", LZ("remote", j->remote), LZ("domain", p->domain),
            LZ("because", p->facts.is_sts_host ? "not verified" : "not named by the policy"),
            LZ("tls", j->protection));
}

/* Ready for the mail; or, the second time, done with it: the connection is for others now. */
static void on_ready(void *owner)
{
    struct job *j = owner;
    note_protection(j);
    if (!j->is_sent) {
        tell_sts_test(j);
        tally(j, client_tls_result(j->client));
    }
    if (!j->is_sent) {
        j->is_sent = true;
        j->mail.is_utf8 = needs_utf8(j);
        if (j->mail.is_utf8 && !client_takes_utf8(j->client))
            refuse_utf8(j);
        if (j->mail.n_rcpts > 0) {
            client_send(j->client, &j->mail);
            return;
        }
    }
    struct client *c = j->client;
    j->client = NULL;
    if (client_is_slow(c))
        j->reach = REACH_SLOW;
    if (j->is_barred) {
        client_free(c);
        c = NULL;
    }
    pool_give(&j->relay->pool, &j->turn, c);
    finish(j);
}

static void on_result(void *owner, size_t rcpt, enum verdict v, struct span text)
{
    struct job *j = owner;
    j->is_told = client_tells(j->client);
    record(j, rcpt, v, text);
}

/* TLS that may be left out, and does not work: the same server once more, in the clear. */
static void go_on_in_the_clear(struct job *j, struct span why)
{
    LOG(j->id, "tls-failed", LZ("remote", j->remote), LS("because", why),
        LZ("instead", "in the clear"));
    memo_add(&j->relay->no_tls, &j->plan.to, clock_mono_ms());
    if (!seek_connect(j))
        seek_next(j);
}

/* The same server once more, with nothing of before: it says nothing about the mail, nor about how
 * TLS works with it. */
static void go_on_afresh(struct job *j, struct span why)
{
    LOG(j->id, "tls-session-refused", LZ("remote", j->remote), LS("because", why),
        LZ("instead", "a full handshake"));
    sessions_bar(&j->relay->sessions, j->session_key);
    if (!seek_connect(j))
        seek_next(j);
}

/* A kept connection that the server closed in the meantime says nothing about the mail. */
static void on_ended(void *owner, const struct client_end *e)
{
    struct job *j = owner;
    bool is_stale = j->is_kept && e->is_untouched;
    if (!j->is_sent && !e->is_for_session)
        tally(j, e->tls_result);
    client_free(j->client);
    j->client = NULL;
    if (is_stale) {
        seek_begin(j);
    } else if (j->is_sent) {
        j->reach = REACH_LOST;
        job_finish_all(j, VERDICT_TRY_LATER, e->text);
    } else if (e->is_for_session) {
        go_on_afresh(j, e->text);
    } else if (e->is_tls && j->plan.policy.level == RELAY_TLS_OPPORTUNISTIC) {
        go_on_in_the_clear(j, e->text);
    } else if (e->is_unfit) {
        plan_unfit(&j->plan, e->text);
        seek_next(j);
    } else {
        plan_refused(&j->plan, e->verdict, e->text);
        seek_next(j);
    }
}

static void on_said(void *owner, char who, struct span words)
{
    struct job *j = owner;
    dialogue_add(&j->dialogue, who, words);
}

const struct client_ops job_client_ops = {
    .ready = on_ready, .result = on_result, .ended = on_ended, .said = on_said};

/* How the connection was made stands in the dialogue of the message that it was made for. */
static void tell_of_kept(struct job *j)
{
    char id[ID_TEXT];
    struct span protection = client_protection(j->client);
    id_format(id, client_made_for(j->client));
    dialogue_addf(&j->dialogue, "on a connection to %.200s that was kept, made for %s: message %u",
                  j->remote, id, client_mails(j->client) + 1);
    dialogue_addf(&j->dialogue, "TLS %.*s", (int)protection.n, protection.p);
}

static void granted(struct pool_turn *t, struct client *kept)
{
    struct job *j = (struct job *)(void *)((char *)t - offsetof(struct job, turn));
    if (kept == NULL) {
        seek_begin(j);
        return;
    }
    j->client = kept;
    j->is_kept = true;
    span_copy(j->remote, sizeof j->remote, span_of(client_remote(kept)));
    client_own(kept, &job_client_ops, j);
    tell_of_kept(j);
    on_ready(j);
}

/* --- taking a job --- */

static struct span keep(char **at, struct span s)
{
    struct span kept = {*at, s.n};
    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return kept;
}

/* The records of the recipients. False: damaged. */
static bool take_rcpts(struct job *j, char **at, struct span records)
{
    struct unpacker u = unpacker_on(records);
    while (u.left.n > 0 && !u.failed && j->mail.n_rcpts < RELAY_RCPTS_MAX) {
        struct addr a;
        size_t used;
        size_t i = j->mail.n_rcpts;
        j->numbers[i] = (uint32_t)unpack_uint(&u, 4);
        struct span address = unpack_text(&u, ADDRESS_MAX);
        uint8_t notify = (uint8_t)unpack_uint(&u, 1);
        struct span orcpt = unpack_text(&u, ORCPT_MAX);
        if (u.failed || addr_parse(address, ADDR_MAILBOX, &a, &used) < 0 ||
            !notify_is_sane(notify) || (orcpt.n > 0 && !orcpt_is_valid(orcpt)))
            return false;
        j->rcpts[i].address = keep(at, address);
        j->rcpts[i].orcpt = keep(at, orcpt);
        j->rcpts[i].notify = notify;
        j->mail.n_rcpts++;
    }
    return unpack_done(&u) && j->mail.n_rcpts > 0;
}

static bool is_sender(struct span s)
{
    struct addr a;
    size_t used;
    return s.n == 0 || addr_parse(s, ADDR_MAILBOX, &a, &used) == 0;
}

/* What the queue says was checked when it came in, and is checked again: it was on disk since, and
 * goes into lines of a protocol now. */
static bool take_parts(struct job *j, const struct msg_relay_job *m)
{
    char *at = j->arena;
    j->mail.sender = keep(&at, m->sender);
    j->mail.content = keep(&at, m->content);
    j->mail.envid = keep(&at, m->envid);
    j->mail.ret = m->ret <= RET_HDRS ? m->ret : RET_DEFAULT;
    j->mail.rcpts = j->rcpts;
    j->mail.flags = m->flags;
    j->mail.requires_tls = m->requires_tls != 0;
    j->mail.is_callout = m->is_callout != 0;
    j->expects_tls = m->expects_tls != 0;
    j->mail.size = m->size;
    j->mail.fd = j->fd;
    bool is_whole = take_rcpts(j, &at, m->rcpts);
    j->results = packer_on(at, j->mail.n_rcpts * RESULT_OCTETS);
    for (size_t i = 0; i < m->domain.n && i < DOMAIN_MAX; i++)
        j->domain[i] = ascii_lower(m->domain.p[i]);
    bool has_hash = m->hash.n == sizeof j->mail.hash;
    if (has_hash)
        memcpy(j->mail.hash, m->hash.p, m->hash.n);
    bool has_content = m->content.n > 0 ? m->content.n == m->size : j->fd >= 0;
    if (j->mail.is_callout)
        has_content = m->content.n == 0 && j->fd < 0 && m->size == 0;
    bool is_envid = m->envid.n == 0 || envid_is_valid(m->envid);
    return is_whole && is_sender(m->sender) && is_envid && has_content && has_hash;
}

static void refuse(struct ipc *from, uint64_t tag, uint64_t id, const char *why)
{
    struct msg_relay_job_re re = {.tag = tag};
    LOG(id, "job-refused", LZ("because", why));
    ipc_send_relay_job_re(from, &re, -1);
}

static void count_in(struct relay *r, struct job *j)
{
    j->next = r->jobs;
    if (r->jobs != NULL)
        r->jobs->prev = j;
    r->jobs = j;
    if (++r->n_jobs == JOBS_MAX) {
        r->paused = j->from;
        ipc_pause(r->paused, true);
    }
    timer_init(&j->deadline, proc_loop(r->proc), took_too_long, j);
    timer_set(&j->deadline, relay_job_ms(j->mail.size));
}

/* Connections are shared only by those who want them protected alike: mail that requires TLS finds
 * only those that were made for such mail, to servers that are fit for it; reports of it, which
 * need less, have their own. */
static void add_level(char *key, size_t cap, enum relay_tls level, const struct job *j)
{
    size_t n = strlen(key);
    const char *fit = j->mail.sender.n > 0 ? " requiretls" : " requiretls report";
    snprintf(key + n, cap - n, " tls %u%s%s%s", (unsigned)level, j->mail.requires_tls ? fit : "",
             j->expects_tls ? " expected" : "",
             (j->mail.flags & CONTENT_TLS_OPTIONAL) != 0 ? " waived" : "");
}

/* Decides what needs no connection, else waits for a turn. */
static void set_going(struct job *j)
{
    char key[POOL_KEY_MAX];
    struct route route;
    if ((j->mail.flags & CONTENT_LONGLINE) != 0) {
        job_finish_all(
            j, VERDICT_NEVER,
            SPAN("554 5.6.0 a line of the message is longer than 1000 octets, which SMTP does "
                 "not carry"));
        return;
    }
    route_for(proc_config(j->relay->proc), span_of(j->domain), j->mail.sender, &route);
    route_key(&route, span_of(j->domain), key, sizeof key);
    add_level(key, sizeof key, route.delivery->tls, j);
    crypto_generichash(j->destination, sizeof j->destination, (const unsigned char *)key,
                       strlen(key), NULL, 0);
    j->turn.granted = granted;
    if (pool_ask(&j->relay->pool, span_of(key), route.delivery->connections_per_destination,
                 &j->turn) < 0)
        job_finish_all(j, VERDICT_TRY_LATER, SPAN("451 4.3.0 no memory or no domain"));
}

void job_start(struct relay *r, struct ipc *from, const struct msg_relay_job *m, int fd)
{
    /* Results take more room than addresses; a recipient's record has at least 13 octets. */
    size_t n_rcpts = m->rcpts.n / 13 < RELAY_RCPTS_MAX ? m->rcpts.n / 13 : RELAY_RCPTS_MAX;
    size_t arena = m->sender.n + m->content.n + m->envid.n + m->rcpts.n + n_rcpts * RESULT_OCTETS;
    struct job *j = calloc(1, sizeof *j + arena);
    if (j == NULL) {
        if (fd >= 0)
            close(fd);
        refuse(from, m->tag, m->id, "out of memory");
        return;
    }
    j->relay = r;
    j->from = from;
    j->tag = m->tag;
    j->id = m->id;
    j->fd = fd;
    dialogue_begin(&j->dialogue);
    bool is_good = take_parts(j, m);
    count_in(r, j);
    if (is_good) {
        set_going(j);
        return;
    }
    refuse(from, m->tag, m->id, "damaged");
    free_job(j);
}

void job_forget(struct relay *r, const struct ipc *from)
{
    if (r->paused == from)
        r->paused = NULL;
    for (struct job *j = r->jobs, *next; j != NULL; j = next) {
        next = j->next;
        if (j->from == from)
            free_job(j);
    }
}

void job_forget_waiting(struct relay *r)
{
    for (struct job *j = r->jobs, *next; j != NULL; j = next) {
        next = j->next;
        if (j->turn.is_waiting)
            free_job(j);
    }
}
