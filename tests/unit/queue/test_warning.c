#include "world.h"

#include <criterion/criterion.h>

static struct world w;

/* A message of about so many octets for mailbox 7, which has a quota of 10,000. */
static void fill(size_t octets)
{
    static char content[12000];
    char room[2000];
    struct packer p = packer_on(room, sizeof room);
    memset(content, 'x', octets);
    for (size_t i = 80; i + 80 < octets; i += 80)
        memcpy(content + i, "\r\n", 2);
    memcpy(content, "Subject: x\r\n\r\n", 14);
    memcpy(content + octets - 2, "\r\n", sizeof "\r\n"); /* with its NUL */
    world_rcpt(&p, "alice@example.org", (const uint64_t[]){7, 0}, 10000);
    world_send(&w, "a@b.example", packer_span(&p), content);
    world_pump(&w);
}

static int64_t warnings(void)
{
    return world_count(&w, "SELECT count(*) FROM message WHERE sender = ''"
                           " AND instr(content, CAST('Your mailbox is' AS BLOB)) > 0");
}

static void check_counts(void)
{
    cr_expect_eq(world_count(&w, "SELECT octets FROM box"),
                 world_count(&w, "SELECT sum(octets) FROM entry"));
    cr_expect_eq(world_count(&w, "SELECT messages FROM box"),
                 world_count(&w, "SELECT count(*) FROM entry"));
}

Test(warning, comes_once_when_the_mark_is_crossed)
{
    world_begin(&w, "[mailbox]\nquota_warning = 80%\nundelete_for = none\n");
    fill(4000);
    fill(3000);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry"), 2);
    cr_expect_eq(warnings(), 0);
    fill(1500);
    cr_expect_eq(warnings(), 1);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry"), 4);
    cr_expect_eq(world_count(&w, "SELECT message FROM entry WHERE seq = 4"),
                 world_count(&w, "SELECT id FROM message WHERE sender = ''"));
    fill(50);
    cr_expect_eq(warnings(), 1, "not again");
    check_counts();
    world_delete(&w, 7, (const uint64_t[]){1, 0}, true);
    world_pump(&w);
    fill(2000);
    cr_expect_eq(warnings(), 1, "below the mark");
    fill(2500);
    cr_expect_eq(warnings(), 2, "again");
    check_counts();
    world_end(&w);
}

/* The message that crosses the mark fits; its warning would not: it comes all the same. */
Test(warning, is_let_in_where_mail_is_not)
{
    world_begin(&w, "[mailbox]\nquota_warning = 95%\n");
    fill(9900);
    cr_assert_eq(w.n_answers, 1);
    cr_expect_eq(w.answers[0].verdict, VERDICT_OK);
    cr_expect_eq(warnings(), 1);
    cr_expect_gt(world_count(&w, "SELECT octets FROM box"), 10000);
    fill(20);
    cr_expect_eq(w.answers[1].reason, INTAKE_QUOTA);
    cr_expect_eq(warnings(), 1);
    check_counts();
    world_end(&w);
}

Test(warning, none_and_no_quota)
{
    world_begin(&w, "");
    fill(9900);
    cr_expect_eq(warnings(), 0);
    world_send_local(&w, "a@b.example", 8, "Subject: y\r\n\r\n");
    world_pump(&w);
    cr_expect_eq(warnings(), 0);
    world_end(&w);
}
