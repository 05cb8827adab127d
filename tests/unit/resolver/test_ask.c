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
    enum say a, aaaa, mx, tlsa, cname;
    bool is_late; /* answers when told to, not at once */
    int security;
    int cname_security;
    struct {
        ub_event_callback_type fn;
        void *arg;
        int type;
    } waiting[4];
    size_t n_waiting, n_open;
};

static enum say say_for(const struct upstream *u, int type)
{
    switch (type) {
    case DNS_TYPE_A:
        return u->a;
    case DNS_TYPE_AAAA:
        return u->aaaa;
    case DNS_TYPE_TLSA:
        return u->tlsa;
    case DNS_TYPE_CNAME:
        return u->cname;
    default:
        return u->mx;
    }
}

static size_t make_packet(char *out, enum say say, int type)
{
    static const char head[] = "\0\0\x81\x80\0\1\0\0\0\0\0\0\1x\0\0\1\0\1";
    size_t n = sizeof head - 1;
    memcpy(out, head, n);
    out[3] = (char)(0x80 | (say == SAY_NXDOMAIN ? 3 : say == SAY_SERVFAIL ? 2 : 0));
    if (say != SAY_ADDRESS)
        return n;
    const char *octets = type == DNS_TYPE_MX      ? "\0\1\1y\0"
                         : type == DNS_TYPE_TLSA  ? "\3\1\1x"
                         : type == DNS_TYPE_CNAME ? "\1y\0"
                                                  : "abcdefghijklmnop";
    size_t rdata = type == DNS_TYPE_AAAA    ? 16
                   : type == DNS_TYPE_MX    ? 5
                   : type == DNS_TYPE_CNAME ? 3
                                            : 4;
    char fixed[] = {(char)0xc0, 12, 0, (char)type, 0, 1, 0, 0, 0, 0, 0, (char)rdata};
    out[7] = 1;
    memcpy(out + n, fixed, sizeof fixed);
    memcpy(out + n + sizeof fixed, octets, rdata);
    return n + sizeof fixed + rdata;
}

static void answer(const struct upstream *u, enum say say, ub_event_callback_type fn, void *arg,
                   int type)
{
    char packet[128];
    size_t n = make_packet(packet, say, type);
    int security = type == DNS_TYPE_CNAME ? u->cname_security : u->security;
    fn(arg, say == SAY_RCODE ? 2 : 0, packet, (int)n, say == SAY_RCODE ? 0 : security, NULL, 0);
}

int upstream_ask(struct upstream *u, const char *name, int type, ub_event_callback_type fn,
                 void *arg)
{
    enum say say = say_for(u, type);
    cr_expect_str_eq(name, type == DNS_TYPE_TLSA ? "_2525._tcp.x.example" : "x.example");
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
    struct upstream was = *u; /* an answer may lead to another question */
    u->n_waiting = 0;
    for (size_t i = 0; i < was.n_waiting; i++)
        answer(u, say_for(u, was.waiting[i].type), was.waiting[i].fn, was.waiting[i].arg,
               was.waiting[i].type);
}

/* --- the sibling that asks --- */

struct scene {
    struct loop *loop;
    struct upstream upstream;
    struct asks asks;
    struct ipc *resolver, *relay;
    unsigned n_answers;
    uint8_t verdict, is_secure, is_bogus;
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

static void on_tlsa(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct scene *s = owner;
    ask_tlsa(&s->asks, from, &m->dns_tlsa);
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
    s->is_bogus = m->dns_addr_re.is_bogus;
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
    s->is_bogus = m->dns_mx_re.is_bogus;
    s->n_octets = m->dns_mx_re.hosts.n;
}

static void on_tlsa_re(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct scene *s = arg;
    cr_assert_not_null(m);
    s->n_answers++;
    s->verdict = m->dns_tlsa_re.verdict;
    s->is_secure = m->dns_tlsa_re.is_secure;
    s->is_bogus = m->dns_tlsa_re.is_bogus;
    s->n_octets = m->dns_tlsa_re.records.n;
}

static const struct ipc_handler handlers[] = {
    {MSG_DNS_MX, on_mx}, {MSG_DNS_ADDR, on_addr}, {MSG_DNS_TLSA, on_tlsa}};
static const struct ipc_ops resolver_ops = {
    .handlers = handlers, .n_handlers = 3, .on_close = on_close};
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

static void ask_for_tlsa(struct scene *s, struct span host, bool is_alias)
{
    struct msg_dns_tlsa m = {.host = host, .port = 2525, .is_alias = is_alias};
    cr_assert_neq(ipc_ask_dns_tlsa(s->relay, &m, -1, 1000, on_tlsa_re, s), 0);
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

/* Who can suppress the answer for one family must not make the other look unsigned. */
Test(ask, a_failed_part_does_not_unsign_the_other)
{
    static const struct {
        enum say a, aaaa;
        int security;
        bool is_secure;
    } cases[] = {{SAY_ADDRESS, SAY_RCODE, 2, true},    {SAY_RCODE, SAY_ADDRESS, 2, true},
                 {SAY_ADDRESS, SAY_SERVFAIL, 2, true}, {SAY_ADDRESS, SAY_NONE, 2, true},
                 {SAY_ADDRESS, SAY_RCODE, 0, false},   {SAY_ADDRESS, SAY_NONE, 0, false},
                 {SAY_SERVFAIL, SAY_RCODE, 2, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene *s = begin();
        s->upstream = (struct upstream){
            .a = cases[i].a, .aaaa = cases[i].aaaa, .security = cases[i].security};
        ask_for_addresses(s, SPAN("x.example"));
        cr_expect_eq(s->is_secure, cases[i].is_secure, "case %zu", i);
        end(s);
    }
}

#define TLSA_OCTETS (3 + 4 + 1)

Test(ask, tlsa)
{
    static const struct {
        bool is_alias;
        enum say cname, tlsa;
        int cname_security, security;
        enum verdict verdict;
        bool is_secure;
        size_t n_octets;
    } cases[] = {
        {false, SAY_REFUSE, SAY_ADDRESS, 0, 2, VERDICT_OK, true, TLSA_OCTETS},
        {false, SAY_REFUSE, SAY_ADDRESS, 0, 0, VERDICT_OK, false, TLSA_OCTETS},
        {false, SAY_REFUSE, SAY_ADDRESS, 0, 1, VERDICT_TRY_LATER, false, 0},
        {false, SAY_REFUSE, SAY_NONE, 0, 2, VERDICT_OK, true, 0},
        {false, SAY_REFUSE, SAY_NXDOMAIN, 0, 2, VERDICT_NEVER, true, 0},
        {false, SAY_REFUSE, SAY_RCODE, 0, 2, VERDICT_TRY_LATER, false, 0},
        {false, SAY_REFUSE, SAY_SERVFAIL, 0, 2, VERDICT_TRY_LATER, false, 0},
        {false, SAY_REFUSE, SAY_REFUSE, 0, 2, VERDICT_TRY_LATER, false, 0},
        /* an alias first has to be signed itself */
        {true, SAY_ADDRESS, SAY_ADDRESS, 2, 2, VERDICT_OK, true, TLSA_OCTETS},
        {true, SAY_ADDRESS, SAY_RCODE, 2, 2, VERDICT_TRY_LATER, false, 0},
        {true, SAY_ADDRESS, SAY_ADDRESS, 0, 2, VERDICT_OK, false, 0},
        {true, SAY_NONE, SAY_ADDRESS, 2, 2, VERDICT_OK, true, 0},
        {true, SAY_ADDRESS, SAY_ADDRESS, 1, 2, VERDICT_TRY_LATER, false, 0},
        {true, SAY_RCODE, SAY_ADDRESS, 2, 2, VERDICT_TRY_LATER, false, 0},
        {true, SAY_REFUSE, SAY_ADDRESS, 2, 2, VERDICT_TRY_LATER, false, 0},
        {true, SAY_ADDRESS, SAY_REFUSE, 2, 2, VERDICT_TRY_LATER, false, 0},
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        size_t k = i / 2;
        struct scene *s = begin();
        s->upstream = (struct upstream){.is_late = i % 2 != 0,
                                        .cname = cases[k].cname,
                                        .tlsa = cases[k].tlsa,
                                        .cname_security = cases[k].cname_security,
                                        .security = cases[k].security};
        ask_for_tlsa(s, SPAN("x.example"), cases[k].is_alias);
        answer_waiting(&s->upstream);
        answer_waiting(&s->upstream);
        turns(s);
        cr_expect_eq(s->n_answers, 1, "case %zu", k);
        cr_expect_eq(s->verdict, cases[k].verdict, "case %zu: %u", k, s->verdict);
        cr_expect_eq(s->is_secure, cases[k].is_secure, "case %zu", k);
        cr_expect_eq(s->n_octets, cases[k].n_octets, "case %zu: %zu", k, s->n_octets);
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

/* False, and not merely missing: who asks tells it to the domain (RFC 8460 4.3.2.1). */
Test(ask, what_is_bogus_is_told)
{
    static const struct {
        int security;
        bool is_bogus;
    } cases[] = {{0, false}, {1, true}, {2, false}};
    for (size_t i = 0; i < 3; i++) {
        struct scene *s = begin();
        s->upstream = (struct upstream){.a = SAY_SERVFAIL,
                                        .aaaa = SAY_ADDRESS,
                                        .mx = SAY_ADDRESS,
                                        .tlsa = SAY_ADDRESS,
                                        .security = cases[i].security};
        ask_for_mx(s, SPAN("x.example"));
        cr_expect_eq(s->is_bogus, cases[i].is_bogus, "MX, case %zu", i);
        ask_for_addresses(s, SPAN("x.example"));
        cr_expect_eq(s->is_bogus, cases[i].is_bogus, "addresses, case %zu", i);
        ask_for_tlsa(s, SPAN("x.example"), false);
        cr_expect_eq(s->is_bogus, cases[i].is_bogus, "TLSA, case %zu", i);
        s->upstream.cname = SAY_ADDRESS;
        s->upstream.cname_security = cases[i].security;
        ask_for_tlsa(s, SPAN("x.example"), true);
        cr_expect_eq(s->is_bogus, cases[i].is_bogus, "alias, case %zu", i);
        s->upstream.security = 0;
        s->upstream.mx = SAY_SERVFAIL;
        ask_for_mx(s, SPAN("x.example"));
        cr_expect_not(s->is_bogus, "a server that fails, case %zu", i);
        end(s);
    }
}

Test(ask, names_that_cannot_exist_are_not_asked_for)
{
    struct scene *s = begin();
    ask_for_mx(s, SPAN("x..example"));
    cr_expect_eq(s->verdict, VERDICT_NEVER);
    ask_for_addresses(s, SPAN("x example"));
    cr_expect_eq(s->verdict, VERDICT_NEVER);
    char longest[253]; /* a name, but not with a prefix */
    memset(longest, 'x', sizeof longest);
    for (size_t i = 50; i < sizeof longest; i += 50)
        longest[i] = '.';
    s->verdict = VERDICT_OK;
    ask_for_tlsa(s, (struct span){longest, sizeof longest}, false);
    cr_expect_eq(s->verdict, VERDICT_NEVER);
    cr_expect_eq(s->n_answers, 3);
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
