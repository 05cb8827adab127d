#include "common/base64.h"

#include <criterion/criterion.h>
#include <string.h>

Test(base64, rows)
{
    static const struct {
        const char *text, *octets; /* NULL: none */
    } rows[] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"+/+/", "\xfb\xff\xbf"},
        {"Zg", NULL},
        {"Zg=", NULL},
        {"Zg===", NULL},
        {"Zh==", NULL}, /* bits behind the end */
        {"Z", NULL},
        {"=", NULL},
        {"Zm9v=", NULL},
        {"Zm 9v", NULL},
        {"Zm9v\r\n", NULL},
        {"-_-_", NULL},
        {"Zm9\xf2", NULL}, /* libsodium: a slash */
        {"\x80\x80\x80\x80", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[16];
        size_t n = 99;
        int rc = base64_decode(span_of(rows[i].text), out, sizeof out, &n);
        cr_expect_eq(rc == 0, rows[i].octets != NULL, "%s", rows[i].text);
        if (rc == 0 && rows[i].octets != NULL)
            cr_expect(span_eq((struct span){out, n}, span_of(rows[i].octets)), "%s", rows[i].text);
    }
}

Test(base64, every_octet_and_every_length)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[5] = "AAAA", out[300];
    size_t n;
    for (unsigned c = 0; c < 256; c++) {
        text[2] = (char)c;
        bool is_in = c != 0 && strchr(alphabet, (int)c) != NULL;
        cr_expect_eq(base64_decode((struct span){text, 4}, out, sizeof out, &n) == 0, is_in, "%u",
                     c);
    }
    char many[400];
    memset(many, 'A', sizeof many);
    for (size_t k = 0; k <= sizeof many; k++) {
        int rc = base64_decode((struct span){many, k}, out, sizeof out, &n);
        cr_expect_eq(rc == 0, k % 4 == 0, "%zu", k);
        cr_expect(rc < 0 || n == k / 4 * 3, "%zu", k);
    }
    cr_expect_eq(base64_decode((struct span){many, 400}, out, 299, &n), -1, "no room");
}
