#include "common/clock.h"
#include "world.h"

#include <criterion/criterion.h>

#define HI  "EHLO c.test\r\n"
#define TO  "MAIL FROM:<x@y.test>\r\nRCPT TO:<ann@b.test>\r\n"
#define MSG TO "DATA\r\n~hello\r\n.\r\n"

/* '~' ends a flight: what follows is sent when all replies have come. */
static const struct row {
    const char *in, *codes;
    bool ends;
} rows[] = {
    {"", "220 ", false},
    {HI "NOOP\r\nQUIT\r\n", "220 250 250/2.0.0 221/2.0.0 ", true},
    {"helo c.test\r\nnoop x y\r\nquit\r\n", "220 250 250/2.0.0 221/2.0.0 ", true},
    {"EHLO\r\nHELO  \r\nEHLO my_pc-1 (odd) \xe9\r\nEHLO [192.0.2.1]\r\nEHLO a\tb\r\n",
     "220 501/5.5.4 501/5.5.4 250 250 501/5.5.4 ", false},
    {HI MSG, "220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 ", false},
    {HI MSG MSG "QUIT\r\n",
     "220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0 ",
     true},
    /* order */
    {"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n", "220 503/5.5.1 503/5.5.1 503/5.5.1 ", false},
    {HI "RCPT TO:<ann@b.test>\r\nDATA\r\n", "220 250 503/5.5.1 503/5.5.1 ", false},
    {HI "MAIL FROM:<>\r\nMAIL FROM:<>\r\n", "220 250 250/2.1.0 503/5.5.1 ", false},
    {HI "MAIL FROM:<>\r\nDATA\r\n", "220 250 250/2.1.0 554/5.5.1 ", false},
    {HI "MAIL FROM:<>\r\nRCPT TO:<nobody@b.test>\r\nDATA\r\n",
     "220 250 250/2.1.0 550/5.1.1 554/5.5.1 ", false},
    {HI "MAIL FROM:<>\r\nRCPT TO:<return@b.test>\r\nRSET\r\nMAIL FROM:<x@y.test>\r\n"
        "RCPT TO:<return@b.test>\r\n",
     "220 250 250/2.1.0 250/2.1.5 250/2.0.0 250/2.1.0 550/5.7.1 ", false},
    {HI TO "RSET\r\nDATA\r\n", "220 250 250/2.1.0 250/2.1.5 250/2.0.0 503/5.5.1 ", false},
    {HI TO "EHLO c.test\r\nDATA\r\n", "220 250 250/2.1.0 250/2.1.5 250 503/5.5.1 ", false},
    {"RSET\r\nNOOP\r\nVRFY ann\r\nVRFY\r\nEXPN x\r\nHELP\r\nTURN\r\nFOO\r\n\r\n  \r\n",
     "220 250/2.0.0 250/2.0.0 252/2.5.0 501/5.5.4 252/2.5.0 214/2.0.0 502/5.5.1 500/5.5.1 "
     "500/5.5.2 500/5.5.2 ",
     false},
    {"RSET x\r\nQUIT x\r\n", "220 501/5.5.4 501/5.5.4 ", false},
    /* MAIL */
    {HI "MAIL FROM: <x@y.test>  \r\nRSET\r\nmail from:<> size=10 body=8bitmime\r\n",
     "220 250 250/2.1.0 250/2.0.0 250/2.1.0 ", false},
    {HI "MAIL FROM:x@y.test\r\nMAIL FROM <x@y>\r\nMAIL TO:<x@y>\r\nMAIL\r\nMAIL FROM:\r\n",
     "220 250 501/5.1.7 501/5.1.7 501/5.1.7 501/5.1.7 501/5.1.7 ", false},
    {HI "MAIL FROM:<x@y>SIZE=1\r\nMAIL FROM:<x@y\r\nMAIL FROM:<postmaster>\r\n",
     "220 250 501/5.1.7 501/5.1.7 501/5.1.7 ", false},
    {HI "MAIL FROM:<x@y> SIZE=500001\r\nMAIL FROM:<x@y> SIZE=99999999999999999999\r\n"
        "MAIL FROM:<x@y> SIZE=00000000000000500000\r\n",
     "220 250 552/5.3.4 552/5.3.4 250/2.1.0 ", false},
    {HI "MAIL FROM:<x@y> SIZE\r\nMAIL FROM:<x@y> SIZE=-1\r\nMAIL FROM:<x@y> SIZE=1 SIZE=1\r\n"
        "MAIL FROM:<x@y> BODY=9BIT\r\nMAIL FROM:<x@y> SIZE=000000000000000000001\r\n",
     "220 250 501/5.5.4 501/5.5.4 501/5.5.4 501/5.5.4 501/5.5.4 ", false},
    {HI "MAIL FROM:<x@y> XTREME\r\nMAIL FROM:<x@y> AUTH=<>\r\nMAIL FROM:<x@y> X\tY\r\n",
     "220 250 555/5.5.4 555/5.5.4 555/5.5.4 ", false},
    /* RCPT */
    {HI "MAIL FROM:<>\r\nRCPT TO: <ann@b.test>\r\nRCPT TO:<@r.test,@q.test:bob@b.test>\r\n"
        "RCPT TO:<Postmaster>\r\nRCPT TO:<\"ann\"@b.test>\r\n",
     "220 250 250/2.1.0 250/2.1.5 250/2.1.5 250/2.1.5 250/2.1.5 ", false},
    {HI "MAIL FROM:<>\r\nRCPT TO:<>\r\nRCPT TO:ann@b.test\r\nRCPT TO:<ann>\r\n"
        "RCPT TO:<ann@b.test> NOTIFY=NEVER\r\n",
     "220 250 250/2.1.0 501/5.1.3 501/5.1.3 501/5.1.3 250/2.1.5 ", false},
    /* REQUIRETLS (RFC 8689) is for sessions under TLS */
    {HI "MAIL FROM:<x@y> REQUIRETLS\r\n", "220 250 555/5.5.4 ", false},
    /* FUTURERELEASE (RFC 4865) is for submission */
    {HI "MAIL FROM:<x@y> HOLDFOR=60\r\nMAIL FROM:<x@y> HOLDUNTIL=2026-11-22T12:00:00Z\r\n",
     "220 250 555/5.5.4 555/5.5.4 ", false},
    /* DSN (RFC 3461) */
    {HI "MAIL FROM:<x@y> ret=hdrs ENVID=a+2Bb\r\nRSET\r\nMAIL FROM:<x@y> RET=FULL\r\n"
        "RCPT TO:<ann@b.test> ORCPT=rfc822;Ann+2Bx@b.test notify=Success,failure,DELAY\r\n",
     "220 250 250/2.1.0 250/2.0.0 250/2.1.0 250/2.1.5 ", false},
    {HI "MAIL FROM:<x@y> RET=ALL\r\nMAIL FROM:<x@y> RET\r\nMAIL FROM:<x@y> ENVID=\r\n"
        "MAIL FROM:<x@y> ENVID=a=b\r\nMAIL FROM:<x@y> RET=FULL RET=FULL\r\n"
        "MAIL FROM:<x@y> NOTIFY=NEVER\r\n",
     "220 250 501/5.5.4 501/5.5.4 501/5.5.4 501/5.5.4 501/5.5.4 555/5.5.4 ", false},
    {HI "MAIL FROM:<x@y>\r\nRCPT TO:<ann@b.test> NOTIFY=NEVER,SUCCESS\r\n"
        "RCPT TO:<ann@b.test> NOTIFY=\r\nRCPT TO:<ann@b.test> ORCPT=ann@b.test\r\n"
        "RCPT TO:<ann@b.test> ORCPT=rfc822;a+0Ab\r\nRCPT TO:<ann@b.test> RET=FULL\r\n",
     "220 250 250/2.1.0 501/5.5.4 501/5.5.4 501/5.5.4 501/5.5.4 555/5.5.4 ", false},
    {HI "MAIL FROM:<>\r\nRCPT TO:<a@foreign.test>\r\nRCPT TO:<later@b.test>\r\n"
        "RCPT TO:<fault@b.test>\r\nRCPT TO:<odd@b.test>\r\n",
     "220 250 250/2.1.0 550/5.7.1 451/4.3.0 451/4.3.0 451/4.3.0 ", false},
    {HI "MAIL FROM:<>\r\nRCPT TO:<quota@b.test>\r\nRCPT TO:<quota+full@b.test>\r\n"
        "RCPT TO:<quota+stale@b.test>\r\nRCPT TO:<quota+fault@b.test>\r\n"
        "RCPT TO:<quota+odd@b.test>\r\nRCPT TO:<ann@b.test>\r\nDATA\r\n~x\r\n.\r\n",
     "220 250 250/2.1.0 250/2.1.5 452/4.2.2 451/4.3.0 451/4.3.0 451/4.3.0 250/2.1.5 354 250/2.0.0 ",
     false},
    {HI "MAIL FROM:<>\r\nRCPT TO:<quota+full@b.test>\r\nDATA\r\n",
     "220 250 250/2.1.0 452/4.2.2 554/5.5.1 ", false},
    /* SMTPUTF8 (RFC 6531) */
    {HI "MAIL FROM:<j\xc3\xb8@y.test>\r\nMAIL FROM:<x@\xc3\xb8.test>\r\nMAIL "
        "FROM:<j\xc3\xb8@y.test> SMTPUTF8\r\n"
        "RCPT TO:<ann@b.test>\r\nRCPT TO:<\xf8@b.test>\r\nDATA\r\n~x\r\n.\r\n",
     "220 250 553/5.6.7 553/5.6.7 250/2.1.0 250/2.1.5 501/5.1.3 354 250/2.0.0 ", false},
    {HI "MAIL FROM:<x@y.test>\r\nRCPT TO:<\xc3\xb8@b.test>\r\n", "220 250 250/2.1.0 553/5.6.7 ",
     false},
    {HI "MAIL FROM:<x@y> SMTPUTF8=1\r\nMAIL FROM:<x@y> smtputf8 SMTPUTF8\r\nMAIL FROM:<\xff@y> "
        "SMTPUTF8\r\n",
     "220 250 501/5.5.4 501/5.5.4 501/5.1.7 ", false},
    /* BDAT (RFC 3030) */
    {HI TO "BDAT 7\r\nhello\r\nBDAT 0 LAST\r\nNOOP\r\n",
     "220 250 250/2.1.0 250/2.1.5 250/2.0.0 250/2.0.0 250/2.0.0 ", false},
    {HI TO "bdat 7 last\r\nhello\r\n" TO "BDAT 1\r\nhBDAT 5\r\nello\rBDAT 1 LAST\r\n\nQUIT\r\n",
     "220 250 250/2.1.0 250/2.1.5 250/2.0.0 250/2.1.0 250/2.1.5 250/2.0.0 250/2.0.0 250/2.0.0 "
     "221/2.0.0 ",
     true},
    {HI TO "BDAT 20 LAST\r\na\r\n.\r\nMAIL FROM:<>\r\nNOOP\r\n", /* the octets end it, no dot */
     "220 250 250/2.1.0 250/2.1.5 250/2.0.0 250/2.0.0 ", false},
    {HI TO "BDAT 0 LAST\r\n", "220 250 250/2.1.0 250/2.1.5 250/2.0.0 ", false},
    {HI TO "BDAT 3\r\na\r\nDATA\r\n~RCPT TO:<bob@b.test>\r\nMAIL FROM:<>\r\nRSET\r\nBDAT 4 LAST\r\n"
           "RSETNOOP\r\n",
     "220 250 250/2.1.0 250/2.1.5 250/2.0.0 503/5.5.1 503/5.5.1 503/5.5.1 250/2.0.0 503/5.5.1 "
     "250/2.0.0 ",
     false},
    {"BDAT 4 LAST\r\nQUIT" HI "BDAT 6\r\nQUIT\r\nMAIL FROM:<x@y>\r\nBDAT 6\r\nQUIT\r\n"
     "RCPT TO:<ann@b.test>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
     "220 503/5.5.1 250 503/5.5.1 250/2.1.0 554/5.5.1 503/5.5.1 503/5.5.1 250/2.0.0 ", false},
    {HI TO "BDAT 4\r\na\nb\rBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", /* bare newlines; the rest is eaten */
     "220 250 250/2.1.0 250/2.1.5 550/5.6.0 503/5.5.1 250/2.0.0 ", false},
    {HI TO "BDAT 2 LAST\r\na\rNOOP\r\n", "220 250 250/2.1.0 250/2.1.5 550/5.6.0 250/2.0.0 ", false},
    {HI TO "BDAT\r\n", "220 250 250/2.1.0 250/2.1.5 501/5.5.4 ", true},
    {HI TO "BDAT x LAST\r\n", "220 250 250/2.1.0 250/2.1.5 501/5.5.4 ", true},
    {HI TO "BDAT 5 FIRST\r\n", "220 250 250/2.1.0 250/2.1.5 501/5.5.4 ", true},
    {HI TO "BDAT -1 LAST\r\n", "220 250 250/2.1.0 250/2.1.5 501/5.5.4 ", true},
    {HI TO "BDAT 99999999999999999999 LAST\r\n", "220 250 250/2.1.0 250/2.1.5 501/5.5.4 ", true},
    {HI TO "BDAT 9999999999999999999 LAST\r\n", "220 250 250/2.1.0 250/2.1.5 552/5.3.4 ", true},
    {HI "MAIL FROM:<x@y> BODY=BINARYMIME\r\n", "220 250 501/5.5.4 ", false},
    /* one end of data */
    {HI TO "DATA\r\n~a\n.\nMAIL FROM:<>\r\n.\r\nNOOP\r\n",
     "220 250 250/2.1.0 250/2.1.5 354 550/5.6.0 250/2.0.0 ", false},
    {HI TO "DATA\r\n~\0\r\n", "220 250 250/2.1.0 250/2.1.5 354 ", false},
    {HI TO "DATA x\r\n~DATA\r\n~.\r\n", "220 250 250/2.1.0 250/2.1.5 501/5.5.4 354 250/2.0.0 ",
     false},
    /* what is not SMTP */
    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "220 554/5.5.0 ", true},
    {"post /x HTTP/1.1\r\n", "220 554/5.5.0 ", true},
    {"\x16\x03\x01", "220 554/5.5.0 ", true},
    {"\xff\xf4", "220 554/5.5.0 ", true},
    {"NOOP\n", "220 500/5.5.2 ", true},
    {"\nNOOP\r\n", "220 500/5.5.2 ", true},
    {"NO\rOP\r\n", "220 500/5.5.2 ", true},
    {"1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n9\r\n10\r\nNOOP\r\n",
     "220 500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 "
     "500/5.5.1 500/5.5.1 421/4.7.0 ",
     true},
};

static void say_flights(struct world *w, const char *in, size_t step)
{
    struct span rest = span_of(in);
    while (rest.n > 0)
        world_say(w, span_cut(&rest, '~'), step);
}

static void check(const struct row *r, size_t step)
{
    struct world w;
    world_begin(&w);
    say_flights(&w, r->in, step);
    const char *codes = world_codes(&w);
    cr_expect_str_eq(codes, r->codes, "%s in steps of %zu", r->in, step);
    cr_expect_eq(w.is_finished, r->ends, "%s in steps of %zu", r->in, step);
    world_end(&w);
}

Test(session, dialogs)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t step = 1; step < 400; step = step * 3 + 1)
            check(&rows[i], step);
}

Test(session, nul)
{
    struct world w;
    world_begin(&w);
    world_say(&w, (struct span){"NO\0OP\r\n", 7}, 100);
    cr_expect_str_eq(world_codes(&w), "220 500/5.5.2 ");
    cr_expect(w.is_finished);
    world_end(&w);
}

Test(session, extensions_are_listed)
{
    struct world w;
    world_begin(&w);
    world_say(&w, SPAN(HI), 100);
    cr_expect_str_eq(
        w.out, "220 mx.test ESMTP barid\r\n250-mx.test\r\n250-PIPELINING\r\n"
               "250-SIZE 500000\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n"
               "250-SMTPUTF8\r\n250-CHUNKING\r\n250-LIMITS RCPTMAX=1000\r\n250-DSN\r\n250-PRDR\r\n"
               "250 HELP\r\n");
    world_end(&w);
}

/* Octets behind DATA or QUIT in one flight cannot be meant for the server that answers it. */
Test(session, early_talk)
{
    static const char *const inputs[] = {HI TO "DATA\r\nhello\r\n.\r\n", HI "QUIT\r\nNOOP\r\n",
                                         HI TO "DATA\r\nx"};
    for (size_t i = 0; i < 3; i++) {
        struct world w;
        world_begin(&w);
        world_say(&w, span_of(inputs[i]), 1000);
        const char *codes = world_codes(&w);
        cr_expect_str_eq(codes + strlen(codes) - 10, "554/5.5.0 ", "%s", codes);
        cr_expect(w.is_finished);
        cr_expect_eq(w.opens, 0);
        world_end(&w);
    }
    struct world w;
    world_begin(&w);
    world_codes(&w);
    session_greet(w.s, true);
    cr_expect_str_eq(world_codes(&w), "554/5.5.0 ");
    world_end(&w);
}

Test(session, long_lines)
{
    static const struct {
        const char *verb;
        size_t n; /* with CRLF */
        const char *codes;
        bool ends;
    } lines[] = {
        {"NOOP ", 512, "220 250/2.0.0 ", false},   {"NOOP ", 513, "220 500/5.5.2 ", false},
        {"RCPT ", 2048, "220 503/5.5.1 ", false},  {"RCPT ", 2049, "220 500/5.5.2 ", true},
        {"NOOP ", 100000, "220 500/5.5.2 ", true},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct world w;
        char *line = malloc(lines[i].n + 1);
        cr_assert_not_null(line);
        memset(line, 'x', lines[i].n);
        memcpy(line, lines[i].verb, 5);
        memcpy(line + lines[i].n - 2, "\r\n", 2);
        world_begin(&w);
        world_say(&w, (struct span){line, lines[i].n}, 1000);
        cr_expect_str_eq(world_codes(&w), lines[i].codes);
        cr_expect_eq(w.is_finished, lines[i].ends);
        world_end(&w);
        free(line);
    }
}

Test(session, replies_of_a_flight_go_out_together)
{
    struct world w;
    world_begin(&w);
    world_say(&w, SPAN(HI), 1000);
    w.writes = 0;
    world_say(&w, SPAN(TO "RCPT TO:<bob@b.test>\r\nDATA\r\n"), 1000);
    cr_expect_eq(w.writes, 1);
    world_say(&w, SPAN("x\r\n.\r\n" TO "DATA\r\n"), 1000);
    cr_expect_eq(w.writes, 2, "%u", w.writes);
    world_end(&w);
}

Test(session, junk_counts_as_mistakes_over_the_limit)
{
    struct world w;
    world_begin(&w);
    for (int i = 0; i < 110; i++) {
        cr_expect_not(w.is_finished, "%d", i);
        world_say(&w, SPAN("NOOP\r\n"), 100);
    }
    cr_expect(w.is_finished);
    world_end(&w);
}

Test(session, an_accepted_message_forgives)
{
    struct world w;
    world_begin(&w);
    world_say(&w, SPAN(HI), 100);
    for (int i = 0; i < 50; i++) {
        world_say(&w, SPAN("X\r\nX\r\nX\r\nX\r\nX\r\n"), 100);
        say_flights(&w, MSG, 1000);
    }
    cr_expect_not(w.is_finished);
    cr_expect_eq(w.s->accepted, 50);
    world_end(&w);
}

Test(session, room_is_asked_only_where_there_is_a_quota)
{
    struct world w;
    world_begin(&w);
    w.queue_is_down = true;
    world_say(&w, SPAN(HI TO "RCPT TO:<quota@b.test>\r\n"), 1000);
    cr_expect_str_eq(world_codes(&w), "220 250 250/2.1.0 250/2.1.5 451/4.3.0 ");
    w.queue_is_down = false;
    world_say(&w, SPAN("RSET\r\nMAIL FROM:<> SIZE=4711\r\nRCPT TO:<quota@b.test>\r\n"), 1000);
    cr_expect_eq(w.room_size, 4711);
    world_say(&w, SPAN("RCPT TO:<ann@b.test>\r\nDATA\r\n"), 1000);
    world_say(&w, SPAN("x\r\n.\r\n"), 1000);
    cr_expect_str_eq(w.rcpts, "quota@b.test* ann@b.test* ");
    world_end(&w);
}

Test(session, a_session_may_end_while_room_is_asked)
{
    struct world w;
    world_begin(&w);
    w.holds_queue = true;
    world_say(&w, SPAN(HI "MAIL FROM:<>\r\nRCPT TO:<quota@b.test>\r\nNOOP\r\n"), 1000);
    cr_expect_eq(session_due_ms(w.s), INT64_MAX);
    cr_expect_str_eq(world_codes(&w), "220 ");
    session_drain(w.s);
    cr_expect_not(w.is_finished);
    session_free(w.s);
    cr_expect_eq(w.forgets, 1);
    w.s = NULL;
    world_end(&w);
}

Test(session, too_many_recipients)
{
    struct world w;
    world_begin(&w);
    w.s->rules.limits.recipients = 20;
    world_say(&w, SPAN(HI "MAIL FROM:<>\r\n"), 100);
    world_codes(&w);
    for (int i = 0; i < 50; i++) {
        char line[64];
        snprintf(line, sizeof line, "RCPT TO:<ann%d@b.test>\r\nRCPT TO:<ann0@b.test>\r\n", i);
        world_say(&w, span_of(line), 100);
        cr_expect_str_eq(world_codes(&w), i < 20 ? "250/2.1.5 250/2.1.5 " : "452/4.5.3 250/2.1.5 ",
                         "%d", i);
    }
    world_say(&w, SPAN("DATA\r\n"), 100);
    world_say(&w, SPAN(".\r\n"), 100);
    cr_expect_str_eq(world_codes(&w), "354 250/2.0.0 ");
    cr_expect_eq(w.s->accepted, 1);
    world_end(&w);
}

/* --- time --- */

Test(session, a_slow_drip_does_not_extend_a_line)
{
    struct world w;
    clock_fake(1000000, 1795311269000);
    world_begin(&w);
    cr_expect_eq(session_due_ms(w.s), 1300000);
    clock_fake(1100000, 1795311269000);
    world_say(&w, SPAN("NOO"), 1);
    cr_expect_eq(session_due_ms(w.s), 1300000);
    world_say(&w, SPAN("P\r\nN"), 100);
    cr_expect_eq(session_due_ms(w.s), 1400000);
    clock_fake(1100000 + 3500000, 1795311269000);
    world_say(&w, SPAN("OOP\r\n"), 100);
    cr_expect_eq(session_due_ms(w.s), 1000000 + 3600000, "the session's limit");
    world_codes(&w);
    session_expire(w.s);
    cr_expect_str_eq(world_codes(&w), "421/4.4.2 ");
    cr_expect(w.is_finished);
    world_end(&w);
}

static void begin_with_delay(struct world *w)
{
    clock_fake(1000000, 1795311269000);
    world_begin(w);
    w->s->rules.limits.error_delay_ms = 1000;
    world_say(w, SPAN(HI), 100);
    world_codes(w);
}

Test(session, mistakes_are_answered_late)
{
    struct world w;
    begin_with_delay(&w);
    world_say(&w, SPAN("NOOP\r\nFOO\r\nNOOP\r\nBAR\r\nRSET\r\n"), 100);
    cr_expect_str_eq(world_codes(&w), "", "what follows waits too");
    cr_expect_eq(session_due_ms(w.s), 1001000);
    clock_fake(1001000, 1795311269000);
    session_expire(w.s);
    cr_expect_str_eq(world_codes(&w), "250/2.0.0 500/5.5.1 ");
    clock_fake(1002000, 1795311269000);
    session_expire(w.s);
    cr_expect_str_eq(world_codes(&w), "250/2.0.0 500/5.5.1 250/2.0.0 ");
    world_end(&w);
}

Test(session, unknown_recipients_are_answered_late)
{
    struct world w;
    begin_with_delay(&w);
    world_say(&w, SPAN("MAIL FROM:<>\r\nRCPT TO:<nobody@b.test>\r\nRCPT TO:<later@b.test>\r\n"),
              100);
    cr_expect_str_eq(world_codes(&w), "");
    clock_fake(1001000, 1795311269000);
    session_expire(w.s);
    world_say(&w, SPAN("NOOP\r\n"), 100);
    cr_expect_str_eq(world_codes(&w), "250/2.1.0 550/5.1.1 451/4.3.0 250/2.0.0 ", "ours are not");
    cr_expect_eq(session_due_ms(w.s), 1301000);
    world_end(&w);
}

Test(session, the_limit_of_errors_ends_the_waiting_too)
{
    struct world w;
    begin_with_delay(&w);
    w.s->rules.limits.errors = 2;
    world_say(&w, SPAN("FOO\r\nFOO\r\nFOO\r\n"), 100);
    clock_fake(1001000, 1795311269000);
    session_expire(w.s);
    cr_expect_str_eq(world_codes(&w), "500/5.5.1 500/5.5.1 421/4.7.0 ");
    cr_expect(w.is_finished);
    world_end(&w);
}

Test(session, a_stop_does_not_wait_for_those_who_wait)
{
    struct world w;
    begin_with_delay(&w);
    world_say(&w, SPAN("FOO\r\n"), 100);
    session_drain(w.s);
    cr_expect_str_eq(world_codes(&w), "500/5.5.1 421/4.3.2 ");
    cr_expect(w.is_finished);
    world_end(&w);
}

Test(session, content_has_a_minimum_rate)
{
    struct world w;
    char line[102];
    memset(line, 'x', sizeof line);
    memcpy(line + 98, "\r\n", 2);
    clock_fake(1000000, 1795311269000);
    world_begin(&w);
    world_say(&w, SPAN(HI TO "DATA\r\n"), 100);
    cr_expect_eq(session_due_ms(w.s), 1060000);
    for (int i = 0; i < 100; i++)
        world_say(&w, (struct span){line, 100}, 100);
    cr_expect_eq(session_due_ms(w.s), 1080000);
    for (int i = 0; i < 2000; i++)
        world_say(&w, (struct span){line, 100}, 100);
    cr_expect_eq(session_due_ms(w.s), 1300000, "silence has its own limit");
    session_expire(w.s);
    cr_expect(w.is_finished);
    cr_expect_eq(w.aborts, 1);
    world_end(&w);
}

Test(session, nothing_is_due_while_others_are_asked)
{
    struct world w;
    world_begin(&w);
    w.holds_authd = true;
    world_say(&w, SPAN(HI TO), 100);
    cr_expect_eq(session_due_ms(w.s), INT64_MAX);
    session_free(w.s);
    cr_expect_eq(w.forgets, 1);
    w.s = NULL;
    world_end(&w);
}

Test(session, drain)
{
    struct world w;
    world_begin(&w);
    session_drain(w.s);
    cr_expect_str_eq(world_codes(&w), "220 421/4.3.2 ");
    world_end(&w);

    world_begin(&w);
    world_say(&w, SPAN(HI TO "DATA\r\n"), 1000);
    world_codes(&w);
    session_drain(w.s);
    world_say(&w, SPAN("x\r\n.\r\nNOOP\r\n"), 1000);
    cr_expect_str_eq(world_codes(&w), "250/2.0.0 421/4.3.2 ");
    cr_expect(w.is_finished);
    world_end(&w);

    world_begin(&w);
    w.holds_authd = true;
    world_say(&w, SPAN(HI TO), 1000);
    session_drain(w.s);
    cr_expect_not(w.is_finished);
    w.holds_authd = false;
    world_say(&w, SPAN("NOOP\r\n"), 1000);
    cr_expect_str_eq(world_codes(&w), "220 250 250/2.1.0 250/2.1.5 421/4.3.2 ");
    world_end(&w);
}

Test(session, memory_of_an_idle_session)
{
    struct world w;
    world_begin(&w);
    world_say(&w, SPAN(HI), 1000);
    say_flights(&w, MSG, 1000);
    cr_expect_null(w.s->txn);
    cr_expect_null(w.s->out.p);
    cr_expect_lt(sizeof *w.s, 1024);
    world_end(&w);
}

Test(session, vrfy_by_setting)
{
    static const struct {
        enum offered vrfy;
        const char *in, *codes;
    } cases[] = {
        {OFFERED_NO, "VRFY ann@b.test\r\n", "220 252/2.5.0 "},
        {OFFERED_TRUSTED, "VRFY ann@b.test\r\n", "220 252/2.5.0 "},
        {OFFERED_YES, "VRFY ann@b.test\r\nVRFY <ann@b.test>\r\nNOOP\r\n",
         "220 250/2.1.5 250/2.1.5 250/2.0.0 "},
        {OFFERED_YES, "VRFY nobody@b.test\r\nVRFY a@foreign.test\r\nVRFY later@b.test\r\n",
         "220 550/5.1.1 252/2.5.0 451/4.3.0 "},
        {OFFERED_YES, "VRFY ann\r\nVRFY\r\nVRFY <ann@b.test\r\nVRFY ann@b.test x\r\n",
         "220 252/2.5.0 501/5.5.4 252/2.5.0 252/2.5.0 "},
        /* RFC 6531 3.7.4.2 */
        {OFFERED_YES,
         "VRFY ann@b.test SMTPUTF8\r\nVRFY ann\303\251@b.test\r\n"
         "VRFY <ann\303\251@b.test> smtputf8\r\nVRFY SMTPUTF8\r\n",
         "220 250/2.1.5 252/2.6.8 250/2.1.5 252/2.5.0 "},
        /* within a transaction, which stays */
        {OFFERED_YES, HI TO "VRFY nobody@b.test\r\nDATA\r\n~x\r\n.\r\n",
         "220 250 250/2.1.0 250/2.1.5 550/5.1.1 354 250/2.0.0 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        world_begin(&w);
        w.s->rules.vrfy = cases[i].vrfy;
        say_flights(&w, cases[i].in, 1000);
        cr_expect_str_eq(world_codes(&w), cases[i].codes, "case %zu", i);
        world_end(&w);
    }
}

/* RFC 3207 4: what may be said to a listener that requires TLS; the octets of a chunk are no
 * commands. */
Test(session, tls_comes_first)
{
    static const struct tls_info tls = {0};
    struct world w;
    world_begin(&w);
    w.s->rules.requires_tls = true;
    say_flights(&w,
                "MAIL FROM:<a@c.test>\r\nEHLO c.test\r\nHELO c.test\r\nMAIL FROM:<a@c.test>\r\n"
                "NOOP\r\nRSET\r\nVRFY ann@b.test\r\nBDAT 6 LAST\r\nQUIT\r\n",
                1000);
    cr_expect_str_eq(world_codes(&w), "220 530/5.7.0 250 530/5.7.0 530/5.7.0 250/2.0.0 530/5.7.0 "
                                      "530/5.7.0 530/5.7.0 ");
    session_secured(w.s, &tls);
    say_flights(&w, HI TO "QUIT\r\n", 1000);
    cr_expect_str_eq(world_codes(&w), "250 250/2.1.0 250/2.1.5 221/2.0.0 ");
    world_end(&w);
}

Test(session, expn_by_setting)
{
    static const struct {
        enum offered expn;
        const char *in, *codes;
    } cases[] = {
        {OFFERED_NO, "EXPN list@b.test\r\nEXPN\r\n", "220 252/2.5.0 501/5.5.4 "},
        {OFFERED_TRUSTED, "EXPN list@b.test\r\n", "220 252/2.5.0 "},
        {OFFERED_YES, "EXPN list@b.test\r\nEXPN <list@b.test>\r\nNOOP\r\n",
         "220 250/2.1.5 250/2.1.5 250/2.0.0 "},
        {OFFERED_YES,
         "EXPN ann@b.test\r\nEXPN a@foreign.test\r\nEXPN wide@b.test\r\nEXPN odd@b.test\r\n"
         "EXPN later@b.test\r\nEXPN fault@b.test\r\n",
         "220 550/5.1.1 252/2.5.0 252/2.6.8 252/2.5.0 451/4.3.0 451/4.3.0 "},
        /* RFC 6531 3.7.4.2: the reply to this one command may be in UTF-8 */
        {OFFERED_YES,
         "EXPN wide@b.test SMTPUTF8\r\nEXPN <wide@b.test>  smtputf8\r\nEXPN wide@b.test\r\n"
         "EXPN odd@b.test SMTPUTF8\r\nEXPN SMTPUTF8\r\nEXPN wide@b.test SMTPUTF8=1\r\n",
         "220 250/2.1.5 250/2.1.5 252/2.6.8 252/2.5.0 252/2.5.0 252/2.5.0 "},
        {OFFERED_YES, "EXPN wid\303\251@b.test\r\nEXPN list@b.test SMTPUTF8\r\n",
         "220 252/2.6.8 250/2.1.5 "},
        {OFFERED_YES, "EXPN list\r\nEXPN\r\nEXPN <list@b.test\r\nEXPN list@b.test x\r\n",
         "220 252/2.5.0 501/5.5.4 252/2.5.0 252/2.5.0 "},
        /* within a transaction, which stays */
        {OFFERED_YES, HI TO "EXPN list@b.test\r\nDATA\r\n~x\r\n.\r\n",
         "220 250 250/2.1.0 250/2.1.5 250/2.1.5 354 250/2.0.0 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        world_begin(&w);
        w.s->rules.expn = cases[i].expn;
        say_flights(&w, cases[i].in, 1000);
        cr_expect_str_eq(world_codes(&w), cases[i].codes, "case %zu", i);
        world_end(&w);
    }
}

/* A code on every line (RFC 2034 4); a flight of large lists is answered as far as there is room.
 */
Test(session, what_expn_says)
{
    static char flight[4000];
    struct world w;
    world_begin(&w);
    w.s->rules.expn = OFFERED_YES;
    w.s->rules.limits.junk_commands = 1000;
    world_say(&w, SPAN(HI "EXPN list@b.test\r\n"), 1000);
    cr_expect_not_null(strstr(w.out, "\r\n250-EXPN\r\n"));
    cr_expect_not_null(strstr(w.out, "\r\n250-2.1.5 <ann@b.test>\r\n"
                                     "250 2.1.5 <\"a b\"@a-rather-long-foreign.test>\r\n"));
    world_say(&w, SPAN("EXPN wide@b.test SMTPUTF8\r\n"), 1000);
    cr_expect_not_null(strstr(w.out, "\r\n250 2.1.5 <j\303\266rg@b.test>\r\n"));
    world_codes(&w);
    for (size_t i = 0; i < 100; i++)
        memcpy(flight + i * 17, "EXPN big@b.test\r\n", 17);
    world_say(&w, (struct span){flight, 1700}, 1700);
    const char *codes = world_codes(&w);
    cr_expect(strncmp(codes, "250/2.1.5 ", 10) == 0 && strstr(codes, "451/4.3.0") != NULL, "%s",
              codes);
    cr_expect_null(strstr(codes, "421"));
    world_end(&w);
}

Test(session, expn_is_open_when_the_client_goes)
{
    struct world w;
    world_begin(&w);
    w.s->rules.expn = OFFERED_YES;
    w.holds_authd = true;
    world_say(&w, SPAN("EXPN list@b.test\r\nNOOP\r\n"), 100);
    cr_expect_str_eq(world_codes(&w), "220 ");
    world_end(&w); /* nothing is left open */
}

Test(session, vrfy_is_open_when_the_client_goes)
{
    struct world w;
    world_begin(&w);
    w.s->rules.vrfy = OFFERED_YES;
    w.holds_authd = true;
    world_say(&w, SPAN("VRFY ann@b.test\r\nNOOP\r\n"), 100);
    cr_expect_str_eq(world_codes(&w), "220 ");
    world_end(&w); /* nothing is left open */
}
