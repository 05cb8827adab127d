#include "world.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>

#define CONTENT "Subject: hello\r\n\r\nthere\r\n"

static struct world w;

static struct span rcpt_boxes(const uint64_t *boxes, uint64_t quota)
{
    static char room[4000];
    struct packer p = packer_on(room, sizeof room);
    world_rcpt(&p, "user@example.org", boxes, quota);
    return packer_span(&p);
}

static struct span rcpt_local(uint64_t box, uint64_t quota)
{
    return rcpt_boxes((uint64_t[]){box, 0}, quota);
}

Test(intake, a_local_message_is_delivered_in_the_transaction_that_accepts_it)
{
    world_begin(&w, "");
    uint64_t id = world_send_local(&w, "a@example.net", 7, CONTENT);
    world_pump(&w);
    cr_assert_eq(w.n_answers, 1);
    cr_assert_eq(w.answers[0].verdict, VERDICT_OK);
    cr_assert_eq(w.answers[0].reason, INTAKE_OK);
    cr_assert_eq(world_count(&w, "SELECT id FROM message"), (int64_t)id);
    cr_assert_eq(world_count(&w, "SELECT size FROM message"), (int64_t)strlen(CONTENT));
    cr_assert_eq(world_count(&w, "SELECT header FROM message"), 18);
    cr_assert_eq(world_count(&w, "SELECT seq FROM entry WHERE box = 7"), 1);
    cr_assert_eq(world_count(&w, "SELECT octets FROM entry WHERE box = 7"),
                 (int64_t)strlen(CONTENT "Return-Path: <a@example.net>\r\n"));
    cr_assert_eq(world_count(&w, "SELECT octets FROM box WHERE messages = 1 AND next_seq = 2"),
                 (int64_t)strlen(CONTENT "Return-Path: <a@example.net>\r\n"));
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM recipient"), 0);
    char *content = world_text(&w, "SELECT content FROM message");
    cr_assert_str_eq(content, CONTENT);
    free(content);
    world_end(&w);
}

Test(intake, an_address_reached_twice_gets_one_copy)
{
    char room[4000];
    struct packer p = packer_on(room, sizeof room);
    world_begin(&w, "");
    world_rcpt(&p, "user@example.org", (uint64_t[]){7, 8, 7, 0}, 0);
    world_rcpt(&p, "alias@example.org", (uint64_t[]){8, 9, 0}, 0);
    world_rcpt(&p, "x@example.net", NULL, 0);
    world_rcpt(&p, "x@EXAMPLE.net", NULL, 0);
    world_send(&w, "", packer_span(&p), CONTENT);
    world_pump(&w);
    cr_assert_eq(w.answers[0].verdict, VERDICT_OK);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM entry"), 3);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM recipient"), 1);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    world_end(&w);
}

/* Content that must not be stored, whatever smtpd says. */
Test(intake, damaged_content_is_refused)
{
    static const char *const damaged[] = {
        "no end of line", "bare\rCR\r\n", "bare\nLF\r\n", "ends with LF\n", "ends with CR\r", "",
    };
    world_begin(&w, "");
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        world_send_local(&w, "a@example.net", 7, damaged[i]);
        world_pump(&w);
        cr_assert_eq(w.n_answers, i + 1);
        cr_expect_eq(w.answers[i].verdict, VERDICT_NEVER, "%s", damaged[i]);
        cr_expect_eq(w.answers[i].reason, INTAKE_CONTENT, "%s", damaged[i]);
    }
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM box"), 0);
    world_end(&w);
}

Test(intake, a_forged_or_stale_seal_is_not_believed)
{
    char room[4000];
    world_begin(&w, "");
    struct span good = rcpt_local(7, 0);
    for (size_t at = 40; at < good.n; at += 7) {
        memcpy(room, good.p, good.n);
        room[at] ^= 1;
        size_t n = w.n_answers;
        world_send(&w, "a@example.net", (struct span){room, good.n}, CONTENT);
        world_pump(&w);
        cr_assert_eq(w.n_answers, n + 1);
        cr_assert_eq(w.answers[n].verdict, VERDICT_TRY_LATER);
        w.n_answers = 0;
    }
    clock_fake(1000000, (WORLD_START_S + SEAL_LIFETIME_S + 2) * 1000LL);
    world_send(&w, "a@example.net", good, CONTENT);
    world_pump(&w);
    cr_assert_eq(w.answers[0].reason, INTAKE_STALE);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_end(&w);
}

Test(intake, without_authds_key_nothing_sealed_is_taken)
{
    world_begin(&w, "");
    w.q->has_key = false;
    world_send_local(&w, "a@example.net", 7, CONTENT);
    world_pump(&w);
    cr_assert_eq(w.answers[0].verdict, VERDICT_TRY_LATER);
    cr_assert_eq(w.answers[0].reason, INTAKE_STALE);
    world_end(&w);
}

static void send_as(const char *client, uint64_t id, const char *from, struct span rcpts)
{
    struct msg_queue_open m = {.tag = 77,
                               .id = id,
                               .sender = span_of(from),
                               .client = span_of(client),
                               .helo = SPAN("h"),
                               .ticket = SPAN(""),
                               .rcpts = rcpts,
                               .content = SPAN(CONTENT),
                               .is_last = 1};
    intake_open(w.q, NULL, &m, -1);
    world_pump(&w);
}

Test(intake, relaying_is_for_allowed_networks_only)
{
    char room[400];
    struct packer p = packer_on(room, sizeof room);
    world_begin(&w, "");
    world_rcpt(&p, "x@example.net", NULL, 0);
    send_as("192.0.2.9", id_new(), "a@example.net", packer_span(&p));
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM recipient"), 0);
    send_as("127.0.0.9", id_new(), "a@example.net", packer_span(&p));
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM recipient"), 1);
    world_end(&w);
}

static void noted(void *arg, const union msg *m, int fd)
{
    (void)fd;
    cr_assert_not_null(m);
    *(struct msg_queue_open_re *)arg = m->queue_open_re;
}

/* As smtpd does for a session with a login; the client is one that may not relay by its address. */
static void send_with_ticket(struct msg_queue_open_re *out, bool in_parts)
{
    static char room[400], big[40000];
    struct packer p = packer_on(room, sizeof room);
    world_rcpt(&p, "x@example.net", NULL, 0);
    memset(big, 'x', sizeof big);
    for (size_t i = 500; i < sizeof big; i += 500)
        memcpy(big + i - 2, "\r\n", 2);
    memcpy(big + sizeof big - 2, "\r\n", 2);
    *out = (struct msg_queue_open_re){.verdict = 99};
    struct msg_queue_open m = {.id = id_new(),
                               .session = 4711,
                               .sender = SPAN("alice@example.org"),
                               .client = SPAN("192.0.2.9"),
                               .helo = SPAN("h"),
                               .ticket = SPAN("0123456789abcdef"),
                               .rcpts = packer_span(&p),
                               .content = in_parts ? SPAN("") : SPAN(CONTENT),
                               .is_last = !in_parts};
    cr_assert_neq(ipc_ask_queue_open(w.smtpd, &m, -1, 60000, noted, out), 0);
    for (int i = 0; in_parts && i < 4; i++) {
        struct msg_queue_more more = {
            .tag = m.tag, .content = {big, sizeof big}, .is_last = i == 3};
        cr_assert_eq(ipc_send_queue_more(w.smtpd, &more, -1), 0);
    }
    world_pump(&w);
    cr_assert_eq(w.ticket.session, 4711);
    cr_assert_eq(out->verdict, 99, "it waits for authd");
}

Test(intake, a_login_counts_when_authd_says_so)
{
    struct msg_queue_open_re re;
    world_begin(&w, "");
    for (int in_parts = 0; in_parts < 2; in_parts++) {
        send_with_ticket(&re, in_parts);
        world_send_local(&w, "a@example.net", 7, CONTENT); /* others do not wait */
        world_pump(&w);
        cr_expect_eq(w.answers[w.n_answers - 1].verdict, VERDICT_OK);
        world_ticket(&w, VERDICT_OK, TICKET_GOOD);
        cr_expect_eq(re.verdict, VERDICT_OK);
    }
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient"), 2);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message WHERE login = 'alice@example.org'"),
                 2);
    world_end(&w);
}

Test(intake, a_bad_ticket_is_no_login)
{
    static const struct {
        enum verdict verdict;
        enum ticket_reason reason;
        enum intake_reason expected;
    } rows[] = {{VERDICT_TRY_LATER, TICKET_GONE, INTAKE_LOGIN},
                {VERDICT_NEVER, TICKET_SENDER, INTAKE_SENDER}};
    struct msg_queue_open_re re;
    world_begin(&w, "");
    for (size_t i = 0; i < 4; i++) {
        send_with_ticket(&re, i >= 2);
        world_ticket(&w, rows[i % 2].verdict, rows[i % 2].reason);
        cr_expect(re.verdict == rows[i % 2].verdict && re.reason == rows[i % 2].expected);
    }
    send_with_ticket(&re, false);
    ipc_close(w.authd); /* with the question open */
    w.authd = w.q_authd = NULL;
    world_pump(&w);
    cr_expect(re.verdict == VERDICT_TRY_LATER && re.reason == INTAKE_FAULT);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    cr_expect_eq(intake_count(w.q), 0);
    world_end(&w);
}

Test(intake, smtpd_may_go_while_authd_is_asked)
{
    struct msg_queue_open_re re;
    world_begin(&w, "");
    send_with_ticket(&re, true);
    intake_channel_closed(w.q, w.q_smtpd);
    cr_expect_eq(intake_count(w.q), 0);
    world_ticket(&w, VERDICT_OK, TICKET_GOOD);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_end(&w);
}

Test(intake, implausible_envelopes_are_not_stored)
{
    world_begin(&w, "");
    struct span rcpts = rcpt_local(7, 0);
    uint64_t day = (uint64_t)86400000 << 21, now = id_new();
    send_as("127.0.0.1", 0, "a@example.net", rcpts);
    send_as("127.0.0.1", UINT64_MAX, "a@example.net", rcpts);
    send_as("127.0.0.1", now + 2 * day, "a@example.net", rcpts);
    send_as("127.0.0.1", now - 2 * day, "a@example.net", rcpts);
    send_as("no address", now, "a@example.net", rcpts);
    send_as("127.0.0.1", now, "not an address", rcpts);
    send_as("127.0.0.1", now, "a@example.net", SPAN(""));
    send_as("127.0.0.1", now, "a@example.net", (struct span){rcpts.p, rcpts.n - 1});
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    send_as("127.0.0.1:4711", now, "a@example.net", rcpts);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    send_as("127.0.0.1", now, "a@example.net", rcpts); /* the same id again */
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM entry"), 1);
    cr_assert_eq(world_count(&w, "SELECT messages FROM box"), 1);
    world_end(&w);
}

Test(intake, a_full_mailbox_refuses_the_whole_message)
{
    char room[4000];
    struct packer p = packer_on(room, sizeof room);
    world_begin(&w, "");
    size_t one = strlen(CONTENT "Return-Path: <>\r\n");
    world_send(&w, "", rcpt_local(7, one), CONTENT); /* exactly full */
    world_pump(&w);
    cr_assert_eq(w.answers[0].verdict, VERDICT_OK);
    world_rcpt(&p, "other@example.org", (uint64_t[]){9, 0}, 0);
    world_rcpt(&p, "user@example.org", (uint64_t[]){7, 0}, 2 * one - 1);
    world_send(&w, "", packer_span(&p), CONTENT);
    world_pump(&w);
    cr_assert_eq(w.answers[1].verdict, VERDICT_TRY_LATER);
    cr_assert_eq(w.answers[1].reason, INTAKE_QUOTA);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM box WHERE id = 9"), 0);
    cr_assert_eq(world_count(&w, "SELECT messages FROM box WHERE id = 7"), 1);
    world_end(&w);
}

static void room_told(void *arg, const union msg *m, int fd)
{
    (void)fd;
    cr_assert_not_null(m);
    *(struct msg_queue_room_re *)arg = m->queue_room_re;
}

/* What is said about room for one recipient. */
static enum intake_reason ask_room(struct span rcpt, uint64_t size)
{
    struct unpacker records = unpacker_on(rcpt);
    struct rcpt r;
    cr_assert(rcpt_next(&records, &r));
    struct msg_queue_room m = {.address = r.address, .sealed = r.sealed, .size = size};
    struct msg_queue_room_re re = {.reason = 77};
    cr_assert_neq(ipc_ask_queue_room(w.smtpd, &m, -1, 60000, room_told, &re), 0);
    world_pump(&w);
    cr_assert_neq(re.reason, 77, "no answer");
    cr_assert_eq(re.verdict, intake_verdict((enum intake_reason)re.reason));
    return (enum intake_reason)re.reason;
}

Test(intake, room_is_told_before_the_message_comes)
{
    static const uint64_t both[] = {9, 7, 0};
    char room[500];
    struct packer foreign = packer_on(room, sizeof room);
    world_begin(&w, "");
    size_t one = strlen(CONTENT "Return-Path: <>\r\n");
    world_send(&w, "", rcpt_local(7, 0), CONTENT);
    world_send(&w, "", rcpt_local(8, 0), CONTENT);
    world_pump(&w);
    const struct {
        uint64_t quota, size;
        enum intake_reason reason;
    } rows[] = {
        {.quota = 0, .size = UINT64_MAX, .reason = INTAKE_OK},
        {.quota = one + 1, .size = 0, .reason = INTAKE_OK},
        {.quota = one + 1, .size = 1, .reason = INTAKE_OK},
        {.quota = one + 1, .size = 2, .reason = INTAKE_QUOTA},
        {.quota = one + 1, .size = UINT64_MAX, .reason = INTAKE_QUOTA},
        {.quota = one, .size = 0, .reason = INTAKE_QUOTA},
        {.quota = 1, .size = 0, .reason = INTAKE_QUOTA},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_expect_eq(ask_room(rcpt_local(7, rows[i].quota), rows[i].size), rows[i].reason, "%zu",
                     i);
        cr_expect_eq(ask_room(rcpt_boxes(both, rows[i].quota), rows[i].size), rows[i].reason,
                     "as one of two, %zu", i);
    }
    cr_expect_eq(ask_room(rcpt_local(11, 10), 10), INTAKE_OK, "never got mail");
    world_forget(&w, 8);
    world_pump(&w);
    cr_expect_eq(ask_room(rcpt_local(8, 1000), 0), INTAKE_STALE);
    w.q->has_key = false;
    cr_expect_eq(ask_room(rcpt_local(7, 1000), 0), INTAKE_STALE);
    w.q->has_key = true;
    w.q->is_draining = true;
    cr_expect_eq(ask_room(rcpt_local(7, 1000), 0), INTAKE_FAULT);
    w.q->is_draining = false;
    struct span good = rcpt_local(7, 1000);
    ((char *)(uintptr_t)good.p)[good.n - 6] ^= 1; /* the seal's last; NOTIFY and ORCPT follow */
    cr_expect_eq(ask_room(good, 0), INTAKE_STALE, "forged");
    world_rcpt(&foreign, "x@example.net", NULL, 0);
    cr_expect_eq(ask_room(packer_span(&foreign), 0), INTAKE_RELAYING, "not sealed");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    world_end(&w);
}

Test(intake, one_bad_request_does_not_hurt_the_others_of_its_batch)
{
    world_begin(&w, "");
    world_send(&w, "", rcpt_local(1, 0), CONTENT);
    world_send(&w, "", rcpt_local(2, 5), CONTENT); /* over quota */
    world_send(&w, "", rcpt_local(3, 0), CONTENT);
    world_send(&w, "", rcpt_local(4, 0), "bare\nLF\r\n");
    world_send(&w, "", rcpt_local(5, 0), CONTENT);
    cr_assert(!batch_is_open(&w.q->batch));
    for (int i = 0; i < 4; i++)
        loop_turn(w.loop, 0); /* all are executed, none is committed */
    cr_assert(batch_is_open(&w.q->batch));
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    size_t before = w.n_answers; /* refusals need not wait */
    world_pump(&w);
    cr_assert_eq(before, 2);
    cr_assert_eq(w.n_answers, 5);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 3);
    cr_assert_eq(world_count(&w, "SELECT sum(box) FROM entry"), 1 + 3 + 5);
    world_end(&w);
}

/* The same id again fails before anything of it was written. */
Test(intake, an_id_that_is_taken_does_not_hurt_the_others_of_its_batch)
{
    world_begin(&w, "");
    uint64_t id = world_send_local(&w, "", 1, CONTENT);
    for (int i = 0; i < 4; i++)
        loop_turn(w.loop, 0);
    struct msg_queue_open again = {.tag = 99,
                                   .id = id,
                                   .client = SPAN("127.0.0.1"),
                                   .helo = SPAN("h"),
                                   .rcpts = rcpt_local(2, 0),
                                   .content = SPAN(CONTENT),
                                   .is_last = 1};
    intake_open(w.q, w.q_smtpd, &again, -1);
    cr_assert(batch_is_open(&w.q->batch));
    world_pump(&w);
    cr_assert_eq(w.answers[0].verdict, VERDICT_OK);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    cr_assert_eq(world_count(&w, "SELECT sum(box) FROM entry"), 1);
    world_end(&w);
}

/* A store that contradicts itself: the sequence number that the mailbox gives next is taken. */
Test(intake, a_fault_in_the_middle_of_a_delivery_takes_back_the_whole_batch)
{
    world_begin(&w, "");
    world_send_local(&w, "", 1, CONTENT);
    uint64_t other = world_send_local(&w, "", 2, CONTENT);
    world_pump(&w);
    cr_assert_eq(store_entry_add(w.q->store, &(struct entry){1, 2, other, 10, SPAN("")}), 0);
    world_send_local(&w, "", 3, CONTENT);
    world_send_local(&w, "", 1, CONTENT);
    world_pump(&w);
    cr_assert_eq(w.n_answers, 4);
    cr_assert_eq(w.answers[2].verdict, VERDICT_TRY_LATER);
    cr_assert_eq(w.answers[3].verdict, VERDICT_TRY_LATER);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 2);
    cr_assert_eq(world_count(&w, "SELECT sum(messages) FROM box"), 2);
    world_send_local(&w, "", 3, CONTENT); /* and it goes on */
    world_pump(&w);
    cr_assert_eq(w.answers[4].verdict, VERDICT_OK);
    world_end(&w);
}

Test(intake, no_answer_before_the_commit_and_nothing_after_a_rollback)
{
    world_begin(&w, "");
    world_send(&w, "", rcpt_local(1, 0), CONTENT);
    for (int i = 0; i < 4; i++)
        loop_turn(w.loop, 0);
    cr_assert_eq(w.n_answers, 0);
    store_rollback(w.q->store); /* as SQLite does by itself after some errors */
    world_pump(&w);
    cr_assert_eq(w.n_answers, 1);
    cr_assert_eq(w.answers[0].verdict, VERDICT_TRY_LATER);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_send(&w, "", rcpt_local(1, 0), CONTENT); /* and it goes on */
    world_pump(&w);
    cr_assert_eq(w.answers[1].verdict, VERDICT_OK);
    world_end(&w);
}

/* --- in parts --- */

static char *big(size_t n)
{
    char *text = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        text[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : (char)('a' + i / 64 % 26);
    memcpy(text + n - 2, "\r\n", 2);
    text[n] = '\0';
    return text;
}

static void count(void *arg, struct span name)
{
    (void)name;
    ++*(size_t *)arg;
}

static size_t files_in_spool(void)
{
    size_t n = 0;
    cr_assert_eq(spool_each(&w.q->spool, count, &n), 0);
    return n;
}

struct stream {
    uint64_t tag, id;
};

static struct stream open_stream(const char *text, size_t n)
{
    struct msg_queue_open m = {.tag = id_new(),
                               .id = id_new(),
                               .sender = SPAN("a@example.net"),
                               .client = SPAN("127.0.0.1"),
                               .helo = SPAN("h"),
                               .rcpts = rcpt_local(7, 0),
                               .content = {text, n}};
    struct stream s = {m.tag, m.id};
    cr_assert_eq(ipc_send_queue_open(w.smtpd, &m, -1), 0);
    return s;
}

static void more(struct stream s, const char *text, size_t n, bool is_last)
{
    struct msg_queue_more m = {
        .tag = s.tag, .rcpts = SPAN(""), .content = {text, n}, .is_last = is_last};
    cr_assert_eq(ipc_send_queue_more(w.smtpd, &m, -1), 0);
    world_pump(&w);
}

Test(intake, large_content_becomes_a_file_and_goes_with_its_message)
{
    size_t n = 3000000;
    char *text = big(n);
    world_begin(&w, "[mailbox]\nundelete_for = none\n");
    struct stream s = open_stream(text, CHUNK_MAX);
    for (size_t at = CHUNK_MAX; at < n; at += CHUNK_MAX)
        more(s, text + at, n - at < CHUNK_MAX ? n - at : CHUNK_MAX, n - at <= CHUNK_MAX);
    cr_assert_eq(world_count(&w, "SELECT size FROM message WHERE spooled = 1"), (int64_t)n);
    int fd = spool_read(&w.q->spool, s.id, n);
    cr_assert_geq(fd, 0);
    char *back = malloc(n);
    cr_assert_eq(read(fd, back, n), (ssize_t)n);
    cr_assert_eq(memcmp(back, text, n), 0);
    close(fd);
    free(back);
    world_restart(&w);
    cr_assert_eq(files_in_spool(), 1); /* a start leaves what has a row */
    world_delete(&w, 7, (uint64_t[]){1, 0}, true);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    cr_assert_eq(files_in_spool(), 0);
    free(text);
    world_end(&w);
}

Test(intake, parts_that_stay_small_end_in_the_row)
{
    world_begin(&w, "");
    struct stream s = open_stream("Subject: a\r", 11);
    more(s, "\n\r", 2, false);
    more(s, "\nbody\r\n", 7, true);
    cr_assert_eq(files_in_spool(), 0);
    char *content = world_text(&w, "SELECT content FROM message");
    cr_assert_str_eq(content, "Subject: a\r\n\r\nbody\r\n");
    free(content);
    cr_assert_eq(world_count(&w, "SELECT header FROM message"), 14);
    world_end(&w);
}

Test(intake, what_is_too_big_leaves_nothing_behind)
{
    size_t n = 200000;
    char *text = big(n);
    world_begin(&w, "");
    w.config->message_size_max = 100000;
    struct stream s = open_stream(text, CHUNK_MAX);
    more(s, text, CHUNK_MAX, false);
    cr_assert_eq(intake_count(w.q), 0);
    cr_assert_eq(files_in_spool(), 0);
    more(s, text, CHUNK_MAX, true); /* was on its way */
    cr_assert_eq(intake_count(w.q), 0);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    free(text);
    world_end(&w);
}

Test(intake, an_aborted_or_abandoned_message_leaves_nothing_behind)
{
    char *text = big(CHUNK_MAX);
    world_begin(&w, "");
    struct stream s = open_stream(text, CHUNK_MAX), t = open_stream(text, CHUNK_MAX);
    more(s, text, CHUNK_MAX, false);
    more(t, text, CHUNK_MAX, false);
    cr_assert_eq(files_in_spool(), 2);
    ipc_send_queue_abort(w.smtpd, &(struct msg_queue_abort){s.tag}, -1);
    world_pump(&w);
    cr_assert_eq(files_in_spool(), 1);
    queue_peer_down(w.q, ROLE_SMTPD, w.q_smtpd);
    cr_assert_eq(files_in_spool(), 0);
    cr_assert_eq(intake_count(w.q), 0);
    free(text);
    world_end(&w);
}

Test(intake, a_worker_that_dies_while_the_commit_is_pending_does_no_harm)
{
    world_begin(&w, "");
    world_send(&w, "", rcpt_local(1, 0), CONTENT);
    for (int i = 0; i < 4; i++)
        loop_turn(w.loop, 0);
    queue_peer_down(w.q, ROLE_SMTPD, w.q_smtpd);
    queue_turn(w.q);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    cr_assert_eq(intake_count(w.q), 0);
    cr_assert_eq(w.n_answers, 0);
    world_end(&w);
}

Test(intake, a_forgotten_mailbox_takes_nothing)
{
    world_begin(&w, "");
    world_send_local(&w, "", 7, CONTENT);
    world_pump(&w);
    world_forget(&w, 7);
    cr_assert_eq(w.forgets[0].verdict, VERDICT_OK);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    cr_assert_eq(world_count(&w, "SELECT octets + messages FROM box"), 0);
    world_send_local(&w, "", 7, CONTENT);
    world_pump(&w);
    cr_assert_eq(w.answers[1].verdict, VERDICT_TRY_LATER);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_end(&w);
}
