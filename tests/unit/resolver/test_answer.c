#include "resolver/answer.h"

#include <criterion/criterion.h>

/* A packet under construction. Octets of a string literal, without its NUL: PUT(&k, "\0\1"). */
struct maker {
    char octets[70000];
    size_t n;
};

#define PUT(k, literal) put(k, SPAN(literal))

static void put(struct maker *k, struct span s)
{
    memcpy(k->octets + k->n, s.p, s.n);
    k->n += s.n;
}

/* A header with a response code and a number of answers, and the question example.org (at octet 12:
 * a pointer to it is c0 0c). */
static struct maker *packet(unsigned rcode, unsigned answers)
{
    static struct maker k;
    k.n = 0;
    PUT(&k, "\x12\x34\x81\x80\0\1\0\0\0\0\0\0");
    k.octets[3] = (char)(0x80 | rcode);
    k.octets[6] = (char)(answers >> 8);
    k.octets[7] = (char)answers;
    PUT(&k, "\7example\3org\0\0\1\0\1");
    return &k;
}

static void record(struct maker *k, struct span owner, unsigned type, struct span rdata)
{
    put(k, owner);
    char fixed[10] = {0, (char)type, 0, 1, 0, 0, 0, 60, (char)(rdata.n >> 8), (char)rdata.n};
    put(k, (struct span){fixed, sizeof fixed});
    put(k, rdata);
}

#define QUESTION SPAN("\xc0\x0c")
#define MX       DNS_TYPE_MX

/* The packet in memory of exactly its size, so that a sanitizer sees a read past its end. */
static enum verdict mx_of(const struct maker *k, size_t n, struct mx_list *out)
{
    char *copy = malloc(n + 1);
    memcpy(copy, k->octets, n);
    char *exact = realloc(copy, n > 0 ? n : 1);
    enum verdict v = answer_mx((struct span){exact, n}, out);
    free(exact);
    return v;
}

/* As libunbound gives what is too large for a packet: all records are left out, which is not the
 * same as having none. */
Test(answer, what_was_cut_off_is_no_answer)
{
    struct mx_list l;
    struct maker *k = packet(0, 0);
    cr_expect_eq(mx_of(k, k->n, &l), VERDICT_OK);
    cr_expect_eq(l.n, 0U);
    k->octets[2] = (char)0x83; /* TC */
    cr_expect_eq(mx_of(k, k->n, &l), VERDICT_TRY_LATER);
}

Test(answer, mx_in_order_of_preference)
{
    struct mx_list l;
    struct maker *k = packet(0, 3);
    record(k, QUESTION, MX, SPAN("\0\24\3mx2\xc0\x0c"));
    record(k, SPAN("\7EXAMPLE\3oRg\0"), MX, SPAN("\0\12\3MX1\xc0\x0c"));
    record(k, QUESTION, MX, SPAN("\0\12\5b_-9\0"));
    cr_expect_eq(mx_of(k, k->n, &l), VERDICT_TRY_LATER, "the last record's name overruns its data");

    k = packet(0, 3);
    record(k, QUESTION, MX, SPAN("\0\24\3mx2\xc0\x0c"));
    record(k, SPAN("\7EXAMPLE\3oRg\0"), MX, SPAN("\0\12\3MX1\xc0\x0c"));
    record(k, QUESTION, MX, SPAN("\0\12\4b_-9\0"));
    cr_assert_eq(mx_of(k, k->n, &l), VERDICT_OK);
    cr_assert_eq(l.n, 3);
    cr_expect_str_eq(l.list[0].host, "mx1.example.org");
    cr_expect_str_eq(l.list[1].host, "b_-9");
    cr_expect_str_eq(l.list[2].host, "mx2.example.org");
    cr_expect_eq(l.list[2].preference, 20);
}

Test(answer, mx_follows_cnames_in_any_order)
{
    struct mx_list l;
    struct maker *k = packet(0, 3);
    record(k, SPAN("\1b\0"), MX, SPAN("\0\1\2mx\0"));
    record(k, SPAN("\1a\0"), DNS_TYPE_CNAME, SPAN("\1b\0"));
    record(k, QUESTION, DNS_TYPE_CNAME, SPAN("\1a\0"));
    cr_assert_eq(mx_of(k, k->n, &l), VERDICT_OK);
    cr_assert_eq(l.n, 1);
    cr_expect_str_eq(l.list[0].host, "mx");
}

Test(answer, mx_of_another_name_does_not_count)
{
    struct mx_list l;
    struct maker *k = packet(0, 1);
    record(k, SPAN("\1b\0"), MX, SPAN("\0\1\2mx\0"));
    cr_expect_eq(mx_of(k, k->n, &l), VERDICT_OK);
    cr_expect_eq(l.n, 0);
}

Test(answer, null_mx)
{
    struct mx_list l;
    struct maker *k = packet(0, 1);
    record(k, QUESTION, MX, SPAN("\0\0\0"));
    cr_assert_eq(mx_of(k, k->n, &l), VERDICT_OK);
    cr_assert_eq(l.n, 1);
    cr_expect_str_eq(l.list[0].host, "");

    k = packet(0, 2);
    record(k, QUESTION, MX, SPAN("\0\0\0"));
    record(k, QUESTION, MX, SPAN("\0\1\2mx\0"));
    cr_assert_eq(mx_of(k, k->n, &l), VERDICT_OK);
    cr_assert_eq(l.n, 1, "beside others it is ignored");
    cr_expect_str_eq(l.list[0].host, "mx");
}

Test(answer, names_that_are_no_host_names_are_left_out)
{
    struct mx_list l;
    struct maker *k = packet(0, 3);
    record(k, QUESTION, MX, SPAN("\0\1\3a b\0"));
    record(k, QUESTION, MX, SPAN("\0\1\3a.b\0"));
    record(k, QUESTION, MX, SPAN("\0\1\2mx\0"));
    cr_assert_eq(mx_of(k, k->n, &l), VERDICT_OK);
    cr_assert_eq(l.n, 1);

    k = packet(0, 1);
    record(k, QUESTION, MX, SPAN("\0\1\3a\r\n\0"));
    cr_expect_eq(mx_of(k, k->n, &l), VERDICT_TRY_LATER, "none left: not the same as having none");
}

Test(answer, response_codes)
{
    static const enum verdict verdicts[16] = {
        VERDICT_OK,        VERDICT_TRY_LATER, VERDICT_TRY_LATER, VERDICT_NEVER,
        VERDICT_TRY_LATER, VERDICT_TRY_LATER, VERDICT_TRY_LATER, VERDICT_TRY_LATER,
        VERDICT_TRY_LATER, VERDICT_TRY_LATER, VERDICT_TRY_LATER, VERDICT_TRY_LATER,
        VERDICT_TRY_LATER, VERDICT_TRY_LATER, VERDICT_TRY_LATER, VERDICT_TRY_LATER,
    };
    struct mx_list l;
    for (unsigned rcode = 0; rcode < 16; rcode++) {
        struct maker *k = packet(rcode, 0);
        cr_expect_eq(mx_of(k, k->n, &l), verdicts[rcode], "rcode %u", rcode);
        cr_expect_eq(l.n, 0);
    }
}

Test(answer, every_truncation_is_damage)
{
    struct mx_list l;
    struct maker *k = packet(0, 2);
    record(k, QUESTION, DNS_TYPE_CNAME, SPAN("\1a\xc0\x0c"));
    record(k, SPAN("\1a\xc0\x0c"), MX, SPAN("\0\24\3mx2\xc0\x0c"));
    for (size_t n = 0; n < k->n; n++)
        cr_expect_eq(mx_of(k, n, &l), VERDICT_TRY_LATER, "%zu octets", n);
    cr_expect_eq(mx_of(k, k->n, &l), VERDICT_OK);
}

Test(answer, damage)
{
    struct mx_list l;
    static const struct {
        const char *what;
        struct span rdata;
    } rows[] = {
        {"a pointer to itself", {"\0\1\xc0\x2b", 4}},
        {"a pointer forward", {"\0\1\xc0\xff", 4}},
        {"a pointer past the end", {"\0\1\xff\xff", 4}},
        {"no name", {"\0\1", 2}},
        {"no preference", {"\0", 1}},
        {"nothing", {"", 0}},
        {"octets after the name", {"\0\1\2mx\0\0", 7}},
        {"a label of a reserved kind", {"\0\1\x42xx\0", 6}},
        {"a label that ends outside", {"\0\1\x3fxx\0", 6}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct maker *k = packet(0, 1);
        record(k, QUESTION, MX, rows[i].rdata);
        cr_expect_eq(mx_of(k, k->n, &l), VERDICT_TRY_LATER, "%s", rows[i].what);
    }
    struct maker *k = packet(0, 2);
    record(k, QUESTION, DNS_TYPE_CNAME, SPAN("\1a\0"));
    record(k, SPAN("\1a\0"), DNS_TYPE_CNAME, SPAN("\xc0\x0c"));
    cr_expect_eq(mx_of(k, k->n, &l), VERDICT_TRY_LATER, "a loop of CNAMEs");
}

Test(answer, a_name_longer_than_255_octets)
{
    struct mx_list l;
    char rdata[2 + 5 * 64 + 1] = {0};
    for (int labels = 3; labels <= 5; labels++) {
        size_t n = 2;
        for (int i = 0; i < labels; i++) {
            rdata[n++] = 62;
            memset(rdata + n, 'x', 62);
            n += 62;
        }
        rdata[n++] = 0;
        struct maker *k = packet(0, 1);
        record(k, QUESTION, MX, (struct span){rdata, n});
        cr_expect_eq(mx_of(k, k->n, &l), labels <= 4 ? VERDICT_OK : VERDICT_TRY_LATER);
    }
}

Test(answer, the_fifty_most_preferred_are_kept)
{
    struct mx_list l;
    struct maker *k = packet(0, 300);
    for (int i = 299; i >= 0; i--) {
        char rdata[] = {(char)(i >> 8), (char)i, 2, 'm', 'x', 0};
        record(k, QUESTION, MX, (struct span){rdata, sizeof rdata});
    }
    cr_assert_eq(mx_of(k, k->n, &l), VERDICT_OK);
    cr_assert_eq(l.n, ANSWER_MX_MAX);
    for (unsigned i = 0; i < ANSWER_MX_MAX; i++)
        cr_expect_eq(l.list[i].preference, i);
}

static enum verdict addr_of(const struct maker *k, unsigned type, struct addr_list *out)
{
    return answer_addr((struct span){k->octets, k->n}, type, out);
}

Test(answer, addresses)
{
    struct addr_list l = {0};
    struct maker *k = packet(0, 2);
    record(k, QUESTION, DNS_TYPE_CNAME, SPAN("\1a\xc0\x0c"));
    record(k, SPAN("\1a\xc0\x0c"), DNS_TYPE_A, SPAN("\300\0\2\1"));
    cr_expect_eq(addr_of(k, DNS_TYPE_A, &l), VERDICT_OK);
    cr_assert_eq(l.n, 1);
    cr_expect_eq(l.list[0].n, 4);
    cr_expect_arr_eq(l.list[0].octets, "\300\0\2\1", 4);

    k = packet(0, 1);
    record(k, QUESTION, DNS_TYPE_AAAA, SPAN("\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1"));
    cr_expect_eq(addr_of(k, DNS_TYPE_AAAA, &l), VERDICT_OK);
    cr_assert_eq(l.n, 2, "it adds");
    cr_expect_eq(l.list[1].n, 16);

    k = packet(0, 2);
    record(k, QUESTION, DNS_TYPE_A, SPAN("\300\0\2\1"));
    record(k, QUESTION, DNS_TYPE_A, SPAN("\300\0\2"));
    cr_expect_eq(addr_of(k, DNS_TYPE_A, &l), VERDICT_TRY_LATER);
    cr_expect_eq(l.n, 2, "a damaged answer adds nothing");

    k = packet(0, 100);
    for (int i = 0; i < 100; i++)
        record(k, QUESTION, DNS_TYPE_A, SPAN("\300\0\2\1"));
    cr_expect_eq(addr_of(k, DNS_TYPE_A, &l), VERDICT_OK);
    cr_expect_eq(l.n, ANSWER_ADDR_MAX);
}

Test(answer, host_names)
{
    static const struct {
        const char *name;
        bool is_host;
    } rows[] = {
        {"example.org", true},
        {"a", true},
        {"_dmarc.x-1.org", true},
        {"", false},
        {".", false},
        {"a.", false},
        {".a", false},
        {"a..b", false},
        {"a b", false},
        {"a\r\n", false},
        {"\xc3\xa4.org", false},
        {"a/b", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(answer_is_host(span_of(rows[i].name)), rows[i].is_host, "%s", rows[i].name);
    char name[260];
    memset(name, 'x', sizeof name);
    cr_expect(answer_is_host((struct span){name, 63}));
    cr_expect_not(answer_is_host((struct span){name, 64}));
    for (size_t i = 50; i < sizeof name; i += 50)
        name[i] = '.';
    cr_expect(answer_is_host((struct span){name, 253}));
    cr_expect_not(answer_is_host((struct span){name, 254}));
}

static enum verdict tlsa_of(const struct maker *k, size_t n, size_t *n_packed)
{
    static char room[LIST_MAX];
    struct packer w = packer_on(room, sizeof room);
    char *exact = malloc(n > 0 ? n : 1);
    memcpy(exact, k->octets, n);
    enum verdict v = answer_tlsa((struct span){exact, n}, &w);
    free(exact);
    *n_packed = packer_span(&w).n;
    return v;
}

Test(answer, tlsa)
{
    size_t n;
    struct maker *k = packet(0, 3);
    record(k, QUESTION, DNS_TYPE_CNAME, SPAN("\1b\0"));
    record(k, SPAN("\1b\0"), DNS_TYPE_TLSA, SPAN("\3\1\1abcd"));
    record(k, SPAN("\1b\0"), DNS_TYPE_TLSA, SPAN("\2\0\0"));
    cr_expect_eq(tlsa_of(k, k->n, &n), VERDICT_OK);
    cr_expect_eq(n, (3 + 4 + 4) + (3 + 4));
    for (size_t cut = 0; cut < k->n; cut++)
        cr_expect_eq(tlsa_of(k, cut, &n), VERDICT_TRY_LATER, "cut at %zu", cut);

    k = packet(0, 1);
    record(k, QUESTION, DNS_TYPE_TLSA, SPAN("\3\1"));
    cr_expect_eq(tlsa_of(k, k->n, &n), VERDICT_TRY_LATER, "too short");
    k = packet(3, 0);
    cr_expect_eq(tlsa_of(k, k->n, &n), VERDICT_NEVER);
    k = packet(0, 0);
    cr_expect_eq(tlsa_of(k, k->n, &n), VERDICT_OK);
    cr_expect_eq(n, 0);
}

Test(answer, more_tlsa_than_anybody_has)
{
    static char data[TLSA_DATA_MAX + 4];
    size_t n;
    for (unsigned records = TLSA_RECORDS; records <= TLSA_RECORDS + 1; records++) {
        struct maker *k = packet(0, records);
        for (unsigned i = 0; i < records; i++)
            record(k, QUESTION, DNS_TYPE_TLSA, SPAN("\3\1\1x"));
        cr_expect_eq(tlsa_of(k, k->n, &n) == VERDICT_OK, records == TLSA_RECORDS);
    }
    for (size_t octets = TLSA_DATA_MAX; octets <= TLSA_DATA_MAX + 1; octets++) {
        struct maker *k = packet(0, 1);
        record(k, QUESTION, DNS_TYPE_TLSA, (struct span){data, 3 + octets});
        cr_expect_eq(tlsa_of(k, k->n, &n) == VERDICT_OK, octets == TLSA_DATA_MAX);
    }
    struct maker *k = packet(0, 4); /* each is allowed, together they do not fit into a message */
    for (int i = 0; i < 4; i++)
        record(k, QUESTION, DNS_TYPE_TLSA, (struct span){data, 3 + TLSA_DATA_MAX});
    cr_expect_eq(tlsa_of(k, k->n, &n), VERDICT_TRY_LATER);
}

Test(answer, aliases)
{
    struct addr_list l = {.n = 0};
    bool is_alias;
    struct maker *k = packet(0, 3);
    record(k, QUESTION, DNS_TYPE_CNAME, SPAN("\1B\0"));
    record(k, SPAN("\1b\0"), DNS_TYPE_CNAME, SPAN("\4real\1c\0"));
    record(k, SPAN("\4real\1c\0"), DNS_TYPE_A, SPAN("\300\0\2\1"));
    cr_expect_eq(addr_of(k, DNS_TYPE_A, &l), VERDICT_OK);
    cr_expect_str_eq(l.canonical, "real.c");
    cr_expect_eq(addr_of(k, DNS_TYPE_AAAA, &l), VERDICT_OK);
    cr_expect_str_eq(l.canonical, "real.c", "what has no addresses changes nothing");
    cr_expect_eq(answer_cname((struct span){k->octets, k->n}, &is_alias), VERDICT_OK);
    cr_expect(is_alias);

    l.n = 0;
    k = packet(0, 1);
    record(k, QUESTION, DNS_TYPE_A, SPAN("\300\0\2\1"));
    cr_expect_eq(addr_of(k, DNS_TYPE_A, &l), VERDICT_OK);
    cr_expect_str_eq(l.canonical, "");
    cr_expect_eq(answer_cname((struct span){k->octets, k->n}, &is_alias), VERDICT_OK);
    cr_expect_not(is_alias);
    k = packet(2, 0);
    cr_expect_eq(answer_cname((struct span){k->octets, k->n}, &is_alias), VERDICT_TRY_LATER);
    cr_expect_not(is_alias);
}
