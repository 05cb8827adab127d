#include "common/near.h"
#include "common/proto.h"
#include "common/route.h"

#include <criterion/criterion.h>

#define ROUTES                                                                                     \
    "hostname = a.b\n[listen smtp]\n[route b.example]\nto = smtp://10.0.0.2\n"                     \
    "[route A.example]\nto = smtp://[::1]:2525\n[route b.example.org]\nto = smtp://10.0.0.2:25\n"

static const struct {
    const char *domain, *by_mx, *with_smarthost;
} keys[] = {
    {"a.example", "smtp://[::1]:2525", "smtp://[::1]:2525"},
    {"b.example", "smtp://10.0.0.2:25", "smtp://10.0.0.2:25"},
    {"b.example.org", "smtp://10.0.0.2:25", "smtp://10.0.0.2:25"},
    {"c.example", "c.example", "smtp://relay.example:26"},
    {"b.exampl", "b.exampl", "smtp://relay.example:26"},
    {"", "", "smtp://relay.example:26"},
};

static void expect_keys(const char *text, bool has_smarthost)
{
    struct config_problems p;
    struct config *c = config_parse(span_of(text), "t", &p);
    cr_assert_not_null(c);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char key[DOMAIN_MAX + 32];
        route_key(c, span_of(keys[i].domain), key, sizeof key);
        cr_expect_str_eq(key, has_smarthost ? keys[i].with_smarthost : keys[i].by_mx);
        cr_expect_eq(route_for(c, span_of(keys[i].domain)) == NULL,
                     strcmp(keys[i].domain, key) == 0);
    }
    config_free(c);
    config_problems_free(&p);
}

Test(route, keys)
{
    expect_keys(ROUTES, false);
    expect_keys(ROUTES "[relay]\nsmarthost = smtp://relay.example:26\n", true);
}

static const struct {
    const char *typed, *meant;
} words[] = {
    {"qeue", "queue"}, {"queu", "queue"}, {"QUEUE", "queue"},   {"usr", "user"},
    {"x", NULL},       {"", NULL},        {"completely", NULL},
};

Test(near, words)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct near n;
        near_begin(&n, span_of(words[i].typed));
        near_offer(&n, "queue");
        near_offer(&n, "user");
        if (words[i].meant == NULL)
            cr_expect_null(n.best, "%s", words[i].typed);
        else
            cr_expect(n.best && strcmp(n.best, words[i].meant) == 0, "%s", words[i].typed);
    }
}
