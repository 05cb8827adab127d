#include "cli/letter.h"

#include <criterion/criterion.h>

#define FRAME "Date: Sun, 22 Nov 2026 01:34:29 +0000\r\n"

static const struct letter_frame frame = {
    .domain = {"mx.test", 7},
    .from = {"joe@mx.test", 11},
    .full_name = {"Joe \"X\"", 7},
    .wall_s = 1795311269,
    .id = 0x123456789,
};

static const struct row {
    const char *in, *out; /* "ID" stands for the Message-ID field that is made */
} rows[] = {
    {"", "From: \"Joe \\\"X\\\"\" <joe@mx.test>\r\n" FRAME
         "ID\r\nTo: undisclosed-recipients:;\r\n\r\n"},
    {"From: a@b.test\r\nTo: c@d.test\r\nDate: x\r\nMessage-Id: <y>\r\n",
     "From: a@b.test\r\nTo: c@d.test\r\nDate: x\r\nMessage-Id: <y>\r\n\r\n"},
    {"from: root (Cron)\r\nTO: alice, Bob <bob>,\r\n c@d.test\r\nBcc: secret@d.test\r\n "
     "more@d.test\r\n"
     "Date: x\r\nMessage-ID: <y>\r\nX-Cc: root\r\n",
     "from: root@mx.test (Cron)\r\nTO: alice@mx.test, Bob <bob@mx.test>,\r\n c@d.test\r\n"
     "Date: x\r\nMessage-ID: <y>\r\nX-Cc: root\r\n\r\n"},
    {"From: a@b.test\r\nDate: x\r\nMessage-ID: <y>\r\nCc: g:;\r\nReturn-Path: "
     "<z>\r\nContent-Length: 5\r\n",
     "From: a@b.test\r\nDate: x\r\nMessage-ID: <y>\r\nCc: g:;\r\n\r\n"},
    {"Resent-To: r\r\nFrom: a@b.test\r\nDate: x\r\nMessage-ID: <y>\r\nTo: c@d\r\nResent-Date: "
     "z\r\n",
     "Resent-From: \"Joe \\\"X\\\"\" <joe@mx.test>\r\nResent-ID\r\nResent-To: r@mx.test\r\n"
     "From: a@b.test\r\nDate: x\r\nMessage-ID: <y>\r\nTo: c@d\r\nResent-Date: z\r\n\r\n"},
};

/* The made Message-ID, whose text nobody can foresee, becomes "ID". */
static void shorten(char *text)
{
    char *at, *end;
    while ((at = strstr(text, "Message-ID: <")) != NULL &&
           (end = strstr(at, "@mx.test>")) != NULL) {
        memmove(at + 2, end + 9, strlen(end + 9) + 1);
        memcpy(at, "ID", 2);
    }
}

Test(letter, header)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out;
        char text[4000];
        buf_init(&out, 10000);
        cr_assert_eq(letter_header(&out, span_of(rows[i].in), &frame), 0);
        cr_assert_eq(span_copy(text, sizeof text, buf_span(&out)), 0);
        shorten(text);
        cr_expect_str_eq(text, rows[i].out, "row %zu: %s", i, text);
        buf_free(&out);
    }
}

Test(letter, recipients)
{
    static const struct {
        const char *in, *rcpts; /* NULL: refused */
    } cases[] = {
        {"To: a@b.test, A <a@B.test>\r\nCc: root\r\nBcc: \"x y\"@b.test\r\nX-To: no@b.test\r\n",
         "a@b.test root \"x y\"@b.test "},
        {"To: a@b.test\r\nResent-To: r@b.test\r\nResent-Bcc: s@b.test\r\n", "r@b.test s@b.test "},
        {"Subject: x\r\n", ""},
        {"To: a@@b\r\n", NULL},
        {"To: a b@c.test\r\nCc: \r\n", "ab@c.test "},
        {"To: <a@b.test\r\n", "a@b.test "},
        {"To: -f@b.test\r\n", "-f@b.test "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct letter l = {.n = 0};
        struct error e;
        char all[1000] = "";
        size_t n = 0;
        int rc = letter_add_from_header(&l, span_of(cases[i].in), &e);
        cr_expect_eq(rc, cases[i].rcpts != NULL ? 0 : -1, "case %zu", i);
        for (size_t k = 0; k < l.n; k++)
            n += (size_t)snprintf(all + n, sizeof all - n, "%s ", l.rcpts[k]);
        if (cases[i].rcpts != NULL)
            cr_expect_str_eq(all, cases[i].rcpts, "case %zu: %s", i, all);
        letter_free(&l);
    }
}
