/* Who is let in, and who must go when it is too crowded. */
#include "common/admission.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/stats.h"
#include "smtpd/client.h"

#include <sys/socket.h>

#define SHED_LOOK_AT   1000  /* sessions, for one that makes room */
#define SHED_IDLE_MS   100   /* since a stranger's last command */
#define SHED_AGREED_MS 10000 /* the same, when a recipient was agreed to */

/* One write to who is not listened to any more. */
static void say_last(int fd, enum reply r)
{
    struct buf out;
    buf_init(&out, 512);
    if (reply_add(&out, r, SPAN("")) == 0) {
        struct span s = buf_span(&out);
        if (send(fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            shutdown(fd, SHUT_WR);
    }
    buf_free(&out);
}

/* A refusal at the door, no session. A port that promises TLS says nothing without it. */
static void turn_away(int fd, enum listen_kind kind, enum reply r)
{
    if (kind != LISTEN_SUBMISSIONS)
        say_last(fd, r);
    close(fd);
}

/* A flood at the door is one line a second, with how many others were turned away. */
static void log_turned_away(struct server *v, const struct netaddr *peer, enum reply r)
{
    char client[NETADDR_TEXT], codes[REPLY_CODES_MAX];
    if (clock_mono_ms() < v->tell_again_ms) {
        v->untold++;
        return;
    }
    netaddr_format(client, peer);
    reply_codes(codes, r);
    LOG(0, "refused", LZ("client", client), LZ("command", "connect"), LZ("reply", codes),
        LZ("text", reply_desc(r)->text), LN("others", v->untold));
    v->tell_again_ms = clock_mono_ms() + 1000;
    v->untold = 0;
}

/* --- making room --- */

/* How long he may do nothing while others wait outside; -1: he stays. */
static int64_t patience_with(const struct client *c)
{
    const struct session *s = c->session;
    const struct config *config = proc_config(c->server->proc);
    bool is_our_turn =
        s->wait != WAIT_NOTHING && s->wait != WAIT_DELAY && (s->wait != WAIT_TLS || s->tls != NULL);
    if (is_our_turn || s->login != NULL || s->accepted > 0 || admission_trusts(config, &c->peer))
        return -1;
    bool has_agreed = s->txn != NULL && s->txn->n_agreed > 0;
    return has_agreed ? SHED_AGREED_MS : SHED_IDLE_MS;
}

/* The service is full. Some hundred connections that say nothing would shut everybody out for as
 * long as a command may take, so of the strangers who have sent no message yet, the one that has
 * been silent longest goes: one who speaks SMTP without pauses stays. */
static bool make_room(struct server *v)
{
    struct client *longest = NULL;
    int64_t now = clock_mono_ms();
    size_t looked_at = 0;
    for (struct client *c = v->first; c != NULL && looked_at < SHED_LOOK_AT; c = c->next) {
        int64_t patience_ms = patience_with(c);
        looked_at++;
        if (patience_ms >= 0 && now - c->active_ms >= patience_ms &&
            (longest == NULL || c->active_ms < longest->active_ms))
            longest = c;
    }
    if (longest == NULL)
        return false;
    if (!longest->is_securing && longest->session->state != STATE_OVER)
        say_last(conn_fd(longest->conn), R_TOO_BUSY);
    session_log_end(longest->session, "made room for another");
    client_free(longest);
    return true;
}

/* R_BANNER: let him in, he is counted. */
static enum reply judge(struct server *v, const struct listener *on, const struct netaddr *peer)
{
    const struct config *config = proc_config(v->proc);
    enum admission p = admission_connect(config, on->kind, peer);
    if (p != ADMISSION_WELCOME)
        return reply_of_admission(p);
    bool is_ours = admission_trusts(config, peer);
    enum peers_answer answer = peers_enter(v->peers, peer, &on->config->limits, is_ours);
    if (answer == PEERS_FULL && make_room(v))
        answer = peers_enter(v->peers, peer, &on->config->limits, is_ours);
    switch (answer) {
    case PEERS_FULL:
        return R_TOO_BUSY;
    case PEERS_TOO_MANY:
        return R_PEER_TOO_MANY;
    case PEERS_TOO_FAST:
        return R_PEER_TOO_FAST;
    case PEERS_WELCOME:
        break;
    }
    return R_BANNER;
}

bool door_lets_in(struct server *v, const struct listener *on, int fd, const struct netaddr *peer)
{
    enum reply r = judge(v, on, peer);
    if (r == R_BANNER)
        return true;
    log_turned_away(v, peer, r);
    stats_count(STAT_SMTP_TURNED_AWAY);
    turn_away(fd, on->kind, r);
    return false;
}
