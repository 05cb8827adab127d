#include "world.h"

#include <criterion/criterion.h>

#define CONTENT "Subject: hello\r\n\r\nthe text\r\n"
#define FROM    "s@example.org"
#define REPORT  "SELECT CAST(content AS TEXT) FROM message WHERE sender = ''"

static struct world w;

static const uint64_t no_box[] = {0};
static const char *const nowhere[] = {NULL};

/* One recipient, by an alias to boxes and addresses (both empty: a foreign one). */
static void send_asking(const struct rcpt *r, const uint64_t *boxes, const char *const *elsewhere)
{
    char room[4000];
    struct packer p = packer_on(room, sizeof room);
    if (*boxes == 0 && *elsewhere == NULL)
        rcpt_pack(&p, r);
    else
        world_rcpt_asking(&p, r, boxes, elsewhere);
    world_send(&w, FROM, packer_span(&p), CONTENT);
    world_pump(&w);
}

/* The report, which goes to a mailbox of the sender's; NULL: there is none. To be freed. */
static char *report(void)
{
    if (w.n_asked > 0)
        world_resolve(&w, w.n_asked - 1, ADDRESS_LOCAL, 99);
    return world_count(&w, "SELECT count(*) FROM message WHERE sender = ''") > 0
               ? world_text(&w, REPORT)
               : NULL;
}

static bool has(const char *text, const char *what)
{
    return text != NULL && strstr(text, what) != NULL;
}

Test(notify, success_of_local_delivery_is_owed_by_the_same_commit)
{
    struct rcpt r = {.address = SPAN("user@example.org"),
                     .orcpt = SPAN("rfc822;first@example.com"),
                     .notify = NOTIFY_SUCCESS};
    world_begin(&w, "");
    w.envid = "QQ314";
    send_asking(&r, (uint64_t[]){17, 0}, nowhere);
    cr_assert_eq(world_count(&w, "SELECT state FROM recipient"), RCPT_OWED);
    world_restart(&w); /* it is owed still */
    world_pump(&w);
    char *text = report();
    cr_expect(has(text, "Action: delivered\r\n"));
    cr_expect(has(text, "Original-Envelope-Id: QQ314\r\n"));
    cr_expect(has(text, "Original-Recipient: rfc822; first@example.com\r\n"
                        "Final-Recipient: rfc822; user@example.org\r\n"));
    free(text);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient"), 0);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry WHERE box = 17"), 1);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry WHERE box = 99"), 1);
    world_end(&w);
}

Test(notify, mail_with_a_null_sender_owes_nothing)
{
    char room[2000];
    struct packer p = packer_on(room, sizeof room);
    struct rcpt r = {.address = SPAN("user@example.org"), .notify = NOTIFY_SUCCESS};
    world_begin(&w, "");
    world_rcpt_asking(&p, &r, (uint64_t[]){17, 0}, nowhere);
    world_send(&w, "", packer_span(&p), CONTENT);
    world_pump(&w);
    cr_expect_eq(w.answers[0].verdict, VERDICT_OK);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient"), 0);
    world_end(&w);
}

/* Relay is told all of it; a server that tells the sender itself spares us the report. */
Test(notify, relayed)
{
    struct rcpt r = {.address = SPAN("x@example.net"),
                     .orcpt = SPAN("rfc822;y@example.com"),
                     .notify = NOTIFY_SUCCESS | NOTIFY_FAILURE};
    for (int told = 0; told < 2; told++) {
        memset(&w, 0, sizeof w);
        world_begin(&w, "");
        w.ret = RET_FULL;
        w.envid = "Q+20Q";
        w.told = (uint8_t)told;
        send_asking(&r, no_box, nowhere);
        cr_assert_eq(w.n_jobs, 1);
        cr_expect_str_eq(w.jobs[0].envid, "Q+20Q");
        cr_expect_str_eq(w.jobs[0].orcpt[0], "rfc822;y@example.com");
        cr_expect(w.jobs[0].ret == RET_FULL && w.jobs[0].notify[0] == r.notify);
        world_relay(&w, 0, VERDICT_OK, "250 2.1.5 taken");
        char *text = report();
        cr_expect_eq(text == NULL, told == 1);
        cr_expect(told == 1 || (has(text, "Action: relayed\r\nStatus: 2.1.5\r\n") &&
                                has(text, "Original-Envelope-Id: Q Q\r\n") &&
                                has(text, "smtp; 250 2.1.5 taken\r\n")));
        free(text);
        cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient"), 0);
        world_end(&w);
    }
}

/* Failures: told by default, and not to who asked not to be told; all of the message by RET. */
Test(notify, failed)
{
    static const struct {
        uint8_t notify, ret;
        bool is_told, is_full;
    } rows[] = {
        {0, RET_DEFAULT, true, false},
        {NOTIFY_FAILURE, RET_FULL, true, true},
        {NOTIFY_FAILURE, RET_HDRS, true, false},
        {NOTIFY_NEVER, RET_FULL, false, false},
        {NOTIFY_SUCCESS, RET_FULL, false, false},
        {NOTIFY_DELAY, RET_FULL, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rcpt r = {.address = SPAN("x@example.net"), .notify = rows[i].notify};
        memset(&w, 0, sizeof w);
        world_begin(&w, "");
        w.ret = rows[i].ret;
        send_asking(&r, no_box, nowhere);
        world_relay(&w, 0, VERDICT_NEVER, "550 5.1.1 no");
        char *text = report();
        cr_expect_eq(text != NULL, rows[i].is_told, "row %zu", i);
        cr_expect_eq(has(text, "\r\n\r\nthe text\r\n"), rows[i].is_full, "row %zu", i);
        free(text);
        cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient"), 0, "row %zu", i);
        world_end(&w);
    }
}

Test(notify, no_warning_for_who_did_not_ask)
{
    for (int i = 0; i < 2; i++) {
        struct rcpt r = {.address = SPAN("x@example.net"),
                         .notify = i == 0 ? NOTIFY_DELAY : NOTIFY_FAILURE};
        memset(&w, 0, sizeof w);
        world_begin(&w, "retry = 10m\ndelay_warning = 1m\n");
        send_asking(&r, no_box, nowhere);
        world_relay(&w, 0, VERDICT_TRY_LATER, "450 later");
        world_pass(&w, 700);
        cr_assert_eq(w.n_jobs, 2);
        world_relay(&w, 1, VERDICT_TRY_LATER, "450 later");
        char *text = report();
        cr_expect_eq(has(text, "Action: delayed\r\n"), i == 0);
        free(text);
        world_end(&w);
    }
}

/* RFC 3461 5.2.7: a single target gets what was asked; several are a success of the alias, and
 * report none of their own. */
Test(notify, aliases)
{
    static const char *const one[] = {"x@example.net", NULL};
    static const char *const two[] = {"x@example.net", "y@example.net", NULL};
    struct rcpt r = {.address = SPAN("all@example.org"), .notify = NOTIFY_SUCCESS};
    world_begin(&w, "");
    send_asking(&r, no_box, one);
    cr_expect_eq(w.jobs[0].notify[0], NOTIFY_SUCCESS);
    cr_expect_str_eq(w.jobs[0].orcpt[0], "rfc822;all@example.org");
    cr_expect_eq(w.n_asked, 0);
    r.notify = NOTIFY_SUCCESS | NOTIFY_FAILURE;
    r.orcpt = SPAN("rfc822;first@example.com");
    send_asking(&r, no_box, two);
    cr_expect_eq(w.jobs[1].notify[0], NOTIFY_FAILURE);
    cr_expect_eq(w.jobs[1].notify[1], NOTIFY_FAILURE);
    cr_expect_str_eq(w.jobs[1].orcpt[1], "rfc822;first@example.com");
    r.notify = NOTIFY_SUCCESS;
    send_asking(&r, (uint64_t[]){17, 0}, one);
    cr_expect_eq(w.jobs[2].notify[0], NOTIFY_NEVER);
    world_relay(&w, 1, VERDICT_OK, "250 ok");
    world_relay(&w, 2, VERDICT_OK, "250 ok");
    cr_assert_eq(w.n_asked, 2);
    world_resolve(&w, 0, ADDRESS_LOCAL, 99);
    world_resolve(&w, 1, ADDRESS_LOCAL, 99);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message WHERE sender = '' AND instr("
                                 "CAST(content AS TEXT), 'Action: expanded') > 0"),
                 2);
    world_end(&w);
}

/* Reports say themselves that nobody is to be told about them. */
Test(notify, a_report_that_goes_elsewhere)
{
    struct rcpt r = {.address = SPAN("x@example.net")};
    world_begin(&w, "");
    send_asking(&r, no_box, nowhere);
    world_relay(&w, 0, VERDICT_NEVER, "550 no");
    world_resolve(&w, 0, ADDRESS_FOREIGN, 0);
    cr_assert_eq(w.n_jobs, 2);
    cr_expect_str_eq(w.jobs[1].sender, "");
    cr_expect_eq(w.jobs[1].notify[0], NOTIFY_NEVER);
    world_end(&w);
}

/* smtpd is not believed: what is no ORCPT, ENVID, NOTIFY or RET is not stored. */
Test(notify, what_smtpd_cannot_have_read)
{
    world_begin(&w, "");
    for (int i = 0; i < 4; i++) {
        struct rcpt r = {.address = SPAN("x@example.net"),
                         .orcpt = i == 0 ? SPAN("rfc822;a+0Db") : SPAN(""),
                         .notify = i == 1 ? 9 : 0};
        w.envid = i == 2 ? "a=b" : "";
        w.ret = i == 3 ? 3 : 0;
        send_asking(&r, no_box, nowhere);
        cr_expect_eq(w.answers[i].verdict, VERDICT_TRY_LATER, "row %d", i);
    }
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_end(&w);
}
