/* Who is told about what: the table, and that accepting, sending, warning and reporting keep to it.
 */
#include "queue/parties.h"

#include "world.h"

#include <criterion/criterion.h>

#define CONTENT "Subject: hello\r\n\r\nthe text\r\n"
#define FROM    "eve@far.example"
#define OWNER   "owner-staff@example.org"
#define SRS     "SRS0=h=tt=far.example=eve@example.org"
#define REPORTS "FROM message WHERE sender = ''"

static struct world w;

static char room[8000];
static struct packer p;

static void begin(const char *config)
{
    world_begin(&w, config);
    w.forward_as = SRS;
    p = packer_on(room, sizeof room);
}

static void add_list(const char *address, uint8_t notify, const char *const *members)
{
    struct rcpt asks = {.address = span_of(address), .notify = notify};
    world_rcpt_asking(&p, &asks, (uint64_t[]){0}, members);
}

static void add_named(const char *address, uint8_t notify)
{
    struct rcpt asks = {.address = span_of(address), .notify = notify};
    rcpt_pack(&p, &asks);
}

static void send_from(const char *sender)
{
    world_send(&w, sender, packer_span(&p), CONTENT);
    world_pump(&w);
    cr_assert_eq(w.answers[w.n_answers - 1].verdict, VERDICT_OK);
}

static size_t job_to(const char *rcpt)
{
    for (size_t i = 0; i < w.n_jobs; i++)
        for (size_t j = 0; j < w.jobs[i].n; j++)
            if (strcmp(w.jobs[i].rcpts[j], rcpt) == 0)
                return i;
    cr_assert_fail("no job for %s", rcpt);
    return 0;
}

/* The report that was asked for as number `at`, which goes to this mailbox. To be freed. */
static char *report_to(size_t at, const char *who, uint64_t box)
{
    char sql[200];
    cr_assert_gt(w.n_asked, at, "nobody is told");
    cr_expect_str_eq(w.asked[at], who);
    world_resolve(&w, at, ADDRESS_LOCAL, box);
    snprintf(sql, sizeof sql,
             "SELECT CAST(content AS TEXT) " REPORTS " AND id = (SELECT message FROM entry"
             " WHERE box = %llu ORDER BY seq DESC LIMIT 1)",
             (unsigned long long)box);
    char *text = world_text(&w, sql);
    cr_assert_not_null(text);
    return text;
}

static bool has(const char *text, const char *what)
{
    return strstr(text, what) != NULL;
}

/* --- the table --- */

Test(parties, rows)
{
    static const struct {
        const char *sender, *path, *sends, *reads;
        bool is_asked;
        uint8_t news;
    } rows[] = {
        {FROM, "", FROM, FROM, true, NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY},
        {FROM, SRS, SRS, FROM, true, NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY},
        {FROM, OWNER, OWNER, OWNER, false, NOTIFY_FAILURE},
        {FROM, "Owner-Staff@example.org", "Owner-Staff@example.org", "Owner-Staff@example.org",
         false, NOTIFY_FAILURE},
        {OWNER, "", OWNER, OWNER, true, NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY},
        {"", "", "", "", true, 0},
        {"", SRS, "", "", true, 0},
        {"", OWNER, "", "", true, 0},
    };
    static const uint8_t each[] = {NOTIFY_SUCCESS, NOTIFY_FAILURE, NOTIFY_DELAY};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct message m = {
            .sender = span_of(rows[i].sender), .envid = SPAN("QQ1"), .ret = RET_FULL};
        struct parties got = parties_of(&m, span_of(rows[i].path));
        cr_expect(span_eq(got.sender, span_of(rows[i].sends)), "row %zu", i);
        cr_expect(span_eq(got.reader, span_of(rows[i].reads)), "row %zu", i);
        cr_expect_eq(got.is_asked, rows[i].is_asked, "row %zu", i);
        cr_expect(span_eq(got.envid, rows[i].is_asked ? SPAN("QQ1") : SPAN("")), "row %zu", i);
        cr_expect_eq(got.ret, rows[i].is_asked ? RET_FULL : RET_DEFAULT, "row %zu", i);
        for (size_t k = 0; k < sizeof each; k++) {
            bool is_told = (rows[i].news & each[k]) != 0;
            cr_expect_eq(parties_tell(&got, each[k], (enum notify)each[k]), is_told, "row %zu", i);
            cr_expect_not(parties_tell(&got, NOTIFY_NEVER, (enum notify)each[k]), "row %zu", i);
            cr_expect_eq(parties_tell(&got, 0, (enum notify)each[k]),
                         is_told && each[k] != NOTIFY_SUCCESS, "row %zu", i);
        }
    }
}

/* RFC 3461 5.2.7: what goes on to a target, and what is told of the address itself. */
Test(parties, behind_an_address_of_ours)
{
    enum { S = NOTIFY_SUCCESS, F = NOTIFY_FAILURE, D = NOTIFY_DELAY, N = NOTIFY_NEVER };
    static const struct {
        struct behind all;
        const char *owner, *orcpt;
        uint8_t asks, passes;
        const char *names;
        enum rcpt_deed deed;
    } rows[] = {
        {{0, 1, 0}, "", "", S | F, S | F, "rfc822;all@example.org", DONE_NOT},
        {{0, 1, 0}, "", "rfc822;a@b.example", S, S, "rfc822;a@b.example", DONE_NOT},
        {{0, 2, 0}, "", "", 0, 0, "rfc822;all@example.org", DONE_NOT},
        {{0, 2, 0}, "", "", S, N, "rfc822;all@example.org", DONE_EXPANDED},
        {{0, 2, 0}, "", "", S | F | D, F | D, "rfc822;all@example.org", DONE_EXPANDED},
        {{0, 2, 0}, "", "", N, N, "rfc822;all@example.org", DONE_NOT},
        {{1, 1, 0}, "", "", S | F, F, "rfc822;all@example.org", DONE_EXPANDED}, /* --keep */
        {{0, 1, 1}, OWNER, "", S, 0, "", DONE_DELIVERED},
        {{0, 2, 2}, OWNER, "rfc822;a@b.example", S | F | D, 0, "", DONE_DELIVERED},
        {{3, 2, 2}, OWNER, "", N, 0, "", DONE_NOT},
        {{0, 2, 1}, OWNER, "", S, 0, "", DONE_EXPANDED}, /* a list within an alias */
        {{0, 2, 1}, "", "", S | D, D, "rfc822;all@example.org", DONE_EXPANDED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char orcpt[ORCPT_MAX + 1];
        struct rcpt named = {.address = SPAN("all@example.org"),
                             .orcpt = span_of(rows[i].orcpt),
                             .notify = rows[i].asks};
        struct target to = {.address = SPAN("x@far.example"), .owner = span_of(rows[i].owner)};
        struct rcpt got = parties_behind(&named, &rows[i].all, &to, orcpt);
        cr_expect_eq(got.notify, rows[i].passes, "row %zu: %u", i, got.notify);
        cr_expect(span_eq(got.orcpt, span_of(rows[i].names)), "row %zu", i);
        cr_expect(span_eq(got.address, to.address), "row %zu", i);
        cr_expect_eq(parties_deed(&named, &rows[i].all), rows[i].deed, "row %zu", i);
    }
}

/* --- the way to the next server --- */

Test(parties, what_the_sender_asked_for_ends_at_a_list)
{
    begin("");
    w.envid = "QQ314";
    w.ret = RET_FULL;
    add_list("staff@example.org", NOTIFY_SUCCESS | NOTIFY_DELAY,
             (const char *const[]){OWNER ":x@far.example", OWNER ":y@far.example", NULL});
    add_list("away@example.org", NOTIFY_DELAY, (const char *const[]){"z@far.example", NULL});
    add_named("v@far.example", NOTIFY_SUCCESS);
    send_from(FROM);
    cr_assert_eq(w.n_jobs, 3);
    const struct world_job *list = &w.jobs[job_to("x@far.example")];
    cr_expect_eq(list->n, 2);
    cr_expect_str_eq(list->sender, OWNER);
    cr_expect(list->notify[0] == 0 && list->orcpt[0][0] == '\0' && list->envid[0] == '\0');
    cr_expect_eq(list->ret, RET_DEFAULT);
    const struct world_job *alias = &w.jobs[job_to("z@far.example")];
    cr_expect_str_eq(alias->sender, SRS);
    cr_expect_str_eq(alias->orcpt[0], "rfc822;away@example.org");
    cr_expect(alias->notify[0] == NOTIFY_DELAY && alias->ret == RET_FULL);
    cr_expect_str_eq(alias->envid, "QQ314");
    const struct world_job *named = &w.jobs[job_to("v@far.example")];
    cr_expect_str_eq(named->sender, FROM);
    cr_expect(named->notify[0] == NOTIFY_SUCCESS && strcmp(named->envid, "QQ314") == 0);
    world_end(&w);
}

/* Two owners whose turn is the same one, as turns are blind to case: each copy has its own. */
Test(parties, a_job_has_one_sender)
{
    begin("retry = 1m\n");
    add_list("staff@example.org", 0, (const char *const[]){OWNER ":x@far.example", NULL});
    add_list("crew@example.org", 0,
             (const char *const[]){"owner-STAFF@example.org:y@far.example", NULL});
    send_from(FROM);
    cr_assert_eq(w.n_jobs, 1);
    cr_expect_eq(w.jobs[0].n, 1);
    world_relay(&w, 0, VERDICT_OK, "250 ok");
    for (int i = 0; i < 5 && w.n_jobs < 2; i++)
        world_pass(&w, 100);
    cr_assert_eq(w.n_jobs, 2);
    cr_expect_str_eq(w.jobs[job_to("x@far.example")].sender, OWNER);
    cr_expect_str_eq(w.jobs[job_to("y@far.example")].sender, "owner-STAFF@example.org");
    world_end(&w);
}

Test(parties, a_null_sender_stays_null_whatever_sends_it_on)
{
    begin("");
    add_list("staff@example.org", 0, (const char *const[]){OWNER ":x@far.example", NULL});
    add_list("away@example.org", 0, (const char *const[]){"z@far.example", NULL});
    send_from("");
    for (size_t i = 0; i < w.n_jobs; i++)
        cr_expect_str_eq(w.jobs[i].sender, "");
    while (world_count(&w, "SELECT count(*) FROM recipient") > 0) {
        for (size_t i = 0; i < w.n_jobs; i++)
            world_relay(&w, i, VERDICT_NEVER, "550 no");
        world_pump(&w);
    }
    cr_expect_eq(w.n_asked, 0, "nobody is told");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_end(&w);
}

/* --- reports --- */

/* The list answers for itself, to who asked (RFC 3461 5.2.7.1). */
Test(parties, a_list_is_where_mail_is_delivered)
{
    begin("");
    w.envid = "QQ314";
    add_list("staff@example.org", NOTIFY_SUCCESS,
             (const char *const[]){OWNER ":x@far.example", OWNER ":y@far.example", NULL});
    send_from(FROM);
    world_relay(&w, 0, VERDICT_OK, "250 ok");
    char *text = report_to(0, FROM, 99);
    cr_expect(has(text, "Final-Recipient: rfc822; staff@example.org\r\nAction: delivered\r\n"));
    cr_expect(has(text, "Original-Envelope-Id: QQ314\r\n"));
    cr_expect_not(has(text, "x@far.example"));
    free(text);
    cr_expect_eq(w.n_asked, 1, "nobody is told of the members");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient"), 0);
    world_end(&w);
}

/* Whatever the sender asked, also NEVER: his members' failures are the owner's business, and his
 * report shows nothing of the sender's wishes. What the sender named himself is told to him. */
Test(parties, failures_go_to_the_owner_and_to_nobody_else)
{
    begin("");
    w.envid = "QQ314";
    w.ret = RET_FULL;
    add_list("staff@example.org", NOTIFY_NEVER,
             (const char *const[]){OWNER ":x@far.example", NULL});
    add_named("v@far.example", NOTIFY_FAILURE);
    send_from(FROM);
    cr_assert_eq(w.n_jobs, 2);
    world_relay(&w, job_to("x@far.example"), VERDICT_NEVER, "550 5.1.1 no x");
    world_relay(&w, job_to("v@far.example"), VERDICT_NEVER, "550 5.1.1 no v");
    cr_assert_eq(w.n_asked, 1);
    bool is_owner_first = strcmp(w.asked[0], OWNER) == 0;
    char *one = report_to(0, is_owner_first ? OWNER : FROM, 98);
    char *other = report_to(1, is_owner_first ? FROM : OWNER, 99);
    const char *to_owner = is_owner_first ? one : other, *to_sender = is_owner_first ? other : one;
    cr_expect(has(to_owner, "Final-Recipient: rfc822; x@far.example\r\nAction: failed\r\n"));
    cr_expect_not(has(to_owner, "v@far.example") || has(to_owner, "Original-Envelope-Id") ||
                  has(to_owner, "Original-Recipient") || has(to_owner, "the text"));
    cr_expect(has(to_sender, "Final-Recipient: rfc822; v@far.example\r\nAction: failed\r\n"));
    cr_expect(has(to_sender, "Original-Envelope-Id: QQ314\r\n") && has(to_sender, "the text"));
    cr_expect_not(has(to_sender, "x@far.example"));
    free(one);
    free(other);
    cr_expect_eq(w.n_asked, 2);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient"), 0);
    world_end(&w);
}

/* Not even when his own mailbox, or his list, is behind his name: a report has a null sender. */
Test(parties, an_owner_who_cannot_be_reached_ends_it)
{
    begin("");
    add_list("staff@example.org", 0, (const char *const[]){OWNER ":x@far.example", NULL});
    send_from(FROM);
    world_relay(&w, 0, VERDICT_NEVER, "550 no");
    cr_assert_eq(w.n_asked, 1);
    world_resolve_list(&w, 0, (const char *const[]){OWNER ":x@far.example", "y@far.example", NULL});
    cr_assert_geq(w.n_jobs, 2);
    for (size_t i = 1; i < w.n_jobs; i++) {
        cr_expect_str_eq(w.jobs[i].sender, "");
        world_relay(&w, i, VERDICT_NEVER, "550 no");
    }
    cr_expect_eq(w.n_asked, 1);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_end(&w);
}

Test(parties, an_owner_who_is_nobody_ends_it)
{
    begin("");
    add_list("staff@example.org", 0, (const char *const[]){OWNER ":x@far.example", NULL});
    send_from(FROM);
    world_relay(&w, 0, VERDICT_NEVER, "550 no");
    world_resolve(&w, 0, ADDRESS_UNKNOWN, 0);
    cr_expect_eq(w.n_asked, 1);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    world_end(&w);
}

/* --- warnings --- */

static void let_it_wait(int64_t seconds)
{
    size_t known = w.n_jobs;
    world_pass(&w, seconds);
    for (size_t i = known; i < w.n_jobs; i++)
        world_relay(&w, i, VERDICT_TRY_LATER, "450 4.2.0 later");
    world_pump(&w);
}

/* Of members of a list that wait nobody is told, and the sender's warning is not used up. */
Test(parties, warnings_are_for_the_sender_about_what_he_named)
{
    begin("retry = 10m\ndelay_warning = 15m\n"
          "[route far.example]\nto = smtp://10.0.0.1:25\ndelay_warning = 5m\n");
    add_list("staff@example.org", NOTIFY_DELAY,
             (const char *const[]){OWNER ":x@far.example", NULL});
    add_named("v@near.example", NOTIFY_DELAY);
    send_from(FROM);
    for (size_t i = 0; i < 2; i++)
        world_relay(&w, i, VERDICT_TRY_LATER, "450 4.2.0 later");
    let_it_wait(700);
    cr_expect_eq(w.n_asked, 0, "the member is late, and v is not yet");
    let_it_wait(700);
    char *text = report_to(0, FROM, 99);
    cr_expect(has(text, "Final-Recipient: rfc822; v@near.example\r\nAction: delayed\r\n"));
    cr_expect_not(has(text, "x@far.example"));
    free(text);
    let_it_wait(700);
    cr_expect_eq(w.n_asked, 1);
    world_end(&w);
}

/* --- what was held, and goes to a list when its time has come --- */

Test(parties, late_members)
{
    world_begin(&w, "");
    p = packer_on(room, sizeof room);
    struct rcpt r = {.address = SPAN("staff@example.org"), .notify = NOTIFY_SUCCESS};
    world_rcpt_asking(&p, &r, (uint64_t[]){17, 0}, (const char *const[]){NULL});
    w.hold_until = WORLD_START_S + 3600;
    world_send(&w, "alice@example.org", packer_span(&p), CONTENT);
    world_pump(&w);
    world_ticket(&w, VERDICT_OK, TICKET_GOOD);
    world_pump(&w);
    world_pass(&w, 3700);
    cr_assert_eq(w.n_asked, 1);
    world_resolve_list(&w, 0, (const char *const[]){OWNER ":x@far.example", NULL});
    for (int i = 0; i < 5 && w.n_jobs < 1; i++)
        world_pass(&w, 10);
    cr_assert_eq(w.n_jobs, 1);
    cr_expect_str_eq(w.jobs[0].sender, OWNER);
    cr_expect_eq(w.jobs[0].notify[0], 0);
    world_relay(&w, 0, VERDICT_NEVER, "550 no");
    cr_assert_eq(w.n_asked, 2, "one report at a time");
    bool is_owner_first = strcmp(w.asked[1], OWNER) == 0;
    char *one = report_to(1, is_owner_first ? OWNER : "alice@example.org", 98);
    char *other = report_to(2, is_owner_first ? "alice@example.org" : OWNER, 99);
    const char *to_sender = is_owner_first ? other : one;
    const char *to_owner = is_owner_first ? one : other;
    cr_expect(
        has(to_sender, "Final-Recipient: rfc822; staff@example.org\r\nAction: delivered\r\n"));
    cr_expect_not(has(to_sender, "x@far.example"));
    cr_expect(has(to_sender, "Future-Release-Request") && !has(to_owner, "Future-Release-Request"));
    cr_expect(has(to_owner, "Final-Recipient: rfc822; x@far.example\r\nAction: failed\r\n"));
    free(one);
    free(other);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM recipient"), 0);
    world_end(&w);
}
