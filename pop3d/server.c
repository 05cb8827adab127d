#include "pop3d/server.h"

#include "common/admission.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/peers.h"
#include "common/stats.h"
#include "common/tls_service.h"
#include "pop3d/session.h"

#include <sys/socket.h>

#define REFUSALS_LOG_MS 1000
#define SHED_LOOK_AT    1000 /* sessions, for one that makes room */
#define SHED_IDLE_MS    100  /* since a stranger's last command */
#define DAY_MS          (24 * 60 * 60 * 1000)

struct server {
    struct proc *proc;
    struct session_host host;
    struct peers *peers;
    struct tls_service *tls;
    struct session *first;
    uint64_t refused; /* since the last line about it */
    int64_t refused_logged_ms;
};

static struct ipc *authd(void *owner)
{
    struct server *v = owner;
    return proc_peer(v->proc, ROLE_AUTHD);
}

static struct tls_server *tls(void *owner)
{
    struct server *v = owner;
    return tls_service_server(v->tls);
}

static void tls_failed(void *owner, const struct session *s, const char *why)
{
    struct server *v = owner;
    char client[NETADDR_TEXT];
    netaddr_format(client, &s->client);
    tls_service_log_failure(v->tls, s->id, client, why);
}

static void closed(void *owner, struct session *s)
{
    struct server *v = owner;
    if (s->previous != NULL)
        s->previous->next = s->next;
    else
        v->first = s->next;
    if (s->next != NULL)
        s->next->previous = s->previous;
    peers_leave(v->peers, &s->client);
    stats_gauge(STAT_POP3_SESSIONS, -1);
    if (v->first == NULL && proc_is_draining(v->proc))
        proc_exit(v->proc);
}

int server_open(struct proc *p, struct error *e)
{
    struct server *v = calloc(1, sizeof *v);
    struct peers *peers = peers_new(proc_memory_fd(p), proc_instance(p));
    if (v == NULL || peers == NULL) {
        free(v);
        peers_free(peers);
        return error_set(e, "out of memory");
    }
    *v = (struct server){.proc = p, .peers = peers, .refused_logged_ms = -REFUSALS_LOG_MS};
    v->host = (struct session_host){.loop = proc_loop(p),
                                    .authd = authd,
                                    .tls = tls,
                                    .tls_failed = tls_failed,
                                    .closed = closed,
                                    .owner = v};
    proc_set_state(p, v);
    v->tls = tls_service_new(p, e);
    return v->tls != NULL ? 0 : -1;
}

/* One line a second at most, however many come. */
static void log_refused(struct server *v, const struct netaddr *peer, const char *why)
{
    v->refused++;
    if (clock_mono_ms() - v->refused_logged_ms < REFUSALS_LOG_MS)
        return;
    char client[NETADDR_TEXT];
    netaddr_format(client, peer);
    LOG(0, "connection-refused", LZ("client", client), LZ("why", why),
        LN("count", (int64_t)v->refused));
    v->refused = 0;
    v->refused_logged_ms = clock_mono_ms();
}

static const struct {
    const char *reply, *why;
} refusals[] = {
    [PEERS_FULL] = {REPLY_FULL, "too many in all"},
    [PEERS_TOO_MANY] = {REPLY_TOO_MANY, "too many of this address"},
    [PEERS_TOO_FAST] = {REPLY_TOO_FAST, "too many new ones of this address"},
};

/* A port that promises TLS says nothing without it. */
static void refuse(struct server *v, int fd, const struct netaddr *peer, bool is_implicit,
                   enum peers_answer answer)
{
    const char *reply = refusals[answer].reply;
    log_refused(v, peer, refusals[answer].why);
    if (!is_implicit && send(fd, reply, strlen(reply), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        /* The client learns it from the end of the connection. */
    }
    close(fd);
}

/* 0: mail of no user is ever removed by age. */
static uint64_t shortest_days(const struct mailbox_config *m)
{
    int64_t all = m->retention_ms, least = m->retention_least_ms;
    int64_t shortest =
        all == DURATION_NONE || (least != DURATION_NONE && least < all) ? least : all;
    return shortest == DURATION_NONE ? 0 : (uint64_t)shortest / DAY_MS;
}

static struct session_settings settings_for(struct server *v, const struct listener *on,
                                            const struct netaddr *peer)
{
    const struct auth_config *auth = &on->config->auth;
    const struct config *c = proc_config(v->proc);
    int64_t delay = c->pop3.login_delay_ms;
    return (struct session_settings){
        .may_log_in = config_may_log_in_plain(auth, peer),
        .has_scram = auth->scram == SWITCH_ON,
        .is_implicit = on->kind == LISTEN_POP3S,
        .tls_timeout_ms = on->config->limits.tls_timeout_ms,
        .failures_max = auth->failures_per_connection,
        .errors_max = on->config->limits.errors,
        .login_delay_s = delay == DURATION_NONE ? 0 : (uint64_t)(delay + 999) / 1000,
        .expire_days = shortest_days(&c->mailbox),
        .expire_varies = c->mailbox.retention_least_ms != DURATION_NONE,
        .tells_name = c->pop3.implementation == SWITCH_ON,
    };
}

/* The service is full: of the strangers who have not logged in the one that has been silent longest
 * goes, or else some hundred connections that say nothing would shut everybody out. */
static bool make_room(struct server *v)
{
    struct session *longest = NULL;
    const struct config *config = proc_config(v->proc);
    int64_t before_ms = clock_mono_ms() - SHED_IDLE_MS;
    size_t looked_at = 0;
    for (struct session *s = v->first; s != NULL && looked_at < SHED_LOOK_AT; s = s->next) {
        looked_at++;
        if (session_is_nobody(s) && s->active_ms <= before_ms &&
            !admission_trusts(config, &s->client) &&
            (longest == NULL || s->active_ms < longest->active_ms))
            longest = s;
    }
    if (longest != NULL)
        session_shed(longest);
    return longest != NULL;
}

void server_accepted(struct proc *p, const struct listener *on, int fd, const struct netaddr *peer)
{
    struct server *v = proc_state(p);
    bool is_ours = admission_trusts(proc_config(p), peer);
    enum peers_answer answer = peers_enter(v->peers, peer, &on->config->limits, is_ours);
    if (answer == PEERS_FULL && make_room(v))
        answer = peers_enter(v->peers, peer, &on->config->limits, is_ours);
    if (answer != PEERS_WELCOME) {
        stats_count(STAT_POP3_TURNED_AWAY);
        refuse(v, fd, peer, on->kind == LISTEN_POP3S, answer);
        return;
    }
    struct session_settings set = settings_for(v, on, peer);
    struct session *s = session_new(&v->host, &set, fd, peer);
    if (s == NULL) {
        peers_leave(v->peers, peer);
        return;
    }
    s->next = v->first;
    if (v->first != NULL)
        v->first->previous = s;
    v->first = s;
    stats_count(STAT_POP3_CONNECTIONS);
    stats_gauge(STAT_POP3_SESSIONS, 1);
}

void server_reloaded(struct proc *p)
{
    struct server *v = proc_state(p);
    tls_service_reload(v->tls);
}

void server_key_held(void *proc, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct server *v = proc_state(proc);
    tls_service_held(v->tls, &m->key_held);
}

void server_drain(struct proc *p)
{
    struct server *v = proc_state(p);
    if (v->first == NULL)
        proc_exit(p);
    for (struct session *s = v->first, *next; s != NULL; s = next) {
        next = s->next;
        session_drain(s);
    }
}
