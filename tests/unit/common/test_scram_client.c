#include "common/scram_client.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define LATER "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"

/* The exchange of RFC 7677 3, with its nonce in the place of ours. */
static void begin(struct scram_client *x)
{
    cr_assert_eq(scram_client_begin(x, "user", "n", SPAN("")), 0);
    snprintf(x->nonce, sizeof x->nonce, "rOprNGfwEbeRWgbNEkqO");
    snprintf(x->first, sizeof x->first, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
}

Test(scram_client, rfc_7677)
{
    struct scram_client x;
    char out[SCRAM_CLIENT_TEXT_MAX];
    begin(&x);
    cr_assert_eq(scram_client_answer(&x, SPAN("r=" LATER ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
                                     SPAN("pencil"), out),
                 0);
    cr_expect_str_eq(out, "c=biws,r=" LATER ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    cr_expect_eq(scram_client_verify(&x, SPAN("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")),
                 0);
    cr_expect_eq(scram_client_verify(&x, SPAN("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=")),
                 -1);
    cr_expect_eq(scram_client_verify(&x, SPAN("e=other-error")), -1);
    cr_expect_eq(scram_client_verify(&x, SPAN("")), -1);
}

Test(scram_client, a_server_that_cheats)
{
    static const struct span firsts[] = {
        SPAN(""),
        SPAN("r=" LATER),
        SPAN("m=x,r=" LATER ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
        SPAN("r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), /* adds no nonce */
        SPAN("r=another,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
        SPAN("r=" LATER ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095"),
        SPAN("r=" LATER ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000"),
        SPAN("r=" LATER ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=x"),
        SPAN("r=" LATER ",s=!!,i=4096"),
        SPAN("r=" LATER ",s=W22Z\0J0SNY7soEsUEjb6gQ==,i=4096"),
    };
    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        struct scram_client x;
        char out[SCRAM_CLIENT_TEXT_MAX];
        begin(&x);
        cr_expect_eq(scram_client_answer(&x, firsts[i], SPAN("pencil"), out), -1, "row %zu", i);
    }
}

Test(scram_client, what_is_said_first)
{
    struct scram_client x;
    char big[SCRAM_CLIENT_TEXT_MAX];
    cr_assert_eq(scram_client_begin(&x, "a,b=c", "p=tls-exporter", SPAN("12345")), 0);
    cr_expect(strstr(x.first, "p=tls-exporter,,n=a=2Cb=3Dc,r=") == x.first);
    cr_expect_eq(scram_client_begin(&x, "", "n", SPAN("")), -1);
    memset(big, ',', sizeof big);
    big[sizeof big - 1] = '\0';
    cr_expect_eq(scram_client_begin(&x, big, "n", SPAN("")), -1);
    cr_expect_eq(scram_client_begin(&x, "a", "n", (struct span){big, sizeof big}), -1);
}
