/* A mail.db whose rows somebody else wrote: values of any kind and size in any column, CHECKs
 * ignored. The queue starts on it and works, or says why not; it never ends, and what it hands to
 * the relay is within the bounds of the table of messages. */
#include "common/clock.h"
#include "common/content.h"
#include "common/log.h"
#include "common/maildb.h"
#include "common/unixsock.h"
#include "queue/callout_state.h"
#include "queue/contain.h"
#include "queue/control.h"
#include "queue/intake.h"
#include "queue/queue.h"
#include "queue/schedule.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#define TURNS 6
#define NOW_S 1800000000

static const char base[] =
    "INSERT INTO message (id, arrived, expires, sender, client, helo, login, size, header, flags,"
    " warned, spooled, hash, content) VALUES"
    " (1, 1799999000, 1800400000, 'a@b.example', '127.0.0.1', 'h', '', 17, 14, 0, 0, 0,"
    "  zeroblob(16), CAST('Subject: x' || char(13,10,13,10) || 'y' || char(13,10) AS BLOB)),"
    " (2, 1799999000, 1799999500, 'a@b.example', '127.0.0.1', 'h', '', 70000, 13, 0, 0, 1,"
    "  zeroblob(16), NULL),"
    " (3, 1799999000, 1800400000, '', '::1', 'h', 'u@example.org', 17, 14, 0, 1, 0,"
    "  zeroblob(16), CAST('Subject: x' || char(13,10,13,10) || 'y' || char(13,10) AS BLOB));"
    "INSERT INTO recipient (message, number, address, domain, state, attempts, next_attempt,"
    " status, remote, last_reply) VALUES"
    " (1, 0, 'x@c.example', 'c.example', 0, 1, 1799999900, '', '', ''),"
    " (1, 1, 'y@c.example', 'c.example', 2, 1, 1799999900, '5.1.1', 'mx[192.0.2.1]:25', '550 no'),"
    " (2, 0, 'z@d.example', 'd.example', 0, 9, 1799999900, '', '', '421 later'),"
    " (3, 0, 'x@c.example', 'c.example', 1, 0, 1799999900, '', '', '');"
    "INSERT INTO box (id, messages, octets, next_seq, forgotten) VALUES (1, 1, 15, 2, 0),"
    " (2, 1, 15, 2, 1);"
    "INSERT INTO entry (box, seq, message, octets) VALUES (1, 1, 1, 15), (2, 1, 3, 15);"
    "INSERT INTO hold (message, request) VALUES (1, 'for;60');"
    "INSERT INTO contained (who, since, why, told, swept) VALUES"
    " ('u@example.org', 1799999000, 'w', 0, 0), ('uid:7', 1799999000, 'w', 1, 1);"
    "INSERT INTO counted (who, what, n, until) VALUES ('v@example.org', 0, 5, 1800001000),"
    " ('v@example.org', 1, 5, 1800001000), ('v@example.org', 3, 30, 1800001000);"
    "INSERT INTO callout (address, verdict, learned, expires, host) VALUES"
    " ('bob@backed.example', 1, 1799999000, 1800500000, 1),"
    " ('eve@backed.example', 2, 1799999000, 1800002000, 1);";

static const char *const columns[][3] = {
    /* table, column, which row */
    {"message", "id", "id = 1"},
    {"message", "arrived", "id = 1"},
    {"message", "expires", "id = 1"},
    {"message", "sender", "id = 1"},
    {"message", "client", "id = 1"},
    {"message", "helo", "id = 1"},
    {"message", "login", "id = 1"},
    {"message", "size", "id = 1"},
    {"message", "header", "id = 1"},
    {"message", "flags", "id = 1"},
    {"message", "spooled", "id = 1"},
    {"message", "hash", "id = 1"},
    {"message", "content", "id = 1"},
    {"message", "sender", "id = 2"},
    {"message", "size", "id = 2"},
    {"message", "content", "id = 2"},
    {"message", "expires", "id = 3"},
    {"recipient", "address", "message = 1"},
    {"recipient", "domain", "message = 1"},
    {"recipient", "state", "message = 1"},
    {"recipient", "attempts", "message = 1"},
    {"recipient", "next_attempt", "message = 1"},
    {"recipient", "status", "message = 1"},
    {"recipient", "remote", "message = 1"},
    {"recipient", "last_reply", "message = 1"},
    {"recipient", "number", "number = 1"},
    {"recipient", "address", "message = 2"},
    {"recipient", "last_reply", "message = 2"},
    {"recipient", "state", "message = 3"},
    {"recipient", "message", "message = 3"},
    {"box", "id", "id = 1"},
    {"box", "messages", "id = 1"},
    {"box", "octets", "id = 1"},
    {"box", "next_seq", "id = 2"},
    {"box", "forgotten", "id = 1"},
    {"entry", "box", "box = 1"},
    {"entry", "seq", "box = 1"},
    {"entry", "message", "box = 1"},
    {"entry", "octets", "box = 1"},
    {"contained", "who", "told = 0"},
    {"contained", "since", "told = 0"},
    {"contained", "why", "told = 0"},
    {"contained", "told", "told = 0"},
    {"contained", "swept", "told = 0"},
    {"contained", "who", "told = 1"},
    {"message", "login", "id = 3"},
    {"counted", "n", "what = 1"},
    {"counted", "until", "what = 1"},
    {"counted", "what", "what = 3"},
    {"counted", "who", "what = 0"},
    {"hold", "request", "message = 1"},
    {"callout", "address", "verdict = 2"},
    {"callout", "verdict", "verdict = 1"},
    {"callout", "learned", "verdict = 1"},
    {"callout", "expires", "verdict = 1"},
    {"callout", "host", "verdict = 1"},
    {"recipient", "contained", "message = 3"},
    {"recipient", "contained", "message = 1"},
};

struct desk {
    struct queue *q;
    struct ipc *here, *there;
};

static char dir[64];
static struct config *config;
static unsigned n_jobs;

/* --- the hostile hand --- */

static void run_sql(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "fuzz: rows: %s\n", sqlite3_errmsg(db));
        fuzz_check(false, "rows: the base does not fit the schema");
    }
}

static void set_hashes(sqlite3 *db)
{
    struct content_scan scan;
    sqlite3_stmt *s = NULL;
    content_begin(&scan);
    content_add(&scan, SPAN("Subject: x\r\n\r\ny\r\n"));
    content_end(&scan);
    fuzz_check(sqlite3_prepare_v2(db, "UPDATE message SET hash = ?1", -1, &s, NULL) == SQLITE_OK,
               "rows: no hash");
    sqlite3_bind_blob(s, 1, scan.hash, sizeof scan.hash, SQLITE_STATIC);
    sqlite3_step(s);
    sqlite3_finalize(s);
}

/* So that they are believed. */
static void set_host(sqlite3 *db)
{
    char sql[100];
    struct queue q = {.config = config};
    snprintf(sql, sizeof sql, "UPDATE callout SET host = %lld",
             (long long)callout_host(&q, SPAN("bob@backed.example")));
    run_sql(db, sql);
}

/* One value: {u8 column, u8 kind and size, octets}. */
static struct span change(sqlite3 *db, struct span in)
{
    char sql[200];
    sqlite3_stmt *s = NULL;
    const char *const *c = columns[(unsigned char)in.p[0] % (sizeof columns / sizeof columns[0])];
    unsigned kind = (unsigned char)in.p[1] >> 6;
    size_t n = (unsigned char)in.p[1] & 63;
    in = span_from(in, 2);
    n = n < in.n ? n : in.n;
    snprintf(sql, sizeof sql, "UPDATE OR IGNORE %s SET %s = ?1 WHERE %s", c[0], c[1], c[2]);
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
        return span_from(in, n); /* a column of another day */
    int64_t number = 0;
    memcpy(&number, in.p, n < sizeof number ? n : sizeof number);
    if (kind == 0)
        sqlite3_bind_int64(s, 1, number);
    else if (kind == 1)
        sqlite3_bind_text(s, 1, in.p, (int)n, SQLITE_STATIC);
    else if (kind == 2)
        sqlite3_bind_blob(s, 1, in.p, (int)n, SQLITE_STATIC);
    else
        sqlite3_bind_zeroblob(s, 1, (int)((uint64_t)number % 200000));
    sqlite3_step(s);
    sqlite3_finalize(s);
    return span_from(in, n);
}

static void write_rows(struct span in)
{
    sqlite3 *db;
    fuzz_check(sqlite3_open_v2("mail.db", &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK,
               "rows: no database");
    run_sql(db, "PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; BEGIN;"
                "DELETE FROM callout; DELETE FROM hold; DELETE FROM counted; DELETE FROM "
                "contained; DELETE FROM entry; "
                "DELETE FROM "
                "recipient; DELETE FROM box; "
                "DELETE FROM message;");
    run_sql(db, base);
    set_hashes(db);
    set_host(db);
    run_sql(db, "PRAGMA ignore_check_constraints = ON");
    while (in.n >= 2)
        in = change(db, in);
    run_sql(db, "COMMIT");
    sqlite3_close(db);
}

/* --- the queue --- */

static void on_job(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)from;
    n_jobs++;
    fuzz_check(m->relay_job.rcpts.n > 0 && m->relay_job.domain.n > 0, "rows: a job for nobody");
    if (fd >= 0)
        close(fd);
}

static void on_admin(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    control_run(((struct desk *)owner)->q, from, &m->admin);
}

static void on_row(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)from, (void)m;
    if (fd >= 0)
        close(fd);
}

static void closed(void *owner, struct ipc *ch)
{
    struct desk *d = owner;
    fuzz_check(false, "rows: what it sends does not unpack");
    d->here = d->here == ch ? NULL : d->here;
    ipc_close(ch);
}

static const struct ipc_handler here_handlers[] = {{MSG_ADMIN, on_admin}};
static const struct ipc_handler there_handlers[] = {
    {MSG_RELAY_JOB, on_job}, {MSG_ADMIN_ROW, on_row}, {MSG_ADMIN_RE, on_row}};
static const struct ipc_ops here_ops = {here_handlers, 1, .on_close = closed};
static const struct ipc_ops there_ops = {there_handlers, 3, .on_close = closed};

static void join(struct desk *d, struct loop *loop, enum role role)
{
    int fds[2];
    fuzz_check(unixsock_pair(fds) == 0, "rows: no channel");
    d->here = ipc_open(loop, fds[0], ROLE_QUEUE, role, &here_ops, d);
    d->there = ipc_open(loop, fds[1], role, ROLE_QUEUE, &there_ops, d);
}

static void turns(struct desk *d, struct loop *loop)
{
    for (int i = 0; i < TURNS && !d->q->batch.is_broken; i++) {
        loop_turn(loop, 0);
        if (!d->q->batch.is_broken)
            queue_turn(d->q);
    }
}

/* One more message of the user who is counted. What other rows of his say may hold it, no more. */
static void count(struct queue *q)
{
    struct message m = {.login = SPAN("v@example.org"), .client = SPAN("127.0.0.1")};
    struct charge c = {.recipients = 3};
    uint64_t n_commits = q->batch.n_commits;
    if (q->batch.is_broken)
        return;
    struct targets none = {0};
    contain_accept(q, &m, &none, &c);
    if (batch_begin(&q->batch) == 0 && contain_results(q, m.login, 1, 1, false) == 0)
        batch_keep(&q->batch, NULL);
    batch_commit(&q->batch);
    fuzz_check(q->batch.n_commits > n_commits || q->batch.is_broken, "rows: a count stops mail");
    contain_refund(q, &m, &c);
}

/* Nobody was asked, so nobody is known unless a row says it. */
static void look_up(struct queue *q)
{
    static const char *const all[] = {"bob@backed.example", "eve@backed.example"};
    for (size_t i = 0; i < 2; i++) {
        enum intake_reason r = callout_judge(q, span_of(all[i]));
        fuzz_check(r == INTAKE_OK || r == INTAKE_NOBODY || r == INTAKE_UNVERIFIED,
                   "rows: a verdict that there is not");
    }
}

static void work(struct loop *loop, struct queue *q)
{
    struct desk relay = {.q = q}, cli = {.q = q};
    join(&relay, loop, ROLE_RELAY);
    join(&cli, loop, ROLE_CLI);
    queue_peer_up(q, ROLE_RELAY, relay.here);
    ipc_send_admin(cli.there, &(struct msg_admin){.tag = 1, .command = SPAN("queue list")}, -1);
    ipc_send_admin(cli.there, &(struct msg_admin){.tag = 2, .command = SPAN("callout list")}, -1);
    look_up(q);
    count(q);
    turns(&relay, loop);
    clock_fake(1000000, (NOW_S + 86400) * INT64_C(1000));
    if (!q->batch.is_broken)
        schedule_look(q);
    turns(&relay, loop);
    ipc_close(relay.there);
    ipc_close(cli.there);
    ipc_close(relay.here);
    ipc_close(cli.here);
    q->relay = NULL;
}

static void end(void)
{
    static const char *const names[] = {"mail.db", "mail.db-wal", "mail.db-shm"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(names[i]);
    rmdir("spool");
    if (chdir("/") == 0)
        rmdir(dir);
}

static void begin(void)
{
    char text[400];
    struct config_problems problems = {0};
    struct error e;
    snprintf(dir, sizeof dir, "/dev/shm/barid-fuzz-XXXXXX");
    if (mkdtemp(dir) == NULL) {
        snprintf(dir, sizeof dir, "/tmp/barid-fuzz-XXXXXX");
        fuzz_check(mkdtemp(dir) != NULL, "rows: no directory");
    }
    fuzz_check(chdir(dir) == 0, "rows: no directory");
    snprintf(text, sizeof text,
             "hostname = mx.example.org\nstate_dir = %s\nrun_dir = %s\n[listen smtp]\n"
             "[route backed.example]\nto = mx\nbackup_mx = yes\ncallout = yes\n",
             dir, dir);
    config = config_parse(span_of(text), "fuzz", &problems);
    fuzz_check(config != NULL, "rows: no configuration");
    config_problems_free(&problems);
    struct loop *loop = loop_new();
    struct queue *q = queue_open(loop, config, &e); /* makes the schema */
    fuzz_check(q != NULL, "rows: the queue does not start");
    queue_close(q);
    loop_free(loop);
    atexit(end);
}

void fuzz_rows(struct span in)
{
    struct error e;
    clock_fake(1000000, NOW_S * INT64_C(1000));
    log_set_sink(fuzz_no_log);
    if (config == NULL)
        begin();
    write_rows(in);
    struct loop *loop = loop_new();
    struct queue *q = queue_open(loop, config, &e);
    if (q != NULL) {
        work(loop, q);
        queue_close(q);
    }
    fuzz_check(in.n > 0 || n_jobs > 0, "rows: untouched rows are not delivered");
    loop_free(loop);
}
