/* Devices: each has its own view of a mailbox, and a message goes when nobody has it any more. */
#include "world.h"

#include <criterion/criterion.h>

#define BOX     7
#define PHONE   11
#define PC      12
#define CONTENT "Subject: hello\r\n\r\nthere\r\n"
#define AT_ONCE "[mailbox]\nundelete_for = none\n"

static struct world w;

static void fill(int n)
{
    for (int i = 0; i < n; i++)
        world_send_local(&w, "", BOX, CONTENT);
    world_pump(&w);
    w.n_answers = 0;
}

static void drop(uint64_t device, uint64_t seq, enum verdict expected)
{
    w.n_deletes = 0;
    world_drop(&w, BOX, device, (uint64_t[]){seq, 0}, true);
    cr_assert_eq(w.n_deletes, 1);
    cr_assert_eq(w.deletes[0].verdict, expected, "device %d", (int)device);
}

static int64_t entries(void)
{
    return world_count(&w, "SELECT count(*) FROM entry");
}

Test(devices, a_message_goes_when_all_have_dropped_it)
{
    world_begin(&w, "");
    fill(3);
    world_devices(&w, BOX, (uint64_t[]){PHONE, PC, 0});
    cr_assert_eq(w.devices_verdict, VERDICT_OK);
    drop(PHONE, 1, VERDICT_OK);
    drop(PHONE, 1, VERDICT_OK); /* again: nothing changes */
    cr_assert_eq(entries(), 3);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM dropped"), 1);
    world_restart(&w);
    drop(PC, 2, VERDICT_OK);
    cr_assert_eq(entries(), 3);
    drop(PC, 1, VERDICT_OK);
    cr_assert_eq(entries(), 2);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM trash"), 1);
    cr_assert_eq(world_count(&w, "SELECT messages FROM box"), 2);
    cr_assert_eq(world_count(&w, "SELECT deleted FROM box"), 1);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM dropped"), 1);
    world_end(&w);
}

Test(devices, without_a_grace_period_it_is_gone)
{
    world_begin(&w, AT_ONCE);
    fill(1);
    world_devices(&w, BOX, (uint64_t[]){PHONE, PC, 0});
    drop(PHONE, 1, VERDICT_OK);
    drop(PC, 1, VERDICT_OK);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_end(&w);
}

Test(devices, the_user_himself_deletes_for_all)
{
    world_begin(&w, "");
    fill(2);
    world_devices(&w, BOX, (uint64_t[]){PHONE, PC, 0});
    drop(PHONE, 1, VERDICT_OK);
    drop(0, 1, VERDICT_OK);
    drop(0, 2, VERDICT_OK);
    cr_assert_eq(entries(), 0);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM dropped"), 0);
    world_admin(&w, "box undelete", (const char *[]){"7", NULL}); /* for everybody */
    cr_assert_eq(entries(), 2);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM dropped"), 0);
    world_end(&w);
}

Test(devices, one_that_is_not_known_deletes_nothing)
{
    world_begin(&w, "");
    fill(1);
    drop(PHONE, 1, VERDICT_TRY_LATER);
    world_devices(&w, 8, (uint64_t[]){PHONE, 0});
    drop(PHONE, 1, VERDICT_TRY_LATER); /* of another mailbox */
    cr_assert_eq(entries(), 1);
    world_end(&w);
}

Test(devices, what_only_a_removed_one_held_goes)
{
    world_begin(&w, "");
    fill(3);
    world_devices(&w, BOX, (uint64_t[]){PHONE, PC, 0});
    drop(PC, 1, VERDICT_OK);
    drop(PHONE, 2, VERDICT_OK);
    world_devices(&w, BOX, (uint64_t[]){PC, 0});
    world_pump(&w);
    cr_assert_eq(entries(), 2);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM entry WHERE seq = 1"), 0);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM dropped"), 0, "the phone's are forgotten");
    cr_assert_eq(world_count(&w, "SELECT review FROM box"), 0);
    cr_assert_eq(world_count(&w, "SELECT messages FROM box"), 2);
    drop(PHONE, 2, VERDICT_TRY_LATER);
    drop(PC, 2, VERDICT_OK);
    world_devices(&w, BOX, (uint64_t[]){0});
    world_pump(&w);
    cr_assert_eq(entries(), 1, "no device is left, so nothing is due");
    world_end(&w);
}

Test(devices, a_new_one_begins_with_everything_there_is)
{
    world_begin(&w, "");
    fill(2);
    world_devices(&w, BOX, (uint64_t[]){PHONE, 0});
    drop(PHONE, 1, VERDICT_OK);
    cr_assert_eq(entries(), 1);
    world_devices(&w, BOX, (uint64_t[]){PHONE, PC, 0});
    drop(PHONE, 2, VERDICT_OK);
    cr_assert_eq(entries(), 1);
    drop(PC, 2, VERDICT_OK);
    cr_assert_eq(entries(), 0);
    world_end(&w);
}

Test(devices, go_with_their_mailbox)
{
    world_begin(&w, "");
    fill(2);
    world_devices(&w, BOX, (uint64_t[]){PHONE, PC, 0});
    drop(PHONE, 1, VERDICT_OK);
    world_forget(&w, BOX);
    world_pump(&w);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM device"), 0);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM dropped"), 0);
    world_devices(&w, BOX, (uint64_t[]){PHONE, 0});
    cr_assert_eq(w.devices_verdict, VERDICT_OK);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM device"), 0);
    world_end(&w);
}

Test(devices, damaged_lists_change_nothing)
{
    world_begin(&w, "");
    fill(1);
    world_devices(&w, BOX, (uint64_t[]){PHONE, 0});
    world_devices(&w, BOX, (uint64_t[]){UINT64_MAX, 0});
    cr_assert_eq(w.devices_verdict, VERDICT_TRY_LATER);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM device"), 1);
    world_end(&w);
}

/* --- a large deletion --- */

static void drop_many(uint64_t device, uint64_t from, uint64_t to)
{
    uint64_t part[91], tag = 0;
    w.n_deletes = 0;
    while (from <= to) {
        size_t n = 0;
        while (n < 90 && from <= to)
            part[n++] = from++;
        part[n] = 0;
        if (tag == 0)
            tag = world_drop(&w, BOX, device, part, from > to);
        else
            world_drop_more(&w,
                            &(struct msg_box_delete){
                                .tag = tag, .box = BOX, .device = device, .is_last = from > to},
                            part);
    }
}

Test(devices, a_large_deletion)
{
    world_begin(&w, "");
    fill(400);
    world_devices(&w, BOX, (uint64_t[]){PHONE, PC, 0});
    drop_many(PHONE, 1, 400);
    cr_assert_eq(w.deletes[0].verdict, VERDICT_OK);
    world_pump(&w);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM removal"), 0);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM dropped"), 400);
    cr_assert_eq(entries(), 400);
    drop_many(PC, 1, 300);
    world_pump(&w);
    cr_assert_eq(entries(), 100);
    world_devices(&w, BOX, (uint64_t[]){PHONE, 0});
    world_pump(&w);
    cr_assert_eq(entries(), 0);
    cr_assert_eq(world_count(&w, "SELECT messages FROM box"), 0);
    cr_assert_eq(world_count(&w, "SELECT deleted FROM box"), 400);
    world_end(&w);
}

/* --- against a model --- */

#define DEVICES  4
#define MESSAGES 24

struct model {
    bool exists[DEVICES]; /* device i has the number 100 + i, and a new one when it comes again */
    uint64_t number[DEVICES];
    bool is_there[MESSAGES + 1];
    bool has_dropped[DEVICES][MESSAGES + 1];
    uint64_t n, next_number;
};

static void model_settle(struct model *m)
{
    bool any = false;
    for (int d = 0; d < DEVICES; d++)
        any = any || m->exists[d];
    for (uint64_t s = 1; s <= m->n && any; s++) {
        bool is_held = false;
        for (int d = 0; d < DEVICES; d++)
            is_held = is_held || (m->exists[d] && !m->has_dropped[d][s]);
        m->is_there[s] = m->is_there[s] && is_held;
    }
}

static void model_tell(const struct model *m)
{
    uint64_t list[DEVICES + 1];
    size_t n = 0;
    for (int d = 0; d < DEVICES; d++)
        if (m->exists[d])
            list[n++] = m->number[d];
    list[n] = 0;
    world_devices(&w, BOX, list);
    cr_assert_eq(w.devices_verdict, VERDICT_OK);
}

static void model_step(struct model *m, unsigned what, unsigned d, uint64_t s)
{
    if (what < 6 && m->n < MESSAGES) {
        m->is_there[++m->n] = true;
        fill(1);
    } else if (what < 14 && s > 0) {
        drop(m->number[d], s, m->exists[d] ? VERDICT_OK : VERDICT_TRY_LATER);
        m->has_dropped[d][s] |= m->exists[d];
    } else if (what < 15 && s > 0) {
        drop(0, s, VERDICT_OK);
        m->is_there[s] = false;
    } else if (what < 18) {
        m->exists[d] = !m->exists[d];
        if (m->exists[d])
            m->number[d] = m->next_number++;
        memset(m->has_dropped[d], 0, sizeof m->has_dropped[d]);
        model_tell(m);
    } else if (what < 19) {
        world_restart(&w);
    }
    world_pump(&w);
    model_settle(m);
}

static void model_compare(const struct model *m)
{
    char sql[200];
    int64_t n = 0;
    for (uint64_t s = 1; s <= m->n; s++) {
        n += m->is_there[s];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM entry WHERE seq = %d", (int)s);
        cr_assert_eq(world_count(&w, sql), m->is_there[s], "message %d", (int)s);
        for (int d = 0; d < DEVICES && m->is_there[s]; d++) {
            snprintf(sql, sizeof sql, "SELECT count(*) FROM dropped WHERE seq = %d AND device = %d",
                     (int)s, (int)m->number[d]);
            if (m->exists[d])
                cr_assert_eq(world_count(&w, sql), m->has_dropped[d][s]);
        }
    }
    cr_assert_eq(world_count(&w, "SELECT ifnull(max(messages), 0) FROM box"), n);
}

Test(devices, as_the_model_says, .timeout = 60)
{
    for (unsigned seed = 1; seed <= 6; seed++) {
        struct model m = {.next_number = 100};
        unsigned random = seed * 2654435761U;
        world_begin(&w, AT_ONCE);
        for (int i = 0; i < DEVICES; i++)
            m.number[i] = m.next_number++;
        for (int i = 0; i < 60; i++) {
            random = random * 1664525U + 1013904223U;
            model_step(&m, (random >> 24) % 20, (random >> 16) % DEVICES,
                       m.n > 0 ? 1 + (random >> 8) % m.n : 0);
            model_compare(&m);
        }
        world_end(&w);
    }
}
