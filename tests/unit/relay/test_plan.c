#include "relay/plan.h"

#include "common/pack.h"

#include <criterion/criterion.h>

static struct config *config(const char *text)
{
    struct config_problems problems = {0};
    char whole[2048];
    snprintf(whole, sizeof whole, "hostname = us.example\n[listen smtp]\naddress = 0.0.0.0:25\n%s",
             text);
    struct config *c = config_parse(span_of(whole), "test", &problems);
    cr_assert_not_null(c, "%s", problems.n > 0 ? problems.list[0].text : "no memory");
    config_problems_free(&problems);
    return c;
}

/* "10 a.example, 20 b.example" as records; "0 ." is null MX. */
static struct span mx_records(const char *text)
{
    static char room[LIST_MAX];
    struct packer w = packer_on(room, sizeof room);
    struct span left = span_of(text);
    while (left.n > 0) {
        struct span one = span_trim(span_cut(&left, ','));
        uint64_t preference;
        cr_assert_eq(span_u64(span_cut(&one, ' '), &preference), 0);
        pack_uint(&w, preference, 2);
        pack_bytes(&w, span_eq(one, SPAN(".")) ? SPAN("") : one);
    }
    return packer_span(&w);
}

static struct span addr_records(const char *text)
{
    static char room[LIST_MAX];
    struct packer w = packer_on(room, sizeof room);
    struct span left = span_of(text);
    while (left.n > 0) {
        struct netaddr a;
        struct span one = span_trim(span_cut(&left, ','));
        if (span_starts(one, SPAN("mapped"))) {
            pack_bytes(&w, SPAN("\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1"));
            continue;
        }
        cr_assert_eq(netaddr_parse(one, &a), 0);
        pack_bytes(&w, (struct span){(const char *)a.octets, a.n});
    }
    return packer_span(&w);
}

/* The world: answers of the DNS and what servers say. A line is "NAME KIND VERDICT DATA". */
struct fact {
    const char *name;
    enum verdict verdict;
    const char *data;
};

struct world {
    const char *config;
    const char *domain;
    enum verdict mx_verdict;
    const char *mx;
    struct fact hosts[20]; /* addresses of hosts; none said: TRY_LATER */
    const char *refused;   /* addresses with a 5xx greeting; others cannot be reached */
    const char *tried;     /* expected: all that was connected to, in order */
    enum verdict verdict;  /* expected */
    const char *text;      /* expected to begin so */
};

static struct msg_sts_re policy; /* of every domain */

static enum plan_step next_step(struct plan *p, const struct plan_scope *scope)
{
    enum plan_step step;
    while ((step = plan_next(p, scope)) == PLAN_ASK_STS)
        plan_take_sts(p, &policy);
    return step;
}

static enum verdict look_up(const struct world *w, const char *host, struct span *addresses)
{
    *addresses = SPAN("");
    for (const struct fact *f = w->hosts; f->name != NULL; f++)
        if (strcmp(f->name, host) == 0) {
            *addresses = addr_records(f->data);
            return f->verdict;
        }
    return VERDICT_TRY_LATER;
}

static void note_try(char *tried, size_t cap, const struct plan *p)
{
    char address[NETADDR_TEXT];
    size_t n = strlen(tried);
    netaddr_format_port(address, &p->to);
    snprintf(tried + n, cap - n, "%s%s/%s", n > 0 ? " " : "", p->host, address);
}

static void go(const struct world *w, struct plan *p, char *tried, size_t cap)
{
    static const struct netaddr own[] = {
        {.octets = {203, 0, 113, 9}, .n = 4},
        {.octets = {0x20, 0x02, 0xcb, 0, 0x71, 9, [15] = 2}, .n = 16}};
    struct config *c = config(w->config);
    struct plan_scope scope = {c, own, 2};
    struct span addresses;
    char ip[NETADDR_TEXT];
    tried[0] = '\0';
    plan_begin(p, &scope, span_of(w->domain), SPAN("s@sender.example"), false);
    for (int guard = 0; guard < 200; guard++) {
        enum plan_step step = next_step(p, &scope);
        if (step == PLAN_OVER)
            break;
        if (step == PLAN_ASK_MX) {
            cr_expect_str_eq(p->domain, w->domain);
            struct msg_dns_mx_re re = {.verdict = (uint8_t)w->mx_verdict,
                                       .hosts = mx_records(w->mx)};
            plan_take_mx(p, &scope, &re);
        } else if (step == PLAN_ASK_ADDR) {
            enum verdict v = look_up(w, p->host, &addresses);
            struct msg_dns_addr_re re = {.verdict = (uint8_t)v, .addresses = addresses};
            plan_take_addr(p, &scope, &re);
        } else {
            note_try(tried, cap, p);
            netaddr_format(ip, &p->to);
            bool is_refused = w->refused != NULL && strstr(w->refused, ip) != NULL;
            plan_refused(p, is_refused ? VERDICT_NEVER : VERDICT_TRY_LATER,
                         is_refused ? SPAN("554 go away") : SPAN("connection refused"));
        }
    }
    cr_expect_eq(p->step, PLAN_OVER, "%s: it does not end", w->domain);
    config_free(c);
}

#define LATER VERDICT_TRY_LATER
#define NEVER VERDICT_NEVER
#define OK    VERDICT_OK

static const struct world rows[] = {
    {"",
     "d.example",
     OK,
     "20 b.x, 10 a.x",
     {{"a.x", OK, "192.0.2.1"}, {"b.x", OK, "192.0.2.2"}},
     NULL,
     "a.x/192.0.2.1:25 b.x/192.0.2.2:25",
     LATER,
     "connection refused"},
    {"[relay]\nport = 2525\n",
     "d.example",
     OK,
     "10 a.x",
     {{"a.x", OK, "2001:db8::1"}},
     NULL,
     "a.x/[2001:db8::1]:2525",
     LATER,
     "connection refused"},
    /* what the DNS says about the domain */
    {"", "d.example", NEVER, "", {{0}}, NULL, "", NEVER, "550 5.1.2"},
    {"", "d.example", LATER, "", {{0}}, NULL, "", LATER, "451 4.4.3"},
    {"", "d.example", (enum verdict)77, "", {{0}}, NULL, "", LATER, "451 4.4.3"},
    {"", "d.example", OK, "0 .", {{0}}, NULL, "", NEVER, "556 5.1.10"},
    {"", "d.example", OK, "0 ., 5 .", {{0}}, NULL, "", LATER, "451 4.4.4"},
    {"",
     "d.example",
     OK,
     "0 ., 5 a.x",
     {{"a.x", OK, "192.0.2.1"}},
     NULL,
     "a.x/192.0.2.1:25",
     LATER,
     ""},
    /* no MX: the domain itself */
    {"",
     "d.example",
     OK,
     "",
     {{"d.example", OK, "192.0.2.1"}},
     NULL,
     "d.example/192.0.2.1:25",
     LATER,
     ""},
    {"", "d.example", OK, "", {{"d.example", OK, ""}}, NULL, "", NEVER, "550 5.4.4"},
    {"", "d.example", OK, "", {{"d.example", NEVER, ""}}, NULL, "", NEVER, "550 5.4.4"},
    {"", "d.example", OK, "", {{"d.example", LATER, ""}}, NULL, "", LATER, "451 4.4.3"},
    {"",
     "d.example",
     OK,
     "",
     {{"d.example", (enum verdict)77, "192.0.2.1"}},
     NULL,
     "",
     LATER,
     "451 4.4.3"},
    /* MX hosts without addresses */
    {"",
     "d.example",
     OK,
     "1 a.x, 2 b.x",
     {{"a.x", NEVER, ""}, {"b.x", OK, "192.0.2.2"}},
     NULL,
     "b.x/192.0.2.2:25",
     LATER,
     "connection refused"},
    {"",
     "d.example",
     OK,
     "1 a.x, 2 b.x",
     {{"a.x", NEVER, ""}, {"b.x", OK, ""}},
     NULL,
     "",
     LATER,
     "451 4.4.4"},
    {"",
     "d.example",
     OK,
     "1 a.x, 2 b.x",
     {{"a.x", LATER, ""}, {"b.x", OK, ""}},
     NULL,
     "",
     LATER,
     "451 4.4.3"},
    /* addresses that an MX may not lead to */
    {"",
     "d.example",
     OK,
     "1 a.x",
     {{"a.x", OK, "127.0.0.1, ::1, 0.0.0.0, 169.254.1.1, mapped"}},
     NULL,
     "",
     NEVER,
     "554 5.4.4"},
    {"",
     "d.example",
     OK,
     "1 a.x",
     {{"a.x", OK, "64:ff9b::127.0.0.1, 2002:7f00:1::1, 64:ff9b::a9fe:101, ::127.0.0.1"}},
     NULL,
     "",
     NEVER,
     "554 5.4.4"},
    {"[relay]\nnever_connect_to = 10.0.0.0/8\n",
     "d.example",
     OK,
     "1 a.x",
     {{"a.x", OK, "64:ff9b::10.1.2.3, 2002:a01:203::1, 64:ff9b::11.1.2.3"}},
     NULL,
     "a.x/[64:ff9b::b01:203]:25",
     LATER,
     ""},
    {"[route d.example]\nto = smtp://[64:ff9b::7f00:1]:25\n",
     "d.example",
     OK,
     "",
     {{0}},
     NULL,
     "/[64:ff9b::7f00:1]:25",
     LATER,
     ""},
    {"",
     "d.example",
     OK,
     "1 a.x",
     {{"a.x", OK, "127.0.0.1, 192.0.2.1"}},
     NULL,
     "a.x/192.0.2.1:25",
     LATER,
     ""},
    {"",
     "d.example",
     OK,
     "1 a.x, 2 b.x",
     {{"a.x", OK, "127.0.0.1"}, {"b.x", LATER, ""}},
     NULL,
     "",
     LATER,
     "451 4.4.3"},
    {"",
     "d.example",
     OK,
     "1 a.x, 2 b.x",
     {{"a.x", OK, "127.0.0.1"}, {"b.x", NEVER, ""}},
     NULL,
     "",
     LATER,
     "451 4.4.4"},
    {"", "d.example", OK, "", {{"d.example", OK, "127.0.0.1"}}, NULL, "", NEVER, "554 5.4.4"},
    {"[relay]\nnever_connect_to = none\n",
     "d.example",
     OK,
     "1 a.x",
     {{"a.x", OK, "127.0.0.1"}},
     NULL,
     "a.x/127.0.0.1:25",
     LATER,
     ""},
    {"", "[192.0.2.1]", OK, "", {{0}}, NULL, "/192.0.2.1:25", LATER, ""},
    {"", "[IPv6:2001:db8::1]", OK, "", {{0}}, NULL, "/[2001:db8::1]:25", LATER, ""},
    {"", "[127.0.0.1]", OK, "", {{0}}, NULL, "", NEVER, "554 5.4.4"},
    {"", "[IPv6:::ffff:127.0.0.1]", OK, "", {{0}}, NULL, "", NEVER, "554 5.4.4"},
    {"", "[IPv6:64:ff9b::7f00:1]", OK, "", {{0}}, NULL, "", NEVER, "554 5.4.4"},
    {"", "[x]", OK, "", {{0}}, NULL, "", NEVER, "553 5.1.3"},
    /* ourselves, by name and by address */
    {"",
     "d.example",
     OK,
     "1 us.example",
     {{"us.example", OK, "192.0.2.1"}},
     NULL,
     "",
     NEVER,
     "554 5.4.6"},
    {"", "d.example", OK, "1 a.x", {{"a.x", OK, "203.0.113.9"}}, NULL, "", NEVER, "554 5.4.6"},
    {"",
     "d.example",
     OK,
     "1 a.x",
     {{"a.x", OK, "64:ff9b::cb00:7109"}},
     NULL,
     "",
     NEVER,
     "554 5.4.6"},
    {"",
     "d.example",
     OK,
     "1 a.x",
     {{"a.x", OK, "2002:cb00:7109::1"}}, /* another host of the site that is behind us */
     NULL,
     "a.x/[2002:cb00:7109::1]:25",
     LATER,
     ""},
    {"",
     "d.example",
     OK,
     "1 a.x",
     {{"a.x", OK, "2002:cb00:7109::2"}},
     NULL,
     "",
     NEVER,
     "554 5.4.6"},
    {"",
     "d.example",
     OK,
     "1 a.x",
     {{"a.x", OK, "64:ff9b::cb00:7108"}},
     NULL,
     "a.x/[64:ff9b::cb00:7108]:25",
     LATER,
     ""},
    {"",
     "d.example",
     OK,
     "1 a.x, 2 us.example, 2 b.x, 3 c.x",
     {{"a.x", OK, "192.0.2.1"}, {"b.x", OK, "192.0.2.2"}, {"c.x", OK, "192.0.2.3"}},
     NULL,
     "a.x/192.0.2.1:25",
     LATER,
     "connection refused"},
    {"",
     "d.example",
     OK,
     "1 a.x, 2 b.x, 3 c.x",
     {{"a.x", OK, "192.0.2.1"}, {"b.x", OK, "203.0.113.9"}, {"c.x", OK, "192.0.2.3"}},
     NULL,
     "a.x/192.0.2.1:25",
     LATER,
     "connection refused"},
    {"",
     "d.example",
     OK,
     "1 a.x, 2 us.example",
     {{"a.x", NEVER, ""}},
     NULL,
     "",
     LATER,
     "451 4.4.4"},
    {"[relay]\nport = 26\n",
     "d.example",
     OK,
     "1 a.x",
     {{"a.x", OK, "203.0.113.9"}},
     NULL,
     "a.x/203.0.113.9:26",
     LATER,
     ""},
    /* refusals */
    {"",
     "d.example",
     OK,
     "1 a.x, 2 b.x",
     {{"a.x", OK, "192.0.2.1"}, {"b.x", OK, "192.0.2.2"}},
     "192.0.2.1 192.0.2.2",
     "a.x/192.0.2.1:25 b.x/192.0.2.2:25",
     NEVER,
     "554 go away"},
    {"",
     "d.example",
     OK,
     "1 a.x, 2 b.x",
     {{"a.x", OK, "192.0.2.1"}, {"b.x", OK, "192.0.2.2"}},
     "192.0.2.2",
     "a.x/192.0.2.1:25 b.x/192.0.2.2:25",
     LATER,
     "554 go away"},
    {"",
     "d.example",
     OK,
     "1 a.x, 2 b.x",
     {{"a.x", OK, "192.0.2.1"}, {"b.x", LATER, ""}},
     "192.0.2.1",
     "a.x/192.0.2.1:25",
     LATER,
     "554 go away"},
    /* at most five */
    {"",
     "d.example",
     OK,
     "1 a.x, 2 b.x, 3 c.x, 4 d.x, 5 e.x, 6 f.x",
     {{"a.x", OK, "192.0.2.1"},
      {"b.x", OK, "192.0.2.2"},
      {"c.x", OK, "192.0.2.3"},
      {"d.x", OK, "192.0.2.4"},
      {"e.x", OK, "192.0.2.5"},
      {"f.x", OK, "192.0.2.6"}},
     "192.0.2.",
     "a.x/192.0.2.1:25 b.x/192.0.2.2:25 c.x/192.0.2.3:25 d.x/192.0.2.4:25 e.x/192.0.2.5:25",
     LATER,
     "connection refused"},
    /* routes */
    {"[relay]\nsmarthost = smtp://relay.x:587\n",
     "d.example",
     NEVER,
     "",
     {{"relay.x", OK, "127.0.0.1"}},
     NULL,
     "relay.x/127.0.0.1:587",
     LATER,
     "connection refused"},
    {"[relay]\nsmarthost = smtp://relay.x\n[route d.example]\nto = smtp://10.0.0.1:26\n",
     "d.example",
     NEVER,
     "",
     {{0}},
     "10.0.0.1",
     "/10.0.0.1:26",
     LATER,
     ""},
    {"[relay]\nsmarthost = smtp://relay.x\n",
     "d.example",
     NEVER,
     "",
     {{"relay.x", NEVER, ""}},
     NULL,
     "",
     LATER,
     "451 4.4.4"},
    {"[route d.example]\nto = smtp://a.x, smtp://10.0.0.1:26, smtp://b.x\n",
     "d.example",
     NEVER,
     "",
     {{"a.x", NEVER, ""}, {"b.x", OK, "127.0.0.1"}},
     NULL,
     "/10.0.0.1:26 b.x/127.0.0.1:25",
     LATER,
     "connection refused"},
    {"[route sender:@sender.example]\nto = smtp://a.x\n",
     "d.example",
     NEVER,
     "",
     {{"a.x", OK, "10.1.1.1"}},
     NULL,
     "a.x/10.1.1.1:25",
     LATER,
     ""},
    /* the last resort */
    {"[relay]\nfallback = smtp://f.x:26\n",
     "d.example",
     OK,
     "1 a.x",
     {{"a.x", OK, "192.0.2.1"}, {"f.x", OK, "10.0.0.9"}},
     NULL,
     "a.x/192.0.2.1:25 f.x/10.0.0.9:26",
     LATER,
     "connection refused"},
    {"[relay]\nfallback = smtp://f.x:26\n",
     "d.example",
     LATER,
     "",
     {{"f.x", OK, "10.0.0.9"}},
     NULL,
     "f.x/10.0.0.9:26",
     LATER,
     "connection refused"},
    {"[relay]\nfallback = smtp://f.x:26\n",
     "d.example",
     NEVER,
     "",
     {{"f.x", OK, "10.0.0.9"}},
     NULL,
     "",
     NEVER,
     "550 5.1.2"},
    {"[relay]\nfallback = smtp://f.x:26\n",
     "d.example",
     OK,
     "1 a.x",
     {{"a.x", OK, "192.0.2.1"}, {"f.x", OK, "10.0.0.9"}},
     "192.0.2.1",
     "a.x/192.0.2.1:25",
     NEVER,
     "554 go away"},
};

Test(plan, rows)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct world *w = &rows[i];
        struct plan p;
        char tried[1024];
        bool is_same_refusal = w->refused == NULL || strcmp(w->refused, "192.0.2.") != 0;
        go(w, &p, tried, sizeof tried);
        cr_expect_str_eq(tried, w->tried, "row %zu: tried %s", i, tried);
        cr_expect_eq(p.verdict, w->verdict, "row %zu: %d %s", i, (int)p.verdict, p.text);
        if (is_same_refusal)
            cr_expect(span_starts(span_of(p.text), span_of(w->text)), "row %zu: %s", i, p.text);
    }
}

Test(plan, equal_preferences_are_shuffled)
{
    static const struct world w = {"",
                                   "d.example",
                                   OK,
                                   "5 a.x, 5 b.x, 5 c.x, 1 z.x",
                                   {{"a.x", OK, "192.0.2.1"},
                                    {"b.x", OK, "192.0.2.2"},
                                    {"c.x", OK, "192.0.2.3"},
                                    {"z.x", OK, "192.0.2.9"}},
                                   NULL,
                                   NULL,
                                   LATER,
                                   NULL};
    unsigned seen = 0;
    for (int i = 0; i < 200; i++) {
        struct plan p;
        char tried[1024];
        go(&w, &p, tried, sizeof tried);
        cr_assert(strncmp(tried, "z.x/", 4) == 0);
        seen |= 1U << (tried[17] - 'a');
    }
    cr_expect_eq(seen, 7, "each was first at least once: %u", seen);
}

/* Which kind of address comes first, and which is left out. */
static const struct {
    const char *config, *addresses;
    const char *kinds; /* of those that are tried: 4, 6; "?": either */
    enum verdict verdict;
    const char *text;
} ip_rows[] = {
    {"", "2001:db8::1, 2001:db8::2, 192.0.2.1, 192.0.2.2", "????", LATER, "connection refused"},
    {"[relay]\nip = prefer-4\n", "2001:db8::1, 2001:db8::2, 192.0.2.1, 192.0.2.2", "4646", LATER,
     ""},
    {"[relay]\nip = prefer-6\n", "192.0.2.1, 192.0.2.2, 192.0.2.3, 2001:db8::1", "6444", LATER, ""},
    {"[relay]\nip = 4\n", "2001:db8::1, 192.0.2.1", "4", LATER, "connection refused"},
    {"[relay]\nip = 6\n", "2001:db8::1, 192.0.2.1", "6", LATER, "connection refused"},
    {"[relay]\nip = 6\n", "192.0.2.1", "", LATER, "451 4.4.4"},
    {"[relay]\nip = 6\n[route d.example]\nto = smtp://192.0.2.7\n", "", "4", LATER, ""},
};

Test(plan, the_kind_of_address_by_setting)
{
    for (size_t i = 0; i < sizeof ip_rows / sizeof ip_rows[0]; i++) {
        struct world w = {.config = ip_rows[i].config,
                          .domain = "d.example",
                          .mx = "1 a.x",
                          .hosts = {{"a.x", OK, ip_rows[i].addresses}}};
        struct plan p;
        char tried[1000], kinds[16];
        size_t n = 0;
        go(&w, &p, tried, sizeof tried);
        struct span left = span_of(tried);
        while (left.n > 0 && n < sizeof kinds - 1) {
            struct span one = span_cut(&left, ' ');
            kinds[n++] = memchr(one.p, '[', one.n) != NULL ? '6' : '4';
        }
        kinds[n] = '\0';
        if (ip_rows[i].kinds[0] == '?')
            cr_expect(strcmp(kinds, "4646") == 0 || strcmp(kinds, "6464") == 0, "%s", kinds);
        else
            cr_expect_str_eq(kinds, ip_rows[i].kinds, "row %zu", i);
        cr_expect_eq(p.verdict, ip_rows[i].verdict, "row %zu", i);
        cr_expect(span_starts(span_of(p.text), span_of(ip_rows[i].text)), "row %zu: %s", i, p.text);
    }
}

Test(plan, families_take_turns)
{
    static const struct world w = {
        "",
        "d.example",
        OK,
        "1 a.x",
        {{"a.x", OK, "2001:db8::1, 2001:db8::2, 2001:db8::3, 2001:db8::4, 2001:db8::5, 192.0.2.1"}},
        NULL,
        NULL,
        LATER,
        NULL};
    struct plan p;
    char tried[1024];
    go(&w, &p, tried, sizeof tried);
    cr_expect_not_null(strstr(tried, "192.0.2.1"), "%s", tried);
}

Test(plan, damaged_answers_are_undecided)
{
    static const struct {
        struct span hosts;
    } damaged[] = {
        {{"\0", 1}}, {{"\0\1\5\0\0\0a", 7}}, {{"\0\1\1\0\0\0\n", 7}}, {{"\0\1\0\0\0\0x", 7}}};
    struct config *c = config("");
    struct plan_scope scope = {c, NULL, 0};
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        struct plan p;
        plan_begin(&p, &scope, SPAN("d.example"), SPAN(""), false);
        plan_take_mx(&p, &scope, &(struct msg_dns_mx_re){.verdict = OK, .hosts = damaged[i].hosts});
        cr_expect_eq(next_step(&p, &scope), PLAN_OVER);
        cr_expect_eq(p.verdict, LATER, "%zu", i);
        plan_begin(&p, &scope, SPAN("d.example"), SPAN(""), false);
        plan_take_mx(&p, &scope, &(struct msg_dns_mx_re){.verdict = OK});
        cr_expect_eq(next_step(&p, &scope), PLAN_ASK_ADDR);
        plan_take_addr(&p, &scope,
                       &(struct msg_dns_addr_re){.verdict = OK, .addresses = damaged[i].hosts});
        cr_expect_eq(next_step(&p, &scope), PLAN_OVER);
        cr_expect_eq(p.verdict, LATER, "%zu", i);
    }
    config_free(c);
}

Test(plan, smtps_is_verified_unless_less_is_asked_for)
{
    static const struct {
        enum relay_tls wanted, starttls, smtps;
    } levels[] = {
        {RELAY_TLS_OPPORTUNISTIC, RELAY_TLS_OPPORTUNISTIC, RELAY_TLS_VERIFIED},
        {RELAY_TLS_REQUIRED, RELAY_TLS_REQUIRED, RELAY_TLS_REQUIRED},
        {RELAY_TLS_VERIFIED, RELAY_TLS_VERIFIED, RELAY_TLS_VERIFIED},
        {RELAY_TLS_NONE, RELAY_TLS_NONE, RELAY_TLS_VERIFIED},
    };
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        struct url hops[] = {{.host = (char[]){"192.0.2.1"}, .port = 25},
                             {.is_tls = true, .host = (char[]){"192.0.2.2"}, .port = 465}};
        struct config c = {.relay = {.smarthost = hops, .n_smarthost = 2}};
        struct plan_scope scope = {&c, NULL, 0};
        struct plan p;
        c.relay.delivery.tls = levels[i].wanted;
        plan_begin(&p, &scope, SPAN("d.example"), SPAN(""), false);
        cr_assert_eq(next_step(&p, &scope), PLAN_CONNECT);
        cr_expect(!p.is_implicit && p.policy.level == levels[i].starttls, "level %zu", i);
        cr_assert_eq(next_step(&p, &scope), PLAN_CONNECT);
        cr_expect(p.is_implicit && p.policy.level == levels[i].smtps, "level %zu", i);
    }
}

/* Mail that requires TLS (RFC 8689): hosts found by MX 1 a.x, 2 b.x, both with two addresses, or a
 * route to them. "u": the host is unfit, "r": it refuses the connection with 5xx, "l": it cannot be
 * reached. */
static const struct {
    const char *config;
    bool is_secure;
    const char *says;
    unsigned n_tried;
    enum verdict verdict;
    const char *text;
} strict[] = {
    {"", true, "uu", 2, NEVER, "550 5.7.30 unfit"},
    {"", true, "lluu", 3, LATER, "550 5.7.30 unfit"},
    {"", true, "rru", 3, NEVER, "550 5.7.30 unfit"},
    {"", true, "ull", 3, LATER, "unreachable"},
    {"", false, "", 0, NEVER, "550 5.7.30 the message requires TLS, and neither"},
    {"[route d.example]\nto = smtp://a.x, smtp://b.x\n", false, "uu", 2, NEVER, "550 5.7.30 unfit"},
    {"[route d.example]\nto = smtp://a.x, smtp://b.x\n", false, "rru", 3, LATER, "550 5.7.30"},
};

static void say(struct plan *p, char what)
{
    if (what == 'u')
        plan_unfit(p, SPAN("550 5.7.30 unfit"));
    else if (what == 'r')
        plan_refused(p, NEVER, SPAN("554 go away"));
    else
        plan_refused(p, LATER, SPAN("unreachable"));
}

Test(plan, mail_that_requires_tls)
{
    for (size_t i = 0; i < sizeof strict / sizeof strict[0]; i++) {
        struct config *c = config(strict[i].config);
        struct plan_scope scope = {c, NULL, 0};
        struct plan p;
        unsigned n_tried = 0;
        plan_begin(&p, &scope, SPAN("d.example"), SPAN(""), true);
        for (enum plan_step step; (step = next_step(&p, &scope)) != PLAN_OVER;) {
            if (step == PLAN_ASK_MX)
                plan_take_mx(&p, &scope,
                             &(struct msg_dns_mx_re){.verdict = OK,
                                                     .is_secure = strict[i].is_secure,
                                                     .hosts = mx_records("1 a.x, 2 b.x")});
            else if (step == PLAN_ASK_ADDR)
                plan_take_addr(
                    &p, &scope,
                    &(struct msg_dns_addr_re){.verdict = OK,
                                              .addresses = addr_records("192.0.2.1, 192.0.2.2")});
            else
                say(&p, strict[i].says[n_tried++]);
        }
        cr_expect_eq(n_tried, strict[i].n_tried, "row %zu: %u", i, n_tried);
        cr_expect_eq(p.verdict, strict[i].verdict, "row %zu", i);
        cr_expect(span_starts(span_of(p.text), span_of(strict[i].text)), "row %zu: %s", i, p.text);
        config_free(c);
    }
}

/* DANE (RFC 7672 2.2.2): what is asked for after an address, and what the answer does. */
static const struct {
    const char *config;
    bool is_mx_secure, is_addr_secure;
    const char *canonical;
    const char *says;  /* a letter for each question: "t" records, "n" none, "u" unsigned records,
                          "x" no such name, "l" cannot be told, "0" no answer */
    const char *asked; /* expected */
    enum relay_tls level;
    bool is_reached;
} signed_rows[] = {
    {"", true, true, "", "t", "a.x ", RELAY_TLS_VERIFIED, true},
    {"", true, true, "", "n", "a.x ", RELAY_TLS_OPPORTUNISTIC, true},
    {"", true, true, "", "x", "a.x ", RELAY_TLS_OPPORTUNISTIC, true},
    {"", true, true, "", "u", "a.x ", RELAY_TLS_OPPORTUNISTIC, true},
    {"", true, true, "", "l", "a.x ", RELAY_TLS_NONE, false},
    {"", true, true, "", "0", "a.x ", RELAY_TLS_NONE, false},
    {"", false, true, "", "", "", RELAY_TLS_OPPORTUNISTIC, true},
    {"", true, false, "", "", "", RELAY_TLS_OPPORTUNISTIC, true},
    {"", true, true, "b.x", "t", "b.x ", RELAY_TLS_VERIFIED, true},
    {"", true, true, "b.x", "nt", "b.x a.x ", RELAY_TLS_VERIFIED, true},
    {"", true, true, "b.x", "un", "b.x a.x ", RELAY_TLS_OPPORTUNISTIC, true},
    {"", true, true, "b.x", "l", "b.x ", RELAY_TLS_NONE, false},
    {"", true, true, "b.x", "nl", "b.x a.x ", RELAY_TLS_NONE, false},
    {"", true, false, "b.x", "t", "a.x(alias) ", RELAY_TLS_VERIFIED, true},
    {"", true, false, "b.x", "n", "a.x(alias) ", RELAY_TLS_OPPORTUNISTIC, true},
    {"[relay]\ndane = no\n", true, true, "", "", "", RELAY_TLS_OPPORTUNISTIC, true},
    {"[relay]\ntls = required\n", true, true, "", "", "", RELAY_TLS_REQUIRED, true},
    {"[relay]\ntls = none\n", true, true, "", "", "", RELAY_TLS_NONE, true},
    {"[route d.example]\nto = smtp://a.x\n", false, true, "", "t", "a.x ", RELAY_TLS_VERIFIED,
     true},
    {"[route d.example]\nto = smtps://a.x\n", false, true, "", "", "", RELAY_TLS_VERIFIED, true},
};

static void say_tlsa(struct plan *p, char what)
{
    struct msg_dns_tlsa_re re = {.verdict = what == 'l'   ? LATER
                                            : what == 'x' ? NEVER
                                                          : OK,
                                 .is_secure = what != 'u',
                                 .records = what == 'n' || what == 'x' ? SPAN("") : SPAN("abc")};
    plan_take_tlsa(p, what == '0' ? NULL : &re);
}

Test(plan, what_dnssec_says_of_certificates)
{
    for (size_t i = 0; i < sizeof signed_rows / sizeof signed_rows[0]; i++) {
        struct config *c = config(signed_rows[i].config);
        struct plan_scope scope = {c, NULL, 0};
        struct plan p;
        char asked[2 * (DOMAIN_MAX + 20)] = "";
        size_t n = 0;
        enum plan_step step;
        plan_begin(&p, &scope, SPAN("d.example"), SPAN(""), false);
        while ((step = next_step(&p, &scope)) != PLAN_OVER && step != PLAN_CONNECT) {
            if (step == PLAN_ASK_MX) {
                plan_take_mx(&p, &scope,
                             &(struct msg_dns_mx_re){.verdict = OK,
                                                     .is_secure = signed_rows[i].is_mx_secure,
                                                     .hosts = mx_records("1 a.x")});
            } else if (step == PLAN_ASK_ADDR) {
                plan_take_addr(
                    &p, &scope,
                    &(struct msg_dns_addr_re){.verdict = OK,
                                              .is_secure = signed_rows[i].is_addr_secure,
                                              .canonical = span_of(signed_rows[i].canonical),
                                              .addresses = addr_records("192.0.2.1")});
            } else {
                size_t at = strlen(asked);
                snprintf(asked + at, sizeof asked - at, "%s%s ", p.tlsa_host,
                         p.is_alias ? "(alias)" : "");
                cr_expect_eq(p.port, 25);
                say_tlsa(&p, signed_rows[i].says[n++]);
            }
        }
        cr_expect_eq(step == PLAN_CONNECT, signed_rows[i].is_reached, "row %zu", i);
        cr_expect_str_eq(asked, signed_rows[i].asked, "row %zu", i);
        if (step == PLAN_CONNECT)
            cr_expect_eq(p.policy.level, signed_rows[i].level, "row %zu", i);
        else
            cr_expect(p.verdict == LATER && span_starts(span_of(p.text), SPAN("451 4.4.3")),
                      "row %zu: %s", i, p.text);
        config_free(c);
    }
}

/* --- MTA-STS --- */

static const struct {
    const char *config;
    enum verdict verdict; /* of the answer */
    enum sts_mode mode;
    const char *policy;
    const char *tried; /* "host=word" */
    enum verdict result;
    const char *text;
} sts[] = {
    {"", OK, STS_NONE, "", "a.x=opportunistic b.x=opportunistic", LATER, "refused"},
    {"", OK, STS_ENFORCE, "mx: a.x\nmx: *.x\n", "a.x=sts b.x=sts", LATER, "refused"},
    {"", OK, STS_ENFORCE, "mx: b.x\n", "b.x=sts", LATER, "refused"},
    {"", OK, STS_ENFORCE, "mx: c.x\n", "", LATER, "451 4.7.5 the policy of its domain"},
    {"", OK, STS_TESTING, "mx: c.x\n", "a.x=opportunistic b.x=opportunistic", LATER, "refused"},
    {"", LATER, STS_NONE, "", "", LATER, "451 4.7.5 the policy of d.example"},
    {"", OK, STS_MODES, "", "", LATER, "451 4.7.5 the policy of d.example"},
    {"[relay]\nmta_sts = no\n", LATER, STS_NONE, "", "a.x=opportunistic b.x=opportunistic", LATER,
     "refused"},
    {"[relay]\ntls = none\n", LATER, STS_NONE, "", "a.x=none b.x=none", LATER, "refused"},
    {"[relay]\ntls = required\n", OK, STS_ENFORCE, "mx: b.x\n", "b.x=sts", LATER, "refused"},
    {"[relay]\ntls = verified\n", OK, STS_ENFORCE, "mx: b.x\n", "b.x=verified", LATER, "refused"},
    {"[route d.example]\nto = smtp://a.x\n", LATER, STS_NONE, "", "a.x=opportunistic", LATER,
     "refused"},
    {"[relay]\nfallback = smtp://c.x\n", OK, STS_ENFORCE, "mx: b.x\n", "b.x=sts c.x=opportunistic",
     LATER, "refused"},
};

static void walk_sts(struct plan *p, const struct plan_scope *scope, char *tried, size_t cap)
{
    size_t n = 0;
    tried[0] = '\0';
    for (enum plan_step step; (step = next_step(p, scope)) != PLAN_OVER;) {
        if (step == PLAN_ASK_MX)
            plan_take_mx(
                p, scope,
                &(struct msg_dns_mx_re){.verdict = OK, .hosts = mx_records("1 a.x, 2 b.x")});
        else if (step == PLAN_ASK_ADDR)
            plan_take_addr(
                p, scope,
                &(struct msg_dns_addr_re){.verdict = OK, .addresses = addr_records("192.0.2.1")});
        else {
            int added = snprintf(tried + n, cap - n, "%s%s=%s", n > 0 ? " " : "", p->host,
                                 policy_word(&p->policy));
            n += (size_t)added;
            plan_refused(p, LATER, SPAN("refused"));
        }
    }
}

Test(plan, policies_of_domains)
{
    static struct sts_policy parsed;
    char text[400], tried[400];
    for (size_t i = 0; i < sizeof sts / sizeof sts[0]; i++) {
        struct config *c = config(sts[i].config);
        struct plan_scope scope = {c, NULL, 0};
        struct plan p;
        snprintf(text, sizeof text, "version: STSv1\nmode: none\nmax_age: 1\n%s", sts[i].policy);
        cr_assert_null(sts_parse(span_of(text), &parsed));
        policy = (struct msg_sts_re){.verdict = (uint8_t)sts[i].verdict,
                                     .mode = (uint8_t)sts[i].mode,
                                     .mx = {parsed.mx, parsed.mx_n}};
        plan_begin(&p, &scope, SPAN("d.example"), SPAN(""), false);
        walk_sts(&p, &scope, tried, sizeof tried);
        cr_expect_str_eq(tried, sts[i].tried, "row %zu: %s", i, tried);
        cr_expect_eq(p.verdict, sts[i].result, "row %zu", i);
        cr_expect(span_starts(span_of(p.text), span_of(sts[i].text)), "row %zu: %s", i, p.text);
        config_free(c);
    }
}

/* Policy says why there is none; what cannot be is not believed. */
Test(plan, why_a_domain_has_no_policy)
{
    static const struct {
        uint8_t mode, fault;
        enum tlsrpt_result kept;
    } faults[] = {{STS_NONE, TLSRPT_NOTHING, TLSRPT_NOTHING},
                  {STS_NONE, TLSRPT_STS_FETCH, TLSRPT_STS_FETCH},
                  {STS_NONE, TLSRPT_STS_INVALID, TLSRPT_STS_INVALID},
                  {STS_NONE, TLSRPT_STS_WEBPKI, TLSRPT_STS_WEBPKI},
                  {STS_NONE, TLSRPT_VALIDATION, TLSRPT_NOTHING},
                  {STS_NONE, 255, TLSRPT_NOTHING},
                  {STS_TESTING, TLSRPT_STS_FETCH, TLSRPT_NOTHING}};
    struct config *c = config("");
    struct plan_scope scope = {c, NULL, 0};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct plan p;
        plan_begin(&p, &scope, SPAN("d.example"), SPAN(""), false);
        cr_assert_eq(plan_next(&p, &scope), PLAN_ASK_MX);
        plan_take_mx(&p, &scope,
                     &(struct msg_dns_mx_re){.verdict = OK, .hosts = mx_records("1 a.x")});
        cr_assert_eq(plan_next(&p, &scope), PLAN_ASK_STS);
        plan_take_sts(&p, &(struct msg_sts_re){.verdict = OK,
                                               .mode = faults[i].mode,
                                               .fault = faults[i].fault,
                                               .mx = SPAN("")});
        cr_expect_eq(p.sts_fault, faults[i].kept, "fault %zu: %d", i, p.sts_fault);
    }
    config_free(c);
}

/* RFC 8460 4.3.2.1: answers that DNSSEC finds false, where DANE would have gone by them. */
Test(plan, false_answers)
{
    static const struct {
        const char *config;
        bool is_mx_secure;
        char at; /* which answer is false: MX, address, TLSA, or none; capital: it was told of */
    } cases[] = {{"", true, 'M'},
                 {"", true, 'A'},
                 {"", true, 'T'},
                 {"", true, '-'},
                 {"", false, 'a'},
                 {"[relay]\ndane = no\n", true, 'm'},
                 {"[relay]\ndane = no\n", true, 'a'},
                 {"[relay]\ntls = required\n", true, 'm'},
                 {"[relay]\ntls = none\n", true, 'a'}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char at = ascii_lower(cases[i].at), told = '-';
        struct config *c = config(cases[i].config);
        struct plan_scope scope = {c, NULL, 0};
        struct plan p;
        plan_begin(&p, &scope, SPAN("d.example"), SPAN(""), false);
        for (enum plan_step step;
             (step = next_step(&p, &scope)) != PLAN_OVER && step != PLAN_CONNECT;) {
            char now = step == PLAN_ASK_MX ? 'm' : step == PLAN_ASK_ADDR ? 'a' : 't';
            bool is_false = now == at;
            if (now == 'm')
                plan_take_mx(&p, &scope,
                             &(struct msg_dns_mx_re){.verdict = is_false ? LATER : OK,
                                                     .is_secure = cases[i].is_mx_secure,
                                                     .is_bogus = is_false,
                                                     .hosts = mx_records("1 a.x")});
            else if (now == 'a')
                plan_take_addr(&p, &scope,
                               &(struct msg_dns_addr_re){.verdict = is_false ? LATER : OK,
                                                         .is_secure = 1,
                                                         .is_bogus = is_false,
                                                         .addresses = addr_records("192.0.2.1")});
            else
                plan_take_tlsa(&p, &(struct msg_dns_tlsa_re){.verdict = is_false ? LATER : OK,
                                                             .is_secure = !is_false,
                                                             .is_bogus = is_false,
                                                             .records = SPAN("abc")});
            if (p.is_bogus)
                told = now;
            cr_expect(!p.is_bogus || now == 'm' || strcmp(p.host, "a.x") == 0);
        }
        cr_expect_eq(told, at != cases[i].at ? at : '-', "case %zu: %c", i, told);
        config_free(c);
    }
}

/* RFC 8460 3: a report about TLS is delivered though TLS fails. */
Test(plan, reports_about_tls_are_kept_back_by_no_policy)
{
    static const enum plan_step usual[] = {PLAN_ASK_MX, PLAN_ASK_STS, PLAN_ASK_ADDR, PLAN_ASK_TLSA};
    static const struct msg_sts_re enforced = {.verdict = OK, .mode = STS_ENFORCE, .mx = SPAN("")};
    for (int is_report = 0; is_report <= 1; is_report++) {
        struct config *c = config("");
        struct plan_scope scope = {c, NULL, 0};
        struct plan p;
        size_t n = 0;
        enum plan_step step;
        plan_begin(&p, &scope, SPAN("d.example"), SPAN(""), false);
        if (is_report)
            plan_waive_policies(&p);
        while ((step = plan_next(&p, &scope)) != PLAN_OVER && step != PLAN_CONNECT) {
            if (!is_report)
                cr_expect_eq(step, usual[n++]);
            if (step == PLAN_ASK_MX)
                plan_take_mx(&p, &scope,
                             &(struct msg_dns_mx_re){
                                 .verdict = OK, .is_secure = 1, .hosts = mx_records("1 a.x")});
            else if (step == PLAN_ASK_ADDR)
                plan_take_addr(&p, &scope,
                               &(struct msg_dns_addr_re){.verdict = OK,
                                                         .is_secure = 1,
                                                         .addresses = addr_records("192.0.2.1")});
            else if (step == PLAN_ASK_STS)
                plan_take_sts(&p, &enforced);
            else
                say_tlsa(&p, 't');
            cr_expect(!is_report || step == PLAN_ASK_MX || step == PLAN_ASK_ADDR);
        }
        cr_expect_eq(step, PLAN_CONNECT);
        cr_expect_eq(p.policy.level, is_report ? RELAY_TLS_OPPORTUNISTIC : RELAY_TLS_VERIFIED);
        config_free(c);
    }
}
