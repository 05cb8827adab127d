#include "mailbox/check_message.h"

#include "fixture.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

#define CONTENT SPAN("Subject: x\r\n\r\n.body\r\n")

static const char boxes[] = "INSERT INTO box (id, messages, octets, next_seq, forgotten) "
                            "VALUES (17, 1, 1, 2, 0)";

static const struct {
    const char *damage;
    enum flaw flaw;
} damages[] = {
    {"SELECT 1", FLAW_NONE},
    {"UPDATE message SET size = 5", FLAW_ROW},
    {"UPDATE message SET size = -1", FLAW_ROW},
    {"UPDATE message SET size = 9000000000000000000", FLAW_CONTENT},
    {"UPDATE message SET header = 1000", FLAW_ROW},
    {"UPDATE message SET header = 3", FLAW_FACTS},
    {"UPDATE message SET flags = 999", FLAW_ROW},
    {"UPDATE message SET flags = 0", FLAW_FACTS},
    {"UPDATE message SET flags = flags | 96", FLAW_NONE}, /* of the envelope */
    {"UPDATE message SET arrived = 3", FLAW_ROW},
    {"UPDATE message SET ret = 3", FLAW_ROW},
    {"UPDATE message SET envid = 'a b'", FLAW_ROW},
    {"UPDATE message SET sender = 'x' || char(13, 10) || 'Evil: y'", FLAW_ROW},
    {"UPDATE message SET sender = hex(zeroblob(400))", FLAW_ROW},
    {"UPDATE message SET login = char(0)", FLAW_ROW},
    {"UPDATE message SET content = NULL", FLAW_MISSING},
    {"UPDATE message SET content = x'4142'", FLAW_CONTENT},
    {"UPDATE message SET content = zeroblob(21)", FLAW_CONTENT},
    {"UPDATE message SET hash = zeroblob(16)", FLAW_CONTENT},
    {"UPDATE message SET hash = zeroblob(8)", FLAW_ROW},
    {"UPDATE message SET spooled = 1", FLAW_ROW},
    {"UPDATE message SET spooled = 7", FLAW_ROW},
    {"UPDATE message SET spooled = 1, content = NULL", FLAW_MISSING},
    {"DELETE FROM entry", FLAW_NOBODY},
};

static enum flaw flaw_of(int64_t id)
{
    struct error e;
    struct check_message m;
    struct check_store *cs = check_store_open(MAILDB_PATH, &e);
    cr_assert(cs != NULL, "%s", e.text);
    cr_assert_eq(check_store_message_next(cs, 0, &m), 1);
    cr_assert_eq(m.id, id);
    enum flaw f = check_message(&m);
    check_store_message_end(cs);
    cr_expect_eq(check_store_message_next(cs, id, &m), 0);
    check_store_close(cs);
    return f;
}

Test(check, each_damage_of_a_message_is_found)
{
    sqlite3 *db = fixture_begin(true);
    fixture_run(db, "PRAGMA ignore_check_constraints = ON");
    fixture_run(db, boxes);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        fixture_add(db, 17, 1, 101, CONTENT);
        fixture_run(db, damages[i].damage);
        enum flaw f = flaw_of(101);
        cr_expect_eq(f, damages[i].flaw, "%s: %s", damages[i].damage, flaw_word(f));
        fixture_run(db, "DELETE FROM entry; DELETE FROM message");
    }
    fixture_end(db);
}

static void put_file(const char *octets, size_t n)
{
    char name[MAILDB_SPOOL_NAME];
    maildb_spool_name(name, 101);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0 && write(fd, octets, n) == (ssize_t)n);
    close(fd);
}

Test(check, each_damage_of_a_file_is_found)
{
    sqlite3 *db = fixture_begin(true);
    fixture_run(db, boxes);
    fixture_add(db, 17, 1, 101, CONTENT);
    fixture_run(db, "UPDATE message SET spooled = 1, content = NULL");
    cr_expect_eq(flaw_of(101), FLAW_MISSING);
    put_file(CONTENT.p, CONTENT.n);
    cr_expect_eq(flaw_of(101), FLAW_NONE);
    put_file(CONTENT.p, CONTENT.n - 1);
    cr_expect_eq(flaw_of(101), FLAW_CONTENT);
    put_file("", 0);
    cr_expect_eq(flaw_of(101), FLAW_CONTENT);
    put_file("Subject: X\r\n\r\n.body\r\n", CONTENT.n);
    cr_expect_eq(flaw_of(101), FLAW_CONTENT);
    fixture_end(db);
}

struct seen {
    size_t n, n_deleted, n_lost;
    int64_t octets;
};

static void see(void *arg, const struct check_entry *e)
{
    struct seen *s = arg;
    s->n++;
    s->n_deleted += e->is_deleted;
    s->n_lost += !e->has_message;
    s->octets += e->octets;
}

Test(check, mailboxes_without_a_row_are_seen)
{
    struct error e;
    struct check_box b;
    struct seen s = {0};
    int64_t n;
    sqlite3 *db = fixture_begin(true);
    fixture_run(db, "PRAGMA foreign_keys = OFF");
    fixture_run(db, boxes);
    fixture_add(db, 17, 1, 101, CONTENT);
    fixture_add(db, 18, 1, 102, CONTENT);
    fixture_run(db, "INSERT INTO trash VALUES (19, 4, 103, 5, 'u', 9)");
    fixture_run(db, "INSERT INTO dropped VALUES (17, 1, 3), (17, 2, 3)");
    fixture_run(db, "INSERT INTO removal (box, at, sequences) VALUES (17, 1, zeroblob(8)),"
                    " (17, 1, zeroblob(2056)), (20, 1, zeroblob(8))");
    struct check_store *cs = check_store_open(MAILDB_PATH, &e);
    cr_assert(cs != NULL, "%s", e.text);
    cr_assert_eq(check_store_box_next(cs, 0, &b), 1);
    cr_expect(b.id == 17 && b.has_row && b.messages == 1 && b.next_seq == 2);
    cr_expect(b.is_sane);
    cr_assert_eq(check_store_box_next(cs, 17, &b), 1);
    cr_expect(b.id == 18 && !b.has_row);
    cr_assert_eq(check_store_box_next(cs, 18, &b), 1);
    cr_expect(b.id == 19 && !b.has_row);
    cr_expect_eq(check_store_box_next(cs, 19, &b), 0);
    cr_expect_eq(check_store_entries(cs, 19, see, &s), 0);
    cr_expect(s.n == 1 && s.n_deleted == 1 && s.n_lost == 1 && s.octets == 5);
    static const char *const settings[] = {"epoch",     "retention", "review",
                                           "forgotten", "first_id",  "taken_id"};
    fixture_run(db, "PRAGMA ignore_check_constraints = ON");
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, "UPDATE box SET %s = -7", settings[i]);
        fixture_run(db, sql);
        cr_assert_eq(check_store_box_next(cs, 0, &b), 1);
        cr_expect(!b.is_sane, "%s", sql);
        snprintf(sql, sizeof sql, "UPDATE box SET %s = 0", settings[i]);
        fixture_run(db, sql);
    }
    cr_expect_eq(check_store_dropped(cs, 17, &n), 0);
    cr_expect_eq(n, 1);
    cr_expect_eq(check_store_removals(cs, &n), 0);
    cr_expect_eq(n, 2);
    cr_expect_eq(check_store_uidls(cs, 19, &n), 0);
    cr_expect_eq(n, 1);
    fixture_run(db, "INSERT INTO uidl VALUES (19, 'u')");
    cr_expect_eq(check_store_uidls(cs, 19, &n), 0);
    cr_expect_eq(n, 0);
    check_store_close(cs);
    fixture_end(db);
}

static void count_text(void *arg, struct span text)
{
    (void)text;
    ++*(size_t *)arg;
}

Test(check, every_part_of_the_file_is_looked_at)
{
    struct error e;
    size_t n = 0;
    sqlite3 *db = fixture_begin(true);
    struct check_store *cs = check_store_open(MAILDB_PATH, &e);
    cr_assert(cs != NULL, "%s", e.text);
    for (unsigned part = 0; part < CHECK_PARTS; part++)
        cr_expect_eq(check_store_structure(cs, part, count_text, &n), 0);
    cr_expect_eq(check_store_structure(cs, CHECK_WHOLE, count_text, &n), 0);
    cr_expect_eq(n, 0);
    check_store_close(cs);
    fixture_end(db);
}
