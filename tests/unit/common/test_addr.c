#include "common/addr.h"

#include <criterion/criterion.h>

struct row {
    const char *in;
    enum addr_form form;
    const char *text;   /* NULL: no address */
    const char *domain; /* NULL: do not look */
    size_t used;        /* 0: all of it */
};

static const struct row rows[] = {
    {"<a@b.c>", ADDR_REVERSE_PATH, "a@b.c", "b.c", 0},
    {"<Ann.Lee+x@Example.ORG>", ADDR_FORWARD_PATH, "Ann.Lee+x@example.org", "example.org", 0},
    {"<a@b.c> SIZE=1", ADDR_REVERSE_PATH, "a@b.c", NULL, 7},
    {"<>", ADDR_REVERSE_PATH, "", "", 0},
    {"<> BODY=7BIT", ADDR_REVERSE_PATH, "", "", 2},
    {"<>", ADDR_FORWARD_PATH, NULL, NULL, 0},
    {"<postMASTER>", ADDR_FORWARD_PATH, "postmaster", "", 0},
    {"<postmaster>", ADDR_REVERSE_PATH, NULL, NULL, 0},
    {"<root>", ADDR_FORWARD_PATH, NULL, NULL, 0},
    {"postmaster", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@b", ADDR_MAILBOX, "a@b", "b", 0},
    {"a@b ", ADDR_MAILBOX, NULL, NULL, 0},
    {"<a@b>", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@b", ADDR_REVERSE_PATH, NULL, NULL, 0},
    {"<a@b", ADDR_REVERSE_PATH, NULL, NULL, 0},
    {"<a@b >", ADDR_REVERSE_PATH, NULL, NULL, 0},
    {"< a@b>", ADDR_REVERSE_PATH, NULL, NULL, 0},
    {"", ADDR_REVERSE_PATH, NULL, NULL, 0},
    {"", ADDR_MAILBOX, NULL, NULL, 0},
    {"@b", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@", ADDR_MAILBOX, NULL, NULL, 0},
    {"<@b>", ADDR_REVERSE_PATH, NULL, NULL, 0},
    /* quoting: the same mailbox has one text */
    {"\"ann\"@b", ADDR_MAILBOX, "ann@b", NULL, 0},
    {"\"a\\nn\"@b", ADDR_MAILBOX, "ann@b", NULL, 0},
    {"\"a b\"@b", ADDR_MAILBOX, "\"a b\"@b", NULL, 0},
    {"\"a@x>\"@b", ADDR_MAILBOX, "\"a@x>\"@b", "b", 0},
    {"<\"a>\"@b>", ADDR_FORWARD_PATH, "\"a>\"@b", "b", 0},
    {"\"a\\\"\\\\\\ \"@b", ADDR_MAILBOX, "\"a\\\"\\\\ \"@b", NULL, 0},
    {"\"a.\"@b", ADDR_MAILBOX, "\"a.\"@b", NULL, 0},
    {"\"\"@b", ADDR_MAILBOX, NULL, NULL, 0},
    {"\"a@b", ADDR_MAILBOX, NULL, NULL, 0},
    {"\"a\\", ADDR_MAILBOX, NULL, NULL, 0},
    {"\"a\"b@b", ADDR_MAILBOX, NULL, NULL, 0},
    {"\"a\tb\"@b", ADDR_MAILBOX, NULL, NULL, 0},
    {"a..b@b", ADDR_MAILBOX, NULL, NULL, 0},
    {".a@b", ADDR_MAILBOX, NULL, NULL, 0},
    {"a.@b", ADDR_MAILBOX, NULL, NULL, 0},
    {"a b@b", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@b@c", ADDR_MAILBOX, NULL, NULL, 0},
    {"a(x)@b", ADDR_MAILBOX, NULL, NULL, 0},
    {"!#$%&'*+-/=?^_`{|}~@b", ADDR_MAILBOX, "!#$%&'*+-/=?^_`{|}~@b", NULL, 0},
    {"\xe9@b", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@\xe9", ADDR_MAILBOX, NULL, NULL, 0},
    {"\"\xe9\"@b", ADDR_MAILBOX, NULL, NULL, 0},
    /* domains */
    {"a@b.", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@.b", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@b..c", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@-b", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@b-.c", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@b-", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@b_c", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@xn--bcher-kva.example", ADDR_MAILBOX, "a@xn--bcher-kva.example", NULL, 0},
    {"a@[192.0.2.1]", ADDR_MAILBOX, "a@[192.0.2.1]", "[192.0.2.1]", 0},
    {"a@[ipv6:2001:DB8:0::1]", ADDR_MAILBOX, "a@[IPv6:2001:db8::1]", NULL, 0},
    {"a@[2001:db8::1]", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@[192.0.2.256]", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@[192.0.2]", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@[x-tag:1]", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@[]", ADDR_MAILBOX, NULL, NULL, 0},
    {"a@[192.0.2.1", ADDR_MAILBOX, NULL, NULL, 0},
    /* source routes */
    {"<@x.y:a@b>", ADDR_FORWARD_PATH, "a@b", "b", 0},
    {"<@x,@y.z:a@b> X", ADDR_REVERSE_PATH, "a@b", NULL, 13},
    {"<@x,y:a@b>", ADDR_FORWARD_PATH, NULL, NULL, 0},
    {"<@x:>", ADDR_REVERSE_PATH, NULL, NULL, 0},
    {"@x:a@b", ADDR_MAILBOX, NULL, NULL, 0},
};

Test(addr, table)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        struct addr a;
        size_t used = 0;
        int rc = addr_parse(span_of(r->in), r->form, &a, &used);
        cr_expect_eq(rc, r->text == NULL ? -1 : 0, "%s: %d", r->in, rc);
        if (rc != 0 || r->text == NULL)
            continue;
        cr_expect_str_eq(a.text, r->text, "%s gave %s", r->in, a.text);
        cr_expect(r->domain == NULL || strcmp(a.domain, r->domain) == 0, "%s: %s", r->in, a.domain);
        cr_expect_eq(used, r->used != 0 ? r->used : strlen(r->in), "%s: used %zu", r->in, used);
        cr_expect_eq(a.is_null, r->text[0] == '\0');
    }
}

Test(addr, canonical_text_reads_as_itself)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct addr a, again;
        size_t used;
        if (rows[i].text == NULL || strchr(rows[i].text, '@') == NULL)
            continue;
        cr_assert_eq(addr_parse(span_of(rows[i].text), ADDR_MAILBOX, &a, &used), 0);
        cr_expect_str_eq(a.text, rows[i].text);
        cr_assert_eq(addr_parse(span_of(a.text), ADDR_MAILBOX, &again, &used), 0);
        cr_expect_str_eq(a.local, again.local);
    }
}

Test(addr, nul_is_no_end)
{
    struct addr a;
    size_t used;
    cr_expect_eq(addr_parse((struct span){"a\0x@b", 5}, ADDR_MAILBOX, &a, &used), -1);
    cr_expect_eq(addr_parse((struct span){"a@b\0", 4}, ADDR_MAILBOX, &a, &used), -1);
    cr_expect_eq(addr_parse((struct span){"a@[1.2.3.4\0]", 12}, ADDR_MAILBOX, &a, &used), -1);
    cr_expect_eq(addr_parse((struct span){"\"a\0\"@b", 6}, ADDR_MAILBOX, &a, &used), -1);
}

/* Every length up to far over the limits, so that no buffer's end is left untried. */
Test(addr, lengths)
{
    for (size_t n = 1; n < 600; n++) {
        char in[1300];
        struct addr a;
        size_t used;
        memset(in, 'a', n);
        snprintf(in + n, 8, "@b.c");
        cr_expect_eq(addr_parse(span_of(in), ADDR_MAILBOX, &a, &used), n + 6 <= 256 ? 0 : -1, "%zu",
                     n);
        in[0] = '"';
        for (size_t i = 1; i <= n; i++)
            memcpy(in + 2 * i - 1, "\\\"", 2);
        snprintf(in + 2 * n + 1, 8, "\"@b");
        cr_expect_eq(addr_parse(span_of(in), ADDR_MAILBOX, &a, &used), 2 * n + 6 <= 256 ? 0 : -1,
                     "%zu", n);
        memset(in, 'd', n);
        in[n] = '\0';
        cr_expect_eq(addr_is_domain(span_of(in)), n <= 63);
        for (size_t i = 1; i < n; i += 2)
            in[i] = '.';
        cr_expect_eq(addr_is_domain(span_of(in)), n <= 255 && n % 2 == 1, "%zu", n);
    }
}

Test(addr, tag)
{
    static const struct {
        const char *local, *user;
    } tags[] = {{"ann+x", "ann"}, {"ann", "ann"}, {"ann+x+y", "ann"}, {"+x", "+x"}, {"a+", "a"}};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        cr_expect(span_eq(addr_without_tag(span_of(tags[i].local)), span_of(tags[i].user)), "%s",
                  tags[i].local);
}

Test(addr, literal)
{
    cr_expect(addr_is_literal(SPAN("[127.0.0.1]")));
    cr_expect(addr_is_literal(SPAN("[IPv6:::1]")));
    cr_expect_not(addr_is_literal(SPAN("127.0.0.1")));
    cr_expect_not(addr_is_literal(SPAN("[")));
    cr_expect_not(addr_is_literal(SPAN("")));
}
