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
         "A+b@b.example c@d.example ",
         1},
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

Test(tlsrpt, damaged_records_are_none)
{
    char room[RUA_OCTETS];
    struct packer out = packer_on(room, sizeof room);
    size_t n_others;
    cr_expect_eq(tlsrpt_read_records(SPAN("\x40\0\0\0v=TLSRPTv1"), &out, &n_others), 0);
    cr_expect_eq(tlsrpt_read_records(SPAN(""), &out, &n_others), 0);
    cr_expect_eq(out.n, 0);
}
