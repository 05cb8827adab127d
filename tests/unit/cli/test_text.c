#include "cli/text.h"
#include "common/json.h"

#include <criterion/criterion.h>

static const struct {
    struct span in;
    const char *json, *terminal;
} texts[] = {
    {SPAN("plain"), "\"plain\"", "plain"},
    {SPAN(""), "\"\"", ""},
    {SPAN("a\"b\\c"), "\"a\\\"b\\\\c\"", "a\"b\\c"},
    {SPAN("a\nb\r\t\0\x1b[31m\x7f"), "\"a\\nb\\u000d\\u0009\\u0000\\u001b[31m\\u007f\"",
     "a\\x0ab\\x0d\\x09\\x00\\x1b[31m\\x7f"},
    {SPAN("ü€😀"), "\"ü€😀\"", "ü€😀"},
    {SPAN("\xff"), "\"\xef\xbf\xbd\"", "\\xff"},
    {SPAN("\xc3"), "\"\xef\xbf\xbd\"", "\\xc3"}, /* cut off */
    {SPAN("\xc3("), "\"\xef\xbf\xbd(\"", "\\xc3("},
    {SPAN("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"", "\\xc0\\xaf"},  /* overlong */
    {SPAN("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", /* surrogate */
     "\\xed\\xa0\\x80"},
    {SPAN("\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"",
     "\\xf4\\x90\\x80\\x80"},
    {SPAN("\xc2\x9b"), "\"\xc2\x9b\"", "\\xc2\\x9b"},              /* CSI of C1 */
    {SPAN("\xe2\x80\xae"), "\"\xe2\x80\xae\"", "\\xe2\\x80\\xae"}, /* right to left */
};

Test(text, escapes)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buf out;
        buf_init(&out, 1000);
        cr_expect_eq(json_string(&out, texts[i].in), 0);
        cr_expect(span_eq(buf_span(&out), span_of(texts[i].json)), "%zu: %.*s", i, (int)out.end,
                  out.p);
        buf_free(&out);
        cr_expect_eq(text_terminal(&out, texts[i].in), 0);
        cr_expect(span_eq(buf_span(&out), span_of(texts[i].terminal)), "%zu: %.*s", i, (int)out.end,
                  out.p);
        buf_free(&out);
    }
}

Test(text, sizes)
{
    static const struct {
        uint64_t octets;
        const char *text;
    } sizes[] = {{0, "0"},
                 {1023, "1023"},
                 {1024, "1.0K"},
                 {12595, "12.2K"},
                 {1048575, "1023.9K"},
                 {1048576, "1.0M"},
                 {UINT64_C(5) << 30, "5.0G"},
                 {UINT64_MAX, "15.9E"}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char out[32];
        text_size(out, sizes[i].octets);
        cr_expect_str_eq(out, sizes[i].text);
    }
    cr_expect_eq(text_width(span_of("ü€x")), 3);
}
