/* A week of mail for many destinations, of which a part is dead, slow, silent, flapping or full:
 * the queue's real code and its real store, on a clock that stands still until everything that is
 * to happen at a moment has happened. In the middle come a large mailing, a crash of the queue and
 * one of the relay. Then the clock runs on until nothing waits any more.
 *
 * What is asked: is every recipient delivered once, or its sender told once that he was not; was
 * any limit passed; how long did others wait because of the mailing and the dead; did memory stay
 * bounded? A sample by default: --all (./dev test-all) is 100,000 messages to 5,000 destinations.
 */
#include "common/clock.h"
#include "common/config.h"
#include "common/id.h"
#include "common/log.h"
#include "common/seal.h"
#include "common/unixsock.h"
#include "common/verdict.h"
#include "queue/dispatch.h"
#include "queue/intake.h"
#include "queue/queue.h"
#include "queue/schedule.h"
#include "tests/fault/tap.h"
#include "tests/week/others.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>

#define SECOND_MS  INT64_C(1000)
#define MINUTE_MS  (60 * SECOND_MS)
#define HOUR_MS    (60 * MINUTE_MS)
#define DAY_MS     (24 * HOUR_MS)
#define WEEK_MS    (7 * DAY_MS)
#define START_MS   INT64_C(1795000000000)
#define STEP_MS    (20 * SECOND_MS) /* what happens within it happens at its end */
#define LONGEST_MS MINUTE_MS        /* a look at the clock at least so often */
#define ANSWER_MS  (60 * MINUTE_MS) /* for who asks the queue: the clock must not be the reason */
#define AT_ONCE    400              /* messages handed over in one turn */
#define BOX        7

static const unsigned char seal_key[SEAL_KEY_OCTETS] = "0123456789abcdef0123456789abcdef";

struct scale {
    uint32_t messages, destinations, mailing;
    int64_t fair_ms;   /* the longest that a good destination's mail waits for its first attempt */
    size_t memory_max; /* octets that the process may grow by */
};
static const struct scale sample = {3000, 300, 600, 2 * MINUTE_MS, 64U << 20};
static const struct scale full = {100000, 5000, 10000, 2 * MINUTE_MS, 160U << 20};

struct week {
    struct scale scale;
    struct loop *loop;
    struct config *config;
    struct queue *q;
    struct ipc *smtpd, *relay, *authd;       /* our ends */
    struct ipc *q_smtpd, *q_relay, *q_authd; /* the queue's */
    struct ledger ledger;
    struct others others;
    int64_t now_ms;
    uint32_t sent, mailed; /* messages of the week, of the mailing */
    uint64_t n_turns;
    size_t most_in_memory, first_octets, most_octets;
    bool has_refused;
};
static struct week w;

static void no_log(struct span lines)
{
    (void)lines;
}

/* --- channels --- */

static void q_open(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner;
    intake_open(w.q, from, &m->queue_open, fd);
}

static const struct ipc_handler q_handlers[] = {{MSG_QUEUE_OPEN, q_open}};

static void q_closed(void *owner, struct ipc *ch)
{
    (void)owner;
    queue_peer_down(w.q, ipc_peer(ch), ch);
    ipc_close(ch);
}

static const struct ipc_ops q_ops = {.handlers = q_handlers, .n_handlers = 1, .on_close = q_closed};

static void got_job(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)from, (void)fd;
    others_take_job(&w.others, &m->relay_job);
}

/* Every sender has the same mailbox, which takes the reports. */
static void got_resolve(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)fd;
    static struct sealer s;
    struct msg_resolve_re re = {
        .tag = m->resolve.tag, .verdict = VERDICT_OK, .kind = ADDRESS_LOCAL};
    seal_begin(&s, m->resolve.address, clock_wall_s());
    seal_target(&s, &(struct target){
                        .is_local = true, .box = BOX, .quota = 0, .address = m->resolve.address});
    re.sealed = seal_end(&s, seal_key);
    w.others.activity++;
    ipc_send_resolve_re(from, &re, -1);
}

static const struct ipc_handler our_handlers[] = {{MSG_RELAY_JOB, got_job},
                                                  {MSG_RESOLVE, got_resolve}};

static void our_closed(void *owner, struct ipc *ch)
{
    (void)owner;
    ipc_close(ch);
}

static const struct ipc_ops our_ops = {
    .handlers = our_handlers, .n_handlers = 2, .on_close = our_closed};

static void give_up(const char *why)
{
    printf("Bail out! %s\n", why);
    exit(1);
}

static void join(enum role role, struct ipc **ours, struct ipc **queues)
{
    int fds[2];
    if (unixsock_pair(fds) < 0)
        give_up("no sockets");
    *queues = ipc_open(w.loop, fds[0], ROLE_QUEUE, role, &q_ops, NULL);
    *ours = ipc_open(w.loop, fds[1], role, ROLE_QUEUE, &our_ops, NULL);
    if (*ours == NULL || *queues == NULL)
        give_up("no channel");
    queue_peer_up(w.q, role, *queues);
}

static void open_queue(void)
{
    struct error e;
    w.q = queue_open(w.loop, w.config, &e);
    if (w.q == NULL)
        give_up(e.text);
    queue_set_key(w.q, &(struct msg_seal_key){{(const char *)seal_key, sizeof seal_key}});
    join(ROLE_SMTPD, &w.smtpd, &w.q_smtpd);
    join(ROLE_RELAY, &w.relay, &w.q_relay);
    join(ROLE_AUTHD, &w.authd, &w.q_authd);
    w.others.relay = w.relay;
}

static void close_queue(void)
{
    struct ipc *all[] = {w.smtpd, w.relay, w.authd, w.q_smtpd, w.q_relay, w.q_authd};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ipc_close(all[i]);
    w.q->relay = w.q->authd = NULL;
    queue_close(w.q);
    others_forget(&w.others);
}

/* As after a kill: what was under way is forgotten on both sides. */
static void crash_queue(void)
{
    close_queue();
    open_queue();
}

static void crash_relay(void)
{
    others_forget(&w.others);
    ipc_close(w.relay);
    ipc_break(w.q_relay);
    join(ROLE_RELAY, &w.relay, &w.q_relay);
    w.others.relay = w.relay;
}

/* --- mail --- */

/* Its recipients are the `n` from `first` on, in the ledger. */
static void accepted(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct fate *f = &w.ledger.list[(size_t)(uintptr_t)arg >> 8];
    size_t n = (size_t)(uintptr_t)arg & 0xff;
    w.others.activity++;
    if (m == NULL || m->queue_open_re.verdict != VERDICT_OK) {
        w.has_refused = true;
        return;
    }
    w.ledger.n_accepted_messages++;
    for (size_t i = 0; i < n; i++)
        f[i].accepted_ms = clock_wall_ms();
}

static void send_mail(const uint32_t *destinations, size_t n, bool is_bulk)
{
    char room[4000], address[64], sender[64];
    struct packer p = packer_on(room, sizeof room);
    uint32_t first = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t place = ledger_add(&w.ledger, destinations[i], is_bulk);
        first = i == 0 ? place : first;
        snprintf(address, sizeof address, "r%" PRIu32 "@d%" PRIu32 ".example", place,
                 destinations[i]);
        rcpt_pack(&p, &(struct rcpt){.address = span_of(address), .sealed = SPAN("")});
    }
    snprintf(sender, sizeof sender, is_bulk ? "news@example.org" : "u%" PRIu32 "@example.org",
             others_random(&w.others, 2000));
    struct msg_queue_open m = {.id = id_new(),
                               .session = id_new(),
                               .sender = span_of(sender),
                               .client = SPAN("127.0.0.1"),
                               .helo = SPAN("client.example"),
                               .rcpts = packer_span(&p),
                               .content = SPAN("Subject: one of a week\r\n\r\nhello\r\n"),
                               .is_last = 1};
    w.ledger.n_messages++;
    if (ipc_ask_queue_open(w.smtpd, &m, -1, ANSWER_MS, accepted,
                           (void *)(uintptr_t)((size_t)first << 8 | n)) == 0)
        w.has_refused = true;
}

/* Mostly good ones: a seventh of the mail is for the others. */
static uint32_t choose_destination(void)
{
    uint32_t d = others_random(&w.others, w.scale.destinations);
    while (others_kind(d) != KIND_GOOD && others_random(&w.others, 3) > 0)
        d = others_random(&w.others, w.scale.destinations);
    return d;
}

/* What came until now, evenly over the week; one in twenty is for three recipients. */
static bool send_due(void)
{
    int64_t since_ms = w.now_ms - START_MS;
    uint32_t wanted = since_ms >= WEEK_MS
                          ? w.scale.messages
                          : (uint32_t)((int64_t)w.scale.messages * since_ms / WEEK_MS);
    for (int i = 0; i < AT_ONCE && w.sent < wanted; i++, w.sent++) {
        uint32_t to[3] = {choose_destination(), choose_destination(), choose_destination()};
        if (w.sent % 100 == 0)
            to[0] = RATED;
        send_mail(to, w.sent % 20 == 0 ? 3 : 1, false);
    }
    bool is_mailing = since_ms >= 2 * DAY_MS;
    for (int i = 0; is_mailing && i < AT_ONCE && w.mailed < w.scale.mailing; i++, w.mailed++) {
        uint32_t to = w.mailed % 3 == 0 ? KIND_GOOD + 2 * KIND_PERIOD
                                        : others_random(&w.others, w.scale.destinations);
        send_mail(&to, 1, true);
    }
    return w.sent < wanted || (is_mailing && w.mailed < w.scale.mailing);
}

/* --- time --- */

/* Until nothing more happens at this moment. */
static void settle(void)
{
    uint64_t before;
    bool has_more;
    schedule_look(w.q);
    do {
        before = w.others.activity;
        has_more = send_due();
        others_answer(&w.others);
        for (int i = 0; i < 2; i++) {
            loop_turn(w.loop, 0);
            queue_turn(w.q);
            w.n_turns++;
        }
        if (w.q->batch.is_broken)
            give_up("the store failed");
        if (dispatch_count(w.q) > w.most_in_memory)
            w.most_in_memory = dispatch_count(w.q);
    } while (has_more || before != w.others.activity || w.q->wake.is_set);
    log_flush();
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void go_on(void)
{
    int64_t next_ms = earlier(others_next_ms(&w.others), w.now_ms + LONGEST_MS);
    int64_t mail_ms = WEEK_MS / w.scale.messages;
    if (w.sent < w.scale.messages)
        next_ms = earlier(next_ms, w.now_ms + (mail_ms > STEP_MS ? mail_ms : STEP_MS));
    int64_t steps = (next_ms - w.now_ms + STEP_MS - 1) / STEP_MS;
    w.now_ms += (steps > 0 ? steps : 1) * STEP_MS;
    clock_fake(w.now_ms - START_MS + 1000, w.now_ms);
}

static int64_t count(const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *s = NULL;
    int64_t n = -1;
    if (sqlite3_open_v2("mail.db", &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return n;
}

static void measure_memory(void)
{
    size_t octets = tap_memory();
    if (w.first_octets == 0)
        w.first_octets = octets;
    if (octets > w.most_octets)
        w.most_octets = octets;
}

/* The week, and what it takes until nothing waits: five days more, and a little. */
static void run(void)
{
    int64_t hour_ms = 0;
    bool has_crashed = false, relay_has_crashed = false;
    while (w.now_ms - START_MS < WEEK_MS + 7 * DAY_MS) {
        int64_t since_ms = w.now_ms - START_MS;
        settle();
        if (!has_crashed && since_ms > 2 * DAY_MS + 5 * MINUTE_MS) {
            has_crashed = true;
            crash_queue();
        } else if (!relay_has_crashed && since_ms > 3 * DAY_MS) {
            relay_has_crashed = true;
            crash_relay();
        }
        if (since_ms - hour_ms >= HOUR_MS) {
            hour_ms = since_ms;
            measure_memory();
            if (since_ms > WEEK_MS && count("SELECT count(*) FROM recipient") == 0)
                break;
        }
        go_on();
    }
}

/* --- what came of it --- */

struct sums {
    size_t n_delivered, n_failed, n_lost, n_twice, n_told_wrongly, n_held, n_waits;
    int64_t longest_ms, longest_bulk_ms, *waits;
};

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void add_up_one(struct sums *s, const struct fate *f)
{
    s->n_delivered += f->n_delivered > 0;
    s->n_failed += f->n_failed > 0;
    s->n_twice += f->n_delivered > 1;
    s->n_lost += f->accepted_ms > 0 && f->n_delivered + f->n_failed == 0;
    s->n_told_wrongly += f->n_failed > 1 || f->n_delayed > 1 ||
                         (f->n_failed > 0 && f->n_delivered > 0) ||
                         (f->is_refused && f->n_failed == 0);
    if (others_kind(f->destination) != KIND_GOOD || f->destination == RATED || f->tried_ms == 0)
        return;
    int64_t wait_ms = f->tried_ms - f->accepted_ms;
    int64_t *longest = f->is_bulk ? &s->longest_bulk_ms : &s->longest_ms;
    if (wait_ms > *longest)
        *longest = wait_ms;
    if (!f->is_bulk)
        s->waits[s->n_waits++] = wait_ms;
}

static void judge(double seconds)
{
    struct sums s = {.waits = alloc_array(w.ledger.n + 1, sizeof(int64_t))};
    if (s.waits == NULL || ledger_read_reports(&w.ledger) < 0)
        give_up("the reports cannot be read");
    for (size_t i = 0; i < w.ledger.n; i++)
        add_up_one(&s, &w.ledger.list[i]);
    qsort(s.waits, s.n_waits, sizeof *s.waits, compare);
    size_t grown = w.most_octets - w.first_octets;
    printf("# %zu messages, %zu recipients, %" PRIu32 " destinations, %" PRIu64
           " attempts, %zu reports, %.1f s, %" PRIu64 " turns\n",
           w.ledger.n_messages, w.ledger.n, w.scale.destinations, w.others.n_jobs,
           w.ledger.n_reports, seconds, w.n_turns);
    printf("# delivered %zu, returned %zu; at most %zu attempts at a time, %zu to one destination, "
           "%zu recipients and %zu KiB more in memory\n",
           s.n_delivered, s.n_failed, w.others.most_active, w.others.most_of_one, w.most_in_memory,
           grown >> 10);
    printf("# first attempt at good destinations after p50 %.0f s, p99 %.0f s, p99.9 %.0f s, at "
           "most %.0f s; of the large mailing at most %.0f s\n",
           (double)s.waits[s.n_waits / 2] / 1e3, (double)s.waits[s.n_waits * 99 / 100] / 1e3,
           (double)s.waits[s.n_waits * 999 / 1000] / 1e3, (double)s.longest_ms / 1e3,
           (double)s.longest_bulk_ms / 1e3);
    tap_ok(!w.has_refused && w.ledger.n_accepted_messages == w.ledger.n_messages &&
               w.ledger.n_messages == w.scale.messages + w.scale.mailing,
           "all messages are accepted");
    tap_ok(s.n_lost == 0, "nothing is lost (%zu)", s.n_lost);
    tap_ok(s.n_twice == 0, "nothing is delivered twice (%zu)", s.n_twice);
    tap_ok(s.n_told_wrongly == 0, "senders are told once, and the truth (%zu)", s.n_told_wrongly);
    tap_ok(count("SELECT count(*) FROM recipient") == 0, "nothing waits at the end");
    tap_ok(!w.others.is_over_limit && w.others.most_active <= w.config->relay.connections,
           "no limit on connections is passed");
    tap_ok(!w.others.is_over_rate, "no rate is passed");
    tap_ok(s.longest_ms <= w.scale.fair_ms, "nobody waits for others for more than %.0f s",
           (double)w.scale.fair_ms / 1e3);
    tap_ok(w.most_in_memory <= AGENDA_MAX && grown <= w.scale.memory_max, "memory is bounded");
    free(s.waits);
}

static void begin(const char *dir)
{
    static char text[3 * PATH_MAX];
    struct config_problems problems = {0};
    snprintf(text, sizeof text,
             "hostname = mx.example.org\nstate_dir = %s\nrun_dir = %s\n[listen smtp]\n"
             "address = 127.0.0.1:2525\n[queue]\ntrace = 1d\n"
             "[relay]\nallow_from = 127.0.0.0/8\n"
             "[route d%d.example]\nto = mx\nrate = %d/1m\n",
             dir, dir, RATED, OTHERS_RATE);
    w.scale = tap_is_all() ? full : sample;
    w.config = config_parse(span_of(text), "week", &problems);
    w.loop = loop_new();
    w.others = (struct others){.ledger = &w.ledger,
                               .n_destinations = w.scale.destinations,
                               .start_ms = START_MS,
                               .middle_ms = START_MS + WEEK_MS / 2,
                               .active = calloc(ACTIVE_MAX, sizeof(struct active)),
                               .n_of = calloc(w.scale.destinations, sizeof(uint32_t)),
                               .random = 1};
    if (chdir(dir) < 0 || w.config == NULL || w.loop == NULL || w.others.active == NULL ||
        w.others.n_of == NULL)
        give_up(problems.n > 0 ? problems.list[0].text : "cannot begin");
    config_problems_free(&problems);
    w.now_ms = START_MS;
    clock_fake(1000, START_MS);
    open_queue();
}

int main(int argc, char **argv)
{
    char dir[PATH_MAX];
    struct timespec from, to;
    tap_begin(argc, argv, "week", dir, sizeof dir);
    log_set_sink(no_log);
    clock_gettime(CLOCK_MONOTONIC, &from);
    begin(dir);
    run();
    clock_gettime(CLOCK_MONOTONIC, &to);
    judge((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
    close_queue();
    loop_free(w.loop);
    config_free(w.config);
    free(w.others.active);
    free(w.others.n_of);
    free(w.ledger.list);
    if (chdir("/") < 0)
        give_up("/");
    return tap_end();
}
