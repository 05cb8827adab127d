/* SCRAM from end to end, with a client written after RFC 5802; app passwords. */
#include "tests/unit/authd/fakeproc.h"

#include "common/clock.h"

#include <criterion/criterion.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void begin(void)
{
    fake_begin("[auth]\nfailures_per_address = 5/10m\nfailure_delay = 20ms\n"
               "scram_iterations = 4096\n");
    fake_must("domain add", ARGS("example.org"), "");
    fake_must("user add", ARGS("alice@example.org"), "secret");
}

TestSuite(exchange, .init = begin, .fini = fake_end, .timeout = 30);

struct client {
    const char *header, *user, *password; /* header: "n,,", "p=tls-exporter,," */
    const char *channel;                  /* what the client binds to */
    bool is_plus, can_bind;
    /* what came */
    bool is_answered;
    enum verdict verdict;
    enum login_reason reason;
    char text[2100], proof[SCRAM_PROOF_TEXT];
    bool is_proved; /* the server knows the password too */
    int fd;
};

static void turn_until(const bool *is_done)
{
    for (int i = 0; i < 1000 && !*is_done; i++)
        loop_turn(proc_loop(fake_authd()->proc), 10);
    cr_assert(*is_done, "no answer");
}

static void got_first(void *arg, const union msg *m, int fd)
{
    struct client *c = arg;
    cr_assert(m != NULL && fd < 0);
    c->is_answered = true;
    c->verdict = m->scram_first_re.verdict;
    c->reason = m->scram_first_re.reason;
    span_copy(c->text, sizeof c->text, m->scram_first_re.text);
}

static void got_final(void *arg, const union msg *m, int fd)
{
    struct client *c = arg;
    cr_assert_not_null(m);
    c->is_answered = true;
    c->verdict = m->login_re.verdict;
    c->reason = m->login_re.reason;
    c->fd = fd;
    span_copy(c->proof, sizeof c->proof, m->login_re.proof);
}

static void send_first(struct ipc *ch, struct client *c)
{
    char first[700];
    snprintf(first, sizeof first, "%sn=%s,r=0123456789", c->header, c->user);
    struct msg_scram_first m = {.service = SERVICE_POP3,
                                .session = 77,
                                .client = SPAN("192.0.2.9"),
                                .is_plus = c->is_plus,
                                .exporter = c->can_bind ? SPAN("the-channel") : SPAN(""),
                                .text = span_of(first)};
    c->is_answered = false;
    cr_assert_neq(ipc_ask_scram_first(ch, &m, -1, 10000, got_first, c), 0);
    turn_until(&c->is_answered);
}

/* ClientProof, by the formulas of RFC 5802 3; and what the server must answer. */
static void compute(const struct client *c, const char *without, char proof[64], char expected[64])
{
    char auth[5000], salt64[100];
    unsigned char salt[64], key[32], signature[32], client_key[32];
    struct scram_keys keys;
    size_t n_salt;
    unsigned iterations;
    const char *s = strstr(c->text, ",s=");
    cr_assert(s != NULL && sscanf(s, ",s=%90[^,],i=%u", salt64, &iterations) == 2);
    cr_assert_eq(sodium_base642bin(salt, sizeof salt, salt64, strlen(salt64), NULL, &n_salt, NULL,
                                   sodium_base64_VARIANT_ORIGINAL),
                 0);
    cr_expect_geq(iterations, 4096);
    scram_derive(span_of(c->password), (struct span){(char *)salt, n_salt}, iterations, &keys);
    snprintf(auth, sizeof auth, "n=%s,r=0123456789,%s,%s", c->user, c->text, without);
    /* ClientKey again, from Hi() through the stored key's derivation: HMAC(SaltedPassword, …) */
    unsigned char u[32], salted[32] = {0};
    crypto_auth_hmacsha256_state h;
    crypto_auth_hmacsha256_init(&h, (const unsigned char *)c->password, strlen(c->password));
    crypto_auth_hmacsha256_update(&h, salt, n_salt);
    crypto_auth_hmacsha256_update(&h, (const unsigned char *)"\0\0\0\1", 4);
    crypto_auth_hmacsha256_final(&h, u);
    memcpy(salted, u, 32);
    for (unsigned i = 1; i < iterations; i++) {
        crypto_auth_hmacsha256_init(&h, (const unsigned char *)c->password, strlen(c->password));
        crypto_auth_hmacsha256_update(&h, u, 32);
        crypto_auth_hmacsha256_final(&h, u);
        for (int k = 0; k < 32; k++)
            salted[k] ^= u[k];
    }
    crypto_auth_hmacsha256(client_key, (const unsigned char *)"Client Key", 10, salted);
    crypto_hash_sha256(key, client_key, 32);
    cr_assert_eq(memcmp(key, keys.stored, 32), 0);
    crypto_auth_hmacsha256(signature, (const unsigned char *)auth, strlen(auth), key);
    for (int k = 0; k < 32; k++)
        client_key[k] ^= signature[k];
    sodium_bin2base64(proof, 64, client_key, 32, sodium_base64_VARIANT_ORIGINAL);
    crypto_auth_hmacsha256(signature, (const unsigned char *)auth, strlen(auth), keys.server);
    memcpy(expected, "v=", 3);
    sodium_bin2base64(expected + 2, 62, signature, 32, sodium_base64_VARIANT_ORIGINAL);
}

static void send_final(struct ipc *ch, struct client *c, uint64_t session)
{
    char binding[200], binding64[300], without[1000], final[1200], proof[64], expected[64];
    snprintf(binding, sizeof binding, "%s%s", c->header, c->channel != NULL ? c->channel : "");
    sodium_bin2base64(binding64, sizeof binding64, (unsigned char *)binding, strlen(binding),
                      sodium_base64_VARIANT_ORIGINAL);
    snprintf(without, sizeof without, "c=%s,%.*s", binding64, (int)strcspn(c->text, ","), c->text);
    compute(c, without, proof, expected);
    snprintf(final, sizeof final, "%s,p=%s", without, proof);
    struct msg_scram_final m = {.session = session, .text = span_of(final)};
    c->is_answered = false;
    cr_assert_neq(ipc_ask_scram_final(ch, &m, -1, 10000, got_final, c), 0);
    turn_until(&c->is_answered);
    c->is_proved = strcmp(c->proof, expected) == 0;
    if (c->fd >= 0)
        close(c->fd);
}

static void run(struct ipc *ch, struct client *c)
{
    c->fd = -1;
    send_first(ch, c);
    if (c->verdict == VERDICT_OK)
        send_final(ch, c, 77);
}

Test(exchange, logins)
{
    static const struct client rows[] = {
        {.header = "n,,", .user = "alice@example.org", .password = "secret"},
        {.header = "n,,", .user = "Alice", .password = "secret"},
        {.header = "y,,", .user = "alice", .password = "secret"},
        {.header = "n,a=alice,", .user = "alice", .password = "secret"},
        {.header = "p=tls-exporter,,",
         .user = "alice",
         .password = "secret",
         .channel = "the-channel",
         .is_plus = true,
         .can_bind = true},
        {.header = "n,,", .user = "alice", .password = "secret", .can_bind = true},
    };
    struct ipc *pop3d = fake_connect(ROLE_POP3D);
    fake_connect(ROLE_MAILBOX);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client c = rows[i];
        run(pop3d, &c);
        cr_expect(c.verdict == VERDICT_OK && c.is_proved && c.fd >= 0, "row %zu", i);
        cr_expect_eq(fake_authd()->n_logins, 0);
    }
}

Test(exchange, refusals)
{
    static const struct client rows[] = {
        {.header = "n,,", .user = "alice", .password = "wrong"},
        {.header = "n,,", .user = "nobody", .password = "secret"},
        /* the server offered to bind, and the client was told otherwise */
        {.header = "y,,", .user = "alice", .password = "secret", .can_bind = true},
        /* bound to another channel: somebody is between */
        {.header = "p=tls-exporter,,",
         .user = "alice",
         .password = "secret",
         .channel = "another",
         .is_plus = true,
         .can_bind = true},
        {.header = "p=tls-unique,,",
         .user = "alice",
         .password = "secret",
         .channel = "the-channel",
         .is_plus = true,
         .can_bind = true},
        {.header = "n,,", .user = "alice", .password = "secret", .is_plus = true, .can_bind = true},
        {.header = "p=tls-exporter,,", .user = "alice", .password = "secret", .can_bind = true},
        {.header = "n,a=bob,", .user = "alice", .password = "secret"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ipc *pop3d = fake_connect(ROLE_POP3D);
        struct client c = rows[i];
        fake_connect(ROLE_MAILBOX);
        run(pop3d, &c);
        cr_expect(c.reason == (i < 5 ? LOGIN_WRONG : LOGIN_THROTTLED), "row %zu: %d", i, c.reason);
        cr_expect(c.verdict == (i < 5 ? VERDICT_NEVER : VERDICT_TRY_LATER));
        cr_expect_str_eq(c.proof, "");
        fake_disconnect(ROLE_POP3D);
        fake_disconnect(ROLE_MAILBOX);
    }
}

Test(exchange, a_name_that_nobody_has_is_not_told_apart)
{
    struct client a = {.header = "n,,", .user = "nobody"}, b = {.header = "n,,", .user = "NoBody"},
                  c = {.header = "n,,", .user = "no-one"}, d = {.header = "n,,", .user = "alice"};
    struct client *all[] = {&a, &b, &c, &d};
    char salts[4][100];
    unsigned iterations;
    struct ipc *pop3d = fake_connect(ROLE_POP3D);
    for (size_t i = 0; i < 4; i++) {
        send_first(pop3d, all[i]);
        cr_assert_eq(sscanf(strstr(all[i]->text, ",s="), ",s=%90[^,],i=%u", salts[i], &iterations),
                     2);
        cr_expect_eq(iterations, 4096);
    }
    cr_expect_eq(strlen(salts[0]), strlen(salts[3]));
    cr_expect_str_eq(salts[0], salts[1]);
    cr_expect(strcmp(salts[0], salts[2]) != 0);
    cr_expect_eq(fake_authd()->n_logins, 1, "one exchange for each session");
}

Test(exchange, it_belongs_to_its_session_and_ends)
{
    struct client c = {.header = "n,,", .user = "alice", .password = "secret"};
    struct ipc *pop3d = fake_connect(ROLE_POP3D);
    fake_connect(ROLE_MAILBOX);
    send_first(pop3d, &c);
    send_final(pop3d, &c, 78);
    cr_expect(c.verdict == VERDICT_TRY_LATER && c.reason == LOGIN_BUSY);
    send_final(pop3d, &c, 77);
    cr_expect_eq(c.verdict, VERDICT_OK);
    send_final(pop3d, &c, 77); /* again */
    cr_expect_eq(c.verdict, VERDICT_TRY_LATER);
    send_first(pop3d, &c);
    cr_assert_eq(ipc_send_logout(pop3d, &(struct msg_logout){77}, -1), 0);
    send_final(pop3d, &c, 77);
    cr_expect_eq(c.verdict, VERDICT_TRY_LATER);
    send_first(pop3d, &c);
    fake_disconnect(ROLE_POP3D);
    cr_expect_eq(fake_authd()->n_logins, 0);
    pop3d = fake_connect(ROLE_POP3D);
    send_first(pop3d, &c);
    fake_must("user passwd", ARGS("alice@example.org"), "secret");
    send_final(pop3d, &c, 77);
    cr_expect_eq(c.verdict, VERDICT_TRY_LATER, "the user was changed meanwhile");
}

/* --- app passwords --- */

static void logged_in(void *arg, const union msg *m, int fd)
{
    got_final(arg, m, fd);
}

static struct client log_in(struct ipc *ch, const char *password)
{
    struct client c = {.fd = -1};
    struct msg_login m = {.service = SERVICE_POP3,
                          .session = 77,
                          .client = SPAN("192.0.2.9"),
                          .user = SPAN("alice"),
                          .password = span_of(password)};
    cr_assert_neq(ipc_ask_login(ch, &m, -1, 10000, logged_in, &c), 0);
    turn_until(&c.is_answered);
    if (c.fd >= 0)
        close(c.fd);
    return c;
}

Test(exchange, app_passwords_log_in_until_they_are_removed)
{
    struct ipc *pop3d = fake_connect(ROLE_POP3D);
    struct heard h;
    char phone[100], mailer[100];
    fake_connect(ROLE_MAILBOX);
    fake_must("user app-password add", ARGS("alice@example.org", "mailer"), "");
    snprintf(mailer, sizeof mailer, "%s", fake_password);
    fake_must("user app-password add", ARGS("alice@example.org", "phone", "device=yes"), "");
    snprintf(phone, sizeof phone, "%s", fake_password);
    cr_expect(strlen(phone) == 23 && strcmp(phone, mailer) != 0, "%s", phone);
    struct {
        const char *password;
        uint64_t device;
    } rows[] = {{mailer, 0}, {phone, 2}, {"secret", 0}};
    for (size_t i = 0; i < 9; i++) { /* plain, plain from the cache, scram */
        struct client c = {.header = "n,,", .user = "alice", .password = rows[i % 3].password};
        if (i < 6)
            c = log_in(pop3d, c.password);
        else
            run(pop3d, &c);
        cr_expect_eq(c.verdict, VERDICT_OK, "%zu", i);
        cr_assert(fake_hear(ROLE_MAILBOX, &h) && h.type == MSG_BOX_GRANT);
        cr_expect_eq(h.device, rows[i % 3].device, "%zu: %u", i, (unsigned)h.device);
        close(h.fd);
    }
    fake_must("user app-password remove", ARGS("alice@example.org", "phone"), "");
    cr_expect_eq(log_in(pop3d, phone).reason, LOGIN_WRONG);
    cr_expect_eq(log_in(pop3d, mailer).reason, LOGIN_OK);
    struct client c = {.header = "n,,", .user = "alice", .password = phone};
    run(pop3d, &c);
    cr_expect_eq(c.reason, LOGIN_WRONG);
    fake_must("user passwd", ARGS("alice@example.org"), "another");
    cr_expect_eq(log_in(pop3d, mailer).reason, LOGIN_OK, "its salt stays");
    cr_expect_eq(log_in(pop3d, "another").reason, LOGIN_OK);
}

Test(exchange, names_of_app_passwords)
{
    const struct {
        const char *const *args;
        const char *word;
    } rows[] = {
        {ARGS("alice@example.org"), "needs a name"},
        {ARGS("alice@example.org", "a=b"), "without '='"},
        {ARGS("alice@example.org", "a\x01"), "printable"},
        {ARGS("alice@example.org", "one"), "of that name"},
        {ARGS("bob@example.org", "one"), "no user"},
        {ARGS("alice@example.org",
              "12345678901234567890123456789012345678901234567890123456789012345"),
         "at most 64"},
    };
    fake_must("user app-password add", ARGS("alice@example.org", "one"), "");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct heard h = fake_admin("user app-password add", rows[i].args, "");
        cr_expect(h.verdict == VERDICT_NEVER && strstr(h.text, rows[i].word) != NULL, "%s", h.text);
    }
    struct heard h = fake_admin("user app-password remove", ARGS("alice@example.org", "x"), "");
    cr_expect(h.verdict == VERDICT_NEVER && strstr(h.text, "of that name") != NULL);
}

Test(exchange, receive_only_users_fetch_and_do_not_send)
{
    struct ipc *pop3d = fake_connect(ROLE_POP3D), *smtpd = fake_connect(ROLE_SMTPD);
    struct client c = {.fd = -1};
    fake_connect(ROLE_MAILBOX);
    fake_must("user receive-only", ARGS("alice@example.org", "yes"), "");
    cr_expect_eq(log_in(pop3d, "secret").reason, LOGIN_OK);
    struct msg_login m = {.service = SERVICE_SUBMISSION,
                          .session = 77,
                          .client = SPAN("192.0.2.9"),
                          .user = SPAN("alice"),
                          .password = SPAN("secret")};
    cr_assert_neq(ipc_ask_login(smtpd, &m, -1, 10000, logged_in, &c), 0);
    turn_until(&c.is_answered);
    cr_expect(c.verdict == VERDICT_NEVER && c.reason == LOGIN_RECEIVE_ONLY);
}
