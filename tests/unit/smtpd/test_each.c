/* A reply for each recipient: LMTP (RFC 2033 4.2) and PRDR (draft-hall-prdr). */
#include "world.h"

#include <criterion/criterion.h>

#define ENVELOPE                                                                                   \
    "RCPT TO:<ann@b.test>\r\nRCPT TO:<nobody@b.test>\r\nRCPT TO:<bob@b.test>\r\n"                  \
    "RCPT TO:<ann@b.test>\r\n"

static void begin(struct world *w, bool is_lmtp)
{
    world_begin(w);
    w->s->rules.is_lmtp = is_lmtp;
    world_say(w,
              is_lmtp ? SPAN("LHLO c.test\r\nMAIL FROM:<x@y>\r\n" ENVELOPE)
                      : SPAN("EHLO c.test\r\nMAIL FROM:<x@y> PRDR\r\n" ENVELOPE),
              1000);
    world_codes(w);
}

/* What queue says of all, of ann and of bob; what is heard of ann, bob, ann again. */
static const struct {
    enum verdict whole;
    enum intake_reason reason;
    const char *each;
    size_t each_n;
    const char *lmtp, *prdr;
} rows[] = {
    {VERDICT_OK, INTAKE_OK, "", 0, "250/2.0.0 250/2.0.0 250/2.0.0 ",
     "353 250/2.0.0 250/2.0.0 250/2.0.0 250/2.0.0 "},
    {VERDICT_OK, INTAKE_OK, "\0\0\1\3", 4, "250/2.0.0 452/4.2.2 250/2.0.0 ",
     "353 250/2.0.0 452/4.2.2 250/2.0.0 250/2.0.0 "},
    {VERDICT_OK, INTAKE_OK, "\2\6\0\0", 4, "550/5.7.1 250/2.0.0 550/5.7.1 ",
     "353 550/5.7.1 250/2.0.0 550/5.7.1 250/2.0.0 "},
    {VERDICT_NEVER, INTAKE_RELAYING, "\2\6\1\3", 4, "550/5.7.1 452/4.2.2 550/5.7.1 ",
     "353 550/5.7.1 452/4.2.2 550/5.7.1 452/4.2.2 "},
    {VERDICT_NEVER, INTAKE_RELAYING, "\2\6\2\6", 4, "550/5.7.1 550/5.7.1 550/5.7.1 ",
     "353 550/5.7.1 550/5.7.1 550/5.7.1 550/5.7.1 "},
    /* "yes" to somebody, but not to the whole: nobody has it */
    {VERDICT_TRY_LATER, INTAKE_FAULT, "\0\0\1\3", 4, "451/4.3.0 452/4.2.2 451/4.3.0 ",
     "353 451/4.3.0 452/4.2.2 451/4.3.0 451/4.3.0 "},
    /* verdicts of others: nobody knows whose */
    {VERDICT_OK, INTAKE_OK, "\0\0", 2, "451/4.3.0 451/4.3.0 451/4.3.0 ", "451/4.3.0 "},
    {VERDICT_OK, INTAKE_OK, "\0\0\0\0\0\0", 6, "451/4.3.0 451/4.3.0 451/4.3.0 ", "451/4.3.0 "},
    {VERDICT_OK, INTAKE_OK, "\0\0\xff\xff", 4, "250/2.0.0 451/4.3.0 250/2.0.0 ",
     "353 250/2.0.0 451/4.3.0 250/2.0.0 250/2.0.0 "},
    {VERDICT_TRY_LATER, INTAKE_DISK, "", 0, "452/4.3.1 452/4.3.1 452/4.3.1 ", "452/4.3.1 "},
    {VERDICT_NEVER, INTAKE_TOO_BIG, "", 0, "552/5.3.4 552/5.3.4 552/5.3.4 ", "552/5.3.4 "},
};

static void say_content(struct world *w, int way)
{
    if (way == 0) {
        world_say(w, SPAN("DATA\r\n"), 1000);
        world_codes(w);
        world_say(w, SPAN("x\r\n.\r\n"), 1000);
    } else {
        world_say(w, SPAN("BDAT 1\r\nx"), 1000);
        cr_expect_str_eq(world_codes(w), "250/2.0.0 ");
        world_say(w, SPAN("BDAT 2 LAST\r\n\r\n"), 1000);
    }
}

Test(each, what_the_queue_says)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int way = 0; way < 4; way++) {
            struct world w;
            bool is_lmtp = way / 2 == 0;
            begin(&w, is_lmtp);
            w.verdict = rows[i].whole;
            w.reason = rows[i].reason;
            w.each = (struct span){rows[i].each, rows[i].each_n};
            say_content(&w, way % 2);
            cr_expect(w.is_each);
            cr_expect_str_eq(w.rcpts, "ann@b.test* bob@b.test* ");
            cr_expect_str_eq(world_codes(&w), is_lmtp ? rows[i].lmtp : rows[i].prdr, "row %zu", i);
            bool is_taken = rows[i].whole == VERDICT_OK && rows[i].each_n % 4 == 0;
            cr_expect_eq(w.s->accepted, is_taken, "row %zu", i);
            cr_expect_null(w.s->txn);
            world_say(&w, SPAN("NOOP\r\n"), 1000);
            cr_expect_str_eq(world_codes(&w), "250/2.0.0 ");
            world_end(&w);
        }
}

/* The content is refused before the queue decides: as without PRDR. */
Test(each, bad_content)
{
    for (int is_lmtp = 0; is_lmtp < 2; is_lmtp++) {
        struct world w;
        begin(&w, is_lmtp);
        world_say(&w, SPAN("DATA\r\n"), 1000);
        world_codes(&w);
        world_say(&w, SPAN("a\0b\r\n.\r\nNOOP\r\n"), 1000);
        cr_expect_str_eq(world_codes(&w), is_lmtp ? "550/5.6.0 550/5.6.0 550/5.6.0 250/2.0.0 "
                                                  : "550/5.6.0 250/2.0.0 ");
        world_end(&w);
    }
}

/* Who did not ask for it is told of the whole only; and the next message asks anew. */
Test(each, without_prdr)
{
    struct world w;
    begin(&w, false);
    world_say(&w, SPAN("RSET\r\nMAIL FROM:<x@y>\r\n" ENVELOPE "DATA\r\n"), 1000);
    world_codes(&w);
    w.each = SPAN("\0\0\1\3");
    world_say(&w, SPAN("x\r\n.\r\n"), 1000);
    cr_expect_not(w.is_each);
    cr_expect_str_eq(world_codes(&w), "451/4.3.0 ", "it had not asked for them");
    world_end(&w);
}

static const struct {
    bool is_lmtp;
    const char *mail, *codes;
} words[] = {
    {false, "MAIL FROM:<x@y> prdr\r\n", "250/2.1.0 "},
    {false, "MAIL FROM:<x@y> PRDR=1\r\n", "501/5.5.4 "},
    {false, "MAIL FROM:<x@y> PRDR PRDR\r\n", "501/5.5.4 "},
    {true, "MAIL FROM:<x@y> PRDR\r\n", "555/5.5.4 "},
};

Test(each, the_word)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct world w;
        world_begin(&w);
        w.s->rules.is_lmtp = words[i].is_lmtp;
        world_say(&w, words[i].is_lmtp ? SPAN("LHLO c\r\n") : SPAN("EHLO c\r\n"), 1000);
        cr_expect_eq(strstr(w.out, "250-PRDR\r\n") != NULL, !words[i].is_lmtp);
        world_codes(&w);
        world_say(&w, span_of(words[i].mail), 1000);
        cr_expect_str_eq(world_codes(&w), words[i].codes, "row %zu", i);
        world_end(&w);
    }
}

/* A reply for each has to fit: one more recipient than that is for another message. */
Test(each, there_is_a_most)
{
    struct world w;
    begin(&w, false);
    w.s->rules.limits.recipients = 100000;
    for (int i = 3; i < EACH_RCPTS_MAX; i++) {
        world_say(&w, SPAN("RCPT TO:<ann@b.test>\r\n"), 1000);
        cr_expect_str_eq(world_codes(&w), "250/2.1.5 ");
    }
    world_say(&w, SPAN("RCPT TO:<ann@b.test>\r\nRCPT TO:<ann2@b.test>\r\nDATA\r\n"), 1000);
    cr_expect_str_eq(world_codes(&w), "452/4.5.3 452/4.5.3 354 ");
    w.n_out = 0;
    world_say(&w, SPAN("x\r\n.\r\n"), 1000);
    cr_expect_not(w.is_finished);
    cr_expect_eq(w.s->accepted, 1);
    world_end(&w);
}
