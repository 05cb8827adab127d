#include "queue/envelope.h"

#include "common/addr.h"
#include "common/clock.h"
#include "common/hold.h"
#include "common/id.h"
#include "common/notify.h"
#include "queue/local.h"

#define ID_SLACK_MS  (86400 * 1000LL) /* an id is made when its message begins */
#define HOLD_SLACK_S 60

/* Only of who logs in or is a user of this machine (whom intake.c asks the kernel about), and not
 * for longer than is offered; a second more or less is the way here. */
static bool hold_is_plausible(const struct queue *q, const struct msg_queue_open *m, bool is_local)
{
    int64_t most_ms = q->config->future_release_ms;
    uint64_t most_s = (uint64_t)clock_wall_s() + (uint64_t)(most_ms / 1000) + HOLD_SLACK_S;
    if (m->hold_request.n == 0)
        return m->hold_until == 0;
    return most_ms != DURATION_NONE && (m->ticket.n > 0 || is_local) && m->hold_until <= most_s &&
           hold_is_request(m->hold_request);
}

bool envelope_is_plausible(const struct queue *q, const struct msg_queue_open *m,
                           struct netaddr *client)
{
    struct addr a;
    size_t used;
    int64_t apart_ms = id_wall_ms(m->id) - clock_wall_ms();
    bool is_sane_id =
        m->id > 0 && m->id <= INT64_MAX && apart_ms < ID_SLACK_MS && apart_ms > -ID_SLACK_MS;
    bool is_sender = m->sender.n == 0 || addr_parse(m->sender, ADDR_MAILBOX, &a, &used) == 0;
    bool is_client = netaddr_parse(m->client, client) == 0 ||
                     netaddr_parse_port(m->client, ':', client) == 0 ||
                     netaddr_parse_uid(m->client, client) == 0;
    bool is_sane_wish = m->ret <= RET_HDRS && (m->envid.n == 0 || envid_is_valid(m->envid));
    return is_sane_id && is_sender && is_client && is_sane_wish &&
           hold_is_plausible(q, m, client->n == NETADDR_LOCAL);
}

/* By the address that smtpd names, or by a connection that only a user of this machine can have
 * made. */
bool envelope_may_relay(const struct queue *q, const struct netaddr *client, int fd)
{
    if (client->n != NETADDR_LOCAL)
        return config_may_relay(q->config, client);
    return q->config->submit.socket == SWITCH_ON && local_is_user(fd, netaddr_uid(client));
}

uint64_t envelope_rcpts_max(const struct config *c)
{
    uint64_t max = c->submit_listen.limits.recipients;
    for (size_t i = 0; i < c->n_listens; i++)
        if (c->listens[i].limits.recipients > max)
            max = c->listens[i].limits.recipients;
    return max;
}

char *envelope_copy(struct message *to, const struct msg_queue_open *m)
{
    const struct span from[] = {m->sender, m->client, m->helo, m->envid, m->hold_request};
    struct span *copies[] = {&to->sender, &to->client, &to->helo, &to->envid, &to->hold_request};
    size_t n = m->sender.n + m->client.n + m->helo.n + m->envid.n + m->hold_request.n;
    char *text = malloc(n + 1), *at = text;
    for (size_t i = 0; text != NULL && i < sizeof from / sizeof from[0]; i++) {
        if (from[i].n > 0)
            memcpy(at, from[i].p, from[i].n);
        *copies[i] = (struct span){at, from[i].n};
        at += from[i].n;
    }
    return text;
}
