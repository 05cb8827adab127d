#include "pamd/pamd.h"

#include "common/log.h"
#include "common/verdict.h"

#include <sodium.h>
#include <stdlib.h>

#define QUESTIONS (POOL_PLACES + POOL_WAITING_MAX)

/* Whose answer is outstanding. */
struct question {
    uint64_t number; /* ours, in the pool; 0: free */
    uint64_t tag, session;
};

struct pamd {
    struct proc *proc;
    struct pool *pool;
    uint64_t last_number;
    struct question questions[QUESTIONS];
};

static void say(struct ipc *to, uint64_t tag, enum pam_reason reason)
{
    static const enum verdict verdicts[] = {[PAM_REASON_OK] = VERDICT_OK,
                                            [PAM_REASON_WRONG] = VERDICT_NEVER,
                                            [PAM_REASON_EXPIRED] = VERDICT_NEVER,
                                            [PAM_REASON_BUSY] = VERDICT_TRY_LATER};
    struct msg_pam_check_re re = {
        .tag = tag, .verdict = (uint8_t)verdicts[reason], .reason = (uint8_t)reason};
    ipc_send_pam_check_re(to, &re, -1);
}

static struct question *find(struct pamd *d, uint64_t number)
{
    for (size_t i = 0; i < QUESTIONS; i++)
        if (d->questions[i].number == number)
            return &d->questions[i];
    return NULL;
}

static void answered(void *pamd, uint64_t number, const struct worker_answer *a)
{
    struct pamd *d = pamd;
    struct question *q = find(d, number);
    if (q == NULL)
        return;
    if (a->reason == PAM_REASON_BUSY)
        LOG(q->session, "pam-undecided", LZ("because", a->why));
    say(proc_peer(d->proc, ROLE_AUTHD), q->tag, a->reason);
    *q = (struct question){0};
}

/* The password as PAM takes it has no NUL: one that has is nobody's. */
static enum pam_reason read_ask(struct proc *p, const struct msg_pam_check *m,
                                struct check_ask *out)
{
    const char *service = proc_config(p)->pam.service;
    if (service == NULL || span_copy(out->service, sizeof out->service, span_of(service)) < 0 ||
        span_copy(out->client, sizeof out->client, m->client) < 0)
        return PAM_REASON_BUSY;
    if (!pam_is_login(m->login) || span_copy(out->login, sizeof out->login, m->login) < 0 ||
        span_copy(out->password, sizeof out->password, m->password) < 0)
        return PAM_REASON_WRONG;
    return PAM_REASON_OK;
}

static int ask(struct pamd *d, const struct msg_pam_check *m, const struct check_ask *what)
{
    struct question *q = find(d, 0);
    if (q == NULL || pool_ask(d->pool, d->last_number + 1, what) < 0)
        return -1;
    *q = (struct question){++d->last_number, m->tag, m->session};
    return 0;
}

void pamd_handle_check(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct pamd *d = proc_state(owner);
    struct check_ask what;
    enum pam_reason reason = read_ask(owner, &m->pam_check, &what);
    if (reason == PAM_REASON_OK && ask(d, &m->pam_check, &what) < 0) {
        LOG(m->pam_check.session, "pam-undecided", LZ("because", "too many questions"));
        reason = PAM_REASON_BUSY;
    }
    sodium_memzero(&what, sizeof what);
    if (m->pam_check.password.n > 0) /* the buffer is ours until we return */
        sodium_memzero((void *)(uintptr_t)m->pam_check.password.p, m->pam_check.password.n);
    if (reason != PAM_REASON_OK)
        say(from, m->pam_check.tag, reason);
}

void pamd_configure(struct proc *p)
{
    struct pamd *d = proc_state(p);
    const struct pam_config *pam = &proc_config(p)->pam;
    pool_configure(d->pool, pam->checks, pam->timeout_ms);
}

void pamd_peer_down(struct proc *p, enum role role, unsigned instance, struct ipc *ch)
{
    (void)role, (void)instance, (void)ch;
    struct pamd *d = proc_state(p);
    pool_abandon(d->pool);
    memset(d->questions, 0, sizeof d->questions);
}

int pamd_open(struct proc *p, check_fn *check, struct error *e)
{
    struct pamd *d = calloc(1, sizeof *d);
    if (d == NULL)
        return error_set(e, "out of memory");
    struct pool_spec spec = {.check = check, .answered = answered, .arg = d};
    d->proc = p;
    d->pool = pool_new(proc_loop(p), &spec);
    if (d->pool == NULL) {
        free(d);
        return error_set(e, "out of memory");
    }
    proc_set_state(p, d);
    pamd_configure(p);
    return 0;
}
