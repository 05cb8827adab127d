#include "common/sasl.h"

#include "common/base64.h"
#include "common/proto.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum state { START, NAME_ASKED, PASSWORD_ASKED, FIRST_GIVEN, FINAL_ASKED, FINAL_GIVEN, PROOF_SENT };

static const struct span names[SASL_MECHANISMS] = {
    [SASL_SCRAM_PLUS] = SPAN("SCRAM-SHA-256-PLUS"),
    [SASL_SCRAM] = SPAN("SCRAM-SHA-256"),
    [SASL_PLAIN] = SPAN("PLAIN"),
    [SASL_LOGIN] = SPAN("LOGIN"),
};

struct span sasl_name(enum sasl_mechanism m)
{
    return names[m];
}

enum sasl_mechanism sasl_find(struct span name, unsigned offered)
{
    for (unsigned m = 0; m < SASL_MECHANISMS; m++)
        if ((offered & SASL_BIT(m)) != 0 && span_ieq(name, names[m]))
            return (enum sasl_mechanism)m;
    return SASL_MECHANISMS;
}

void sasl_list(char out[SASL_LIST_MAX], unsigned offered)
{
    size_t n = 0;
    for (unsigned m = 0; m < SASL_MECHANISMS; m++) {
        if ((offered & SASL_BIT(m)) == 0)
            continue;
        if (n > 0)
            out[n++] = ' ';
        memcpy(out + n, names[m].p, names[m].n);
        n += names[m].n;
    }
    out[n] = '\0';
}

void sasl_wipe(struct span secret)
{
    if (secret.n > 0)
        sodium_memzero((void *)(uintptr_t)secret.p, secret.n);
}

struct sasl *sasl_begin(enum sasl_mechanism m)
{
    struct sasl *x = calloc(1, sizeof *x);
    if (x != NULL)
        x->mechanism = m;
    return x;
}

static void drop_given(struct sasl *x)
{
    if (x->given != NULL)
        sodium_memzero(x->given, x->n_given);
    free(x->given);
    x->given = NULL;
    x->user = x->password = x->message = (struct span){NULL, 0};
}

void sasl_end(struct sasl *x)
{
    if (x == NULL)
        return;
    drop_given(x);
    free(x->name);
    sodium_memzero(x, sizeof *x);
    free(x);
}

static enum sasl_step challenge(struct sasl *x, struct span text, enum state next)
{
    if (text.n > SASL_TEXT_MAX)
        return SASL_MALFORMED;
    sodium_bin2base64(x->challenge, sizeof x->challenge, (const unsigned char *)text.p, text.n,
                      sodium_base64_VARIANT_ORIGINAL);
    x->state = (int)next;
    return SASL_CHALLENGE;
}

/* --- what the mechanisms say --- */

/* [authzid] NUL authcid NUL password */
static enum sasl_step take_plain(struct sasl *x, struct span all)
{
    struct span rest = all;
    struct span authzid = span_cut(&rest, '\0');
    struct span user = span_cut(&rest, '\0');
    if (user.n == 0 || rest.n == 0 || memchr(rest.p, '\0', rest.n) != NULL)
        return SASL_MALFORMED;
    if (authzid.n > 0 && !span_ieq(authzid, user))
        return SASL_REFUSED;
    x->user = user;
    x->password = rest;
    return SASL_PASSWORD;
}

static enum sasl_step take_name(struct sasl *x, struct span name)
{
    x->name = name.n > 0 && name.n <= LOGIN_MAX ? span_dup(name) : NULL;
    if (x->name == NULL)
        return SASL_MALFORMED;
    return challenge(x, SPAN("Password:"), PASSWORD_ASKED);
}

static enum sasl_step take_password(struct sasl *x, struct span password)
{
    if (password.n == 0 || memchr(password.p, '\0', password.n) != NULL)
        return SASL_MALFORMED;
    x->user = span_of(x->name);
    x->password = password;
    return SASL_PASSWORD;
}

static enum sasl_step take_scram(struct sasl *x, struct span text, enum sasl_step step)
{
    if (text.n == 0 || text.n > SASL_TEXT_MAX || memchr(text.p, '\0', text.n) != NULL)
        return SASL_MALFORMED;
    x->message = text;
    x->state = step == SASL_SCRAM_FIRST ? FIRST_GIVEN : FINAL_GIVEN;
    return step;
}

static bool is_scram(const struct sasl *x)
{
    return x->mechanism == SASL_SCRAM || x->mechanism == SASL_SCRAM_PLUS;
}

static enum sasl_step take(struct sasl *x, struct span text)
{
    switch (x->state) {
    case START:
        if (is_scram(x))
            return take_scram(x, text, SASL_SCRAM_FIRST);
        return x->mechanism == SASL_PLAIN ? take_plain(x, text) : take_name(x, text);
    case NAME_ASKED:
        return take_name(x, text);
    case PASSWORD_ASKED:
        return take_password(x, text);
    case FINAL_ASKED:
        return take_scram(x, text, SASL_SCRAM_FINAL);
    case PROOF_SENT:
        return text.n == 0 ? SASL_DONE : SASL_MALFORMED;
    default:
        return SASL_MALFORMED; /* nothing was asked */
    }
}

/* --- lines --- */

static enum sasl_step decode(struct sasl *x, struct span line)
{
    size_t cap = line.n / 4 * 3 + 1, n = 0; /* base64: at most 3 octets for each whole 4 */
    x->given = malloc(cap);
    if (x->given == NULL)
        return SASL_NO_MEMORY;
    x->n_given = cap;
    if (base64_decode(line, x->given, cap, &n) < 0)
        return SASL_NOT_BASE64;
    return take(x, (struct span){x->given, n});
}

enum sasl_step sasl_initial(struct sasl *x, struct span response)
{
    if (response.p != NULL)
        return decode(x, span_eq(response, SPAN("=")) ? SPAN("") : response);
    if (x->mechanism == SASL_LOGIN)
        return challenge(x, SPAN("Username:"), NAME_ASKED);
    return challenge(x, SPAN(""), START);
}

enum sasl_step sasl_line(struct sasl *x, struct span line)
{
    drop_given(x);
    if (span_eq(line, SPAN("*")))
        return SASL_CANCELLED;
    return decode(x, line);
}

enum sasl_step sasl_answered(struct sasl *x, struct span text)
{
    drop_given(x);
    return challenge(x, text, x->state == FIRST_GIVEN ? FINAL_ASKED : PROOF_SENT);
}
