#include "mailbox/store.h"

#include "common/config.h"
#include "common/listing.h"
#include "common/proto.h"
#include "fixture.h"
#include "mailbox/export.h"

#include <criterion/criterion.h>

#define CONTENT SPAN("Subject: x\r\n\r\n.body\r\n")

static const char two_boxes[] = "INSERT INTO box (id, messages, octets, next_seq, forgotten) "
                                "VALUES (17, 2, 2, 4, 0), (18, 1, 1, 2, 0)";

struct listed {
    struct store_entry list[8];
    char uidl[8][LISTING_UIDL_MAX + 1];
    size_t n;
};

static int keep(void *arg, const struct store_entry *e)
{
    struct listed *l = arg;
    l->list[l->n] = *e;
    return span_copy(l->uidl[l->n++], sizeof l->uidl[0], e->uidl);
}

static long list(struct store *st, uint64_t after, uint64_t limit, size_t most, struct listed *l)
{
    struct store_range r = {after, limit, most, 0};
    *l = (struct listed){.n = 0};
    return store_list(st, 17, &r, keep, l);
}

Test(store, lists_one_mailbox_up_to_the_limit)
{
    sqlite3 *db = fixture_begin(true);
    fixture_run(db, two_boxes);
    fixture_add(db, 17, 1, 101, CONTENT);
    fixture_add(db, 17, 3, 103, CONTENT);
    fixture_add(db, 18, 1, 201, CONTENT);
    fixture_run(db, "UPDATE entry SET uidl = 'AB12.x' WHERE seq = 3");
    fixture_run(db, "UPDATE box SET epoch = 9, retention = 60 WHERE id = 17");
    fixture_run(db, "INSERT INTO keep VALUES (4, 70)");
    struct store *st = store_new(MAILDB_PATH);
    struct store_box box;
    struct listed l;
    cr_expect_eq(store_look(st, &(struct store_view){.box = 17}, &box), 0);
    cr_expect_eq(box.limit, 4);
    cr_expect_eq(box.epoch, 9);
    cr_expect_eq(box.retention_s, 60);
    cr_expect_eq(box.keep_s, 0);
    cr_expect_eq(store_look(st, &(struct store_view){.box = 17, .domain = 4}, &box), 0);
    cr_expect_eq(box.keep_s, 70);
    cr_expect_eq(store_look(st, &(struct store_view){.box = 17, .domain = 5}, &box), 0);
    cr_expect_eq(box.keep_s, 0);
    cr_expect_eq(list(st, 0, 4, 4, &l), 2);
    cr_expect_eq(l.list[1].sequence, 3);
    cr_expect_eq(l.list[1].id, 103);
    cr_expect_eq(l.list[1].octets, CONTENT.n + strlen("Return-Path: <a@b.example>\r\n"));
    cr_expect_str_eq(l.uidl[0], "");
    cr_expect_str_eq(l.uidl[1], "AB12.x");
    cr_expect_eq(list(st, 0, 3, 4, &l), 1, "what came later is not listed");
    cr_expect_eq(list(st, 1, 4, 4, &l), 1);
    cr_expect_eq(list(st, 0, 4, 1, &l), 1);
    cr_expect_eq(list(st, 3, 4, 4, &l), 0);
    fixture_run(db, "UPDATE entry SET uidl = 'A B' WHERE seq = 3");
    cr_expect_eq(list(st, 0, 4, 4, &l), -1, "damaged");
    cr_expect_eq(store_look(st, &(struct store_view){.box = 99}, &box), 0);
    cr_expect_eq(box.limit, 1, "a mailbox that never got mail is empty");
    store_free(st);
    fixture_end(db);
}

Test(store, what_is_being_deleted_is_hidden)
{
    sqlite3 *db = fixture_begin(true);
    fixture_run(db, two_boxes);
    fixture_run(db, "INSERT INTO removal (box, at, sequences) VALUES"
                    " (17, 5, x'09000000000000000300000000000000'),"
                    " (18, 5, x'0400000000000000'), (17, 6, x'0100000000000000')");
    struct store *st = store_new(MAILDB_PATH);
    struct store_hidden h;
    cr_assert_eq(store_hidden(st, &(struct store_view){.box = 17}, &h), 0);
    cr_expect_eq(h.n, 3);
    cr_expect(store_is_hidden(&h, 1) && store_is_hidden(&h, 3) && store_is_hidden(&h, 9));
    cr_expect(!store_is_hidden(&h, 2) && !store_is_hidden(&h, 4));
    store_hidden_free(&h);
    store_free(st);
    fixture_end(db);
}

/* What the user deleted is in no export, though its row is still there. */
Test(store, an_export_shows_no_decided_deletion)
{
    sqlite3 *db = fixture_begin(true);
    struct store_message m;
    fixture_run(db, two_boxes);
    for (uint64_t seq = 1; seq <= 4; seq++)
        fixture_add(db, 17, seq, 100 + seq, CONTENT);
    fixture_run(db, "INSERT INTO removal (box, at, sequences) VALUES"
                    " (17, 5, x'01000000000000000300000000000000')");
    fixture_run(db, "INSERT INTO removal (box, at, sequences, device) VALUES"
                    " (17, 5, x'0200000000000000', 9)");
    struct store *st = store_new(MAILDB_PATH);
    cr_assert_eq(export_find(st, 17, 0, &m), STORE_FOUND);
    cr_expect_eq(m.sequence, 2, "a device deletes for itself");
    store_done(st);
    cr_assert_eq(export_find(st, 17, 2, &m), STORE_FOUND);
    cr_expect_eq(m.sequence, 4);
    cr_expect_eq(m.id, 104);
    store_done(st);
    cr_expect_eq(export_find(st, 17, 4, &m), STORE_ABSENT);
    store_free(st);
    fixture_end(db);
}

Test(store, reads)
{
    sqlite3 *db = fixture_begin(true);
    fixture_run(db, two_boxes);
    fixture_add(db, 17, 1, 101, CONTENT);
    struct store *st = store_new(MAILDB_PATH);
    struct store_message m;
    cr_assert_eq(store_read(st, 17, 1, &m), STORE_FOUND);
    cr_expect(span_eq(m.content, CONTENT));
    cr_expect(span_eq(m.sender, SPAN("a@b.example")));
    cr_expect_eq(m.id, 101);
    cr_expect_eq(m.octets, CONTENT.n);
    cr_expect_eq(m.header, 14);
    cr_expect_eq(m.flags, CONTENT_DOTS);
    cr_expect(!m.is_spooled);
    store_done(st);
    cr_expect_eq(store_read(st, 17, 2, &m), STORE_ABSENT);
    cr_expect_eq(store_read(st, 18, 1, &m), STORE_ABSENT, "of another mailbox");
    store_free(st);
    fixture_end(db);
}

/* Rows that the schema forbids, as a damaged disk could show them. */
static const char *const damages[] = {
    "UPDATE message SET size = 5",
    "UPDATE message SET size = -1",
    "UPDATE message SET header = 1000",
    "UPDATE message SET flags = 999",
    "UPDATE message SET sender = 'x' || char(13, 10) || 'Evil: y'",
    "UPDATE message SET sender = hex(zeroblob(400))",
    "UPDATE message SET content = NULL",
    "UPDATE message SET content = zeroblob(70000), size = 70000",
    "UPDATE message SET spooled = 1",
    "UPDATE entry SET octets = 7",
};

Test(store, damaged_rows_are_could_not)
{
    sqlite3 *db = fixture_begin(true);
    fixture_run(db, "PRAGMA ignore_check_constraints = ON");
    fixture_run(db, two_boxes);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        fixture_add(db, 17, 1, 101, CONTENT);
        fixture_run(db, damages[i]);
        struct store *st = store_new(MAILDB_PATH);
        struct store_message m;
        cr_expect_eq(store_read(st, 17, 1, &m), STORE_FAILED, "%s", damages[i]);
        store_free(st);
        fixture_run(db, "DELETE FROM entry; DELETE FROM message");
    }
    fixture_end(db);
}

/* The writer makes the file, and may be late. */
Test(store, waits_for_the_writer)
{
    fixture_begin(false);
    struct store *st = store_new(MAILDB_PATH);
    struct store_box box;
    cr_expect_eq(store_look(st, &(struct store_view){.box = 17}, &box), -1);
    sqlite3 *db = fixture_open_writer();
    cr_expect_eq(store_look(st, &(struct store_view){.box = 17}, &box), 0);
    cr_expect_eq(box.limit, 1);
    store_free(st);
    fixture_end(db);
}

Test(store, how_long_mail_stays)
{
    enum { DAY = 86400, NONE = DURATION_NONE };
    static const struct {
        int64_t all_d, least_d;
        uint64_t own, domain, seconds;
    } rows[] = {
        {NONE, NONE, 0, 0, 0},
        {30, NONE, 0, 0, 30 * DAY},
        {30, 7, 0, 10 * DAY, 10 * DAY},
        {30, 7, 8 * DAY, 10 * DAY, 8 * DAY}, /* the user beats the domain */
        {30, 7, MAILDB_RETENTION_NONE, 10 * DAY, 0},
        {30, 7, 0, MAILDB_RETENTION_NONE, 0},
        {30, 7, 40 * DAY, 0, 40 * DAY}, /* longer than the setting */
        {NONE, 7, 0, 10 * DAY, 10 * DAY},
        {30, 9, 8 * DAY, 0, 9 * DAY}, /* what was set when less was allowed */
        {30, 9, 0, 8 * DAY, 9 * DAY},
        {30, NONE, 8 * DAY, 8 * DAY, 30 * DAY}, /* clients were told 30 days before the login */
        {NONE, NONE, 8 * DAY, 0, 0},
        {30, NONE, MAILDB_RETENTION_NONE, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct maildb_retention r = {.own = rows[i].own, .domain = rows[i].domain};
        r.all_ms = rows[i].all_d == NONE ? NONE : rows[i].all_d * DAY * 1000;
        r.least_ms = rows[i].least_d == NONE ? NONE : rows[i].least_d * DAY * 1000;
        cr_expect_eq(maildb_retention_s(&r), rows[i].seconds, "row %zu", i);
    }
}
