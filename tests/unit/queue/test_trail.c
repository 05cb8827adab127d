#include "world.h"

#include <criterion/criterion.h>
#include <sqlite3.h>

#define CONTENT "Subject: x\r\n\r\nthe text\r\n"
#define ALICE   "Alice@example.org"

static struct world w;

static const char *trail(const char *const *args)
{
    world_admin(&w, "trace address", args);
    return w.rows;
}

static const char *text_of(uint64_t id)
{
    static char text[4][ID_TEXT];
    static int turn;
    turn = (turn + 1) % 4;
    id_format(text[turn], id);
    return text[turn];
}

/* Where a message stands in what was told; NULL: it does not. */
static const char *at(const char *rows, uint64_t id)
{
    return strstr(rows, text_of(id));
}

/* Ids grow with the time. */
static uint64_t send_later(const char *from, const char *to)
{
    world_pass(&w, 1);
    uint64_t id = world_send_remote(&w, from, to, CONTENT);
    world_pump(&w);
    return id;
}

Test(trail, newest_first_with_the_way_and_the_end)
{
    world_begin(&w, "");
    uint64_t first = send_later(ALICE, "x@example.net");
    uint64_t other = send_later("s@example.org", "y@example.net");
    uint64_t second = send_later("x@example.net", "alice@EXAMPLE.org");
    const char *rows = trail((const char *[]){"alice@example.org", NULL});
    cr_expect(at(rows, first) != NULL && at(rows, second) != NULL, "%s", rows);
    cr_expect_lt(at(rows, second), at(rows, first));
    cr_expect_null(at(rows, other), "%s", rows);
    cr_expect_not_null(strstr(rows, "way=received"), "%s", rows);
    cr_expect_not_null(strstr(rows, "way=sent to=x@example.net"), "%s", rows);
    world_end(&w);
}

Test(trail, goes_on_when_the_message_is_gone)
{
    world_begin(&w, "");
    uint64_t id = send_later(ALICE, "x@example.net");
    world_relay(&w, 0, VERDICT_OK, "250 ok");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    const char *rows = trail((const char *[]){"X@example.net", NULL});
    cr_expect(at(rows, id) != NULL && strstr(rows, "state=gone") != NULL, "%s", rows);
    cr_expect_not_null(strstr(rows, "last=delivered"), "%s", rows);
    rows = trail((const char *[]){ALICE, NULL});
    cr_expect(at(rows, id) != NULL && strstr(rows, "way=sent") != NULL, "%s", rows);
    world_end(&w);
}

Test(trail, of_a_mailbox_by_its_number)
{
    world_begin(&w, "");
    uint64_t id = world_send_local(&w, "s@example.org", 7, CONTENT);
    world_pump(&w);
    const char *rows = trail((const char *[]){ALICE, "box=7", NULL});
    cr_expect(at(rows, id) != NULL, "%s", rows);
    cr_expect_not_null(strstr(rows, "to=" ALICE), "%s", rows);
    cr_expect_str_empty(trail((const char *[]){ALICE, "box=8", NULL}));
    cr_expect_str_empty(trail((const char *[]){ALICE, NULL}));
    world_end(&w);
}

Test(trail, is_bounded_and_goes_on_before)
{
    uint64_t ids[4];
    world_begin(&w, "");
    for (size_t i = 0; i < 4; i++)
        ids[i] = send_later(ALICE, ALICE);
    const char *rows = trail((const char *[]){ALICE, "limit=2", NULL});
    cr_expect(at(rows, ids[3]) && at(rows, ids[2]) && !at(rows, ids[1]), "%s", rows);
    cr_expect_not_null(strstr(rows, "way=both"), "%s", rows);
    char before[ID_TEXT + 16];
    snprintf(before, sizeof before, "before=%s", text_of(ids[2]));
    rows = trail((const char *[]){ALICE, "limit=2", before, NULL});
    cr_expect(at(rows, ids[1]) && at(rows, ids[0]) && !at(rows, ids[2]), "%s", rows);
    world_end(&w);
}

/* An old message may come into a mailbox after younger ones. */
Test(trail, of_a_mailbox_in_the_order_of_the_messages)
{
    uint64_t ids[4];
    world_begin(&w, "");
    for (size_t i = 0; i < 4; i++) {
        world_pass(&w, 1);
        ids[i] = world_send_local(&w, "s@example.org", 7, CONTENT);
        world_pump(&w);
    }
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open("mail.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                              "UPDATE entry SET seq = 99 WHERE message ="
                              " (SELECT min(message) FROM entry)",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
    const char *rows = trail((const char *[]){ALICE, "box=7", "limit=2", NULL});
    cr_expect(at(rows, ids[3]) && at(rows, ids[2]) && !at(rows, ids[0]), "%s", rows);
    char before[ID_TEXT + 16];
    snprintf(before, sizeof before, "before=%s", text_of(ids[2]));
    rows = trail((const char *[]){ALICE, "box=7", "limit=2", before, NULL});
    cr_expect(at(rows, ids[1]) && at(rows, ids[0]), "%s", rows);
    world_end(&w);
}

Test(trail, refuses_what_is_no_question)
{
    static const char *const wrong[][3] = {{"alice", NULL},
                                           {"@", NULL},
                                           {"a@", NULL},
                                           {ALICE, "limit=0", NULL},
                                           {ALICE, "limit=201", NULL},
                                           {ALICE, "limit=-1", NULL},
                                           {ALICE, "before=yesterday", NULL},
                                           {ALICE, "box=x", NULL}};
    world_begin(&w, "");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        trail(wrong[i]);
        cr_expect_eq(w.admin_re.verdict, VERDICT_NEVER, "%s", wrong[i][0]);
    }
    world_end(&w);
}
