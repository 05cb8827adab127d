#include "common/notify.h"

#include <criterion/criterion.h>

Test(notify, sets)
{
    static const struct {
        const char *in;
        int set; /* -1: refused */
        const char *out;
    } rows[] = {
        {"NEVER", NOTIFY_NEVER, "NEVER"},
        {"success", NOTIFY_SUCCESS, "SUCCESS"},
        {"Delay,FAILURE", NOTIFY_DELAY | NOTIFY_FAILURE, "FAILURE,DELAY"},
        {"SUCCESS,FAILURE,DELAY", 7, "SUCCESS,FAILURE,DELAY"},
        {"", -1, NULL},
        {",", -1, NULL},
        {"SUCCESS,", -1, NULL},
        {"SUCCESS,SUCCESS", -1, NULL},
        {"NEVER,FAILURE", -1, NULL},
        {"FAILURE,NEVER", -1, NULL},
        {"ALWAYS", -1, NULL},
        {"SUCCESS FAILURE", -1, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t set = 99;
        char text[NOTIFY_TEXT];
        int rc = notify_parse(span_of(rows[i].in), &set);
        cr_expect_eq(rc, rows[i].set < 0 ? -1 : 0, "%s", rows[i].in);
        if (rc < 0)
            continue;
        cr_expect_eq(set, rows[i].set, "%s", rows[i].in);
        notify_format(text, set);
        cr_expect_str_eq(text, rows[i].out);
    }
}

Test(notify, what_is_wanted)
{
    cr_expect(notify_wants(0, NOTIFY_FAILURE) && notify_wants(0, NOTIFY_DELAY));
    cr_expect(!notify_wants(0, NOTIFY_SUCCESS));
    cr_expect(!notify_wants(NOTIFY_NEVER, NOTIFY_FAILURE) &&
              !notify_wants(NOTIFY_NEVER, NOTIFY_DELAY));
    cr_expect(!notify_wants(NOTIFY_SUCCESS, NOTIFY_FAILURE));
}

Test(notify, xtext)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } rows[] = {
        {"", ""},           {"abc", "abc"},     {"a+2Bb+3D+20c", "a+b= c"},
        {"+", NULL},        {"+2", NULL},       {"+2b", NULL}, /* capitals only */
        {"+2G", NULL},      {"a=b", NULL},      {"a b", NULL},
        {"a+0D+0Ab", NULL}, {"a+00b", NULL},    {"a+7F", NULL},
        {"a+80", NULL},     {"\xc3\xa9", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span in = span_of(rows[i].in);
        char out[32], again[100];
        ssize_t n = xtext_decode(in, out);
        cr_expect_eq(n < 0, rows[i].out == NULL, "%s", rows[i].in);
        if (n < 0 || rows[i].out == NULL)
            continue;
        cr_expect(span_eq((struct span){out, (size_t)n}, span_of(rows[i].out)), "%s", rows[i].in);
        ssize_t m = xtext_encode((struct span){out, (size_t)n}, again, sizeof again);
        cr_expect(m >= 0 && xtext_decode((struct span){again, (size_t)m}, out) == n);
    }
}

/* Every length: what comes out is never longer than the formula in the header says. */
Test(notify, bounds)
{
    static char in[600], out[1801];
    memset(in, '+', sizeof in);
    for (size_t n = 0; n <= sizeof in; n++) {
        cr_assert_eq(xtext_encode((struct span){in, n}, out, 3 * n + 1), (int)(3 * n));
        cr_assert_eq(xtext_encode((struct span){in, n}, out, 3 * n), -1);
        char back[600];
        cr_assert_eq(xtext_decode((struct span){out, 0}, back), 0);
    }
    char shown[ORCPT_MAX + 2];
    memset(in, 'a', sizeof in);
    for (size_t n = 0; n <= sizeof in; n++) {
        for (size_t semicolon = 0; semicolon < n; semicolon += 7) {
            in[semicolon] = ';';
            ssize_t rc = orcpt_show((struct span){in, n}, shown);
            cr_assert_eq(rc > 0, semicolon > 0 && semicolon + 1 < n && n <= ORCPT_MAX);
            cr_assert(rc <= 0 || rc == (int)n + 1);
            in[semicolon] = 'a';
        }
    }
    cr_expect(envid_is_valid((struct span){in, ENVID_MAX}));
    cr_expect(!envid_is_valid((struct span){in, ENVID_MAX + 1}));
    cr_expect(!envid_is_valid(SPAN("")) && !envid_is_valid(SPAN("a+0Ab")));
}

Test(notify, orcpt)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } rows[] = {
        {"rfc822;bob@example.org", "rfc822; bob@example.org"},
        {"RFC822;bob+2Bx@example.org", "RFC822; bob+x@example.org"},
        {"x400;/C+3DXX/", "x400; /C=XX/"},
        {"utf-8;j\\x{F8}rgen@example.org", "utf-8; j\\x{F8}rgen@example.org"},
        {"utf-8;a\\x{1F600}", "utf-8; a\\x{1F600}"},
        {"utf-8;a\\x{10FFFF}b", "utf-8; a\\x{10FFFF}b"},
        {"utf-8;a\\x{110000}", NULL},
        {"utf-8;a\\x{D800}", NULL},
        {"utf-8;a\\x{0A}", NULL},
        {"utf-8;a\\x{A}", NULL},
        {"utf-8;a\\x{F8", NULL},
        {"utf-8;a\\x{}", NULL},
        {"utf-8;a\\b", NULL},
        {"utf-8;a+2B", NULL},
        {"rfc822;", NULL},
        {"rfc822", NULL},
        {";bob", NULL},
        {"rfc 822;bob", NULL},
        {"rfc822;a b", NULL},
        {"rfc822;a+0D+0AX: y", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[ORCPT_MAX + 2];
        ssize_t n = orcpt_show(span_of(rows[i].in), out);
        cr_expect_eq(n > 0, rows[i].out != NULL, "%s", rows[i].in);
        if (n > 0 && rows[i].out != NULL)
            cr_expect_str_eq(out, rows[i].out);
    }
}

Test(notify, orcpt_of_a_transaction_in_utf8)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } rows[] = {
        {"rfc822;bob+2Bx@example.org", "rfc822;bob+2Bx@example.org"},
        {"rfc822;j+C3+B8rgen@example.org", "utf-8;j\\x{F8}rgen@example.org"},
        {"RFC822;a+2B+C3+B8", "utf-8;a\\x{2B}\\x{F8}"},
        {"utf-8;j\xc3\xb8rgen@example.org", "utf-8;j\\x{F8}rgen@example.org"},
        {"utf-8;\xf0\x9f\x98\x80\\x{F8}@x", "utf-8;\\x{1F600}\\x{F8}@x"},
        {"utf-8;j\\x{F8}rgen", "utf-8;j\\x{F8}rgen"},
        {"rfc822;a+C3", NULL},         /* no UTF-8 */
        {"rfc822;a\xc3\xb8", NULL},    /* no xtext */
        {"rfc822;a+C3+B8+0A", NULL},   /* hides a line end */
        {"x400;a+C3+B8", NULL},        /* another type */
        {"utf-8;a\xc3", NULL},         /* half a character */
        {"utf-8;a\xc3\xb8\x1b", NULL}, /* a control */
        {"utf-8;\xc3\xb8+2B", NULL},
        {"utf-8;\xc3\xb8\\x", NULL},
        {"utf-8;", NULL},
        {";\xc3\xb8", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[ORCPT_MAX + 1];
        int rc = orcpt_read(span_of(rows[i].in), out);
        cr_expect_eq(rc == 0, rows[i].out != NULL, "%s", rows[i].in);
        if (rc == 0 && rows[i].out != NULL)
            cr_expect_str_eq(out, rows[i].out);
    }
    static char in[ORCPT_MAX + 10], out[ORCPT_MAX + 1];
    for (size_t i = 0; i + 1 < sizeof in; i += 2)
        memcpy(in + i, "\xc3\xb8", 2);
    memcpy(in, "utf-8;", 6);
    for (size_t n = 8; n < sizeof in; n += 2) {
        int rc = orcpt_read((struct span){in, n}, out);
        cr_expect_eq(rc == 0, 6 + (n - 6) / 2 * 6 <= ORCPT_MAX, "%zu", n);
        cr_expect(rc != 0 || orcpt_is_valid(span_of(out)));
    }
}

Test(notify, orcpt_address)
{
    static const struct {
        const char *in, *out; /* NULL: none */
    } rows[] = {
        {"rfc822;bob@example.org", "bob@example.org"},
        {"RFC822;b+2Bx@example.org", "b+x@example.org"},
        {"utf-8;j\\x{F8}rgen@example.org", "j\u00f8rgen@example.org"},
        {"utf-8;\\x{7528}\\x{6237}@example.org", "\u7528\u6237@example.org"},
        {"utf-8;\\x{1F4EE}\\x{5C}\\x{3D}@example.org", "\U0001f4ee\\=@example.org"},
        {"utf-8;plain@example.org", "plain@example.org"},
        {"utf-8;a=b", NULL},
        {"utf-8;\\x{F8", NULL},
        {"utf-8;\\x{D800}", NULL},
        {"utf-8;", NULL},
        {"x400;c=us", NULL},
        {"rfc822;a+0Ab", NULL},
        {"rfc822;", NULL},
        {"rfc822", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[ORCPT_MAX + 1];
        ssize_t n = orcpt_address(span_of(rows[i].in), out);
        cr_expect_eq(n > 0, rows[i].out != NULL, "%s", rows[i].in);
        if (n > 0 && rows[i].out != NULL)
            cr_expect_str_eq(out, rows[i].out);
    }
}
