#include "common/buf.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/line.h"
#include "common/log.h"
#include "common/seal.h"

#include <criterion/criterion.h>

Test(str, numbers_are_exact)
{
    static const struct {
        const char *text;
        int result;
        uint64_t value;
    } rows[] = {
        {"0", 0, 0},
        {"18", 0, 18},
        {"9999999999999999999", 0, 9999999999999999999U},
        {"", -1, 0},
        {"-1", -1, 0},
        {"1x", -1, 0},
        {" 1", -1, 0},
        {"00000000000000000001", -1, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t v = 0;
        cr_assert_eq(span_u64(span_of(rows[i].text), &v), rows[i].result, "%s", rows[i].text);
        cr_assert_eq(v, rows[i].value);
    }
}

Test(str, copy_refuses_nul_and_overflow)
{
    char out[4];
    cr_assert_eq(span_copy(out, sizeof out, SPAN("abc")), 0);
    cr_assert_eq(span_copy(out, sizeof out, SPAN("abcd")), -1);
    cr_assert_eq(span_copy(out, sizeof out, (struct span){"a\0b", 3}), -1);
}

Test(line, only_crlf_ends_a_line)
{
    static const struct {
        struct span in;
        enum line_result result;
        size_t used;
    } rows[] = {
        {SPAN("NOOP\r\nrest"), LINE_OK, 6},     {SPAN("\r\n"), LINE_OK, 2},
        {SPAN("NOOP"), LINE_MORE, 0},           {SPAN("NOOP\r"), LINE_MORE, 0},
        {SPAN("NO\nOP\r\n"), LINE_BARE, 0},     {SPAN("NO\rOP\r\n"), LINE_BARE, 0},
        {SPAN("NOOP\r\r\n"), LINE_BARE, 0},     {SPAN("N\0P\r\n"), LINE_NUL, 0},
        {SPAN("12345678\r\n"), LINE_OK, 10},    {SPAN("123456789\r\n"), LINE_TOO_LONG, 0},
        {SPAN("1234567890"), LINE_TOO_LONG, 0}, {SPAN("123456789\r"), LINE_TOO_LONG, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span line;
        size_t used = 0;
        cr_assert_eq(line_take(rows[i].in, 10, &line, &used), rows[i].result, "row %zu", i);
        cr_assert_eq(used, rows[i].used, "row %zu", i);
    }
}

Test(id, text_and_number_are_one)
{
    char text[ID_TEXT];
    uint64_t id = id_new(), back = 0;
    id_format(text, id);
    cr_assert_eq(id_parse(span_of(text), &back), 0);
    cr_assert_eq(back, id);
    static const char *const bad[] = {
        "", "0000000000000", "zzzzzzzzzzzzz", "012345678901", "01234567890123", "0123456789u12"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(id_parse(span_of(bad[i]), &back), -1, "%s", bad[i]);
}

Test(clock, dates_are_those_of_the_rfcs)
{
    char out[CLOCK_TEXT_MAX];
    clock_rfc5322(out, 784111777);
    cr_assert_str_eq(out, "Sun, 6 Nov 1994 08:49:37 +0000");
    clock_rfc3339(out, 784111777);
    cr_assert_str_eq(out, "1994-11-06T08:49:37Z");
}

Test(log, values_cannot_forge_lines)
{
    static const struct {
        struct span in;
        const char *out;
    } rows[] = {
        {SPAN("plain@example.org"), "plain@example.org"},
        {SPAN("two words"), "\"two words\""},
        {SPAN("a=b"), "\"a=b\""},
        {SPAN("x\r\nqueue - accepted"), "\"x\\x0d\\x0aqueue - accepted\""},
        {SPAN("q\"\\"), "\"q\\\"\\\\\""},
        {{"\0", 1}, "\"\\x00\""},
        {SPAN(""), "\"\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[64] = {0};
        size_t n = log_escape(out, sizeof out - 1, rows[i].in);
        cr_assert_eq(n, strlen(rows[i].out), "row %zu: %s", i, out);
        cr_assert_str_eq(out, rows[i].out);
    }
}

/* The formula of the bound, for every length and the worst octets. */
Test(log, escaping_never_passes_its_bound)
{
    char in[80], out[81];
    memset(in, 1, sizeof in);
    for (size_t cap = 0; cap < 80; cap++)
        for (size_t n = 0; n < sizeof in; n++) {
            memset(out, '#', sizeof out);
            cr_assert_leq(log_escape(out, cap, (struct span){in, n}), cap);
            cr_assert_eq(out[cap], '#');
        }
}

static char logged[8192];

static void keep_lines(struct span lines)
{
    cr_assert(lines.n < sizeof logged);
    memcpy(logged, lines.p, lines.n);
    logged[lines.n] = '\0';
}

Test(log, a_line_has_all_its_fields)
{
    log_set_sink(keep_lines);
    LOG(0, "numbers", LN("zero", 0), LN("most", INT64_MAX), LN("least", INT64_MIN));
    log_set_prefix("parent ");
    LOG(32, "texts", LZ("plain", "a"), LZ("quoted", "b c"));
    log_flush();
    cr_assert_str_eq(logged,
                     "- numbers zero=0 most=9223372036854775807 least=-9223372036854775808\n"
                     "parent 0000000000010 texts plain=a quoted=\"b c\"\n");
}

Test(log, a_line_is_cut_at_its_bound)
{
    static char text[5000], key[100];
    memset(text, 1, sizeof text);
    memset(key, 'k', sizeof key - 1);
    struct span long_text = {text, sizeof text};
    log_set_sink(keep_lines);
    LOG(1, key, LS(key, long_text), LS(key, long_text), LS(key, long_text), LS(key, long_text),
        LS(key, long_text), LN(key, INT64_MIN), LN(key, INT64_MIN), LN(key, INT64_MIN));
    log_flush();
    cr_assert_leq(strlen(logged), 2048);
    cr_assert_eq(strchr(logged, '\n'), logged + strlen(logged) - 1);
}

Test(buf, bounded)
{
    struct buf b;
    buf_init(&b, 10);
    cr_assert_eq(buf_add(&b, "0123456789", 10), 0);
    cr_assert_eq(buf_add(&b, "x", 1), -1);
    buf_consume(&b, 4);
    cr_assert_eq(buf_add(&b, "abcd", 4), 0);
    cr_assert(span_eq(buf_span(&b), SPAN("456789abcd")));
    buf_consume(&b, 10);
    cr_assert_null(b.p);
}

Test(seal, only_what_authd_said_opens)
{
    unsigned char key[SEAL_KEY_OCTETS] = {1}, other[SEAL_KEY_OCTETS] = {2};
    static struct sealer s;
    struct target t = {.is_local = true, .box = 7, .quota = 9, .address = SPAN("a@b.c")}, got = {0};
    struct unpacker targets;
    seal_begin(&s, SPAN("a@b.c"), 1000);
    seal_target(&s, &t);
    struct span sealed = seal_end(&s, key);
    cr_assert_eq(seal_open(sealed, SPAN("a@b.c"), key, 1001, &targets), 0);
    cr_assert(seal_next(&targets, &got));
    cr_assert(got.is_local && got.box == 7 && got.quota == 9 && span_eq(got.address, t.address));
    cr_assert_not(seal_next(&targets, &got));
    cr_assert_not(targets.failed);
    cr_assert_eq(seal_open(sealed, SPAN("x@b.c"), key, 1001, &targets), -1);
    cr_assert_eq(seal_open(sealed, SPAN("a@b.c"), other, 1001, &targets), -1);
    cr_assert_eq(seal_open(sealed, SPAN("a@b.c"), key, 1001 + SEAL_LIFETIME_S, &targets), -1);
    for (size_t i = 0; i < sealed.n; i++) {
        s.out[i] ^= 1;
        cr_assert_eq(seal_open(sealed, SPAN("a@b.c"), key, 1001, &targets), -1);
        s.out[i] ^= 1;
        cr_assert_eq(seal_open((struct span){s.out, i}, SPAN("a@b.c"), key, 1001, &targets), -1);
    }
}

/* Two makers at the same millisecond, and one that makes more than any needs. */
Test(id, ids_of_different_makers_do_not_meet)
{
    static uint64_t ids[2][1000];
    for (unsigned maker = 0; maker < 2; maker++) {
        id_set_maker(70 + maker);
        clock_fake(1, 1795311269000 - 1);
        id_new(); /* so that the next one is the first of its millisecond */
        clock_fake(1, 1795311269000);
        for (size_t i = 0; i < 1000; i++) {
            ids[maker][i] = id_new();
            cr_assert_eq(id_wall_ms(ids[maker][i]), 1795311269000);
            cr_assert(i == 0 || ids[maker][i] == ids[maker][i - 1] + 1);
        }
    }
    cr_expect(ids[0][999] < ids[1][0], "70's all lie before 71's");
}

/* However many there are of one moment, and if the clock goes back a little. */
Test(id, none_is_given_twice)
{
    id_set_maker(70);
    clock_fake(1, 1795311269000);
    uint64_t before = id_new(), first = before;
    for (size_t i = 0; i < 10000; i++) {
        clock_fake(1, 1795311269000 - (int64_t)(i % 3));
        uint64_t id = id_new();
        cr_assert(id > before, "%zu", i);
        before = id;
    }
    cr_expect(id_wall_ms(before) - id_wall_ms(first) < 10);
    clock_fake(1, 1795311269000 - 3600000);
    cr_expect_eq(id_wall_ms(id_new()), 1795311269000 - 3600000, "an hour is no little");
}
