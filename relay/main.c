/* The relay: hands messages to other mail servers. It sees the network and opens no file; what it
 * knows of the world comes from the resolver, what it sends from the queue. */
#include "common/log.h"
#include "common/tls.h"
#include "relay/explain.h"

#include <ifaddrs.h>

#define FILES_MAX (POOL_CONNECTIONS_MAX + JOBS_MAX + 64)

/* The addresses of this machine, to notice mail that would come back. They are read before the jail
 * and again never: one that comes later only means that a loop is ended by its Received fields. */
static void read_own_addresses(struct relay *r)
{
    struct ifaddrs *list;
    if (getifaddrs(&list) < 0)
        return;
    for (const struct ifaddrs *i = list; i != NULL && r->n_own < OWN_MAX; i = i->ifa_next) {
        struct sockaddr_storage ss = {0};
        sa_family_t family = i->ifa_addr != NULL ? i->ifa_addr->sa_family : AF_UNSPEC;
        if (family != AF_INET && family != AF_INET6)
            continue;
        memcpy(&ss, i->ifa_addr,
               family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        if (netaddr_from_sockaddr(&ss, &r->own[r->n_own]) == 0)
            r->n_own++;
    }
    freeifaddrs(list);
}

static int relay_prepare(struct proc *p, struct error *e)
{
    struct relay *r = calloc(1, sizeof *r);
    if (r == NULL)
        return error_set(e, "out of memory");
    r->proc = p;
    proc_set_state(p, r);
    read_own_addresses(r);
    return 0;
}

/* Without authorities no certificate can be verified, but there is still TLS. Connections go on
 * with what they began with. */
static void read_trust(struct relay *r)
{
    struct error e;
    size_t n;
    char *pem = proc_read_file(r->proc, FILE_TRUST, 0, &n, &e);
    struct tls_client *fresh = pem != NULL ? tls_client_new((struct span){pem, n}, &e) : NULL;
    free(pem);
    if (fresh == NULL)
        LOG(0, "no-authorities", LZ("because", e.text),
            LZ("instead", r->tls != NULL ? "those before" : "no server can be verified"));
    if (fresh == NULL && r->tls == NULL)
        fresh = tls_client_new(SPAN(""), &e);
    if (fresh != NULL) {
        tls_client_free(r->tls);
        r->tls = fresh;
    }
}

static void begin_sessions(struct relay *r)
{
    uint64_t n = proc_config(r->proc)->relay.tls_sessions;
    sessions_begin(&r->sessions, proc_loop(r->proc), n != UINT64_MAX ? n : 0);
}

static int relay_open(struct proc *p, struct error *e)
{
    struct relay *r = proc_state(p);
    pool_init(&r->pool, proc_loop(p));
    if (tls_init() < 0)
        return error_set(e, "OpenSSL cannot be used");
    read_trust(r);
    begin_sessions(r);
    secrets_read(&r->secrets, p);
    return 0;
}

/* Connections that were made by other rules, with other authorities or another login are not used
 * any more. */
static void relay_reloaded(struct proc *p)
{
    struct relay *r = proc_state(p);
    pool_quit_idle(&r->pool);
    read_trust(r);
    r->no_tls = (struct memo){.next = 0};
    LOG(0, "tls-sessions-forgotten", LN("n", (int64_t)r->sessions.n));
    begin_sessions(r);
    secrets_read(&r->secrets, p);
}

static void relay_peer_down(struct proc *p, enum role role, unsigned instance, struct ipc *ch)
{
    (void)instance;
    if (role == ROLE_QUEUE)
        job_forget(proc_state(p), ch);
    else if (role == ROLE_CLI)
        explain_forget(proc_state(p), ch);
}

/* Jobs under way are finished; what the queue sends from now on stays unread and is given again. */
static void relay_drain(struct proc *p)
{
    struct relay *r = proc_state(p);
    struct ipc *queue = proc_peer(p, ROLE_QUEUE);
    if (queue != NULL)
        ipc_pause(queue, true);
    r->paused = NULL; /* nothing resumes it any more */
    job_forget_waiting(r);
}

static void relay_turn(struct proc *p)
{
    struct relay *r = proc_state(p);
    if (!proc_is_draining(p) || r->n_jobs > 0)
        return;
    pool_quit_idle(&r->pool);
    if (pool_is_empty(&r->pool))
        proc_exit(p);
}

static void on_relay_job(void *owner, struct ipc *from, const union msg *m, int fd)
{
    job_start(proc_state(owner), from, &m->relay_job, fd);
}

static const struct ipc_handler handlers[] = {
    {MSG_RELAY_JOB, on_relay_job},
    {MSG_ADMIN, explain_command},
};

static const struct proc_spec spec = {
    .role = ROLE_RELAY,
    .handlers = handlers,
    .n_handlers = sizeof handlers / sizeof handlers[0],
    .prepare = relay_prepare,
    .open = relay_open,
    .reloaded = relay_reloaded,
    .peer_down = relay_peer_down,
    .turn = relay_turn,
    .drain = relay_drain,
    .files_max = FILES_MAX,
};

int main(int argc, char **argv)
{
    return proc_main(argc, argv, &spec);
}
