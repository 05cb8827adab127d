/* What a server says: tables of facts and replies. */
#include "common/admission.h"
#include "common/verdict.h"

#include <criterion/criterion.h>

static struct config *configure(const char *relay)
{
    char text[500];
    struct config_problems problems = {0};
    snprintf(text, sizeof text,
             "hostname = mx.example.org\n[listen smtp]\naddress = 127.0.0.1:2525\n[relay]\n%s\n",
             relay);
    struct config *c = config_parse(span_of(text), "test", &problems);
    cr_assert_not_null(c, "%s", problems.n > 0 ? problems.list[0].text : "");
    config_problems_free(&problems);
    return c;
}

Test(admission, a_recipient)
{
    static const struct {
        bool is_answered;
        uint8_t verdict, kind, has_quota;
        bool may_relay, has_login;
        enum admission expected;
    } rows[] = {
        {false, VERDICT_OK, ADDRESS_LOCAL, 0, true, true, ADMISSION_TRY_LATER},
        {true, VERDICT_TRY_LATER, ADDRESS_UNKNOWN, 0, true, true, ADMISSION_TRY_LATER},
        {true, VERDICT_NEVER, ADDRESS_LOCAL, 0, true, true, ADMISSION_TRY_LATER},
        {true, VERDICT_OK, ADDRESS_LOCAL, 0, false, false, ADMISSION_RCPT_OK},
        {true, VERDICT_OK, ADDRESS_LOCAL, 1, false, false, ADMISSION_ASK_ROOM},
        {true, VERDICT_OK, ADDRESS_UNKNOWN, 0, true, true, ADMISSION_NO_SUCH_USER},
        {true, VERDICT_OK, ADDRESS_FOREIGN, 0, false, false, ADMISSION_NO_RELAYING},
        {true, VERDICT_OK, ADDRESS_FOREIGN, 0, true, false, ADMISSION_RCPT_OK},
        {true, VERDICT_OK, ADDRESS_FOREIGN, 0, false, true, ADMISSION_RCPT_OK},
        {true, VERDICT_OK, 77, 0, true, true, ADMISSION_TRY_LATER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct msg_resolve_re re = {
            .verdict = rows[i].verdict, .kind = rows[i].kind, .has_quota = rows[i].has_quota};
        enum admission p = admission_rcpt(&(struct admission_facts){.may_relay = rows[i].may_relay,
                                                                    .has_login = rows[i].has_login,
                                                                    .has_sender = true},
                                          rows[i].is_answered ? &re : NULL);
        cr_expect_eq(p, rows[i].expected, "row %zu: %s", i, admission_text(p));
    }
}

/* A sender that we gave to mail we sent on. */
Test(admission, a_way_back_is_for_null_senders)
{
    struct msg_resolve_re re = {.verdict = VERDICT_OK, .kind = ADDRESS_LOCAL, .is_return = 1};
    cr_expect_eq(admission_rcpt(&(struct admission_facts){.has_sender = false}, &re),
                 ADMISSION_RCPT_OK);
    cr_expect_eq(admission_rcpt(&(struct admission_facts){.has_sender = true}, &re),
                 ADMISSION_ONLY_REPORTS);
    cr_expect_eq(
        admission_rcpt(
            &(struct admission_facts){.may_relay = true, .has_login = true, .has_sender = true},
            &re),
        ADMISSION_ONLY_REPORTS);
    re.has_quota = 1; /* it has become an address of ours */
    cr_expect_eq(admission_rcpt(&(struct admission_facts){.has_sender = false}, &re),
                 ADMISSION_ASK_ROOM);
}

Test(admission, a_list_is_for_some)
{
    static const struct {
        uint8_t post;
        bool is_member, is_user;
        enum admission expected;
    } rows[] = {
        {POST_ANYONE, false, false, ADMISSION_RCPT_OK},
        {POST_MEMBERS, true, false, ADMISSION_RCPT_OK},
        {POST_MEMBERS, false, false, ADMISSION_ONLY_MEMBERS},
        {POST_MEMBERS, false, true, ADMISSION_ONLY_MEMBERS},
        {POST_USERS, true, false, ADMISSION_ONLY_USERS},
        {POST_USERS, false, true, ADMISSION_RCPT_OK},
        {99, true, false, ADMISSION_ONLY_USERS}, /* an authd that says more than we know */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (uint8_t quota = 0; quota < 2; quota++) {
            struct msg_resolve_re re = {.verdict = VERDICT_OK,
                                        .kind = ADDRESS_LOCAL,
                                        .has_quota = quota,
                                        .post = rows[i].post,
                                        .is_member = rows[i].is_member};
            struct admission_facts f = {.is_user = rows[i].is_user, .has_sender = true};
            enum admission expected = rows[i].expected;
            if (expected == ADMISSION_RCPT_OK && quota == 1)
                expected = ADMISSION_ASK_ROOM;
            cr_expect_eq(admission_rcpt(&f, &re), expected, "row %zu", i);
        }
}

/* A domain whose mail is taken for another host: only who relays anyway is not looked up. */
Test(admission, a_backup_asks_who_exists)
{
    struct msg_resolve_re re = {.verdict = VERDICT_OK, .kind = ADDRESS_FOREIGN};
    struct admission_facts f = {.is_backup = true, .has_sender = true};
    cr_expect_eq(admission_rcpt(&f, &re), ADMISSION_ASK_ROOM);
    f.may_relay = true;
    cr_expect_eq(admission_rcpt(&f, &re), ADMISSION_RCPT_OK);
    f = (struct admission_facts){.is_backup = true, .has_login = true};
    cr_expect_eq(admission_rcpt(&f, &re), ADMISSION_RCPT_OK);
    re.kind = ADDRESS_UNKNOWN; /* the domain is ours: its users decide */
    cr_expect_eq(admission_rcpt(&f, &re), ADMISSION_NO_SUCH_USER);
    cr_expect_eq(admission_rcpt(&f, NULL), ADMISSION_TRY_LATER);
}

Test(admission, room_in_mailboxes)
{
    static const struct {
        uint8_t verdict, reason;
        enum admission expected;
    } rows[] = {
        {VERDICT_OK, INTAKE_OK, ADMISSION_RCPT_OK},
        {VERDICT_TRY_LATER, INTAKE_QUOTA, ADMISSION_MAILBOX_FULL},
        {VERDICT_TRY_LATER, INTAKE_FAULT, ADMISSION_TRY_LATER},
        {VERDICT_NEVER, INTAKE_NOBODY, ADMISSION_NO_SUCH_USER},
        {VERDICT_TRY_LATER, INTAKE_UNVERIFIED, ADMISSION_UNVERIFIED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct msg_queue_room_re re = {.verdict = rows[i].verdict, .reason = rows[i].reason};
        cr_expect_eq(admission_room(&re), rows[i].expected, "row %zu", i);
    }
    cr_expect_eq(admission_room(NULL), ADMISSION_TRY_LATER);
}

Test(admission, a_login_and_its_sender)
{
    static const struct {
        uint8_t verdict, reason;
        enum admission expected;
    } rows[] = {
        {VERDICT_NEVER, LOGIN_WRONG, ADMISSION_LOGIN_WRONG},
        {VERDICT_NEVER, LOGIN_DISABLED, ADMISSION_LOGIN_DISABLED},
        {VERDICT_NEVER, LOGIN_RECEIVE_ONLY, ADMISSION_LOGIN_RECEIVE_ONLY},
        {VERDICT_TRY_LATER, LOGIN_THROTTLED, ADMISSION_LOGIN_THROTTLED},
        {VERDICT_TRY_LATER, LOGIN_DISABLED, ADMISSION_LOGIN_LATER},
        {VERDICT_TRY_LATER, LOGIN_BUSY, ADMISSION_LOGIN_LATER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct msg_login_re re = {.verdict = rows[i].verdict, .reason = rows[i].reason};
        cr_expect_eq(admission_login_refused(&re), rows[i].expected, "row %zu", i);
    }
    cr_expect_eq(admission_login_refused(NULL), ADMISSION_LOGIN_LATER);
    cr_expect_eq(admission_sender(NULL), ADMISSION_TRY_LATER);
    cr_expect_eq(admission_sender(&(struct msg_ticket_re){.verdict = VERDICT_OK}),
                 ADMISSION_SENDER_DONE);
    cr_expect_eq(admission_sender(&(struct msg_ticket_re){.verdict = VERDICT_NEVER}),
                 ADMISSION_NOT_YOURS);
    cr_expect_eq(admission_sender(&(struct msg_ticket_re){.verdict = VERDICT_TRY_LATER}),
                 ADMISSION_LOGIN_LOST);
}

Test(admission, who_a_client_is)
{
    static const struct {
        const char *client;
        enum listen_kind kind;
        bool may_relay, is_let_in;
    } rows[] = {
        {"192.0.2.7", LISTEN_SMTP, true, true},   {"192.0.3.7", LISTEN_SMTP, false, true},
        {"127.0.0.1", LISTEN_SMTP, false, true},  {"192.0.2.7", LISTEN_LMTP, false, true},
        {"192.0.3.7", LISTEN_LMTP, false, false}, {"127.0.0.1", LISTEN_LMTP, false, true},
        {"", LISTEN_SMTP, false, true},           {"", LISTEN_LMTP, false, false},
        {"", LISTEN_SUBMIT, true, true},
    };
    struct config *c = configure("allow_from = 192.0.2.0/24");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct netaddr peer = {.n = 0};
        if (rows[i].client[0] != '\0')
            cr_assert_eq(netaddr_parse(span_of(rows[i].client), &peer), 0);
        cr_expect_eq(admission_may_relay(c, rows[i].kind, &peer), rows[i].may_relay, "row %zu", i);
        cr_expect_eq(admission_connect(c, rows[i].kind, &peer) == ADMISSION_WELCOME,
                     rows[i].is_let_in, "row %zu", i);
    }
    config_free(c);
}

Test(admission, names_and_sizes)
{
    char longest[256];
    memset(longest, 'a', sizeof longest);
    cr_expect(admission_is_helo(SPAN("client.example")) && admission_is_helo(SPAN("[192.0.2.1]")));
    cr_expect(admission_is_helo((struct span){longest, 255}));
    cr_expect_not(admission_is_helo((struct span){longest, 256}));
    cr_expect_not(admission_is_helo(SPAN("")) || admission_is_helo(SPAN("a\tb")));
    cr_expect_eq(admission_size(100, 100), ADMISSION_WELCOME);
    cr_expect_eq(admission_size(101, 100), ADMISSION_TOO_BIG);
}

Test(admission, texts)
{
    cr_expect_str_eq(admission_text(ADMISSION_NO_SUCH_USER), "550 5.1.1 No such mailbox here");
    cr_expect_str_eq(admission_text(ADMISSION_ASK_ROOM), "");
    cr_expect(admission_is_refusal(ADMISSION_TRY_LATER) &&
              admission_is_refusal(ADMISSION_NO_RELAYING));
    cr_expect_not(admission_is_refusal(ADMISSION_RCPT_OK) ||
                  admission_is_refusal(ADMISSION_WELCOME));
}
