#include "common/sql_tidy.h"
#include "queue/tidy.h"
#include "world.h"

#include <criterion/criterion.h>

static struct world w;

/* Mail that takes some thousand pages, and its end: they are free then. */
static void make_room(void)
{
    static char content[40000];
    world_begin(&w, "[mailbox]\nundelete_for = none\n");
    memset(content, 'x', sizeof content);
    for (size_t i = 0; i + 80 < sizeof content; i += 80)
        memcpy(content + i, "\r\n", 2);
    memcpy(content, "Subject: x\r\n\r\n", 14);
    memcpy(content + sizeof content - 3, "\r\n", 3);
    for (int i = 0; i < 600; i++) {
        world_send_local(&w, "a@b.example", 7, content);
        world_pump(&w);
        w.n_answers = 0;
    }
    uint64_t some[100];
    for (uint64_t first = 1; first + 99 < 600; first += 99) {
        for (uint64_t i = 0; i < 99; i++)
            some[i] = first + i;
        some[99] = 0;
        world_delete(&w, 7, some, true);
        world_pump(&w);
        w.n_deletes = 0;
    }
}

static int64_t pages(void)
{
    return world_count(&w, "PRAGMA page_count");
}

Test(tidy, free_pages_go_in_small_steps)
{
    make_room();
    int64_t before = pages();
    cr_assert(store_has_room(w.q->store), "%lld pages, %lld free", (long long)before,
              (long long)world_count(&w, "PRAGMA freelist_count"));
    tidy_look(w.q);
    int64_t least = before;
    for (int i = 0; i < 2000 && pages() > before / 2; i++) {
        usleep(5000); /* steps come by the clock */
        loop_turn(w.loop, 0);
        queue_turn(w.q);
        cr_expect_leq(least - pages(), SQL_TIDY_PAGES + 5,
                      "a step is bounded"); /* maps of pages, too */
        least = pages();
    }
    cr_expect_leq(pages(), before / 2);
    cr_expect_gt(world_count(&w, "PRAGMA freelist_count"), 500, "some stay for what comes");
    world_send_local(&w, "a@b.example", 7, "Subject: y\r\n\r\n");
    world_pump(&w);
    cr_expect_gt(world_count(&w, "SELECT messages FROM box"), 0);
    world_end(&w);
}

/* A copy of the store must not have the ground moved under it. */
Test(tidy, nothing_moves_while_a_backup_runs)
{
    make_room();
    struct backup *none = w.q->backup;
    int64_t before = pages();
    w.q->backup = (struct backup *)(void *)&w; /* it is only asked whether there is one */
    tidy_look(w.q);
    for (int i = 0; i < 20; i++) {
        usleep(5000);
        loop_turn(w.loop, 0);
        tidy_run(w.q);
    }
    w.q->backup = none;
    cr_expect_eq(pages(), before);
    world_end(&w);
}

Test(tidy, statistics)
{
    world_begin(&w, "");
    world_send_local(&w, "a@b.example", 7, "Subject: y\r\n\r\n");
    world_pump(&w);
    store_statistics(w.q->store);
    cr_expect_eq(store_fault(w.q->store), STORE_FAULT_NONE);
    world_send_local(&w, "a@b.example", 7, "Subject: y\r\n\r\n");
    world_pump(&w);
    cr_expect_eq(world_count(&w, "SELECT messages FROM box"), 2);
    world_end(&w);
}
