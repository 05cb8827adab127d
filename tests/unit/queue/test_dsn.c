#include "queue/dsn.h"

#include "common/content.h"
#include "common/id.h"
#include "common/proto.h"

#include <criterion/criterion.h>

static const struct dsn_facts facts = {.kind = DSN_FAILED,
                                       .hostname = {"mx.example.org", 14},
                                       .id = 0x123456789abcdef,
                                       .about = 0x23456789abcdef0,
                                       .to = {"a@example.org", 13},
                                       .arrived = 1795000000,
                                       .expires = 1795432000,
                                       .now = 1795003600};

#define HEADER "Received: by mx\r\n\tfor <x>\r\nSubject: hello\r\n\r\n"

static const char golden[] =
    "From: Mail delivery <MAILER-DAEMON@mx.example.org>\r\n"
    "To: <a@example.org>\r\n"
    "Subject: Your message could not be delivered\r\n"
    "Date: Wed, 18 Nov 2026 12:06:40 +0000\r\n"
    "Message-ID: <028t5cy4tqkff@mx.example.org>\r\n"
    "Auto-Submitted: auto-replied\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
    "\tboundary=\"=_028t5cy4tqkff\"\r\n"
    "\r\n"
    "This is a delivery report in several parts (MIME).\r\n"
    "\r\n"
    "--=_028t5cy4tqkff\r\n"
    "Content-Description: Explanation\r\n"
    "Content-Type: text/plain; charset=us-ascii\r\n"
    "\r\n"
    "This is the mail server mx.example.org.\r\n"
    "\r\n"
    "Your message of Wed, 18 Nov 2026 11:06:40 +0000\r\n"
    "could not be delivered to:\r\n"
    "\r\n"
    "  <x@example.net>\r\n"
    "    mx.example.net said: 550 5.1.1 no such user\r\n"
    "\r\n"
    "  <y@example.com>\r\n"
    "    It was tried again and again, and there is no more time. The last answer:\r\n"
    "    connection refused\r\n"
    "\r\n"
    "Nothing more will be done about it: check the address, and send the message\r\n"
    "again if it still matters. Its header is at the end of this report.\r\n"
    "\r\n"
    "If you ask your postmaster about it, name the number 04d2pf2dbsqqg.\r\n"
    "\r\n"
    "--=_028t5cy4tqkff\r\n"
    "Content-Description: Delivery report\r\n"
    "Content-Type: message/delivery-status\r\n"
    "\r\n"
    "Reporting-MTA: dns; mx.example.org\r\n"
    "Arrival-Date: Wed, 18 Nov 2026 11:06:40 +0000\r\n"
    "\r\n"
    "Final-Recipient: rfc822; x@example.net\r\n"
    "Action: failed\r\n"
    "Status: 5.1.1\r\n"
    "Remote-MTA: dns; mx.example.net\r\n"
    "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
    "\r\n"
    "Final-Recipient: rfc822; y@example.com\r\n"
    "Action: failed\r\n"
    "Status: 4.4.7\r\n"
    "\r\n"
    "--=_028t5cy4tqkff\r\n"
    "Content-Description: Header of your message\r\n"
    "Content-Type: text/rfc822-headers\r\n"
    "\r\n"
    "Received: by mx\r\n"
    "\tfor <x>\r\n"
    "Subject: hello\r\n"
    "\r\n"
    "--=_028t5cy4tqkff--\r\n";

Test(dsn, golden)
{
    struct dsn d;
    struct buf out;
    struct dsn_recipient x = {.address = SPAN("x@example.net"),
                              .status = SPAN("5.1.1"),
                              .remote = SPAN("mx.example.net[192.0.2.1]:25"),
                              .reply = SPAN("550 5.1.1 no such user")};
    struct dsn_recipient y = {.address = SPAN("y@example.com"),
                              .status = SPAN("4.4.7"),
                              .remote = SPAN("[192.0.2.2]:25"),
                              .reply = SPAN("connection refused"),
                              .is_expired = true};
    buf_init(&out, DSN_MAX);
    dsn_begin(&d, &facts);
    cr_assert_eq(dsn_add(&d, &x), 0);
    cr_assert_eq(dsn_add(&d, &y), 0);
    cr_assert_eq(dsn_finish(&d, SPAN(HEADER), &out), 0);
    buf_add(&out, "", 1);
    cr_assert_str_eq(buf_span(&out).p, golden);
    buf_free(&out);
}

static bool has(struct span s, const char *what)
{
    return memmem(s.p, s.n, what, strlen(what)) != NULL;
}

/* Whatever remote servers say and whatever the original's header is: lines stay lines, it fits, and
 * nothing can start a field or a part. */
Test(dsn, hostile_text_stays_text)
{
    static char reply[512], remote[400], header[100000];
    struct dsn d;
    struct buf out;
    struct content_scan scan;
    for (size_t i = 0; i < sizeof reply; i++)
        reply[i] = (char)(i * 7);
    memcpy(reply, "550 ", 4);
    memset(remote, '\xff', sizeof remote);
    for (size_t i = 0; i < sizeof header; i++)
        header[i] = i % 3000 == 2999 ? '\n' : i % 3000 == 2998 ? '\r' : (char)(128 + i % 100);
    struct dsn_recipient r = {.address = {reply, 300},
                              .status = SPAN("5.0.0"),
                              .remote = {remote, 400},
                              .reply = {reply, 512}};
    buf_init(&out, DSN_MAX);
    dsn_begin(&d, &facts);
    size_t n = 0;
    while (dsn_add(&d, &r) == 0)
        n++;
    cr_assert(n > 5 && n < 1000);
    cr_assert_eq(dsn_finish(&d, (struct span){header, sizeof header}, &out), 0);
    struct span s = buf_span(&out);
    content_begin(&scan);
    content_add(&scan, s);
    content_end(&scan);
    cr_assert(!scan.is_damaged);
    cr_assert_eq(scan.flags & CONTENT_LONGLINE, 0);
    cr_assert(has(s, "Content-Transfer-Encoding: 8bit\r\n"));
    size_t seen = 0;
    for (struct span rest = s; (rest.p = memmem(rest.p, rest.n, "Final-Recipient:", 16)) != NULL;) {
        seen++;
        rest.p++;
        rest.n = (size_t)(s.p + s.n - rest.p);
    }
    cr_assert_eq(seen, n); /* a recipient that did not fit left nothing behind */
    buf_free(&out);
}

Test(dsn, a_warning_says_that_nothing_needs_to_be_done)
{
    struct dsn d;
    struct buf out;
    struct dsn_facts late = facts;
    struct dsn_recipient x = {.address = SPAN("x@example.net"),
                              .status = SPAN("4.2.0"),
                              .remote = SPAN("[192.0.2.1]:25"),
                              .reply = SPAN("450 4.2.0 later")};
    late.kind = DSN_DELAYED;
    buf_init(&out, DSN_MAX);
    dsn_begin(&d, &late);
    cr_assert_eq(dsn_add(&d, &x), 0);
    cr_assert_eq(dsn_finish(&d, SPAN(""), &out), 0);
    struct span s = buf_span(&out);
    cr_expect(has(s, "Subject: Your message is late\r\n"));
    cr_expect(has(s, "Action: delayed\r\nStatus: 4.2.0\r\nRemote-MTA: dns; [192.0.2.1]\r\n"));
    cr_expect(has(s, "Will-Retry-Until: Mon, 23 Nov 2026 11:06:40 +0000\r\n"));
    cr_expect(has(s, "There is nothing you need to do."));
    buf_free(&out);
}

Test(dsn, status_is_taken_from_the_reply)
{
    static const struct {
        const char *reply;
        char class;
        const char *status;
    } rows[] = {
        {"550 5.1.1 no such user", '5', "5.1.1"},
        {"550-5.1.1 no such user", '5', "5.1.1"},
        {"5.4.4 no route", '5', "5.4.4"},
        {"554 5.7.123 policy", '5', "5.7.123"},
        {"550 5.1.1", '5', "5.1.1"},
        {"550 no such user", '5', "5.0.0"},
        {"550 4.1.1 muddled", '5', "5.0.0"},
        {"450 4.2.0 later", '4', "4.2.0"},
        {"450 later", '4', "4.0.0"},
        {"", '5', "5.0.0"},
        {"5", '5', "5.0.0"},
        {"550 5..1 x", '5', "5.0.0"},
        {"550 5.1. x", '5', "5.0.0"},
        {"550 5.1.1.1 x", '5', "5.0.0"},
        {"550 5.1.1x", '5', "5.0.0"},
        {"550 5.1.1234567 x", '5', "5.0.0"},
        {"connection refused", '4', "4.0.0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect(
            span_eq(dsn_status(span_of(rows[i].reply), rows[i].class), span_of(rows[i].status)),
            "%s", rows[i].reply);
}
