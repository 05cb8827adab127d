/* From EHLO's answer to readiness: the login at a smarthost. A password that does not fit is our
 * fault and not the mail's: every failure is "later". */
#include "relay/client_state.h"

#include <sodium.h>

static void say(struct client *c, char line[LOGIN_LINE_MAX])
{
    client_say(c, LOGIN, line);
    sodium_memzero(line, LOGIN_LINE_MAX);
}

/* A password goes to this machine, or through TLS: to the server it is for, unless the
 * configuration asks for no more than TLS. */
static bool is_safe(struct client *c)
{
    bool is_tls = conn_is_tls(c->conn);
    bool is_known = is_tls && (c->level == RELAY_TLS_REQUIRED || conn_tls(c->conn)->is_verified);
    if (c->is_loopback || is_known)
        return true;
    client_end_by_us(c,
                     is_tls ? "451 4.7.5 no password is sent to %s, whose certificate is not valid "
                              "for it (unless tls = required)"
                            : "451 4.7.11 no password is sent to %s without TLS",
                     c->remote);
    return false;
}

void client_log_in(struct client *c)
{
    char line[LOGIN_LINE_MAX];
    if (!c->needs_login)
        client_is_ready(c);
    else if (c->login == NULL)
        client_end_by_us(c, "451 4.7.8 there is no password for %s here", c->remote);
    else if (!is_safe(c))
        return;
    else if (login_begin(c->login, c->offer.auth, line) < 0)
        client_end_by_us(c, "451 4.7.9 %s offers no way to log in that is known here", c->remote);
    else
        say(c, line);
}

/* 334 asks for more, 235 is the end. */
void client_on_login(struct client *c)
{
    char line[LOGIN_LINE_MAX];
    if (c->reply.code == 334 && c->reply.n_lines == 1) {
        login_answer(c->login, span_from(reply_text(&c->reply), sizeof "334" - 1), line);
        say(c, line);
    } else if (c->reply.code == 235 && login_is_proved(c->login)) {
        login_free(c->login);
        c->login = NULL;
        c->needs_login = false;
        c->offer.is_logged_in = true;
        client_is_ready(c);
    } else if (c->reply.code / 100 == 2 && !login_is_proved(c->login)) {
        client_end_by_us(c, "451 4.7.8 %s does not prove that it knows the password", c->remote);
    } else if (c->reply.code / 100 < 4) {
        client_out_of_step(c);
    } else {
        client_end_by_reply(c, VERDICT_TRY_LATER);
    }
}
