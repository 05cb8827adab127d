#include "world.h"

#include <criterion/criterion.h>

#define HI "EHLO c.test\r\n"
#define TO "MAIL FROM:<x@y.test> BODY=8BITMIME\r\nRCPT TO:<ann@b.test>\r\n"

static void begin(struct world *w, const char *commands)
{
    world_begin(w);
    world_say(w, span_of(commands), 1000);
    world_codes(w);
}

/* n octets of lines of 100, behind an empty header section. */
static char *lines_of(size_t n)
{
    char *text = malloc(n);
    cr_assert_not_null(text);
    for (size_t i = 0; i < n; i++)
        text[i] = i % 100 == 98 ? '\r' : i % 100 == 99 ? '\n' : (char)('a' + i / 100 % 26);
    memcpy(text, "\r\n", n < 2 ? n : 2);
    return text;
}

static const char *content_behind_trace(struct world *w)
{
    w->content[w->n_content] = '\0';
    cr_assert(strncmp(w->content, "Received: from c.test ([192.0.2.1])\r\n", 37) == 0, "%s",
              w->content);
    const char *date = strstr(w->content, ";\r\n\t");
    cr_assert_not_null(date);
    return strstr(date + 4, "\r\n") + 2;
}

Test(handover, small_content_is_one_message)
{
    struct world w;
    begin(&w, HI TO "RCPT TO:<bob@b.test>\r\nRCPT TO:<ann@B.test>\r\nDATA\r\n");
    world_say(&w, SPAN("A: b\r\n\r\n..x\r\n.\r\n"), 1000);
    cr_expect_str_eq(world_codes(&w), "250/2.0.0 ");
    cr_expect_eq(w.opens, 1);
    cr_expect_eq(w.mores, 0);
    cr_expect(w.had_last);
    cr_expect_str_eq(w.sender, "x@y.test");
    cr_expect_str_eq(w.rcpts, "ann@b.test* bob@b.test* ");
    cr_expect_str_eq(content_behind_trace(&w), "A: b\r\n\r\n.x\r\n");
    cr_expect_null(strstr(w.content, "\tfor "));
    world_end(&w);
}

Test(handover, a_single_recipient_is_named)
{
    struct world w;
    begin(&w, HI TO "DATA\r\n");
    world_say(&w, SPAN(".\r\n"), 1000);
    cr_expect_str_eq(content_behind_trace(&w), "");
    cr_expect_not_null(strstr(w.content, "\tfor <ann@b.test>;"));
    world_end(&w);
}

Test(handover, a_foreign_recipient_has_no_seal)
{
    struct world w;
    world_begin(&w);
    w.s->rules.may_relay = true;
    world_say(&w, SPAN(HI "MAIL FROM:<>\r\nRCPT TO:<a@foreign.test>\r\nDATA\r\n"), 1000);
    world_say(&w, SPAN("x\r\n.\r\n"), 1000);
    cr_expect_str_eq(w.rcpts, "a@foreign.test ");
    cr_expect_str_eq(w.sender, "");
    world_end(&w);
}

Test(handover, what_the_sender_asks_to_be_told)
{
    struct world w;
    world_begin(&w);
    world_say(&w,
              SPAN(HI "MAIL FROM:<> RET=FULL ENVID=Q+20Q\r\n"
                      "RCPT TO:<ann@b.test> NOTIFY=SUCCESS ORCPT=rfc822;x@y.test\r\nDATA\r\n"),
              1000);
    world_say(&w, SPAN("x\r\n.\r\n"), 1000);
    cr_expect(w.ret == RET_FULL && w.notify == NOTIFY_SUCCESS);
    cr_expect_str_eq(w.envid, "Q+20Q");
    cr_expect_str_eq(w.orcpt, "rfc822;x@y.test");
    /* nothing of it is left for the next recipient */
    world_say(&w, SPAN("MAIL FROM:<>\r\nRCPT TO:<ann@b.test>\r\nDATA\r\n"), 1000);
    world_say(&w, SPAN("x\r\n.\r\n"), 1000);
    cr_expect(w.ret == 0 && w.notify == 0 && w.envid[0] == '\0' && w.orcpt[0] == '\0');
    world_end(&w);
}

/* Chunks of any size, also while the queue takes no more for a while. */
Test(handover, chunks_arrive_as_they_were_sent)
{
    static const size_t sizes[] = {1, 7, 1000, 48000, 49152, 70000, 199999};
    static char content[200000], line[80];
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = "0123456789abc\r\n."[i % 16];
    memcpy(content + sizeof content - 4, "xx\r\n", 4);
    for (size_t k = 0; k < 2 * (sizeof sizes / sizeof sizes[0]); k++) {
        struct world w;
        size_t size = sizes[k / 2], at = 0;
        world_begin(&w);
        world_say(&w, SPAN(HI "MAIL FROM:<>\r\nRCPT TO:<ann@b.test>\r\n"), 1000);
        size_t total = size < 1000 ? 1000 * size : sizeof content;
        while (at < total) {
            size_t n = size < total - at ? size : total - at;
            snprintf(line, sizeof line, "BDAT %zu%s\r\n", n, at + n == total ? " LAST" : "");
            w.queue_is_full = k % 2 != 0;
            world_say(&w, span_of(line), 1000);
            world_say(&w, (struct span){content + at, n}, 5000);
            w.queue_is_full = false;
            session_go_on(w.s);
            at += n;
        }
        world_say(&w, SPAN("NOOP\r\n"), 100); /* and the queue answers */
        cr_expect(w.had_last, "size %zu", size);
        cr_assert_gt(w.n_content, total);
        size_t head = w.n_content - total - (content[total - 1] != '\n' ? 2 : 0);
        cr_expect_eq(memcmp(w.content + head, content, total), 0, "size %zu", size);
        cr_expect_eq(w.s->state, STATE_READY);
        world_end(&w);
    }
}

/* [smtp] dsn: who is not offered it gets the answer for what does not exist. */
Test(handover, dsn_is_for_whom_it_is_offered)
{
    static const struct {
        enum offered dsn;
        bool may_relay, is_offered;
    } rows[] = {
        {OFFERED_NO, true, false},
        {OFFERED_TRUSTED, false, false},
        {OFFERED_TRUSTED, true, true},
        {OFFERED_YES, false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        world_begin(&w);
        w.s->rules.dsn = rows[i].dsn;
        w.s->rules.may_relay = rows[i].may_relay;
        world_say(&w, SPAN(HI), 1000);
        cr_expect_eq(strstr(w.out, "250-DSN\r\n") != NULL, rows[i].is_offered, "row %zu", i);
        world_codes(&w);
        world_say(&w, SPAN("MAIL FROM:<x@y> RET=FULL\r\n"), 1000);
        cr_expect_str_eq(world_codes(&w), rows[i].is_offered ? "250/2.1.0 " : "555/5.5.4 ");
        world_end(&w);
    }
}

/* Around every border of a part, whole and in odd pieces: what arrives is what was sent. */
Test(handover, content_arrives_as_it_was_sent)
{
    static const size_t sizes[] = {47000, 48900, 49100, 49200, 65500, 65600, 98300, 150000, 499900};
    static const size_t steps[] = {1000000, 65536, 16384, 1447, 333};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
            struct world w;
            char *text = lines_of(sizes[i]);
            begin(&w, HI TO "DATA\r\n");
            world_say(&w, (struct span){text, sizes[i]}, steps[k]);
            world_say(&w, SPAN(".\r\n"), steps[k]);
            cr_expect_str_eq(world_codes(&w), "250/2.0.0 ");
            cr_expect(w.mores > 0 || sizes[i] < 49200);
            const char *got = content_behind_trace(&w);
            size_t n = w.n_content - (size_t)(got - w.content);
            cr_expect_eq(n, sizes[i]);
            cr_expect(n == sizes[i] && memcmp(got, text, n) == 0);
            world_end(&w);
            free(text);
        }
}

/* Bare newlines double: no part may pass its bound. */
Test(handover, normalised_content_fits)
{
    struct world w;
    char *text = malloc(200000);
    cr_assert_not_null(text);
    memset(text, '\n', 200000);
    world_begin(&w);
    w.s->rules.normalises_newlines = true;
    world_say(&w, SPAN(HI TO "DATA\r\n"), 1000);
    world_say(&w, (struct span){text, 200000}, 65536);
    world_say(&w, SPAN("\r\n.\r\n"), 100);
    const char *got = content_behind_trace(&w);
    cr_expect_eq(w.n_content - (size_t)(got - w.content), 400002);
    world_end(&w);
    free(text);
}

Test(handover, many_recipients_are_sent_in_parts)
{
    struct world w;
    begin(&w, HI "MAIL FROM:<>\r\n");
    w.s->rules.limits.recipients = 1000;
    for (int i = 0; i < 1000; i++) {
        char line[300];
        snprintf(line, sizeof line, "RCPT TO:<ann%d.%0100d@b.test>\r\n", i, i);
        world_say(&w, span_of(line), 1000);
    }
    world_say(&w, SPAN("DATA\r\n"), 100);
    world_say(&w, SPAN("x\r\n.\r\n"), 100);
    cr_expect_eq(w.s->accepted, 1);
    cr_expect_geq(w.mores, 4);
    cr_expect_str_eq(content_behind_trace(&w), "x\r\n");
    world_end(&w);
}

static const struct {
    bool can;
    enum verdict verdict;
    unsigned reason;
    const char *codes;
} answers[] = {
    {true, VERDICT_OK, INTAKE_OK, "250/2.0.0 "},
    {true, VERDICT_TRY_LATER, INTAKE_FAULT, "451/4.3.0 "},
    {true, VERDICT_TRY_LATER, INTAKE_DISK, "452/4.3.1 "},
    {true, VERDICT_TRY_LATER, INTAKE_QUOTA, "452/4.2.2 "},
    {true, VERDICT_TRY_LATER, INTAKE_HELD, "452/4.7.1 "},
    {true, VERDICT_TRY_LATER, INTAKE_STALE, "451/4.3.0 "},
    {true, VERDICT_NEVER, INTAKE_TOO_BIG, "552/5.3.4 "},
    {true, VERDICT_NEVER, INTAKE_RELAYING, "550/5.7.1 "},
    {true, VERDICT_NEVER, INTAKE_CONTENT, "550/5.6.0 "},
    {true, VERDICT_TRY_LATER, INTAKE_TOO_BIG, "451/4.3.0 "},
    {true, VERDICT_NEVER, INTAKE_FAULT, "451/4.3.0 "},
    {true, VERDICT_NEVER, 200, "451/4.3.0 "},
    {true, (enum verdict)9, INTAKE_RELAYING, "451/4.3.0 "},
    {false, VERDICT_OK, INTAKE_OK, "451/4.3.0 "},
};
#define N_ANSWERS (sizeof answers / sizeof answers[0])

Test(handover, what_the_queue_says)
{
    for (size_t i = 0; i < N_ANSWERS; i++) {
        struct world w;
        begin(&w, HI TO "DATA\r\n");
        w.holds_queue = true;
        world_say(&w, SPAN("x\r\n.\r\nNOOP\r\n"), 1000);
        cr_expect_str_eq(world_codes(&w), "", "nothing before the queue has answered");
        world_answer_queue(&w, answers[i].can, answers[i].verdict,
                           (enum intake_reason)answers[i].reason);
        char want[64];
        snprintf(want, sizeof want, "%s250/2.0.0 ", answers[i].codes);
        cr_expect_str_eq(world_codes(&w), want, "%zu", i);
        cr_expect_eq(w.s->accepted, i == 0);
        cr_expect_null(w.s->txn);
        world_end(&w);
    }
}

/* Also when it says so in the middle; but no "yes" counts before the end. */
Test(handover, what_the_queue_says_early)
{
    char *text = lines_of(100000);
    for (size_t i = 0; i < N_ANSWERS; i++) {
        struct world w;
        begin(&w, HI TO "DATA\r\n");
        w.holds_queue = true;
        world_say(&w, (struct span){text, 100000}, 8000);
        world_answer_queue(&w, answers[i].can, answers[i].verdict,
                           (enum intake_reason)answers[i].reason);
        world_say(&w, (struct span){text, 100000}, 8000);
        cr_expect_str_eq(world_codes(&w), "", "nothing before the end of the data");
        world_say(&w, SPAN(".\r\nNOOP\r\n"), 1000);
        char want[64];
        snprintf(want, sizeof want, "%s250/2.0.0 ", i == 0 ? "451/4.3.0 " : answers[i].codes);
        cr_expect_str_eq(world_codes(&w), want, "%zu", i);
        cr_expect_eq(w.s->accepted, 0);
        world_end(&w);
    }
    free(text);
}

Test(handover, queue_is_down)
{
    struct world w;
    begin(&w, HI TO "DATA\r\n");
    w.queue_is_down = true;
    world_say(&w, SPAN("x\r\n.\r\n"), 1000);
    cr_expect_str_eq(world_codes(&w), "451/4.3.0 ");
    world_end(&w);
}

Test(handover, queue_goes_in_the_middle)
{
    struct world w;
    char *text = lines_of(200000);
    begin(&w, HI TO "DATA\r\n");
    world_say(&w, (struct span){text, 100000}, 8000);
    cr_expect_eq(w.opens, 1);
    w.queue_is_down = true;
    world_say(&w, (struct span){text, 200000}, 8000);
    cr_expect_eq(w.aborts, 1);
    w.queue_is_down = false;
    world_say(&w, SPAN(".\r\n"), 1000);
    cr_expect_str_eq(world_codes(&w), "451/4.3.0 ");
    cr_expect_eq(w.opens, 1);
    world_end(&w);
    free(text);
}

Test(handover, authd_is_down)
{
    struct world w;
    world_begin(&w);
    w.authd_is_down = true;
    world_say(&w, SPAN(HI TO "NOOP\r\n"), 1000);
    cr_expect_str_eq(world_codes(&w), "220 250 250/2.1.0 451/4.3.0 250/2.0.0 ");
    world_end(&w);
}

/* Bad content that is found after a part was sent: taken back, and told at the end. */
Test(handover, bad_content_is_taken_back)
{
    static const struct {
        struct span bad;
        const char *codes;
    } rows[] = {
        {{"a\nb\r\n", 5}, "550/5.6.0 "},
        {{"a\0b\r\n", 5}, "550/5.6.0 "},
    };
    char *text = lines_of(600000);
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        begin(&w, HI TO "DATA\r\n");
        world_say(&w, (struct span){text, 60000}, 8000);
        cr_expect_eq(w.opens, 1);
        world_say(&w, rows[i].bad, 8000);
        cr_expect_eq(w.aborts, 1);
        world_say(&w, (struct span){text, 600000}, 65536);
        cr_expect_eq(w.mores, 0);
        world_say(&w, SPAN(".\r\n"), 8000);
        cr_expect_str_eq(world_codes(&w), rows[i].codes);
        cr_expect_not(w.is_finished);
        world_end(&w);
    }
    struct world w;
    begin(&w, HI TO "DATA\r\n");
    world_say(&w, (struct span){text, 600000}, 65536);
    world_say(&w, SPAN(".\r\nNOOP\r\n"), 8000);
    cr_expect_str_eq(world_codes(&w), "552/5.3.4 250/2.0.0 ");
    cr_expect_eq(w.aborts, 1);
    world_end(&w);
    free(text);
}

Test(handover, a_client_that_goes_takes_its_message_along)
{
    struct world w;
    char *text = lines_of(60000);
    begin(&w, HI TO "DATA\r\n");
    world_say(&w, (struct span){text, 60000}, 8000);
    session_free(w.s);
    w.s = NULL;
    cr_expect_eq(w.aborts, 1);
    cr_expect_not(w.had_last);
    world_end(&w);
    free(text);
}

Test(handover, a_full_queue_holds_the_client)
{
    struct world w;
    char *text = lines_of(200000);
    begin(&w, HI TO "DATA\r\n");
    w.queue_is_full = true;
    world_say(&w, (struct span){text, 200000}, 200000);
    cr_expect_eq(w.opens, 1);
    cr_expect_eq(w.mores, 0);
    cr_expect_gt(buf_span(&w.in).n, 140000);
    cr_expect_eq(session_due_ms(w.s), INT64_MAX);
    session_go_on(w.s);
    cr_expect_eq(w.mores, 1);
    w.queue_is_full = false;
    session_go_on(w.s);
    world_say(&w, SPAN(".\r\n"), 10);
    cr_expect_str_eq(world_codes(&w), "250/2.0.0 ");
    world_end(&w);
    free(text);
}

Test(handover, a_held_client_is_let_go_when_the_queue_dies)
{
    struct world w;
    char *text = lines_of(200000);
    begin(&w, HI TO "DATA\r\n");
    w.queue_is_full = true;
    world_say(&w, (struct span){text, 200000}, 200000);
    world_answer_queue(&w, false, VERDICT_OK, INTAKE_OK);
    cr_expect_eq(buf_span(&w.in).n, 0);
    world_say(&w, SPAN(".\r\n"), 10);
    cr_expect_str_eq(world_codes(&w), "451/4.3.0 ");
    world_end(&w);
    free(text);
}

/* What is thrown away has a bound too. */
Test(handover, content_without_an_end)
{
    struct world w;
    char *text = lines_of(1000000);
    begin(&w, HI TO "DATA\r\n");
    for (int i = 0; i < 70 && !w.is_finished; i++)
        world_say(&w, (struct span){text, 1000000}, 1000000);
    cr_expect_str_eq(world_codes(&w), "552/5.3.4 ");
    cr_expect(w.is_finished);
    world_end(&w);
    free(text);
}
