#include "smtpd/params.h"

#include "common/clock.h"
#include "common/hold.h"

#define DONE R_DONE /* of one parameter */

/* DONE, or the refusal. A value that is not there has no pointer. */
typedef enum reply param_fn(struct session *s, struct txn *t, struct span value);

/* RFC 1870: a decimal number of at most 20 digits; one that passes every limit is no mistake. */
static enum reply param_size(struct session *s, struct txn *t, struct span value)
{
    if (value.n == 0 || value.n > 20)
        return R_BAD_ARGUMENT;
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < '0' || value.p[i] > '9')
            return R_BAD_ARGUMENT;
    while (value.n > 1 && value.p[0] == '0')
        value = span_from(value, 1);
    if (span_u64(value, &t->declared) < 0)
        return R_TOO_BIG;
    if (admission_size(t->declared, s->rules.message_size_max) != ADMISSION_WELCOME)
        return R_TOO_BIG;
    return DONE;
}

/* RFC 6152. */
static enum reply param_body(struct session *s, struct txn *t, struct span value)
{
    (void)s;
    t->body_8bit = span_ieq(value, SPAN("8BITMIME"));
    return t->body_8bit || span_ieq(value, SPAN("7BIT")) ? DONE : R_BAD_ARGUMENT;
}

/* RFC 6531 3.4. */
static enum reply param_utf8(struct session *s, struct txn *t, struct span value)
{
    (void)s;
    t->is_utf8 = true;
    return value.p == NULL ? DONE : R_BAD_ARGUMENT;
}

/* RFC 8689 4. */
static enum reply param_requiretls(struct session *s, struct txn *t, struct span value)
{
    (void)s;
    t->requires_tls = true;
    return value.p == NULL ? DONE : R_BAD_ARGUMENT;
}

/* draft-hall-prdr 4.2. */
static enum reply param_prdr(struct session *s, struct txn *t, struct span value)
{
    (void)s;
    t->is_prdr = true;
    return value.p == NULL ? DONE : R_BAD_ARGUMENT;
}

/* RFC 4865 4.2: one of the two, and not further away than EHLO said. What is past already is not
 * held. */
static enum reply hold_until(struct session *s, struct txn *t, int64_t at_s, struct span request)
{
    int64_t now_s = clock_wall_s();
    if (t->hold_request[0] != '\0' || at_s - now_s > s->rules.hold_max_s ||
        !hold_is_request(request))
        return R_BAD_ARGUMENT;
    span_copy(t->hold_request, sizeof t->hold_request, request);
    t->hold_until = at_s > now_s ? at_s : 0;
    return DONE;
}

static enum reply param_holdfor(struct session *s, struct txn *t, struct span value)
{
    char request[HOLD_REQUEST_MAX + 1];
    int64_t seconds;
    if (hold_read_for(value, &seconds) < 0)
        return R_BAD_ARGUMENT;
    snprintf(request, sizeof request, "for;%lld", (long long)seconds);
    return hold_until(s, t, clock_wall_s() + seconds, span_of(request));
}

static enum reply param_holduntil(struct session *s, struct txn *t, struct span value)
{
    char request[HOLD_REQUEST_MAX + 1];
    int64_t at_s;
    if (value.n > HOLD_REQUEST_MAX || hold_read_until(value, &at_s) < 0)
        return R_BAD_ARGUMENT;
    snprintf(request, sizeof request, "until;%.*s", (int)value.n, value.p);
    return hold_until(s, t, at_s, span_of(request));
}

/* RFC 3461 4.3. */
static enum reply param_ret(struct session *s, struct txn *t, struct span value)
{
    (void)s;
    t->ret = span_ieq(value, SPAN("FULL")) ? RET_FULL : RET_HDRS;
    return t->ret == RET_FULL || span_ieq(value, SPAN("HDRS")) ? DONE : R_BAD_ARGUMENT;
}

/* RFC 3461 4.4. */
static enum reply param_envid(struct session *s, struct txn *t, struct span value)
{
    (void)s;
    bool is_good = envid_is_valid(value) && span_copy(t->envid, sizeof t->envid, value) == 0;
    return is_good ? DONE : R_BAD_ARGUMENT;
}

/* RFC 3461 4.1. */
static enum reply param_notify(struct session *s, struct txn *t, struct span value)
{
    (void)s;
    return notify_parse(value, &t->asked_notify) == 0 ? DONE : R_BAD_ARGUMENT;
}

/* RFC 3461 4.2. */
static enum reply param_orcpt(struct session *s, struct txn *t, struct span value)
{
    (void)s;
    bool is_good = (t->is_utf8 || orcpt_is_valid(value)) && orcpt_read(value, t->asked_orcpt) == 0;
    if (!is_good)
        t->asked_orcpt[0] = '\0';
    return is_good ? DONE : R_BAD_ARGUMENT;
}

static bool is_upper_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

/* RFC 4954 5: xtext of an address, or "<>". Only a login counts here, so it is read and no more. */
static enum reply param_auth(struct session *s, struct txn *t, struct span value)
{
    (void)t;
    (void)s;
    for (size_t i = 0; i < value.n; i++) {
        bool is_hex = value.p[i] == '+' && i + 2 < value.n && is_upper_hex(value.p[i + 1]) &&
                      is_upper_hex(value.p[i + 2]);
        bool is_plain =
            value.p[i] > ' ' && value.p[i] <= '~' && value.p[i] != '+' && value.p[i] != '=';
        if (!is_hex && !is_plain)
            return R_BAD_ARGUMENT;
        i += is_hex ? 2 : 0;
    }
    return value.n > 0 ? DONE : R_BAD_ARGUMENT;
}

static bool offers_auth(const struct session *s)
{
    return s->rules.has_auth;
}

static bool offers_dsn(const struct session *s)
{
    return session_offers(s, s->rules.dsn);
}

static bool offers_requiretls(const struct session *s)
{
    return s->tls != NULL;
}

static bool offers_prdr(const struct session *s)
{
    return !s->rules.is_lmtp; /* which has it anyway */
}

static bool offers_hold(const struct session *s)
{
    return s->rules.hold_max_s > 0;
}

static const struct param {
    struct span word;
    enum param_of of;
    bool (*is_offered)(const struct session *s); /* NULL: to all */
    param_fn *take;
} params[] = {
    {{"SIZE", 4}, PARAM_MAIL, NULL, param_size},
    {{"BODY", 4}, PARAM_MAIL, NULL, param_body},
    {{"AUTH", 4}, PARAM_MAIL, offers_auth, param_auth},
    {{"SMTPUTF8", 8}, PARAM_MAIL, NULL, param_utf8},
    {{"REQUIRETLS", 10}, PARAM_MAIL, offers_requiretls, param_requiretls},
    {{"PRDR", 4}, PARAM_MAIL, offers_prdr, param_prdr},
    {{"HOLDFOR", 7}, PARAM_MAIL, offers_hold, param_holdfor},
    {{"HOLDUNTIL", 9}, PARAM_MAIL, offers_hold, param_holduntil},
    {{"RET", 3}, PARAM_MAIL, offers_dsn, param_ret},
    {{"ENVID", 5}, PARAM_MAIL, offers_dsn, param_envid},
    {{"NOTIFY", 6}, PARAM_RCPT, offers_dsn, param_notify},
    {{"ORCPT", 5}, PARAM_RCPT, offers_dsn, param_orcpt},
};

static bool is_meant(const struct session *s, const struct param *p, enum param_of of,
                     struct span name)
{
    return p->of == of && span_ieq(name, p->word) && (p->is_offered == NULL || p->is_offered(s));
}

static enum reply take_param(struct session *s, enum param_of of, struct span word, unsigned *seen)
{
    struct span value = word;
    struct span name = span_cut(&value, '=');
    for (size_t i = 0; i < sizeof params / sizeof params[0]; i++) {
        if (!is_meant(s, &params[i], of, name))
            continue;
        if ((*seen & 1U << i) != 0)
            return R_BAD_ARGUMENT;
        *seen |= 1U << i;
        return params[i].take(s, s->txn, value);
    }
    return R_BAD_PARAMETER;
}

enum reply params_take(struct session *s, enum param_of of, struct span rest)
{
    unsigned seen = 0;
    enum reply r = DONE;
    s->txn->asked_notify = 0;
    s->txn->asked_orcpt[0] = '\0';
    while (rest.n > 0 && r == DONE) {
        struct span word = span_cut(&rest, ' ');
        if (word.n > 0)
            r = take_param(s, of, word, &seen);
    }
    if (r != DONE)
        return r;
    return of == PARAM_MAIL ? R_SENDER_DONE : R_RCPT_OK;
}
