/* What is part of a handshake, and what is not. */
#include "keyd/form.h"

#include <criterion/criterion.h>
#include <stdio.h>

static char room[600];

static struct span tls13(size_t pad, const char *context, size_t context_n, size_t hash)
{
    memset(room, ' ', pad);
    memcpy(room + pad, context, context_n);
    memset(room + pad + context_n, 'h', hash);
    return (struct span){room, pad + context_n + hash};
}

#define SERVER "TLS 1.3, server CertificateVerify"
#define CLIENT "TLS 1.3, client CertificateVerify"

Test(form, tls13)
{
    static const struct {
        size_t pad;
        const char *context;
        size_t context_n, hash;
        enum form form;
    } rows[] = {
        {64, SERVER, sizeof SERVER, 32, FORM_TLS13},
        {64, SERVER, sizeof SERVER, 48, FORM_TLS13},
        {64, CLIENT, sizeof CLIENT, 32, FORM_NONE},
        {63, SERVER, sizeof SERVER, 32, FORM_NONE},
        {65, SERVER, sizeof SERVER, 32, FORM_NONE},
        {64, SERVER, sizeof SERVER, 31, FORM_NONE},
        {64, SERVER, sizeof SERVER, 33, FORM_NONE},
        {64, SERVER, sizeof SERVER, 0, FORM_NONE},
        {64, SERVER, sizeof SERVER, 64, FORM_NONE},
        {64, SERVER, sizeof SERVER - 1, 33, FORM_NONE}, /* no zero */
        {64, "", 0, 0, FORM_NONE},
        {0, SERVER, sizeof SERVER, 32, FORM_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(form_of(tls13(rows[i].pad, rows[i].context, rows[i].context_n, rows[i].hash)),
                     rows[i].form, "row %zu", i);
}

static struct span tls12(unsigned type, unsigned group, unsigned length, unsigned first, size_t n)
{
    memset(room, 'r', sizeof room);
    const char head[] = {(char)type, (char)(group >> 8), (char)group, (char)length, (char)first};
    memcpy(room + 64, head, sizeof head);
    return (struct span){room, n};
}

Test(form, tls12)
{
    static const struct {
        unsigned type, group, length, first;
        size_t n;
        enum form form;
    } rows[] = {
        {3, 23, 65, 4, 133, FORM_TLS12},  {3, 24, 97, 4, 165, FORM_TLS12},
        {3, 25, 133, 4, 201, FORM_TLS12}, {3, 29, 32, 0, 100, FORM_TLS12},
        {3, 30, 56, 9, 124, FORM_TLS12},  {3, 29, 32, 0, 101, FORM_NONE},
        {3, 29, 32, 0, 99, FORM_NONE},    {3, 29, 33, 0, 101, FORM_NONE},
        {3, 23, 65, 2, 133, FORM_NONE}, /* compressed */
        {1, 29, 32, 0, 100, FORM_NONE},   {3, 22, 65, 4, 133, FORM_NONE},
        {3, 29, 32, 0, 68, FORM_NONE},    {3, 29, 32, 0, 64, FORM_NONE},
        {3, 29, 32, 0, 0, FORM_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(
            form_of(tls12(rows[i].type, rows[i].group, rows[i].length, rows[i].first, rows[i].n)),
            rows[i].form, "row %zu", i);
}

/* What somebody who speaks as smtpd would like to have signed. */
Test(form, other_things)
{
    static const char *const texts[] = {
        "",
        "a",
        "0123456789abcdef0123456789abcdef",                    /* a hash */
        "\x30\x82\x02\x00\xa0\x03\x02\x01\x02",                /* a certificate */
        "from:to:subject:date:message-id:dkim-signature:v=1;", /* DKIM */
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        cr_expect_eq(form_of(span_of(texts[i])), FORM_NONE);
}

Test(form, schemes)
{
    cr_expect(form_allows(FORM_TLS12, KEY_RSA_PKCS1_SHA256));
    cr_expect_not(form_allows(FORM_TLS13, KEY_RSA_PKCS1_SHA256));
    cr_expect(form_allows(FORM_TLS13, KEY_RSA_PSS_SHA256));
    cr_expect(form_allows(FORM_TLS13, KEY_ED25519));
    cr_expect_not(form_allows(FORM_NONE, KEY_ECDSA_SHA256));
    cr_expect_not(form_allows(FORM_TLS12, (enum key_scheme)0x0201)); /* SHA-1 */
    cr_expect_not(form_allows(FORM_TLS12, (enum key_scheme)0));
}
