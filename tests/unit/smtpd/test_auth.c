/* AUTH and what a login changes (RFC 4954), on a submission listener. */
#include "common/clock.h"
#include "world.h"

#include <criterion/criterion.h>

#define HI   "EHLO c.test\r\n"
#define ANN  "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n" /* \0ann\0secret */
#define EVE  "AUTH PLAIN AGFubgB4\r\n"         /* \0ann\0x */
#define IN   HI "~" ANN "~"
#define HELD "220 250 235/2.7.0 "

/* '~' ends a flight. */
static const struct row {
    const char *in, *codes;
    bool ends;
} rows[] = {
    {IN, HELD, false},
    /* FUTURERELEASE (RFC 4865) */
    {IN "MAIL FROM:<ann@b.test> HOLDFOR=3600\r\nRSET\r\nMAIL FROM:<ann@b.test> holdfor=1\r\n",
     HELD "250/2.1.0 250/2.0.0 250/2.1.0 ", false},
    {IN "MAIL FROM:<ann@b.test> HOLDFOR=3601\r\nMAIL FROM:<ann@b.test> HOLDFOR=0\r\n"
        "MAIL FROM:<ann@b.test> HOLDFOR=\r\nMAIL FROM:<ann@b.test> HOLDFOR=1234567890\r\n"
        "MAIL FROM:<ann@b.test> HOLDFOR=-1\r\nMAIL FROM:<ann@b.test> HOLDFOR=1h\r\n",
     HELD "501/5.5.4 501/5.5.4 501/5.5.4 501/5.5.4 501/5.5.4 501/5.5.4 ", false},
    {IN "MAIL FROM:<ann@b.test> HOLDUNTIL=2001-01-01T00:00:00Z\r\nRSET\r\n"
        "MAIL FROM:<ann@b.test> HOLDUNTIL=9999-01-01T00:00:00Z\r\n"
        "MAIL FROM:<ann@b.test> HOLDUNTIL=2001-02-30T00:00:00Z\r\n"
        "MAIL FROM:<ann@b.test> HOLDUNTIL=2001-01-01\r\n",
     HELD "250/2.1.0 250/2.0.0 501/5.5.4 501/5.5.4 501/5.5.4 ", false},
    {IN "MAIL FROM:<ann@b.test> HOLDFOR=1 HOLDUNTIL=2001-01-01T00:00:00Z\r\n", HELD "501/5.5.4 ",
     false},
    {HI "~auth plain aGVsbG8=\r\n", "220 250 501/5.5.2 ", false},
    {HI "~AUTH PLAIN\r\n~AGFubgBzZWNyZXQ=\r\n~NOOP\r\n", "220 250 334 235/2.7.0 250/2.0.0 ", false},
    {HI "~AUTH PLAIN\r\n~*\r\n~AUTH PLAIN =\r\n", "220 250 334 501/5.7.0 501/5.5.2 ", false},
    {HI "~AUTH PLAIN AGFubgBzZWNyZXQ\r\n~AUTH PLAIN AGFubgBzZWNyZXQ==\r\n~AUTH PLAIN A*\r\n",
     "220 250 501/5.5.2 501/5.5.2 501/5.5.2 ", false},
    /* ann\0ann\0secret, Ann\0ann\0secret; bob\0ann\0secret */
    {HI "~AUTH PLAIN YW5uAGFubgBzZWNyZXQ=\r\n", "220 250 235/2.7.0 ", false},
    {HI "~AUTH PLAIN QW5uAGFubgBzZWNyZXQ=\r\n", "220 250 235/2.7.0 ", false},
    {HI "~AUTH PLAIN Ym9iAGFubgBzZWNyZXQ=\r\n", "220 250 535/5.7.8 ", false},
    /* \0ann\0sec\0ret; \0\0x; \0ann\0; nothing */
    {HI "~AUTH PLAIN AGFubgBzZWMAcmV0\r\n~AUTH PLAIN AAB4\r\n~AUTH PLAIN AGFubgA=\r\n"
        "~AUTH PLAIN AA==\r\n",
     "220 250 501/5.5.2 501/5.5.2 501/5.5.2 501/5.5.2 ", false},
    {HI "~AUTH LOGIN\r\n~YW5u\r\n~c2VjcmV0\r\n", "220 250 334 334 235/2.7.0 ", false},
    {HI "~AUTH LOGIN YW5u\r\n~c2VjcmV0\r\n", "220 250 334 235/2.7.0 ", false},
    {HI "~AUTH LOGIN\r\n~YW5u\r\n~*\r\n", "220 250 334 334 501/5.7.0 ", false},
    {HI "~AUTH LOGIN\r\n~\r\n~AUTH LOGIN YW5u\r\n~\r\n", "220 250 334 501/5.5.2 334 501/5.5.2 ",
     false},
    /* SCRAM: n,,n=ann,r=x; then "good", the proof, an empty line */
    {HI "~AUTH SCRAM-SHA-256 biwsbj1hbm4scj14\r\n~Z29vZA==\r\n~\r\n~NOOP\r\n",
     "220 250 334 334 235/2.7.0 250/2.0.0 ", false},
    {HI "~AUTH SCRAM-SHA-256\r\n~biwsbj1hbm4scj14\r\n~YmFk\r\n", "220 250 334 334 535/5.7.8 ",
     false},
    {HI "~AUTH SCRAM-SHA-256 biwsbj1ib2Iscj14\r\n~AUTH SCRAM-SHA-256 =\r\n",
     "220 250 535/5.7.8 501/5.5.2 ", false},
    /* who does not accept our proof is not in */
    {HI "~AUTH SCRAM-SHA-256 biwsbj1hbm4scj14\r\n~Z29vZA==\r\n~*\r\n~MAIL FROM:<ann@b.test>\r\n",
     "220 250 334 334 501/5.7.0 530/5.7.0 ", false},
    {HI "~AUTH SCRAM-SHA-256 biwsbj1hbm4scj14\r\n~*\r\n~" ANN, "220 250 334 501/5.7.0 235/2.7.0 ",
     false},
    /* order */
    {ANN "~" HI "~AUTH\r\n~AUTH CRAM-MD5\r\n~AUTH SCRAM-SHA-256-PLUS\r\n",
     "220 503/5.5.1 250 501/5.5.4 504/5.5.4 504/5.5.4 ", false},
    {IN ANN "~AUTH FOO\r\n", HELD "503/5.5.1 503/5.5.1 ", false},
    {IN "MAIL FROM:<ann@b.test>\r\n~AUTH PLAIN\r\n", HELD "250/2.1.0 503/5.5.1 ", false},
    {HI "MAIL FROM:<ann@b.test>\r\nRCPT TO:<ann@b.test>\r\nDATA\r\n~VRFY ann\r\nEXPN ann\r\n"
        "NOOP\r\nRSET\r\nHELP\r\nHELO c.test\r\nQUIT\r\n",
     "220 250 530/5.7.0 530/5.7.0 530/5.7.0 530/5.7.0 530/5.7.0 250/2.0.0 250/2.0.0 214/2.0.0 "
     "250 221/2.0.0 ",
     true},
    /* who speaks ahead does not listen */
    {HI "AUTH PLAIN AGFubgBzZWNyZXQ=\r\nNOOP\r\n", "220 250 554/5.5.0 ", true},
    {HI "~AUTH PLAIN\r\nAGFubgBzZWNyZXQ=\r\n", "220 250 554/5.5.0 ", true},
    {HI "~AUTH LOGIN\r\n~YW5u\r\nc2VjcmV0\r\n", "220 250 334 554/5.5.0 ", true},
    {HI "~AUTH PLAIN\r\n~AGFu\nbgBz\r\n", "220 250 334 500/5.5.2 ", true},
    /* what authd says */
    {HI EVE "~" EVE "~" EVE, "220 250 535/5.7.8 535/5.7.8 535/5.7.8 421/4.7.0 ", true},
    {HI "AUTH PLAIN AGJ1c3kAeA==\r\n~AUTH PLAIN AGZhdWx0AHg=\r\n~AUTH PLAIN AG9mZgB4\r\n"
        "~AUTH PLAIN AG11dGUAeA==\r\n~" ANN,
     "220 250 454/4.7.0 454/4.7.0 535/5.7.13 535/5.7.8 235/2.7.0 ", false},
    {HI "AUTH PLAIN AHNsb3cAeA==\r\n", "220 250 454/4.7.0 ", false},
    /* senders */
    {IN "MAIL FROM:<ann@b.test>\r\nRCPT TO:<x@foreign.test>\r\nDATA\r\n~x\r\n.\r\n",
     HELD "250/2.1.0 250/2.1.5 354 250/2.0.0 ", false},
    {IN "MAIL FROM:<>\r\nRCPT TO:<bob@b.test>\r\n", HELD "250/2.1.0 250/2.1.5 ", false},
    {IN "MAIL FROM:<bob@b.test>\r\nRCPT TO:<bob@b.test>\r\nMAIL FROM:<fault@b.test>\r\n"
        "MAIL FROM:<gone@b.test>\r\nNOOP\r\n",
     HELD "553/5.7.1 503/5.5.1 451/4.3.0 421/4.7.0 ", true},
    {IN "MAIL FROM:<ann@b.test> AUTH=<>\r\nRSET\r\nMAIL FROM:<ann@b.test> AUTH=e+3Dmc2@x.test\r\n"
        "RSET\r\nMAIL FROM:<ann@b.test> AUTH=e+3dx\r\nMAIL FROM:<ann@b.test> AUTH=\r\n"
        "MAIL FROM:<ann@b.test> AUTH=a+4\r\n",
     HELD "250/2.1.0 250/2.0.0 250/2.1.0 250/2.0.0 501/5.5.4 501/5.5.4 501/5.5.4 ", false},
};

static void say_flights(struct world *w, const char *in, size_t step)
{
    struct span rest = span_of(in);
    while (rest.n > 0)
        world_say(w, span_cut(&rest, '~'), step);
}

static bool is_pipelined(const struct row *r)
{
    return strstr(r->codes, "554/") != NULL; /* in single octets nothing is ahead of anything */
}

Test(auth, dialogs)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t step = is_pipelined(&rows[i]) ? 500 : 1; step < 600; step = step * 7 + 1) {
            struct world w;
            world_begin_submission(&w);
            say_flights(&w, rows[i].in, step);
            cr_expect_str_eq(world_codes(&w), rows[i].codes, "%s in steps of %zu", rows[i].in,
                             step);
            cr_expect_eq(w.is_finished, rows[i].ends, "%s", rows[i].in);
            world_end(&w);
        }
}

/* The queue gets the moment, and the request as reports tell it; the next message nothing of it. */
Test(auth, what_is_held)
{
    static const struct {
        const char *param, *request;
        int64_t in_s; /* -1: not to come any more */
    } held[] = {
        {"HOLDFOR=60", "for;60", 60},
        {"HOLDUNTIL=2001-01-01T00:00:00Z", "until;2001-01-01T00:00:00Z", -1},
        {"HOLDUNTIL=2001-01-01T00:00:00.5Z", "until;2001-01-01T00:00:00.5Z", -1},
    };
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++) {
        struct world w;
        char in[200];
        world_begin_submission(&w);
        say_flights(&w, IN, 1000);
        for (int round = 0; round < 2; round++) {
            int64_t now_s = clock_wall_s();
            snprintf(in, sizeof in, "MAIL FROM:<ann@b.test> %s\r\nRCPT TO:<ann@b.test>\r\nDATA\r\n",
                     round == 0 ? held[i].param : "");
            world_say(&w, span_of(in), 1000);
            world_say(&w, SPAN("x\r\n.\r\n"), 1000);
            int64_t expected = round == 0 && held[i].in_s > 0 ? now_s + held[i].in_s : 0;
            cr_expect_str_eq(w.hold_request, round == 0 ? held[i].request : "");
            cr_expect(w.hold_until >= expected &&
                      w.hold_until <= expected + (expected > 0 ? 60 : 0));
        }
        world_end(&w);
    }
}

Test(auth, what_ehlo_says_follows_the_state)
{
    struct world w;
    world_begin_submission(&w);
    world_say(&w, SPAN(HI), 100);
    cr_expect_not_null(strstr(w.out, "\r\n250-AUTH SCRAM-SHA-256 PLAIN LOGIN\r\n"), "%s", w.out);
    w.can_bind = true;
    w.n_out = 0;
    world_say(&w, SPAN(HI), 100);
    w.out[w.n_out] = '\0';
    cr_expect_not_null(strstr(w.out, "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN\r\n"));
    say_flights(&w, ANN, 100);
    w.n_out = 0;
    world_say(&w, SPAN(HI), 100);
    w.out[w.n_out] = '\0';
    cr_expect_null(strstr(w.out, "AUTH"), "%s", w.out);
    world_end(&w);

    world_begin_submission(&w);
    w.s->rules.may_log_in_plain = false;
    world_say(&w, SPAN(HI), 100);
    cr_expect_null(strstr(w.out, "AUTH"));
    world_say(&w, SPAN(ANN), 100);
    cr_expect_str_eq(world_codes(&w), "220 250 538/5.7.11 ");
    world_end(&w);

    world_begin(&w);
    world_say(&w, SPAN(HI ANN), 1000);
    cr_expect_str_eq(world_codes(&w), "220 250 502/5.5.1 ");
    world_end(&w);
}

Test(auth, lines_are_bounded)
{
    static char line[SASL_LINE_MAX + 2];
    struct world w;
    for (size_t n = SASL_LINE_MAX; n <= SASL_LINE_MAX + 1; n++) {
        memset(line, 'A', n);
        memcpy(line + n - 2, "\r\n", 2);
        world_begin_submission(&w);
        say_flights(&w, HI "AUTH PLAIN\r\n", 100);
        world_say(&w, (struct span){line, n}, n);
        cr_expect_str_eq(world_codes(&w),
                         n == SASL_LINE_MAX ? "220 250 334 501/5.5.2 " : "220 250 334 500/5.5.6 ");
        world_end(&w);
    }
    memcpy(line, "AUTH PLAIN ", 11);
    memcpy(line + SASL_LINE_MAX - 2, "\r\n", 2);
    world_begin_submission(&w);
    world_say(&w, SPAN(HI), 100);
    world_say(&w, (struct span){line, SASL_LINE_MAX}, SASL_LINE_MAX);
    cr_expect_str_eq(world_codes(&w), "220 250 501/5.5.2 ");
    world_end(&w);
}

Test(auth, a_message_carries_the_ticket_and_says_that_it_was_authenticated)
{
    struct world w;
    world_begin_submission(&w);
    say_flights(&w, IN "MAIL FROM:<ann@b.test>\r\nRCPT TO:<bob@b.test>\r\nDATA\r\n~x\r\n.\r\n",
                1000);
    cr_expect(w.had_ticket);
    w.content[w.n_content] = '\0';
    cr_expect_not_null(strstr(w.content, " with ESMTPA id "), "%s", w.content);
    w.verdict = VERDICT_TRY_LATER;
    w.reason = INTAKE_LOGIN;
    world_codes(&w);
    say_flights(&w, "MAIL FROM:<ann@b.test>\r\nRCPT TO:<bob@b.test>\r\nDATA\r\n~x\r\n.\r\n", 1000);
    cr_expect_str_eq(world_codes(&w), "250/2.1.0 250/2.1.5 354 421/4.7.0 ");
    cr_expect_eq(w.logouts, 1);
    world_end(&w);
}

Test(auth, a_session_may_end_while_authd_is_asked)
{
    static const char *const inputs[] = {HI ANN, HI "AUTH LOGIN\r\n~YW5u\r\n"};
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        world_begin_submission(&w);
        w.holds_authd = true;
        say_flights(&w, inputs[i], 1000);
        session_drain(w.s);
        struct session *s = w.s;
        cr_expect_eq(w.is_finished, i == 1);
        session_free(s);
        cr_expect_eq(w.logouts, 1);
        w.s = NULL;
        world_end(&w);
    }
}

Test(auth, a_sender_may_be_asked_about_when_the_session_ends)
{
    struct world w;
    world_begin_submission(&w);
    say_flights(&w, IN, 1000);
    w.holds_authd = true;
    world_say(&w, SPAN("MAIL FROM:<ann@b.test>\r\nNOOP\r\n"), 1000);
    cr_expect_str_eq(world_codes(&w), HELD);
    session_free(w.s);
    cr_expect(w.forgets == 1 && w.logouts == 1);
    w.s = NULL;
    world_end(&w);
}

Test(auth, without_authd_nobody_is_refused_for_good)
{
    struct world w;
    world_begin_submission(&w);
    w.authd_is_down = true;
    say_flights(&w, IN, 1000);
    w.authd_is_down = false;
    say_flights(&w, ANN, 1000);
    w.authd_is_down = true;
    say_flights(&w, "MAIL FROM:<ann@b.test>\r\n", 1000);
    cr_expect_str_eq(world_codes(&w), "220 250 454/4.7.0 235/2.7.0 451/4.3.0 ");
    world_end(&w);
}
