#include "relay/login.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <sodium.h>

#define BASE64 sodium_base64_VARIANT_ORIGINAL

/* What the line says, without its first `n_head` octets. */
static const char *decoded(const char *line, size_t n_head)
{
    static char text[4096];
    size_t n = 0;
    cr_assert_eq(sodium_base642bin((unsigned char *)text, sizeof text - 1, line + n_head,
                                   strcspn(line + n_head, "\r"), NULL, &n, NULL, BASE64),
                 0, "%s", line);
    text[n] = '\0';
    return text;
}

static struct span encoded(const char *text)
{
    static char out[4096];
    sodium_bin2base64(out, sizeof out, (const unsigned char *)text, strlen(text), BASE64);
    return span_of(out);
}

static void hmac(const unsigned char key[32], const char *text, unsigned char out[32])
{
    crypto_auth_hmacsha256_state s;
    crypto_auth_hmacsha256_init(&s, key, 32);
    crypto_auth_hmacsha256_update(&s, (const unsigned char *)text, strlen(text));
    crypto_auth_hmacsha256_final(&s, out);
}

/* A server that knows `secret`: is this the proof of it, and what is answered? */
static bool server_checks(const char *secret, const char *first, const char *said,
                          const char *final, char verifier[64])
{
    unsigned char salted[32], key[32], stored[32], mac[32], proof[32];
    char all[4096];
    size_t n;
    const char *at = strstr(final, ",p=");
    cr_assert_not_null(at);
    snprintf(all, sizeof all, "%s,%s,%.*s", first + 3, said, (int)(at - final), final);
    PKCS5_PBKDF2_HMAC(secret, (int)strlen(secret), (const unsigned char *)"salt", 4, 10,
                      EVP_sha256(), 32, salted);
    hmac(salted, "Client Key", key);
    crypto_hash_sha256(stored, key, 32);
    hmac(stored, all, mac);
    for (int i = 0; i < 32; i++)
        key[i] ^= mac[i];
    cr_assert_eq(sodium_base642bin(proof, 32, at + 3, strlen(at + 3), NULL, &n, NULL, BASE64), 0);
    bool is_right = n == 32 && memcmp(proof, key, 32) == 0;
    hmac(salted, "Server Key", key);
    hmac(key, all, mac);
    memcpy(verifier, "v=", 3);
    sodium_bin2base64(verifier + 2, 62, mac, 32, BASE64);
    return is_right;
}

/* nonce: what the server adds to ours; NULL: it takes another one. */
static int scram(struct login *l, const char *nonce, const char *rest, char first[1024],
                 char said[1024], char line[LOGIN_LINE_MAX])
{
    cr_assert_eq(login_begin(l, SASL_UNBOUND, line), 0);
    cr_assert_eq(strncmp(line, "AUTH SCRAM-SHA-256 ", 19), 0);
    snprintf(first, 1024, "%s", decoded(line, 19));
    const char *ours = strstr(first, ",r=") + 3;
    snprintf(said, 1024, "r=%s%s,%s", nonce != NULL ? ours : "other", nonce != NULL ? nonce : "x",
             rest);
    return login_answer(l, encoded(said), line);
}

Test(login, scram_proves_both_sides)
{
    char first[1024], said[1024], line[LOGIN_LINE_MAX], verifier[64];
    struct login *l = login_new(SPAN("a,b=c"), SPAN("pencil"));
    cr_assert_eq(scram(l, "more", "s=c2FsdA==,i=10", first, said, line), 0);
    cr_expect_eq(strncmp(first, "n,,n=a=2Cb=3Dc,r=", 17), 0, "%s", first);
    cr_expect(server_checks("pencil", first, said, decoded(line, 0), verifier));
    cr_expect(!login_is_proved(l), "before the server's signature");
    cr_expect_eq(login_answer(l, encoded(verifier), line), 0);
    cr_expect_str_eq(line, "\r\n");
    cr_expect(login_is_proved(l));
    login_free(l);
}

Test(login, a_server_without_the_password_is_found_out)
{
    char first[1024], said[1024], line[LOGIN_LINE_MAX], verifier[64];
    struct login *l = login_new(SPAN("u"), SPAN("pencil"));
    cr_assert_eq(scram(l, "more", "s=c2FsdA==,i=10", first, said, line), 0);
    cr_expect(!server_checks("guess", first, said, decoded(line, 0), verifier));
    cr_expect_eq(login_answer(l, encoded(verifier), line), -1);
    cr_expect_str_eq(line, "*\r\n");
    cr_expect(!login_is_proved(l));
    login_free(l);
}

Test(login, what_is_no_scram_is_given_up)
{
    static const struct {
        const char *nonce, *rest;
    } rows[] = {
        {"", "s=c2FsdA==,i=10"},        {NULL, "s=c2FsdA==,i=10"}, {"x", "s=,i=10"},
        {"x", "s=c2FsdA==,i=0"},        {"x", "s=c2FsdA==,i="},    {"x", "s=!!!,i=10"},
        {"x", "s=c2FsdA==,i=99999999"}, {"x", "i=10,s=c2FsdA=="},  {"x", ""},
        {"x", "s=c2FsdA==,i=-1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char first[1024], said[1024], line[LOGIN_LINE_MAX];
        struct login *l = login_new(SPAN("u"), SPAN("pencil"));
        cr_expect_eq(scram(l, rows[i].nonce, rows[i].rest, first, said, line), -1, "%zu", i);
        cr_expect_str_eq(line, "*\r\n");
        login_free(l);
    }
}

Test(login, the_longest_names_fit)
{
    char user[LOGIN_USER_MAX + 2], secret[LOGIN_SECRET_MAX + 2], line[LOGIN_LINE_MAX];
    memset(user, ',', sizeof user);
    memset(secret, 's', sizeof secret);
    struct span u = {user, LOGIN_USER_MAX}, s = {secret, LOGIN_SECRET_MAX};
    for (unsigned m = 0; m < SASL_MECHANISMS; m++) {
        struct login *l = login_new(u, s);
        cr_assert_not_null(l);
        cr_expect_eq(login_begin(l, SASL_BIT(m), line), m == SASL_SCRAM_PLUS ? -1 : 0);
        login_free(l);
    }
    u.n++;
    cr_expect_null(login_new(u, s));
    cr_expect_null(login_new(SPAN("u"), (struct span){secret, LOGIN_SECRET_MAX + 1}));
    cr_expect_null(login_new(SPAN("u"), SPAN("")));
}
