/* EHLO and HELO (RFC 5321 4.1.1.1). */
#include "smtpd/verbs.h"

#define HELO_NAME_MAX 255

/* The extensions that EHLO lists, a row each. */
struct keyword {
    struct span word;
    uint64_t (*number)(const struct session *s); /* what follows the word; NULL: nothing */
};

static uint64_t size_max(const struct session *s)
{
    return s->rules.message_size_max;
}

static const struct keyword keywords[] = {
    {{"PIPELINING", 10}, NULL}, {{"SIZE", 4}, size_max},             /* RFC 1870 */
    {{"8BITMIME", 8}, NULL},    {{"ENHANCEDSTATUSCODES", 19}, NULL}, /* RFC 2034 */
    {{"HELP", 4}, NULL},
};

/* Names that real hosts give are often no domains, so anything goes that can be shown in a line. */
static bool is_name(struct span s)
{
    if (s.n == 0 || s.n > HELO_NAME_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
            return false;
    return true;
}

/* Whoever greets begins anew (RFC 5321 4.1.4). */
static bool greeted(struct session *s, struct span name, bool is_esmtp)
{
    if (!is_name(name)) {
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
    if (greeted(s, argument, false))
        session_reply_with(s, R_HELLO, s->hostname);
}

void cmd_ehlo(struct session *s, struct span argument)
{
    if (!greeted(s, argument, true))
        return;
    int rc = reply_add_line(&s->out, R_HELLO, s->hostname, false);
    size_t last = sizeof keywords / sizeof keywords[0] - 1;
    for (size_t i = 0; i <= last && rc == 0; i++) {
        char line[64];
        const struct keyword *k = &keywords[i];
        if (k->number != NULL)
            snprintf(line, sizeof line, "%s %llu", k->word.p, (unsigned long long)k->number(s));
        else
            snprintf(line, sizeof line, "%s", k->word.p);
        rc = reply_add_line(&s->out, R_HELLO, span_of(line), i == last);
    }
    if (rc < 0)
        session_reply(s, R_NO_MEMORY);
}
