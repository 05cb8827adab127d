#include "smtpd/reply.h"

#include <criterion/criterion.h>

/* RFC 2034: class of the enhanced code is that of the reply; RFC 5321 4.5.3.1.5: 512 octets. */
Test(reply, every_row_is_well_formed)
{
    for (unsigned i = 0; i < REPLY_COUNT; i++) {
        const struct reply_desc *d = reply_desc((enum reply)i);
        cr_expect_eq(strlen(d->code), 3);
        cr_expect(d->enhanced[0] == '\0' || d->enhanced[0] == d->code[0], "%s %s", d->code,
                  d->text);
        bool wants_none = d->code[0] == '3' || i == R_BANNER || i == R_HELLO;
        cr_expect_eq(d->enhanced[0] == '\0', wants_none, "%s %s", d->code, d->text);
        cr_expect(d->code[0] >= '4' || (d->flags & REPLY_FAULT) == 0, "%s", d->text);
        cr_expect(d->code[0] != '5' || (d->flags & REPLY_FAULT) != 0,
                  "a 5xx is always somebody's fault: %s", d->text);
        cr_expect(strncmp(d->code, "421", 3) != 0 || (d->flags & REPLY_CLOSES) != 0);
        cr_expect_lt(strlen(d->text), 200);
        for (const char *p = d->text; *p != '\0'; p++)
            cr_expect(*p >= ' ' && *p <= '~', "%s", d->text);
    }
}

static void expect(struct buf *out, const char *text)
{
    cr_expect(span_eq(buf_span(out), span_of(text)), "%.*s", (int)buf_span(out).n, buf_span(out).p);
    buf_free(out);
}

Test(reply, text)
{
    struct buf out;
    buf_init(&out, 100);
    reply_add(&out, R_QUEUED, SPAN("x1"));
    expect(&out, "250 2.0.0 Ok: queued as x1\r\n");
    reply_add(&out, R_BANNER, SPAN("mx.test ESMTP"));
    expect(&out, "220 mx.test ESMTP\r\n");
    reply_add_line(&out, R_HELLO, SPAN("a"), false);
    reply_add_line(&out, R_HELLO, SPAN("b"), true);
    expect(&out, "250-a\r\n250 b\r\n");
    buf_init(&out, 10);
    cr_expect_eq(reply_add(&out, R_QUEUED, SPAN("x1")), -1);
    expect(&out, "");
}

Test(reply, codes)
{
    char codes[REPLY_CODES_MAX];
    reply_codes(codes, R_NO_SUCH_USER);
    cr_expect_str_eq(codes, "550 5.1.1");
    reply_codes(codes, R_GO_AHEAD);
    cr_expect_str_eq(codes, "354");
}
