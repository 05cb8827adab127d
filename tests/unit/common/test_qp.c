#include "common/qp.h"

#include <criterion/criterion.h>

static const struct {
    const char *in, *out;
} rows[] = {
    {"", ""},
    {"plain text\r\nof two lines\r\n", "plain text\r\nof two lines\r\n"},
    {"a=b", "a=3Db"},
    {"J\xc3\xb8rgen", "J=C3=B8rgen"},
    {"end \r\nend\t\r\n in ner", "end=20\r\nend=09\r\n in ner"},
    {"end ", "end=20"},
    {"bare\rand\n\x01\x7f", "bare=0Dand=0A=01=7F"},
    {"\r\r\n", "=0D\r\n"},
    /* 75 octets fit, the 76th has a new line */
    {"123456789012345678901234567890123456789012345678901234567890123456789012345",
     "123456789012345678901234567890123456789012345678901234567890123456789012345"},
    {"1234567890123456789012345678901234567890123456789012345678901234567890123456",
     "123456789012345678901234567890123456789012345678901234567890123456789012345=\r\n6"},
    {"1234567890123456789012345678901234567890123456789012345678901234567890123=",
     "1234567890123456789012345678901234567890123456789012345678901234567890123=\r\n=3D"},
};

Test(qp, rows)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out;
        buf_init(&out, 1000);
        cr_assert_eq(qp_encode(&out, span_of(rows[i].in)), 0);
        cr_expect(span_eq(buf_span(&out), span_of(rows[i].out)), "row %zu: %.*s", i,
                  (int)buf_span(&out).n, buf_span(&out).p);
        cr_expect_eq(qp_size(span_of(rows[i].in)), strlen(rows[i].out), "row %zu", i);
        buf_free(&out);
    }
}

static int hex_of(char c)
{
    return c >= 'A' ? c - 'A' + 10 : c - '0';
}

/* Each length and each octet comes back, in lines that are short enough. */
Test(qp, comes_back)
{
    static char in[1024], back[1024];
    for (size_t n = 0; n < sizeof in; n += 7) {
        struct buf out;
        for (size_t i = 0; i < n; i++)
            in[i] = (char)(i * 31 + n);
        buf_init(&out, 4 * sizeof in);
        cr_assert_eq(qp_encode(&out, (struct span){in, n}), 0);
        struct span s = buf_span(&out);
        size_t got = 0, column = 0;
        for (size_t i = 0; i < s.n; i++) {
            bool is_end = s.p[i] == '\n';
            column = is_end ? 0 : column + 1;
            cr_assert_leq(column, 77); /* with the CR */
            if (s.p[i] != '=')
                back[got++] = s.p[i];
            else if (s.p[i + 1] != '\r')
                back[got++] = (char)(hex_of(s.p[i + 1]) * 16 + hex_of(s.p[i + 2]));
            column += s.p[i] == '=' && s.p[i + 1] != '\r' ? 2 : 0;
            if (s.p[i] == '=') {
                i += 2;
                column = s.p[i] == '\n' ? 0 : column;
            }
        }
        cr_assert_eq(got, n);
        cr_assert_arr_eq(back, in, n);
        buf_free(&out);
    }
    struct buf small;
    buf_init(&small, 5);
    cr_assert_eq(qp_encode(&small, SPAN("==")), -1);
    buf_free(&small);
}
