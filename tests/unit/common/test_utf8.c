#include "common/utf8.h"

#include <criterion/criterion.h>

static const struct {
    struct span text;
    bool is_valid;
} rows[] = {
    {SPAN(""), true},
    {SPAN("abc\x7f\0"), true},
    {SPAN("Gr\xc3\xbc\xc3\x9f"
          "e"),
     true},
    {SPAN("\xe2\x82\xac\xf0\x9f\x93\xae"), true},
    {SPAN("\xf4\x8f\xbf\xbf"), true},
    {SPAN("\xed\x9f\xbf\xee\x80\x80"), true},
    {SPAN("Gr\xfc\xdf"), false},       /* Latin-1 */
    {SPAN("\xc3"), false},             /* cut */
    {SPAN("\xe2\x82"), false},         /* cut */
    {SPAN("\xc3("), false},            /* no second octet */
    {SPAN("\xe2\x82("), false},        /* no third */
    {SPAN("\x80"), false},             /* no first */
    {SPAN("\xc0\xaf"), false},         /* overlong */
    {SPAN("\xe0\x80\xaf"), false},     /* overlong */
    {SPAN("\xf0\x80\x80\xaf"), false}, /* overlong */
    {SPAN("\xed\xa0\x80"), false},     /* a surrogate */
    {SPAN("\xf4\x90\x80\x80"), false}, /* over U+10FFFF */
    {SPAN("\xf8\x88\x80\x80"), false}, /* no such octet */
};

Test(utf8, valid)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(utf8_is_valid(rows[i].text), rows[i].is_valid, "row %zu", i);
}
