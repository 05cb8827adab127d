#include "common/tlsrpt.h"

#include <criterion/criterion.h>

Test(tlsrpt, records)
{
    static const struct {
        const char *texts[3];
        const char *addresses; /* with a space behind each */
        size_t n_others;
    } rows[] = {
        {{"v=TLSRPTv1; rua=mailto:a@b.example"}, "a@b.example ", 0},
        {{"v=TLSRPTv1;rua=mailto:a@b.example"}, "a@b.example ", 0},
        {{"v=TLSRPTv1 ; x=1; rua=mailto:a@b.example;"}, "a@b.example ", 0},
        {{"v=TLSRPTv1;rua=https://b.example/x,mailto:A%2bb@B.example?x=y , MAILTO:c@d.example"},
         "https://b.example/x A+b@b.example c@d.example ",
         0},
        {{"v=TLSRPTv1;rua=http://b.example/,https://u@b.example/,ftp://b.example"}, "", 3},
        {{"v=spf1 -all", "v=TLSRPTv1;rua=mailto:a@b.example"}, "a@b.example ", 0},
        {{"v=TLSRPTv1;rua=mailto:a@b.example", "v=TLSRPTv1;rua=mailto:a@b.example"}, "", 0},
        {{"v=TLSRPTv10;rua=mailto:a@b.example"}, "", 0},
        {{"V=TLSRPTv1;rua=mailto:a@b.example"}, "", 0},
        {{"v=TLSRPTv1"}, "", 0},
        {{"v=TLSRPTv1;rua="}, "", 0},
        {{"v=TLSRPTv1;rua=mailto:a@b.example%0d%0aX: y,mailto:%,mailto:%zz@b.example,mailto:"},
         "",
         4},
        {{"v=TLSRPTv1;rua=mailto:a@1.example,mailto:a@2.example,mailto:a@3.example,"
          "mailto:a@4.example,mailto:a@5.example"},
         "a@1.example a@2.example a@3.example a@4.example ",
         1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char in[4000], room[RUA_OCTETS], text[RUA_OCTETS] = "";
        struct packer texts = packer_on(in, sizeof in), out = packer_on(room, sizeof room);
        size_t n_others, n = 0, at = 0;
        for (int k = 0; k < 3 && rows[i].texts[k] != NULL; k++)
            pack_bytes(&texts, span_of(rows[i].texts[k]));
        size_t found = tlsrpt_read_records(packer_span(&texts), &out, &n_others);
        struct unpacker u = unpacker_on(packer_span(&out));
        for (; u.left.n > 0; n++) {
            struct span a = unpack_text(&u, ADDRESS_MAX);
            cr_assert(!u.failed);
            at += (size_t)snprintf(text + at, sizeof text - at, "%.*s ", (int)a.n, a.p);
        }
        cr_expect_eq(found, n, "row %zu", i);
        cr_expect_str_eq(text, rows[i].addresses, "row %zu: %s", i, text);
        cr_expect_eq(n_others, rows[i].n_others, "row %zu: %zu", i, n_others);
    }
}

Test(tlsrpt, urls)
{
    static const struct {
        const char *text, *host, *path; /* host NULL: it is none */
        uint16_t port;
    } rows[] = {
        {"https://b.example", "b.example", "", 0},
        {"HTTPS://B.example/", "B.example", "/", 0},
        {"https://b.example:443/v1/a%20b?c=d&e", "b.example", "/v1/a%20b?c=d&e", 443},
        {"https://b.example:8443?x", "b.example", "?x", 8443},
        {"https://b.example:25/", NULL, NULL, 0},
        {"https://b.example:65536/", NULL, NULL, 0},
        {"https://b.example:/", NULL, NULL, 0},
        {"https://b.example:4x/", NULL, NULL, 0},
        {"https://b.example/#x", NULL, NULL, 0},
        {"https://b.example/ HTTP/1.1\r\nHost: c", NULL, NULL, 0},
        {"https://b.example/a b", NULL, NULL, 0},
        {"https://b.example/\x7f", NULL, NULL, 0},
        {"https://b.example/\xc3\xa4", NULL, NULL, 0},
        {"https://u:p@b.example/", NULL, NULL, 0},
        {"https://u@b.example/", NULL, NULL, 0},
        {"https://192.0.2.1/", NULL, NULL, 0},
        {"https://[2001:db8::1]/", NULL, NULL, 0},
        {"https://localhost/", NULL, NULL, 0},
        {"https:///x", NULL, NULL, 0},
        {"https://", NULL, NULL, 0},
        {"http://b.example/", NULL, NULL, 0},
        {"", NULL, NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tlsrpt_url url;
        int rc = tlsrpt_read_url(span_of(rows[i].text), &url);
        cr_expect_eq(rc, rows[i].host != NULL ? 0 : -1, "%s", rows[i].text);
        if (rc == 0 && rows[i].host != NULL)
            cr_expect(span_eq(url.host, span_of(rows[i].host)) &&
                          span_eq(url.path, span_of(rows[i].path)) && url.port == rows[i].port,
                      "%s", rows[i].text);
    }
    char text[700] = "https://b.example/";
    memset(text + strlen(text), 'a', RUA_URL_MAX - strlen(text));
    struct tlsrpt_url url;
    cr_expect_eq(tlsrpt_read_url(span_of(text), &url), 0);
    text[RUA_URL_MAX] = 'a';
    cr_expect_eq(tlsrpt_read_url(span_of(text), &url), -1, "too long");
    cr_expect_eq(tlsrpt_read_url((struct span){"https://b.example/\0", 19}, &url), -1);
}

Test(tlsrpt, damaged_records_are_none)
{
    char room[RUA_OCTETS];
    struct packer out = packer_on(room, sizeof room);
    size_t n_others;
    cr_expect_eq(tlsrpt_read_records(SPAN("\x40\0\0\0v=TLSRPTv1"), &out, &n_others), 0);
    cr_expect_eq(tlsrpt_read_records(SPAN(""), &out, &n_others), 0);
    cr_expect_eq(out.n, 0);
}
