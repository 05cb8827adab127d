/* From the greeting until mail can be sent. */
#include "relay/client_state.h"

#include "common/clock.h"
#include "common/stats.h"

static void say_hello(struct client *c, enum state next, const char *verb)
{
    char line[sizeof c->hostname + 8];
    snprintf(line, sizeof line, "%s %s\r\n", verb, c->hostname);
    c->offer = (struct offer){0};
    client_say(c, next, line);
}

void client_on_greeting(struct client *c)
{
    if (c->reply.code == 220)
        say_hello(c, EHLO, c->is_lmtp ? "LHLO" : "EHLO");
    else if (c->reply.code / 100 >= 4)
        client_end_by_reply(c, reply_verdict(&c->reply));
    else
        client_out_of_step(c);
}

static const char *version_of(const struct tls_info *info)
{
    return strncmp(info->version, "TLSv", 4) == 0 ? info->version + 4 : info->version;
}

/* Says what the connection is worth, in the log and to the queue. */
static void describe(struct client *c, const struct tls_info *info)
{
    const char *why = info->unverified_because != NULL ? info->unverified_because : "no reason";
    int n = snprintf(c->protection, sizeof c->protection, "%s %s policy=%s verified=%s",
                     version_of(info), info->cipher, c->policy, info->is_verified ? "yes" : "no");
    size_t at = n > 0 && (size_t)n < sizeof c->protection ? (size_t)n : 0;
    if (!info->is_verified && at > 0)
        snprintf(c->protection + at, sizeof c->protection - at, " (%s)", why);
    at = strlen(c->protection);
    if (info->is_resumed)
        snprintf(c->protection + at, sizeof c->protection - at, " resumed=yes");
}

/* A server that requires TLS, and need not prove anything, since its TLSA records are all of no use
 * (RFC 7672 2.2), unless the message asks for more. */
static bool is_excused(const struct client *c, const struct tls_info *info)
{
    return info->is_unverifiable && !c->requires_tls;
}

static bool is_good_enough(const struct client *c, const struct tls_info *info)
{
    return c->level != RELAY_TLS_VERIFIED || info->is_verified || is_excused(c, info);
}

/* However often it is gone on with: the hour counts from when the server proved itself. */
static void keep_session(void *owner, const struct tls_info *info, struct span session,
                         int64_t seconds)
{
    struct client *c = owner;
    int64_t now_ms = clock_mono_ms();
    int64_t until_ms = info->is_resumed ? c->session_until_ms : c->tls_began_ms + SESSIONS_MS;
    if (!is_good_enough(c, info))
        return;
    if (seconds < SESSIONS_MS / 1000 && now_ms + seconds * 1000 < until_ms)
        until_ms = now_ms + seconds * 1000;
    sessions_keep(c->sessions, c->sessions_epoch, c->session_key, session, until_ms);
}

static struct session_taken take_session(struct client *c)
{
    struct session_taken old = {.until_ms = 0};
    if (c->sessions != NULL)
        old = sessions_take(c->sessions, c->session_key);
    c->is_trying_session = old.octets.n > 0;
    c->session_until_ms = old.until_ms;
    c->tls_began_ms = clock_mono_ms();
    return old;
}

/* What was said before counts no more, the offer least of all (RFC 3207 4.2). */
void client_start_tls(struct client *c)
{
    c->is_securing = true;
    c->state = HANDSHAKE;
    c->offer = (struct offer){0};
    struct session_taken old = take_session(c);
    struct tls_resumption r = {.session = old.octets, .keep = keep_session, .owner = c};
    memcpy(r.context, c->session_key, sizeof r.context);
    struct tls_wish wish = {.host = span_of(c->tls_host),
                            .is_lenient = c->level == RELAY_TLS_OPPORTUNISTIC,
                            .tlsa = c->tlsa,
                            .only_dns_id = c->only_dns_id,
                            .names = {c->tls_names[0], c->tls_names[1]},
                            .resumption = c->sessions != NULL ? &r : NULL};
    int rc =
        c->tls != NULL ? conn_start_tls_client(c->conn, c->tls, &wish, c->times->handshake_ms) : -1;
    sessions_wipe(&old);
    if (rc < 0)
        client_end_by_us(c, "451 4.3.0 out of memory for TLS with %s", c->remote);
}

/* Through TLS nothing was said yet: QUIT is the first word (RFC 8689 4.2.1). */
static void distrust(struct client *c, const char *why)
{
    if (c->requires_tls)
        client_part(c,
                    "550 5.7.10 the message requires TLS, and the certificate of %s is not "
                    "valid for it: %s",
                    c->remote, why);
    else
        client_end_by_us(c, "451 4.7.5 the certificate of %s is not valid for it: %s", c->remote,
                         why);
}

void client_on_secured(struct client *c)
{
    static const enum tlsrpt_result results[] = {[TLS_FAULT_TRUST] = TLSRPT_NOT_TRUSTED,
                                                 [TLS_FAULT_NAME] = TLSRPT_HOST_MISMATCH,
                                                 [TLS_FAULT_TIME] = TLSRPT_EXPIRED,
                                                 [TLS_FAULT_TLSA] = TLSRPT_TLSA_INVALID};
    const struct tls_info *info = conn_tls(c->conn);
    c->tls_result = info->is_unverifiable ? TLSRPT_TLSA_INVALID
                    : info->is_verified   ? TLSRPT_SUCCESS
                                          : results[info->fault];
    if (!info->is_verified)
        client_tls_because(c, info->unverified_because);
    describe(c, info);
    client_remark(c, "TLS %s", c->protection);
    stats_count(STAT_RELAY_TLS);
    if (info->is_resumed)
        stats_count(STAT_RELAY_TLS_RESUMED);
    c->is_trying_session = info->is_resumed; /* else it was declined, as any server may */
    if (!is_good_enough(c, info))
        distrust(c, info->unverified_because);
    else if (c->is_implicit)
        client_await_greeting(c);
    else
        say_hello(c, EHLO, c->is_lmtp ? "LHLO" : "EHLO");
}

void client_on_starttls(struct client *c)
{
    if (c->reply.code != 220) {
        client_tls_because(c, "STARTTLS was refused");
        client_end_by_reply(c, VERDICT_TRY_LATER);
    } else if (conn_input(c->conn).n > 0) { /* in the clear, to be taken for said through TLS */
        client_out_of_step(c);
    } else {
        client_start_tls(c);
    }
}

/* Who greets through TLS has nothing to do with what was said before it. */
static void hello_is_done(struct client *c)
{
    c->is_securing = false;
    if (c->level != RELAY_TLS_NONE && !conn_is_tls(c->conn) && !c->offer.has_starttls)
        c->tls_result = TLSRPT_NO_STARTTLS;
    bool is_unfit = c->requires_tls && !c->is_report && !c->offer.has_requiretls;
    if (is_unfit && conn_is_tls(c->conn)) {
        client_part(c, "550 5.7.30 the message requires TLS, and %s does not offer REQUIRETLS",
                    c->remote);
    } else if (c->level == RELAY_TLS_NONE || conn_is_tls(c->conn)) {
        client_log_in(c);
    } else if (c->offer.has_starttls) {
        c->is_securing = true;
        client_say(c, STARTTLS, "STARTTLS\r\n");
    } else if (c->level == RELAY_TLS_OPPORTUNISTIC) {
        snprintf(c->protection, sizeof c->protection, "no (not offered)");
        client_log_in(c);
    } else if (c->requires_tls) {
        client_part(c, "550 5.7.10 the message requires TLS, and %s does not offer STARTTLS",
                    c->remote);
    } else {
        client_part(c, "451 4.7.4 %s does not offer STARTTLS, and TLS is required here", c->remote);
    }
}

void client_on_hello(struct client *c)
{
    unsigned class = c->reply.code / 100;
    if (class == 2)
        hello_is_done(c);
    else if (class == 5 && c->state == EHLO && !c->is_lmtp)
        say_hello(c, HELO, "HELO");
    else if (class == 3)
        client_out_of_step(c);
    else
        client_end_by_reply(c, reply_verdict(&c->reply));
}
