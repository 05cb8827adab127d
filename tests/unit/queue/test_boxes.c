#include "world.h"

#include <criterion/criterion.h>

#define CONTENT "Subject: hello\r\n\r\nthere\r\n"

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
    world_begin(&w, "");
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

Test(boxes, a_refused_part_refuses_all_that_belongs_to_it)
{
    world_begin(&w, "");
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
    world_begin(&w, "");
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
    world_begin(&w, "");
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
    world_begin(&w, "");
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
