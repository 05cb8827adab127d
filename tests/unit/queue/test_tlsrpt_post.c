/* Reports about TLS that wait to be posted: which are asked for when, and which go. */
#include "common/maildb.h"
#include "common/unixsock.h"
#include "queue/statements.h"
#include "queue/tlsrpt.h"
#include "queue/tlsrpt_post.h"
#include "world.h"

#include <criterion/criterion.h>

static struct world w;
static uint64_t tags[8];
static size_t n_posts;

static void on_post(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)from, (void)fd;
    cr_assert_lt(n_posts, 8);
    tags[n_posts++] = m->tls_post.tag;
}

static void join_policy(void)
{
    static const struct ipc_handler handlers[] = {{MSG_TLS_POST, on_post}};
    world_join_policy(&w, handlers, sizeof handlers / sizeof handlers[0]);
}

/* What the timer does, then all that follows. */
static void look(void)
{
    tlsrpts_look(w.q);
    world_pump(&w);
}

static void begin(const char *rows)
{
    char sql[2000];
    world_begin(&w, "tls_reports = yes\n");
    join_policy();
    snprintf(sql, sizeof sql,
             "PRAGMA ignore_check_constraints = 1; INSERT INTO tlsrpt_post VALUES %s", rows);
    cr_assert_eq(sqlite3_exec(w.q->store->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void finish(void)
{
    world_end(&w);
}

static int64_t n_rows(void)
{
    return world_count(&w, "SELECT count(*) FROM tlsrpt_post");
}

#define NOW     "1795000000" /* WORLD_START_S */
#define ROW(id) "(" #id ", 9, 'remote.example', 'https://a.example/', " NOW ", 0, " NOW ", x'00')"

/* Perhaps it was the report that ended our policy process: it does so at growing distances, and not
 * for ever. */
Test(tlsrpt_post, one_without_an_answer_is_put_off)
{
    begin(ROW(1));
    look();
    cr_assert_eq(n_posts, 1);
    world_leave_policy(&w);
    cr_expect_eq(world_count(&w, "SELECT next - began FROM tlsrpt_post WHERE attempts = 1"), 300);
    join_policy();
    look();
    cr_expect_eq(n_posts, 1);
    world_pass(&w, 300);
    look();
    cr_expect_eq(n_posts, 2);
    world_pass(&w, 86400 - 300); /* its day is over before anybody answers */
    world_leave_policy(&w);
    cr_expect_eq(n_rows(), 0);
    world_end(&w);
}

Test(tlsrpt_post, none_when_it_is_switched_off)
{
    begin(ROW(1));
    w.config->relay.tls_reports = SWITCH_OFF;
    look();
    world_pass(&w, 86399);
    look();
    cr_expect_eq(n_rows(), 1);
    world_pass(&w, 1);
    look();
    cr_expect_eq(n_rows(), 0);
    cr_expect_eq(n_posts, 0);
    finish();
}

/* Its mail is not to be lost for that. */
Test(tlsrpt_post, too_large)
{
    static char octets[CHUNK_MAX + 1], urls[100];
    struct packer p = packer_on(urls, sizeof urls);
    world_begin(&w, "tls_reports = yes\n");
    pack_bytes(&p, SPAN("https://a.example/"));
    struct tlsrpt_parcel parcel = {.report = 7,
                                   .domain = SPAN("remote.example"),
                                   .urls = packer_span(&p),
                                   .octets = {octets, sizeof octets}};
    struct tlsrpt_posts *posts = tlsrpt_posts_new(w.q);
    cr_assert_not_null(posts);
    cr_assert_eq(batch_begin(&w.q->batch), 0);
    cr_expect_eq(tlsrpt_posts_add(posts, &parcel), 0);
    parcel.octets.n = CHUNK_MAX;
    cr_expect_eq(tlsrpt_posts_add(posts, &parcel), 0);
    batch_keep(&w.q->batch, NULL);
    tlsrpt_posts_free(posts);
    world_pump(&w);
    cr_expect_eq(n_rows(), 1);
    cr_expect_eq(world_count(&w, "SELECT max(length(octets)) FROM tlsrpt_post"), CHUNK_MAX);
    world_end(&w);
}

/* What is read back is checked as what came: a row that cannot be posted goes, whatever its number,
 * and keeps no other back. */
Test(tlsrpt_post, damaged_rows_go)
{
    begin("(1, 9, 'remote.example', 'http://a.example/', 1, 0, 1, x'00'),"
          "(2, 9, 'no domain', 'https://a.example/', 1, 0, 1, x'00'),"
          "(3, 9, 'remote.example', 'https://127.0.0.1/', 1, 0, 1, x'00'),"
          "(4, 9, 'remote.example', 'https://a.example/' || char(13, 10), 1, 0, 1, x'00')," ROW(
              0) "," ROW(-5) "," ROW(6) "," ROW(7));
    for (int i = 0; i < 6; i++)
        look();
    cr_expect_eq(n_posts, 2);
    cr_expect_eq(n_rows(), 2);
    cr_expect_eq(world_count(&w, "SELECT min(id) FROM tlsrpt_post"), 6);
    finish();
}

Test(tlsrpt_post, four_at_a_time_and_each_once)
{
    begin(ROW(1) "," ROW(2) "," ROW(3) "," ROW(4) "," ROW(5) "," ROW(6));
    look();
    look();
    cr_assert_eq(n_posts, 4);
    struct msg_tls_post_re re = {.tag = tags[2], .verdict = VERDICT_OK, .because = SPAN("")};
    ipc_send_tls_post_re(w.policy, &re, -1);
    world_pump(&w);
    look();
    cr_expect_eq(n_posts, 5);
    cr_expect_eq(n_rows(), 5);
    finish();
}

Test(tlsrpt_post, numbers_are_above_0)
{
    world_begin(&w, "");
    int rc =
        sqlite3_exec(w.q->store->db, "INSERT INTO tlsrpt_post VALUES" ROW(0), NULL, NULL, NULL);
    cr_expect_eq(rc & 0xff, SQLITE_CONSTRAINT);
    rc = sqlite3_exec(w.q->store->db,
                      "INSERT INTO tlsrpt_post SELECT NULL, 9, 'a.example', 'https://a', 1, 0, 1,"
                      " x'00'",
                      NULL, NULL, NULL);
    cr_expect_eq(rc, SQLITE_OK);
    world_end(&w);
}
