/* SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677): what the two messages of a client lead to. Between
 * them a login waits here, one for each session, for EXCHANGE_MS at most.
 *
 * A name that nobody has gets a salt that is always the same for it, made with a secret of the
 * store, and fails at the end as a wrong password does. */
#include "authd/login.h"
#include "common/log.h"

#include <stdlib.h>

#define EXCHANGE_MS 60000

/* --- the first message --- */

/* What the client wants to bind to must be what it can bind to. A client that says it could bind,
 * but was not offered to, when we did offer it, has been lied to (RFC 5802 6). */
static int channel_of(const struct msg_scram_first *m, const struct scram_first *first,
                      struct span *channel)
{
    *channel = (struct span){NULL, 0};
    if (first->flag != 'p')
        return m->is_plus || (first->flag == 'y' && (m->exporter.n > 0 || m->end_point.n > 0)) ? -1
                                                                                               : 0;
    if (span_eq(first->binding, SPAN("tls-exporter")))
        *channel = m->exporter;
    else if (span_eq(first->binding, SPAN("tls-server-end-point")))
        *channel = m->end_point;
    return m->is_plus && channel->n > 0 ? 0 : -1;
}

static struct scram_salt salt_of_nobody(const struct authd *a, const char *name)
{
    struct scram_salt salt = {.iterations = login_iterations(a)};
    crypto_generichash(salt.octets, sizeof salt.octets, (const unsigned char *)name, strlen(name),
                       a->users_secret, sizeof a->users_secret);
    return salt;
}

/* 0, or -1: could not. */
static int find_salt(struct login *l, const char *name, struct scram_salt *out)
{
    struct authd *a = l->authd;
    struct users_secrets secrets = {.hash = ""};
    struct span given = span_of(name);
    char address[ADDRESS_MAX];
    if (a->users == NULL)
        return -1; /* stopping */
    const struct user *user = login_find_user(a->directory, given, address);
    login_set_account(l, given, address);
    if (user != NULL) {
        memcpy(l->address, address, sizeof l->address);
        l->generation = user->generation;
        if (users_secrets(a->users, user->box, &secrets) != 1)
            return -1;
    }
    *out = secrets.salt.iterations > 0 ? secrets.salt
                                       : salt_of_nobody(a, address[0] != '\0' ? address : name);
    sodium_memzero(&secrets, sizeof secrets);
    return 0;
}

static void timed_out(void *login)
{
    login_free(login);
}

static void say_first(struct login *l)
{
    struct msg_scram_first_re re = {.tag = l->tag, .text = span_of(l->scram->said)};
    ipc_send_scram_first_re(l->ch, &re, -1);
    l->is_first = false;
    timer_init(&l->timer, proc_loop(l->authd->proc), timed_out, l);
    timer_set(&l->timer, EXCHANGE_MS);
}

static void begin(struct login *l, const struct msg_scram_first *m)
{
    struct scram_first first;
    struct scram_salt salt;
    struct span channel;
    l->is_first = true;
    if (login_is_over(l)) {
        login_refuse(l, login_throttled, "throttled");
        return;
    }
    if (scram_read_first(m->text, &first) < 0 || channel_of(m, &first, &channel) < 0 ||
        (first.authzid.n > 0 && !span_eq(first.authzid, first.name))) {
        login_fail(l, "bad exchange");
        return;
    }
    l->scram = calloc(1, sizeof *l->scram);
    if (l->scram == NULL || find_salt(l, first.user, &salt) < 0)
        login_refuse(l, login_busy, "could not decide");
    else if (login_is_over(l))
        login_refuse(l, login_throttled, "throttled");
    else if (scram_begin(l->scram, &first, &salt, channel) < 0)
        login_fail(l, "bad exchange");
    else
        say_first(l);
}

static struct login *find(const struct authd *a, const struct ipc *ch, uint64_t session)
{
    struct login *l = a->logins;
    while (l != NULL && !(l->ch == ch && l->session == session && l->scram != NULL &&
                          !l->is_first && !l->is_judged))
        l = l->next;
    return l;
}

void exchange_handle_first(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct authd *a = proc_state(owner);
    const struct msg_scram_first *ask = &m->scram_first;
    const struct claim claim = {ask->tag, ask->session, ask->service, ask->client};
    struct login *before = find(a, from, ask->session);
    if (before != NULL)
        login_free(before);
    struct login *l = login_new(a, from, &claim);
    if (l != NULL) {
        begin(l, ask);
        return;
    }
    struct msg_scram_first_re re = {
        .tag = ask->tag, .verdict = VERDICT_TRY_LATER, .reason = LOGIN_BUSY};
    ipc_send_scram_first_re(from, &re, -1);
}

/* --- the second message --- */

struct search {
    struct login *login;
    const struct scram_final *final;
    bool has_found;
};

static void compare(void *arg, const struct app_password *app)
{
    struct search *s = arg;
    if (!scram_matches(s->final, &app->keys))
        return;
    s->login->credential = (struct credential){app->credential, app->is_device};
    scram_answer(s->final, &app->keys, s->login->proof);
    s->has_found = true;
}

/* 1: the proof was made with one of his passwords; 0; -1: could not find out. */
static int find_credential(struct login *l, const struct user *user,
                           const struct scram_final *final)
{
    struct authd *a = l->authd;
    struct users_secrets secrets;
    struct search search = {l, final, false};
    if (a->users == NULL || users_secrets(a->users, user->box, &secrets) != 1)
        return -1;
    if (secrets.has_keys && scram_matches(final, &secrets.keys)) {
        scram_answer(final, &secrets.keys, l->proof);
        search.has_found = true;
    }
    sodium_memzero(&secrets, sizeof secrets);
    if (!search.has_found && users_apps(a->users, user->box, compare, &search) < 0)
        return -1;
    return search.has_found;
}

static void finish(struct login *l, struct span text)
{
    static struct scram_final final;
    struct user *user = login_user(l);
    timer_stop(&l->timer);
    l->is_judged = true;
    if (login_is_over(l)) {
        login_refuse(l, login_throttled, "throttled");
        return;
    }
    int rc = scram_read_final(l->scram, text, &final) < 0 ? 0 : 1;
    if (rc == 1 && user == NULL) /* a name that nobody has, or a user who has just been changed */
        rc = l->address[0] == '\0' ? 0 : -1;
    else if (rc == 1)
        rc = find_credential(l, user, &final);
    sodium_memzero(&final, sizeof final);
    if (rc == 1)
        login_succeed(l, user);
    else if (rc < 0)
        login_refuse(l, login_busy, "could not decide");
    else
        login_fail(l, "wrong");
}

void exchange_handle_final(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct login *l = find(proc_state(owner), from, m->scram_final.session);
    if (l == NULL) { /* too late, or authd was started anew meanwhile */
        struct msg_login_re re = {
            .tag = m->scram_final.tag, .verdict = VERDICT_TRY_LATER, .reason = LOGIN_BUSY};
        ipc_send_login_re(from, &re, -1);
        return;
    }
    l->tag = m->scram_final.tag;
    finish(l, m->scram_final.text);
}
