#include "common/sasl.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* Lines of a client; after each '>' what must be asked of authd or said to the client. */
struct row {
    enum sasl_mechanism mechanism;
    const char *lines[8]; /* the first one is the initial response; "-": none */
    const char *expected;
};

static const char *const steps[] = {
    [SASL_CHALLENGE] = "challenge",
    [SASL_PASSWORD] = "password",
    [SASL_SCRAM_FIRST] = "first",
    [SASL_SCRAM_FINAL] = "final",
    [SASL_DONE] = "done",
    [SASL_CANCELLED] = "cancelled",
    [SASL_NOT_BASE64] = "not-base64",
    [SASL_MALFORMED] = "malformed",
    [SASL_REFUSED] = "refused",
    [SASL_NO_MEMORY] = "no-memory",
};

static const struct row rows[] = {
    /* RFC 4954 4.1's example: \0test\0 1234 */
    {SASL_PLAIN, {"AHRlc3QAMTIzNA=="}, "password test/1234 "},
    {SASL_PLAIN, {"-", "AHRlc3QAMTIzNA=="}, "challenge() password test/1234 "},
    {SASL_PLAIN, {"dGVzdAB0ZXN0ADEyMzQ="}, "password test/1234 "},
    {SASL_PLAIN, {"YWRtaW4AdGVzdAAxMjM0"}, "refused "},
    {SASL_PLAIN, {"dGVzdAB0ZXN0"}, "malformed "},
    {SASL_PLAIN, {"AAAA"}, "malformed "},
    {SASL_PLAIN, {"="}, "malformed "},
    {SASL_PLAIN, {"-", "*"}, "challenge() cancelled "},
    {SASL_PLAIN, {"*"}, "not-base64 "},
    {SASL_PLAIN, {"AHRlc3QAMTIzNA="}, "not-base64 "},
    {SASL_PLAIN, {"AHRlc3QAMTIzNA"}, "not-base64 "},
    {SASL_PLAIN, {"AHRlc3QAMTIzNB=="}, "not-base64 "}, /* bits behind the last octet */
    {SASL_PLAIN, {"AHRl c3QAMTIzNA=="}, "not-base64 "},
    {SASL_PLAIN, {"AHRlc3QAMTIzNA==AAAA"}, "not-base64 "},
    {SASL_PLAIN, {"-", "="}, "challenge() not-base64 "}, /* only an initial response says so */
    {SASL_LOGIN,
     {"-", "dGVzdA==", "MTIzNA=="},
     "challenge(VXNlcm5hbWU6) challenge(UGFzc3dvcmQ6) password test/1234 "},
    {SASL_LOGIN, {"dGVzdA==", "MTIzNA=="}, "challenge(UGFzc3dvcmQ6) password test/1234 "},
    {SASL_LOGIN, {"dGVzdA==", ""}, "challenge(UGFzc3dvcmQ6) malformed "},
    {SASL_LOGIN, {"-", ""}, "challenge(VXNlcm5hbWU6) malformed "},
    {SASL_LOGIN, {"dGUAdA==", ""}, "malformed "},
    {SASL_LOGIN, {"dGVzdA==", "*"}, "challenge(UGFzc3dvcmQ6) cancelled "},
    {SASL_SCRAM,
     {"-", "biwsbj11", "Yz1iaXdz", ""},
     "challenge() first n,,n=u challenge(c2FpZA==) final c=biws challenge(c2FpZA==) done "},
    {SASL_SCRAM, {"biwsbj11", "*"}, "first n,,n=u challenge(c2FpZA==) cancelled "},
    {SASL_SCRAM,
     {"biwsbj11", "Yz1iaXdz", "*"},
     "first n,,n=u challenge(c2FpZA==) final c=biws challenge(c2FpZA==) cancelled "},
    {SASL_SCRAM,
     {"biwsbj11", "Yz1iaXdz", "AAAA"},
     "first n,,n=u challenge(c2FpZA==) final c=biws challenge(c2FpZA==) malformed "},
    {SASL_SCRAM_PLUS, {"AAAA"}, "malformed "},
    {SASL_SCRAM_PLUS, {"="}, "malformed "},
};

static void show(char *out, size_t cap, const struct sasl *x, enum sasl_step step)
{
    size_t n = strlen(out);
    snprintf(out + n, cap - n, "%s", steps[step]);
    n = strlen(out);
    if (step == SASL_CHALLENGE)
        snprintf(out + n, cap - n, "(%s)", x->challenge);
    else if (step == SASL_PASSWORD)
        snprintf(out + n, cap - n, " %.*s/%.*s", (int)x->user.n, x->user.p, (int)x->password.n,
                 x->password.p);
    else if (step == SASL_SCRAM_FIRST || step == SASL_SCRAM_FINAL)
        snprintf(out + n, cap - n, " %.*s", (int)x->message.n, x->message.p);
    n = strlen(out);
    snprintf(out + n, cap - n, " ");
}

Test(sasl, exchanges)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[500] = "";
        struct sasl *x = sasl_begin(rows[i].mechanism);
        const char *const *line = rows[i].lines;
        struct span initial = strcmp(*line, "-") == 0 ? (struct span){NULL, 0} : span_of(*line);
        enum sasl_step step = sasl_initial(x, initial);
        show(out, sizeof out, x, step);
        while (step == SASL_CHALLENGE || step == SASL_SCRAM_FIRST || step == SASL_SCRAM_FINAL) {
            if (step == SASL_CHALLENGE && *++line == NULL)
                break;
            step = step == SASL_CHALLENGE ? sasl_line(x, span_of(*line))
                                          : sasl_answered(x, SPAN("said"));
            show(out, sizeof out, x, step);
        }
        cr_expect_str_eq(out, rows[i].expected, "row %zu: %s", i, out);
        sasl_end(x);
    }
}

Test(sasl, every_length_of_base64_fits)
{
    static char line[SASL_LINE_MAX];
    memset(line, 'A', sizeof line);
    for (size_t n = 0; n < sizeof line; n += n < 100 ? 1 : 997) {
        struct sasl *x = sasl_begin(SASL_PLAIN);
        enum sasl_step step = sasl_initial(x, (struct span){line, n});
        cr_expect_eq(step, n % 4 == 0 ? SASL_MALFORMED : SASL_NOT_BASE64, "%zu", n);
        sasl_end(x);
    }
}

Test(sasl, a_challenge_is_bounded)
{
    static char text[SASL_TEXT_MAX + 1];
    struct sasl *x = sasl_begin(SASL_SCRAM);
    cr_assert_eq(sasl_initial(x, SPAN("biwsbj11")), SASL_SCRAM_FIRST);
    cr_expect_eq(sasl_answered(x, (struct span){text, SASL_TEXT_MAX + 1}), SASL_MALFORMED);
    cr_expect_eq(sasl_answered(x, (struct span){text, SASL_TEXT_MAX}), SASL_CHALLENGE);
    cr_expect_eq(strlen(x->challenge), SASL_CHALLENGE_MAX - 1);
    sasl_end(x);
}

Test(sasl, names)
{
    char list[SASL_LIST_MAX];
    sasl_list(list, SASL_BOUND);
    cr_expect_str_eq(list, "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN");
    sasl_list(list, 0);
    cr_expect_str_eq(list, "");
    cr_expect_eq(sasl_find(SPAN("plain"), SASL_UNBOUND), SASL_PLAIN);
    cr_expect_eq(sasl_find(SPAN("SCRAM-SHA-256-PLUS"), SASL_UNBOUND), SASL_MECHANISMS);
    cr_expect_eq(sasl_find(SPAN(""), SASL_BOUND), SASL_MECHANISMS);
}
