/* The policy process: fetches what domains publish about how their mail servers are to be spoken to
 * (MTA-STS, RFC 8461), and gives reports about that to the web servers they name (RFC 8460). It is
 * apart from relay, which has mail and speaks SMTP only, and from the resolver, which speaks DNS
 * only: it reads answers of web servers that anybody can name. It sees the network and opens no
 * file. */
#include "common/log.h"
#include "common/proc.h"
#include "policy/cache.h"
#include "policy/post.h"
#include "policy/rua.h"

#define AGAIN_MS 1000
#define SWEEP_MS 60000

struct policy {
    struct proc *proc;
    struct cache *cache;
    struct timer again, sweep;
    struct rua rua;
    struct posts posts;
};

static void set_tls(struct policy *s, struct tls_client *fresh)
{
    cache_set_tls(s->cache, tls_client_use(fresh));
    posts_set_tls(&s->posts, fresh);
}

/* Without authorities no policy can be fetched; those that are known still count. */
static void read_trust(struct policy *s)
{
    struct error e;
    size_t n;
    char *pem = proc_read_file(s->proc, FILE_TRUST, 0, &n, &e);
    struct tls_client *fresh = pem != NULL ? tls_client_new((struct span){pem, n}, &e) : NULL;
    free(pem);
    if (fresh == NULL)
        LOG(0, "no-authorities", LZ("because", e.text), LZ("instead", "those before, or none"));
    else
        set_tls(s, fresh);
}

/* Again until queue has answered. */
static void load(void *policy)
{
    struct policy *s = policy;
    cache_load(s->cache);
    timer_set(&s->again, AGAIN_MS);
}

static void sweep(void *policy)
{
    struct policy *s = policy;
    cache_sweep(s->cache);
    timer_set(&s->sweep, SWEEP_MS);
}

static int policy_open(struct proc *p, struct error *e)
{
    struct policy *s = calloc(1, sizeof *s);
    if (s == NULL || (s->cache = cache_new(p)) == NULL) {
        free(s);
        return error_set(e, "out of memory");
    }
    s->proc = s->rua.proc = s->posts.proc = p;
    proc_set_state(p, s);
    if (tls_init() < 0)
        return error_set(e, "OpenSSL cannot be used");
    read_trust(s);
    timer_init(&s->again, proc_loop(p), load, s);
    timer_set(&s->again, AGAIN_MS);
    timer_init(&s->sweep, proc_loop(p), sweep, s);
    timer_set(&s->sweep, SWEEP_MS);
    return 0;
}

static void policy_peer_up(struct proc *p, enum role role, unsigned instance, struct ipc *ch)
{
    (void)instance, (void)ch;
    struct policy *s = proc_state(p);
    if (role == ROLE_QUEUE && s != NULL)
        cache_load(s->cache);
}

static void policy_peer_down(struct proc *p, enum role role, unsigned instance, struct ipc *ch)
{
    (void)instance;
    struct policy *s = proc_state(p);
    if (role == ROLE_RELAY && s != NULL)
        cache_forget(s->cache, ch);
    if (role == ROLE_QUEUE && s != NULL) {
        rua_forget(&s->rua, ch);
        posts_forget(&s->posts, ch);
    }
}

static void policy_reloaded(struct proc *p)
{
    read_trust(proc_state(p));
}

static void on_sts(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct policy *s = proc_state(owner);
    cache_ask(s->cache, from, &m->sts);
}

static void on_rua(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct policy *s = proc_state(owner);
    rua_ask(&s->rua, from, &m->rua);
}

static void on_tls_post(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct policy *s = proc_state(owner);
    post_begin(&s->posts, from, &m->tls_post);
}

static const struct ipc_handler handlers[] = {
    {MSG_STS, on_sts}, {MSG_RUA, on_rua}, {MSG_TLS_POST, on_tls_post}};

static const struct proc_spec spec = {
    .role = ROLE_POLICY,
    .handlers = handlers,
    .n_handlers = sizeof handlers / sizeof handlers[0],
    .open = policy_open,
    .reloaded = policy_reloaded,
    .peer_up = policy_peer_up,
    .peer_down = policy_peer_down,
};

int main(int argc, char **argv)
{
    return proc_main(argc, argv, &spec);
}
