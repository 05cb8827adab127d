#include "relay/reply.h"

#include <criterion/criterion.h>

/* Feeds `in` in pieces of `step` octets, as a connection would, and returns how it ended. */
static enum reply_result feed(struct reply *r, struct span in, size_t step, size_t *consumed)
{
    reply_begin(r);
    *consumed = 0;
    for (size_t have = step; *consumed < in.n; have += step) {
        size_t end = have < in.n ? have : in.n;
        for (;;) {
            size_t used;
            struct span unread = {in.p + *consumed, end - *consumed};
            enum reply_result got = reply_take(r, unread, &used);
            *consumed += used;
            if (got == REPLY_DONE || got == REPLY_BAD)
                return got;
            if (got == REPLY_MORE)
                break;
        }
        if (end == in.n)
            break;
    }
    return REPLY_MORE;
}

static const struct {
    const char *in;
    enum reply_result result;
    unsigned code;
    const char *enhanced, *text;
} rows[] = {
    {"250 ok\r\n", REPLY_DONE, 250, "", "250 ok"},
    {"250 ok\r\n250 second\r\n", REPLY_DONE, 250, "", "250 ok"},
    {"250\r\n", REPLY_DONE, 250, "", "250"},
    {"250 \r\n", REPLY_DONE, 250, "", "250"},
    {"550 5.1.1 no such user\r\n", REPLY_DONE, 550, "5.1.1", "550 5.1.1 no such user"},
    {"550-5.1.1 no\r\n550-5.1.1 such\r\n550 5.1.1 user\r\n", REPLY_DONE, 550, "5.1.1",
     "550 5.1.1 no such user"},
    {"550-5.1.1 no\r\n550 5.7.1 really\r\n", REPLY_DONE, 550, "5.1.1", "550 5.1.1 no 5.7.1 really"},
    {"550 4.1.1 another class\r\n", REPLY_DONE, 550, "", "550 4.1.1 another class"},
    {"550 5.1.1\r\n", REPLY_DONE, 550, "5.1.1", "550 5.1.1"},
    {"550 5.1.1x\r\n", REPLY_DONE, 550, "", "550 5.1.1x"},
    {"550 5.1234.1 x\r\n", REPLY_DONE, 550, "", "550 5.1234.1 x"},
    {"550 5.123.456 x\r\n", REPLY_DONE, 550, "5.123.456", "550 5.123.456 x"},
    {"550 5..1 x\r\n", REPLY_DONE, 550, "", "550 5..1 x"},
    {"250 \xc3\xa4\t\x1b[31m\r\n", REPLY_DONE, 250, "", "250 ?? ?[31m"},
    {"220-one\r\n220 two\r\n", REPLY_DONE, 220, "", "220 one two"},
    {"250-one\r\n", REPLY_MORE, 250, "", "250 one"},
    {"250 o", REPLY_MORE, 0, "", ""},
    {"250-one\r\n251 two\r\n", REPLY_BAD, 0, NULL, NULL},
    {"250-one\r\n2x0 two\r\n", REPLY_BAD, 0, NULL, NULL},
    {"150 x\r\n", REPLY_BAD, 0, NULL, NULL},
    {"650 x\r\n", REPLY_BAD, 0, NULL, NULL},
    {"25 x\r\n", REPLY_BAD, 0, NULL, NULL},
    {"2500 x\r\n", REPLY_BAD, 0, NULL, NULL},
    {"250ok\r\n", REPLY_BAD, 0, NULL, NULL},
    {"250_ok\r\n", REPLY_BAD, 0, NULL, NULL},
    {"\r\n", REPLY_BAD, 0, NULL, NULL},
    {" 250 ok\r\n", REPLY_BAD, 0, NULL, NULL},
    {"SSH-2.0-x\r\n", REPLY_BAD, 0, NULL, NULL},
    {"250 ok\n", REPLY_BAD, 0, NULL, NULL},
    {"250 o\rk\r\n", REPLY_BAD, 0, NULL, NULL},
};

static void check_rows(size_t step)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct reply r;
        size_t consumed;
        enum reply_result got =
            feed(&r, span_of(rows[i].in), step > 0 ? step : strlen(rows[i].in), &consumed);
        cr_expect_eq(got, rows[i].result, "%s: %d", rows[i].in, (int)got);
        if (rows[i].text == NULL)
            continue;
        struct span text = reply_text(&r);
        cr_expect_eq(r.code, rows[i].code, "%s: %u", rows[i].in, r.code);
        cr_expect_str_eq(r.enhanced, rows[i].enhanced, "%s: %s", rows[i].in, r.enhanced);
        cr_expect(span_eq(text, span_of(rows[i].text)), "%s: %.*s", rows[i].in, (int)text.n,
                  text.p);
    }
}

Test(reply, whole)
{
    check_rows(0);
}

Test(reply, one_octet_at_a_time)
{
    check_rows(1);
}

Test(reply, nul_is_refused)
{
    struct reply r;
    size_t used;
    cr_expect_eq(feed(&r, SPAN("250 \0\r\n"), 1, &used), REPLY_BAD);
}

Test(reply, what_follows_stays)
{
    struct reply r;
    size_t used;
    feed(&r, SPAN("250-a\r\n250 b\r\n354 c\r\n"), 100, &used);
    cr_expect_eq(used, 14);
}

Test(reply, long_lines)
{
    static char in[REPLY_LINE_MAX + 2];
    for (size_t n = REPLY_LINE_MAX - 1; n <= REPLY_LINE_MAX + 1; n++) {
        struct reply r;
        size_t used;
        memset(in, 'x', sizeof in);
        memcpy(in, "250 ", 4);
        memcpy(in + n - 2, "\r\n", 2);
        enum reply_result got = feed(&r, (struct span){in, n}, 1, &used);
        cr_expect_eq(got, n <= REPLY_LINE_MAX ? REPLY_DONE : REPLY_BAD, "%zu", n);
        cr_expect(reply_text(&r).n <= REPLY_MAX);
    }
}

Test(reply, many_lines)
{
    static char in[REPLY_LINES_MAX * 8 + 16];
    for (size_t lines = REPLY_LINES_MAX - 1; lines <= REPLY_LINES_MAX + 1; lines++) {
        struct reply r;
        size_t used, n = 0;
        for (size_t i = 0; i < lines; i++, n += 7)
            memcpy(in + n, i + 1 < lines ? "250-x\r\n" : "250 x\r\n", 7);
        enum reply_result got = feed(&r, (struct span){in, n}, n, &used);
        cr_expect_eq(got, lines <= REPLY_LINES_MAX ? REPLY_DONE : REPLY_BAD, "%zu", lines);
    }
}

Test(reply, many_octets)
{
    static char in[REPLY_OCTETS_MAX + 4096];
    struct reply r;
    size_t used;
    memset(in, 'x', sizeof in);
    for (size_t at = 0; at + 2000 <= sizeof in; at += 2000) {
        memcpy(in + at, "250-", 4);
        memcpy(in + at + 1998, "\r\n", 2);
    }
    cr_expect_eq(feed(&r, (struct span){in, sizeof in}, sizeof in, &used), REPLY_BAD);
    cr_expect(used <= REPLY_OCTETS_MAX + 2000);
}

Test(reply, verdicts)
{
    static const struct {
        unsigned code;
        enum verdict verdict;
    } verdicts[] = {{250, VERDICT_OK},        {354, VERDICT_TRY_LATER}, {421, VERDICT_TRY_LATER},
                    {450, VERDICT_TRY_LATER}, {550, VERDICT_NEVER},     {599, VERDICT_NEVER}};
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        struct reply r = {.code = verdicts[i].code};
        cr_expect_eq(reply_verdict(&r), verdicts[i].verdict, "%u", r.code);
    }
}
