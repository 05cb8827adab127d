#include "common/sts.h"

#include <criterion/criterion.h>

Test(sts, policies)
{
    static struct sts_policy p;
    static const struct {
        const char *text;
        const char *why; /* NULL: it is one */
        enum sts_mode mode;
        uint32_t max_age;
        size_t n_mx;
    } rows[] = {
        {"version: STSv1\r\nmode: enforce\r\nmx: Mail.example.com\r\nmx: *.example.net\r\n"
         "max_age: 604800\r\n",
         NULL, STS_ENFORCE, 604800, 2},
        {"version:STSv1\nmode:testing\nmx:a.example\nmax_age:1", NULL, STS_TESTING, 1, 1},
        {"max_age:\t86400 \nmode:  none\nversion: STSv1\n", NULL, STS_NONE, 86400, 0},
        {"version: STSv1\nmode: enforce\nmode: none\nmx: a.b\nmax_age: 9999999999\nx-y: z ; z\n\n",
         NULL, STS_ENFORCE, STS_AGE_MAX, 1},
        {"version: STSv2\nmode: none\nmax_age: 1\n", "its version is not STSv1", 0, 0, 0},
        {"version: STSv1\nmode: Enforce\nmx: a.b\nmax_age: 1\n",
         "its mode is none of enforce, testing, none", 0, 0, 0},
        {"version: STSv1\nmode: enforce\nmax_age: 1\n", "it has no mx", 0, 0, 0},
        {"version: STSv1\nmode: enforce\nmx: a.b\n", "it does not have version, mode and max_age",
         0, 0, 0},
        {"", "it does not have version, mode and max_age", 0, 0, 0},
        {"version: STSv1\nmode: enforce\nmx: a.b\nmax_age: -1\n",
         "its max_age is no number of seconds", 0, 0, 0},
        {"version: STSv1\nmode: enforce\nmx: a.b\nmax_age: 10000000000\n",
         "its max_age is no number of seconds", 0, 0, 0},
        {"version: STSv1\nmode: enforce\nmx: *.*.b\nmax_age: 1\n", "an mx of it is no name", 0, 0,
         0},
        {"version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n", "an mx of it is no name", 0, 0, 0},
        {"version: STSv1\nmode: enforce\nmx: b*.c\nmax_age: 1\n", "an mx of it is no name", 0, 0,
         0},
        {"version: STSv1\nmode enforce\n", "a line of it is not name: value", 0, 0, 0},
        {"version: STSv1\n: enforce\n", "a line of it is not name: value", 0, 0, 0},
        {"version: STSv1\nmode:\n", "a value of it is not text", 0, 0, 0},
        {"<html>", "a line of it is not name: value", 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *why = sts_parse(span_of(rows[i].text), &p);
        cr_expect_str_eq(why != NULL ? why : "", rows[i].why != NULL ? rows[i].why : "", "%s",
                         rows[i].text);
        if (why != NULL)
            continue;
        cr_expect(p.mode == rows[i].mode && p.max_age == rows[i].max_age && p.n_mx == rows[i].n_mx,
                  "%s", rows[i].text);
        cr_expect(sts_mx_is_sane((struct span){p.mx, p.mx_n}));
    }
}

Test(sts, many_mx_are_too_many)
{
    static struct sts_policy p;
    static char text[STS_TEXT_MAX + 100];
    size_t n = (size_t)snprintf(text, sizeof text, "version: STSv1\nmode: enforce\nmax_age: 1\n");
    for (int i = 0; i <= STS_MX_MAX; i++) {
        cr_expect_eq(sts_parse((struct span){text, n}, &p) == NULL, i > 0);
        int added = snprintf(text + n, sizeof text - n, "mx: m%d.example\n", i);
        n = n + (size_t)added;
    }
    cr_expect_str_eq(sts_parse((struct span){text, n}, &p), "it has too many mx");
    memset(text, '\n', sizeof text);
    cr_expect_str_eq(sts_parse((struct span){text, sizeof text}, &p), "it is too long");
}

Test(sts, hosts)
{
    static struct sts_policy p;
    cr_assert_null(sts_parse(SPAN("version: STSv1\nmode: enforce\nmx: mail.example.com\n"
                                  "mx: *.example.net\nmax_age: 1\n"),
                             &p));
    struct span mx = {p.mx, p.mx_n};
    static const char *const yes[] = {"mail.example.com", "MAIL.Example.com", "a.example.net"};
    static const char *const no[] = {"example.com",     "x.mail.example.com", "example.net",
                                     "a.b.example.net", ".example.net",       "",
                                     "*.example.com",   "mail.example.comx"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        cr_expect(sts_matches(mx, span_of(yes[i])), "%s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        cr_expect_not(sts_matches(mx, span_of(no[i])), "%s", no[i]);
    cr_expect_not(sts_matches(SPAN("\x01"), SPAN("a.b")));
    cr_expect_not(sts_mx_is_sane(SPAN("\x01")));
}

static int read_records(const char *const *texts, char id[STS_ID_MAX + 1])
{
    char room[4096];
    struct packer w = packer_on(room, sizeof room);
    for (; *texts != NULL; texts++)
        pack_bytes(&w, span_of(*texts));
    return sts_read_records(packer_span(&w), id);
}

Test(sts, records)
{
    static const struct {
        const char *texts[3];
        const char *id; /* NULL: none */
    } rows[] = {
        {{"v=STSv1; id=20160831085700Z;"}, "20160831085700Z"},
        {{"v=STSv1;id=a"}, "a"},
        {{"v=STSv1 ;\tx-y=%$; id=a; id=b ; "}, "a"},
        {{"v=spf1 -all", "v=STSv1; id=a;"}, "a"},
        {{"v=STSv1; id=a;", "v=STSv1; id=a;"}, NULL},
        {{"v=STSv1; id=;"}, NULL},
        {{"v=STSv1; id=a-b;"}, NULL},
        {{"v=STSv1;"}, NULL},
        {{"v=STSv1; id=a; junk;"}, NULL},
        {{"v=STSv1; ; id=a"}, NULL},
        {{"v=STSv1"}, NULL},
        {{"v=STSv10; id=a"}, NULL},
        {{"id=a; v=STSv1;"}, NULL},
        {{"V=STSv1; id=a;"}, NULL},
        {{"v=STSv1; id=012345678901234567890123456789012;"}, NULL},
        {{NULL}, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char id[STS_ID_MAX + 1];
        int rc = read_records(rows[i].texts, id);
        cr_expect_eq(rc, rows[i].id != NULL ? 0 : -1, "row %zu", i);
        if (rc == 0 && rows[i].id != NULL)
            cr_expect_str_eq(id, rows[i].id);
    }
}
