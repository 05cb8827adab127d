/* Mail that is held for its sender (RFC 4865). */
#include "world.h"

#include <criterion/criterion.h>
#include <sys/socket.h>

#define CONTENT "Subject: hello\r\n\r\nthe text\r\n"
#define FROM    "alice@example.org"
#define HOUR_S  3600

static struct world w;

static void in_boxes(const char *sql, int64_t expected)
{
    cr_expect_eq(world_count(&w, sql), expected, "%s: %lld", sql, (long long)world_count(&w, sql));
}

static void send_held(const char *to, const uint64_t *boxes, uint64_t quota)
{
    char room[2000];
    struct packer p = packer_on(room, sizeof room);
    world_rcpt(&p, to, boxes, quota);
    w.hold_until = WORLD_START_S + HOUR_S;
    world_send(&w, FROM, packer_span(&p), CONTENT);
    world_pump(&w);
    world_ticket(&w, VERDICT_OK, TICKET_GOOD);
    world_pump(&w);
}

static void begin_held(const char *to, const uint64_t *boxes)
{
    world_begin(&w, "");
    send_held(to, boxes, 0);
    cr_assert_eq(w.n_answers, 1);
    cr_assert_eq(w.answers[0].verdict, VERDICT_OK);
}

static const uint64_t box_17[] = {17, 0};

Test(release, a_mailbox_gets_it_when_its_time_has_come)
{
    begin_held("user@example.org", box_17);
    in_boxes("SELECT count(*) FROM entry", 0);
    in_boxes("SELECT next_attempt FROM recipient", WORLD_START_S + HOUR_S);
    in_boxes("SELECT expires - arrived FROM message", HOUR_S + 5 * 86400);
    world_pass(&w, HOUR_S - 1);
    cr_expect_eq(w.n_asked, 0);
    world_restart(&w);
    world_pass(&w, 3);
    cr_assert_eq(w.n_asked, 1, "the address is resolved when it is released");
    cr_expect_str_eq(w.asked[0], "user@example.org");
    world_resolve(&w, 0, ADDRESS_LOCAL, 18); /* it leads elsewhere by now */
    in_boxes("SELECT box FROM entry", 18);
    in_boxes("SELECT count(*) FROM recipient", 0);
    in_boxes("SELECT messages FROM box WHERE id = 18", 1);
    world_end(&w);
}

Test(release, another_server_gets_it_then_too)
{
    begin_held("bob@remote.example", NULL);
    world_pass(&w, HOUR_S - 5);
    cr_expect_eq(w.n_jobs, 0);
    world_pass(&w, 10);
    cr_assert_eq(w.n_jobs, 1);
    cr_expect_eq(w.n_asked, 0);
    world_relay(&w, 0, VERDICT_OK, "250 2.0.0 taken");
    in_boxes("SELECT count(*) FROM message", 0);
    world_end(&w);
}

Test(release, early_by_retry)
{
    char id[ID_TEXT];
    begin_held("user@example.org", box_17);
    id_format(id, (uint64_t)world_count(&w, "SELECT id FROM message"));
    world_admin(&w, "queue show", (const char *const[]){id, NULL});
    cr_expect(strstr(w.rows, "state=deferred") != NULL && strstr(w.rows, "held until 20") != NULL,
              "%s", w.rows);
    world_admin(&w, "queue retry", (const char *const[]){id, NULL});
    world_pump(&w);
    cr_assert_eq(w.n_asked, 1);
    world_resolve(&w, 0, ADDRESS_LOCAL, 17);
    in_boxes("SELECT count(*) FROM entry WHERE box = 17", 1);
    world_end(&w);
}

Test(release, removed_before)
{
    char id[ID_TEXT];
    begin_held("user@example.org", box_17);
    id_format(id, (uint64_t)world_count(&w, "SELECT id FROM message"));
    world_admin(&w, "queue remove", (const char *const[]){id, NULL});
    world_pass(&w, 2 * HOUR_S);
    cr_expect_eq(w.n_asked, 0);
    in_boxes("SELECT count(*) FROM message", 0);
    world_end(&w);
}

Test(release, removed_while_authd_is_asked)
{
    char id[ID_TEXT];
    begin_held("user@example.org", box_17);
    id_format(id, (uint64_t)world_count(&w, "SELECT id FROM message"));
    world_pass(&w, HOUR_S + 2);
    cr_assert_eq(w.n_asked, 1);
    world_admin(&w, "queue remove", (const char *const[]){id, NULL});
    world_resolve(&w, 0, ADDRESS_LOCAL, 17);
    in_boxes("SELECT count(*) FROM entry", 0);
    in_boxes("SELECT count(*) FROM message", 0);
    world_end(&w);
}

/* Its sender is told; nobody else gets anything. */
Test(release, nobody_is_there_any_more)
{
    begin_held("user@example.org", box_17);
    world_pass(&w, HOUR_S + 2);
    world_resolve(&w, 0, ADDRESS_UNKNOWN, 0);
    cr_assert_eq(w.n_asked, 2, "its sender is looked up");
    cr_expect_str_eq(w.asked[1], FROM);
    world_resolve(&w, 1, ADDRESS_LOCAL, 1);
    in_boxes("SELECT count(*) FROM message WHERE sender = '' AND instr(CAST(content AS TEXT),"
             " char(10) || 'Future-Release-Request: for;3600' || char(13)) > 0",
             1);
    in_boxes("SELECT count(*) FROM hold", 0);
    in_boxes("SELECT count(*) FROM recipient", 0);
    world_end(&w);
}

Test(release, a_domain_that_is_no_longer_ours)
{
    begin_held("user@example.org", box_17);
    world_pass(&w, HOUR_S + 2);
    world_resolve(&w, 0, ADDRESS_FOREIGN, 0);
    world_pass(&w, 5);
    cr_assert_eq(w.n_jobs, 1);
    cr_expect_str_eq(w.jobs[0].rcpts[0], "user@example.org");
    world_end(&w);
}

/* An alias that leads elsewhere by now: that is tried at once. */
Test(release, an_address_elsewhere_behind_an_alias)
{
    static struct sealer s;
    begin_held("user@example.org", box_17);
    world_send_remote(&w, FROM, "x@other.example", CONTENT); /* held as well */
    world_pump(&w);
    world_ticket(&w, VERDICT_OK, TICKET_GOOD);
    world_pass(&w, HOUR_S + 2);
    cr_assert_eq(w.n_asked, 1);
    cr_assert_eq(w.n_jobs, 1, "the search has passed this second");
    seal_begin(&s, span_of(w.asked[0]), clock_wall_s());
    seal_target(&s,
                &(struct target){
                    .is_local = true, .box = 17, .quota = 0, .address = SPAN("user@example.org")});
    seal_target(
        &s, &(struct target){
                .is_local = false, .box = 0, .quota = 0, .address = SPAN("bob@remote.example")});
    struct msg_resolve_re re = {
        .tag = w.asked_tags[0], .kind = ADDRESS_LOCAL, .sealed = seal_end(&s, world_key)};
    cr_assert_eq(ipc_send_resolve_re(w.authd, &re, -1), 0);
    world_pump(&w);
    in_boxes("SELECT count(*) FROM entry WHERE box = 17", 1);
    cr_assert_eq(w.n_jobs, 2);
    cr_expect_str_eq(w.jobs[1].rcpts[0], "bob@remote.example");
    world_end(&w);
}

/* "Could not decide" is "later". */
Test(release, authd_cannot_say)
{
    begin_held("user@example.org", box_17);
    world_pass(&w, HOUR_S + 2);
    struct msg_resolve_re re = {.tag = w.asked_tags[0], .verdict = VERDICT_TRY_LATER};
    cr_assert_eq(ipc_send_resolve_re(w.authd, &re, -1), 0);
    world_pump(&w);
    in_boxes("SELECT state FROM recipient", RCPT_WAITING);
    world_pass(&w, 120);
    cr_assert_eq(w.n_asked, 2);
    world_resolve(&w, 1, ADDRESS_LOCAL, 17);
    in_boxes("SELECT count(*) FROM entry WHERE box = 17", 1);
    world_end(&w);
}

Test(release, a_mailbox_that_has_it_gets_it_once)
{
    char room[2000];
    struct packer p = packer_on(room, sizeof room);
    world_begin(&w, "");
    world_rcpt(&p, "user@example.org", box_17, 0);
    world_rcpt(&p, "other@example.org", box_17, 0);
    w.hold_until = WORLD_START_S + HOUR_S;
    world_send(&w, FROM, packer_span(&p), CONTENT);
    world_pump(&w);
    world_ticket(&w, VERDICT_OK, TICKET_GOOD);
    world_pass(&w, HOUR_S + 2);
    cr_assert_eq(w.n_asked, 2);
    world_resolve(&w, 0, ADDRESS_LOCAL, 17);
    world_resolve(&w, 1, ADDRESS_LOCAL, 17);
    in_boxes("SELECT count(*) FROM entry", 1);
    in_boxes("SELECT count(*) FROM recipient", 0);
    world_end(&w);
}

Test(release, a_full_mailbox_refuses_it_when_it_comes)
{
    world_begin(&w, "");
    send_held("user@example.org", box_17, 10);
    cr_expect_eq(w.answers[0].verdict, VERDICT_TRY_LATER);
    cr_expect_eq(w.answers[0].reason, INTAKE_QUOTA);
    in_boxes("SELECT count(*) FROM message", 0);
    world_end(&w);
}

/* --- how much of one user (RFC 4865 6.2) --- */

/* The reason for which a message to user@example.org, or to an address elsewhere, is not taken. */
static unsigned held_reason(const uint64_t *boxes, const char *login)
{
    char room[2000];
    struct packer p = packer_on(room, sizeof room);
    size_t n = w.n_answers;
    union msg m = {.ticket_re = {.login = span_of(login)}};
    world_rcpt(&p, boxes != NULL ? "user@example.org" : "x@example.net", boxes, 0);
    world_send(&w, FROM, packer_span(&p), CONTENT);
    world_pump(&w);
    if (w.hold_until != 0) {
        m.ticket_re.tag = w.ticket.tag;
        w.ticket.tag = 0;
        cr_assert_eq(ipc_send_ticket_re(w.authd, &m.ticket_re, -1), 0);
        world_pump(&w);
    }
    cr_assert_eq(w.n_answers, n + 1);
    cr_expect_eq(w.answers[n].verdict,
                 w.answers[n].reason == INTAKE_OK ? VERDICT_OK : VERDICT_TRY_LATER);
    return w.answers[n].reason;
}

Test(release, of_one_user_so_many_wait)
{
    world_begin(&w, "[smtp]\nfuture_release_messages = 2\n");
    w.hold_until = WORLD_START_S + HOUR_S;
    cr_expect_eq(held_reason(box_17, "ann@example.org"), INTAKE_OK);
    cr_expect_eq(held_reason(NULL, "ann@example.org"), INTAKE_OK);
    cr_expect_eq(held_reason(box_17, "ann@example.org"), INTAKE_HELD);
    cr_expect_eq(held_reason(box_17, "bob@example.org"), INTAKE_OK, "it is each one's own");
    world_restart(&w);
    cr_expect_eq(held_reason(box_17, "ann@example.org"), INTAKE_HELD, "over a restart");
    in_boxes("SELECT count(*) FROM message", 3);
    w.hold_until = 0;
    cr_expect_eq(held_reason(box_17, ""), INTAKE_OK, "what is not held is not counted");
    world_pass(&w, HOUR_S + 1);
    w.hold_until = WORLD_START_S + 2 * HOUR_S;
    cr_expect_eq(held_reason(box_17, "ann@example.org"), INTAKE_OK, "their time has come");
    world_end(&w);
}

Test(release, of_one_user_so_many_octets_wait)
{
    char long_text[800] = "Subject: x\r\n\r\n";
    char room[2000];
    struct packer p = packer_on(room, sizeof room);
    world_begin(&w, "[smtp]\nfuture_release_size = 1K\n");
    for (size_t n = strlen(long_text); n + 3 < 700; n = strlen(long_text))
        memcpy(long_text + n, "x\r\n", 4);
    world_rcpt(&p, "user@example.org", box_17, 0);
    w.hold_until = WORLD_START_S + HOUR_S;
    for (size_t i = 0; i < 2; i++) {
        world_send(&w, FROM, packer_span(&p), long_text);
        world_pump(&w);
        world_ticket(&w, VERDICT_OK, TICKET_GOOD);
        world_pump(&w);
        cr_assert_eq(w.n_answers, i + 1);
        cr_expect_eq(w.answers[i].reason, i == 0 ? INTAKE_OK : INTAKE_HELD);
    }
    send_held("user@example.org", box_17, 0);
    cr_expect_eq(w.answers[2].reason, INTAKE_OK, "a smaller one has room");
    in_boxes("SELECT count(*) FROM message", 2);
    world_end(&w);
}

Test(release, what_went_early_does_not_count)
{
    char id[ID_TEXT];
    world_begin(&w, "[smtp]\nfuture_release_messages = 1\n");
    w.hold_until = WORLD_START_S + HOUR_S;
    cr_expect_eq(held_reason(box_17, "ann@example.org"), INTAKE_OK);
    cr_expect_eq(held_reason(box_17, "ann@example.org"), INTAKE_HELD);
    id_format(id, (uint64_t)world_count(&w, "SELECT id FROM message"));
    world_admin(&w, "queue retry", (const char *const[]){id, NULL});
    world_pass(&w, 2);
    cr_assert_eq(w.n_asked, 1);
    world_resolve(&w, 0, ADDRESS_LOCAL, 17);
    in_boxes("SELECT count(*) FROM entry", 1);
    in_boxes("SELECT count(*) FROM hold WHERE until = 0", 1);
    cr_expect_eq(held_reason(box_17, "ann@example.org"), INTAKE_OK);
    world_end(&w);
}

/* smtpd may have been taken over: it is checked here what may be held, for how long, and for whom.
 */
Test(release, not_for_ever_and_not_for_strangers)
{
    static const struct {
        const char *request;
        unsigned in_s, uid_off; /* the uid that smtpd claims is so much above ours */
        bool has_ticket, is_local, is_taken;
    } rows[] = {
        {"for;172800", 172800, 0, true, false, false}, /* too long */
        {"for;60", 60, 0, false, false, false},        /* a stranger */
        {"", 60, 0, true, false, false},
        {"for;x", 60, 0, true, false, false},
        {"for;60", 60, 1, false, true, false}, /* another user's connection */
        {"for;60", 60, 0, false, true, true},
    };
    char room[2000], client[NETADDR_TEXT];
    struct packer p = packer_on(room, sizeof room);
    int fds[2];
    world_begin(&w, "[smtp]\nfuture_release = 1d\n");
    world_rcpt(&p, "user@example.org", box_17, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(client, sizeof client, "uid:%u", (unsigned)getuid() + rows[i].uid_off);
        struct msg_queue_open m = {.id = id_new(),
                                   .sender = SPAN(FROM),
                                   .client = rows[i].is_local ? span_of(client) : SPAN("127.0.0.1"),
                                   .helo = SPAN("x"),
                                   .ticket =
                                       rows[i].has_ticket ? SPAN("0123456789abcdef") : SPAN(""),
                                   .hold_until = WORLD_START_S + rows[i].in_s,
                                   .hold_request = span_of(rows[i].request),
                                   .rcpts = packer_span(&p),
                                   .content = SPAN(CONTENT),
                                   .is_last = 1,
                                   .tag = 1000U + i};
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        cr_assert_eq(ipc_send_queue_open(w.smtpd, &m, rows[i].is_local ? fds[0] : -1), 0);
        if (!rows[i].is_local)
            close(fds[0]);
        close(fds[1]);
        world_pump(&w);
        cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), rows[i].is_taken, "row %zu",
                     i);
    }
    in_boxes("SELECT next_attempt FROM recipient", WORLD_START_S + 60);
    in_boxes("SELECT count(*) FROM hold WHERE request = 'for;60'", 1);
    world_end(&w);
}
