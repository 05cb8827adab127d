#include "authd/post.h"
#include "authd/resolve.h"

#include "common/clock.h"

#include <criterion/criterion.h>
#include <sodium.h>

static struct directory *d;
static struct resolved found;

static void add_domain(const char *name, const char *postmaster)
{
    struct domain *domain = directory_add_domain(d, span_of(name), d->domains.n + 1);
    cr_assert_not_null(domain);
    cr_assert_eq(directory_set_postmaster(domain, span_of(postmaster)), 0);
}

static void add_alias(const char *address, const char *target)
{
    cr_assert_eq(directory_add_target(d, span_of(address), span_of(target)), 0);
}

static void begin(void)
{
    cr_assert_geq(sodium_init(), 0);
    d = directory_new();
    cr_assert_not_null(d);
    directory_set_hostname(d, SPAN("mx.example.org"));
    add_domain("first.example", "");
    add_domain("example.org", "admin@example.net");
    add_domain("all.example", "");
    add_domain("dead.example", "nobody@example.org");
    static const char *const users[] = {"alice@example.org", "bob@example.org", "a+b@example.org",
                                        "\"a b\"@example.org", "alice@all.example"};
    for (size_t i = 0; i < sizeof users / sizeof users[0]; i++)
        cr_assert_not_null(directory_add_user(d, span_of(users[i]), i + 1));
    directory_user(d, SPAN("bob@example.org"))->quota = 1000;
    directory_user(d, SPAN("bob@example.org"))->is_disabled = true;
    add_alias("info@example.org", "alice@example.org");
    add_alias("team@example.org", "alice@example.org");
    add_alias("team@example.org", "bob@example.org");
    add_alias("team@example.org", "carol@example.net");
    add_alias("all@example.org", "team@example.org");
    add_alias("all@example.org", "info@example.org");
    add_alias("all@example.org", "nobody@example.org");
    add_alias("out@example.org", "x@example.net");
    add_alias("tagged@example.org", "info+news@example.org");
    add_alias("dead@example.org", "nobody@example.org");
    add_alias("loop1@example.org", "loop2@example.org");
    add_alias("loop2@example.org", "loop1@example.org");
    add_alias("loop3@example.org", "loop4@example.org");
    add_alias("loop4@example.org", "loop3@example.org");
    add_alias("loop4@example.org", "bob@example.org");
    add_alias("tag@example.org", "post@example.org");
    add_alias("post@example.org", "postmaster@example.org");
    add_alias("@all.example", "bob@example.org");
    add_alias("sales+eu@example.org", "x@example.net");
    add_alias("sales@example.org", "y@example.net");
}

static void end(void)
{
    directory_free(d);
    clock_fake(-1, -1);
}

TestSuite(resolve, .init = begin, .fini = end);

/* "1 2 >x@y": boxes 1 and 2 and a remote address, in order. */
static void print(char *out, size_t cap)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < found.n_targets && n < cap; i++) {
        const struct target *t = &found.targets[i];
        const char *gap = i > 0 ? " " : "";
        if (t->is_local)
            n += (size_t)snprintf(out + n, cap - n, "%s%u", gap, (unsigned)t->box);
        else
            n += (size_t)snprintf(out + n, cap - n, "%s>%s", gap, t->address.p);
    }
}

struct row {
    const char *address;
    enum address_kind kind;
    const char *targets;
};

static void expect(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char text[512];
        resolve(d, span_of(rows[i].address), &found);
        print(text, sizeof text);
        cr_expect_eq(found.kind, rows[i].kind, "%s is %d", rows[i].address, found.kind);
        cr_expect_str_eq(text, rows[i].targets, "%s goes to %s", rows[i].address, text);
        cr_expect_not(found.is_too_large);
    }
}

Test(resolve, the_order)
{
    static const struct row rows[] = {
        {"alice@example.org", ADDRESS_LOCAL, "1"},
        {"ALICE@Example.ORG", ADDRESS_LOCAL, "1"},
        {"bob@example.org", ADDRESS_LOCAL, "2"}, /* disabled: still gets mail */
        {"alice+tag@example.org", ADDRESS_LOCAL, "1"},
        {"alice+a+b@example.org", ADDRESS_LOCAL, "1"},
        {"a+b@example.org", ADDRESS_LOCAL, "3"}, /* exact before tag */
        {"a+c@example.org", ADDRESS_UNKNOWN, ""},
        {"+tag@example.org", ADDRESS_UNKNOWN, ""},
        {"\"a b\"@example.org", ADDRESS_LOCAL, "4"},
        {"\"A B\"@example.org", ADDRESS_LOCAL, "4"},
        {"\"al\\ice\"@example.org", ADDRESS_LOCAL, "1"}, /* needless quotes: the same mailbox */
        {"\"a b+tag\"@example.org", ADDRESS_UNKNOWN, ""},
        {"info@example.org", ADDRESS_LOCAL, "1"},
        {"info+tag@example.org", ADDRESS_LOCAL, "1"},
        {"sales+eu@example.org", ADDRESS_LOCAL, ">x@example.net"},
        {"sales+us@example.org", ADDRESS_LOCAL, ">y@example.net"},
        {"nobody@example.org", ADDRESS_UNKNOWN, ""},
        {"alice@all.example", ADDRESS_LOCAL, "5"}, /* before the catch-all */
        {"anything@all.example", ADDRESS_LOCAL, "2"},
        {"any+tag@all.example", ADDRESS_LOCAL, "2"},
        {"alice@example.net", ADDRESS_FOREIGN, ""},
        {"alice@sub.example.org", ADDRESS_FOREIGN, ""},
        {"alice@[192.0.2.1]", ADDRESS_FOREIGN, ""},
        {"alice@[IPv6:2001:db8::1]", ADDRESS_FOREIGN, ""},
    };
    expect(rows, sizeof rows / sizeof rows[0]);
}

static char forwarded[ADDRESS_MAX];

static struct row srs_row(const char *sender, const char *domain, enum address_kind kind,
                          const char *targets)
{
    cr_assert_eq(
        srs_forward(d->srs.key, span_of(sender), span_of(domain), clock_wall_s(), forwarded), 0);
    return (struct row){forwarded, kind, targets};
}

Test(resolve, senders_we_gave_to_forwarded_mail)
{
    const struct row *row;
    d->srs = (struct srs_rules){.has_key = true, .is_on = true, .days_max = 21};
    row = &(struct row){"SRS0=abcdefgh=AA=far.example=bob@all.example", ADDRESS_UNKNOWN, ""};
    expect(row, 1); /* not the catch-all's */
    cr_expect_not(found.is_return);
    struct row made = srs_row("Bob@far.example", "all.example", ADDRESS_LOCAL, ">Bob@far.example");
    expect(&made, 1);
    cr_expect(found.is_return);
    made = srs_row("SRS0=a=b=c=d@far.example", "example.org", ADDRESS_LOCAL,
                   ">SRS0=a=b=c=d@far.example");
    expect(&made, 1);
    made = srs_row("Alice@example.org", "example.org", ADDRESS_LOCAL, "1"); /* ours since then */
    expect(&made, 1);
    made = srs_row("nobody@example.org", "example.org", ADDRESS_UNKNOWN, "");
    expect(&made, 1);
    made = srs_row("bob@far.example", "example.net", ADDRESS_FOREIGN, ""); /* not our domain */
    expect(&made, 1);
    made = srs_row("bob@far.example", "example.org", ADDRESS_UNKNOWN, "");
    clock_fake(-1, clock_wall_ms() + INT64_C(22) * 86400000);
    expect(&made, 1);
    add_alias("srs0=x@example.org", "alice@example.org");
    expect(&(struct row){"SRS0=x@example.org", ADDRESS_LOCAL, "1"}, 1); /* a name like any other */
    cr_expect_not(found.is_return);
    d->srs.is_on = false; /* what we gave before is still good */
    expect(&(struct row){"SRS0=y@all.example", ADDRESS_LOCAL, "2"}, 1);
    made = srs_row("bob@far.example", "all.example", ADDRESS_LOCAL, ">bob@far.example");
    expect(&made, 1);
}

Test(resolve, aliases_of_aliases)
{
    static const struct row rows[] = {
        {"team@example.org", ADDRESS_LOCAL, "1 2 >carol@example.net"},
        {"all@example.org", ADDRESS_LOCAL, "1 2 >carol@example.net"}, /* each once, dead ends out */
        {"out@example.org", ADDRESS_LOCAL, ">x@example.net"},
        {"tagged@example.org", ADDRESS_LOCAL, "1"},
        {"dead@example.org", ADDRESS_UNKNOWN, ""},
        {"loop1@example.org", ADDRESS_UNKNOWN, ""},
        {"loop3@example.org", ADDRESS_LOCAL, "2"},
        {"tag@example.org", ADDRESS_LOCAL, ">admin@example.net"},
    };
    expect(rows, sizeof rows / sizeof rows[0]);
    resolve(d, SPAN("loop1@example.org"), &found);
    cr_expect(found.has_loop && !found.has_dead_end);
    resolve(d, SPAN("all@example.org"), &found);
    cr_expect(!found.has_loop && found.has_dead_end);
}

Test(resolve, users_whose_mail_is_sent_on)
{
    add_alias("alice@example.org", "far@example.net");
    add_alias("a+b@example.org", "far@example.net");
    add_alias("a+b@example.org", "a+b@example.org"); /* a copy stays */
    add_alias("bob@example.org", "alice@all.example");
    add_alias("alice@all.example", "bob@example.org"); /* back again */
    add_alias("both@example.org", "alice@all.example");
    add_alias("both@example.org", "bob@example.org");
    add_alias("\"a b\"@example.org", "nobody@example.org");
    static const struct row rows[] = {
        {"alice@example.org", ADDRESS_LOCAL, ">far@example.net"},
        {"alice+tag@example.org", ADDRESS_LOCAL, ">far@example.net"},
        {"info@example.org", ADDRESS_LOCAL, ">far@example.net"},
        {"team@example.org", ADDRESS_LOCAL, ">far@example.net 2 >carol@example.net"},
        {"a+b@example.org", ADDRESS_LOCAL, ">far@example.net 3"},
        {"bob@example.org", ADDRESS_LOCAL, "2"}, /* who would have it sends it back */
        {"alice@all.example", ADDRESS_LOCAL, "5"},
        {"\"a b\"@example.org", ADDRESS_LOCAL, "4"}, /* it would be lost */
        {"both@example.org", ADDRESS_LOCAL, "5 2"},
    };
    expect(rows, sizeof rows / sizeof rows[0]);
    cr_expect_not(found.has_loop);
    resolve(d, SPAN("bob@example.org"), &found);
    cr_expect_not(found.has_loop);
    resolve_owners(d, SPAN("team@example.org"), &found);
    char text[512];
    print(text, sizeof text);
    cr_expect_str_eq(text, "1 2 >carol@example.net", "%s", text);
    bool is_ours;
    cr_expect_null(resolve_list(d, SPAN("alice@example.org"), &is_ours));
    cr_expect_null(resolve_list(d, SPAN("alice+tag@example.org"), &is_ours));
    directory_alias(d, SPAN("team@example.org"))->post = POST_MEMBERS;
    cr_expect(post_of(d, SPAN("team@example.org"), SPAN("alice@example.org")).is_member);
    cr_expect_not(post_of(d, SPAN("team@example.org"), SPAN("far@example.net")).is_member);
}

Test(resolve, postmaster)
{
    static const struct row rows[] = {
        {"postmaster@example.org", ADDRESS_LOCAL, ">admin@example.net"},
        {"PostMaster@example.org", ADDRESS_LOCAL, ">admin@example.net"},
        {"postmaster", ADDRESS_LOCAL, ">admin@example.net"},
        {"Postmaster", ADDRESS_LOCAL, ">admin@example.net"},
        {"bob", ADDRESS_LOCAL, "2"}, /* any name, as users of this machine write it */
        {"postmaster@first.example", ADDRESS_LOCAL, ">admin@example.net"}, /* borrowed */
        {"Postmaster@dead.example", ADDRESS_LOCAL, ">admin@example.net"},
        {"postmaster@all.example", ADDRESS_LOCAL, "2"}, /* the catch-all */
        {"postmaster@example.net", ADDRESS_FOREIGN, ""},
    };
    expect(rows, sizeof rows / sizeof rows[0]);
    cr_expect(found.is_borrowed == false);
    resolve(d, SPAN("postmaster@dead.example"), &found);
    cr_expect(found.is_borrowed);
    add_alias("postmaster@example.org", "bob@example.org");
    expect(&(struct row){"postmaster", ADDRESS_LOCAL, "2"}, 1);
    directory_set_hostname(d, SPAN("elsewhere.invalid"));
    directory_set_postmaster(directory_domain(d, SPAN("first.example")), SPAN("alice@example.org"));
    expect(&(struct row){"postmaster", ADDRESS_LOCAL, "1"}, 1);
}

/* An answer to a report, which comes from MAILER-DAEMON at hostname (RFC 3464 2). */
Test(resolve, mailer_daemon_is_the_postmaster)
{
    static const struct row rows[] = {
        {"MAILER-DAEMON@mx.example.org", ADDRESS_LOCAL, ">admin@example.net"},
        {"postmaster@MX.example.org", ADDRESS_LOCAL, ">admin@example.net"},
        {"mailer-daemon@example.org", ADDRESS_LOCAL, ">admin@example.net"},
        {"mailer-daemon@all.example", ADDRESS_LOCAL, "2"}, /* the catch-all */
        {"bob@mx.example.org", ADDRESS_FOREIGN, ""},
        {"mailer-daemonx@mx.example.org", ADDRESS_FOREIGN, ""},
        {"mailer-daemon@mx2.example.org", ADDRESS_FOREIGN, ""},
        {"mailer-daemon@example.net", ADDRESS_FOREIGN, ""},
    };
    expect(rows, sizeof rows / sizeof rows[0]);
    add_alias("mailer-daemon@example.org", "alice@example.org");
    expect(&(struct row){"mailer-daemon@example.org", ADDRESS_LOCAL, "1"}, 1);
    directory_set_hostname(d, SPAN(""));
    expect(&(struct row){"mailer-daemon@mx.example.org", ADDRESS_FOREIGN, ""}, 1);
}

Test(resolve, a_host_without_any_postmaster_takes_the_first_there_is)
{
    directory_set_postmaster(directory_domain(d, SPAN("example.org")), SPAN(""));
    expect(&(struct row){"postmaster", ADDRESS_LOCAL, "2"}, 1); /* of all.example */
    expect(&(struct row){"postmaster@first.example", ADDRESS_LOCAL, "2"}, 1);
    directory_set_postmaster(directory_domain(d, SPAN("first.example")), SPAN("alice@example.org"));
    expect(&(struct row){"postmaster@dead.example", ADDRESS_LOCAL, "1"}, 1);
    directory_set_postmaster(directory_domain(d, SPAN("first.example")), SPAN(""));
    directory_remove_alias(d, directory_alias(d, SPAN("@all.example")));
    expect(&(struct row){"postmaster", ADDRESS_UNKNOWN, ""}, 1);
    expect(&(struct row){"mailer-daemon@mx.example.org", ADDRESS_FOREIGN, ""}, 1);
}

Test(resolve, junk_is_no_address_and_no_crash)
{
    static const char *const rows[] = {
        "", "@", "a", "a@", "@example.org@", "\"@example.org", "\"", "a@b@", "+@", "postmaster@"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        resolve(d, span_of(rows[i]), &found);
        cr_expect_neq(found.kind, ADDRESS_LOCAL, "%s", rows[i]);
    }
    char longest[2000];
    memset(longest, '+', sizeof longest);
    memcpy(longest + sizeof longest - 12, "@example.org", 12);
    for (size_t n = 0; n < sizeof longest; n++) {
        resolve(d, (struct span){longest + sizeof longest - n, n}, &found);
        cr_expect_neq(found.kind, ADDRESS_LOCAL);
    }
    resolve(d, SPAN("alice@example.org\0x"), &found);
    cr_expect_eq(found.kind, ADDRESS_UNKNOWN);
}

Test(resolve, deep_and_wide_is_undecided)
{
    char from[64], to[64];
    for (int i = 0; i < 40; i++) {
        snprintf(from, sizeof from, "deep%d@example.org", i);
        snprintf(to, sizeof to, "deep%d@example.org", i + 1);
        add_alias(from, to);
    }
    resolve(d, SPAN("deep0@example.org"), &found);
    cr_expect(found.is_too_large);
    resolve(d, SPAN("deep35@example.org"), &found);
    cr_expect_not(found.is_too_large);
    for (int i = 0; i < 300; i++) {
        snprintf(to, sizeof to, "u%d@example.net", i);
        add_alias("wide@example.org", to);
    }
    resolve(d, SPAN("wide@example.org"), &found);
    cr_expect(found.is_too_large);
    cr_expect_eq(found.n_targets, RESOLVE_TARGETS_MAX);
}

Test(resolve, seals_what_queue_can_open)
{
    static struct sealer s;
    const unsigned char key[SEAL_KEY_OCTETS] = {1};
    struct span rcpt = SPAN("Team@example.org"), sealed;
    clock_fake(1, 1000000);
    resolve(d, rcpt, &found);
    cr_expect(found.has_quota); /* bob's */
    cr_assert_eq(resolve_seal(&found, rcpt, key, &s, &sealed), 0);
    struct unpacker targets;
    struct target t = {0};
    cr_assert_eq(seal_open(sealed, rcpt, key, clock_wall_s(), &targets), 0);
    cr_assert(seal_next(&targets, &t) && t.is_local && t.box == 1 && t.quota == 0);
    cr_assert(seal_next(&targets, &t) && t.is_local && t.box == 2 && t.quota == 1000);
    cr_assert(seal_next(&targets, &t) && !t.is_local &&
              span_eq(t.address, SPAN("carol@example.net")));
    cr_expect_not(seal_next(&targets, &t));

    resolve(d, SPAN("info@example.org"), &found);
    cr_expect_not(found.has_quota);
    resolve(d, SPAN("x@example.net"), &found);
    cr_expect_eq(resolve_seal(&found, SPAN("x@example.net"), key, &s, &sealed), 0);
    cr_expect_eq(sealed.n, 0);
    char to[300];
    for (int i = 0; i < 60; i++) {
        snprintf(to, sizeof to, "%060d@%060d.%060d.example", i, i, i);
        add_alias("big@example.org", to);
    }
    resolve(d, SPAN("big@example.org"), &found);
    cr_expect_not(found.is_too_large);
    cr_expect_eq(resolve_seal(&found, SPAN("big@example.org"), key, &s, &sealed), -1);
}

/* RFC 5321 3.9.2: who is behind owner-LIST hears what becomes of what the list sends elsewhere. */
Test(resolve, lists_with_an_owner)
{
    static struct sealer s;
    const unsigned char key[SEAL_KEY_OCTETS] = {1};
    struct span rcpt = SPAN("crew+x@example.org"), sealed;
    struct unpacker targets;
    struct target t = {0};
    clock_fake(1, 1000000);
    add_alias("crew@example.org", "a@example.net");
    add_alias("crew@example.org", "alice@example.org");
    add_alias("crew@example.org", "deck@example.org");
    add_alias("crew@example.org", "z@example.net");
    add_alias("deck@example.org", "d@example.net");
    resolve(d, rcpt, &found);
    for (size_t i = 0; i < found.n_targets; i++)
        cr_expect_eq(found.targets[i].owner.n, 0);
    add_alias("owner-crew@example.org", "boss@example.net");
    add_alias("owner-deck@example.org", "mate@example.net");
    resolve(d, rcpt, &found);
    cr_assert_eq(resolve_seal(&found, rcpt, key, &s, &sealed), 0);
    cr_assert_eq(seal_open(sealed, rcpt, key, clock_wall_s(), &targets), 0);
    size_t n = 0;
    while (seal_next(&targets, &t)) {
        bool is_deck = span_eq(t.address, SPAN("d@example.net"));
        cr_expect(t.is_local || span_eq(t.owner, is_deck ? SPAN("owner-deck@example.org")
                                                         : SPAN("owner-crew@example.org")));
        n++;
    }
    cr_expect(n == 4 && unpack_done(&targets));
    resolve(d, SPAN("owner-crew@example.org"), &found); /* he has no owner himself */
    cr_expect(found.n_targets == 1 && found.targets[0].owner.n == 0);
}

Test(resolve, canonical_forms)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
        bool is_catch_all;
    } rows[] = {
        {"Bob@Example.Org", "bob@example.org", false},
        {"\"bob\"@example.org", "bob@example.org", false},
        {"\"B c\"@example.org", "\"b c\"@example.org", false},
        {"@Example.org", "@example.org", true},
        {"@example.org", NULL, false},
        {"@", NULL, true},
        {"bob", NULL, true},
        {"<bob@example.org>", NULL, false},
        {"bob@example.org ", NULL, false},
        {"bob@exa mple.org", NULL, false},
        {"", NULL, true},
        {"postmaster", NULL, false},
        {"@[192.0.2.1]", NULL, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[ADDRESS_MAX];
        int rc = resolve_canonical(span_of(rows[i].in), rows[i].is_catch_all, out);
        cr_expect_eq(rc == 0, rows[i].out != NULL, "%s", rows[i].in);
        if (rc == 0 && rows[i].out != NULL)
            cr_expect_str_eq(out, rows[i].out);
    }
}

/* For EXPN: the alias itself, whatever it leads to in the end. */
Test(resolve, lists)
{
    static const struct {
        const char *address;
        size_t n_targets; /* 0: no list */
        bool is_ours;
    } rows[] = {
        {"team@example.org", 3, true},     {"Team@EXAMPLE.org", 3, true},
        {"team+x@example.org", 3, true},   {"all@example.org", 3, true},
        {"loop1@example.org", 1, true},    {"sales+eu@example.org", 1, true},
        {"sales+us@example.org", 1, true}, {"alice@example.org", 0, true},
        {"alice+x@example.org", 0, true},  {"nobody@example.org", 0, true},
        {"x@all.example", 0, true},        {"postmaster@example.org", 0, true},
        {"team@example.net", 0, false},    {"team", 3, true},
        {"@all.example", 1, true}, /* smtpd's parser lets none of this through */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool is_ours = !rows[i].is_ours;
        const struct alias *a = resolve_list(d, span_of(rows[i].address), &is_ours);
        cr_expect_eq(is_ours, rows[i].is_ours, "%s", rows[i].address);
        cr_expect_eq(a != NULL ? a->n_targets : 0, rows[i].n_targets, "%s", rows[i].address);
    }
}

Test(resolve, who_is_a_member)
{
    static const struct {
        const char *list, *sender;
        bool is_member;
    } rows[] = {
        {"team@example.org", "alice@example.org", true},
        {"team@example.org", "ALICE+x@Example.org", true},
        {"team+y@example.org", "alice@example.org", true},
        {"team", "alice@example.org", true},
        {"team@example.org", "info@example.org", true}, /* an alias of alice's */
        {"team@example.org", "carol@example.net", true},
        {"team@example.org", "Carol@EXAMPLE.net", true},
        {"team@example.org", "carol@example.com", false},
        {"team@example.org", "carol+x@example.net", false},
        {"team@example.org", "a+b@example.org", false},
        {"team@example.org", "nobody@example.org", false},
        {"team@example.org", "", false},
        {"team@example.org", "team@example.org", true},
        {"all@example.org", "carol@example.net", true}, /* through team */
        {"out@example.org", "alice@example.org", false},
        {"out@example.org", "out@example.org", true}, /* his address here leads elsewhere */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span address = span_of(rows[i].list);
        bool is_ours;
        struct alias *list = directory_alias(d, resolve_list(d, address, &is_ours)->node.name);
        list->post = POST_MEMBERS;
        struct post p = post_of(d, address, span_of(rows[i].sender));
        cr_expect_eq(p.rule, POST_MEMBERS);
        cr_expect_eq(p.is_member, rows[i].is_member, "%s to %s", rows[i].sender, rows[i].list);
        list->post = POST_ANYONE;
        cr_expect_eq(post_of(d, address, span_of(rows[i].sender)).rule, POST_ANYONE);
    }
    cr_expect_eq(post_of(d, SPAN("alice@example.org"), SPAN("x@y.example")).rule, POST_ANYONE);
}
