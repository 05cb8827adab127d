#include "authd/scram.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* RFC 7677 3. */
#define CLIENT_FIRST "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define NONCE        "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SERVER_FIRST "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define CLIENT_FINAL "c=biws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static const unsigned char salt[16] = {0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
                                       0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81};

/* The exchange of the RFC: its nonce instead of ours. */
static struct scram of_the_rfc(void)
{
    struct scram x = {.n_binding = 3};
    memcpy(x.bare, &CLIENT_FIRST[3], sizeof CLIENT_FIRST - 3);
    memcpy(x.said, SERVER_FIRST, sizeof SERVER_FIRST);
    memcpy(x.binding, "n,,", 3);
    return x;
}

Test(scram, rfc_7677)
{
    struct scram_first first;
    struct scram_final final;
    struct scram_keys keys, other;
    char answer[SCRAM_PROOF_TEXT];
    cr_assert_eq(scram_read_first(SPAN(CLIENT_FIRST), &first), 0);
    cr_expect_str_eq(first.user, "user");
    cr_expect(first.flag == 'n' && span_eq(first.header, SPAN("n,,")));
    struct scram x = of_the_rfc();
    x.nonce = (struct span){x.said + 2, sizeof NONCE - 1};
    cr_assert_eq(scram_read_final(&x, SPAN(CLIENT_FINAL), &final), 0);
    scram_derive(SPAN("pencil"), (struct span){(const char *)salt, sizeof salt}, 4096, &keys);
    cr_expect(scram_matches(&final, &keys));
    scram_answer(&final, &keys, answer);
    cr_expect_str_eq(answer, SERVER_FINAL);
    scram_derive(SPAN("pencil "), (struct span){(const char *)salt, sizeof salt}, 4096, &other);
    cr_expect_not(scram_matches(&final, &other));
}

Test(scram, first_messages)
{
    static const struct {
        const char *text, *user;
        char flag;
    } rows[] = {
        {"n,,n=user,r=abc", "user", 'n'},
        {"y,,n=user,r=abc", "user", 'y'},
        {"p=tls-exporter,,n=u,r=abc", "u", 'p'},
        {"n,a=user,n=user,r=abc", "user", 'n'},
        {"n,,n=a=2Cb=3Dc,r=x", "a,b=c", 'n'},
        {"n,,n=user,r=abc,ext=1", "user", 'n'},
        {"n,,n=a=2cb,r=x", NULL, 0},
        {"n,,n=a=,r=x", NULL, 0},
        {"n,,n=,r=x", NULL, 0},
        {"n,,n=u,r=", NULL, 0},
        {"n,,n=u,r=\x7f", NULL, 0},
        {"n,,n=u", NULL, 0},
        {"n,,m=x,n=u,r=x", NULL, 0},
        {"n,,r=x,n=u", NULL, 0},
        {"nn,,n=u,r=x", NULL, 0},
        {"x,,n=u,r=x", NULL, 0},
        {"p,,n=u,r=x", NULL, 0},
        {"n,user,n=u,r=x", NULL, 0},
        {",,n=u,r=x", NULL, 0},
        {"n,", NULL, 0},
        {"n", NULL, 0},
        {"", NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scram_first first;
        int rc = scram_read_first(span_of(rows[i].text), &first);
        cr_expect_eq(rc == 0, rows[i].user != NULL, "%s", rows[i].text);
        if (rc == 0)
            cr_expect(strcmp(first.user, rows[i].user) == 0 && first.flag == rows[i].flag, "%s",
                      rows[i].text);
    }
}

Test(scram, final_messages_that_are_none)
{
#define PROOF "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    static const char *const rows[] = {
        "",
        "c=biws",
        "c=biws,r=" NONCE,
        "c=biws,r=" NONCE "," PROOF "=",
        "c=biws,r=" NONCE ",p=",
        "c=biws,r=" NONCE ",p=AAAA",
        "c=biws,r=" NONCE "x," PROOF,
        "c=biws,r=rOprNGfwEbeRWgbNEkqO," PROOF,
        "c=eSws,r=" NONCE "," PROOF, /* y,, */
        "c=biwsAAAA,r=" NONCE "," PROOF,
        "c=,r=" NONCE "," PROOF,
        "r=" NONCE ",c=biws," PROOF,
        PROOF,
        "," PROOF,
    };
    struct scram x = of_the_rfc();
    struct scram_final final;
    x.nonce = (struct span){x.said + 2, sizeof NONCE - 1};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(scram_read_final(&x, span_of(rows[i]), &final), -1, "%s", rows[i]);
}

/* As a client does it, with our own nonce and a channel. */
Test(scram, bound_to_a_channel)
{
    struct scram_first first;
    struct scram_final final;
    static struct scram x;
    struct scram_salt s = {.iterations = 7};
    char text[SCRAM_TEXT_MAX];
    cr_assert_eq(scram_read_first(SPAN("p=tls-exporter,,n=user,r=abc"), &first), 0);
    cr_expect(span_eq(first.binding, SPAN("tls-exporter")));
    cr_assert_eq(scram_begin(&x, &first, &s, SPAN("channel")), 0);
    cr_expect_eq(strncmp(x.said, "r=abc", 5), 0);
    cr_expect_not_null(strstr(x.said, ",s=AAAAAAAAAAAAAAAAAAAAAA==,i=7"));
    cr_expect_eq(x.nonce.n, 3 + 24);
    snprintf(text, sizeof text,
             "c=cD10bHMtZXhwb3J0ZXIsLGNoYW5uZWw=,r=%.*s,"
             "p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
             (int)x.nonce.n, x.nonce.p);
    cr_expect_eq(scram_read_final(&x, span_of(text), &final), 0);
    text[sizeof "c=cD10bHMtZXhwb3J0ZXIsLGNoYW5uZ"] = 'X'; /* another channel */
    cr_expect_eq(scram_read_final(&x, span_of(text), &final), -1);
}
