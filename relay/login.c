#include "relay/login.h"

#include "common/base64.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_OCTETS  crypto_hash_sha256_BYTES
#define NONCE_OCTETS 18 /* 24 characters of base64, none of them a comma */
#define BASE64       sodium_base64_VARIANT_ORIGINAL
#define TEXT_MAX     1900 /* a message before base64 makes it longer by a third */
#define SERVER_MAX   900  /* a message of the server */
#define SALT_MAX     256

_Static_assert(LOGIN_LINE_MAX > (TEXT_MAX + 2) / 3 * 4 + 32, "a line takes the longest message");
_Static_assert(TEXT_MAX > 2 + LOGIN_USER_MAX + LOGIN_SECRET_MAX, "PLAIN fits");
_Static_assert(TEXT_MAX > 3 * LOGIN_USER_MAX + SERVER_MAX + 100, "SCRAM fits");

enum state { IDLE, PLAIN_SENT, NAME_AWAITED, SECRET_AWAITED, FIRST_SENT, FINAL_SENT, PROVED };

struct login {
    enum state state;
    enum sasl_mechanism mechanism;
    char *user, *secret;
    char bare[3 * LOGIN_USER_MAX + 64]; /* SCRAM: our first message without its head */
    unsigned char proof[HASH_OCTETS];   /* what the server must show */
};

struct login *login_new(struct span user, struct span secret)
{
    if (user.n == 0 || user.n > LOGIN_USER_MAX || secret.n == 0 || secret.n > LOGIN_SECRET_MAX)
        return NULL;
    struct login *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->user = span_dup(user);
    l->secret = span_dup(secret);
    if (l->user != NULL && l->secret != NULL)
        return l;
    login_free(l);
    return NULL;
}

void login_free(struct login *l)
{
    if (l == NULL)
        return;
    if (l->secret != NULL)
        sodium_memzero(l->secret, strlen(l->secret));
    free(l->secret);
    free(l->user);
    sodium_memzero(l, sizeof *l);
    free(l);
}

/* --- lines --- */

/* "HEAD BASE64 CRLF"; without a head only the base64. */
static int line_of(const char *head, struct span text, char out[LOGIN_LINE_MAX])
{
    size_t n = (size_t)snprintf(out, LOGIN_LINE_MAX, "%s", head);
    if (text.n > TEXT_MAX)
        return -1;
    sodium_bin2base64(out + n, LOGIN_LINE_MAX - n, (const unsigned char *)text.p, text.n, BASE64);
    n += strlen(out + n);
    snprintf(out + n, LOGIN_LINE_MAX - n, "\r\n");
    return 0;
}

static int give_up(char out[LOGIN_LINE_MAX])
{
    snprintf(out, LOGIN_LINE_MAX, "*\r\n"); /* RFC 4954 4 */
    return -1;
}

static int plain(struct login *l, char out[LOGIN_LINE_MAX])
{
    char text[TEXT_MAX];
    int n = snprintf(text, sizeof text, "%c%s%c%s", '\0', l->user, '\0', l->secret);
    int rc = line_of("AUTH PLAIN ", (struct span){text, (size_t)n}, out);
    sodium_memzero(text, sizeof text);
    l->state = PLAIN_SENT;
    return rc;
}

/* --- SCRAM --- */

/* RFC 5802 5.1: a comma is "=2C", an equals sign "=3D". out: three octets for each of the name. */
static void escape(const char *name, char *out)
{
    for (; *name != '\0'; name++) {
        bool is_special = *name == ',' || *name == '=';
        if (is_special)
            memcpy(out, *name == ',' ? "=2C" : "=3D", 3);
        else
            *out = *name;
        out += is_special ? 3 : 1;
    }
    *out = '\0';
}

static int scram_first(struct login *l, char out[LOGIN_LINE_MAX])
{
    unsigned char random[NONCE_OCTETS];
    char nonce[NONCE_OCTETS * 2], name[3 * LOGIN_USER_MAX + 1], text[TEXT_MAX];
    randombytes_buf(random, sizeof random);
    sodium_bin2base64(nonce, sizeof nonce, random, sizeof random, BASE64);
    escape(l->user, name);
    snprintf(l->bare, sizeof l->bare, "n=%s,r=%s", name, nonce);
    int n = snprintf(text, sizeof text, "n,,%s", l->bare);
    l->state = FIRST_SENT;
    return line_of("AUTH SCRAM-SHA-256 ", (struct span){text, (size_t)n}, out);
}

static void hmac(const unsigned char key[HASH_OCTETS], struct span text,
                 unsigned char out[HASH_OCTETS])
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, HASH_OCTETS);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)text.p, text.n);
    crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof state);
}

/* The value of the attribute that comes first in *rest, which goes on behind it. */
static bool take_attribute(struct span *rest, char key, struct span *value)
{
    *value = span_cut(rest, ',');
    if (value->n < 2 || value->p[0] != key || value->p[1] != '=')
        return false;
    *value = span_from(*value, 2);
    return true;
}

struct offer_of_server {
    struct span nonce;
    unsigned char salt[SALT_MAX];
    size_t n_salt;
    uint64_t iterations;
};

/* "r=NONCE,s=SALT,i=COUNT"; the nonce begins with ours. */
static bool read_server_first(const struct login *l, struct span text, struct offer_of_server *o)
{
    struct span rest = text, salt, count;
    struct span ours = span_of(strrchr(l->bare, ',') + 3);
    return take_attribute(&rest, 'r', &o->nonce) && take_attribute(&rest, 's', &salt) &&
           take_attribute(&rest, 'i', &count) && o->nonce.n > ours.n &&
           span_starts(o->nonce, ours) && salt.n > 0 &&
           base64_decode(salt, o->salt, sizeof o->salt, &o->n_salt) == 0 && o->n_salt > 0 &&
           span_u64(count, &o->iterations) == 0 && o->iterations > 0 &&
           o->iterations <= LOGIN_ITERATIONS_MAX;
}

/* The client's proof; what the server has to answer is kept. RFC 5802 3. */
static int prove(struct login *l, const struct offer_of_server *o, struct span signed_text,
                 unsigned char proof[HASH_OCTETS])
{
    unsigned char salted[HASH_OCTETS], key[HASH_OCTETS], stored[HASH_OCTETS], mac[HASH_OCTETS];
    if (PKCS5_PBKDF2_HMAC(l->secret, (int)strlen(l->secret), o->salt, (int)o->n_salt,
                          (int)o->iterations, EVP_sha256(), HASH_OCTETS, salted) != 1)
        return -1;
    hmac(salted, SPAN("Client Key"), key);
    crypto_hash_sha256(stored, key, sizeof key);
    hmac(stored, signed_text, mac);
    for (size_t i = 0; i < HASH_OCTETS; i++)
        proof[i] = key[i] ^ mac[i];
    hmac(salted, SPAN("Server Key"), key);
    hmac(key, signed_text, l->proof);
    sodium_memzero(salted, sizeof salted);
    sodium_memzero(key, sizeof key);
    return 0;
}

static int scram_final(struct login *l, struct span text, char out[LOGIN_LINE_MAX])
{
    struct offer_of_server o;
    unsigned char proof[HASH_OCTETS];
    char proof64[HASH_OCTETS * 2], without[SERVER_MAX + 16], all[TEXT_MAX];
    if (text.n > SERVER_MAX || !read_server_first(l, text, &o))
        return give_up(out);
    snprintf(without, sizeof without, "c=biws,r=%.*s", (int)o.nonce.n, o.nonce.p);
    char signed_text[sizeof l->bare + 2 * SERVER_MAX + 32];
    int n = snprintf(signed_text, sizeof signed_text, "%s,%.*s,%s", l->bare, (int)text.n, text.p,
                     without);
    if (prove(l, &o, (struct span){signed_text, (size_t)n}, proof) < 0)
        return give_up(out);
    sodium_bin2base64(proof64, sizeof proof64, proof, sizeof proof, BASE64);
    n = snprintf(all, sizeof all, "%s,p=%s", without, proof64);
    l->state = FINAL_SENT;
    return line_of("", (struct span){all, (size_t)n}, out);
}

/* "v=SIGNATURE" */
static int scram_verify(struct login *l, struct span text, char out[LOGIN_LINE_MAX])
{
    unsigned char shown[HASH_OCTETS];
    size_t n = 0;
    struct span rest = text, value;
    if (!take_attribute(&rest, 'v', &value) || base64_decode(value, shown, sizeof shown, &n) < 0 ||
        n != sizeof shown || sodium_memcmp(shown, l->proof, n) != 0)
        return give_up(out);
    l->state = PROVED;
    return line_of("", SPAN(""), out);
}

/* --- the exchange --- */

int login_begin(struct login *l, unsigned offered, char out[LOGIN_LINE_MAX])
{
    static const enum sasl_mechanism ours[] = {SASL_SCRAM, SASL_PLAIN, SASL_LOGIN};
    l->mechanism = SASL_MECHANISMS;
    for (size_t i = 0; i < sizeof ours / sizeof *ours && l->mechanism == SASL_MECHANISMS; i++)
        if ((offered & SASL_BIT(ours[i])) != 0)
            l->mechanism = ours[i];
    if (l->mechanism == SASL_SCRAM)
        return scram_first(l, out);
    if (l->mechanism == SASL_PLAIN)
        return plain(l, out);
    if (l->mechanism != SASL_LOGIN)
        return -1;
    l->state = NAME_AWAITED;
    snprintf(out, LOGIN_LINE_MAX, "AUTH LOGIN\r\n");
    return 0;
}

int login_answer(struct login *l, struct span challenge, char out[LOGIN_LINE_MAX])
{
    char text[SERVER_MAX + 1];
    size_t n = 0;
    challenge = span_trim(challenge);
    if (base64_decode(challenge, text, SERVER_MAX, &n) < 0)
        return give_up(out);
    struct span given = {text, n};
    bool is_text = memchr(text, '\0', n) == NULL;
    switch (l->state) {
    case NAME_AWAITED: /* whatever the challenge says: servers do not agree */
        l->state = SECRET_AWAITED;
        return line_of("", span_of(l->user), out);
    case SECRET_AWAITED:
        l->state = PLAIN_SENT;
        return line_of("", span_of(l->secret), out);
    case FIRST_SENT:
        return is_text ? scram_final(l, given, out) : give_up(out);
    case FINAL_SENT:
        return scram_verify(l, given, out);
    default:
        return give_up(out);
    }
}

bool login_is_proved(const struct login *l)
{
    return l->mechanism == SASL_SCRAM ? l->state == PROVED : l->state == PLAIN_SENT;
}
