#include "common/near.h"
#include "common/proto.h"
#include "common/route.h"

#include <criterion/criterion.h>

#define ROUTES                                                                                     \
    "hostname = a.b\n[listen smtp]\n[route b.example]\nto = smtp://10.0.0.2\n"                     \
    "[route A.example]\nto = smtp://[::1]:2525, lmtp://b.c\n[route .sub.example]\nto = hold\n"     \
    "[route .x.sub.example]\nto = discard\n[route .mx.example]\nto = mx\n[route "                  \
    "sender:Boss@c.example]\nto = smtp://10.0.0.3\n"                                               \
    "[route sender:@c.example]\nto = smtp://10.0.0.4\nretry = 1m\n"

static const struct {
    const char *domain, *sender, *by_mx, *with_smarthost;
    enum hop_kind kind;
} keys[] = {
    {"a.example", "", "route a.example", "route a.example", HOP_SMTP},
    {"b.example", "boss@c.example", "route b.example", "route b.example", HOP_SMTP},
    {"c.example", "", "c.example", "smarthost", HOP_SMTP},
    {"b.exampl", "", "b.exampl", "smarthost", HOP_SMTP},
    {"", "", "", "smarthost", HOP_SMTP},
    {"sub.example", "", "sub.example", "smarthost", HOP_SMTP},
    {"a.sub.example", "", "route .sub.example", "route .sub.example", HOP_HOLD},
    {"x.sub.example", "", "route .sub.example", "route .sub.example", HOP_HOLD},
    {"a.mx.example", "", "route .mx.example a.mx.example", "route .mx.example a.mx.example",
     HOP_SMTP},
    {"b.mx.example", "", "route .mx.example b.mx.example", "route .mx.example b.mx.example",
     HOP_SMTP},
    {"a.b.x.sub.example", "", "route .x.sub.example", "route .x.sub.example", HOP_DISCARD},
    {"d.example", "BOSS@c.example", "route sender:boss@c.example", "route sender:boss@c.example",
     HOP_SMTP},
    {"d.example", "x@c.example", "route sender:@c.example", "route sender:@c.example", HOP_SMTP},
    {"d.example", "x@d.example", "d.example", "smarthost", HOP_SMTP},
};

static void expect_keys(const char *text, bool has_smarthost)
{
    struct config_problems p;
    struct config *c = config_parse(span_of(text), "t", &p);
    cr_assert_not_null(c);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char key[ROUTE_KEY_MAX];
        struct route r;
        route_for(c, span_of(keys[i].domain), span_of(keys[i].sender), &r);
        route_key(&r, span_of(keys[i].domain), key, sizeof key);
        cr_expect_str_eq(key, has_smarthost ? keys[i].with_smarthost : keys[i].by_mx, "%zu: %s", i,
                         key);
        cr_expect_eq(route_kind(&r), keys[i].kind);
        cr_expect_eq(r.delivery->n_retry, strstr(key, "sender:@") != NULL ? 1 : 6);
    }
    config_free(c);
    config_problems_free(&p);
}

Test(route, keys)
{
    expect_keys(ROUTES, false);
    expect_keys(ROUTES "[relay]\nsmarthost = smtp://relay.example:26\n", true);
}

Test(route, names)
{
    static const struct {
        const char *name;
        bool is_good;
    } names[] = {
        {"a.example", true},
        {".example", true},
        {"sender:a@b.example", true},
        {"sender:@b.example", true},
        {"", false},
        {".", false},
        {"..a", false},
        {"sender:", false},
        {"sender:@", false},
        {"sender:a", false},
        {"a b", false},
        {"sender:a@b@c", false},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cr_expect_eq(route_is_name(span_of(names[i].name)), names[i].is_good, "%s", names[i].name);
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

Test(route, backups)
{
    static const struct {
        const char *address, *route;
    } rows[] = {
        {"x@b.example", "b.example"},
        {"x@B.EXAMPLE", "b.example"},
        {"\"a@c\"@b.example", "b.example"},
        {"x@a.b.example", ".b.example"},
        {"x@c.example", NULL},
        {"x@d.example", NULL},
        {"x@[b.example]", NULL},
        {"b.example", NULL},
        {"x@", NULL},
        {"", NULL},
    };
    struct config_problems p;
    struct config *c = config_parse(
        SPAN("hostname = a.b\n[listen smtp]\n[route b.example]\nto = mx\nbackup_mx = yes\n"
             "callout = yes\n[route .b.example]\nto = smtp://10.0.0.2\nbackup_mx = yes\n"
             "recipients = /r\n[route c.example]\nto = mx\n"
             "[relay]\nsmarthost = smtp://10.0.0.9\n"),
        "t", &p);
    struct route r;
    cr_assert_not_null(c);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct route_config *found = route_backup(c, span_of(rows[i].address));
        cr_expect_eq(found != NULL, rows[i].route != NULL, "%s", rows[i].address);
        if (found != NULL && rows[i].route != NULL)
            cr_expect_str_eq(found->domain, rows[i].route);
    }
    route_for(c, SPAN("b.example"), SPAN(""), &r); /* its MX, not the smarthost */
    cr_expect(r.n_to == 0 && r.is_backup);
    cr_expect_eq(route_kind(&r), HOP_SMTP);
    route_for(c, SPAN("c.example"), SPAN(""), &r);
    cr_expect(r.n_to == 0 && !r.is_backup);
    config_free(c);
    config_problems_free(&p);
}
