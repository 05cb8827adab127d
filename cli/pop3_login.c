/* Logging in to a POP3 server: AUTH (RFC 5034) with SCRAM-SHA-256-PLUS, SCRAM-SHA-256 or PLAIN,
 * whatever is the best that the server offers; else USER and PASS. */
#include "cli/pop3.h"

#include "common/base64.h"
#include "common/scram_client.h"

#include <sodium.h>

/* The line that answers AUTH or a part of it: *r, and a challenge decoded into `out`. */
static int hear(struct pop3 *p, enum pop3in_result *r, char *out, size_t *n, struct error *e)
{
    struct span text;
    *n = 0;
    if (pop3_auth_line(p, r, &text, e) < 0)
        return -1;
    if (*r == POP3IN_CHALLENGE && base64_decode(text, out, SCRAM_CLIENT_TEXT_MAX, n) < 0)
        return pop3_lost(p, e, "the server sends a challenge that is not base64");
    return 0;
}

static int say_encoded(struct pop3 *p, struct span s, struct error *e)
{
    char text[SCRAM_CLIENT_TEXT_MAX * 4 / 3 + 8];
    if (s.n > SCRAM_CLIENT_TEXT_MAX)
        return error_set(e, "an answer would be too long");
    sodium_bin2base64(text, sizeof text - 2, (const unsigned char *)s.p, s.n,
                      sodium_base64_VARIANT_ORIGINAL);
    size_t n = strlen(text);
    memcpy(text + n, "\r\n", 2);
    int rc = pop3_send(p, (struct span){text, n + 2}, e);
    sodium_memzero(text, sizeof text);
    return rc;
}

/* Says something (with the mechanism: AUTH) and wants a challenge. */
static int expect_challenge(struct pop3 *p, char *out, size_t *n, struct error *e)
{
    enum pop3in_result r;
    if (hear(p, &r, out, n, e) < 0)
        return -1;
    if (r == POP3IN_ERR)
        return pop3_refused(p, e, "the login was refused");
    return r == POP3IN_CHALLENGE ? 0 : pop3_lost(p, e, "the server ends a login before its time");
}

/* The last line: +OK. What SCRAM says last may come as a challenge first. */
static int expect_ok(struct pop3 *p, struct error *e)
{
    bool is_ok;
    if (pop3_status(p, &is_ok, e) < 0)
        return -1;
    return is_ok ? 0 : pop3_refused(p, e, "the login was refused");
}

static int plain(struct pop3 *p, const char *user, struct span password, struct error *e)
{
    char text[SCRAM_CLIENT_TEXT_MAX];
    size_t n;
    if (pop3_say(p, e, "AUTH PLAIN") < 0 || expect_challenge(p, text, &n, e) < 0)
        return -1;
    int wrote = snprintf(text, sizeof text, "%c%s%c%.*s", 0, user, 0, (int)password.n, password.p);
    if (wrote < 0 || (size_t)wrote >= sizeof text)
        return error_set(e, "the login is too long");
    int rc = say_encoded(p, (struct span){text, (size_t)wrote}, e);
    sodium_memzero(text, sizeof text);
    return rc < 0 ? -1 : expect_ok(p, e);
}

/* "p=…" with what it is bound to; "y": the server could have offered it, and did not (then
 * somebody may have taken it away, and the server will see that); "n": we cannot. */
static const char *choose_binding(struct pop3 *p, unsigned char out[TLS_BINDING_MAX], size_t *n)
{
    bool can = p->wire.tls != NULL && tls_binding(p->wire.tls, TLS_BINDING_EXPORTER, out, n) == 0;
    if (!can || !p->has_scram_plus)
        *n = 0;
    return !can ? "n" : p->has_scram_plus ? "p=tls-exporter" : "y";
}

static int converse(struct pop3 *p, struct scram_client *x, struct span password, struct error *e)
{
    char text[SCRAM_CLIENT_TEXT_MAX], answer[SCRAM_CLIENT_TEXT_MAX];
    size_t n;
    enum pop3in_result r;
    if (pop3_say(p, e, "AUTH SCRAM-SHA-256%s", x->first[0] == 'p' ? "-PLUS" : "") < 0 ||
        expect_challenge(p, text, &n, e) < 0 || say_encoded(p, span_of(x->first), e) < 0 ||
        expect_challenge(p, text, &n, e) < 0)
        return -1;
    if (scram_client_answer(x, (struct span){text, n}, password, answer) < 0)
        return pop3_lost(p, e, "the server does not speak SCRAM-SHA-256 as it should");
    if (say_encoded(p, span_of(answer), e) < 0 || hear(p, &r, text, &n, e) < 0)
        return -1;
    if (r == POP3IN_ERR)
        return pop3_refused(p, e, "the login was refused");
    if (r != POP3IN_CHALLENGE || scram_client_verify(x, (struct span){text, n}) < 0) {
        pop3_lost(p, e,
                  "the server took the login, but does not know the password itself: it is "
                  "not the one it says it is");
        p->is_temporary = false;
        return -1;
    }
    return say_encoded(p, SPAN(""), e) < 0 ? -1 : expect_ok(p, e);
}

static int scram(struct pop3 *p, const char *user, struct span password, struct error *e)
{
    struct scram_client x;
    unsigned char channel[TLS_BINDING_MAX];
    size_t n = 0;
    const char *binding = choose_binding(p, channel, &n);
    if (scram_client_begin(&x, user, binding, (struct span){(const char *)channel, n}) < 0)
        return error_set(e, "the user name cannot be said in SCRAM");
    int rc = converse(p, &x, password, e);
    scram_client_end(&x);
    return rc;
}

static int user_and_pass(struct pop3 *p, const char *user, struct span password, struct error *e)
{
    bool is_ok;
    if (strchr(user, ' ') != NULL)
        return error_set(e, "the user name cannot be said in POP3");
    if (pop3_say(p, e, "USER %s", user) < 0 || pop3_status(p, &is_ok, e) < 0)
        return -1;
    if (!is_ok)
        return pop3_refused(p, e, "the user was refused");
    if (pop3_say(p, e, "PASS %.*s", (int)password.n, password.p) < 0)
        return -1;
    return expect_ok(p, e);
}

static bool is_sayable(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
            return false;
    return s.n > 0 && s.n <= 500;
}

int pop3_login(struct pop3 *p, const char *user, struct span password, struct error *e)
{
    p->is_temporary = false;
    if (!is_sayable(span_of(user)))
        return error_set(e, "the user name cannot be said in POP3");
    if (!is_sayable(password))
        return error_set(e, "the password cannot be said in POP3: it is empty, too long or has "
                            "control characters");
    int rc = p->has_scram || p->has_scram_plus ? scram(p, user, password, e)
             : p->has_plain                    ? plain(p, user, password, e)
                                               : user_and_pass(p, user, password, e);
    return rc < 0 ? -1 : pop3_ask_capa(p, e); /* after the login a server may offer more */
}
