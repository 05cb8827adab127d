#include "world.h"

#include <criterion/criterion.h>

#define CONTENT "Subject: hello\r\n\r\nthere\r\n"

static struct world w;
static uint64_t ids[3];

/* Three messages: one deferred, one held, one being tried. */
static void begin(void)
{
    world_begin(&w, "");
    ids[0] = world_send_remote(&w, "a@example.org", "x@one.example", CONTENT);
    world_pump(&w);
    world_relay(&w, 0, VERDICT_TRY_LATER, "450 4.2.0 later");
    w.now_s += 60;
    clock_fake(1000000, w.now_s * 1000);
    ids[1] = world_send_remote(&w, "b@example.org", "y@two.example", CONTENT);
    world_pump(&w);
    world_relay(&w, 1, VERDICT_TRY_LATER, "451 busy");
    world_admin(&w, "queue hold", (const char *[]){"to=y@two.example", NULL});
    cr_assert_eq(w.admin_re.verdict, VERDICT_OK);
    ids[2] = world_send_remote(&w, "", "z@two.example", CONTENT);
    world_pump(&w);
}

static const char *text_of(uint64_t id)
{
    static char text[ID_TEXT];
    id_format(text, id);
    return text;
}

static size_t count(const char *what)
{
    size_t n = 0;
    for (const char *p = w.rows; (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

Test(control, list_shows_states)
{
    begin();
    world_admin(&w, "queue list", NULL);
    cr_assert_eq(count("0 id="), 3, "%s", w.rows);
    cr_assert_eq(count("1 address="), 3);
    cr_expect(strstr(w.rows, "state=deferred from=a@example.org size=25 ") != NULL, "%s", w.rows);
    cr_expect(strstr(w.rows, "1 address=x@one.example state=deferred attempts=1 ") != NULL);
    cr_expect(strstr(w.rows, "last_reply=450 4.2.0 later\n") != NULL);
    cr_expect(strstr(w.rows, "1 address=y@two.example state=held attempts=1 next_attempt=0 ") !=
              NULL);
    cr_expect(strstr(w.rows, "1 address=z@two.example state=active attempts=0 ") != NULL);
    world_admin(&w, "queue depth", NULL);
    cr_expect_str_eq(w.rows, "0 due=1 deferred=1 held=1\n");
    world_end(&w);
}

static int refuse(struct batch_part *p)
{
    (void)p;
    return -1;
}

/* What of a commit is written last cannot be: all of it is taken back, though no statement failed
 * and nothing is broken. */
Test(control, what_was_taken_back_is_not_said_to_be_done)
{
    struct batch_part part = {.write = refuse};
    begin();
    batch_add_part(&w.q->batch, &part);
    world_admin(&w, "queue remove", (const char *[]){text_of(ids[0]), NULL});
    cr_expect_eq(w.admin_re.verdict, VERDICT_TRY_LATER, "%s", w.rows);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 3);
    batch_remove_part(&w.q->batch, &part);
    world_admin(&w, "queue remove", (const char *[]){text_of(ids[0]), NULL});
    cr_expect_eq(w.admin_re.verdict, VERDICT_OK);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 2);
    world_end(&w);
}

Test(control, filters_choose)
{
    static const struct {
        const char *args[4];
        size_t n;
    } rows[] = {
        {{NULL}, 3},
        {{"from=a@example.org"}, 1},
        {{"from=A@EXAMPLE.ORG"}, 1},
        {{"from=@example.org"}, 2},
        {{"from=<>"}, 1},
        {{"from=nobody@example.org"}, 0},
        {{"to=z@two.example"}, 1},
        {{"to=@two.example"}, 2},
        {{"domain=two.example"}, 2},
        {{"domain=TWO.example"}, 2},
        {{"domain=example"}, 0},
        {{"state=held"}, 1},
        {{"state=active"}, 1},
        {{"state=bounced"}, 0},
        {{"older=60"}, 1},
        {{"older=1m"}, 1},
        {{"older=61s"}, 0},
        {{"older=1h"}, 0},
        {{"limit=2"}, 2},
        {{"larger=1"}, 3},
        {{"larger=1K"}, 0},
        {{"domain=two.example", "state=held"}, 1},
        {{"domain=one.example", "state=held"}, 0},
    };
    begin();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world_admin(&w, "queue list", rows[i].args);
        cr_expect_eq(w.admin_re.verdict, VERDICT_OK, "%s: %s", rows[i].args[0], w.admin_error);
        cr_expect_eq(count("0 id="), rows[i].n, "%s:\n%s", rows[i].args[0], w.rows);
    }
    world_end(&w);
}

Test(control, a_dry_run_changes_nothing)
{
    begin();
    int64_t before = world_count(&w, "SELECT count(*) FROM recipient");
    world_admin(&w, "queue remove", (const char *[]){"domain=two.example", "dry-run=yes", NULL});
    cr_expect_eq(w.admin_re.verdict, VERDICT_OK, "%s", w.admin_error);
    cr_expect_eq(count("0 id="), 2, "%s", w.rows);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient"), before);
    world_admin(&w, "queue remove", (const char *[]){"domain=two.example", NULL});
    cr_expect_eq(count("0 id="), 2, "%s", w.rows);
    cr_expect_lt(world_count(&w, "SELECT count(*) FROM recipient"), before);
    world_end(&w);
}

Test(control, several_ids_can_be_named)
{
    char a[ID_TEXT], b[ID_TEXT];
    begin();
    id_format(a, ids[2]);
    id_format(b, ids[0]);
    world_admin(&w, "queue list", (const char *[]){a, b, a, NULL});
    cr_expect_eq(count("0 id="), 2, "%s", w.rows);
    cr_expect(strstr(w.rows, text_of(ids[1])) == NULL);
    world_admin(&w, "queue list", (const char *[]){a, b, "from=<>", NULL});
    cr_expect_eq(count("0 id="), 1, "%s", w.rows);
    world_admin(&w, "queue remove", (const char *[]){a, b, NULL});
    cr_expect_eq(count("0 id="), 2, "%s", w.rows);
    cr_expect_eq(world_count(&w, "SELECT id FROM message"), (int64_t)ids[1]);
    world_end(&w);
}

Test(control, show_is_of_ids_or_of_a_filter)
{
    begin();
    world_admin(&w, "queue show", (const char *[]){"domain=two.example", NULL});
    cr_expect_eq(w.admin_re.verdict, VERDICT_OK, "%s", w.admin_error);
    cr_expect_eq(count("0 id="), 2, "%s", w.rows);
    char a[ID_TEXT], b[ID_TEXT];
    id_format(a, ids[0]);
    id_format(b, ids[2]);
    world_admin(&w, "queue show", (const char *[]){a, b, NULL});
    cr_expect_eq(count("0 id="), 2, "%s", w.rows);
    world_end(&w);
}

Test(control, zero_is_an_age_and_a_size)
{
    static const char *const rows[] = {"older=0s", "older=0", "larger=0", "larger=0K"};
    begin();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world_admin(&w, "queue hold", (const char *[]){rows[i], "dry-run=yes", NULL});
        cr_expect_eq(w.admin_re.verdict, VERDICT_OK, "%s: %s", rows[i], w.admin_error);
        cr_expect_eq(count("0 id="), 2, "%s: %s", rows[i], w.rows); /* the third is held */
    }
    world_end(&w);
}

Test(control, nonsense_is_refused_with_a_reason)
{
    static const struct {
        const char *command;
        const char *args[3];
    } rows[] = {
        {"queue list", {"state=happy"}},
        {"queue list", {"older=soon"}},
        {"queue list", {"older=-1"}},
        {"queue list", {"limit=0"}},
        {"queue list", {"larger=big"}},
        {"queue list", {"larger=-1"}},
        {"queue list", {"older="}},
        {"queue remove", {"dry-run=yes"}},
        {"queue show", {NULL}},
        {"queue show", {"notanid"}},
        {"queue show", {"0123456789abc"}},
        {"queue show", {"to=nobody@example.net"}},
        {"queue retry", {NULL}},
        {"queue remove", {NULL}},
        {"queue remove", {"limit=5"}},
        {"queue remove", {"to=nobody@example.net"}},
        {"queue release", {"to=x@one.example"}}, /* it is not held */
        {"queue nonsense", {NULL}},
        {"box show", {NULL}},
        {"box show", {"x"}},
    };
    begin();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world_admin(&w, rows[i].command, rows[i].args);
        cr_expect_eq(w.admin_re.verdict, VERDICT_NEVER, "%s", rows[i].command);
        cr_expect_neq(w.admin_error[0], '\0', "%s", rows[i].command);
    }
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM recipient"), 3);
    world_end(&w);
}

Test(control, retry_makes_it_due)
{
    begin();
    world_admin(&w, "queue retry", (const char *[]){text_of(ids[0]), NULL});
    cr_assert_eq(w.admin_re.verdict, VERDICT_OK);
    cr_assert(strstr(w.rows, "recipients=1\n") != NULL);
    world_pump(&w);
    cr_assert_eq(w.n_jobs, 4);
    cr_assert_eq(w.jobs[3].id, ids[0]);
    world_end(&w);
}

Test(control, held_waits_until_it_is_released)
{
    begin();
    size_t n = w.n_jobs;
    world_pass(&w, 4000);
    cr_assert_eq(w.n_jobs, n + 1); /* only the deferred one */
    world_admin(&w, "queue release", (const char *[]){text_of(ids[1]), NULL});
    cr_assert_eq(w.admin_re.verdict, VERDICT_OK);
    world_pass(&w, 1);
    cr_assert_eq(w.n_jobs, n + 2);
    cr_assert_eq(w.jobs[n + 1].id, ids[1]);
    world_end(&w);
}

Test(control, hold_while_it_is_tried_keeps_the_result)
{
    begin();
    world_admin(&w, "queue hold", (const char *[]){text_of(ids[2]), NULL});
    world_relay(&w, 2, VERDICT_TRY_LATER, "450 later");
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM recipient WHERE state = 1"), 2);
    world_admin(&w, "queue release", (const char *[]){"state=held", NULL});
    world_pass(&w, 1);
    cr_assert_eq(w.n_jobs, 5);
    world_relay(&w, 3, VERDICT_OK, "250 ok");
    world_relay(&w, 4, VERDICT_OK, "250 ok");
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    world_end(&w);
}

Test(control, remove_takes_it_away_even_while_it_is_tried)
{
    begin();
    world_admin(&w, "queue remove", (const char *[]){"domain=two.example", NULL});
    cr_assert_eq(w.admin_re.verdict, VERDICT_OK);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    world_relay(&w, 2, VERDICT_NEVER, "550 too late");
    cr_assert_eq(w.n_asked, 0);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    world_end(&w);
}

Test(control, bounce_tells_the_sender)
{
    begin();
    world_admin(&w, "queue bounce", (const char *[]){text_of(ids[1]), NULL});
    cr_assert_eq(w.admin_re.verdict, VERDICT_OK);
    world_pump(&w);
    cr_assert_eq(w.n_asked, 1);
    cr_assert_str_eq(w.asked[0], "b@example.org");
    world_resolve(&w, 0, ADDRESS_LOCAL, 17);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM entry WHERE box = 17"), 1);
    world_end(&w);
}

Test(control, what_arrived_after_all_is_not_bounced)
{
    static const enum verdict verdicts[] = {VERDICT_OK, VERDICT_TRY_LATER};
    for (size_t i = 0; i < 2; i++) {
        world_begin(&w, "");
        world_send_remote(&w, "a@example.org", "x@one.example", CONTENT);
        world_pump(&w);
        world_admin(&w, "queue bounce", (const char *[]){"to=x@one.example", NULL});
        cr_assert_eq(w.n_asked, 0); /* it is being tried: wait for that */
        world_relay(&w, 0, verdicts[i], "250 ok");
        cr_assert_eq(w.n_asked, i);
        cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), (int64_t)i);
        world_end(&w);
    }
}

Test(control, a_message_is_listed_whole_if_one_recipient_is_meant)
{
    char room[4000];
    struct packer p = packer_on(room, sizeof room);
    world_begin(&w, "");
    world_rcpt(&p, "x@one.example", NULL, 0);
    world_rcpt(&p, "y@two.example", NULL, 0);
    world_rcpt(&p, "z@three.example", NULL, 0);
    world_send(&w, "a@example.org", packer_span(&p), CONTENT);
    world_pump(&w);
    world_relay(&w, 0, VERDICT_OK, "250 ok");
    world_relay(&w, 1, VERDICT_TRY_LATER, "450 later");
    world_admin(&w, "queue list", (const char *[]){"to=x@one.example", NULL});
    cr_expect_eq(count("1 address="), 3, "%s", w.rows);
    cr_expect(strstr(w.rows, "state=active from=") != NULL, "%s", w.rows); /* as a whole */
    cr_expect(strstr(w.rows, "x@one.example state=done attempts=1 ") != NULL, "%s", w.rows);
    world_admin(&w, "queue remove", (const char *[]){"to=z@three.example", NULL});
    world_admin(&w, "queue list", NULL);
    cr_expect_eq(count("1 address="), 2, "%s", w.rows);
    cr_expect(strstr(w.rows, "state=deferred from=") != NULL, "%s", w.rows);
    world_end(&w);
}

Test(control, long_lists_come_in_pages)
{
    world_begin(&w, "");
    ipc_close(w.relay);
    w.relay = NULL;
    world_pump(&w);
    w.q_relay = NULL;
    for (int i = 0; i < 700; i++) {
        world_send_remote(&w, "a@example.org", "x@one.example", CONTENT);
        w.n_answers = 0;
        if (i % 50 == 49)
            world_pump(&w);
        w.n_answers = 0;
    }
    world_pump(&w);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 700);
    static char id[ID_TEXT];
    id_format(id, (uint64_t)world_count(&w, "SELECT max(id) FROM message"));
    world_admin(&w, "queue show", (const char *[]){id, NULL});
    cr_assert_eq(count("0 id="), 1);
    world_admin(&w, "queue hold", (const char *[]){"domain=one.example", NULL});
    cr_assert_eq(w.admin_re.verdict, VERDICT_OK);
    cr_assert_eq(count("0 id="), 700);
    world_admin(&w, "queue remove", (const char *[]){"state=held", NULL});
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_end(&w);
}

Test(control, mailboxes_are_counted)
{
    world_begin(&w, "");
    world_send_local(&w, "", 7, CONTENT);
    world_send_local(&w, "", 7, CONTENT);
    world_send_local(&w, "", 9, CONTENT);
    world_pump(&w);
    world_admin(&w, "box show", (const char *[]){"7", NULL});
    char want[200];
    snprintf(want, sizeof want,
             "0 messages=2 octets=%zu oldest=%d deleted=0 retention=0 retention_of=configuration\n",
             2 * strlen(CONTENT "Return-Path: <>\r\n"), WORLD_START_S);
    cr_expect_str_eq(w.rows, want);
    world_admin(&w, "box show", (const char *[]){"8", NULL});
    cr_expect_str_eq(w.rows, "0 messages=0 octets=0 oldest=0 deleted=0 retention=0"
                             " retention_of=configuration\n");
    world_admin(&w, "box list", NULL);
    cr_expect_eq(count("0 id="), 2);
    world_admin(&w, "queue list", NULL); /* what was delivered here is not in the queue */
    cr_expect_eq(count("0 id="), 0);
    world_end(&w);
}
