#include "authd/directory.h"

#include <criterion/criterion.h>

static struct directory *d;

static void begin(void)
{
    d = directory_new();
    cr_assert_not_null(d);
}

static void end(void)
{
    directory_free(d);
}

TestSuite(directory, .init = begin, .fini = end);

Test(directory, finds_what_was_added_among_many)
{
    char name[32];
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "u%u@example.org", i);
        cr_assert_not_null(directory_add_user(d, span_of(name), i + 1));
    }
    for (unsigned i = 0; i < 5000; i += 2) {
        snprintf(name, sizeof name, "u%u@example.org", i);
        directory_remove_user(d, directory_user(d, span_of(name)));
    }
    size_t n = 0;
    for (struct node *at = table_next(&d->users, NULL); at != NULL; at = table_next(&d->users, at))
        n++;
    cr_expect_eq(n, 2500);
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "u%u@example.org", i);
        const struct user *user = directory_user(d, span_of(name));
        cr_assert_eq(user != NULL, i % 2 == 1, "%s", name);
        if (user != NULL)
            cr_assert_eq(user->box, i + 1);
    }
}

Test(directory, targets_are_a_set_and_the_last_takes_the_alias_along)
{
    struct span a = SPAN("a@example.org");
    cr_assert_eq(directory_add_target(d, a, SPAN("x@example.net")), 0);
    cr_assert_eq(directory_add_target(d, a, SPAN("x@example.net")), 0);
    cr_assert_eq(directory_add_target(d, a, SPAN("y@example.net")), 0);
    struct alias *alias = directory_alias(d, a);
    cr_assert_eq(alias->n_targets, 2);
    directory_remove_target(d, alias, SPAN("nobody@example.net"));
    directory_remove_target(d, alias, SPAN("x@example.net"));
    cr_expect(directory_alias_has(alias, SPAN("y@example.net")));
    directory_remove_target(d, alias, SPAN("y@example.net"));
    cr_expect_null(directory_alias(d, a));
}

Test(directory, generations_never_repeat)
{
    struct user *user = directory_add_user(d, SPAN("a@example.org"), 1);
    uint64_t first = user->generation;
    directory_renew(d, user);
    uint64_t second = user->generation;
    directory_remove_user(d, user);
    user = directory_add_user(d, SPAN("a@example.org"), 2);
    cr_expect(first != second && user->generation != first && user->generation != second);
}

Test(directory, default_domain_is_that_of_the_hostname_else_the_first)
{
    cr_expect_null(directory_default_domain(d));
    directory_add_domain(d, SPAN("second.example"), 2);
    directory_add_domain(d, SPAN("first.example"), 1);
    directory_add_domain(d, SPAN("example.org"), 3);
    static const struct {
        const char *hostname, *domain;
    } rows[] = {{"MX.Example.Org", "example.org"},    {"example.org", "example.org"},
                {"a.b.c.example.org", "example.org"}, {"mx.elsewhere.example", "first.example"},
                {"notexample.org", "first.example"},  {"", "first.example"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        directory_set_hostname(d, span_of(rows[i].hostname));
        cr_expect_str_eq(directory_default_domain(d)->node.name.p, rows[i].domain);
    }
}
