/* With which sender mail goes that an alias sends on to another host. */
#include "queue/trace.h"
#include "world.h"

#include <criterion/criterion.h>

#define CONTENT "Subject: hello\r\n\r\nthere\r\n"
#define SRS     "SRS0=h=tt=far.example=bob@example.org"

static struct world w;

static char room[4000];
static struct packer p;

static void begin(const char *config)
{
    world_begin(&w, config);
    w.forward_as = SRS;
    p = packer_on(room, sizeof room);
}

static void add_alias(const char *address, const char *to)
{
    struct rcpt asks = {.address = span_of(address), .sealed = SPAN(""), .orcpt = SPAN("")};
    world_rcpt_asking(&p, &asks, (uint64_t[]){0}, (const char *const[]){to, NULL});
}

static const struct world_job *job_to(const char *rcpt)
{
    for (size_t i = 0; i < w.n_jobs; i++)
        for (size_t j = 0; j < w.jobs[i].n; j++)
            if (strcmp(w.jobs[i].rcpts[j], rcpt) == 0)
                return &w.jobs[i];
    cr_assert_fail("no job for %s", rcpt);
    return NULL;
}

static void send_from(const char *sender)
{
    size_t n = w.n_answers;
    world_send(&w, sender, packer_span(&p), CONTENT);
    world_pump(&w);
    cr_assert_eq(w.n_answers, n + 1);
}

Test(forward, what_an_alias_sends_on_has_the_new_sender_and_the_rest_the_old_one)
{
    begin("");
    add_alias("team@example.org", "x@far.example");
    add_alias("more@example.org", "y@far.example");
    world_rcpt(&p, "z@far.example", NULL, 0);
    world_rcpt(&p, "x@far.example", NULL, 0); /* named, and behind an alias: as named, once */
    send_from("bob@far.example");
    cr_assert_eq(w.answers[0].verdict, VERDICT_OK);
    cr_assert_eq(w.n_forwards, 1, "asked once for all");
    cr_expect_str_eq(w.forward_rcpt, "team@example.org");
    cr_assert_eq(w.n_jobs, 2);
    cr_expect_str_eq(job_to("y@far.example")->sender, SRS);
    cr_expect_eq(job_to("y@far.example")->n, 1);
    cr_expect_str_eq(job_to("z@far.example")->sender, "bob@far.example");
    cr_expect_str_eq(job_to("x@far.example")->sender, "bob@far.example");
    cr_expect_str_eq(job_to("y@far.example")->content, CONTENT);
    world_end(&w);
}

Test(forward, it_is_kept_for_the_next_attempt_and_over_a_restart)
{
    begin("");
    add_alias("team@example.org", "x@far.example");
    world_rcpt(&p, "z@far.example", NULL, 0);
    send_from("bob@far.example");
    cr_assert_eq(w.n_jobs, 2);
    world_relay(&w, 0, VERDICT_TRY_LATER, "451 4.0.0 later");
    world_restart(&w);
    w.n_jobs = 0;
    world_pass(&w, 3600);
    cr_assert_eq(w.n_jobs, 2);
    cr_expect_str_eq(job_to("x@far.example")->sender, SRS);
    cr_expect_str_eq(job_to("z@far.example")->sender, "bob@far.example");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM event WHERE what = 'sender-rewritten'"), 1);
    world_end(&w);
}

/* Routes by sender are for the sender that the next hop is shown. */
Test(forward, routes_see_the_new_sender)
{
    begin("[route sender:@example.org]\nto = hold\n");
    add_alias("team@example.org", "x@far.example");
    send_from("bob@far.example");
    cr_assert_eq(w.n_jobs, 0);
    cr_expect_eq(world_count(&w, "SELECT state FROM recipient"), RCPT_HELD);
    world_end(&w);
}

Test(forward, who_stays_as_he_is_is_not_noted)
{
    begin("");
    w.forward_as = NULL;
    add_alias("team@example.org", "x@far.example");
    send_from("alice@example.org");
    cr_assert_eq(w.n_jobs, 1);
    cr_expect_str_eq(w.jobs[0].sender, "alice@example.org");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient WHERE sender <> ''"), 0);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM event"), 0);
    world_end(&w);
}

Test(forward, nobody_is_asked_about_null_senders_others_and_with_srs_off)
{
    begin("srs = no\n");
    add_alias("team@example.org", "x@far.example");
    send_from("bob@far.example");
    cr_expect_eq(w.n_forwards, 0);
    cr_expect_str_eq(w.jobs[0].sender, "bob@far.example");
    world_end(&w);
    begin("");
    add_alias("team@example.org", "x@far.example");
    send_from("");
    cr_expect_eq(w.n_forwards, 0);
    p = packer_on(room, sizeof room);
    world_rcpt(&p, "z@far.example", NULL, 0);
    send_from("bob@far.example");
    cr_expect_eq(w.n_forwards, 0);
    world_end(&w);
}

Test(forward, without_an_answer_the_message_is_not_taken)
{
    begin("");
    w.forward_verdict = VERDICT_TRY_LATER;
    add_alias("team@example.org", "x@far.example");
    send_from("bob@far.example");
    cr_expect_eq(w.answers[0].verdict, VERDICT_TRY_LATER);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    w.forward_verdict = VERDICT_OK;
    send_from("bob@far.example");
    cr_expect_eq(w.answers[1].verdict, VERDICT_OK);
    world_end(&w);
}

/* The client hangs up while authd is asked. */
Test(forward, an_abort_before_the_answer_leaves_nothing)
{
    begin("");
    add_alias("team@example.org", "x@far.example");
    struct msg_queue_open m = {.tag = 77,
                               .id = id_new(),
                               .sender = SPAN("bob@far.example"),
                               .client = SPAN("127.0.0.1"),
                               .helo = SPAN("h"),
                               .rcpts = packer_span(&p),
                               .content = SPAN(CONTENT),
                               .is_last = 1};
    intake_open(w.q, w.q_smtpd, &m, -1);
    intake_abort(w.q, w.q_smtpd, &(struct msg_queue_abort){.tag = 77});
    world_pump(&w);
    cr_expect_eq(intake_count(w.q), 0);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_end(&w);
}
