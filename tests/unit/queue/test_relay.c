/* The way out: dispatch, results, retries, bounces, over restarts. */
#include "queue/bounce.h"
#include "queue/trace.h"
#include "world.h"

#include <criterion/criterion.h>
#include <inttypes.h>

#define CONTENT "Subject: hello\r\n\r\nthere\r\n"
#define STATE   "SELECT state FROM recipient"

static struct world w;

static void send_one(const char *from, const char *to)
{
    size_t n = w.n_answers;
    world_send_remote(&w, from, to, CONTENT);
    world_pump(&w);
    cr_assert_eq(w.n_answers, n + 1);
    cr_assert_eq(w.answers[n].verdict, VERDICT_OK);
}

Test(relay, a_foreign_recipient_is_tried_at_once_and_leaves_nothing_when_done)
{
    world_begin(&w, "");
    send_one("a@example.org", "x@Example.NET");
    cr_assert_eq(w.n_jobs, 1);
    cr_assert_str_eq(w.jobs[0].rcpts[0], "x@example.net");
    cr_assert_str_eq(w.jobs[0].domain, "example.net");
    cr_assert_str_eq(w.jobs[0].sender, "a@example.org");
    cr_assert_str_eq(w.jobs[0].content, CONTENT);
    cr_assert(!w.jobs[0].had_fd);
    world_pass(&w, 100); /* while it is being tried it is not tried again */
    cr_assert_eq(w.n_jobs, 1);
    world_relay(&w, 0, VERDICT_OK, "250 2.0.0 ok");
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM recipient"), 0);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    cr_assert(queue_is_idle(w.q));
    world_end(&w);
}

Test(relay, it_is_not_tried_before_it_is_committed)
{
    world_begin(&w, "");
    world_send_remote(&w, "", "x@example.net", CONTENT);
    for (int i = 0; i < 4; i++)
        loop_turn(w.loop, 0);
    w.now_s += 100;
    clock_fake(1000000, w.now_s * 1000);
    schedule_look(w.q);
    store_rollback(w.q->store);
    world_pump(&w);
    cr_assert_eq(w.answers[0].verdict, VERDICT_TRY_LATER);
    cr_assert_eq(w.n_jobs, 0);
    world_end(&w);
}

Test(relay, recipients_with_one_next_hop_share_a_job)
{
    char room[4000];
    struct packer p = packer_on(room, sizeof room);
    world_begin(&w, "[route b.example]\nto = smtp://hub.example:25\n"
                    "[route c.example]\nto = smtp://hub.example:25\n");
    static const char *const to[] = {"1@a.example", "2@b.example", "3@c.example", "4@a.example"};
    for (size_t i = 0; i < 4; i++)
        world_rcpt(&p, to[i], NULL, 0);
    world_send(&w, "s@example.org", packer_span(&p), CONTENT);
    world_pump(&w);
    cr_assert_geq(w.n_jobs, 2);
    size_t n = 0;
    for (size_t i = 0; i < w.n_jobs; i++) {
        n += w.jobs[i].n;
        bool is_hub = strcmp(w.jobs[i].domain, "a.example") != 0;
        for (size_t k = 0; k < w.jobs[i].n; k++)
            cr_assert_eq(is_hub, strstr(w.jobs[i].rcpts[k], "a.example") == NULL);
    }
    cr_assert_eq(n, 4);
    world_end(&w);
}

Test(relay, a_deferred_recipient_is_tried_again_on_time_also_after_a_restart)
{
    world_begin(&w, "retry = 10m, 1h\n");
    send_one("a@example.org", "x@example.net");
    world_relay(&w, 0, VERDICT_TRY_LATER, "450 4.2.0 later");
    cr_assert_eq(world_count(&w, STATE), RCPT_WAITING);
    cr_assert_eq(world_count(&w, "SELECT attempts FROM recipient"), 1);
    int64_t next = world_count(&w, "SELECT next_attempt FROM recipient") - w.now_s;
    cr_assert(next >= 540 && next <= 660, "%lld", (long long)next);
    world_pass(&w, 500);
    cr_assert_eq(w.n_jobs, 1);
    world_restart(&w);
    world_pass(&w, 200);
    cr_assert_eq(w.n_jobs, 2);
    world_relay(&w, 1, VERDICT_TRY_LATER, "450 4.2.0 later");
    next = world_count(&w, "SELECT next_attempt FROM recipient") - w.now_s;
    cr_assert(next >= 3240 && next <= 3960, "%lld", (long long)next);
    world_end(&w);
}

/* By the queue's own timer, on the real clock. */
Test(relay, the_queue_wakes_up_for_the_next_attempt)
{
    world_begin(&w, "retry = 1s\n");
    clock_fake(-1, -1);
    world_restart(&w);
    send_one("a@example.org", "x@example.net");
    world_pump(&w);
    world_relay(&w, 0, VERDICT_TRY_LATER, "450 later");
    for (int i = 0; i < 40 && w.n_jobs == 1; i++) {
        loop_turn(w.loop, 100);
        queue_turn(w.q);
    }
    cr_assert_eq(w.n_jobs, 2);
    world_end(&w);
}

Test(relay, what_was_in_flight_at_a_crash_is_tried_again)
{
    world_begin(&w, "");
    send_one("a@example.org", "x@example.net");
    cr_assert_eq(w.n_jobs, 1);
    world_restart(&w);
    world_pass(&w, 2);
    cr_assert_eq(w.n_jobs, 2);
    cr_assert_eq(w.jobs[1].id, w.jobs[0].id);
    world_end(&w);
}

Test(relay, a_relay_that_dies_costs_no_attempt)
{
    world_begin(&w, "");
    send_one("a@example.org", "x@example.net");
    world_relay_dies(&w);
    cr_assert_eq(world_count(&w, "SELECT attempts FROM recipient"), 0);
    int64_t next = world_count(&w, "SELECT next_attempt FROM recipient") - w.now_s;
    cr_assert(next > 0 && next <= 60);
    send_one("a@example.org", "y@example.net"); /* accepted all the same */
    world_restart(&w);
    world_pass(&w, 100);
    cr_assert_eq(w.n_jobs, 3);
    world_end(&w);
}

/* The monotonic clock goes with the other; relay is there again. */
static void pass_and_come(int64_t seconds)
{
    static int64_t mono_ms;
    mono_ms = (mono_ms == 0 ? 1000000 : mono_ms) + seconds * 1000;
    w.now_s += seconds;
    clock_fake(mono_ms, w.now_s * 1000);
    if (w.relay == NULL)
        world_relay_comes(&w);
    schedule_look(w.q);
    world_pump(&w);
}

/* Dies with what it has now; how long x waits for the next time. */
static int64_t die(void)
{
    world_relay_dies(&w);
    return world_count(&w, "SELECT next_attempt FROM recipient WHERE address LIKE 'x@%'") - w.now_s;
}

/* The first death of relay delays what it had by seconds, the second by half a minute and more: it
 * may die of that message. Then by the list of retries, however long relay was quiet between; but
 * what was with it for the first time is not blamed for that. */
Test(relay, what_it_had_when_it_died_is_tried_soon)
{
    static const struct {
        int64_t pass_s, least_s, most_s;
    } rows[] = {{0, 1, 5},          {10, 30, 60},       {100, 1200, 1320},
                {4000, 2400, 2640}, {4000, 3600, 3960}, {5000, 3600, 3960}};
    world_begin(&w, "retry = 20m, 40m, 1h\n");
    send_one("a@example.org", "x@example.net");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pass_and_come(rows[i].pass_s);
        cr_assert_eq(w.n_jobs, i + 1, "row %zu: %zu", i, w.n_jobs);
        int64_t wait_s = die();
        cr_expect(wait_s >= rows[i].least_s && wait_s <= rows[i].most_s, "row %zu: %" PRId64, i,
                  wait_s);
    }
    pass_and_come(5000);
    send_one("b@example.org", "new@example.org.example");
    cr_assert_eq(w.n_jobs, sizeof rows / sizeof rows[0] + 2);
    cr_expect_geq(die(), 3600);
    cr_expect_leq(world_count(&w, "SELECT next_attempt FROM recipient WHERE address LIKE 'new@%'") -
                      w.now_s,
                  5);
    cr_assert_eq(world_count(&w, "SELECT sum(attempts) FROM recipient"), 0);
    world_end(&w);
}

/* A message has many jobs; one death with them is one loss. */
Test(relay, a_message_to_many_places_is_lost_once_at_a_time)
{
    char room[400];
    struct packer p = packer_on(room, sizeof room);
    world_begin(&w, "retry = 20m\n");
    world_rcpt(&p, "x@a.example", NULL, 0);
    world_rcpt(&p, "y@b.example", NULL, 0);
    world_rcpt(&p, "z@c.example", NULL, 0);
    world_send(&w, "a@example.org", packer_span(&p), CONTENT);
    world_pump(&w);
    cr_assert_eq(w.n_jobs, 3);
    die();
    cr_expect_leq(world_count(&w, "SELECT max(next_attempt) FROM recipient") - w.now_s, 5);
    pass_and_come(100);
    cr_assert_eq(w.n_jobs, 6);
    die();
    cr_expect_leq(world_count(&w, "SELECT max(next_attempt) FROM recipient") - w.now_s, 60);
    pass_and_come(100);
    cr_assert_eq(w.n_jobs, 9);
    die();
    cr_expect_geq(world_count(&w, "SELECT min(next_attempt) FROM recipient") - w.now_s, 1200);
    world_end(&w);
}

/* What relay dies of each time: its sender hears that it is late, and in the end that it failed,
 * and that it may have arrived; and relay does not die all day. */
Test(relay, what_relay_dies_of_is_returned_when_it_expires)
{
    world_begin(&w, "expire = 1d\nretry = 20m, 1h\n");
    send_one("a@example.org", "x@example.net");
    die();
    for (int i = 0; i < 24 * 60 + 1; i++) {
        pass_and_come(60);
        if (w.n_asked == 0)
            die();
    }
    cr_assert_leq(w.n_jobs, 30, "%zu", w.n_jobs);
    cr_assert_eq(w.n_asked, 1);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient WHERE state = 2"), 1);
    world_resolve(&w, 0, ADDRESS_LOCAL, 17);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM recipient"), 0);
    char *text = world_text(&w, "SELECT content FROM message JOIN entry ON message = id");
    cr_expect(strstr(text, "Action: failed\r\n") != NULL, "%s", text);
    cr_expect(strstr(text, "Status: 4.4.7\r\n") != NULL, "%s", text);
    cr_expect(strstr(text, "may have arrived all the same") != NULL, "%s", text);
    cr_expect(strstr(text, " said: ") == NULL, "%s", text);
    free(text);
    world_end(&w);
}

Test(relay, damaged_or_missing_results_mean_later)
{
    char room[100];
    struct packer p = packer_on(room, sizeof room);
    world_begin(&w, "");
    send_one("a@example.org", "x@example.net");
    pack_uint(&p, 4711, 4); /* nobody's number */
    pack_uint(&p, VERDICT_NEVER, 1);
    pack_bytes(&p, SPAN("550 no"));
    pack_uint(&p, w.jobs[0].numbers[0], 4);
    pack_uint(&p, 99, 1); /* no verdict: counts as TRY_LATER */
    pack_bytes(&p, SPAN("what"));
    pack_uint(&p, 0, 2); /* half a record */
    struct msg_relay_job_re re = {
        .tag = w.jobs[0].tag, .remote = SPAN(""), .results = packer_span(&p)};
    ipc_send_relay_job_re(w.relay, &re, -1);
    world_pump(&w);
    cr_assert_eq(world_count(&w, STATE), RCPT_WAITING);
    cr_assert_eq(world_count(&w, "SELECT attempts FROM recipient"), 1);
    world_end(&w);
}

Test(relay, a_permanent_failure_becomes_a_report_in_the_senders_mailbox)
{
    world_begin(&w, "");
    send_one("a@example.org", "x@example.net");
    world_relay(&w, 0, VERDICT_NEVER, "550 5.1.1 no such user");
    cr_assert_eq(w.n_asked, 1);
    cr_assert_str_eq(w.asked[0], "a@example.org");
    cr_assert_eq(world_count(&w, STATE), RCPT_FAILED);
    world_resolve(&w, 0, ADDRESS_LOCAL, 17);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM recipient"), 0);
    cr_assert_eq(world_count(&w, "SELECT box FROM entry"), 17);
    cr_assert_eq(world_count(&w, "SELECT length(sender) FROM message"), 0);
    char *text = world_text(&w, "SELECT content FROM message");
    cr_assert(strstr(text, "Final-Recipient: rfc822; x@example.net\r\n") != NULL);
    cr_assert(strstr(text, "Status: 5.1.1\r\n") != NULL);
    cr_assert(strstr(text, "Remote-MTA: dns; mx.example.net\r\n") != NULL);
    free(text);
    cr_assert(queue_is_idle(w.q));
    world_end(&w);
}

Test(relay, a_report_to_a_foreign_sender_is_relayed_with_a_null_sender)
{
    world_begin(&w, "");
    send_one("a@example.com", "x@example.net");
    world_relay(&w, 0, VERDICT_NEVER, "550 5.1.1 no such user");
    world_resolve(&w, 0, ADDRESS_FOREIGN, 0);
    cr_assert_eq(w.n_jobs, 2);
    cr_assert_str_eq(w.jobs[1].sender, "");
    cr_assert_str_eq(w.jobs[1].rcpts[0], "a@example.com");
    world_relay(&w, 1, VERDICT_NEVER, "550 5.1.1 nor here"); /* never a report about a report */
    cr_assert_eq(w.n_asked, 1);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_end(&w);
}

Test(relay, an_unknown_sender_is_not_told)
{
    world_begin(&w, "");
    send_one("gone@example.org", "x@example.net");
    world_relay(&w, 0, VERDICT_NEVER, "550 no");
    world_resolve(&w, 0, ADDRESS_UNKNOWN, 0);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    cr_assert(queue_is_idle(w.q));
    world_end(&w);
}

Test(relay, a_report_that_was_not_written_before_a_crash_is_written_after_it)
{
    world_begin(&w, "");
    send_one("a@example.org", "x@example.net");
    world_relay(&w, 0, VERDICT_NEVER, "550 5.1.1 no such user");
    cr_assert_eq(w.n_asked, 1);
    world_restart(&w);
    cr_assert_eq(w.n_asked, 2);
    world_resolve(&w, 1, ADDRESS_LOCAL, 17);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM entry"), 1);
    world_restart(&w);
    cr_assert_eq(w.n_asked, 2);
    world_end(&w);
}

Test(relay, what_expires_is_tried_once_more_and_then_returned)
{
    world_begin(&w, "expire = 1h\nretry = 40m\ndelay_warning = 10d\n");
    send_one("a@example.org", "x@example.net");
    world_relay(&w, 0, VERDICT_TRY_LATER, "450 4.2.0 later");
    world_pass(&w, 2700);
    cr_assert_eq(w.n_jobs, 2);
    world_relay(&w, 1, VERDICT_TRY_LATER, "450 4.2.0 later");
    cr_assert_eq(world_count(&w, "SELECT next_attempt = expires FROM recipient JOIN message"), 1);
    world_pass(&w, 902);
    cr_assert_eq(w.n_jobs, 3);
    world_relay(&w, 2, VERDICT_TRY_LATER, "450 4.2.0 later");
    cr_assert_eq(w.n_asked, 1);
    char *status = world_text(&w, "SELECT status FROM recipient");
    cr_assert_str_eq(status, "4.4.7");
    free(status);
    world_end(&w);
}

Test(relay, a_late_message_is_announced_once)
{
    world_begin(&w, "retry = 1h\ndelay_warning = 2h\n");
    send_one("a@example.org", "x@example.net");
    world_relay(&w, 0, VERDICT_TRY_LATER, "450 4.2.0 later");
    cr_assert_eq(w.n_asked, 0);
    for (size_t i = 1; i < 5; i++) {
        world_pass(&w, 4000);
        cr_assert_eq(w.n_jobs, i + 1);
        world_relay(&w, i, VERDICT_TRY_LATER, "450 4.2.0 later");
        if (i == 2) {
            cr_assert_eq(w.n_asked, 1);
            world_resolve(&w, 0, ADDRESS_LOCAL, 17);
        }
    }
    cr_assert_eq(w.n_asked, 1);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM entry"), 1);
    cr_assert_eq(world_count(&w, STATE), RCPT_WAITING);
    char *text = world_text(&w, "SELECT content FROM message JOIN entry ON message = id");
    cr_assert(strstr(text, "Action: delayed\r\n") != NULL);
    cr_assert(strstr(text, "Will-Retry-Until: ") != NULL);
    free(text);
    world_end(&w);
}

/* As when attempts for two recipients end while many others are told. */
Test(relay, what_was_announced_is_not_announced_again)
{
    world_begin(&w, "retry = 3h\ndelay_warning = 2h\n");
    send_one("a@example.org", "x@example.net");
    world_relay(&w, 0, VERDICT_TRY_LATER, "450 4.2.0 later");
    world_pass(&w, 20000);
    cr_assert_eq(w.n_jobs, 2);
    world_relay(&w, 1, VERDICT_TRY_LATER, "450 4.2.0 later");
    cr_assert_eq(w.n_asked, 1);
    world_resolve(&w, 0, ADDRESS_LOCAL, 17);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM entry"), 1);
    bounce_late(w.q, (uint64_t)world_count(&w, "SELECT message FROM recipient"));
    bounce_late(w.q, 12345);
    world_pass(&w, 1000);
    cr_assert_eq(w.n_asked, 1);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM entry"), 1);
    cr_assert_eq(bounce_count(w.q), 0);
    world_end(&w);
}

Test(relay, one_report_tells_of_all_recipients_that_failed)
{
    char room[4000];
    struct packer p = packer_on(room, sizeof room);
    world_begin(&w, "");
    for (int i = 0; i < 6; i++) {
        char to[40];
        snprintf(to, sizeof to, "x%d@example.net", i);
        world_rcpt(&p, to, NULL, 0);
    }
    world_send(&w, "a@example.org", packer_span(&p), CONTENT);
    world_pump(&w);
    cr_assert_eq(w.n_jobs, 1);
    cr_assert_eq(w.jobs[0].n, 6);
    world_relay(&w, 0, VERDICT_NEVER, "550 no");
    world_resolve(&w, 0, ADDRESS_LOCAL, 17);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM entry"), 1);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM recipient"), 0);
    cr_assert_eq(w.n_asked, 1);
    world_end(&w);
}

Test(relay, large_content_travels_as_a_read_only_descriptor)
{
    size_t n = 200000;
    char *text = malloc(n + 1), room[400];
    for (size_t i = 0; i < n; i++)
        text[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'x';
    memcpy(text + n - 2, "\r\n", 3);
    struct packer p = packer_on(room, sizeof room);
    world_begin(&w, "");
    world_rcpt(&p, "x@example.net", NULL, 0);
    struct msg_queue_open m = {.tag = 5,
                               .id = id_new(),
                               .sender = SPAN("a@example.org"),
                               .client = SPAN("127.0.0.1"),
                               .helo = SPAN("h"),
                               .rcpts = packer_span(&p),
                               .content = {text, CHUNK_MAX}};
    ipc_send_queue_open(w.smtpd, &m, -1);
    for (size_t at = CHUNK_MAX; at < n; at += CHUNK_MAX) {
        size_t step = n - at < CHUNK_MAX ? n - at : CHUNK_MAX;
        struct msg_queue_more more = {
            .tag = 5, .rcpts = SPAN(""), .content = {text + at, step}, .is_last = at + step == n};
        ipc_send_queue_more(w.smtpd, &more, -1);
        world_pump(&w);
    }
    cr_assert_eq(w.n_jobs, 1);
    cr_assert(w.jobs[0].had_fd);
    cr_assert_eq(w.jobs[0].content_n, n);
    cr_assert_eq(memcmp(w.jobs[0].content, text, n), 0);
    spool_remove(&w.q->spool, m.id); /* lost: it must not be sent on, nor bounced */
    ipc_close(w.relay);
    w.relay = NULL;
    world_pump(&w);
    w.q_relay = NULL;
    world_restart(&w);
    world_pass(&w, 100);
    cr_assert_eq(w.n_jobs, 1);
    cr_assert_eq(world_count(&w, STATE), RCPT_HELD);
    free(text);
    world_end(&w);
}

Test(relay, a_slow_next_hop_does_not_hold_up_the_others)
{
    world_begin(&w, "");
    for (int i = 0; i < 30; i++)
        send_one("a@example.org", "x@slow.example");
    cr_assert_eq(w.n_jobs, PACE_START);
    send_one("a@example.org", "x@fast.example");
    cr_assert_eq(w.n_jobs, PACE_START + 1);
    cr_assert_str_eq(w.jobs[PACE_START].domain, "fast.example");
    world_relay(&w, 0, VERDICT_OK, "250 ok");
    cr_assert_eq(w.n_jobs, PACE_START + 3); /* one ended, and its success allows one more */
    world_end(&w);
}

Test(relay, results_survive_a_commit_that_failed)
{
    char room[100];
    struct packer p = packer_on(room, sizeof room);
    world_begin(&w, "");
    send_one("a@example.org", "x@example.net");
    pack_uint(&p, 0, 4);
    pack_uint(&p, VERDICT_OK, 1);
    pack_bytes(&p, SPAN("250 ok"));
    struct msg_relay_job_re re = {
        .tag = w.jobs[0].tag, .remote = SPAN("mx"), .results = packer_span(&p)};
    ipc_send_relay_job_re(w.relay, &re, -1);
    for (int i = 0; i < 4; i++)
        loop_turn(w.loop, 0);
    store_rollback(w.q->store);
    world_pump(&w);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM recipient"), 1);
    world_pass(&w, 100);
    cr_assert_eq(w.n_jobs, 1); /* it was delivered: not again, whatever the store says */
    loop_turn(w.loop, 2000);
    world_pump(&w);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_end(&w);
}

/* More than memory holds for one next hop: all of it goes out all the same, without waiting. */
Test(relay, a_backlog_is_fed_through_a_bounded_memory)
{
    enum { MESSAGES = 6000 };
    char room[4000];
    world_begin(&w, "retry = 1h\n");
    w.config->listens[0].limits.recipients = 100;
    struct ipc *relay = w.q->relay;
    w.q->relay = NULL; /* nothing goes out while it comes in */
    for (int i = 0; i < MESSAGES; i += 20) {
        struct packer p = packer_on(room, sizeof room);
        for (int k = 0; k < 20; k++) {
            char to[40];
            snprintf(to, sizeof to, "%d@example.net", i + k);
            world_rcpt(&p, to, NULL, 0);
        }
        world_send(&w, "", packer_span(&p), CONTENT);
        world_pump(&w);
        w.n_answers = 0;
    }
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM recipient"), MESSAGES);
    cr_assert_leq(dispatch_count(w.q), AGENDA_MAX / 4 + 1);
    w.q->relay = relay;
    world_pass(&w, 2);
    size_t n = 0;
    for (int rounds = 0; rounds < 1000 && w.n_jobs > 0; rounds++) {
        w.n_jobs--;
        n += w.jobs[w.n_jobs].n;
        free(w.jobs[w.n_jobs].content);
        world_relay(&w, w.n_jobs, VERDICT_OK, "250 ok");
    }
    cr_assert_eq(n, MESSAGES);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM recipient"), 0);
    world_end(&w);
}

/* Nothing of it can be reached: whoever waits for it hears why, without an attempt; others go on.
 */
Test(relay, a_dead_destination_is_asked_by_one)
{
    world_begin(&w, "retry = 10m\n");
    for (int i = 0; i < 12; i++)
        send_one("a@example.org", "x@dead.example");
    cr_assert_eq(w.n_jobs, PACE_START);
    world_reach(&w, 0, VERDICT_TRY_LATER, "connection refused", REACH_DOWN);
    cr_assert_eq(w.n_jobs, PACE_START);
    cr_assert_eq(world_count(&w,
                             "SELECT count(*) FROM recipient WHERE attempts = 0 AND"
                             " next_attempt > 1795000500 AND last_reply = 'connection refused'"),
                 12 - PACE_START);
    send_one("a@example.org", "y@dead.example");
    send_one("a@example.org", "y@well.example");
    world_pass(&w, 2);
    cr_assert_eq(w.n_jobs, PACE_START + 1);
    cr_assert_str_eq(w.jobs[PACE_START].domain, "well.example");
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM recipient WHERE address = 'y@dead.example'"
                                 " AND last_reply = 'connection refused'"),
                 1);
    for (size_t i = 1; i < PACE_START; i++)
        world_reach(&w, i, VERDICT_TRY_LATER, "connection refused", REACH_DOWN);
    world_pass(&w, 700); /* it is time, and one is enough to see */
    world_pass(&w, 200);
    cr_assert_eq(w.n_jobs, PACE_START + 2);
    world_reach(&w, PACE_START + 1, VERDICT_OK, "250 ok", REACH_OK);
    cr_assert_gt(w.n_jobs, PACE_START + 2);
    world_end(&w);
}

Test(relay, a_dead_destination_returns_what_expires)
{
    world_begin(&w, "retry = 10m\nexpire = 15m\n");
    send_one("a@example.org", "x@dead.example");
    world_reach(&w, 0, VERDICT_TRY_LATER, "connection refused", REACH_DOWN);
    send_one("b@example.org", "z@dead.example");
    world_pass(&w, 2);
    world_pass(&w, 700);
    cr_assert_geq(w.n_jobs, 2);
    world_reach(&w, 1, VERDICT_TRY_LATER, "connection refused", REACH_DOWN);
    world_pass(&w, 300);
    world_pass(&w, 2);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM recipient WHERE state = 2"), 2);
    world_end(&w);
}

Test(relay, held_mail_expires_too)
{
    world_begin(&w, "expire = 1d\n");
    send_one("a@example.org", "x@example.net");
    world_relay(&w, 0, VERDICT_TRY_LATER, "450 later");
    world_admin(&w, "queue hold", (const char *[]){"from=a@example.org", NULL});
    cr_assert_eq(world_count(&w, STATE), RCPT_HELD);
    world_pass(&w, 86000);
    cr_assert_eq(world_count(&w, STATE), RCPT_HELD);
    world_pass(&w, 800);
    cr_assert_eq(world_count(&w, STATE), RCPT_FAILED);
    world_end(&w);
}

Test(relay, a_route_can_hold_or_discard)
{
    world_begin(&w, "[route a.example]\nto = hold\n[route sender:@b.example]\nto = discard\n");
    send_one("a@example.org", "x@a.example");
    send_one("a@b.example", "x@example.net");
    world_pass(&w, 2);
    cr_assert_eq(w.n_jobs, 0);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    cr_assert_eq(world_count(&w, STATE), RCPT_HELD);
    world_end(&w);
}

Test(relay, the_life_of_a_message_can_be_told)
{
    char id[ID_TEXT];
    world_begin(&w, "[queue]\ntrace = 1d\n");
    world_send_remote(&w, "a@example.org", "x@example.net",
                      "Subject: x\r\nmessage-id:\r\n <1@a.example>\r\n\r\nhi\r\n");
    world_pump(&w);
    id_format(id, w.jobs[0].id);
    world_relay(&w, 0, VERDICT_TRY_LATER, "450 later");
    world_admin(&w, "trace", (const char *[]){id, NULL});
    cr_expect(strstr(w.rows, "state=here") != NULL, "%s", w.rows);
    world_admin(&w, "queue retry", (const char *[]){id, NULL});
    world_pass(&w, 2);
    world_relay(&w, 1, VERDICT_OK, "250 2.0.0 kept");
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    static const char *const names[] = {NULL, "<1@a.example>", "1@a.example"};
    for (size_t i = 0; i < 3; i++) {
        world_admin(&w, "trace", (const char *[]){i == 0 ? id : names[i], NULL});
        cr_assert_eq(w.admin_re.verdict, VERDICT_OK, "%s", w.admin_error);
        cr_expect(strstr(w.rows, "state=gone from=a@example.org") != NULL, "%s", w.rows);
        const char *later = strstr(w.rows, "event=deferred address=x@example.net");
        cr_assert(later != NULL && strstr(later, "reply=450 later") != NULL, "%s", w.rows);
        const char *asked = strstr(later, "event=retried");
        cr_assert(asked != NULL && strstr(asked, "event=delivered") != NULL, "%s", w.rows);
    }
    world_admin(&w, "trace", (const char *[]){"<2@a.example>", NULL});
    cr_expect_eq(w.admin_re.verdict, VERDICT_NEVER);
    world_pass(&w, 90000);
    world_pass(&w, 100);
    world_admin(&w, "trace", (const char *[]){id, NULL});
    cr_expect_eq(w.admin_re.verdict, VERDICT_NEVER);
    cr_expect_eq(world_count(&w, "SELECT (SELECT count(*) FROM event) + count(*) FROM past"), 0);
    world_end(&w);
}

Test(relay, a_message_is_found_by_its_message_id)
{
    static const struct {
        const char *header, *id;
    } rows[] = {
        {"Message-ID: <a@b>\r\n", "a@b"},
        {"X: <n@o>\r\nMESSAGE-ID:<a@b> (x)\r\n", "a@b"},
        {"Message-ID:\r\n\t<a@b>\r\n", "a@b"},
        {"Message-ID: a@b\r\nX: <n@o>\r\n", ""},
        {"Message-ID: <a b>\r\n", ""},
        {"Message-ID: <a", ""},
        {"Message-ID: <>", ""},
        {"Message-IDx: <a@b>\r\n <a@c>", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span id = trace_header_id(span_of(rows[i].header));
        cr_expect(span_eq(id, span_of(rows[i].id)), "%zu: %.*s", i, (int)id.n, id.p);
    }
}
