#include "cli/uidlist.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#define V3 "3 V1275660208 N22147 G3085f01b7f11094c501100008c4a11c1\n"
#define V1 "1 1275660208 22147\n"
#define C3 "/3 18 1143654321\n"

/* The UIDL of file 1276528487.M1.host, or NULL. */
static const struct {
    enum uidlist_kind kind;
    const char *format, *list, *uidl;
} rows[] = {
    {UIDLIST_DOVECOT, "%08Xu%08Xv", V3 "25 W9 :1276528487.M1.host,S=1:2,S\n", NULL},
    {UIDLIST_DOVECOT, "%08Xu%08Xv", V3 "25 W9 :1276528487.M1.host:2,S\n", "000000194c0907b0"},
    {UIDLIST_DOVECOT, "%08Xu%08Xv", V3 "25 :1276528487.M1.host\n", "000000194c0907b0"},
    {UIDLIST_DOVECOT, "%08Xu%08Xv", V1 "25 1276528487.M1.host:2,\n", "000000194c0907b0"},
    {UIDLIST_DOVECOT, "%08Xu%08Xv", V3 "25 Pold-1 :1276528487.M1.host\n", "old-1"},
    {UIDLIST_DOVECOT, "%v.%u", V3 "25 :1276528487.M1.host\r\n", "1275660208.25"},
    {UIDLIST_DOVECOT, "%f", V3 "25 :1276528487.M1.host:2,RS\n", "1276528487.M1.host"},
    {UIDLIST_DOVECOT, "%g", V3 "25 Gabc :1276528487.M1.host\n", "abc"},
    {UIDLIST_DOVECOT, "%g", V3 "25 :1276528487.M1.host\n", "1276528487.M1.host"},
    {UIDLIST_DOVECOT, "%{uidvalidity | hex(8)}-%{uid}%%", V3 "25 :1276528487.M1.host\n",
     "4c0907b0-25%"},
    {UIDLIST_DOVECOT, "%u", V3 "25 :1276528487.M1.host\n26 :1276528487.M1.host\n", "26"},
    {UIDLIST_DOVECOT, "%u", V3 "4294967295 :1276528487.M1.host\n", "4294967295"},
    /* what is no list, and lines that are none */
    {UIDLIST_DOVECOT, "%u", "", NULL},
    {UIDLIST_DOVECOT, "%u", "2 9 9\n25 :1276528487.M1.host\n", NULL},
    {UIDLIST_DOVECOT, "%u", "25 :1276528487.M1.host\n", NULL},
    {UIDLIST_DOVECOT, "%u", V3 "x :1276528487.M1.host\n", NULL},
    {UIDLIST_DOVECOT, "%u", V3 "25\n", NULL},
    {UIDLIST_DOVECOT, "%u", V3 "25 :\n", NULL},
    {UIDLIST_DOVECOT, "%u", V3 "18446744073709551616 :1276528487.M1.host\n", NULL},
    {UIDLIST_DOVECOT, "%u", V3 "\n\n25 :1276528487.M1.host", "25"},
    {UIDLIST_DOVECOT, "%5u", V3 "25 :1276528487.M1.host\n", NULL}, /* spaces are in no UIDL */
    {UIDLIST_DOVECOT, "%u", V3 "25 P\x7f :1276528487.M1.host\n", NULL},
    /* Courier */
    {UIDLIST_COURIER, "", C3 "1276528487.M1.host:2,S 100 17:1143654321:0\n", "UID17-1143654321"},
    {UIDLIST_COURIER, "", C3 "1276528487.M1.host 100 5:0\n", "UID5"},
    {UIDLIST_COURIER, "", "/2 18 9\n1276528487.M1.host 100 17:9\n", "UID17-9"},
    {UIDLIST_COURIER, "", "/1 18\n1276528487.M1.host 100 17\n", "UID17"},
    {UIDLIST_COURIER, "", C3 "1276528487.M1.host:2,S 100 0:0\n", "1276528487.M1.host"},
    {UIDLIST_COURIER, "", C3 "1276528487.M1.host 100\n", NULL},
    {UIDLIST_COURIER, "", C3 "1276528487.M1.host 100 x:1\n", NULL},
    {UIDLIST_COURIER, "", C3 "1276528487.M1.host 100 5:x\n", NULL},
    {UIDLIST_COURIER, "", C3 "1276528487.M1.host x 5:1\n", NULL},
    {UIDLIST_COURIER, "", C3 " 100 5:1\n", NULL},
    {UIDLIST_COURIER, "", "1276528487.M1.host 100 5:1\n", "UID5-1"}, /* no header */
};

static int open_with(const char *list, size_t n)
{
    char name[] = "/tmp/barid-uidlist-XXXXXX";
    int fd = mkstemp(name);
    cr_assert(fd >= 0 && unlink(name) == 0 && write(fd, list, n) == (ssize_t)n);
    cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

Test(uidlist, gives_what_the_other_server_gave)
{
    cr_assert(sodium_init() >= 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct uidlist u;
        struct error e;
        int fd = open_with(rows[i].list, strlen(rows[i].list));
        uidlist_begin(&u, rows[i].kind, rows[i].format);
        cr_assert_eq(uidlist_read(&u, fd, &e), 0);
        const struct uidlist_entry *found = uidlist_find(&u, SPAN("1276528487.M1.host:2,F"));
        cr_expect_eq(found != NULL, rows[i].uidl != NULL, "row %zu", i);
        if (found != NULL && rows[i].uidl != NULL)
            cr_expect(span_eq(uidlist_uidl(&u, found), span_of(rows[i].uidl)), "row %zu: %.*s", i,
                      (int)found->n, uidlist_uidl(&u, found).p);
        cr_expect_null(uidlist_find(&u, SPAN("other")));
        cr_expect_null(uidlist_find(&u, SPAN("")));
        uidlist_free(&u);
        close(fd);
    }
}

Test(uidlist, odd_lines_hide_no_other)
{
    static char list[20000] = V3 "1 :a\n2 P";
    struct uidlist u;
    struct error e;
    size_t n = strlen(list);
    memset(list + n, 'x', 9000); /* longer than a line may be */
    n += 9000;
    memcpy(list + n, " :b\n3 :c\0d\n4 :e", 16);
    int fd = open_with(list, n + 15);
    cr_assert(sodium_init() >= 0);
    uidlist_begin(&u, UIDLIST_DOVECOT, "%u");
    cr_assert_eq(uidlist_read(&u, fd, &e), 0);
    cr_expect_null(uidlist_find(&u, SPAN("b")));
    const char *const names[] = {"a", "e"};
    for (size_t i = 0; i < 2; i++)
        cr_expect_not_null(uidlist_find(&u, span_of(names[i])), "%s", names[i]);
    cr_expect_not_null(uidlist_find(&u, (struct span){"c\0d", 3}));
    cr_expect_null(uidlist_find(&u, SPAN("c")));
    uidlist_free(&u);
    close(fd);
}

Test(uidlist, a_directory_is_said_to_be_none)
{
    struct uidlist u;
    struct error e;
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    uidlist_begin(&u, UIDLIST_DOVECOT, "%u");
    cr_expect_eq(uidlist_read(&u, fds[1], &e), -1); /* cannot be read */
    uidlist_free(&u);
}

Test(uidlist, formats)
{
    static const char *const good[] = {"%u",       "%08Xu%08Xv", "%v.%u",       "%f",
                                       "%g",       "%Xu",        "%{uid}",      "x%%y%u",
                                       "UID%u-%v", "%{uid|hex}", "%{filename}", "%{guid}"};
    static const char *const bad[] = {
        "",       "%",          "%q",          "%5",    "%{",      "%{uid",
        "%{odd}", "%{uid|oct}", "%{uid|hex(}", "a b%u", "%99999u", "%{uid|hex(99)}",
        "\x80%u"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect(uidlist_is_format(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(uidlist_is_format(bad[i]), "%s", bad[i]);
}

/* qmail's POP3 server calls a message by its file's name without flags. */
Test(uidlist, names_of_files)
{
    static const struct {
        const char *name, *base;
        bool is_uidl;
    } names[] = {{"1276528487.M1.host:2,S", "1276528487.M1.host", true},
                 {"1276528487.1.host", "1276528487.1.host", true},
                 {"a:b:c", "a", true},
                 {":2,S", "", false},
                 {"with space", "with space", false},
                 {"\xc3\xa4", "\xc3\xa4", false},
                 {"1234567890123456789012345678901234567890123456789012345678901234567890",
                  "1234567890123456789012345678901234567890123456789012345678901234567890", true},
                 {"12345678901234567890123456789012345678901234567890123456789012345678901",
                  "12345678901234567890123456789012345678901234567890123456789012345678901",
                  false}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct span base = uidlist_base(span_of(names[i].name));
        cr_expect(span_eq(base, span_of(names[i].base)), "%s", names[i].name);
        cr_expect_eq(uidlist_is_uidl(base), names[i].is_uidl, "%s", names[i].name);
    }
}
