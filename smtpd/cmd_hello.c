/* EHLO and HELO (RFC 5321 4.1.1.1), LHLO (RFC 2033), STARTTLS (RFC 3207). */
#include "common/clock.h"
#include "smtpd/verbs.h"

#define TAIL_MAX 80

/* The extensions that EHLO lists, a row each. */
struct keyword {
    struct span word;
    /* What follows the word, with its space; NULL: nothing. False: it is not offered now. */
    bool (*tail)(const struct session *s, char out[TAIL_MAX]);
};

static bool size_tail(const struct session *s, char out[TAIL_MAX])
{
    snprintf(out, TAIL_MAX, " %llu", (unsigned long long)s->rules.message_size_max);
    return true;
}

static bool offers_tls(const struct session *s)
{
    return s->tls == NULL && s->rules.ops->offers_tls(s->rules.client);
}

static bool tls_tail(const struct session *s, char out[TAIL_MAX])
{
    (void)out;
    return offers_tls(s);
}

static bool auth_tail(const struct session *s, char out[TAIL_MAX])
{
    char list[SASL_LIST_MAX];
    sasl_list(list, auth_offered(s));
    snprintf(out, TAIL_MAX, " %s", list);
    return list[0] != '\0';
}

/* RFC 9422: so that a client cuts a long list before it is told so, recipient by recipient. */
static bool limits_tail(const struct session *s, char out[TAIL_MAX])
{
    snprintf(out, TAIL_MAX, " RCPTMAX=%llu", (unsigned long long)txn_rcpts_max(s));
    return true;
}

static bool dsn_tail(const struct session *s, char out[TAIL_MAX])
{
    (void)out;
    return session_offers(s, s->rules.dsn);
}

static bool requiretls_tail(const struct session *s, char out[TAIL_MAX])
{
    (void)out;
    return s->tls != NULL;
}

static bool prdr_tail(const struct session *s, char out[TAIL_MAX])
{
    (void)out;
    return !s->rules.is_lmtp; /* which has it anyway */
}

/* RFC 5321 3.5.2. */
static bool expn_tail(const struct session *s, char out[TAIL_MAX])
{
    (void)out;
    return session_offers(s, s->rules.expn);
}

/* RFC 4865 3: the longest time, and the latest moment. */
static bool hold_tail(const struct session *s, char out[TAIL_MAX])
{
    char latest[CLOCK_TEXT_MAX];
    clock_rfc3339(latest, clock_wall_s() + s->rules.hold_max_s);
    snprintf(out, TAIL_MAX, " %lld %s", (long long)s->rules.hold_max_s, latest);
    return s->rules.hold_max_s > 0;
}

/* clang-format off */
static const struct keyword keywords[] = {
    {{"PIPELINING", 10}, NULL},          /* RFC 2920 */
    {{"SIZE", 4}, size_tail},            /* RFC 1870 */
    {{"8BITMIME", 8}, NULL},             /* RFC 6152 */
    {{"ENHANCEDSTATUSCODES", 19}, NULL}, /* RFC 2034 */
    {{"STARTTLS", 8}, tls_tail},         /* RFC 3207 */
    {{"AUTH", 4}, auth_tail},            /* RFC 4954 */
    {{"SMTPUTF8", 8}, NULL},             /* RFC 6531 */
    {{"CHUNKING", 8}, NULL},             /* RFC 3030 */
    {{"LIMITS", 6}, limits_tail},        /* RFC 9422 */
    {{"DSN", 3}, dsn_tail},              /* RFC 3461 */
    {{"REQUIRETLS", 10}, requiretls_tail}, /* RFC 8689 */
    {{"PRDR", 4}, prdr_tail},            /* draft-hall-prdr */
    {{"FUTURERELEASE", 13}, hold_tail},  /* RFC 4865 */
    {{"EXPN", 4}, expn_tail},            /* RFC 5321 */
    {{"HELP", 4}, NULL},                 /* last: it is always there */
};
/* clang-format on */

/* Whoever greets begins anew (RFC 5321 4.1.4). */
static bool greeted(struct session *s, struct span name, bool is_esmtp)
{
    if (!admission_is_helo(name)) {
        session_reply(s, R_BAD_HELO);
        return false;
    }
    char *helo = span_dup(name);
    if (helo == NULL) {
        session_reply(s, R_NO_MEMORY);
        return false;
    }
    txn_reset(s);
    free(s->helo);
    s->helo = helo;
    s->is_esmtp = is_esmtp;
    s->state = STATE_READY;
    return true;
}

void cmd_helo(struct session *s, struct span argument)
{
    if (s->rules.is_lmtp)
        session_reply(s, R_UNKNOWN_COMMAND);
    else if (greeted(s, argument, false))
        session_reply_with(s, R_HELLO, s->hostname);
}

static void greet_with_keywords(struct session *s, struct span argument)
{
    if (!greeted(s, argument, true))
        return;
    int rc = reply_add_line(&s->out, R_HELLO, s->hostname, false);
    size_t last = sizeof keywords / sizeof keywords[0] - 1;
    for (size_t i = 0; i <= last && rc == 0; i++) {
        char tail[TAIL_MAX] = "", line[TAIL_MAX + 32];
        const struct keyword *k = &keywords[i];
        if (k->tail != NULL && !k->tail(s, tail))
            continue;
        snprintf(line, sizeof line, "%s%s", k->word.p, tail);
        rc = reply_add_line(&s->out, R_HELLO, span_of(line), i == last);
    }
    if (rc < 0)
        session_reply(s, R_NO_MEMORY);
}

void cmd_ehlo(struct session *s, struct span argument)
{
    if (s->rules.is_lmtp)
        session_reply(s, R_UNKNOWN_COMMAND);
    else
        greet_with_keywords(s, argument);
}

/* RFC 2033 4.1: in the place of EHLO, so that nobody takes the one protocol for the other. */
void cmd_lhlo(struct session *s, struct span argument)
{
    if (!s->rules.is_lmtp)
        session_reply(s, R_UNKNOWN_COMMAND);
    else
        greet_with_keywords(s, argument);
}

/* RFC 3207 4. The server begins the handshake when the reply is on its way; what stood behind the
 * command in the same flight has closed the session before this (VERB_LAST). */
void cmd_starttls(struct session *s, struct span argument)
{
    if (argument.n > 0) {
        session_reply(s, R_BAD_ARGUMENT);
    } else if (s->tls != NULL) {
        session_reply(s, R_TLS_ALREADY);
    } else if (!offers_tls(s)) {
        session_reply(s, R_NOT_IMPLEMENTED);
    } else {
        session_reply(s, R_TLS_GO_AHEAD);
        s->wait = WAIT_TLS;
    }
}
