#include "world.h"

#include <criterion/criterion.h>

#define CONTENT "Subject: hello\r\n\r\nthere\r\n"

#define AT_ONCE "[mailbox]\nundelete_for = none\n"
#define DAY     86400

static struct world w;

static void fill(uint64_t box, int n)
{
    for (int i = 0; i < n; i++)
        world_send_local(&w, "", box, CONTENT);
    world_pump(&w);
    w.n_answers = 0;
}

Test(boxes, deletions_are_one_transaction_over_all_parts)
{
    world_begin(&w, AT_ONCE);
    fill(7, 5);
    uint64_t tag = world_delete(&w, 7, (uint64_t[]){1, 3, 0}, false);
    cr_assert_eq(w.n_deletes, 0);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM entry"), 5);
    world_delete_more(&w, tag, 7, (uint64_t[]){5, 99, 0}, true); /* 99 is not there */
    cr_assert_eq(w.n_deletes, 1);
    cr_assert_eq(w.deletes[0].verdict, VERDICT_OK);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM entry"), 2);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 2);
    cr_assert_eq(world_count(&w, "SELECT messages FROM box"), 2);
    cr_assert_eq(world_count(&w, "SELECT octets FROM box"),
                 2 * (int64_t)strlen(CONTENT "Return-Path: <>\r\n"));
    fill(7, 1); /* sequence numbers are not given again */
    cr_assert_eq(world_count(&w, "SELECT max(seq) FROM entry"), 6);
    world_end(&w);
}

/* Only what was imported without a Return-Path has none. */
Test(boxes, octets_over_127_in_a_header_section_change_nothing_in_front)
{
    static const char content[] = "Subject: h\xc3\xa4llo\r\n\r\nthere\r\n";
    world_begin(&w, AT_ONCE);
    world_send_local(&w, "", 7, content);
    world_pump(&w);
    cr_assert_eq(world_count(&w, "SELECT octets FROM entry"),
                 (int64_t)(strlen(content) + strlen("Return-Path: <>\r\n")));
    world_end(&w);
}

Test(boxes, a_refused_part_refuses_all_that_belongs_to_it)
{
    world_begin(&w, AT_ONCE);
    fill(7, 3);
    uint64_t tag = world_delete(&w, 7, (uint64_t[]){1, 0}, false);
    world_delete_more(&w, tag, 8, (uint64_t[]){2, 0}, false); /* another mailbox */
    cr_assert_eq(w.n_deletes, 1);
    cr_assert_eq(w.deletes[0].verdict, VERDICT_TRY_LATER);
    world_delete_more(&w, tag, 7, (uint64_t[]){3, 0}, true);
    cr_assert_eq(w.n_deletes, 1);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM entry"), 3);
    world_delete(&w, 7, (uint64_t[]){UINT64_MAX, 0}, true);
    cr_assert_eq(w.deletes[1].verdict, VERDICT_TRY_LATER);
    world_end(&w);
}

Test(boxes, parts_without_an_end_go_with_their_channel)
{
    world_begin(&w, AT_ONCE);
    fill(7, 2);
    world_delete(&w, 7, (uint64_t[]){1, 0}, false);
    queue_peer_down(w.q, ROLE_MAILBOX, w.q_mailbox);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM entry"), 2);
    world_end(&w);
}

Test(boxes, content_stays_while_another_mailbox_has_it)
{
    char room[4000];
    struct packer p = packer_on(room, sizeof room);
    world_begin(&w, AT_ONCE);
    world_rcpt(&p, "alias@example.org", (uint64_t[]){7, 8, 0}, 0);
    world_rcpt(&p, "x@example.net", NULL, 0);
    world_send(&w, "", packer_span(&p), CONTENT);
    world_pump(&w);
    world_delete(&w, 7, (uint64_t[]){1, 0}, true);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    world_delete(&w, 8, (uint64_t[]){1, 0}, true);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 1); /* the relay has it still */
    world_relay(&w, 0, VERDICT_OK, "250 ok");
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_end(&w);
}

Test(boxes, forgetting_goes_on_after_a_restart)
{
    world_begin(&w, AT_ONCE);
    for (int i = 0; i < 30; i++)
        fill(7, 50);
    fill(8, 1);
    struct msg_box_forget f = {.tag = 1, .box = 7};
    ipc_send_box_forget(w.authd, &f, -1);
    for (int i = 0; i < 4; i++)
        loop_turn(w.loop, 0);
    batch_commit(&w.q->batch); /* marked, not yet emptied */
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM entry WHERE box = 7"), 1500);
    world_restart(&w);
    world_pump(&w);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM entry WHERE box = 7"), 0);
    cr_assert_eq(world_count(&w, "SELECT messages + octets FROM box WHERE id = 7"), 0);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    world_forget(&w, 7); /* again does no harm */
    cr_assert_eq(w.forgets[0].verdict, VERDICT_OK);
    world_end(&w);
}

/* --- what is deleted can come back for a while --- */

static void undelete(const char *since)
{
    world_admin(&w, "box undelete", (const char *[]){"7", since, NULL});
    cr_assert(w.has_admin_re);
    cr_assert_eq(w.admin_re.verdict, VERDICT_OK, "%s", w.admin_error);
}

Test(boxes, deleted_mail_comes_back_as_it_was)
{
    world_begin(&w, "");
    fill(7, 4);
    world_delete(&w, 7, (uint64_t[]){1, 3, 0}, true);
    cr_assert_eq(w.deletes[0].verdict, VERDICT_OK);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry"), 2);
    cr_expect_eq(world_count(&w, "SELECT messages FROM box"), 2);
    cr_expect_eq(world_count(&w, "SELECT deleted FROM box"), 2);
    cr_expect_eq(world_count(&w, "SELECT octets - deleted_octets FROM box"), 0);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 4);
    int64_t epoch = world_count(&w, "SELECT epoch FROM box");
    world_restart(&w);
    undelete(NULL);
    cr_expect_str_eq(w.rows, "0 messages=2\n");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM trash"), 0);
    cr_expect_eq(world_count(&w, "SELECT messages FROM box"), 4);
    cr_expect_eq(world_count(&w, "SELECT deleted + deleted_octets FROM box"), 0);
    cr_expect_eq(world_count(&w, "SELECT sum(seq) FROM entry"), 1 + 2 + 3 + 4);
    cr_expect_gt(world_count(&w, "SELECT epoch FROM box"), epoch);
    undelete(NULL);
    cr_expect_str_eq(w.rows, "0 messages=0\n");
    world_end(&w);
}

Test(boxes, undelete_since)
{
    char since[32];
    world_begin(&w, "");
    fill(7, 2);
    world_delete(&w, 7, (uint64_t[]){1, 0}, true);
    world_pass(&w, 100);
    world_delete(&w, 7, (uint64_t[]){2, 0}, true);
    snprintf(since, sizeof since, "since=%lld", (long long)w.now_s);
    undelete(since);
    cr_expect_eq(world_count(&w, "SELECT seq FROM entry"), 2);
    cr_expect_eq(world_count(&w, "SELECT seq FROM trash"), 1);
    world_admin(&w, "box undelete", (const char *[]){"7", "since=x", NULL});
    cr_expect_eq(w.admin_re.verdict, VERDICT_NEVER);
    world_end(&w);
}

Test(boxes, deleted_mail_is_gone_after_its_time)
{
    world_begin(&w, "[mailbox]\nundelete_for = 2d\n");
    fill(7, 50);
    uint64_t all[51] = {0};
    for (uint64_t i = 0; i < 50; i++)
        all[i] = i + 1;
    world_delete(&w, 7, all, true);
    world_pass(&w, DAY);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM trash"), 50);
    world_pass(&w, DAY + 61);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM trash"), 0);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    cr_expect_eq(world_count(&w, "SELECT deleted + deleted_octets FROM box"), 0);
    world_end(&w);
}

/* Decided at once, carried out in steps, over a crash. */
Test(boxes, a_large_deletion_is_decided_at_once)
{
    static uint64_t all[2001];
    world_begin(&w, "");
    for (int i = 0; i < 40; i++)
        fill(7, 50);
    for (uint64_t i = 0; i < 2000; i++)
        all[i] = i + 1;
    struct msg_box_delete m = {.tag = 77, .box = 7, .session = 1, .is_last = 1};
    char room[16000];
    struct packer p = packer_on(room, sizeof room);
    for (size_t i = 0; i < 2000; i++)
        pack_uint(&p, all[i], 8);
    m.sequences = packer_span(&p);
    ipc_send_box_delete(w.mailbox, &m, -1);
    for (int i = 0; i < 100 && !batch_is_open(&w.q->batch); i++)
        loop_turn(w.loop, 0);
    batch_commit(&w.q->batch);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry"), 2000);
    cr_expect_eq(world_count(&w, "SELECT sum(length(sequences)) FROM removal"), 16000);
    world_restart(&w);
    world_pump(&w);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM removal"), 0);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry"), 0);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM trash"), 2000);
    cr_expect_eq(world_count(&w, "SELECT deleted - messages FROM box"), 2000);
    undelete(NULL); /* page by page */
    cr_expect_eq(world_count(&w, "SELECT messages - deleted FROM box"), 2000);
    world_end(&w);
}

Test(boxes, a_removed_user_takes_the_trash_with_him)
{
    world_begin(&w, "");
    fill(7, 3);
    world_delete(&w, 7, (uint64_t[]){1, 2, 3, 0}, true);
    world_forget(&w, 7);
    world_pump(&w);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM trash"), 0);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_end(&w);
}

/* What was deleted never keeps new mail out; the oldest of it goes first. */
Test(boxes, the_trash_has_what_the_quota_leaves)
{
    char room[4000];
    size_t octets = strlen(CONTENT "Return-Path: <>\r\n");
    world_begin(&w, "");
    fill(7, 2);
    world_delete(&w, 7, (uint64_t[]){1, 2, 0}, true);
    for (int i = 0; i < 2; i++) {
        struct packer p = packer_on(room, sizeof room);
        world_rcpt(&p, "full@example.org", (uint64_t[]){7, 0}, 2 * octets);
        world_send(&w, "", packer_span(&p), CONTENT);
        world_pump(&w);
        cr_expect_eq(w.answers[i].verdict, VERDICT_OK);
    }
    world_pass(&w, 61);
    cr_expect_eq(world_count(&w, "SELECT messages FROM box"), 2);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM trash"), 0);
    world_end(&w);
}

/* --- retention --- */

Test(boxes, old_mail_goes_by_retention)
{
    world_begin(&w, "[mailbox]\nretention = 30d\nretention_least = 7d\n");
    fill(7, 2);
    fill(8, 2);
    fill(9, 2);
    world_admin(&w, "box retention", (const char *[]){"8", "604800", NULL}); /* 7d */
    cr_expect_eq(w.admin_re.verdict, VERDICT_OK);
    world_admin(&w, "box retention", (const char *[]){"9", "4294967295", NULL}); /* none */
    cr_expect_eq(w.admin_re.verdict, VERDICT_OK);
    world_admin(&w, "box retention", (const char *[]){"9", "86400", NULL}); /* too short */
    cr_expect_eq(w.admin_re.verdict, VERDICT_NEVER);
    world_pass(&w, 8 * DAY);
    fill(8, 1);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry WHERE box = 7"), 2);
    cr_expect_eq(world_count(&w, "SELECT seq FROM entry WHERE box = 8"), 3);
    world_pass(&w, 30 * DAY);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry"), 2);
    cr_expect_eq(world_count(&w, "SELECT sum(messages) FROM box"), 2);
    cr_expect_eq(world_count(&w, "SELECT messages FROM box WHERE id = 9"), 2);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 2);
    world_end(&w);
}

Test(boxes, a_retention_before_the_first_mail)
{
    world_begin(&w, "[mailbox]\nretention_least = 7d\n");
    world_admin(&w, "box retention", (const char *[]){"7", "604800", NULL});
    fill(7, 2);
    cr_expect_eq(world_count(&w, "SELECT messages FROM box WHERE retention = 604800"), 2);
    cr_expect_eq(world_count(&w, "SELECT max(seq) FROM entry"), 2);
    world_end(&w);
}

static int64_t entries(uint64_t box)
{
    char sql[80];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM entry WHERE box = %llu",
             (unsigned long long)box);
    return world_count(&w, sql);
}

Test(boxes, retention_of_a_domain)
{
    world_begin(&w, "[mailbox]\nretention = 30d\nretention_least = 7d\n");
    w.domains[7] = w.domains[8] = 3;
    w.domains[9] = 4;
    fill(7, 2);
    fill(8, 2);
    fill(9, 2);
    world_pass(&w, 60);
    cr_expect_eq(w.n_domains_asked, 0, "before there is one");
    world_admin(&w, "domain retention", (const char *[]){"3", "604800", NULL}); /* 7d */
    cr_expect_eq(w.admin_re.verdict, VERDICT_OK);
    world_admin(&w, "domain retention", (const char *[]){"3", "86400", NULL}); /* too short */
    cr_expect_eq(w.admin_re.verdict, VERDICT_NEVER);
    world_admin(&w, "box retention", (const char *[]){"8", "4294967295", NULL}); /* none */
    world_pass(&w, 8 * DAY);
    cr_expect_eq(entries(7), 0, "the domain beats the setting");
    cr_expect_eq(entries(8), 2, "the user beats the domain");
    cr_expect_eq(entries(9), 2, "another domain");
    cr_expect_eq(w.n_domains_asked, 2);
    fill(7, 1);
    world_restart(&w);
    world_pass(&w, 60);
    cr_expect_eq(w.n_domains_asked, 2, "it is known");
    world_admin(&w, "domain retention", (const char *[]){"4", "4294967295", NULL}); /* none */
    world_pass(&w, 31 * DAY);
    cr_expect_eq(entries(7), 0);
    cr_expect_eq(entries(9), 2);
    world_admin(&w, "domain retention", (const char *[]){"4", "0", NULL}); /* default */
    world_pass(&w, 60);
    cr_expect_eq(entries(9), 0);
    world_end(&w);
}

/* Who cannot tell how long it stays does not remove it. */
Test(boxes, mail_of_an_unknown_domain_stays)
{
    world_begin(&w, "[mailbox]\nretention = 30d\nretention_least = 7d\n");
    fill(5, 2); /* of nobody */
    fill(6, 2);
    fill(7, 2);
    w.domains[7] = w.domains[6] = 3;
    w.is_authd_lost = true;
    world_admin(&w, "domain retention", (const char *[]){"3", "604800", NULL});
    world_pass(&w, 31 * DAY);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry"), 6);
    cr_expect_eq(w.n_domains_asked, 3, "each once in a minute");
    w.is_authd_lost = false;
    world_pass(&w, 60);
    cr_expect_eq(entries(5), 2);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry"), 2);
    w.q->authd = NULL; /* it is down */
    fill(8, 2);
    world_pass(&w, 31 * DAY);
    cr_expect_eq(entries(8), 2);
    world_end(&w);
}

Test(boxes, retention_is_shown_with_who_set_it)
{
    world_begin(&w, "[mailbox]\nretention = 30d\nretention_least = 7d\n");
    const char *const show[] = {"7", "domain=3", NULL};
    world_admin(&w, "box show", show);
    cr_expect(strstr(w.rows, " retention=2592000 retention_of=configuration") != NULL, "%s",
              w.rows);
    world_admin(&w, "domain retention", (const char *[]){"3", "864000", NULL});
    world_admin(&w, "box show", show);
    cr_expect(strstr(w.rows, " retention=864000 retention_of=domain") != NULL, "%s", w.rows);
    world_admin(&w, "domain retention", (const char *[]){"3", NULL});
    cr_expect(strstr(w.rows, " retention=864000 retention_of=domain") != NULL, "%s", w.rows);
    world_admin(&w, "box retention", (const char *[]){"7", "4294967295", NULL});
    world_admin(&w, "box show", show);
    cr_expect(strstr(w.rows, " retention=0 retention_of=user") != NULL, "%s", w.rows);
    world_end(&w);
}
