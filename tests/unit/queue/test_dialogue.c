#include "world.h"

#include <criterion/criterion.h>
#include <sqlite3.h>

#define CONTENT "Subject: x\r\n\r\nthe text\r\n"
#define FROM    "s@example.org"
#define REPORT  "SELECT CAST(content AS TEXT) FROM message WHERE sender = ''"
#define SAID                                                                                       \
    "0 = connecting to mx.example.net[192.0.2.1]:25\n"                                             \
    "12 < 220 mx ESMTP\n"                                                                          \
    "13 > EHLO mx.example.org\n"                                                                   \
    "20 < 250 mx\n"                                                                                \
    "21 > MAIL FROM:<s@example.org>\n"                                                             \
    "30 < 250 ok\n"                                                                                \
    "31 > RCPT TO:<x@example.net>\n"                                                               \
    "44 < 550 5.1.1 no\n"

static struct world w;

static bool has(const char *text, const char *what)
{
    return text != NULL && strstr(text, what) != NULL;
}

static const char *trace(uint64_t id)
{
    char text[ID_TEXT];
    id_format(text, id);
    world_admin(&w, "trace", (const char *const[]){text, NULL});
    return w.rows;
}

static int64_t kept(void)
{
    return world_count(&w, "SELECT count(*) FROM dialogue");
}

Test(dialogue, is_kept_and_told)
{
    world_begin(&w, "");
    uint64_t id = world_send_remote(&w, FROM, "x@example.net", CONTENT);
    world_pump(&w);
    w.dialogue = SAID;
    world_relay(&w, 0, VERDICT_TRY_LATER, "450 4.2.0 later");
    const char *rows = trace(id);
    cr_expect(has(rows, "1 attempt=1 began="), "%s", rows);
    cr_expect(has(rows, "remote=mx.example.net[192.0.2.1]:25"), "%s", rows);
    cr_expect(has(rows, "1 attempt=1 ms=0 who== said=connecting to mx.example.net[192"));
    cr_expect(has(rows, "1 attempt=1 ms=44 who=< said=550 5.1.1 no\n"), "%s", rows);
    cr_expect_eq(world_count(&w, "SELECT dialogue FROM recipient"), 1);
    cr_expect_eq(world_count(&w, "SELECT dialogue FROM event WHERE what = 'deferred'"), 1);
    cr_expect_eq(world_count(&w, "SELECT began FROM dialogue"), WORLD_START_S * 1000LL - 500);
    world_end(&w);
}

/* A relay that was taken over can say what it likes. */
Test(dialogue, nonsense_is_no_more_than_that)
{
    world_begin(&w, "");
    uint64_t id = world_send_remote(&w, FROM, "x@example.net", CONTENT);
    world_pump(&w);
    w.dialogue =
        "\n\n \n12\n12 \n12 <\n-1 < a\n99999999999999999999 < b\n5 < \x1b[2J\xff\r\n7 zz c\n8 > d";
    world_relay(&w, 0, VERDICT_TRY_LATER, "450 4.2.0 later");
    const char *rows = trace(id);
    cr_expect(has(rows, "ms=5 who=< said=?[2J??\n"), "%s", rows);
    cr_expect(has(rows, "ms=8 who=> said=d\n"), "%s", rows);
    cr_expect(has(rows, "ms=12 who=< said=\n"), "%s", rows);
    cr_expect_not(has(rows, "said=a"));
    cr_expect_not(has(rows, "said=b"));
    cr_expect_not(has(rows, "said=c"));
    world_end(&w);
}

Test(dialogue, of_one_message_the_last_ones)
{
    world_begin(&w, "retry = 1s\nexpire = 30d\n");
    uint64_t id = world_send_remote(&w, FROM, "x@example.net", CONTENT);
    world_pump(&w);
    for (size_t i = 0; i < 30; i++) {
        char said[64];
        snprintf(said, sizeof said, "0 < the attempt %zu\n", i);
        w.dialogue = said;
        cr_assert_eq(w.n_jobs, i + 1);
        world_relay(&w, i, VERDICT_TRY_LATER, "450 4.2.0 later");
        world_pass(&w, 10);
    }
    cr_expect_eq(kept(), 20);
    const char *rows = trace(id);
    cr_expect(has(rows, "the attempt 29\n") && has(rows, "the attempt 10\n"), "%s", rows);
    cr_expect_not(has(rows, "the attempt 9\n"));
    world_end(&w);
}

static void attempt(size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++) {
        world_send_remote(&w, FROM, "x@example.net", CONTENT);
        world_pump(&w);
        w.dialogue = text;
        world_relay(&w, w.n_jobs - 1, VERDICT_OK, "250 ok");
    }
}

Test(dialogue, goes_after_its_time)
{
    world_begin(&w, "[queue]\ndialogues = 1h\n");
    attempt(2, "0 < old\n");
    world_pass(&w, 1800);
    attempt(1, "0 < new\n");
    cr_expect_eq(kept(), 3);
    world_pass(&w, 1900);
    world_pass(&w, 100);
    cr_expect_eq(kept(), 1);
    world_pass(&w, 3600);
    world_pass(&w, 100);
    cr_expect_eq(kept(), 0);
    world_end(&w);
}

Test(dialogue, of_too_many_octets_the_oldest_goes)
{
    world_begin(&w, "[queue]\ndialogues_max = 1M\n");
    attempt(30, "0 < x\n");
    cr_assert_eq(batch_begin(&w.q->batch), 0);
    cr_assert_eq(store_dialogues_sweep(w.q->store, 0, 60), 0);
    batch_keep(&w.q->batch, NULL);
    world_pump(&w);
    cr_expect_eq(kept(), 10); /* of six octets */
    cr_expect_eq(world_count(&w, "SELECT min(id) FROM dialogue"), 21);
    world_end(&w);
}

Test(dialogue, can_be_switched_off)
{
    world_begin(&w, "[queue]\ndialogues = 0s\n");
    attempt(1, SAID);
    cr_expect_eq(kept(), 0);
    world_end(&w);
}

Test(dialogue, of_who_was_not_asked_there_is_none)
{
    world_begin(&w, "");
    uint64_t id = world_send_remote(&w, FROM, "x@example.net", CONTENT);
    world_pump(&w);
    world_relay(&w, 0, VERDICT_TRY_LATER, "451 4.4.3 no DNS");
    cr_expect_eq(kept(), 0);
    cr_expect_not(has(trace(id), " began="));
    world_end(&w);
}

static char *report(void)
{
    cr_assert_gt(w.n_asked, 0U);
    world_resolve(&w, w.n_asked - 1, ADDRESS_LOCAL, 99);
    return world_text(&w, REPORT);
}

Test(dialogue, is_quoted_in_the_report)
{
    world_begin(&w, "");
    world_send_remote(&w, FROM, "x@example.net", CONTENT);
    world_pump(&w);
    w.dialogue = SAID;
    world_relay(&w, 0, VERDICT_NEVER, "550 5.1.1 no");
    char *text = report();
    const char *experts = strstr(text, "The rest of this part is for experts");
    const char *machine = strstr(text, "Content-Type: message/delivery-status");
    cr_assert(experts != NULL && machine != NULL && experts < machine, "%s", text);
    cr_expect(has(experts, "\r\n    13 > EHLO mx.example.org\r\n"), "%s", text);
    cr_expect(has(experts, "\r\n    31 > RCPT TO:<x@example.net>\r\n    44 < 550 5.1.1 no\r\n"));
    free(text);
    world_end(&w);
}

/* An alias may lead to addresses that the sender does not know. */
Test(dialogue, others_are_not_named_in_the_report)
{
    char room[4000];
    struct packer p = packer_on(room, sizeof room);
    world_begin(&w, "");
    world_rcpt(&p, "x@example.net", NULL, 0);
    world_rcpt(&p, "secret@example.net", NULL, 0);
    world_send(&w, FROM, packer_span(&p), CONTENT);
    world_pump(&w);
    cr_assert_eq(w.jobs[0].n, 2U);
    w.dialogue = "0 < 220 mx ready\n"
                 "1 > MAIL FROM:<s@example.org>\n"
                 "2 > RCPT TO:<x@example.net>\n"
                 "2 > RCPT TO:<secret@example.net>\n"
                 "3 < 250 sender ok\n"
                 "4 < 550 5.1.1 no x here\n"
                 "5 < 250 Secret is welcome\n"
                 "6 < 450 <SECRET@example.net> later\n";
    struct msg_relay_job_re re = {
        .tag = w.jobs[0].tag, .remote = SPAN("mx[192.0.2.1]:25"), .dialogue = span_of(w.dialogue)};
    char octets[200];
    struct packer results = packer_on(octets, sizeof octets);
    for (size_t i = 0; i < 2; i++) {
        bool is_x = w.jobs[0].rcpts[i][0] == 'x';
        pack_uint(&results, w.jobs[0].numbers[i], 4);
        pack_uint(&results, is_x ? VERDICT_NEVER : VERDICT_TRY_LATER, 1);
        pack_bytes(&results, is_x ? SPAN("550 5.1.1 no x here") : SPAN("450 later"));
    }
    re.results = packer_span(&results);
    cr_assert_eq(ipc_send_relay_job_re(w.relay, &re, -1), 0);
    world_pump(&w);
    char *text = report();
    cr_expect(has(text, "    0 < 220 mx ready\r\n"), "%s", text);
    cr_expect(has(text, "    2 > RCPT TO:<x@example.net>\r\n"), "%s", text);
    cr_expect(has(text, "    4 < 550 5.1.1 no x here\r\n"));
    cr_expect(has(text, "    5 < 250 [of others]\r\n"));
    cr_expect(has(text, " > RCPT TO [of others]\r\n"));
    cr_expect_not(has(text, "secret"));
    cr_expect_not(has(text, "Secret"));
    cr_expect_not(has(text, "SECRET"));
    free(text);
    world_end(&w);
}

Test(dialogue, version_6_becomes_ours_with_its_recipients)
{
    world_begin(&w, "");
    world_send_remote(&w, FROM, "x@example.net", CONTENT);
    world_pump(&w);
    world_restart_older(&w, WORLD_UNDO_7 "PRAGMA user_version = 6");
    world_pass(&w, 2);
    cr_expect_eq(world_count(&w, "PRAGMA user_version"), MAILDB_VERSION);
    w.dialogue = SAID;
    world_relay(&w, w.n_jobs - 1, VERDICT_TRY_LATER, "450 later");
    cr_expect_eq(world_count(&w, "SELECT dialogue FROM recipient"), 1);
    world_end(&w);
}
