/* A verdict for each recipient (queue/verdicts.h). */
#include "world.h"

#include <criterion/criterion.h>

#define CONTENT "Subject: hello\r\n\r\nthere\r\n"
#define OCTETS  strlen(CONTENT "Return-Path: <a@example.net>\r\n")

static struct world w;
static char room[8000];
static struct packer rcpts;

static void begin(void)
{
    world_begin(&w, "");
    w.is_each = 1;
    rcpts = packer_on(room, sizeof room);
}

static void name(const char *address, uint64_t box, uint64_t quota)
{
    world_rcpt(&rcpts, address, box != 0 ? (uint64_t[]){box, 0} : NULL, quota);
}

static void send_it(void)
{
    world_send(&w, "a@example.net", packer_span(&rcpts), CONTENT);
    world_pump(&w);
}

/* What was answered last, a reason for each recipient (ended by -1). */
static void answered(enum verdict whole, const int *reasons)
{
    size_t n = 0;
    cr_assert_gt(w.n_answers, 0);
    cr_expect_eq(w.answers[w.n_answers - 1].verdict, whole);
    for (; reasons[n] >= 0; n++) {
        cr_assert_lt(2 * n + 1, w.each_n, "recipient %zu", n);
        cr_expect_eq(w.each[2 * n + 1], reasons[n], "recipient %zu", n);
        cr_expect_eq(w.each[2 * n], (char)intake_verdict((enum intake_reason)reasons[n]));
    }
    cr_expect_eq(w.each_n, 2 * n);
}

static void counts(const char *sql, int64_t expected)
{
    cr_expect_eq(world_count(&w, sql), expected, "%s: %lld", sql, (long long)world_count(&w, sql));
}

Test(verdicts, a_full_mailbox_refuses_its_own_recipient)
{
    begin();
    name("ann@example.org", 7, 0);
    name("full@example.org", 8, OCTETS - 1);
    name("bob@example.net", 0, 0);
    name("room@example.org", 9, OCTETS);
    send_it();
    answered(VERDICT_OK, (int[]){INTAKE_OK, INTAKE_QUOTA, INTAKE_OK, INTAKE_OK, -1});
    counts("SELECT count(*) FROM message", 1);
    counts("SELECT count(*) FROM entry", 2);
    counts("SELECT count(*) FROM entry WHERE box = 8", 0);
    counts("SELECT count(*) FROM recipient", 1);
    world_end(&w);
}

Test(verdicts, who_has_all_of_them_is_told_so)
{
    begin();
    name("ann@example.org", 7, 0);
    name("bob@example.org", 8, 0);
    send_it();
    answered(VERDICT_OK, (int[]){INTAKE_OK, INTAKE_OK, -1});
    world_end(&w);
}

/* Nothing is stored, and each hears why. */
Test(verdicts, nobody_can_have_it)
{
    begin();
    name("full@example.org", 8, 1);
    name("gone@example.org", 9, 0);
    world_forget(&w, 9);
    send_it();
    answered(VERDICT_TRY_LATER, (int[]){INTAKE_QUOTA, INTAKE_STALE, -1});
    counts("SELECT count(*) FROM message", 0);
    world_end(&w);
}

/* Its target elsewhere is refused with it; a mailbox that another recipient has too is not. */
Test(verdicts, an_alias_is_one_recipient)
{
    struct rcpt alias = {.address = SPAN("all@example.org"), .notify = NOTIFY_SUCCESS};
    begin();
    world_send_local(&w, "a@example.net", 8, CONTENT); /* so that box 8 has no room */
    world_rcpt_asking(&rcpts, &alias, (uint64_t[]){7, 9, 0}, (const char *[]){"x@far.net", NULL});
    name("ann@example.org", 9, 0);
    name("bob@far.net", 0, 0);
    world_forget(&w, 7);
    send_it();
    answered(VERDICT_OK, (int[]){INTAKE_STALE, INTAKE_OK, INTAKE_OK, -1});
    counts("SELECT count(*) FROM entry WHERE box = 9", 1);
    counts("SELECT count(*) FROM recipient", 1); /* and none owed a report of success */
    counts("SELECT count(*) FROM recipient WHERE address = 'bob@far.net'", 1);
    counts("SELECT count(*) FROM event WHERE what = 'sender-rewritten'", 0);
    world_end(&w);
}

Test(verdicts, one_forged_seal_is_not_all_of_them)
{
    begin();
    name("ann@example.org", 7, 0);
    size_t at = rcpts.n;
    name("eve@example.org", 8, 0);
    room[at + 40] ^= 1;
    send_it();
    answered(VERDICT_OK, (int[]){INTAKE_OK, INTAKE_STALE, -1});
    counts("SELECT count(*) FROM entry WHERE box = 8", 0);
    counts("SELECT count(*) FROM entry WHERE box = 7", 1);
    world_end(&w);
}

/* The content is nobody's in particular. */
Test(verdicts, damaged_content_is_refused_as_a_whole)
{
    begin();
    name("ann@example.org", 7, 0);
    name("bob@example.org", 8, 0);
    world_send(&w, "a@example.net", packer_span(&rcpts), "bare\nLF\r\n");
    world_pump(&w);
    cr_expect_eq(w.answers[0].verdict, VERDICT_NEVER);
    cr_expect_eq(w.answers[0].reason, INTAKE_CONTENT);
    cr_expect_eq(w.each_n, 0);
    world_end(&w);
}

/* Mail that is held must have room when it is taken. */
Test(verdicts, of_mail_that_is_held)
{
    begin();
    name("full@example.org", 8, 1);
    name("ann@example.org", 7, 0);
    w.hold_until = WORLD_START_S + 3600;
    send_it();
    world_ticket(&w, VERDICT_OK, TICKET_GOOD);
    world_pump(&w);
    answered(VERDICT_OK, (int[]){INTAKE_QUOTA, INTAKE_OK, -1});
    counts("SELECT count(*) FROM recipient", 1);
    counts("SELECT count(*) FROM recipient WHERE address = 'ann@example.org'", 1);
    world_end(&w);
}

Test(verdicts, who_did_not_ask_gets_one_for_all)
{
    begin();
    w.is_each = 0;
    name("ann@example.org", 7, 0);
    name("full@example.org", 8, 1);
    send_it();
    cr_expect_eq(w.answers[0].reason, INTAKE_QUOTA);
    cr_expect_eq(w.each_n, 0);
    counts("SELECT count(*) FROM message", 0);
    world_end(&w);
}

/* More than the answer could tell of: "later" for all, and nothing is stored. */
Test(verdicts, there_is_a_most)
{
    static char many[(EACH_RCPTS_MAX + 1) * 40];
    begin();
    struct packer p = packer_on(many, sizeof many);
    for (int i = 0; i <= EACH_RCPTS_MAX; i++) {
        struct rcpt r = {.address = SPAN("x@far.net"), .sealed = SPAN("")};
        rcpt_pack(&p, &r);
    }
    cr_assert_not(p.failed);
    w.config->submit_listen.limits.recipients = 2 * EACH_RCPTS_MAX;
    struct span all = packer_span(&p);
    size_t cut = all.n / 3; /* whole records: all are of one size */
    cut -= cut % (all.n / (EACH_RCPTS_MAX + 1));
    struct msg_queue_open m = {.tag = 7,
                               .id = id_new(),
                               .client = SPAN("127.0.0.1"),
                               .helo = SPAN("h"),
                               .rcpts = {all.p, cut},
                               .is_each = 1};
    intake_open(w.q, w.q_smtpd, &m, -1);
    for (size_t at = cut; at < all.n; at += cut) {
        size_t n = all.n - at < cut ? all.n - at : cut;
        struct msg_queue_more more = {.tag = 7,
                                      .rcpts = {all.p + at, n},
                                      .content = SPAN(CONTENT),
                                      .is_last = at + n == all.n};
        intake_more(w.q, w.q_smtpd, &more);
    }
    cr_expect_eq(intake_count(w.q), 0);
    counts("SELECT count(*) FROM message", 0);
    world_end(&w);
}
