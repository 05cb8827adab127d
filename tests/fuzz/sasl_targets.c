/* Logging in, by both sides, and addresses that carry a MAC of ours. */
#include "authd/scram.h"
#include "authd/srs.h"
#include "common/addr.h"
#include "common/sasl.h"
#include "common/scram_client.h"
#include "tests/fuzz/fuzz.h"

#include <sodium.h>

#define TEXT_CAP  (4 * SCRAM_TEXT_MAX)
#define SLOW_FROM 10000 /* iterations: what is more takes too long here */
#define NOW       (INT64_C(20000) * 86400)

/* --- the lines of an exchange, as smtpd and pop3d take them --- */

/* Is a line exactly the base64 of this? */
static bool is_base64_of(struct span line, const char *octets, size_t n)
{
    static char text[SASL_LINE_MAX + 8];
    if (sodium_base64_ENCODED_LEN(n, sodium_base64_VARIANT_ORIGINAL) > sizeof text)
        return false;
    sodium_bin2base64(text, sizeof text, (const unsigned char *)octets, n,
                      sodium_base64_VARIANT_ORIGINAL);
    return span_eq(line, span_of(text)) || (n == 0 && span_eq(line, SPAN("=")));
}

static bool is_plain_of(struct span line, const struct sasl *x)
{
    static char all[SASL_LINE_MAX];
    struct span s = x->user, p = x->password;
    size_t n = s.n + p.n + 2;
    if (n + s.n > sizeof all)
        return false;
    all[0] = '\0';
    memcpy(all + 1, s.p, s.n);
    all[1 + s.n] = '\0';
    memcpy(all + 2 + s.n, p.p, p.n);
    if (is_base64_of(line, all, n))
        return true;
    memmove(all + s.n, all, n); /* with the authorization identity, in whatever case */
    memcpy(all, s.p, s.n);
    static char got[SASL_LINE_MAX];
    size_t n_got = 0;
    return sodium_base642bin((unsigned char *)got, sizeof got, line.p, line.n, NULL, &n_got, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           n_got == n + s.n && memcmp(got + s.n, all + s.n, n) == 0 &&
           span_ieq((struct span){got, s.n}, s);
}

static void check_step(const struct sasl *x, enum sasl_step step, struct span line)
{
    bool is_scram = x->mechanism == SASL_SCRAM || x->mechanism == SASL_SCRAM_PLUS;
    fuzz_check(step <= SASL_NO_MEMORY, "sasl: no step");
    if (step == SASL_PASSWORD) {
        fuzz_check(!is_scram && x->user.n > 0 && x->password.n > 0, "sasl: half a login");
        fuzz_check(memchr(x->user.p, '\0', x->user.n) == NULL &&
                       memchr(x->password.p, '\0', x->password.n) == NULL,
                   "sasl: NUL in a login");
        fuzz_check(x->mechanism == SASL_PLAIN ? is_plain_of(line, x)
                                              : is_base64_of(line, x->password.p, x->password.n),
                   "sasl: another login than was said");
    }
    if (step == SASL_SCRAM_FIRST || step == SASL_SCRAM_FINAL)
        fuzz_check(is_scram && x->message.n > 0 && x->message.n <= SASL_TEXT_MAX &&
                       is_base64_of(line, x->message.p, x->message.n),
                   "sasl: another message than was said");
    if (step == SASL_DONE)
        fuzz_check(is_scram, "sasl: done without authd");
}

/* The first octet says which mechanism, and whether the first line is an initial response. */
void fuzz_sasl(struct span in)
{
    unsigned choice = in.n > 0 ? (unsigned char)in.p[0] : 0;
    struct sasl *x = sasl_begin((enum sasl_mechanism)(choice % SASL_MECHANISMS));
    struct span left = span_from(in, 1);
    if (x == NULL)
        return;
    struct span line = (choice & 4) != 0 ? span_cut(&left, '\n') : (struct span){NULL, 0};
    enum sasl_step step = sasl_initial(x, line);
    for (int i = 0; i < 10; i++) {
        check_step(x, step, line);
        if (step == SASL_SCRAM_FIRST || step == SASL_SCRAM_FINAL)
            step = sasl_answered(x, SPAN("r=x,s=y,i=1"));
        if (step != SASL_CHALLENGE || left.n == 0)
            break;
        line = span_cut(&left, '\n');
        step = sasl_line(x, line);
    }
    sasl_end(x);
}

/* --- SCRAM, as authd reads it --- */

static size_t escaped(const char *user, char *out)
{
    size_t n = 0;
    for (; *user != '\0'; user++) {
        const char *code = *user == ',' ? "=2C" : *user == '=' ? "=3D" : NULL;
        memcpy(out + n, code != NULL ? code : user, code != NULL ? 3 : 1);
        n += code != NULL ? 3 : 1;
    }
    return n;
}

/* Puts what the client could not know into a text, at its '@'. */
static struct span with_nonce(struct span text, struct span nonce, char out[TEXT_CAP])
{
    struct span rest = text, before = span_cut(&rest, '@');
    if (rest.p == NULL || text.n + nonce.n > TEXT_CAP)
        return text;
    memcpy(out, before.p, before.n);
    memcpy(out + before.n, nonce.p, nonce.n);
    memcpy(out + before.n + nonce.n, rest.p, rest.n);
    return (struct span){out, text.n - 1 + nonce.n};
}

static void check_final(const struct scram *x, struct span text)
{
    static struct scram_final final;
    static char want[TEXT_CAP];
    static const struct scram_keys keys;
    char answer[SCRAM_PROOF_TEXT];
    if (scram_read_final(x, text, &final) < 0)
        return;
    int n = snprintf(want, sizeof want, "%s,%s,", x->bare, x->said);
    fuzz_check(final.n_auth > (size_t)n && memcmp(final.auth, want, (size_t)n) == 0,
               "scram: another exchange is proved");
    struct span ours = {final.auth + n, final.n_auth - (size_t)n}, rest = ours;
    fuzz_check(span_starts(text, ours), "scram: not what was said is proved");
    struct span binding = span_from(span_cut(&rest, ','), 2);
    fuzz_check(is_base64_of(binding, x->binding, x->n_binding), "scram: bound to another channel");
    fuzz_check(span_eq(span_from(span_cut(&rest, ','), 2), x->nonce), "scram: another nonce");
    fuzz_check(!scram_matches(&final, &keys), "scram: keys that nobody has");
    scram_answer(&final, &keys, answer);
}

/* Two lines: the messages of a client. */
void fuzz_scram(struct span in)
{
    static struct scram x;
    static char text[TEXT_CAP], name[3 * LOGIN_MAX + 3];
    static const struct scram_salt salt = {.octets = "0123456789abcde", .iterations = 4096};
    struct scram_first first;
    struct span rest = in, said = span_cut(&rest, '\n');
    if (scram_read_first(said, &first) < 0)
        return;
    fuzz_check(first.header.n + first.bare.n == said.n && first.bare.p == said.p + first.header.n,
               "scram: a part is in no part");
    fuzz_check(span_eq(first.name, (struct span){name, escaped(first.user, name)}),
               "scram: a name with two forms");
    fuzz_check(first.nonce.n > 0 && first.nonce.n <= SCRAM_NONCE_MAX, "scram: no nonce");
    struct span channel = first.flag == 'p' ? SPAN("0123456789abcdef") : SPAN("");
    if (scram_begin(&x, &first, &salt, channel) < 0)
        return;
    fuzz_check(span_starts(x.nonce, first.nonce) && x.nonce.n > first.nonce.n,
               "scram: nothing of ours in the nonce");
    check_final(&x, with_nonce(rest, x.nonce, text));
}

/* --- SCRAM, as fetch and relay read it: a server that does not know the password --- */

static bool is_slow(struct span text)
{
    for (size_t i = 0; i + 2 < text.n; i++) {
        uint64_t n;
        struct span rest = span_from(text, i + 2);
        if (memcmp(text.p + i, "i=", 2) == 0 &&
            (span_u64(span_cut(&rest, ','), &n) < 0 || n > SLOW_FROM))
            return true;
    }
    return false;
}

void fuzz_scramc(struct span in)
{
    static struct scram_client x;
    static char text[TEXT_CAP], out[SCRAM_CLIENT_TEXT_MAX];
    struct span rest = in, said = span_cut(&rest, '\n');
    fuzz_check(scram_client_begin(&x, "joe", "p=tls-exporter", SPAN("0123456789abcdef")) == 0,
               "scramc: no first message");
    said = with_nonce(said, span_of(x.nonce), text);
    if (!is_slow(said) && scram_client_answer(&x, said, SPAN("pencil"), out) == 0) {
        fuzz_check(memcmp(out, "c=", 2) == 0 && strlen(out) < sizeof out, "scramc: no message");
        fuzz_check(scram_client_verify(&x, rest) < 0, "scramc: believes who proves nothing");
    }
    scram_client_end(&x);
}

/* --- SRS --- */

/* What anybody writes is not ours; what we made comes back, and with another key it does not. */
void fuzz_srs(struct span in)
{
    unsigned char key[SRS_KEY_OCTETS] = {1}, other[SRS_KEY_OCTETS] = {2};
    char out[ADDRESS_MAX], back[ADDRESS_MAX], again[ADDRESS_MAX], once_more[ADDRESS_MAX];
    struct addr a;
    size_t used;
    fuzz_check(srs_reverse(key, in, NOW, 21, back) != SRS_GOOD, "srs: takes what it never made");
    if (addr_parse(in, ADDR_MAILBOX, &a, &used) < 0 || a.is_null || a.domain[0] == '\0' ||
        srs_forward(key, span_of(a.text), SPAN("ours.example"), NOW, out) < 0)
        return;
    fuzz_check(addr_parse(span_of(out), ADDR_MAILBOX, &a, &used) == 0 && strcmp(a.text, out) == 0,
               "srs: not an address");
    fuzz_check(srs_reverse(key, span_of(out), NOW, 21, back) == SRS_GOOD, "srs: not its own");
    fuzz_check(addr_parse(span_of(back), ADDR_MAILBOX, &a, &used) == 0 && strcmp(a.text, back) == 0,
               "srs: does not go back to an address");
    /* a domain inside is put into lower case on the way, once */
    fuzz_check(srs_forward(key, span_of(back), SPAN("ours.example"), NOW, again) == 0 &&
                   srs_reverse(key, span_of(again), NOW, 21, once_more) == SRS_GOOD &&
                   strcmp(once_more, back) == 0,
               "srs: goes back to another one");
    fuzz_check(srs_reverse(other, span_of(out), NOW, 21, back) == SRS_FORGED,
               "srs: any key will do");
}
