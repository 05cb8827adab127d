/* Logins, grants, removed boxes and commands, with the peers played by the test. */
#include "tests/unit/authd/fakeproc.h"

#include "common/clock.h"

#include <criterion/criterion.h>
#include <sys/socket.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void begin_with(const char *settings)
{
    fake_begin(settings);
    fake_must("domain add", ARGS("example.org"), "");
    fake_must("user add", ARGS("alice@example.org"), "secret");
}

static void begin(void)
{
    begin_with("[auth]\nfailures_per_address = 3/10m\nfailure_delay = 50ms\n"
               "scram_iterations = 4096\n");
}

TestSuite(authd, .init = begin, .fini = fake_end, .timeout = 30);

static void noted(void *arg, const union msg *m, int fd)
{
    struct heard *h = arg;
    h->type = MSG_LOGIN_RE;
    h->fd = fd;
    h->verdict = m != NULL ? m->login_re.verdict : VERDICT_TRY_LATER;
    h->reason = m != NULL ? m->login_re.reason : UINT8_MAX;
    if (m != NULL)
        span_copy(h->text, sizeof h->text, m->login_re.address);
}

static void send_login(struct ipc *ch, const char *user, const char *password, struct heard *out)
{
    struct msg_login m = {.service = SERVICE_POP3,
                          .session = 77,
                          .client = SPAN("192.0.2.9"),
                          .user = span_of(user),
                          .password = span_of(password)};
    *out = (struct heard){.type = MSG_NONE, .fd = -1};
    cr_assert_neq(ipc_ask_login(ch, &m, -1, 10000, noted, out), 0);
}

static void wait_for(const struct heard *h)
{
    for (int i = 0; i < 1000 && h->type == MSG_NONE; i++)
        loop_turn(fake_authd()->proc != NULL ? proc_loop(fake_authd()->proc) : NULL, 10);
    cr_assert_eq(h->type, MSG_LOGIN_RE, "no answer");
}

static struct heard login(struct ipc *ch, const char *user, const char *password)
{
    struct heard h;
    send_login(ch, user, password, &h);
    wait_for(&h);
    return h;
}

static void expect_login(struct ipc *ch, const char *user, const char *password,
                         enum login_reason reason)
{
    static const enum verdict verdicts[] = {[LOGIN_OK] = VERDICT_OK,
                                            [LOGIN_WRONG] = VERDICT_NEVER,
                                            [LOGIN_THROTTLED] = VERDICT_TRY_LATER,
                                            [LOGIN_DISABLED] = VERDICT_NEVER,
                                            [LOGIN_BUSY] = VERDICT_TRY_LATER};
    struct heard h = login(ch, user, password);
    cr_expect_eq(h.reason, reason, "%s %s: %d", user, password, h.reason);
    cr_expect_eq(h.verdict, verdicts[reason]);
    cr_expect_eq(h.fd >= 0, reason == LOGIN_OK);
    if (h.fd >= 0)
        close(h.fd);
}

Test(authd, a_login_is_a_channel_to_that_mailbox)
{
    struct ipc *pop3d = fake_connect(ROLE_POP3D);
    fake_connect(ROLE_MAILBOX);
    struct heard re = login(pop3d, "Alice@Example.org", "secret"), grant;
    cr_assert_eq(re.verdict, VERDICT_OK);
    cr_expect_str_eq(re.text, "alice@example.org");
    cr_assert(fake_hear(ROLE_MAILBOX, &grant));
    cr_expect_eq(grant.type, MSG_BOX_GRANT);
    cr_expect_eq(grant.box, 1);
    cr_expect_str_eq(grant.text, "alice@example.org");
    char octet = 0;
    cr_assert_eq(send(grant.fd, "x", 1, 0), 1);
    cr_expect(recv(re.fd, &octet, 1, MSG_DONTWAIT) == 1 && octet == 'x', "the two ends are one");
    close(re.fd);
    cr_expect_eq(recv(grant.fd, &octet, 1, MSG_DONTWAIT), 0, "authd keeps no end");
    close(grant.fd);
    cr_expect(fake_authd()->directory->users.n == 1 && fake_authd()->n_logins == 0);
}

Test(authd, refusals)
{
    struct ipc *pop3d = fake_connect(ROLE_POP3D);
    expect_login(pop3d, "alice", "secret", LOGIN_BUSY); /* mailbox is away */
    fake_connect(ROLE_MAILBOX);
    expect_login(pop3d, "alice", "secret", LOGIN_OK); /* without a domain: the default one */
    int64_t before = clock_mono_ms();
    expect_login(pop3d, "alice@example.org", "wrong", LOGIN_WRONG);
    cr_expect_geq(clock_mono_ms() - before, 50);
    fake_must("user disable", ARGS("alice@example.org"), "");
    expect_login(pop3d, "alice@example.org", "secret", LOGIN_DISABLED);
    fake_must("user enable", ARGS("alice@example.org"), "");
    expect_login(pop3d, "nobody@example.org", "secret", LOGIN_WRONG);
    expect_login(pop3d, "not an address", "", LOGIN_WRONG);
    expect_login(pop3d, "alice@example.org", "secret", LOGIN_THROTTLED); /* seen or not */
}

Test(authd, guesses_sent_all_at_once_are_not_all_looked_at)
{
    enum { N = 40 };
    struct heard h[N];
    unsigned counts[LOGIN_BUSY + 1] = {0};
    struct ipc *pop3d = fake_connect(ROLE_POP3D);
    fake_connect(ROLE_MAILBOX);
    for (int i = 0; i < N; i++)
        send_login(pop3d, "alice@example.org", i == N - 1 ? "secret" : "guess", &h[i]);
    for (int i = 0; i < N; i++) {
        wait_for(&h[i]);
        cr_assert_leq(h[i].reason, LOGIN_BUSY);
        counts[h[i].reason]++;
    }
    cr_expect_eq(counts[LOGIN_OK], 0);
    cr_expect_leq(counts[LOGIN_WRONG], 3 + 1, "%u", counts[LOGIN_WRONG]);
    cr_expect_eq(counts[LOGIN_THROTTLED] + counts[LOGIN_WRONG], N);
}

Test(authd, what_was_cached_ends_with_the_password)
{
    struct ipc *pop3d = fake_connect(ROLE_POP3D);
    fake_connect(ROLE_MAILBOX);
    expect_login(pop3d, "alice@example.org", "secret", LOGIN_OK);
    fake_must("user passwd", ARGS("alice@example.org"), "other");
    expect_login(pop3d, "alice@example.org", "secret", LOGIN_WRONG);
    expect_login(pop3d, "alice@example.org", "other", LOGIN_OK);
    fake_must("user remove", ARGS("alice@example.org"), "");
    expect_login(pop3d, "alice@example.org", "other", LOGIN_WRONG);
    fake_must("user add", ARGS("alice@example.org"), "third");
    expect_login(pop3d, "alice@example.org", "other", LOGIN_WRONG);
}

Test(authd, who_hangs_up_while_waiting_is_forgotten)
{
    struct heard h[3];
    struct ipc *pop3d = fake_connect(ROLE_POP3D);
    fake_connect(ROLE_MAILBOX);
    send_login(pop3d, "alice@example.org", "secret", &h[0]);
    send_login(pop3d, "alice@example.org", "wrong", &h[1]);
    send_login(pop3d, "nobody@example.org", "wrong", &h[2]);
    loop_turn(proc_loop(fake_authd()->proc), 10);
    fake_disconnect(ROLE_POP3D);
    for (int i = 0; i < 500 && fake_authd()->n_logins > 0; i++)
        loop_turn(proc_loop(fake_authd()->proc), 10);
    cr_expect_eq(fake_authd()->n_logins, 0);
    cr_expect_null(fake_authd()->logins);
    pop3d = fake_connect(ROLE_POP3D);
    expect_login(pop3d, "alice@example.org", "secret", LOGIN_OK);
}

Test(authd, a_service_is_for_its_process)
{
    struct ipc *smtpd = fake_connect(ROLE_SMTPD);
    fake_connect(ROLE_MAILBOX);
    expect_login(smtpd, "alice@example.org", "secret", LOGIN_BUSY);
}

/* --- submission: tickets --- */

struct asked {
    bool is_answered;
    enum verdict verdict;
    enum login_reason reason;
    enum ticket_reason ticket_reason;
    char ticket[TICKET_OCTETS];
    size_t n_ticket;
    char login[ADDRESS_MAX];
};

static void turn_until(const bool *is_done)
{
    for (int i = 0; i < 1000 && !*is_done; i++)
        loop_turn(proc_loop(fake_authd()->proc), 10);
    cr_assert(*is_done, "no answer");
}

static void logged_in(void *arg, const union msg *m, int fd)
{
    struct asked *a = arg;
    cr_assert(m != NULL && fd < 0);
    a->is_answered = true;
    a->verdict = m->login_re.verdict;
    a->reason = m->login_re.reason;
    a->n_ticket = m->login_re.ticket.n;
    if (a->n_ticket > 0)
        memcpy(a->ticket, m->login_re.ticket.p, a->n_ticket);
}

static struct asked submit(struct ipc *smtpd, uint64_t session, const char *password)
{
    struct asked a = {0};
    struct msg_login m = {.service = SERVICE_SUBMISSION,
                          .session = session,
                          .client = SPAN("192.0.2.9"),
                          .user = SPAN("alice@example.org"),
                          .password = span_of(password)};
    cr_assert_neq(ipc_ask_login(smtpd, &m, -1, 10000, logged_in, &a), 0);
    turn_until(&a.is_answered);
    return a;
}

static void redeemed(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct asked *a = arg;
    cr_assert_not_null(m);
    a->is_answered = true;
    a->verdict = m->ticket_re.verdict;
    a->ticket_reason = m->ticket_re.reason;
    span_copy(a->login, sizeof a->login, m->ticket_re.login);
}

static struct asked redeem(struct ipc *ch, struct msg_ticket m)
{
    struct asked a = {0};
    cr_assert_neq(ipc_ask_ticket(ch, &m, -1, 10000, redeemed, &a), 0);
    turn_until(&a.is_answered);
    return a;
}

static struct msg_ticket ticket_of(const struct asked *login, uint64_t session, const char *sender)
{
    cr_assert_eq(login->n_ticket, TICKET_OCTETS);
    return (struct msg_ticket){
        .ticket = {login->ticket, login->n_ticket}, .session = session, .sender = span_of(sender)};
}

Test(authd, a_ticket_proves_a_login_to_queue)
{
    static const struct {
        const char *sender;
        enum ticket_reason reason;
    } rows[] = {{"alice@example.org", TICKET_GOOD},
                {"Alice+tag@Example.ORG", TICKET_GOOD},
                {"", TICKET_GOOD},
                {"info@example.org", TICKET_GOOD},
                {"bob@example.org", TICKET_SENDER},
                {"alice@example.net", TICKET_SENDER},
                {"nobody@example.org", TICKET_SENDER},
                {"his@example.org", TICKET_SENDER}};
    fake_must("user add", ARGS("bob@example.org"), "x");
    fake_must("alias add", ARGS("info@example.org", "bob@example.org", "alice@example.org"), "");
    fake_must("alias add", ARGS("his@example.org", "bob@example.org"), "");
    struct ipc *smtpd = fake_connect(ROLE_SMTPD), *queue = fake_connect(ROLE_QUEUE);
    struct asked login = submit(smtpd, 77, "secret");
    cr_expect(login.verdict == VERDICT_OK && login.n_ticket == TICKET_OCTETS);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct asked a = redeem(i % 2 == 0 ? queue : smtpd, ticket_of(&login, 77, rows[i].sender));
        cr_expect_eq(a.ticket_reason, rows[i].reason, "%s", rows[i].sender);
        cr_expect_eq(a.verdict, a.ticket_reason == TICKET_GOOD ? VERDICT_OK : VERDICT_NEVER);
        cr_expect_str_eq(a.login, a.ticket_reason == TICKET_GOOD ? "alice@example.org" : "");
    }
    cr_expect_eq(submit(smtpd, 78, "wrong").n_ticket, 0);
}

static void expect_gone(struct ipc *ch, struct msg_ticket m)
{
    struct asked a = redeem(ch, m);
    cr_expect(a.verdict == VERDICT_TRY_LATER && a.ticket_reason == TICKET_GONE);
    cr_expect_str_eq(a.login, "");
}

Test(authd, tickets_of_others_are_worth_nothing)
{
    struct ipc *smtpd = fake_connect(ROLE_SMTPD), *queue = fake_connect(ROLE_QUEUE);
    struct asked login = submit(smtpd, 77, "secret"), other = submit(smtpd, 78, "secret");
    struct msg_ticket good = ticket_of(&login, 77, "alice@example.org"), m = good;
    cr_expect(memcmp(login.ticket, other.ticket, TICKET_OCTETS) != 0);
    expect_gone(queue, ticket_of(&login, 78, "alice@example.org")); /* of another session */
    m.instance = 1;                                                 /* of another smtpd */
    expect_gone(queue, m);
    m = good;
    m.ticket = SPAN("0123456789abcdef"); /* invented */
    expect_gone(queue, m);
    m.ticket = (struct span){login.ticket, TICKET_OCTETS - 1};
    expect_gone(queue, m);
    m.ticket = SPAN("");
    expect_gone(queue, m);
    cr_expect_eq(redeem(queue, good).verdict, VERDICT_OK);
}

Test(authd, a_ticket_ends_with_its_session)
{
    struct ipc *smtpd = fake_connect(ROLE_SMTPD), *queue = fake_connect(ROLE_QUEUE);
    struct asked login = submit(smtpd, 77, "secret"), other = submit(smtpd, 78, "secret");
    struct msg_ticket m = ticket_of(&login, 77, ""), second = ticket_of(&other, 78, "");
    cr_assert_eq(ipc_send_logout(smtpd, &(struct msg_logout){77}, -1), 0);
    cr_expect_eq(redeem(smtpd, second).verdict, VERDICT_OK);
    expect_gone(queue, m);
    clock_fake(clock_mono_ms() + TICKET_TTL_MS, clock_wall_ms());
    expect_gone(queue, second);
    clock_fake(-1, -1);
    cr_expect_eq(redeem(queue, second).verdict, VERDICT_OK);
    fake_must("user disable", ARGS("alice@example.org"), "");
    expect_gone(queue, second);
    fake_must("user enable", ARGS("alice@example.org"), "");
    fake_must("user passwd", ARGS("alice@example.org"), "other");
    expect_gone(queue, second);
    login = submit(smtpd, 79, "other");
    fake_disconnect(ROLE_SMTPD);
    expect_gone(queue, ticket_of(&login, 79, ""));
    cr_expect_eq(tickets_count(fake_authd()->tickets), 0);
}

Test(authd, a_session_that_ends_before_the_answer_leaves_no_ticket)
{
    struct ipc *smtpd = fake_connect(ROLE_SMTPD);
    struct asked a = {0};
    struct msg_login m = {.service = SERVICE_SUBMISSION,
                          .session = 80,
                          .client = SPAN("192.0.2.9"),
                          .user = SPAN("alice@example.org"),
                          .password = SPAN("secret")};
    uint64_t tag = ipc_ask_login(smtpd, &m, -1, 10000, logged_in, &a);
    ipc_cancel(smtpd, tag);
    cr_assert_eq(ipc_send_logout(smtpd, &(struct msg_logout){80}, -1), 0);
    for (int i = 0; i < 500 && (i < 3 || fake_authd()->n_logins > 0); i++)
        loop_turn(proc_loop(fake_authd()->proc), 10);
    cr_expect_eq(fake_authd()->n_logins, 0);
    cr_expect_eq(tickets_count(fake_authd()->tickets), 0);
}

static void resolved(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct heard *h = arg;
    cr_assert_not_null(m);
    h->type = MSG_RESOLVE_RE;
    h->kind = m->resolve_re.kind;
    h->verdict = m->resolve_re.verdict;
    h->n_sealed = m->resolve_re.sealed.n;
    h->reason = m->resolve_re.is_return;
}

Test(authd, resolves)
{
    struct ipc *smtpd = fake_connect(ROLE_SMTPD);
    static const struct {
        const char *address;
        enum address_kind kind;
    } rows[] = {{"alice@example.org", ADDRESS_LOCAL},
                {"carol@example.org", ADDRESS_UNKNOWN},
                {"carol@example.net", ADDRESS_FOREIGN}};
    for (size_t i = 0; i < 3; i++) {
        struct heard h = {.type = MSG_NONE};
        struct msg_resolve m = {.address = span_of(rows[i].address)};
        cr_assert_neq(ipc_ask_resolve(smtpd, &m, -1, 1000, resolved, &h), 0);
        for (int turn = 0; turn < 100 && h.type == MSG_NONE; turn++)
            loop_turn(proc_loop(fake_authd()->proc), 10);
        cr_expect(h.kind == rows[i].kind && h.verdict == VERDICT_OK, "%s", rows[i].address);
        cr_expect_eq(h.n_sealed > 0, rows[i].kind == ADDRESS_LOCAL);
    }
}

static void domain_told(void *arg, const union msg *m, int fd)
{
    (void)fd;
    cr_assert_not_null(m);
    *(struct msg_box_domain_re *)arg = m->box_domain_re;
}

static struct msg_box_domain_re domain_of(struct ipc *queue, uint64_t box)
{
    struct msg_box_domain_re re = {.verdict = 99};
    struct msg_box_domain m = {.box = box};
    cr_assert_neq(ipc_ask_box_domain(queue, &m, -1, 1000, domain_told, &re), 0);
    for (int turn = 0; turn < 100 && re.verdict == 99; turn++)
        loop_turn(proc_loop(fake_authd()->proc), 10);
    return re;
}

static char forward_text[ADDRESS_MAX];

static void forwarded(void *arg, const union msg *m, int fd)
{
    (void)fd;
    *(bool *)arg = true;
    cr_assert_not_null(m);
    cr_assert_eq(m->forward_re.verdict, VERDICT_OK);
    cr_assert_eq(span_copy(forward_text, sizeof forward_text, m->forward_re.sender), 0);
}

static const char *forward(struct ipc *queue, const char *sender, const char *rcpt)
{
    bool is_done = false;
    struct msg_forward m = {.sender = span_of(sender), .rcpt = span_of(rcpt)};
    cr_assert_neq(ipc_ask_forward(queue, &m, -1, 1000, forwarded, &is_done), 0);
    for (int turn = 0; turn < 100 && !is_done; turn++)
        loop_turn(proc_loop(fake_authd()->proc), 10);
    cr_assert(is_done);
    return forward_text;
}

static bool ends(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

Test(authd, gives_forwarded_mail_a_sender_of_ours)
{
    fake_must("domain add", ARGS("second.example"), "");
    struct ipc *queue = fake_connect(ROLE_QUEUE);
    struct heard h = {.type = MSG_NONE};
    cr_expect(ends(forward(queue, "bob@far.example", "x@example.org"), "=bob@example.org"));
    cr_expect(ends(forward(queue, "bob@far.example", "x@second.example"), "=bob@second.example"));
    cr_expect(ends(forward(queue, "bob@far.example", "postmaster"), "=bob@example.org"));
    cr_expect_str_eq(forward(queue, "alice@example.org", "x@example.org"), "alice@example.org");
    cr_expect_str_eq(forward(queue, "a@second.example", "x@example.org"), "a@second.example");
    cr_expect_str_eq(forward(queue, "", "x@example.org"), "");
    char made[ADDRESS_MAX];
    cr_assert_eq(
        span_copy(made, sizeof made, span_of(forward(queue, "Bob@far.example", "x@example.org"))),
        0);
    struct ipc *smtpd = fake_connect(ROLE_SMTPD);
    struct msg_resolve m = {.address = span_of(made)};
    cr_assert_neq(ipc_ask_resolve(smtpd, &m, -1, 1000, resolved, &h), 0);
    for (int turn = 0; turn < 100 && h.type == MSG_NONE; turn++)
        loop_turn(proc_loop(fake_authd()->proc), 10);
    cr_expect(h.kind == ADDRESS_LOCAL && h.n_sealed > 0 && h.reason == 1, "%s", made);
}

Test(authd, the_domain_of_a_mailbox_is_told)
{
    fake_must("domain add", ARGS("second.example"), "");
    fake_must("user add", ARGS("bob@second.example"), "secret");
    struct ipc *queue = fake_connect(ROLE_QUEUE);
    struct msg_box_domain_re alice = domain_of(queue, 1), bob = domain_of(queue, 2);
    cr_expect(alice.verdict == VERDICT_OK && alice.domain > 0);
    cr_expect(bob.verdict == VERDICT_OK && bob.domain > 0 && bob.domain != alice.domain);
    cr_expect_eq(domain_of(queue, 3).verdict, VERDICT_NEVER);
    cr_expect_eq(domain_of(queue, UINT64_MAX).verdict, VERDICT_NEVER);
    fake_must("domain show", ARGS("Second.example"), "");
}

static void acknowledge(struct ipc *queue, uint64_t tag, enum verdict v)
{
    struct msg_box_forget_re re = {.tag = tag, .verdict = (uint8_t)v};
    cr_assert_eq(ipc_send_box_forget_re(queue, &re, -1), 0);
}

Test(authd, removed_boxes_are_told_until_they_are_gone)
{
    struct heard h;
    fake_must("user add", ARGS("bob@example.org"), "secret");
    fake_must("user remove", ARGS("alice@example.org"), "");
    fake_must("user remove", ARGS("bob@example.org"), "");
    struct ipc *queue = fake_connect(ROLE_QUEUE);
    cr_assert(fake_hear(ROLE_QUEUE, &h) && h.type == MSG_SEAL_KEY);
    cr_assert(fake_hear(ROLE_QUEUE, &h) && h.type == MSG_BOX_FORGET && h.box == 1);
    cr_expect_str_eq(h.text, "alice@example.org");
    acknowledge(queue, h.tag, VERDICT_TRY_LATER);
    cr_assert(fake_hear(ROLE_QUEUE, &h) && h.type == MSG_BOX_FORGET && h.box == 2,
              "one that is refused does not stop the next");
    acknowledge(queue, h.tag, VERDICT_TRY_LATER);
    cr_expect(fake_hears_nothing(ROLE_QUEUE, 50), "not in a tight loop");
    fake_disconnect(ROLE_QUEUE);
    queue = fake_connect(ROLE_QUEUE);
    cr_assert(fake_hear(ROLE_QUEUE, &h) && h.type == MSG_SEAL_KEY);
    cr_assert(fake_hear(ROLE_QUEUE, &h) && h.type == MSG_BOX_FORGET && h.box == 1);
    fake_disconnect(ROLE_QUEUE); /* with the question open */
    queue = fake_connect(ROLE_QUEUE);
    cr_assert(fake_hear(ROLE_QUEUE, &h) && fake_hear(ROLE_QUEUE, &h));
    cr_assert(h.type == MSG_BOX_FORGET && h.box == 1);
    acknowledge(queue, h.tag, VERDICT_OK);
    cr_assert(fake_hear(ROLE_QUEUE, &h) && h.type == MSG_BOX_FORGET && h.box == 2);
    acknowledge(queue, h.tag, VERDICT_OK);
    cr_expect(fake_hears_nothing(ROLE_QUEUE, 50));
    uint64_t box;
    char address[ADDRESS_MAX + 1];
    cr_expect_eq(users_next_forgotten(fake_authd()->users, 0, &box, address), 0);
}

Test(authd, commands_refuse_clearly)
{
    fake_must("alias add", ARGS("info@example.org", "alice@example.org", "x@example.net"), "");
    fake_must("alias add", ARGS("list@example.org", "info@example.org"), "");
    const struct {
        const char *command;
        const char *const *args;
        const char *secret, *word;
    } rows[] = {
        {"domain add", ARGS("example.org"), "", "already"},
        {"domain add", ARGS("exa mple"), "", "not a domain name"},
        {"domain add", ARGS("x.example", "postmaster=nobody"), "", "not an address"},
        {"domain add", ARGS("x.example", "postmaster=postmaster@x.example"), "", "own address"},
        {"domain remove", ARGS("example.org"), "", "users (1) or aliases (2)"},
        {"domain remove", ARGS("y.example"), "", "not a local domain"},
        {"user add", ARGS("alice@example.org"), "x", "exists already"},
        {"user add", ARGS("info@example.org"), "x", "is an alias"},
        {"user add", ARGS("bob@example.org"), "", "empty"},
        {"user add", ARGS("bob@example.org"), "a\nb", "line break"},
        {"user add", ARGS("bob@y.example"), "x", "barid domain add y.example"},
        {"user add", ARGS("@example.org"), "x", "not an address"},
        {"user add", ARGS("bob@example.org", "quota=1X"), "x", "not a size"},
        {"user add", ARGS("bob@example.org", "quota=9999999999G"), "x", "not a size"},
        {"user passwd", ARGS("bob@example.org"), "x", "no user"},
        {"user quota", ARGS("alice@example.org", "0"), "", "not a size"},
        {"user show", ARGS("\"'\x01;--\"@example.org"), "", "not an address"},
        {"alias add", ARGS("a@example.org", "bad"), "", "not an address"},
        {"alias add", ARGS("alice@example.org", "x@example.net"), "", "is a user"},
        {"alias add", ARGS("a@y.example", "x@example.net"), "", "not a local domain"},
        {"alias add", ARGS("info@example.org", "list@example.org"), "", "back to itself"},
        {"alias add", ARGS("new@example.org", "new@example.org"), "", "back to itself"},
        {"alias remove", ARGS("info@example.org", "y@example.net"), "", "has no target"},
        {"alias remove", ARGS("nothing@example.org"), "", "no alias"},
        {"no such command", NULL, "", "unknown command"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct heard h = fake_admin(rows[i].command, rows[i].args, rows[i].secret);
        cr_expect_eq(h.verdict, VERDICT_NEVER, "row %zu", i);
        cr_expect_not_null(strstr(h.text, rows[i].word), "row %zu: %s", i, h.text);
    }
    const struct directory *d = fake_authd()->directory;
    cr_expect(d->domains.n == 1 && d->users.n == 1 && d->aliases.n == 2, "nothing was changed");
    cr_expect_eq(directory_alias(d, SPAN("info@example.org"))->n_targets, 2);
}

Test(authd, an_alias_that_fits_no_seal_is_refused_where_it_grows)
{
    char target[200];
    fake_must("alias add", ARGS("all@example.org", "big@example.org"), "");
    struct heard h = {.verdict = VERDICT_OK};
    int n = 0;
    for (; n < 200 && h.verdict == VERDICT_OK; n++) {
        snprintf(target, sizeof target, "%050d@%050d.%050d.example", n, n, n);
        h = fake_admin("alias add", ARGS("big@example.org", target), "");
    }
    cr_expect_eq(h.verdict, VERDICT_NEVER);
    cr_expect_not_null(strstr(h.text, "too many targets"), "%s", h.text);
    const struct alias *big = directory_alias(fake_authd()->directory, SPAN("big@example.org"));
    cr_expect_eq(big->n_targets, (size_t)n - 1);
}

/* The owner of a list stands in its seal, whether he is an alias or a user. */
Test(authd, an_owner_who_fits_no_seal_is_refused)
{
    static char list[] = "all-of-those-who-work-in-this-large-house@example.org";
    static char owner[] = "owner-all-of-those-who-work-in-this-large-house@example.org";
    char target[200];
    struct heard h = {.verdict = VERDICT_OK};
    for (int n = 0; n < 200 && h.verdict == VERDICT_OK; n++) {
        snprintf(target, sizeof target, "%050d@%050d.%050d.example", n, n, n);
        h = fake_admin("alias add", ARGS(list, target), "");
    }
    for (int n = 100; n > 0; n--) { /* until there is no room for the shortest */
        snprintf(target, sizeof target, "%0*d@x.example", n, n);
        fake_admin("alias add", ARGS(list, target), "");
    }
    h = fake_admin("user add", ARGS(owner), "secret");
    cr_expect_eq(h.verdict, VERDICT_NEVER);
    cr_expect_not_null(strstr(h.text, "-house@example.org has too many targets"), "%s", h.text);
    cr_expect_null(directory_user(fake_authd()->directory, span_of(owner)));
    fake_must("alias remove", ARGS(list), "");
    fake_must("alias add", ARGS(list, "x@y.example"), "");
    fake_must("user add", ARGS(owner), "secret");
    cr_expect_neq(directory_user(fake_authd()->directory, span_of(owner))->box, 0);
}

Test(authd, a_cli_that_hangs_up_adds_nobody)
{
    struct msg_admin m = {.command = SPAN("user add"), .secret = SPAN("secret")};
    char octets[100];
    struct packer w = packer_on(octets, sizeof octets);
    struct heard h;
    pack_bytes(&w, SPAN("bob@example.org"));
    m.args = packer_span(&w);
    struct ipc *cli = fake_connect(ROLE_CLI);
    cr_assert_neq(ipc_ask_admin(cli, &m, -1, 1000, noted, &h), 0);
    loop_turn(proc_loop(fake_authd()->proc), 10);
    fake_disconnect(ROLE_CLI);
    for (int i = 0; i < 500 && fake_authd()->hashings != NULL; i++)
        loop_turn(proc_loop(fake_authd()->proc), 10);
    cr_expect_null(fake_authd()->hashings);
    cr_expect_eq(fake_authd()->directory->users.n, 1);
}

Test(authd, check_says_what_leads_nowhere)
{
    struct heard h = fake_admin("check", NULL, "");
    cr_expect_str_eq(h.text, "users.db");
    fake_must("alias add", ARGS("postmaster@example.org", "alice@example.org"), "");
    h = fake_admin("check", NULL, "");
    cr_expect_str_eq(h.text, "", "all is well");
    fake_must("user remove", ARGS("alice@example.org"), "");
    h = fake_admin("check", NULL, "");
    cr_expect_str_eq(h.text, "users.db");
}

static void tell_done(struct ipc *queue, uint64_t tag, enum verdict v)
{
    struct msg_box_devices_re re = {.tag = tag, .verdict = (uint8_t)v};
    cr_assert_eq(ipc_send_box_devices_re(queue, &re, -1), 0);
}

Test(authd, devices_are_told_until_queue_has_them)
{
    struct heard h;
    fake_must("user app-password add", ARGS("alice@example.org", "mail"), "");
    fake_must("user app-password add", ARGS("alice@example.org", "phone", "device=yes"), "");
    fake_must("user app-password add", ARGS("alice@example.org", "pc", "device=yes"), "");
    struct ipc *queue = fake_connect(ROLE_QUEUE);
    cr_assert(fake_hear(ROLE_QUEUE, &h) && h.type == MSG_SEAL_KEY);
    cr_assert(fake_hear(ROLE_QUEUE, &h) && h.type == MSG_BOX_DEVICES && h.box == 1);
    cr_assert_eq(h.device, 2 + 3, "only devices");
    tell_done(queue, h.tag, VERDICT_TRY_LATER);
    cr_expect(fake_hears_nothing(ROLE_QUEUE, 50), "not in a tight loop");
    fake_must("user app-password remove", ARGS("alice@example.org", "pc"), "");
    cr_assert(fake_hear(ROLE_QUEUE, &h) && h.type == MSG_BOX_DEVICES && h.device == 2);
    fake_must("user app-password add", ARGS("alice@example.org", "tablet", "device=yes"), "");
    tell_done(queue, h.tag, VERDICT_OK); /* of what is not the newest any more */
    cr_assert(fake_hear(ROLE_QUEUE, &h) && h.type == MSG_BOX_DEVICES && h.device == 2 + 4);
    tell_done(queue, h.tag, VERDICT_OK);
    cr_expect(fake_hears_nothing(ROLE_QUEUE, 50));
    fake_disconnect(ROLE_QUEUE);
    fake_connect(ROLE_QUEUE);
    cr_assert(fake_hear(ROLE_QUEUE, &h) && h.type == MSG_SEAL_KEY);
    cr_expect(fake_hears_nothing(ROLE_QUEUE, 50), "it knows all");
}
