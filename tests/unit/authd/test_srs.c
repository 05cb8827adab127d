#include "authd/srs.h"

#include <criterion/criterion.h>
#include <sodium.h>

#define DAY   86400
#define NOW   (INT64_C(20000) * DAY + 7)
#define LIMIT 21

static unsigned char key[SRS_KEY_OCTETS];
static char out[ADDRESS_MAX], back[ADDRESS_MAX];

static void begin(void)
{
    cr_assert_geq(sodium_init(), 0);
    srs_key((const unsigned char *)"secret", 6, key);
}

TestSuite(srs, .init = begin);

static int forward(const char *sender)
{
    return srs_forward(key, span_of(sender), SPAN("ours.example"), NOW, out);
}

static enum srs_kind reverse_at(const char *address, int64_t now_s)
{
    return srs_reverse(key, span_of(address), now_s, LIMIT, back);
}

/* The hash is looked at apart. */
static void mask(char *text)
{
    cr_assert_gt(strlen(text), 14U);
    char *at = text[0] == '"' ? text + 6 : text + 5;
    for (size_t i = 0; i < SRS_HASH; i++) {
        cr_assert(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", at[i]) != NULL, "%s", text);
        at[i] = 'H';
    }
}

Test(srs, there_and_back)
{
    static const struct {
        const char *sender, *forwarded, *back; /* back NULL: sender */
    } rows[] = {
        {"bob@far.example", "SRS0=HHHHHHHH=RA=far.example=bob@ours.example", NULL},
        {"Bob+Tag=x@far.example", "SRS0=HHHHHHHH=RA=far.example=Bob+Tag=x@ours.example", NULL},
        {"\"a b\"@far.example", "\"SRS0=HHHHHHHH=RA=far.example=a b\"@ours.example", NULL},
        {"\"a\\\"\\\\b@c\"@far.example",
         "\"SRS0=HHHHHHHH=RA=far.example=a\\\"\\\\b@c\"@ours.example", NULL},
        {"bob@[192.0.2.1]", "\"SRS0=HHHHHHHH=RA=[192.0.2.1]=bob\"@ours.example", NULL},
        {"b\xc3\xbc@far.example", "SRS0=HHHHHHHH=RA=far.example=b\xc3\xbc@ours.example", NULL},
        {"srs0@far.example", "SRS0=HHHHHHHH=RA=far.example=srs0@ours.example", NULL},
        {"SRS0=abcd=XX=far.example=bob@mid.example",
         "SRS1=HHHHHHHH=mid.example==abcd=XX=far.example=bob@ours.example", NULL},
        {"srs0+abcd=XX=far.example=bob@mid.example",
         "SRS1=HHHHHHHH=mid.example=+abcd=XX=far.example=bob@ours.example",
         "SRS0+abcd=XX=far.example=bob@mid.example"},
        {"SRS1=zzzz=mid.example==abcd=XX=far.example=bob@other.example",
         "SRS1=HHHHHHHH=mid.example==abcd=XX=far.example=bob@ours.example",
         "SRS0=abcd=XX=far.example=bob@mid.example"},
        {"SRS1-zzzz=mid.example=-abcd@other.example",
         "SRS1=HHHHHHHH=mid.example=-abcd@ours.example", "SRS0-abcd@mid.example"},
        /* begins like one, but there is no first forwarder in it */
        {"SRS1=bob@far.example", "SRS0=HHHHHHHH=RA=far.example=SRS1=bob@ours.example", NULL},
        {"SRS0=@far.example", "SRS0=HHHHHHHH=RA=far.example=SRS0=@ours.example", NULL},
        {"SRS1=zz=mid.exa|ple==ab@far.example",
         "SRS0=HHHHHHHH=RA=far.example=SRS1=zz=mid.exa|ple==ab@ours.example", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(forward(rows[i].sender), 0, "%s", rows[i].sender);
        cr_expect_eq(reverse_at(out, NOW), SRS_GOOD, "%s", out);
        const char *wanted = rows[i].back != NULL ? rows[i].back : rows[i].sender;
        cr_expect_str_eq(back, wanted, "%s came back as %s", out, back);
        mask(out);
        cr_expect_str_eq(out, rows[i].forwarded, "%s", out);
    }
}

/* Some servers write a local part in another case. */
Test(srs, case_does_not_matter_to_the_hash)
{
    static const char *const senders[] = {"Bob@far.example",
                                          "SRS0=Ab=XX=far.example=B@mid.example"};
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(forward(senders[i]), 0);
        for (char *p = out; *p != '\0'; p++)
            *p = ascii_lower(*p);
        cr_expect_eq(reverse_at(out, NOW), SRS_GOOD, "%s", out);
    }
    cr_expect_str_eq(back, "SRS0=ab=xx=far.example=b@mid.example");
}

Test(srs, a_changed_octet_is_seen)
{
    static const char *const senders[] = {"bob@far.example",
                                          "SRS0=ab=XX=far.example=b@mid.example"};
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(forward(senders[i]), 0);
        size_t n = (size_t)(strchr(out, '@') - out);
        for (size_t at = 5; at < n; at++) {
            char changed[ADDRESS_MAX];
            memcpy(changed, out, sizeof changed);
            changed[at] = changed[at] == 'x' || changed[at] == 'X' ? 'y' : 'x';
            cr_expect_eq(reverse_at(changed, NOW), SRS_FORGED, "%s", changed);
        }
        for (size_t short_of = 5; short_of < n; short_of++) {
            char cut[ADDRESS_MAX];
            snprintf(cut, sizeof cut, "%.*s%s", (int)short_of, out, out + n);
            cr_expect_neq(reverse_at(cut, NOW), SRS_GOOD, "%s", cut);
        }
    }
}

Test(srs, another_key_makes_another_hash)
{
    cr_assert_eq(forward("bob@far.example"), 0);
    srs_key((const unsigned char *)"Secret", 6, key);
    cr_expect_eq(reverse_at(out, NOW), SRS_FORGED);
}

Test(srs, it_grows_old)
{
    cr_assert_eq(forward("bob@far.example"), 0);
    static const struct {
        int days;
        enum srs_kind kind;
    } rows[] = {{-1, SRS_GOOD},    {0, SRS_GOOD},        {1, SRS_GOOD},
                {LIMIT, SRS_GOOD}, {LIMIT + 1, SRS_OLD}, {500, SRS_OLD},
                {1022, SRS_OLD},   {1023, SRS_GOOD},     {1024, SRS_GOOD}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(reverse_at(out, NOW + rows[i].days * (int64_t)DAY), rows[i].kind, "%d days",
                     rows[i].days);
}

Test(srs, others_are_left_alone)
{
    static const char *const rows[] = {"bob@ours.example",
                                       "srs@ours.example",
                                       "SRS0@ours.example",
                                       "SRS2=a=b=c=d@ours.example",
                                       "srs0x@ours.example",
                                       "SRS=x@ours.example",
                                       "SRS0=@",
                                       "SRS0=a",
                                       ""};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(reverse_at(rows[i], NOW), SRS_OTHER, "%s", rows[i]);
    static const char *const forged[] = {
        "SRS0=a@ours.example",     "SRS0=a=b@ours.example",
        "SRS0=a=b=c@ours.example", "SRS0=a=b=c=d@ours.example",
        "SRS0====x@ours.example",  "SRS1=a@ours.example",
        "SRS1=a=b@ours.example",   "SRS1=a=b==@ours.example",
        "SRS1===x@ours.example",   "SRS0=HHHHHHHH=R1=far.example=bob@ours.example"};
    for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++)
        cr_expect_eq(reverse_at(forged[i], NOW), SRS_FORGED, "%s", forged[i]);
}

/* Over 64 octets is what RFC 5321 4.5.3.1.1 does not promise, and everybody takes; over a path is
 * nothing. */
Test(srs, long_senders)
{
    char sender[ADDRESS_MAX];
    for (size_t n = 1; n < 250; n++) {
        memset(sender, 'a', n);
        memcpy(sender + n, "@f.example", sizeof "@f.example");
        int rc = forward(sender);
        bool fits = 5 + SRS_HASH + 1 + 2 + 1 + 9 + 1 + n + sizeof "@ours.example" - 1 + 2 <= 256;
        cr_expect_eq(rc, fits ? 0 : -1, "%zu", n);
        if (rc == 0) {
            cr_expect_eq(reverse_at(out, NOW), SRS_GOOD);
            cr_expect_str_eq(back, sender);
        }
    }
}
