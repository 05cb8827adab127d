/* Questions of siblings against an upstream that is played here: upstream_ask and its kin are
 * defined below, so upstream.c and libunbound are not linked. */
#include "resolver/ask.h"

#include "common/pack.h"
#include "common/unixsock.h"
#include "common/verdict.h"
#include "resolver/answer.h"

#include <criterion/criterion.h>

enum say { SAY_NOTHING, SAY_ADDRESS, SAY_NONE, SAY_NXDOMAIN, SAY_SERVFAIL, SAY_RCODE, SAY_REFUSE };

struct upstream {
    enum say a, aaaa, mx;
    bool is_late; /* answers when told to, not at once */
    int security;
    struct {
        ub_event_callback_type fn;
        void *arg;
        int type;
    } waiting[4];
    size_t n_waiting, n_open;
};

static enum say say_for(const struct upstream *u, int type)
{
    return type == DNS_TYPE_A ? u->a : type == DNS_TYPE_AAAA ? u->aaaa : u->mx;
}

static size_t make_packet(char *out, enum say say, int type)
{
    static const char head[] = "\0\0\x81\x80\0\1\0\0\0\0\0\0\1x\0\0\1\0\1";
    size_t n = sizeof head - 1;
    memcpy(out, head, n);
    out[3] = (char)(0x80 | (say == SAY_NXDOMAIN ? 3 : say == SAY_SERVFAIL ? 2 : 0));
    if (say != SAY_ADDRESS)
        return n;
    size_t rdata = type == DNS_TYPE_A ? 4 : type == DNS_TYPE_AAAA ? 16 : 5;
    char fixed[] = {(char)0xc0, 12, 0, (char)type, 0, 1, 0, 0, 0, 0, 0, (char)rdata};
    out[7] = 1;
    memcpy(out + n, fixed, sizeof fixed);
    memcpy(out + n + sizeof fixed, type == DNS_TYPE_MX ? "\0\1\1y\0" : "abcdefghijklmnop", rdata);
    return n + sizeof fixed + rdata;
}

static void answer(const struct upstream *u, enum say say, ub_event_callback_type fn, void *arg,
                   int type)
{
    char packet[128];
    size_t n = make_packet(packet, say, type);
    fn(arg, say == SAY_RCODE ? 2 : 0, packet, (int)n, u->security, NULL, 0);
}

int upstream_ask(struct upstream *u, const char *name, int type, ub_event_callback_type fn,
                 void *arg)
{
    enum say say = say_for(u, type);
    cr_expect_str_eq(name, "x.example");
    if (say == SAY_REFUSE)
        return -1;
    u->n_open++;
    if (u->is_late || say == SAY_NOTHING) {
        u->waiting[u->n_waiting].fn = fn;
        u->waiting[u->n_waiting].arg = arg;
        u->waiting[u->n_waiting++].type = type;
    } else {
        answer(u, say, fn, arg, type);
    }
    return 0;
}

void upstream_answered(struct upstream *u)
{
    u->n_open--;
}

static void answer_waiting(struct upstream *u)
{
    for (size_t i = 0; i < u->n_waiting; i++)
        answer(u, say_for(u, u->waiting[i].type), u->waiting[i].fn, u->waiting[i].arg,
               u->waiting[i].type);
    u->n_waiting = 0;
}

/* --- the sibling that asks --- */

struct scene {
    struct loop *loop;
    struct upstream upstream;
    struct asks asks;
    struct ipc *resolver, *relay;
    unsigned n_answers;
    uint8_t verdict, is_secure;
    size_t n_octets;
};

static void on_mx(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct scene *s = owner;
    ask_mx(&s->asks, from, &m->dns_mx);
}

static void on_addr(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct scene *s = owner;
    ask_addr(&s->asks, from, &m->dns_addr);
}

static void on_close(void *owner, struct ipc *ch)
{
    (void)owner, (void)ch;
}

static void on_addr_re(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct scene *s = arg;
    cr_assert_not_null(m);
    s->n_answers++;
    s->verdict = m->dns_addr_re.verdict;
    s->is_secure = m->dns_addr_re.is_secure;
    s->n_octets = m->dns_addr_re.addresses.n;
}

static void on_mx_re(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct scene *s = arg;
    cr_assert_not_null(m);
    s->n_answers++;
    s->verdict = m->dns_mx_re.verdict;
    s->is_secure = m->dns_mx_re.is_secure;
    s->n_octets = m->dns_mx_re.hosts.n;
}

static const struct ipc_handler handlers[] = {{MSG_DNS_MX, on_mx}, {MSG_DNS_ADDR, on_addr}};
static const struct ipc_ops resolver_ops = {
    .handlers = handlers, .n_handlers = 2, .on_close = on_close};
static const struct ipc_ops relay_ops = {.on_close = on_close};

static struct scene *begin(void)
{
    int fds[2];
    struct scene *s = calloc(1, sizeof *s);
    s->loop = loop_new();
    s->asks.loop = s->loop;
    s->asks.upstream = &s->upstream;
    cr_assert_eq(unixsock_pair(fds), 0);
    s->resolver = ipc_open(s->loop, fds[0], ROLE_RESOLVER, ROLE_RELAY, &resolver_ops, s);
    s->relay = ipc_open(s->loop, fds[1], ROLE_RELAY, ROLE_RESOLVER, &relay_ops, s);
    return s;
}

static void turns(struct scene *s)
{
    for (int i = 0; i < 6; i++)
        loop_turn(s->loop, 0);
}

static void end(struct scene *s)
{
    cr_expect_eq(s->asks.n, 0);
    cr_expect_eq(s->upstream.n_open, 0);
    ipc_close(s->resolver);
    ipc_close(s->relay);
    loop_free(s->loop);
    free(s);
}

static void ask_for_addresses(struct scene *s, struct span host)
{
    struct msg_dns_addr m = {.host = host};
    cr_assert_neq(ipc_ask_dns_addr(s->relay, &m, -1, 1000, on_addr_re, s), 0);
    turns(s);
}

static void ask_for_mx(struct scene *s, struct span domain)
{
    struct msg_dns_mx m = {.domain = domain};
    cr_assert_neq(ipc_ask_dns_mx(s->relay, &m, -1, 1000, on_mx_re, s), 0);
    turns(s);
}

#define V4_OCTETS (4 + 4)
#define V6_OCTETS (4 + 16)

static const struct {
    enum say a, aaaa;
    enum verdict verdict;
    size_t n_octets;
} rows[] = {
    {SAY_ADDRESS, SAY_ADDRESS, VERDICT_OK, V4_OCTETS + V6_OCTETS},
    {SAY_ADDRESS, SAY_NONE, VERDICT_OK, V4_OCTETS},
    {SAY_ADDRESS, SAY_SERVFAIL, VERDICT_OK, V4_OCTETS},
    {SAY_SERVFAIL, SAY_ADDRESS, VERDICT_OK, V6_OCTETS},
    {SAY_RCODE, SAY_ADDRESS, VERDICT_OK, V6_OCTETS},
    {SAY_ADDRESS, SAY_REFUSE, VERDICT_OK, V4_OCTETS},
    {SAY_NONE, SAY_NONE, VERDICT_OK, 0},
    {SAY_NONE, SAY_SERVFAIL, VERDICT_TRY_LATER, 0},
    {SAY_SERVFAIL, SAY_NONE, VERDICT_TRY_LATER, 0},
    {SAY_NONE, SAY_RCODE, VERDICT_TRY_LATER, 0},
    {SAY_NONE, SAY_REFUSE, VERDICT_TRY_LATER, 0},
    {SAY_REFUSE, SAY_REFUSE, VERDICT_TRY_LATER, 0},
    {SAY_NXDOMAIN, SAY_NXDOMAIN, VERDICT_NEVER, 0},
    {SAY_NXDOMAIN, SAY_NONE, VERDICT_OK, 0},
    {SAY_NXDOMAIN, SAY_SERVFAIL, VERDICT_TRY_LATER, 0},
};

Test(ask, addresses_of_two_answers)
{
    for (size_t late = 0; late < 2; late++)
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct scene *s = begin();
            s->upstream =
                (struct upstream){.a = rows[i].a, .aaaa = rows[i].aaaa, .is_late = late != 0};
            ask_for_addresses(s, SPAN("x.example"));
            answer_waiting(&s->upstream);
            turns(s);
            cr_expect_eq(s->n_answers, 1, "row %zu", i);
            cr_expect_eq(s->verdict, rows[i].verdict, "row %zu: %u", i, s->verdict);
            cr_expect_eq(s->n_octets, rows[i].n_octets, "row %zu: %zu", i, s->n_octets);
            end(s);
        }
}

Test(ask, mx)
{
    static const struct {
        enum say mx;
        enum verdict verdict;
        size_t n_octets;
    } answers[] = {{SAY_ADDRESS, VERDICT_OK, 2 + 4 + 1}, {SAY_NONE, VERDICT_OK, 0},
                   {SAY_NXDOMAIN, VERDICT_NEVER, 0},     {SAY_SERVFAIL, VERDICT_TRY_LATER, 0},
                   {SAY_RCODE, VERDICT_TRY_LATER, 0},    {SAY_REFUSE, VERDICT_TRY_LATER, 0}};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct scene *s = begin();
        s->upstream = (struct upstream){.mx = answers[i].mx, .security = 2};
        ask_for_mx(s, SPAN("x.example"));
        cr_expect_eq(s->n_answers, 1, "row %zu", i);
        cr_expect_eq(s->verdict, answers[i].verdict, "row %zu: %u", i, s->verdict);
        cr_expect_eq(s->n_octets, answers[i].n_octets, "row %zu: %zu", i, s->n_octets);
        end(s);
    }
}

Test(ask, secure_only_if_dnssec_says_so)
{
    for (int security = 0; security <= 2; security++) {
        struct scene *s = begin();
        s->upstream = (struct upstream){.mx = SAY_ADDRESS, .security = security};
        ask_for_mx(s, SPAN("x.example"));
        cr_expect_eq(s->is_secure, security == 2);
        cr_expect_eq(s->verdict, security == 1 ? VERDICT_TRY_LATER : VERDICT_OK,
                     "bogus is no answer");
        end(s);
    }
}

Test(ask, bogus_addresses_are_none)
{
    struct scene *s = begin();
    s->upstream = (struct upstream){.a = SAY_ADDRESS, .aaaa = SAY_NXDOMAIN, .security = 1};
    ask_for_addresses(s, SPAN("x.example"));
    cr_expect_eq(s->verdict, VERDICT_TRY_LATER);
    cr_expect_eq(s->n_octets, 0);
    end(s);
}

Test(ask, names_that_cannot_exist_are_not_asked_for)
{
    struct scene *s = begin();
    ask_for_mx(s, SPAN("x..example"));
    cr_expect_eq(s->verdict, VERDICT_NEVER);
    ask_for_addresses(s, SPAN("x example"));
    cr_expect_eq(s->verdict, VERDICT_NEVER);
    cr_expect_eq(s->n_answers, 2);
    end(s);
}

Test(ask, nobody_waits_any_more)
{
    struct scene *s = begin();
    s->upstream = (struct upstream){
        .a = SAY_ADDRESS, .aaaa = SAY_ADDRESS, .mx = SAY_ADDRESS, .is_late = true};
    ask_for_addresses(s, SPAN("x.example"));
    ask_for_mx(s, SPAN("x.example"));
    cr_expect_eq(s->asks.n, 2);
    ask_forget(&s->asks, s->resolver);
    answer_waiting(&s->upstream);
    turns(s);
    cr_expect_eq(s->n_answers, 0);
    end(s);
}
