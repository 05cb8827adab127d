#include "queue/dsn.h"

#include "queue/dsn_reason.h"
#include "queue/store.h"

#include "common/content.h"
#include "common/id.h"
#include "common/proto.h"

#include <criterion/criterion.h>

static const struct dsn_facts facts = {.kind = DSN_FINAL,
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
    "    There is no such mailbox.\r\n"
    "    mx.example.net said: 550 5.1.1 no such user\r\n"
    "\r\n"
    "  <y@example.com>\r\n"
    "    It was tried again and again, and there is no more time. The last answer:\r\n"
    "    connection refused\r\n"
    "\r\n"
    "Nothing more will be done about it: check the address, and send the message\r\n"
    "again if it still matters. You find it, or its header, at the end of this report.\r\n"
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
    "Final-Log-ID: 04d2pf2dbsqqg\r\n"
    "\r\n"
    "Final-Recipient: rfc822; y@example.com\r\n"
    "Action: failed\r\n"
    "Status: 4.4.7\r\n"
    "Diagnostic-Code: X-Barid; connection refused\r\n"
    "Final-Log-ID: 04d2pf2dbsqqg\r\n"
    "\r\n"
    "--=_028t5cy4tqkff\r\n"
    "Content-Description: Header of the message\r\n"
    "Content-Type: text/rfc822-headers\r\n"
    "\r\n"
    "Received: by mx\r\n"
    "\tfor <x>\r\n"
    "Subject: hello\r\n"
    "\r\n"
    "--=_028t5cy4tqkff--\r\n";

static const struct dsn_original original = {
    .start = {HEADER, sizeof HEADER - 1}, .size = sizeof HEADER - 1, .header = sizeof HEADER - 1};

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
    cr_assert_eq(dsn_finish(&d, &original, &out), 0);
    buf_add(&out, "", 1);
    cr_assert_str_eq(buf_span(&out).p, golden);
    buf_free(&out);
}

static bool has(struct span s, const char *what)
{
    return memmem(s.p, s.n, what, strlen(what)) != NULL;
}

/* One after the other with the same answer: it is said once, behind the last of them. */
Test(dsn, a_reason_is_said_once)
{
    struct dsn d;
    struct buf out;
    struct dsn_recipient r = {.status = SPAN("5.2.2"),
                              .remote = SPAN("mx.example.net[192.0.2.1]:25"),
                              .reply = SPAN("552 5.2.2 no room")};
    static const char *const addresses[] = {"a@example.net", "b@example.net", "c@example.net"};
    buf_init(&out, DSN_MAX);
    dsn_begin(&d, &facts);
    for (size_t i = 0; i < 3; i++) {
        r.address = span_of(addresses[i]);
        r.orcpt = i == 1 ? SPAN("rfc822;all@example.org") : SPAN("");
        cr_assert_eq(dsn_add(&d, &r), 0);
    }
    r.address = SPAN("d@example.net");
    r.status = SPAN("5.0.0");
    r.reply = SPAN("554 no");
    cr_assert_eq(dsn_add(&d, &r), 0);
    cr_assert_eq(dsn_finish(&d, &original, &out), 0);
    cr_expect(has(buf_span(&out), "\r\n\r\n  <a@example.net>\r\n"
                                  "  <b@example.net>\r\n"
                                  "    (you wrote to <all@example.org>)\r\n"
                                  "  <c@example.net>\r\n"
                                  "    The mailbox is full.\r\n"
                                  "    mx.example.net said: 552 5.2.2 no room\r\n\r\n"
                                  "  <d@example.net>\r\n"
                                  "    mx.example.net said: 554 no\r\n\r\n"
                                  "Nothing more will be done"));
    buf_free(&out);
}

/* What is so only for now is not said as if it were for good. */
Test(dsn, reasons)
{
    static const struct {
        const char *status, *says;
    } rows[] = {
        {"5.1.1", "There is no such mailbox."},
        {"5.2.2", "The mailbox is full."},
        {"4.2.2", "The mailbox is full."},
        {"5.1.10", "This domain takes no mail at all."},
        {"4.1.1", NULL}, /* not known yet */
        {"4.7.1", NULL}, /* come again */
        {"5.7.1", "The server there refuses it, perhaps as it looks like unwanted mail."},
        {"4.4.1", "The server there did not answer."},
        {"5.0.0", NULL},
        {"5.1", NULL},
        {"5", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *got = dsn_reason(span_of(rows[i].status), SPAN(""));
        cr_expect_eq(got == NULL, rows[i].says == NULL, "row %zu", i);
        if (got != NULL && rows[i].says != NULL)
            cr_expect_str_eq(got, rows[i].says);
    }
}

/* Codes about the way there are only true of our own findings: the others are what Exchange Online
 * answers for a mailbox that is not there, and the like. */
Test(dsn, reasons_of_other_servers)
{
    static const struct {
        const char *status, *reply;
        bool is_ours, is_expired;
        const char *says; /* the line above the answer; NULL: none */
    } rows[] = {
        {"5.4.1", "550 5.4.1 Recipient address rejected: Access denied", false, false, NULL},
        {"4.4.7", "450 4.4.1 come again", false, true, NULL},
        {"5.1.10", "550 5.1.10 RESOLVER.ADR.RecipientNotFound", false, false, NULL},
        {"5.4.4", "550 5.4.4 Unable to route", false, false, NULL},
        {"5.1.10", "556 5.1.10 no mail here", false, false, "This domain takes no mail at all."},
        {"5.1.10", "556 5.1.10 (null MX)", true, false, "This domain takes no mail at all."},
        {"5.1.1", "550 5.1.1 no", false, false, "There is no such mailbox."},
        {"4.4.7", "451 4.4.4 no MX has an address", true, true,
         "It is not known which server takes mail for this domain."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct dsn d;
        struct buf out;
        char expected[400];
        struct dsn_recipient r = {.address = SPAN("x@example.net"),
                                  .status = span_of(rows[i].status),
                                  .remote = rows[i].is_ours ? SPAN("") : SPAN("mx.x[192.0.2.1]:25"),
                                  .reply = span_of(rows[i].reply),
                                  .is_expired = rows[i].is_expired};
        buf_init(&out, DSN_MAX);
        dsn_begin(&d, &facts);
        cr_assert_eq(dsn_add(&d, &r), 0);
        cr_assert_eq(dsn_finish(&d, &original, &out), 0);
        snprintf(expected, sizeof expected, "  <x@example.net>\r\n%s%s%s%s    %s%s\r\n\r\n",
                 rows[i].says != NULL ? "    " : "", rows[i].says != NULL ? rows[i].says : "",
                 rows[i].says != NULL ? "\r\n" : "",
                 rows[i].is_expired
                     ? "    It was tried again and again, and there is no more time. "
                       "The last answer:\r\n"
                     : "",
                 rows[i].is_ours ? "" : "mx.x said: ", rows[i].reply);
        cr_expect(has(buf_span(&out), expected), "row %zu", i);
        buf_free(&out);
    }
}

/* The longest there can be; a recipient that does not fit would never be told about. */
Test(dsn, the_longest_answer_fits)
{
    static char remote[REMOTE_MAX], reply[REPLY_MAX];
    struct dsn d;
    struct dsn_recipient r = {.address = SPAN("x@example.net"),
                              .status = SPAN("4.4.7"),
                              .remote = {remote, sizeof remote},
                              .reply = {reply, sizeof reply},
                              .is_expired = true};
    memset(remote, 'r', sizeof remote);
    memset(reply, 'a', sizeof reply);
    memcpy(reply, "450 4.4.4 ", 10);
    reply[sizeof reply - 1] = 'z';
    dsn_begin(&d, &facts);
    cr_expect_eq(dsn_add(&d, &r), 0);
    struct buf out;
    buf_init(&out, DSN_MAX);
    cr_expect_eq(dsn_finish(&d, &original, &out), 0);
    cr_expect(has(buf_span(&out), "aaaz\r\n"));
    buf_free(&out);
}

/* The owner of a list did not write what he gets back. */
Test(dsn, the_owner_of_a_list_is_told_otherwise)
{
    static const char *const owners[] = {"owner-staff@example.org",
                                         "owner-m\xc3\xbcll@example.org"};
    for (size_t i = 0; i < 2; i++) {
        struct dsn d;
        struct buf out;
        struct dsn_facts f = facts;
        struct dsn_recipient x = {.address = SPAN("x@example.net"),
                                  .orcpt = SPAN("rfc822;other@example.org"),
                                  .status = SPAN("5.1.1"),
                                  .reply = SPAN("550 5.1.1 no")};
        f.to = span_of(owners[i]);
        f.list = span_from(f.to, 6);
        buf_init(&out, DSN_MAX);
        dsn_begin(&d, &f);
        cr_assert_eq(dsn_add(&d, &x), 0);
        cr_assert_eq(dsn_finish(&d, &original, &out), 0);
        struct span s = buf_span(&out);
        cr_expect(has(s, "Subject: A message to your list could not be delivered\r\n"));
        cr_expect(has(s, i == 0 ? "A message to your list <staff@example.org>,\r\nof Wed, 18 Nov"
                                : "A message to your list <m\xc3\xbcll@example.org>,\r\n"));
        cr_expect_eq(has(s, "text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit"),
                     i == 1);
        cr_expect(has(s, "take\r\nthe address off the list."));
        cr_expect_not(has(s, "our message") || has(s, "you wrote"));
        buf_free(&out);
    }
}

Test(dsn, it_names_the_message_it_is_about)
{
    static const struct {
        const char *header, *id;
    } rows[] = {
        {"Subject: x\r\nMessage-ID: <a.b@example.org>\r\n\r\n", "<a.b@example.org>"},
        {"message-id:\r\n <a@b>\r\n\r\n", "<a@b>"},
        {"Subject: x\r\n\r\nMessage-ID: <a@b>\r\n", NULL},
        {"Message-ID: <a b@c>\r\n\r\n", NULL},
        {"Message-ID: <a\r\n\r\n", NULL},
        {"Message-ID: <\xc3\xbc@c>\r\n\r\n", NULL},
        {"Message-ID: <a<b@c>\r\n\r\n", NULL},
        {"\r\n", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct dsn d;
        struct buf out;
        char fields[200] = "";
        struct span header = span_of(rows[i].header);
        struct dsn_original o = {
            .start = header, .size = header.n, .header = i == 2 ? 14 : header.n};
        struct dsn_recipient x = {.address = SPAN("x@example.net"), .status = SPAN("5.0.0")};
        buf_init(&out, DSN_MAX);
        dsn_begin(&d, &facts);
        cr_assert_eq(dsn_add(&d, &x), 0);
        cr_assert_eq(dsn_finish(&d, &o, &out), 0);
        if (rows[i].id != NULL)
            snprintf(fields, sizeof fields, "In-Reply-To: %s\r\nReferences: %s\r\n", rows[i].id,
                     rows[i].id);
        char expected[400];
        snprintf(expected, sizeof expected,
                 "Message-ID: <028t5cy4tqkff@mx.example.org>\r\n%sAuto-Submitted:", fields);
        cr_expect(has(buf_span(&out), expected), "row %zu", i);
        buf_free(&out);
    }
}

static bool has_8bit(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 0x7f)
            return true;
    return false;
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
    struct dsn_dialogue said = {.text = {header, 8192}};
    for (int i = 0; i < DSN_DIALOGUES_MAX; i++)
        dsn_quote(&d, &said);
    struct dsn_original o = {
        .start = {header, sizeof header}, .size = sizeof header, .header = sizeof header};
    cr_assert_eq(dsn_finish(&d, &o, &out), 0);
    struct span s = buf_span(&out);
    content_begin(&scan);
    content_add(&scan, s);
    content_end(&scan);
    cr_assert(!scan.is_damaged);
    cr_assert_eq(scan.flags & CONTENT_LONGLINE, 0);
    cr_assert(has(s, "Content-Transfer-Encoding: quoted-printable\r\n"));
    cr_assert(!has_8bit(s));
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
    struct dsn_recipient x = {.action = DSN_DELAYED,
                              .address = SPAN("x@example.net"),
                              .status = SPAN("4.2.0"),
                              .remote = SPAN("[192.0.2.1]:25"),
                              .reply = SPAN("450 4.2.0 later")};
    late.kind = DSN_LATE;
    buf_init(&out, DSN_MAX);
    dsn_begin(&d, &late);
    cr_assert_eq(dsn_add(&d, &x), 0);
    cr_assert_eq(dsn_finish(&d, &(struct dsn_original){.start = SPAN("")}, &out), 0);
    struct span s = buf_span(&out);
    cr_expect(has(s, "Subject: Your message is late\r\n"));
    cr_expect(has(s, "Action: delayed\r\nStatus: 4.2.0\r\nRemote-MTA: dns; [192.0.2.1]\r\n"));
    cr_expect(has(s, "Will-Retry-Until: Mon, 23 Nov 2026 11:06:40 +0000\r\n"));
    cr_expect(has(s, "There is nothing you need to do."));
    buf_free(&out);
}

/* What a sender may ask for (RFC 3461): his own names for things, and to hear of what went well. */
Test(dsn, what_was_asked_for)
{
    struct dsn d;
    struct buf out;
    struct dsn_facts asked = facts;
    struct dsn_recipient x = {.action = DSN_DELIVERED,
                              .address = SPAN("x@example.org"),
                              .orcpt = SPAN("rfc822;x+2Ba@example.org"),
                              .status = SPAN("2.0.0"),
                              .last_attempt = 1795000000};
    struct dsn_recipient y = {.action = DSN_RELAYED,
                              .address = SPAN("y@example.com"),
                              .status = SPAN("2.1.5"),
                              .remote = SPAN("mx.example.com[192.0.2.1]:25"),
                              .reply = SPAN("250 2.1.5 ok")};
    asked.envid = SPAN("QQ+20314");
    asked.hold_request = SPAN("until;2026-11-22T09:00:00Z");
    buf_init(&out, DSN_MAX);
    dsn_begin(&d, &asked);
    cr_assert_eq(dsn_add(&d, &x), 0);
    cr_assert_eq(dsn_add(&d, &y), 0);
    cr_assert_eq(dsn_finish(&d, &original, &out), 0);
    struct span s = buf_span(&out);
    cr_expect(has(s, "Subject: Your message was delivered\r\n"));
    cr_expect(has(s, "\r\n\r\nOriginal-Envelope-Id: QQ 314\r\nReporting-MTA:"));
    cr_expect(has(s, "\r\nFuture-Release-Request: until;2026-11-22T09:00:00Z\r\n"));
    cr_expect(has(s, "Original-Recipient: rfc822; x+a@example.org\r\n"
                     "Final-Recipient: rfc822; x@example.org\r\nAction: delivered\r\n"
                     "Status: 2.0.0\r\nLast-Attempt-Date: Wed, 18 Nov 2026 11:06:40 +0000\r\n"
                     "Final-Log-ID: 04d2pf2dbsqqg\r\n"));
    cr_expect(has(s, "Action: relayed\r\nStatus: 2.1.5\r\nRemote-MTA: dns; mx.example.com\r\n"));
    cr_expect(has(s, "taken by the server mx.example.com,\r\n"));
    cr_expect(!has(s, "could not be delivered") && !has(s, "message/rfc822"));
    buf_free(&out);
}

/* One recipient, and what the sender's address is; out: NUL at the end. */
static void report_on(const char *to, const struct dsn_recipient *r, const struct dsn_original *o,
                      struct buf *out)
{
    struct dsn d;
    struct dsn_facts f = facts;
    f.to = span_of(to);
    f.envid = SPAN("id");
    f.hold_request = SPAN("for;60");
    buf_init(out, DSN_MAX);
    dsn_begin(&d, &f);
    cr_assert_eq(dsn_add(&d, r), 0);
    cr_assert_eq(dsn_finish(&d, o, out), 0);
    buf_add(out, "", 1);
}

/* Each field once, in the order of the grammar, and those that must be there are. */
static void expect_grammar(const char *const *names, uint64_t needed, struct span group)
{
    size_t last = 0;
    uint64_t seen = 0;
    while (group.n > 0) {
        struct span line = span_cut(&group, '\n');
        size_t at = 0;
        for (size_t i = 0; names[i] != NULL && at == 0; i++)
            if (span_istarts(line, span_of(names[i])) && line.n > strlen(names[i]) &&
                line.p[strlen(names[i])] == ':')
                at = i + 1;
        if (line.n > 0 && line.p[0] == ' ')
            continue; /* of the one before */
        cr_expect(at > last, "%.*s", (int)line.n, line.p);
        last = at;
        seen |= (uint64_t)1 << at;
    }
    cr_expect_eq(seen & needed, needed);
}

Test(dsn, fields_stand_in_the_order_of_the_grammar)
{
    static const char *const about[] = {
        "Original-Envelope-Id", "Reporting-MTA",          "DSN-Gateway", "Received-From-MTA",
        "Arrival-Date",         "Future-Release-Request", NULL};
    static const char *const each[] = {
        "Original-Recipient", "Final-Recipient",   "Action",       "Status",           "Remote-MTA",
        "Diagnostic-Code",    "Last-Attempt-Date", "Final-Log-ID", "Will-Retry-Until", NULL};
    for (int action = 0; action < DSN_ACTIONS; action++) {
        for (int from_remote = 0; from_remote < 2; from_remote++) {
            struct dsn_recipient r = {.action = (enum dsn_action)action,
                                      .address = SPAN("X@Example.net"),
                                      .orcpt = SPAN("rfc822;y@example.net"),
                                      .status = SPAN("5.1.1"),
                                      .remote = SPAN("mx.example.net[192.0.2.1]:25"),
                                      .reply = from_remote ? SPAN("550 5.1.1 no") : SPAN("silence"),
                                      .last_attempt = 1795000000};
            struct buf out;
            report_on("a@example.org", &r, &original, &out);
            const char *text = buf_span(&out).p;
            const char *from = strstr(text, "message/delivery-status\r\n\r\n");
            cr_assert_not_null(from);
            from += strlen("message/delivery-status\r\n\r\n");
            const char *middle = strstr(from, "\r\n\r\n");
            const char *to = strstr(middle + 4, "\r\n\r\n");
            expect_grammar(about, 1 << 2, (struct span){from, (size_t)(middle - from)});
            struct span group = {middle + 4, (size_t)(to - middle - 4)};
            expect_grammar(each, 1 << 2 | 1 << 3 | 1 << 4, group);
            /* a Remote-MTA says that it gave the diagnosis (2.3.6) */
            cr_expect_eq(has(group, "Remote-MTA:"), from_remote == 1);
            cr_expect_eq(has(group, "Diagnostic-Code: smtp; 550 5.1.1 no"), from_remote == 1);
            bool is_bad = action == DSN_FAILED || action == DSN_DELAYED;
            cr_expect_eq(has(group, "Diagnostic-Code: X-Barid; silence"), is_bad && !from_remote);
            cr_expect_eq(has(group, "Will-Retry-Until:"), action == DSN_DELAYED);
            cr_expect_eq(has(group, "Final-Log-ID:"),
                         action != DSN_DELAYED && action != DSN_RELAYED);
            cr_expect(has(group, "Final-Recipient: rfc822; X@Example.net\r\n"));
            buf_free(&out);
        }
    }
}

Test(dsn, a_long_answer_is_folded)
{
    static const char reply[] =
        "550 5.7.1 this answer is so long that it does not fit into a line of the report, and "
        "goes  on  and on "
        "withaverylongwordwithaverylongwordwithaverylongwordwithaverylongwordwithaverylongword end";
    struct dsn_recipient r = {.address = SPAN("x@example.net"),
                              .status = SPAN("5.7.1"),
                              .remote = SPAN("mx.example.net[192.0.2.1]:25"),
                              .reply = span_of(reply)};
    struct buf out;
    report_on("a@example.org", &r, &original, &out);
    const char *from = strstr(buf_span(&out).p, "Diagnostic-Code: smtp; ");
    cr_assert_not_null(from);
    char unfolded[400] = "";
    size_t n = 0, column = 0, lines = 0;
    for (const char *p = from + strlen("Diagnostic-Code: smtp; "); n + 1 < sizeof unfolded; p++) {
        if (p[0] == '\r' && p[2] != ' ')
            break;
        if (p[0] == '\r') { /* what is folded goes on with the space that was there */
            cr_expect(column + (lines == 0 ? 23U : 0U) <= 78 || lines == 2);
            lines++;
            column = 0;
            p++;
            continue;
        }
        unfolded[n++] = *p;
        column++;
    }
    cr_expect_str_eq(unfolded, reply);
    cr_expect_eq(lines, 3);
    buf_free(&out);
}

/* A sender with an address in ASCII gets 7 bits, whatever the recipient and the header are. */
Test(dsn, seven_bits_for_an_ascii_sender)
{
    static const char header[] = "Subject: J\xf8rgen=\r\n\r\n";
    struct dsn_original o = {.start = {header, sizeof header - 1},
                             .size = sizeof header - 1,
                             .header = sizeof header - 1};
    struct dsn_recipient r = {.address = SPAN("j\u00f8rgen@example.net"),
                              .orcpt = SPAN("utf-8;\\x{E5}sa@example.org"),
                              .status = SPAN("5.6.7"),
                              .reply = SPAN("553 5.6.7 no")};
    struct buf out;
    report_on("a@example.org", &r, &o, &out);
    struct span s = buf_span(&out);
    cr_expect(!has_8bit(s));
    cr_expect(has(s, "text/plain; charset=utf-8\r\n"
                     "Content-Transfer-Encoding: quoted-printable\r\n\r\n"));
    cr_expect(
        has(s, "  <j=C3=B8rgen@example.net>\r\n    (you wrote to <=C3=A5sa@example.org>)\r\n"));
    cr_expect(has(s, "message/delivery-status\r\n\r\n"));
    cr_expect(has(s, "Original-Recipient: utf-8; \\x{E5}sa@example.org\r\n"
                     "Final-Recipient: utf-8; j\\x{F8}rgen@example.net\r\n"));
    cr_expect(has(s, "text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
                     "Subject: J=F8rgen=3D\r\n"));
    cr_expect(!has(s, "8bit"));
    buf_free(&out);
    /* a header in UTF-8 is not hidden from programs (RFC 6533 6.3); then all of it says so */
    o.flags = CONTENT_UTF8 | CONTENT_HEADER8;
    report_on("a@example.org", &r, &o, &out);
    cr_expect(
        has(buf_span(&out), "\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\nThis is a delivery"));
    cr_expect(
        has(buf_span(&out),
            "message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: J\xf8"));
    buf_free(&out);
}

/* One with an address beyond ASCII is reached through SMTPUTF8 only: RFC 6533 4. */
Test(dsn, an_international_report)
{
    struct dsn_recipient r = {.address = SPAN("j\u00f8rgen@example.net"),
                              .orcpt = SPAN("utf-8;\\x{E5}sa@example.org"),
                              .status = SPAN("5.1.1"),
                              .reply = SPAN("550 5.1.1 no")};
    struct buf out;
    report_on("\u7528\u6237@example.org", &r, &original, &out);
    struct span s = buf_span(&out);
    cr_expect(has(s, "To: <\u7528\u6237@example.org>\r\n"));
    cr_expect(has(s, "\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\nThis is a delivery"));
    cr_expect(has(s, "multipart/report; report-type=delivery-status;"));
    cr_expect(has(s, "text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"));
    cr_expect(
        has(s, "  <j\u00f8rgen@example.net>\r\n    (you wrote to <\u00e5sa@example.org>)\r\n"));
    cr_expect(has(s, "message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"));
    cr_expect(has(s, "Original-Recipient: utf-8; \u00e5sa@example.org\r\n"
                     "Final-Recipient: utf-8; j\u00f8rgen@example.net\r\n"));
    buf_free(&out);
    r.address = SPAN("x@example.net");
    r.orcpt = SPAN("rfc822;x@example.net");
    report_on("\u7528\u6237@example.org", &r, &original, &out);
    s = buf_span(&out);
    cr_expect(has(s, "message/global-delivery-status\r\n\r\nOriginal-Envelope-Id"));
    cr_expect(has(s, "Final-Recipient: rfc822; x@example.net\r\n"));
    cr_expect(!has(s, "8bit") && !has(s, "you wrote to"));
    buf_free(&out);
}

/* However much of it has to be encoded, all parts have room. */
Test(dsn, many_names_beyond_ascii_fit)
{
    static char header[40000], said[8000];
    struct dsn d;
    struct buf out;
    struct dsn_original o = {
        .start = {header, sizeof header}, .size = sizeof header, .header = sizeof header};
    memset(header, 0xe5, sizeof header);
    for (size_t i = 78; i < sizeof header; i += 80)
        memcpy(header + i, "\r\n", 2);
    memset(said, '=', sizeof said);
    for (int is_good = 0; is_good < 2; is_good++) {
        struct dsn_recipient r = {.action = is_good ? DSN_DELIVERED : DSN_FAILED,
                                  .address = SPAN("\u7528\u6237\u7528\u6237\u7528@example.net"),
                                  .status = SPAN("5.1.1"),
                                  .reply = SPAN("550 ==================================")};
        dsn_begin(&d, &facts);
        size_t n = 0;
        while (dsn_add(&d, &r) == 0)
            n++;
        cr_expect(n > 30);
        dsn_quote(&d, &(struct dsn_dialogue){.text = {said, sizeof said}});
        buf_init(&out, DSN_MAX);
        cr_expect_eq(dsn_finish(&d, &o, &out), 0);
        cr_expect(!has_8bit(buf_span(&out)));
        cr_expect(has(buf_span(&out), "=E5=E5=E5"));
        buf_free(&out);
    }
}

static void finish_with(struct dsn_original *o, enum dsn_action action, struct buf *out)
{
    struct dsn d;
    struct dsn_recipient x = {
        .action = action, .address = SPAN("x@example.net"), .status = SPAN("5.1.1")};
    buf_init(out, DSN_MAX);
    dsn_begin(&d, &facts);
    cr_assert_eq(dsn_add(&d, &x), 0);
    cr_assert_eq(dsn_finish(&d, o, out), 0);
}

/* RET=FULL: of a failure, if it fits and is whole; else the header. */
Test(dsn, all_of_the_message)
{
    static char big[DSN_MAX];
    static const char small[] = HEADER "the text\r\n";
    struct dsn_original o = {
        .start = {small, sizeof small - 1}, .size = sizeof small - 1, .header = 20};
    struct buf out;
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = "0123456789\r\n"[i % 12];
    for (int i = 0; i < 6; i++) {
        struct dsn_original p = o;
        p.wants_all = i != 1;
        if (i == 3)
            p.size++; /* more than was read */
        if (i == 4)
            p.flags = CONTENT_LONGLINE;
        if (i == 5)
            p.start = (struct span){big, p.size = 64800};
        finish_with(&p, i == 2 ? DSN_DELIVERED : DSN_FAILED, &out);
        bool is_all = has(buf_span(&out), "Content-Type: message/rfc822\r\n\r\n" HEADER "the text");
        cr_expect_eq(is_all, i == 0, "row %d", i);
        cr_expect_eq(has(buf_span(&out), "text/rfc822-headers"), i != 0, "row %d", i);
        buf_free(&out);
    }
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
        {"250 2.1.5 ok", '2', "2.1.5"},
        {"250 ok", '2', "2.0.0"},
        {"550 5.1.0 x", '5', "5.1.0"},
        {"550 5.10.100 x", '5', "5.10.100"},
        /* no number has a zero in front, or more than three digits (RFC 3464 2.3.4) */
        {"550 5.01.1 x", '5', "5.0.0"},
        {"550 5.1.01 x", '5', "5.0.0"},
        {"550 5.1.00 x", '5', "5.0.0"},
        {"550 5.1.1234 x", '5', "5.0.0"},
        {"550 5.1.12345", '5', "5.0.0"},
        {"550 5.1234.1 x", '5', "5.0.0"},
        {"550 5.1", '5', "5.0.0"},
        {"550 5.", '5', "5.0.0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect(
            span_eq(dsn_status(span_of(rows[i].reply), rows[i].class), span_of(rows[i].status)),
            "%s", rows[i].reply);
}
