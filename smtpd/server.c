#include "smtpd/server.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/route.h"
#include "common/stats.h"
#include "smtpd/client.h"

#include <sys/socket.h>

#define INPUT_MAX         65536
#define OUTPUT_MAX        (512U * 1024U)
#define OUTPUT_HIGH       32768 /* a client that does not read its replies is not listened to */
#define QUEUE_BACKLOG_MAX (1U << 20) /* over it, content waits at the clients */
#define RCPT_MS           30000      /* for each question about a recipient */
#define LOGIN_MS          60000      /* authd lets a wrong password wait */
#define QUEUE_MS          300000
#define FINISH_MS         30000 /* for the client to take our last replies */

/* --- time --- */

/* The timer is moved only if it would be late; if it is early it looks again. So most commands cost
 * no timer. */
static void settle_timer(struct client *c)
{
    int64_t due_ms = session_due_ms(c->session);
    if (due_ms == INT64_MAX || (c->timer.is_set && c->timer_ms <= due_ms))
        return;
    int64_t in_ms = due_ms - clock_mono_ms();
    c->timer_ms = due_ms;
    timer_set(&c->timer, in_ms > 0 ? in_ms : 0);
}

static void timer_fired(void *arg)
{
    struct client *c = arg;
    if (session_due_ms(c->session) <= clock_mono_ms())
        session_expire(c->session);
    else
        settle_timer(c);
}

/* --- TLS --- */

/* The one way into TLS, for STARTTLS and for listeners that begin with it. */
static void start_tls(struct client *c)
{
    struct server *v = c->server;
    struct tls_server *tls = tls_service_server(v->tls);
    c->is_securing = true;
    if (tls != NULL && conn_start_tls(c->conn, tls, c->session->rules.limits.tls_timeout_ms) == 0)
        return;
    LOG(c->session->id, "tls-failed",
        LZ("because", tls == NULL ? "there is no usable certificate" : "out of memory"));
    conn_deadline(c->conn, FINISH_MS);
    conn_finish(c->conn);
}

/* --- input --- */

/* Gives the session what it takes. It stops when it waits, when the client does not read, or when
 * it has all. */
static void take_input(struct client *c)
{
    if (c->is_taking)
        return;
    c->is_taking = true;
    struct session *s = c->session;
    while (s->state != STATE_OVER && s->wait == WAIT_NOTHING &&
           conn_unsent(c->conn) <= OUTPUT_HIGH) {
        struct span in = conn_input(c->conn);
        size_t used = in.n > 0 ? session_input(s, in) : 0;
        if (used == 0)
            break;
        conn_consume(c->conn, used);
        c->active_ms = clock_mono_ms();
    }
    c->is_taking = false;
    if (s->state == STATE_OVER)
        return;
    if (s->wait == WAIT_TLS && !c->is_securing)
        start_tls(c);
    bool wants = s->wait == WAIT_NOTHING && conn_unsent(c->conn) <= OUTPUT_HIGH;
    if (wants != c->wants_input)
        conn_want_input(c->conn, wants);
    c->wants_input = wants;
    settle_timer(c);
}

/* --- what sessions need of the world (struct session_ops) --- */

static struct ipc *channel(const struct client *c, enum role role)
{
    return proc_peer(c->server->proc, role);
}

static int client_write(void *client, struct span s)
{
    struct client *c = client;
    return conn_write_span(c->conn, s);
}

static void client_finish(void *client)
{
    struct client *c = client;
    timer_stop(&c->timer);
    conn_deadline(c->conn, FINISH_MS);
    conn_finish(c->conn);
}

static void client_resume(void *client)
{
    take_input(client);
}

static uint64_t ask_authd(void *client, struct msg_resolve *m, ipc_answer_fn *fn, void *arg)
{
    return ipc_ask_resolve(channel(client, ROLE_AUTHD), m, -1, RCPT_MS, fn, arg);
}

static uint64_t expand(void *client, struct msg_expand *m, ipc_answer_fn *fn, void *arg)
{
    return ipc_ask_expand(channel(client, ROLE_AUTHD), m, -1, RCPT_MS, fn, arg);
}

static uint64_t room_in_queue(void *client, struct msg_queue_room *m, ipc_answer_fn *fn, void *arg)
{
    return ipc_ask_queue_room(channel(client, ROLE_QUEUE), m, -1, RCPT_MS, fn, arg);
}

static bool is_backup(void *client, struct span address)
{
    const struct client *c = client;
    return route_backup(proc_config(c->server->proc), address) != NULL;
}

static uint64_t log_in(void *client, struct msg_login *m, ipc_answer_fn *fn, void *arg)
{
    return ipc_ask_login(channel(client, ROLE_AUTHD), m, -1, LOGIN_MS, fn, arg);
}

static uint64_t begin_scram(void *client, struct msg_scram_first *m, ipc_answer_fn *fn, void *arg)
{
    return ipc_ask_scram_first(channel(client, ROLE_AUTHD), m, -1, LOGIN_MS, fn, arg);
}

static uint64_t end_scram(void *client, struct msg_scram_final *m, ipc_answer_fn *fn, void *arg)
{
    return ipc_ask_scram_final(channel(client, ROLE_AUTHD), m, -1, LOGIN_MS, fn, arg);
}

static uint64_t ask_ticket(void *client, struct msg_ticket *m, ipc_answer_fn *fn, void *arg)
{
    return ipc_ask_ticket(channel(client, ROLE_AUTHD), m, -1, RCPT_MS, fn, arg);
}

static struct span tls_octets(void *client, enum session_binding which,
                              unsigned char out[SESSION_BINDING_MAX])
{
    static const enum tls_binding kinds[] = {
        [BINDING_EXPORTER] = TLS_BINDING_EXPORTER, [BINDING_END_POINT] = TLS_BINDING_END_POINT};
    const struct client *c = client;
    size_t n;
    _Static_assert(SESSION_BINDING_MAX >= TLS_BINDING_MAX, "it must fit");
    if (!conn_is_tls(c->conn) || conn_tls_binding(c->conn, kinds[which], out, &n) < 0)
        n = 0;
    return (struct span){(const char *)out, n};
}

static void log_out(void *client, uint64_t session)
{
    ipc_send_logout(channel(client, ROLE_AUTHD), &(struct msg_logout){session}, -1);
}

static void forget(void *client, enum role of, uint64_t tag)
{
    ipc_cancel(channel(client, of), tag);
}

/* How long the queue may take; until the last part it waits for us, and we for the client. */
static int64_t patience_ms(const struct client *c, bool is_last)
{
    return is_last ? QUEUE_MS : c->session->rules.limits.session_timeout_ms;
}

static uint64_t open_queue(void *client, struct msg_queue_open *m, ipc_answer_fn *fn, void *arg)
{
    struct client *c = client;
    bool is_local = c->peer.n == NETADDR_LOCAL; /* then the connection proves it to the queue */
    return ipc_ask_queue_open(channel(c, ROLE_QUEUE), m, is_local ? conn_fd(c->conn) : -1,
                              patience_ms(c, m->is_last != 0), fn, arg);
}

static int more_queue(void *client, const struct msg_queue_more *m)
{
    struct ipc *queue = channel(client, ROLE_QUEUE);
    if (ipc_send_queue_more(queue, m, -1) < 0)
        return -1;
    ipc_extend(queue, m->tag, patience_ms(client, m->is_last != 0));
    return 0;
}

static void abort_queue(void *client, uint64_t tag)
{
    struct ipc *queue = channel(client, ROLE_QUEUE);
    ipc_cancel(queue, tag);
    ipc_send_queue_abort(queue, &(struct msg_queue_abort){tag}, -1);
}

static bool is_queue_full(void *client)
{
    struct client *c = client;
    struct ipc *queue = channel(c, ROLE_QUEUE);
    bool is_full = queue != NULL && ipc_backlog(queue) > QUEUE_BACKLOG_MAX;
    c->server->was_full = c->server->was_full || is_full;
    return is_full;
}

/* The users of this machine come through a socket that nobody else sees. */
static bool offers_tls(void *client)
{
    struct client *c = client;
    return c->peer.n != NETADDR_LOCAL && tls_service_server(c->server->tls) != NULL;
}

static const struct session_ops ops = {
    .write = client_write,
    .finish = client_finish,
    .resume = client_resume,
    .resolve = ask_authd,
    .expand = expand,
    .queue_room = room_in_queue,
    .is_backup = is_backup,
    .login = log_in,
    .scram_first = begin_scram,
    .scram_final = end_scram,
    .binding = tls_octets,
    .ticket = ask_ticket,
    .logout = log_out,
    .forget = forget,
    .queue_open = open_queue,
    .queue_more = more_queue,
    .queue_abort = abort_queue,
    .queue_is_full = is_queue_full,
    .offers_tls = offers_tls,
};

/* --- connections --- */

void client_free(struct client *c)
{
    if (c->link != NULL) {
        stats_gauge(STAT_SMTP_SESSIONS, -1);
        *c->link = c->next;
        if (c->next != NULL)
            c->next->link = c->link;
    }
    timer_stop(&c->timer);
    session_free(c->session);
    conn_free(c->conn);
    peers_leave(c->server->peers, &c->peer);
    free(c);
}

static void on_input(void *owner)
{
    take_input(owner);
}

/* The client reads its replies again. */
static void on_drained(void *owner)
{
    struct client *c = owner;
    if (c->session->state != STATE_OVER && !c->wants_input)
        take_input(c);
}

static void on_ended(void *owner, enum conn_end why)
{
    static const char *const words[] = {
        [CONN_EOF] = "closed by the client", [CONN_ERROR] = "connection lost",
        [CONN_TIMEOUT] = "took no replies",  [CONN_FLUSHED] = "closed",
        [CONN_TLS] = "TLS failed",
    };
    struct client *c = owner;
    char client[NETADDR_TEXT];
    netaddr_format(client, &c->peer);
    if (why == CONN_TLS)
        tls_service_log_failure(c->server->tls, c->session->id, client, conn_tls_why(c->conn));
    session_log_end(c->session, words[why]);
    client_free(c);
}

/* Only one who does not speak SMTP, or cannot wait, has sent something by now; or a user of this
 * machine whose program was given all of it (sendmail -bs <file). */
static bool talks_early(const struct client *c)
{
    char octet;
    return c->peer.n != NETADDR_LOCAL &&
           recv(conn_fd(c->conn), &octet, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void on_secured(void *owner)
{
    struct client *c = owner;
    stats_count(STAT_SMTP_TLS);
    tls_service_log(c->session->id, conn_tls(c->conn));
    session_secured(c->session, conn_tls(c->conn));
    if (c->is_implicit && c->session->state != STATE_OVER)
        session_greet(c->session, talks_early(c));
    take_input(c);
}

static const struct conn_ops conn_ops = {
    .input = on_input, .drained = on_drained, .secured = on_secured, .ended = on_ended};

static struct span our_name(struct proc *p)
{
    return span_of(proc_config(p)->hostname);
}

/* A server that sends a list of bad recipients makes no mistake. */
static void be_lmtp(struct session_rules *rules)
{
    rules->is_lmtp = true;
    rules->limits.errors = UINT64_MAX;
}

/* For submission only (RFC 4865 3): who logs in, and users of this machine. */
static int64_t hold_max_s(const struct config *c, enum listen_kind kind)
{
    bool submits = admission_needs_login(kind) || kind == LISTEN_SUBMIT;
    return submits && c->future_release_ms != DURATION_NONE ? c->future_release_ms / 1000 : 0;
}

/* Takes over fd, and that the peer is counted. NULL without memory. */
static struct client *client_new(struct server *v, const struct listener *on, int fd,
                                 const struct netaddr *peer)
{
    const struct config *config = proc_config(v->proc);
    struct client *c = calloc(1, sizeof *c);
    if (c == NULL) {
        peers_leave(v->peers, peer);
        close(fd);
        return NULL;
    }
    struct session_rules rules = {
        .ops = &ops,
        .client = c,
        .peer = *peer,
        .limits = on->config->limits,
        .message_size_max = config->message_size_max,
        .normalises_newlines = config->bare_newline == BARE_NEWLINE_NORMALISE,
        .may_relay = admission_may_relay(config, on->kind, peer),
        .dsn = config->dsn,
        .hold_max_s = hold_max_s(config, on->kind),
        .vrfy = config->vrfy,
        .expn = config->expn,
        .requires_tls = on->config->require_tls == SWITCH_ON,
        .hides_client = on->config->hide_client == SWITCH_ON,
        .completes = config->complete_header,
        .has_auth = admission_needs_login(on->kind),
        .has_scram = on->config->auth.scram == SWITCH_ON,
        .may_log_in_plain = config_may_log_in_plain(&on->config->auth, peer),
        .login_failures_max = on->config->auth.failures_per_connection,
    };
    if (admission_trusts(config, peer) || peer->n == NETADDR_LOCAL)
        rules.limits.error_delay_ms = 0;
    if (on->kind == LISTEN_LMTP)
        be_lmtp(&rules);
    c->server = v;
    c->peer = *peer;
    c->active_ms = clock_mono_ms();
    c->wants_input = true;
    timer_init(&c->timer, proc_loop(v->proc), timer_fired, c);
    c->session = session_new(&rules, our_name(v->proc));
    if (c->session != NULL)
        c->conn = conn_new(proc_loop(v->proc), fd, &conn_ops, c, INPUT_MAX, OUTPUT_MAX);
    else
        close(fd);
    if (c->conn == NULL) {
        client_free(c);
        return NULL;
    }
    c->next = v->first;
    c->link = &v->first;
    if (v->first != NULL)
        v->first->link = &c->next;
    v->first = c;
    stats_count(STAT_SMTP_CONNECTIONS);
    stats_gauge(STAT_SMTP_SESSIONS, 1);
    return c;
}

void server_accept(struct proc *p, const struct listener *on, int fd, const struct netaddr *peer)
{
    struct server *v = proc_state(p);
    if (!door_lets_in(v, on, fd, peer))
        return;
    struct client *c = client_new(v, on, fd, peer);
    if (c == NULL)
        return;
    char client[NETADDR_TEXT], local[NETADDR_TEXT];
    netaddr_format_port(client, peer);
    netaddr_format_port(local, &on->local);
    LOG(c->session->id, "connect", LZ("client", client),
        LZ("on", on->path != NULL ? on->path : local));
    c->is_implicit = on->kind == LISTEN_SUBMISSIONS;
    if (c->is_implicit) {
        c->session->wait = WAIT_TLS;
        start_tls(c);
        return;
    }
    session_greet(c->session, talks_early(c));
    settle_timer(c);
}

/* --- the process --- */

int server_open(struct proc *p, struct error *e)
{
    struct server *v = calloc(1, sizeof *v);
    struct peers *peers = peers_new(proc_memory_fd(p), proc_instance(p));
    if (v == NULL || peers == NULL) {
        free(v);
        peers_free(peers);
        return error_set(e, "out of memory");
    }
    v->proc = p;
    v->peers = peers;
    proc_set_state(p, v);
    v->tls = tls_service_new(p, e);
    return v->tls != NULL ? 0 : -1;
}

static void go_on(struct server *v)
{
    struct client *next;
    v->was_full = false;
    for (struct client *c = v->first; c != NULL; c = next) {
        next = c->next;
        session_go_on(c->session);
    }
}

void server_drained(void *proc, struct ipc *ch)
{
    struct server *v = proc_state(proc);
    if (ipc_peer(ch) == ROLE_QUEUE && v->was_full)
        go_on(v);
}

/* Sessions that wait for room have been answered; the flag is about the channel that is gone. */
void server_peer_down(struct proc *p, enum role role, unsigned instance, struct ipc *ch)
{
    (void)instance, (void)ch;
    struct server *v = proc_state(p);
    if (role == ROLE_QUEUE && v->was_full)
        go_on(v);
}

void server_reloaded(struct proc *p)
{
    struct server *v = proc_state(p);
    for (struct client *c = v->first; c != NULL; c = c->next)
        c->session->hostname = our_name(p);
    tls_service_reload(v->tls);
}

void server_key_held(void *proc, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct server *v = proc_state(proc);
    tls_service_held(v->tls, &m->key_held);
}

/* Stopping: when everyone has our last words, their leaving need not be waited for. */
void server_turn(struct proc *p)
{
    struct server *v = proc_state(p);
    if (!proc_is_draining(p))
        return;
    for (struct client *c = v->first; c != NULL; c = c->next)
        if (c->session->state != STATE_OVER || conn_unsent(c->conn) > 0)
            return;
    proc_exit(p);
}

void server_drain(struct proc *p)
{
    struct server *v = proc_state(p);
    struct client *next;
    for (struct client *c = v->first; c != NULL; c = next) {
        next = c->next;
        session_drain(c->session);
    }
}
