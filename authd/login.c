/* Is this the password of this user? In this order: too many failures from there (refused unseen),
 * the cache of successes, a verifier. Whether the user exists makes no difference in work or time;
 * a wrong password is answered after [auth] failure_delay, and nothing waits for that. What could
 * not be found out is LOGIN_BUSY. Neither passwords nor names of users that do not exist are
 * logged: people type passwords into the wrong field. */
#include "authd/login.h"

#include "authd/grant.h"
#include "authd/resolve.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/stats.h"

#include <stdlib.h>

#define LOGINS_MAX 4096 /* under way, with those that wait for failure_delay */
#define SAVE_MS    60000

static const struct outcome wrong = {VERDICT_NEVER, LOGIN_WRONG};
static const struct outcome disabled = {VERDICT_NEVER, LOGIN_DISABLED};
static const struct outcome receive_only = {VERDICT_NEVER, LOGIN_RECEIVE_ONLY};
const struct outcome login_throttled = {VERDICT_TRY_LATER, LOGIN_THROTTLED};
const struct outcome login_busy = {VERDICT_TRY_LATER, LOGIN_BUSY};

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

void login_free(struct login *l)
{
    timer_stop(&l->timer);
    if (l->next != NULL)
        l->next->prev = l->prev;
    *l->prev = l->next;
    l->authd->n_logins--;
    if (l->scram != NULL)
        sodium_memzero(l->scram, sizeof *l->scram);
    free(l->scram);
    login_drop_password(l);
    ipc_cancel(proc_peer(l->authd->proc, ROLE_PAMD), l->pam_tag);
    free(l);
}

/* One that a verifier works on stays until that is done; an exchange is over. */
static void abandon(struct authd *a, const struct ipc *ch, const uint64_t *session)
{
    struct login *next;
    for (struct login *l = a->logins; l != NULL; l = next) {
        next = l->next;
        if (l->ch != ch || (session != NULL && l->session != *session))
            continue;
        l->ch = NULL;
        if (l->scram != NULL)
            login_free(l);
    }
}

void login_channel_gone(struct authd *a, struct ipc *ch)
{
    abandon(a, ch, NULL);
    tickets_channel_gone(a->tickets, ch);
}

void login_session_gone(struct authd *a, const struct ipc *ch, uint64_t session)
{
    abandon(a, ch, &session);
    tickets_session_gone(a->tickets, ch, session);
}

/* --- answers --- */

static void say(const struct login *l, struct outcome o)
{
    if (l->is_first) {
        struct msg_scram_first_re first = {
            .tag = l->tag, .verdict = (uint8_t)o.verdict, .reason = (uint8_t)o.reason};
        ipc_send_scram_first_re(l->ch, &first, -1);
        return;
    }
    struct msg_login_re re = {
        .tag = l->tag, .verdict = (uint8_t)o.verdict, .reason = (uint8_t)o.reason};
    if (l->ch != NULL)
        ipc_send_login_re(l->ch, &re, -1);
}

static const char *service_name(const struct login *l)
{
    return l->service == SERVICE_POP3 ? "pop3" : "submission";
}

static const char *mechanism_name(const struct login *l)
{
    return l->scram != NULL ? "scram" : l->is_pam ? "pam" : "password";
}

static void log_refusal(const struct login *l, const char *why)
{
    LOG(l->session, "login-refused", LZ("user", l->address[0] != '\0' ? l->address : "unknown"),
        LZ("client", l->client_text), LZ("service", service_name(l)), LZ("because", why));
}

void login_refuse(struct login *l, struct outcome o, const char *why)
{
    stats_count(STAT_LOGINS_REFUSED);
    log_refusal(l, why);
    say(l, o);
    login_free(l);
}

void login_refuse_after_delay(void *login)
{
    struct login *l = login;
    say(l, wrong);
    login_free(l);
}

static void note_use(struct authd *a, uint64_t credential)
{
    size_t at = 0;
    while (at < a->n_uses && a->uses[at].credential != credential)
        at++;
    if (at == sizeof a->uses / sizeof a->uses[0]) {
        login_save(a);
        at = a->n_uses < at ? a->n_uses : 0;
    }
    a->uses[at] = (struct app_use){credential, clock_wall_s()};
    a->n_uses = at >= a->n_uses ? at + 1 : a->n_uses;
}

static void note_login(struct authd *a, struct user *user, const struct credential *which)
{
    if (which->number != 0)
        note_use(a, which->number);
    user->last_login = clock_wall_s();
    user->is_login_unsaved = true;
    if (!a->save_logins.is_set)
        timer_set(&a->save_logins, SAVE_MS);
}

void login_save(struct authd *a)
{
    timer_stop(&a->save_logins);
    if (a->users == NULL)
        return;
    if (users_save_logins(a->users, a->directory, a->uses, a->n_uses) == 0) {
        a->n_uses = 0;
        return;
    }
    timer_set(&a->save_logins, SAVE_MS);
    authd_store_failed(a);
}

/* What proves the login to others: to pop3d the channel to the mailbox, to smtpd a ticket. 0, or
 * -1: could not. */
static int prove(const struct login *l, const struct user *user, struct msg_login_re *re, int *fd)
{
    struct authd *a = l->authd;
    if (l->service == SERVICE_POP3) {
        const struct domain *domain =
            directory_domain(a->directory, resolve_domain_of(user->node.name));
        struct grant grant = {.user = user,
                              .domain = domain != NULL ? domain->number : 0,
                              .device = l->credential.is_device ? l->credential.number : 0,
                              .session = l->session,
                              .client = span_of(l->client_text)};
        *fd = grant_box(proc_peer(a->proc, ROLE_MAILBOX), &grant);
        return *fd >= 0 ? 0 : -1;
    }
    const struct ticket *ticket = ticket_issue(a->tickets, l->ch, l->session, user);
    if (ticket != NULL)
        re->ticket = (struct span){(const char *)ticket->octets, sizeof ticket->octets};
    return ticket != NULL ? 0 : -1;
}

/* The password is right. */
void login_succeed(struct login *l, struct user *user)
{
    int fd = -1;
    struct msg_login_re re = {
        .tag = l->tag, .address = user->node.name, .proof = span_of(l->proof)};
    if (user->is_disabled) {
        login_refuse(l, disabled, "disabled");
        return;
    }
    if (user->is_receive_only && l->service == SERVICE_SUBMISSION) {
        login_refuse(l, receive_only, "receive-only");
        return;
    }
    if (prove(l, user, &re, &fd) < 0) {
        login_refuse(l, login_busy, "mailbox does not answer, or too many sessions");
        return;
    }
    note_login(l->authd, user, &l->credential);
    accounts_succeeded(l->authd->accounts, l->account, &l->client);
    stats_count(STAT_LOGINS);
    stats_time_us(STAT_TIME_LOGIN, clock_mono_us() - l->began_us);
    LOG(l->session, "login", LS("user", user->node.name), LZ("client", l->client_text),
        LZ("service", service_name(l)), LZ("mechanism", mechanism_name(l)),
        LN("app-password", (int64_t)l->credential.number));
    ipc_send_login_re(l->ch, &re, fd);
    if (fd >= 0)
        close(fd);
    login_free(l);
}

void login_count_failure(struct login *l, const char *why)
{
    const struct auth_config *auth = &proc_config(l->authd->proc)->auth;
    stats_count(STAT_LOGINS_FAILED);
    throttle_failed(l->authd->throttle, &auth->failures_per_address, &l->client);
    if (l->has_account)
        accounts_failed(l->authd->accounts, &auth->failures_per_account, l->account, &l->client);
    log_refusal(l, why);
}

void login_fail(struct login *l, const char *why)
{
    login_count_failure(l, why);
    timer_init(&l->timer, proc_loop(l->authd->proc), login_refuse_after_delay, l);
    timer_set(&l->timer, login_failure_ms(l));
}

/* --- verifying --- */

uint32_t login_iterations(const struct authd *a)
{
    return (uint32_t)proc_config(a->proc)->auth.scram_iterations;
}

void login_set_account(struct login *l, struct span given, const char *address)
{
    struct span name = address[0] != '\0' ? span_of(address) : given;
    l->account = accounts_key(l->authd->accounts, name);
    l->has_account = true;
}

bool login_is_over(const struct login *l)
{
    const struct authd *a = l->authd;
    const struct auth_config *auth = &proc_config(a->proc)->auth;
    return throttle_is_over(a->throttle, &auth->failures_per_address, &l->client) ||
           (l->has_account &&
            accounts_is_over(a->accounts, &auth->failures_per_account, l->account, &l->client));
}

/* Many may have been sent at once: those that were waiting while others failed are not looked at.
 */
static bool is_wanted(void *login)
{
    const struct login *l = login;
    return l->ch != NULL && !login_is_over(l);
}

struct user *login_user(const struct login *l)
{
    struct user *user = directory_user(l->authd->directory, span_of(l->address));
    return user != NULL && user->generation == l->generation ? user : NULL;
}

struct search {
    const struct scram_keys *keys;
    struct credential *found;
    bool has_found;
};

static void compare(void *arg, const struct app_password *app)
{
    struct search *s = arg;
    if (sodium_memcmp(app->keys.stored, s->keys->stored, sizeof app->keys.stored) != 0)
        return;
    *s->found = (struct credential){app->credential, app->is_device};
    s->has_found = true;
}

/* It is not his password; is it one of his app passwords? 1, 0, or -1: could not find out. */
static int find_app(struct login *l, const struct user *user, const struct scram_keys *keys)
{
    struct search search = {.keys = keys, .found = &l->credential};
    int n = users_apps(l->authd->users, user->box, compare, &search);
    return n < 0 ? -1 : search.has_found;
}

static void judge(struct login *l, struct user *user, enum verify_result result,
                  const struct scram_keys *keys)
{
    int rc = result == VERIFY_MATCH ? 1 : find_app(l, user, keys);
    if (rc < 0) {
        login_refuse(l, login_busy, "could not decide");
    } else if (rc == 0 && user->is_pam && login_is_over(l)) {
        login_refuse(l, login_throttled, "throttled"); /* others failed while this one waited */
    } else if (rc == 0 && user->is_pam) {
        login_ask_pam(l, user);
    } else if (rc == 0) {
        login_fail(l, "wrong");
    } else {
        cache_put(l->authd->cache, &l->key, l->credential);
        login_succeed(l, user);
    }
}

static void verified(void *login, enum verify_result result, const struct verified *v)
{
    struct login *l = login;
    struct user *user = login_user(l);
    if (l->ch == NULL)
        login_free(l);
    else if (l->authd->users != NULL && user != NULL && result != VERIFY_FAULT)
        judge(l, user, result, &v->keys);
    else if (result == VERIFY_WRONG && l->address[0] == '\0')
        login_fail(l, "wrong");
    else if (login_is_over(l))
        login_refuse(l, login_throttled, "throttled");
    else
        login_refuse(l, login_busy, "could not decide");
}

static int verify(struct login *l, const struct user *user, struct span password)
{
    struct users_secrets secrets = {.hash = ""};
    struct authd *a = l->authd;
    if (user != NULL && (a->users == NULL || users_secrets(a->users, user->box, &secrets) != 1 ||
                         (secrets.hash[0] == '\0') != user->is_pam))
        return -1;
    if (user != NULL && user->is_pam && login_keep_password(l, password) < 0)
        return -1;
    struct verify_call call = {.is_wanted = is_wanted, .done = verified, .arg = l};
    struct verify_ask ask = {.hash = secrets.hash, .salt = secrets.salt, .password = password};
    if (ask.salt.iterations == 0) { /* nobody's: any salt will do, if it is as much work */
        ask.salt.iterations = login_iterations(a);
        randombytes_buf(ask.salt.octets, sizeof ask.salt.octets);
    }
    int rc = verify_check(a->verifiers, &ask, &call);
    sodium_memzero(&secrets, sizeof secrets);
    return rc;
}

struct user *login_find_user(const struct directory *d, struct span given,
                             char address[ADDRESS_MAX])
{
    char text[LOGIN_MAX + DOMAIN_MAX + 2];
    const struct domain *home = directory_default_domain(d);
    address[0] = '\0';
    if (span_copy(text, sizeof text, given) < 0)
        return NULL;
    if (resolve_domain_of(given).n == 0 && home != NULL)
        snprintf(text + given.n, sizeof text - given.n, "@%s", home->node.name.p);
    if (resolve_canonical(span_of(text), false, address) < 0) {
        address[0] = '\0';
        return NULL;
    }
    return directory_user(d, span_of(address));
}

static void decide(struct login *l, const struct msg_login *m)
{
    struct authd *a = l->authd;
    char address[ADDRESS_MAX];
    struct user *user = login_find_user(a->directory, m->user, address);
    login_set_account(l, m->user, address);
    if (user != NULL) {
        memcpy(l->address, address, sizeof l->address);
        l->generation = user->generation;
        l->key = cache_key(a->cache, user, l->service, m->password);
    }
    if (login_is_over(l))
        login_refuse(l, login_throttled, "throttled");
    else if (user != NULL && cache_has(a->cache, &l->key, &l->credential))
        login_succeed(l, user);
    else if (verify(l, user, m->password) < 0)
        login_refuse(l, login_busy, "could not decide");
}

/* What the channel's role may ask for. */
static bool is_allowed(const struct ipc *from, uint8_t service)
{
    return (ipc_peer(from) == ROLE_POP3D && service == SERVICE_POP3) ||
           (ipc_peer(from) == ROLE_SMTPD && service == SERVICE_SUBMISSION);
}

struct login *login_new(struct authd *a, struct ipc *from, const struct claim *claim)
{
    bool may = is_allowed(from, claim->service) && a->n_logins < LOGINS_MAX;
    struct login *l = may ? calloc(1, sizeof *l) : NULL;
    if (l == NULL) {
        LOG(claim->session, "login-refused", LZ("because", "overloaded, or not its service"));
        return NULL;
    }
    l->ch = from;
    l->tag = claim->tag;
    l->began_us = clock_mono_us();
    l->session = claim->session;
    l->service = (enum login_service)claim->service;
    span_copy(l->client_text, sizeof l->client_text, claim->client);
    if (netaddr_parse(claim->client, &l->client) < 0 &&
        netaddr_parse_port(claim->client, ':', &l->client) < 0)
        l->client = (struct netaddr){.n = 4}; /* whoever says no address shares one: 0.0.0.0 */
    timer_init(&l->timer, proc_loop(a->proc), login_refuse_after_delay, l);
    link_login(a, l);
    return l;
}

void login_handle(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    const struct claim claim = {m->login.tag, m->login.session, m->login.service, m->login.client};
    struct login *l = login_new(proc_state(owner), from, &claim);
    if (l == NULL) {
        struct msg_login_re re = {
            .tag = m->login.tag, .verdict = VERDICT_TRY_LATER, .reason = LOGIN_BUSY};
        ipc_send_login_re(from, &re, -1);
    } else {
        decide(l, &m->login);
    }
    authd_wipe(m->login.password);
}
