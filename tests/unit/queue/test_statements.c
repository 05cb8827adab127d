/* How SQLite carries out the statements: what makes one dear shows in its program. */
#include "world.h"

#include "queue/statements.h"

#include <criterion/criterion.h>

static const char *const texts[N_STATEMENTS] = {
#define STATEMENT_TEXT(NAME, text) text,
    STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

static struct world w;

/* How often an opcode stands in a program, or a text in its plan. */
static int count(const char *explain, enum statement which, int column, const char *word)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    char sql[4096];
    int n = 0;
    snprintf(sql, sizeof sql, "%s %s", explain, texts[which]);
    cr_assert_eq(sqlite3_open("mail.db", &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA foreign_keys = ON", NULL, NULL, NULL);
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    while (sqlite3_step(st) == SQLITE_ROW)
        n += strstr((const char *)sqlite3_column_text(st, column), word) != NULL;
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}

/* A temporary B-tree costs about as much as three plain statements. */
Test(statements, of_each_mail_make_no_temporary_tree)
{
    static const enum statement each[] = {
        S_MESSAGE_ADD, S_MESSAGE_GET,  S_MESSAGE_CONTENT, S_MESSAGE_UNUSED, S_MESSAGE_REMOVE,
        S_BOX_LOOK,    S_BOX_ADD,      S_ENTRY_ADD,       S_RCPT_ADD,       S_RCPT_GET,
        S_RCPT_SET,    S_RCPTS_STATES, S_RCPT_REMOVE,     S_DIALOGUE_ADD,   S_DIALOGUE_UPTO,
        S_EVENT_ADD,   S_PAST_ADD,     S_SECURED_GET};
    world_begin(&w, "");
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++)
        cr_expect_eq(count("EXPLAIN", each[i], 1, "OpenEphemeral"), 0, "%s", texts[each[i]]);
    cr_expect_gt(count("EXPLAIN", S_ENTRY_REMOVE, 1, "OpenEphemeral"), 0, "the test sees them");
    world_end(&w);
}

/* A number that the table cannot hold: the message goes all the same. */
Test(statements, a_recipient_with_a_hostile_number_is_settled)
{
    sqlite3 *db = NULL;
    bool freed_file;
    world_begin(&w, "");
    uint64_t id = world_send_remote(&w, "s@example.org", "x@example.net", "Subject: x\r\n\r\n");
    world_pump(&w);
    cr_assert_eq(sqlite3_open("mail.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                              "PRAGMA ignore_check_constraints = 1;"
                              "UPDATE recipient SET state = 3, number = 4294967296",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
    cr_assert_eq(store_begin(w.q->store), 0);
    cr_expect_eq(store_message_settle(w.q->store, id, &freed_file), 0);
    cr_assert_eq(store_commit(w.q->store), 0);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_end(&w);
}

/* One more held message does not look at all those that are held. */
Test(statements, of_who_holds_how_much_use_an_index)
{
    world_begin(&w, "");
    cr_expect_eq(count("EXPLAIN QUERY PLAN", S_HOLD_COUNT, 3, "USING COVERING INDEX hold_who"), 1);
    cr_expect_eq(count("EXPLAIN QUERY PLAN", S_HOLD_OVER, 3, "SEARCH"), 1);
    world_end(&w);
}

/* `barid trace ADDRESS` with 1,000,000 messages: no table is gone through, and nothing is sorted
 * but what one mailbox has, of that 100,000 messages at most. */
Test(statements, of_a_trail_use_indexes)
{
    static const enum statement trails[] = {S_TRAIL_SENT,   S_TRAIL_PAST, S_TRAIL_EVENTS,
                                            S_TRAIL_QUEUED, S_TRAIL_BOX,  S_TRAIL_TRASH};
    world_begin(&w, "");
    for (size_t i = 0; i < sizeof trails / sizeof trails[0]; i++) {
        const char *text = texts[trails[i]];
        int n_scans = count("EXPLAIN QUERY PLAN", trails[i], 3, "SCAN");
        bool is_box = trails[i] == S_TRAIL_BOX || trails[i] == S_TRAIL_TRASH;
        /* the inner SELECT, which has its limit */
        cr_expect_eq(n_scans, trails[i] == S_TRAIL_QUEUED || is_box ? 1 : 0, "%s", text);
        cr_expect_gt(count("EXPLAIN QUERY PLAN", trails[i], 3, "SEARCH"), 0, "%s", text);
        cr_expect_eq(count("EXPLAIN QUERY PLAN", trails[i], 3, "TEMP B-TREE FOR ORDER"), is_box,
                     "%s", text);
    }
    world_end(&w);
}
