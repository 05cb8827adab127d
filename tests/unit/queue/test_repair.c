#include "queue/quarantine.h"
#include "world.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <sys/stat.h>

#define CONTENT "Subject: hello\r\n\r\nthere\r\n"

static struct world w;

static void begin(void)
{
    world_begin(&w, "");
}

/* Changes the database beside the queue. */
static void damage(const char *sql)
{
    sqlite3 *db;
    char *why = NULL;
    cr_assert_eq(sqlite3_open("mail.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA ignore_check_constraints = ON", NULL, NULL, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, &why), SQLITE_OK, "%s: %s", sql, why);
    sqlite3_close(db);
}

static const char *repair(const char *what, const char *argument)
{
    world_admin(&w, what, (const char *[]){argument, NULL});
    cr_expect_eq(w.admin_re.verdict, VERDICT_OK, "%s", w.admin_error);
    return w.rows;
}

static const char *text_of(uint64_t id)
{
    static char text[ID_TEXT];
    id_format(text, id);
    return text;
}

static char *quarantined(uint64_t id, const char *suffix)
{
    static char room[4096];
    char name[100];
    snprintf(name, sizeof name, QUARANTINE_DIR "/%s%s", text_of(id), suffix);
    int fd = open(name, O_RDONLY);
    if (fd < 0)
        return NULL;
    ssize_t n = read(fd, room, sizeof room - 1);
    close(fd);
    room[n > 0 ? n : 0] = '\0';
    return room;
}

Test(repair, what_is_in_order_stays)
{
    begin();
    uint64_t id = world_send_local(&w, "a@b.example", 7, CONTENT);
    world_pump(&w);
    cr_expect(strstr(repair("fsck message", text_of(id)), "in order") != NULL, "%s", w.rows);
    repair("fsck box", "7");
    repair("fsck recipients", text_of(id));
    repair("fsck indexes", NULL);
    repair("fsck removals", NULL);
    repair("fsck orphans", NULL);
    repair("fsck message", "0000000000001");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry"), 1);
    cr_expect_eq(world_count(&w, "SELECT messages FROM box"), 1);
    struct stat st;
    cr_expect_neq(stat(QUARANTINE_DIR, &st), 0);
    world_end(&w);
}

Test(repair, a_damaged_message_is_in_quarantine_before_it_goes)
{
    begin();
    uint64_t id = world_send_local(&w, "a@b.example", 7, CONTENT);
    uint64_t other = world_send_local(&w, "a@b.example", 7, CONTENT);
    world_pump(&w);
    char sql[200];
    snprintf(sql, sizeof sql,
             "UPDATE message SET content = x'41', size = 1, header = 0 WHERE id = %lld",
             (long long)id);
    damage(sql);
    cr_expect(strstr(repair("fsck message", text_of(id)), "moved to") != NULL, "%s", w.rows);
    cr_expect_str_eq(quarantined(id, ".eml"), "A");
    cr_expect(strstr(quarantined(id, ".txt"), "from: a@b.example\n") != NULL);
    cr_expect(strstr(quarantined(id, ".txt"), "mailbox: 7\n") != NULL);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    cr_expect_eq(world_count(&w, "SELECT messages FROM box"), 1);
    cr_expect_eq(world_count(&w, "SELECT octets FROM box"),
                 world_count(&w, "SELECT sum(octets) FROM entry"));
    cr_expect_eq(world_count(&w, "SELECT message FROM entry"), (int64_t)other);
    world_end(&w);
}

Test(repair, without_a_quarantine_nothing_goes)
{
    begin();
    uint64_t id = world_send_local(&w, "a@b.example", 7, CONTENT);
    world_pump(&w);
    damage("UPDATE message SET hash = zeroblob(16)");
    int fd = open(QUARANTINE_DIR, O_WRONLY | O_CREAT, 0600); /* in its place */
    cr_assert(fd >= 0);
    close(fd);
    world_admin(&w, "fsck message", (const char *[]){text_of(id), NULL});
    cr_expect_eq(w.admin_re.verdict, VERDICT_TRY_LATER);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry"), 1);
    world_end(&w);
}

Test(repair, a_mailbox_is_counted_from_what_is_in_it)
{
    begin();
    uint64_t first = world_send_local(&w, "a@b.example", 7, CONTENT);
    world_send_local(&w, "a@b.example", 7, CONTENT);
    world_pump(&w);
    damage("UPDATE box SET messages = 99, octets = 1, next_seq = 1; UPDATE entry SET octets = 3");
    char sql[200];
    snprintf(sql, sizeof sql, "DELETE FROM message WHERE id = %lld", (long long)first);
    damage(sql);
    repair("fsck box", "7");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry"), 1);
    cr_expect_eq(world_count(&w, "SELECT messages FROM box"), 1);
    cr_expect_eq(world_count(&w, "SELECT octets FROM entry"),
                 (int64_t)strlen("Return-Path: <a@b.example>\r\n" CONTENT));
    cr_expect_eq(world_count(&w, "SELECT octets FROM box"),
                 world_count(&w, "SELECT octets FROM entry"));
    cr_expect_eq(world_count(&w, "SELECT next_seq FROM box"), 3);
    cr_expect(strstr(quarantined(first, ".txt"), "mailbox 7 as number 1") != NULL);
    world_end(&w);
}

Test(repair, recipients)
{
    begin();
    uint64_t id = world_send_remote(&w, "a@b.example", "x@one.example", CONTENT);
    world_pump(&w);
    damage("UPDATE recipient SET notify = 77");
    repair("fsck recipients", text_of(id));
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient"), 0);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 0, "nobody needs it any more");
    cr_expect_str_eq(quarantined(id, ".eml"), CONTENT);
    cr_expect(strstr(quarantined(id, ".txt"), "x@one.example") != NULL);
    world_end(&w);
}

Test(repair, orphans)
{
    begin();
    uint64_t id = world_send_remote(&w, "a@b.example", "x@one.example", CONTENT);
    char sql[600];
    world_pump(&w);
    snprintf(sql, sizeof sql,
             "INSERT INTO hold VALUES (77, 'for;60', 'a@b.example', 9, 9), (%" PRIu64
             ", 'for;60', 'a@b.example', 9, 9);"
             "INSERT INTO tlsrpt_tlsa VALUES (7, 'gone.example', 1, '', x'00'),"
             " (7, 'kept.example', 1, '', x'00'), (8, 'kept.example', 1, '', x'00');"
             "INSERT INTO tlsrpt VALUES (7, 'kept.example', 1, 1, 1, '', '', '', '', '', 1)",
             id);
    damage(sql);
    repair("fsck orphans", NULL);
    cr_expect_eq(world_count(&w, "SELECT message FROM hold"), (int64_t)id);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM hold"), 1);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt_tlsa"), 1);
    cr_expect_eq(world_count(&w, "SELECT day FROM tlsrpt_tlsa"), 7);
    world_end(&w);
}

/* What is arriving is no stray file; what is one goes to the quarantine. */
Test(repair, files)
{
    begin();
    uint64_t id = world_send_local(&w, "a@b.example", 7, CONTENT);
    world_pump(&w);
    int fd = open("spool/stranger", O_WRONLY | O_CREAT, 0600);
    cr_assert(fd >= 0 && write(fd, "x", 1) == 1);
    close(fd);
    cr_expect(strstr(repair("fsck stray", "stranger"), "is_stray=1") != NULL, "%s", w.rows);
    cr_expect(strstr(repair("fsck file", "stranger"), "moved to") != NULL, "%s", w.rows);
    struct stat st;
    cr_expect_eq(stat(QUARANTINE_DIR "/stranger", &st), 0);
    cr_expect_neq(stat("spool/stranger", &st), 0);
    world_admin(&w, "fsck file", (const char *[]){"../mail.db", NULL});
    cr_expect_neq(w.admin_re.verdict, VERDICT_OK);
    cr_expect_eq(stat("mail.db", &st), 0);
    /* its row says that there is a file */
    char sql[200], name[40];
    snprintf(sql, sizeof sql, "UPDATE message SET spooled = 1, content = NULL WHERE id = %lld",
             (long long)id);
    damage(sql);
    snprintf(name, sizeof name, "spool/%s", text_of(id));
    fd = open(name, O_WRONLY | O_CREAT, 0600);
    close(fd);
    cr_expect(strstr(repair("fsck stray", text_of(id)), "is_stray=0") != NULL, "%s", w.rows);
    world_end(&w);
}

Test(repair, mail_of_nobody)
{
    begin();
    uint64_t both[] = {7, 8, 0};
    char room[2000];
    struct packer p = packer_on(room, sizeof room);
    world_rcpt(&p, "both@example.org", both, 0);
    uint64_t id = world_send(&w, "a@b.example", packer_span(&p), CONTENT);
    world_pump(&w);
    repair("fsck nobodys", "7");
    cr_expect_str_eq(quarantined(id, ".eml"), CONTENT);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry"), 1);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 1);
    cr_expect_eq(world_count(&w, "SELECT forgotten FROM box WHERE id = 7"), 1);
    world_end(&w);
}
