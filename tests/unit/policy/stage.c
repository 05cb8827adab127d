#include "stage.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/unixsock.h"
#include "tests/unit/halfproc.h"

#include <criterion/criterion.h>

static struct proc self;
static struct stage *stage;
static struct tls_client *tls;
static int64_t now_s;
static size_t refused;

/* --- memory (the program is linked with --wrap=array_reserve) --- */

int __real_array_reserve(void **array, size_t *cap, size_t need, size_t size);
int __wrap_array_reserve(void **array, size_t *cap, size_t need, size_t size);

int __wrap_array_reserve(void **array, size_t *cap, size_t need, size_t size)
{
    return refused != 0 && need == refused ? -1 : __real_array_reserve(array, cap, need, size);
}

void stage_refuse_memory(size_t size)
{
    refused = size;
}

/* --- channels --- */

static void on_sts(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)fd;
    cache_ask(stage->cache, from, &m->sts);
}

static void on_post(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)fd;
    post_begin(&stage->posts, from, &m->tls_post);
}

static void gone(void *owner, struct ipc *ch)
{
    (void)owner;
    if (ipc_peer(ch) == ROLE_RELAY)
        cache_forget(stage->cache, ch);
    self.peers[ipc_peer(ch)] = NULL;
    ipc_close(ch);
}

static void ignore(void *owner, struct ipc *ch)
{
    (void)owner, (void)ch;
}

static void on_txt(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)fd;
    char room[500];
    struct packer w = packer_on(room, sizeof room);
    struct msg_dns_txt_re re = {.tag = m->dns_txt.tag, .verdict = VERDICT_NEVER};
    stage->n_txt++;
    cr_expect(span_starts(m->dns_txt.name, SPAN("_mta-sts.")));
    if (stage->is_dns_down) {
        re.verdict = VERDICT_TRY_LATER;
    } else if (stage->txt != NULL) {
        pack_bytes(&w, span_of(stage->txt));
        re.verdict = VERDICT_OK;
        re.texts = packer_span(&w);
    }
    ipc_send_dns_txt_re(from, &re, -1);
}

static void on_addr(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)fd;
    char room[100];
    struct packer w = packer_on(room, sizeof room);
    struct netaddr a;
    stage->n_addr++;
    cr_assert_eq(netaddr_parse(span_of(stage->address), &a), 0);
    for (size_t i = 0; i <= stage->n_more_addresses; i++)
        pack_bytes(&w, (struct span){(const char *)a.octets, a.n});
    struct msg_dns_addr_re re = {
        .tag = m->dns_addr.tag, .verdict = VERDICT_OK, .addresses = packer_span(&w)};
    ipc_send_dns_addr_re(from, &re, -1);
}

static void copy_mx(char out[200], struct span packed)
{
    struct unpacker u = unpacker_on(packed);
    size_t n = 0;
    while (u.left.n > 0) {
        struct span mx = unpack_text(&u, DOMAIN_MAX + 2);
        cr_assert(!u.failed && n + mx.n + 2 < 200);
        memcpy(out + n, mx.p, mx.n);
        n += mx.n;
        out[n++] = ' ';
    }
    out[n] = '\0';
}

static void on_keep(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)from, (void)fd;
    const struct msg_sts_keep *k = &m->sts_keep;
    stage->n_keeps++;
    stage->kept =
        (struct kept){.mode = k->mode, .fetched = k->fetched, .max_age = (uint32_t)k->max_age};
    span_copy(stage->kept.domain, sizeof stage->kept.domain, k->domain);
    span_copy(stage->kept.id, sizeof stage->kept.id, k->id);
    copy_mx(stage->kept.mx, k->mx);
}

/* `old` is in the order of its domains. */
static void on_next(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)fd;
    char room[300];
    struct packer w = packer_on(room, sizeof room);
    size_t i = 0;
    struct msg_sts_next_re re = {.tag = m->sts_next.tag,
                                 .verdict =
                                     stage->is_store_down ? VERDICT_TRY_LATER : VERDICT_NEVER};
    while (i < stage->n_old && m->sts_next.after.n > 0 &&
           !span_eq(m->sts_next.after, span_of(stage->old[i].domain)))
        i++;
    i += m->sts_next.after.n > 0;
    if (i < stage->n_old && !stage->is_store_down) {
        const struct kept *k = &stage->old[i];
        pack_bytes(&w, span_of(k->mx));
        re = (struct msg_sts_next_re){.tag = m->sts_next.tag,
                                      .verdict = VERDICT_OK,
                                      .domain = span_of(k->domain),
                                      .id = span_of(k->id),
                                      .mode = k->mode,
                                      .fetched = k->fetched,
                                      .max_age = k->max_age,
                                      .mx = packer_span(&w)};
    }
    ipc_send_sts_next_re(from, &re, -1);
}

static const struct ipc_handler our_handlers[] = {{MSG_STS, on_sts}, {MSG_TLS_POST, on_post}};
static const struct ipc_ops our_ops = {.handlers = our_handlers, .n_handlers = 2, .on_close = gone};
static const struct ipc_handler their_handlers[] = {{MSG_DNS_TXT, on_txt},
                                                    {MSG_DNS_ADDR, on_addr},
                                                    {MSG_STS_KEEP, on_keep},
                                                    {MSG_STS_NEXT, on_next}};
static const struct ipc_ops their_ops = {
    .handlers = their_handlers, .n_handlers = 4, .on_close = ignore};

static struct ipc *connect_to(enum role role)
{
    int ends[2];
    cr_assert_eq(unixsock_pair(ends), 0);
    self.peers[role] = ipc_open(self.loop, ends[0], ROLE_POLICY, role, &our_ops, NULL);
    struct ipc *theirs = ipc_open(self.loop, ends[1], role, ROLE_POLICY, &their_ops, NULL);
    cr_assert(self.peers[role] != NULL && theirs != NULL);
    return theirs;
}

void stage_connect(struct stage *s)
{
    s->relay = connect_to(ROLE_RELAY);
    s->resolver = connect_to(ROLE_RESOLVER);
    s->queue = connect_to(ROLE_QUEUE);
    cache_load(s->cache);
}

void stage_disconnect_relay(struct stage *s)
{
    ipc_close(s->relay);
    s->relay = NULL;
    for (int i = 0; i < 1000 && self.peers[ROLE_RELAY] != NULL; i++)
        loop_turn(s->loop, 10);
    cr_assert_null(self.peers[ROLE_RELAY]);
}

/* --- asking --- */

bool stage_wait(struct stage *s, const bool *is_there)
{
    for (int i = 0; i < 3000 && !*is_there; i++) {
        loop_turn(s->loop, 10);
        log_flush();
    }
    return *is_there;
}

void stage_turns(struct stage *s, int n)
{
    for (int i = 0; i < n; i++)
        loop_turn(s->loop, 1);
    log_flush();
}

static void answered(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct answer *a = arg;
    a->is_there = true;
    a->verdict = m != NULL ? (enum verdict)m->sts_re.verdict : VERDICT_TRY_LATER;
    a->mode = m != NULL ? (enum sts_mode)m->sts_re.mode : STS_NONE;
    a->fault = m != NULL ? m->sts_re.fault : 0;
    copy_mx(a->mx, m != NULL ? m->sts_re.mx : SPAN(""));
}

void stage_begin_ask(struct stage *s, const char *domain, struct answer *a)
{
    struct msg_sts m = {.domain = span_of(domain)};
    *a = (struct answer){.is_there = false};
    cr_assert_neq(ipc_ask_sts(s->relay, &m, -1, 600000, answered, a), 0);
}

struct answer stage_ask(struct stage *s, const char *domain)
{
    struct answer a;
    stage_begin_ask(s, domain, &a);
    cr_assert(stage_wait(s, &a.is_there), "no answer about %s", domain);
    return a;
}

static void posted(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct stage_answer *a = arg;
    a->is_there = true;
    a->verdict = m != NULL ? (enum verdict)m->tls_post_re.verdict : VERDICT_NEVER;
    if (m != NULL)
        span_copy(a->because, sizeof a->because, m->tls_post_re.because);
}

struct stage_answer stage_post(struct stage *s, const char *url)
{
    struct stage_answer a = {.is_there = false};
    struct msg_tls_post m = {.url = span_of(url), .report = STAGE_REPORT};
    cr_assert_neq(ipc_ask_tls_post(s->queue, &m, -1, 600000, posted, &a), 0);
    cr_assert(stage_wait(s, &a.is_there), "no answer about %s", url);
    cr_expect(s->posts.n == 0 && s->posts.first == NULL);
    return a;
}

void stage_allow_all(void)
{
    self.config->relay.n_never_connect_to = 0;
}

/* --- life --- */

static void hear_log(struct span lines)
{
    size_t n = strlen(stage->log);
    if (n + lines.n < sizeof stage->log) {
        memcpy(stage->log + n, lines.p, lines.n);
        stage->log[n + lines.n] = '\0';
    }
}

bool stage_has_logged(struct stage *s, const char *words)
{
    log_flush();
    return strstr(s->log, words) != NULL;
}

void stage_pass(struct stage *s, int64_t seconds)
{
    (void)s;
    now_s += seconds;
    clock_fake((now_s - STAGE_START_S + 1) * 1000, now_s * 1000);
}

static void configure(void)
{
    char text[500];
    snprintf(text, sizeof text,
             "hostname = mx.example.org\n[relay]\nnever_connect_to = 127.9.0.0/16\n"
             "mta_sts_port = %u\n[listen smtp]\naddress = 127.0.0.1:2525\n",
             web_port());
    halfproc_configure(&self, text);
}

struct proc *stage_proc(void)
{
    return &self;
}

struct tls_client *stage_tls(void)
{
    return tls_client_use(tls);
}

void stage_begin(struct stage *s, const char *names)
{
    struct error e;
    *s = (struct stage){.loop = loop_new(), .address = "127.0.0.1", .response = ""};
    stage = s;
    refused = 0;
    log_set_sink(hear_log);
    web_begin(s, names);
    self = (struct proc){.loop = s->loop};
    configure();
    tls = tls_client_new(web_trust(), &e);
    cr_assert_not_null(tls);
    s->cache = cache_new(&self);
    cr_assert_not_null(s->cache);
    cache_set_tls(s->cache, stage_tls());
    s->posts.proc = &self;
    posts_set_tls(&s->posts, stage_tls());
    now_s = STAGE_START_S;
    stage_pass(s, 0);
}

void stage_end(struct stage *s)
{
    struct ipc *theirs[] = {s->relay, s->queue, s->resolver};
    for (size_t i = 0; i < 3; i++)
        ipc_close(theirs[i]);
    stage_turns(s, 20);
    web_end();
    posts_set_tls(&s->posts, NULL);
    tls_client_free(tls);
    config_free(self.config);
    log_flush();
    log_set_sink(NULL);
    clock_fake(-1, -1);
}
