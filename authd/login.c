/* Is this the password of this user? In this order: too many failures from there (refused unseen),
 * the cache of successes, a verifier. Whether the user exists makes no difference in work or time;
 * a wrong password is answered after [auth] failure_delay, and nothing waits for that. What could
 * not be found out is LOGIN_BUSY. Neither passwords nor names of users that do not exist are
 * logged: people type passwords into the wrong field. */
#include "authd/authd.h"
#include "authd/grant.h"
#include "authd/resolve.h"
#include "common/clock.h"
#include "common/log.h"

#include <stdlib.h>

#define LOGINS_MAX 4096 /* under way, with those that wait for failure_delay */
#define SAVE_MS    60000

struct login {
    struct login *next, **prev;
    struct authd *authd;
    struct ipc *ch; /* NULL: nobody waits any more */
    uint64_t tag, session;
    enum login_service service;
    struct netaddr client;
    char client_text[IP_MAX + 1];
    char address[ADDRESS_MAX]; /* of the user; "" if there is none */
    uint64_t generation;
    struct cache_key key;
    struct timer delay;
};

struct outcome {
    enum verdict verdict;
    enum login_reason reason;
};

static const struct outcome wrong = {VERDICT_NEVER, LOGIN_WRONG};
static const struct outcome disabled = {VERDICT_NEVER, LOGIN_DISABLED};
static const struct outcome throttled = {VERDICT_TRY_LATER, LOGIN_THROTTLED};
static const struct outcome busy = {VERDICT_TRY_LATER, LOGIN_BUSY};

/* --- the list of those under way --- */

static void link_login(struct authd *a, struct login *l)
{
    l->authd = a;
    l->next = a->logins;
    l->prev = &a->logins;
    if (l->next != NULL)
        l->next->prev = &l->next;
    a->logins = l;
    a->n_logins++;
}

static void free_login(struct login *l)
{
    timer_stop(&l->delay);
    if (l->next != NULL)
        l->next->prev = l->prev;
    *l->prev = l->next;
    l->authd->n_logins--;
    free(l);
}

void login_channel_gone(struct authd *a, struct ipc *ch)
{
    for (struct login *l = a->logins; l != NULL; l = l->next)
        if (l->ch == ch)
            l->ch = NULL;
    tickets_channel_gone(a->tickets, ch);
}

void login_session_gone(struct authd *a, const struct ipc *ch, uint64_t session)
{
    for (struct login *l = a->logins; l != NULL; l = l->next)
        if (l->ch == ch && l->session == session)
            l->ch = NULL;
    tickets_session_gone(a->tickets, ch, session);
}

/* --- answers --- */

static void say(const struct login *l, struct outcome o)
{
    struct msg_login_re re = {
        .tag = l->tag, .verdict = (uint8_t)o.verdict, .reason = (uint8_t)o.reason};
    if (l->ch != NULL)
        ipc_send_login_re(l->ch, &re, -1);
}

static const char *service_name(const struct login *l)
{
    return l->service == SERVICE_POP3 ? "pop3" : "submission";
}

static void log_refusal(const struct login *l, const char *why)
{
    LOG(l->session, "login-refused", LZ("user", l->address[0] != '\0' ? l->address : "unknown"),
        LZ("client", l->client_text), LZ("service", service_name(l)), LZ("because", why));
}

static void refuse(struct login *l, struct outcome o, const char *why)
{
    log_refusal(l, why);
    say(l, o);
    free_login(l);
}

static void refuse_after_delay(void *login)
{
    struct login *l = login;
    say(l, wrong);
    free_login(l);
}

static void note_login(struct authd *a, struct user *user)
{
    user->last_login = clock_wall_s();
    user->is_login_unsaved = true;
    if (!a->save_logins.is_set)
        timer_set(&a->save_logins, SAVE_MS);
}

void login_save(struct authd *a)
{
    timer_stop(&a->save_logins);
    if (a->users == NULL || users_save_logins(a->users, a->directory) == 0)
        return;
    timer_set(&a->save_logins, SAVE_MS);
    authd_store_failed(a);
}

/* What proves the login to others: to pop3d the channel to the mailbox, to smtpd a ticket. 0, or
 * -1: could not. */
static int prove(const struct login *l, const struct user *user, struct msg_login_re *re, int *fd)
{
    struct authd *a = l->authd;
    if (l->service == SERVICE_POP3) {
        struct grant grant = {
            .user = user, .session = l->session, .client = span_of(l->client_text)};
        *fd = grant_box(proc_peer(a->proc, ROLE_MAILBOX), &grant);
        return *fd >= 0 ? 0 : -1;
    }
    const struct ticket *ticket = ticket_issue(a->tickets, l->ch, l->session, user);
    if (ticket != NULL)
        re->ticket = (struct span){(const char *)ticket->octets, sizeof ticket->octets};
    return ticket != NULL ? 0 : -1;
}

/* The password is right. */
static void succeed(struct login *l, struct user *user)
{
    int fd = -1;
    struct msg_login_re re = {.tag = l->tag, .address = user->node.name};
    if (user->is_disabled) {
        refuse(l, disabled, "disabled");
        return;
    }
    if (prove(l, user, &re, &fd) < 0) {
        refuse(l, busy, "mailbox does not answer, or too many sessions");
        return;
    }
    note_login(l->authd, user);
    LOG(l->session, "login", LS("user", user->node.name), LZ("client", l->client_text),
        LZ("service", service_name(l)));
    ipc_send_login_re(l->ch, &re, fd);
    if (fd >= 0)
        close(fd);
    free_login(l);
}

static void fail(struct login *l)
{
    const struct auth_config *auth = &proc_config(l->authd->proc)->auth;
    throttle_failed(l->authd->throttle, &auth->failures_per_address, &l->client);
    log_refusal(l, "wrong");
    timer_set(&l->delay, auth->failure_delay_ms);
}

/* --- verifying --- */

static bool is_over(const struct login *l)
{
    const struct authd *a = l->authd;
    const struct rate *limit = &proc_config(a->proc)->auth.failures_per_address;
    return throttle_is_over(a->throttle, limit, &l->client);
}

/* Many may have been sent at once: those that were waiting while others failed are not looked at.
 */
static bool is_wanted(void *login)
{
    const struct login *l = login;
    return l->ch != NULL && !is_over(l);
}

static void verified(void *login, enum verify_result result, const char *hash)
{
    (void)hash;
    struct login *l = login;
    struct user *user = directory_user(l->authd->directory, span_of(l->address));
    bool is_same = user != NULL && user->generation == l->generation;
    if (l->ch == NULL) {
        free_login(l);
    } else if (result == VERIFY_FAULT || (l->address[0] != '\0' && !is_same)) {
        if (is_over(l))
            refuse(l, throttled, "throttled");
        else
            refuse(l, busy, "could not decide");
    } else if (result == VERIFY_WRONG || !is_same) {
        fail(l);
    } else {
        cache_put(l->authd->cache, &l->key);
        succeed(l, user);
    }
}

static int verify(struct login *l, const struct user *user, struct span password)
{
    char hash[USERS_HASH_MAX] = "";
    struct authd *a = l->authd;
    if (user != NULL && (users_hash(a->users, user->box, hash) != 1 || hash[0] == '\0'))
        return -1;
    struct verify_call call = {.is_wanted = is_wanted, .done = verified, .arg = l};
    return verify_check(a->verifiers, hash, password, &call);
}

/* A name without a domain is one of the default domain. */
static struct user *find_user(const struct directory *d, struct span given)
{
    char text[LOGIN_MAX + DOMAIN_MAX + 2], address[ADDRESS_MAX];
    const struct domain *home = directory_default_domain(d);
    if (span_copy(text, sizeof text, given) < 0)
        return NULL;
    if (resolve_domain_of(given).n == 0 && home != NULL)
        snprintf(text + given.n, sizeof text - given.n, "@%s", home->node.name.p);
    if (resolve_canonical(span_of(text), false, address) < 0)
        return NULL;
    return directory_user(d, span_of(address));
}

static void decide(struct login *l, const struct msg_login *m)
{
    struct authd *a = l->authd;
    struct user *user = find_user(a->directory, m->user);
    if (user != NULL) {
        span_copy(l->address, sizeof l->address, user->node.name);
        l->generation = user->generation;
        l->key = cache_key(a->cache, user, l->service, m->password);
    }
    if (is_over(l))
        refuse(l, throttled, "throttled");
    else if (user != NULL && cache_has(a->cache, &l->key))
        succeed(l, user);
    else if (verify(l, user, m->password) < 0)
        refuse(l, busy, "could not decide");
}

/* What the channel's role may ask for. */
static bool is_allowed(const struct ipc *from, uint8_t service)
{
    return (ipc_peer(from) == ROLE_POP3D && service == SERVICE_POP3) ||
           (ipc_peer(from) == ROLE_SMTPD && service == SERVICE_SUBMISSION);
}

static struct login *new_login(struct authd *a, struct ipc *from, const struct msg_login *m)
{
    struct login *l = a->n_logins < LOGINS_MAX ? calloc(1, sizeof *l) : NULL;
    if (l == NULL)
        return NULL;
    l->ch = from;
    l->tag = m->tag;
    l->session = m->session;
    l->service = (enum login_service)m->service;
    span_copy(l->client_text, sizeof l->client_text, m->client);
    if (netaddr_parse(m->client, &l->client) < 0 &&
        netaddr_parse_port(m->client, ':', &l->client) < 0)
        l->client = (struct netaddr){.n = 4}; /* whoever says no address shares one: 0.0.0.0 */
    timer_init(&l->delay, proc_loop(a->proc), refuse_after_delay, l);
    link_login(a, l);
    return l;
}

void login_handle(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct authd *a = proc_state(owner);
    struct login *l = is_allowed(from, m->login.service) ? new_login(a, from, &m->login) : NULL;
    if (l == NULL) {
        LOG(m->login.session, "login-refused", LZ("because", "overloaded, or not its service"));
        struct msg_login_re re = {
            .tag = m->login.tag, .verdict = VERDICT_TRY_LATER, .reason = LOGIN_BUSY};
        ipc_send_login_re(from, &re, -1);
    } else {
        decide(l, &m->login);
    }
    authd_wipe(m->login.password);
}
