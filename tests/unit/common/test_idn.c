#include "common/addr.h"
#include "common/idn.h"
#include "common/notify.h"

#include <criterion/criterion.h>

Test(idn, domains)
{
    static const struct {
        const char *in, *out; /* NULL: none */
    } rows[] = {
        {"Example.ORG", "example.org"},
        {"b\xc3\xbc"
         "cher.example",
         "xn--bcher-kva.example"},
        {"bu\xcc\x88"
         "cher.example", /* not in normal form C */
         "xn--bcher-kva.example"},
        {"B\xc3\x9c"
         "CHER.example",
         "xn--bcher-kva.example"},
        {"\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88", "xn--r8jz45g.xn--zckzah"},
        {"a\xff.example", NULL},
        {"\xe2\x98\x83 x.example", NULL},
        {"\xc2\xad.example", NULL}, /* nothing but a soft hyphen */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[DOMAIN_MAX + 1];
        int rc = idn_domain(span_of(rows[i].in), out);
        bool is_good = rc == 0 && addr_is_domain(span_of(out));
        cr_expect_eq(is_good, rows[i].out != NULL, "row %zu", i);
        if (is_good && rows[i].out != NULL)
            cr_expect_str_eq(out, rows[i].out);
    }
    static char big[5000];
    char out[DOMAIN_MAX + 1];
    for (size_t n = 0; n + 1 < sizeof big; n += 2)
        memcpy(big + n, "\xc3\xbc", 2);
    cr_expect_eq(idn_domain((struct span){big, sizeof big - 2}, out), -1);
}

Test(idn, folding)
{
    char out[32];
    cr_assert_eq(idn_fold(SPAN("J\xc3\x98RGEN@x"), out, sizeof out), 0);
    cr_expect_str_eq(out, "j\xc3\xb8rgen@x");
    cr_assert_eq(idn_fold(SPAN("u\xcc\x88@x"), out, sizeof out), 0);
    cr_expect_str_eq(out, "\xc3\xbc@x");
    cr_expect_eq(idn_fold(SPAN("u\xcc\x88@x"), out, 4), -1);
    cr_expect_eq(idn_fold(SPAN("abcd"), out, 4), -1);
}

/* RFC 6531 3.3. */
Test(idn, addresses)
{
    static const struct {
        const char *in, *text; /* NULL: refused */
        bool is_utf8;
    } rows[] = {
        {"j\xc3\xb8rgen@example.org", "j\xc3\xb8rgen@example.org", true},
        {"bob@b\xc3\xbc"
         "cher.example",
         "bob@xn--bcher-kva.example", false},
        {"\"j\xc3\xb8 x\"@example.org", "\"j\xc3\xb8 x\"@example.org", true},
        {"a.\xe7\x94\xa8@example.org", "a.\xe7\x94\xa8@example.org", true},
        {"j\xf8rgen@example.org", NULL, false},      /* Latin-1 */
        {"a\xed\xa0\x80@example.org", NULL, false},  /* a surrogate */
        {"a\xc2\x9b\x32J@example.org", NULL, false}, /* a terminal's control */
        {"a\xc0\xaf@example.org", NULL, false},      /* not the shortest form */
        {"bob@\xff.example", NULL, false},
        {"bob@a\xe3\x80\x82", NULL, false}, /* an ideographic dot at the end */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct addr a;
        size_t used;
        int rc = addr_parse(span_of(rows[i].in), ADDR_MAILBOX, &a, &used);
        cr_expect_eq(rc == 0, rows[i].text != NULL, "row %zu", i);
        if (rc < 0 || rows[i].text == NULL)
            continue;
        cr_expect_str_eq(a.text, rows[i].text);
        cr_expect_eq(a.is_utf8, rows[i].is_utf8);
    }
}

/* RFC 6533 3, for every length within its formula. */
Test(idn, utf8_in_ascii)
{
    static char in[600], out[6 * sizeof in + 1];
    ssize_t n = utf8_addr_encode(SPAN("j\xc3\xb8r+gen=\\@\xf0\x9f\x98\x80.x"), out, sizeof out);
    cr_assert_gt(n, 0);
    cr_expect_str_eq(out, "j\\x{F8}r\\x{2B}gen\\x{3D}\\x{5C}@\\x{1F600}.x");
    cr_expect_eq(utf8_addr_encode(SPAN("\xff"), out, sizeof out), -1);
    memset(in, '\\', sizeof in);
    for (size_t k = 1; k <= sizeof in; k++) {
        cr_assert_eq(utf8_addr_encode((struct span){in, k}, out, 6 * k + 1), (int)(6 * k));
        cr_assert_eq(utf8_addr_encode((struct span){in, k}, out, 6 * k), -1);
    }
}
