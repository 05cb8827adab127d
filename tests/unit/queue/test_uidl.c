/* A UIDL is never given twice in a mailbox, whatever became of its message. */
#include "queue/uidl.h"

#include "common/maildb.h"
#include "world.h"

#include <criterion/criterion.h>
#include <sqlite3.h>

#define CONTENT "Subject: hello\r\n\r\nthere\r\n"

static struct world w;

static void got(void *arg, const union msg *m, int fd)
{
    (void)fd;
    cr_assert(m != NULL);
    *(struct msg_import_open_re *)arg = m->import_open_re;
}

/* As another message each time. Was the name taken? */
static bool import(uint64_t box, const char *uidl)
{
    static uint64_t n;
    struct msg_import_open_re re = {.verdict = VERDICT_NEVER};
    char source[SOURCE_KEY] = {0};
    n++;
    memcpy(source, &n, sizeof n);
    struct msg_import_open m = {.box = box,
                                .arrived = 1,
                                .uidl = span_of(uidl),
                                .source = {source, sizeof source},
                                .content = SPAN(CONTENT),
                                .is_last = true};
    cr_assert_neq(ipc_ask_import_open(w.cli, &m, -1, 60000, got, &re), 0);
    world_pump(&w);
    cr_assert_eq(re.verdict, VERDICT_OK);
    return re.has_new_uidl == 0;
}

static const char *id_text(uint64_t id)
{
    static char text[4][ID_TEXT];
    static unsigned at;
    at = (at + 1) % 4;
    id_format(text[at], id);
    return text[at];
}

/* Days before now. */
static uint64_t id_of_day(unsigned days)
{
    return ((uint64_t)(WORLD_START_S - days * 86400) * 1000) << 21 | 5;
}

static void deliver_as(uint64_t id, uint64_t box)
{
    struct targets to = {0};
    struct message m = {.id = id, .arrived = 1, .expires = 2, .size = strlen(CONTENT)};
    struct delivery d = {.message = &m, .content = SPAN(CONTENT), .targets = &to};
    cr_assert_eq(targets_add_box(&to, box, 0), 0);
    cr_assert_eq(batch_begin(&w.q->batch), 0);
    cr_assert_eq(deliver(w.q->store, &d), INTAKE_OK);
    batch_keep(&w.q->batch, NULL);
    batch_commit(&w.q->batch);
    targets_free(&to);
}

/* UIDLs of a mailbox that are there more than once; all must be counted. */
static void expect_all_different(int64_t entries)
{
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry"), entries);
    cr_expect_eq(world_count(&w, "SELECT count(*) - count(DISTINCT box || ' ' || coalesce(uidl,"
                                 " 'id ' || message)) FROM entry"),
                 0);
}

Test(uidl, names_of_others_come_once)
{
    world_begin(&w, "[mailbox]\nundelete_for = 1d\n");
    cr_expect(import(7, "UID5-9"));
    cr_expect(import(7, "uid5-9"));
    cr_expect_not(import(7, "UID5-9"), "there now");
    cr_expect(import(8, "UID5-9"), "another mailbox");
    world_delete(&w, 7, (uint64_t[]){1, 0}, true);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM trash WHERE uidl = 'UID5-9'"), 1);
    cr_expect_not(import(7, "UID5-9"), "in the trash");
    world_pass(&w, 2 * 86400);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM trash"), 0);
    cr_expect_not(import(7, "UID5-9"), "purged");
    world_restart(&w);
    cr_expect_not(import(7, "UID5-9"), "purged, and started again");
    expect_all_different(6);
    world_end(&w);
}

Test(uidl, it_comes_back_with_its_message)
{
    world_begin(&w, "[mailbox]\nundelete_for = 1d\n");
    cr_expect(import(7, "a"));
    world_delete(&w, 7, (uint64_t[]){1, 0}, true);
    cr_expect_not(import(7, "a"));
    world_admin(&w, "box undelete", (const char *[]){"7", NULL});
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry WHERE seq = 1 AND uidl = 'a'"), 1);
    world_end(&w);
}

Test(uidl, ids_are_taken_from_before_the_first_mail_only)
{
    world_begin(&w, "");
    cr_expect(import(7, id_text(id_of_day(9))), "an empty mailbox");
    uint64_t first = (uint64_t)world_count(&w, "SELECT first_id FROM box WHERE id = 7");
    cr_expect_eq(first, (uint64_t)world_count(&w, "SELECT min(id) FROM message"));
    cr_expect(import(7, id_text(id_of_day(8))));
    cr_expect_not(import(7, id_text(id_of_day(8))), "used");
    cr_expect_not(import(7, id_text(first)), "the id of what came first");
    cr_expect_not(import(7, id_text(first + 12345)), "one that may have been purged, or will come");
    cr_expect_not(import(7, id_text(id_of_day(0) + (UINT64_C(1) << 60))), "of the future");
    cr_expect_not(import(9, id_text(id_of_day(0) + (UINT64_C(1) << 60))), "into an empty mailbox");
    cr_expect(import(7, "0000000000000"), "no id");
    cr_expect(import(7, "1H00000000000"), "not as we write it");
    world_end(&w);
}

Test(uidl, what_was_here_and_is_gone_is_not_given_again)
{
    world_begin(&w, "[mailbox]\nundelete_for = none\n");
    uint64_t id = world_send_local(&w, "", 7, CONTENT);
    world_pump(&w);
    world_delete(&w, 7, (uint64_t[]){1, 0}, true);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_pass(&w, 1); /* ids of one millisecond do not always count up */
    cr_expect_not(import(7, id_text(id)));
    cr_expect(import(8, id_text(id)), "a mailbox that never had it");
    world_end(&w);
}

/* It was held since before the import, or the clock was put back. */
Test(uidl, mail_whose_id_an_import_brought_gets_another_name)
{
    world_begin(&w, "");
    uint64_t late = id_of_day(3);
    cr_expect(import(7, id_text(late)));
    deliver_as(late, 7);
    deliver_as(id_of_day(4), 7);
    deliver_as(late + 1, 7);
    expect_all_different(4);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry WHERE uidl IS NULL"), 2);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry WHERE uidl IS NOT NULL"), 2);
    cr_expect_eq((uint64_t)world_count(&w, "SELECT first_id FROM box WHERE id = 7"), id_of_day(4));
    cr_expect_not(import(7, id_text(id_of_day(4))));
    cr_expect(import(7, id_text(id_of_day(4) - 1)));
    world_end(&w);
}

Test(uidl, a_store_of_before_gives_none_twice)
{
    world_begin(&w, "[mailbox]\nundelete_for = 1d\n");
    cr_expect(import(7, "a"));
    cr_expect(import(7, "b"));
    world_delete(&w, 7, (uint64_t[]){1, 0}, true);
    world_restart_older(&w, WORLD_UNDO_7 "PRAGMA user_version = 6");
    cr_expect_not(import(7, "a"));
    cr_expect_not(import(7, "b"));
    cr_expect_not(import(7, id_text(id_of_day(9))), "what came first is not known");
    cr_expect(import(7, "c"));
    world_end(&w);
}

Test(uidl, a_mailbox_that_is_gone_leaves_nothing)
{
    world_begin(&w, "[mailbox]\nundelete_for = none\n");
    cr_expect(import(7, "a"));
    cr_expect(import(7, "b"));
    world_delete(&w, 7, (uint64_t[]){1, 2, 0}, true); /* nothing but what imports noted is left */
    cr_expect(import(8, "a"));
    world_forget(&w, 7);
    world_pass(&w, 1);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM uidl WHERE box = 7"), 0);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM imported WHERE box = 7"), 0);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM uidl WHERE box = 8"), 1);
    world_end(&w);
}

/* Another program of ours, or one that was taken over, sends what the command never does. */
Test(uidl, an_import_that_cannot_be_is_refused)
{
    static const struct {
        const char *uidl, *sender;
        uint64_t box, arrived;
        size_t n_source;
        uint8_t flags;
    } rows[] = {{"a b", "", 7, 1, SOURCE_KEY, 0},        {"\x7f", "", 7, 1, SOURCE_KEY, 0},
                {"", "no address", 7, 1, SOURCE_KEY, 0}, {"", "", 0, 1, SOURCE_KEY, 0},
                {"", "", UINT64_MAX, 1, SOURCE_KEY, 0},  {"", "", 7, UINT64_MAX, SOURCE_KEY, 0},
                {"", "", 7, 1, SOURCE_KEY - 1, 0},       {"", "", 7, 1, SOURCE_KEY, 255}};
    static const char source[SOURCE_KEY] = "0123456789abcde";
    world_begin(&w, "");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct msg_import_open_re re = {.verdict = VERDICT_OK};
        struct msg_import_open m = {.box = rows[i].box,
                                    .arrived = rows[i].arrived,
                                    .uidl = span_of(rows[i].uidl),
                                    .sender = span_of(rows[i].sender),
                                    .source = {source, rows[i].n_source},
                                    .flags = rows[i].flags,
                                    .content = SPAN(CONTENT),
                                    .is_last = true};
        cr_assert_neq(ipc_ask_import_open(w.cli, &m, -1, 60000, got, &re), 0);
        world_pump(&w);
        cr_expect_eq(re.verdict, VERDICT_TRY_LATER, "row %zu", i);
    }
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_end(&w);
}
