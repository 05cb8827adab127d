#include "authd/users.h"

#include "common/clock.h"
#include "common/log.h"

#include <criterion/criterion.h>

static char dir[64];
static struct users *users;
static struct directory *d;

static void reopen(void)
{
    struct error e = {""};
    users_close(users);
    directory_free(d);
    users = users_open("users.db", &e);
    cr_assert_not_null(users, "%s", e.text);
    d = directory_new();
    cr_assert_not_null(d);
    cr_assert_eq(users_load(users, d, &e), 0, "%s", e.text);
}

static void begin(void)
{
    snprintf(dir, sizeof dir, "/tmp/barid-users-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(chdir(dir), 0);
    clock_fake(1000, 5000000);
    reopen();
}

static void end(void)
{
    static const char *const names[] = {"users.db", "users.db-wal", "users.db-shm"};
    users_close(users);
    directory_free(d);
    log_flush();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(names[i]);
    cr_assert_eq(chdir("/"), 0);
    rmdir(dir);
}

TestSuite(users, .init = begin, .fini = end);

static uint64_t add_domain(const char *name, const char *postmaster)
{
    uint64_t number = 0;
    cr_assert_eq(users_add_domain(users, span_of(name), span_of(postmaster), &number), 0);
    return number;
}

static uint64_t add_user(const char *address, uint64_t domain)
{
    uint64_t box = 0;
    static const struct users_secrets secrets = {
        .hash = "$hash", .salt = {{1, 2, 3}, 4096}, .keys = {{4}, {5}}, .has_keys = true};
    struct users_new new = {
        .address = span_of(address), .domain = domain, .secrets = &secrets, .quota = 7};
    cr_assert_eq(users_add(users, &new, &box), 0);
    return box;
}

Test(users, everything_is_there_after_a_restart)
{
    uint64_t org = add_domain("example.org", "root@example.net");
    add_domain("example.com", "");
    uint64_t box = add_user("alice@example.org", org);
    struct span targets[] = {SPAN("alice@example.org"), SPAN("x@example.net")};
    cr_assert_eq(users_add_targets(users, SPAN("@example.org"), org, targets, 2), 0);
    cr_assert_eq(users_add_targets(users, SPAN("@example.org"), org, targets, 1), 0, "again");
    cr_assert_eq(users_set_disabled(users, box, true, SPAN("went away")), 0);
    reopen();
    cr_expect_eq(d->domains.n, 2);
    const struct domain *domain = directory_domain(d, SPAN("example.org"));
    cr_assert(domain != NULL && domain->number == org);
    cr_expect(span_eq(domain->postmaster, SPAN("root@example.net")));
    const struct user *alice = directory_user(d, SPAN("alice@example.org"));
    cr_assert_not_null(alice);
    cr_expect(alice->box == box && alice->quota == 7 && alice->is_disabled);
    const struct alias *all = directory_alias(d, SPAN("@example.org"));
    cr_assert(all != NULL && all->n_targets == 2);

    cr_assert_eq(users_set_postmaster(users, org, SPAN("alice@example.org")), 0);
    cr_assert_eq(users_set_quota(users, box, 0), 0);
    cr_assert_eq(users_remove_targets(users, SPAN("@example.org"), targets, 1), 0);
    reopen();
    cr_expect_eq(directory_user(d, SPAN("alice@example.org"))->quota, 0);
    cr_expect_eq(directory_alias(d, SPAN("@example.org"))->n_targets, 1);
    cr_assert_eq(users_remove_targets(users, SPAN("@example.org"), &targets[1], 1), 0);
    reopen();
    cr_expect_null(directory_alias(d, SPAN("@example.org")));
    cr_assert_eq(users_add_targets(users, SPAN("@example.org"), org, targets, 2), 0);
    cr_assert_eq(users_remove_targets(users, SPAN("@example.org"), NULL, 0), 0, "all of it");
    reopen();
    cr_expect_eq(d->aliases.n, 0);
}

Test(users, box_numbers_are_never_given_twice)
{
    uint64_t org = add_domain("example.org", "");
    uint64_t first = add_user("alice@example.org", org);
    cr_assert_eq(users_remove(users, first), 0);
    reopen();
    cr_expect_gt(add_user("alice@example.org", org), first);
}

Test(users, removed_boxes_are_forgotten_one_by_one)
{
    uint64_t org = add_domain("example.org", ""), box;
    char address[ADDRESS_MAX + 1];
    uint64_t a = add_user("a@example.org", org), b = add_user("b@example.org", org);
    cr_expect_eq(users_next_forgotten(users, 0, &box, address), 0);
    cr_assert_eq(users_remove(users, b), 0);
    cr_assert_eq(users_remove(users, a), 0);
    reopen();
    cr_expect_eq(d->users.n, 0);
    cr_expect(users_next_forgotten(users, 0, &box, address) == 1 && box == a);
    cr_expect(users_next_forgotten(users, a, &box, address) == 1 && box == b);
    cr_expect_str_eq(address, "b@example.org");
    cr_assert_eq(users_forgotten_done(users, a), 0);
    cr_expect(users_next_forgotten(users, 0, &box, address) == 1 && box == b);
}

Test(users, what_clashes_is_refused)
{
    uint64_t org = add_domain("example.org", ""), number;
    add_user("a@example.org", org);
    cr_expect_eq(users_add_domain(users, SPAN("example.org"), SPAN(""), &number), -1);
    static const struct users_secrets secrets = {.hash = "h"};
    struct users_new twice = {.address = SPAN("a@example.org"), .domain = org, .secrets = &secrets};
    cr_expect_eq(users_add(users, &twice, &number), -1);
    struct users_new homeless = {
        .address = SPAN("b@example.org"), .domain = org + 1, .secrets = &secrets};
    cr_expect_eq(users_add(users, &homeless, &number), -1);
    cr_expect_eq(users_remove_domain(users, org), -1, "somebody lives there");
    struct span target = SPAN("x@example.net");
    cr_expect_eq(users_add_targets(users, SPAN("c@example.org"), org + 1, &target, 1), -1);
    uint64_t n_users = 9, n_aliases = 9;
    cr_assert_eq(users_count(users, org, &n_users, &n_aliases), 0);
    cr_expect(n_users == 1 && n_aliases == 0);
    cr_expect_eq(users_fault(users), SQL_FAULT_OTHER);
    add_user("d@example.org", org); /* and no transaction was left open */
    reopen();
    cr_expect_eq(d->users.n, 2);
}

Test(users, secrets)
{
    struct users_secrets got,
        other = {.hash = "$other", .salt = {{9}, 5000}, .keys = {{8}, {7}}, .has_keys = true};
    uint64_t box = add_user("alice@example.org", add_domain("example.org", ""));
    cr_assert_eq(users_secrets(users, box, &got), 1);
    cr_expect(strcmp(got.hash, "$hash") == 0 && got.has_keys && got.salt.iterations == 4096);
    cr_expect(got.salt.octets[2] == 3 && got.keys.stored[0] == 4 && got.keys.server[0] == 5);
    cr_assert_eq(users_set_secrets(users, box, &other), 0);
    cr_assert_eq(users_secrets(users, box, &got), 1);
    cr_expect(strcmp(got.hash, "$other") == 0 && memcmp(&got.keys, &other.keys, 64) == 0);
    cr_assert_eq(users_forget_keys(users), 0);
    cr_assert_eq(users_secrets(users, box, &got), 1);
    cr_expect(strcmp(got.hash, "$other") == 0 && !got.has_keys && got.salt.iterations == 5000);
    cr_expect_eq(users_secrets(users, box + 1, &got), 0);
    unsigned char secret[USERS_SECRET_OCTETS], again[USERS_SECRET_OCTETS];
    cr_assert_eq(users_secret(users, secret), 0);
    reopen();
    cr_assert(users_secret(users, again) == 0 && memcmp(secret, again, sizeof again) == 0);
}

static void note_app(void *arg, const struct app_password *app)
{
    struct app_password *last = arg;
    *last = *app;
    last->name = span_of(span_eq(app->name, SPAN("phone")) ? "phone" : "other");
}

Test(users, app_passwords)
{
    struct app_password app = {.name = SPAN("phone"), .is_device = true, .keys = {{1}, {2}}}, got;
    uint64_t box = add_user("alice@example.org", add_domain("example.org", ""));
    cr_assert_eq(users_add_app(users, box, &app), 0);
    cr_expect_eq(users_add_app(users, box, &app), -1, "the name is taken");
    cr_assert_eq(users_apps(users, box, note_app, &got), 1);
    cr_expect(got.credential == 1 && got.is_device && got.created == 5000 && got.last_used == 0);
    cr_expect(span_eq(got.name, SPAN("phone")) && memcmp(&got.keys, &app.keys, 64) == 0);
    cr_assert_eq(users_save_logins(users, d, &(struct app_use){1, 777}, 1), 0);
    cr_assert(users_apps(users, box, note_app, &got) == 1 && got.last_used == 777);
    cr_expect_eq(users_apps(users, box + 1, note_app, &got), 0);
    cr_expect_eq(users_remove_app(users, box, SPAN("x")), 0);
    cr_expect_eq(users_remove_app(users, box, SPAN("phone")), 1);
    cr_assert_eq(users_add_app(users, box, &app), 0);
    cr_assert(users_apps(users, box, note_app, &got) == 1);
    cr_expect_eq(got.credential, 2, "a number is never given twice");
    cr_assert_eq(users_remove(users, box), 0);
    cr_expect_eq(users_apps(users, box, note_app, &got), 0);
}

Test(users, logins_are_saved_together)
{
    uint64_t org = add_domain("example.org", "");
    add_user("a@example.org", org);
    add_user("b@example.org", org);
    reopen();
    struct user *a = directory_user(d, SPAN("a@example.org"));
    a->last_login = 12345;
    a->is_login_unsaved = true;
    cr_assert_eq(users_save_logins(users, d, NULL, 0), 0);
    cr_expect_not(a->is_login_unsaved);
    reopen();
    cr_expect_eq(directory_user(d, SPAN("a@example.org"))->last_login, 12345);
    cr_expect_eq(directory_user(d, SPAN("b@example.org"))->last_login, 0);
}

/* A database that somebody edited: what is not valid is left out, the rest works. */
Test(users, rows_that_are_not_valid_are_left_out)
{
    uint64_t org = add_domain("example.org", ""), bad = add_domain("exa mple", "");
    add_domain("other.example", "not an address");
    add_user("Alice@example.org", org);
    add_user("alice@exa mple", bad);
    add_user("bob@elsewhere.example", org);
    add_user("carol@example.org", org);
    struct span targets[] = {SPAN("a\r\nb@example.org"), SPAN("carol@example.org")};
    cr_assert_eq(users_add_targets(users, SPAN("x@example.org"), org, targets, 2), 0);
    reopen();
    cr_expect_eq(d->domains.n, 1);
    cr_expect_eq(d->users.n, 1);
    cr_expect_eq(directory_alias(d, SPAN("x@example.org"))->n_targets, 1);
}

static void count(void *arg, const struct users_row *row)
{
    uint64_t *last = arg;
    cr_expect_gt(row->number, *last);
    *last = row->number;
}

Test(users, lists_come_in_pages)
{
    uint64_t org = add_domain("example.org", ""), last = 0;
    char name[40];
    for (int i = 0; i < 25; i++) {
        snprintf(name, sizeof name, "u%d@example.org", i);
        add_user(name, org);
    }
    cr_expect_eq(users_list(users, last, 10, count, &last), 10);
    cr_expect_eq(users_list(users, last, 10, count, &last), 10);
    cr_expect_eq(users_list(users, last, 10, count, &last), 5);
    uint64_t shown = 0;
    cr_expect_eq(users_show(users, last, count, &shown), 1);
    cr_expect_eq(shown, last);
    last = 0;
    cr_expect_eq(users_list_domains(users, 0, 10, count, &last), 1);
    last = 0;
    cr_expect_eq(users_list_aliases(users, 0, 10, count, &last), 0);
}

/* --- older files --- */

static void run_sql(const char *sql)
{
    sqlite3 *db;
    char *why = NULL;
    cr_assert_eq(sqlite3_open("users.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, &why), SQLITE_OK, "%s", why);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

/* What each version added is taken out again, newest first, with data in the rest. */
static const struct {
    unsigned version;
    const char *undo;
} older[] = {
    {4, "ALTER TABLE user DROP COLUMN pam; PRAGMA user_version = 4"},
    {3, "ALTER TABLE user DROP COLUMN pam; ALTER TABLE forgotten DROP COLUMN address;"
        "ALTER TABLE alias DROP COLUMN post; PRAGMA user_version = 3"},
    {2, "ALTER TABLE user DROP COLUMN pam; ALTER TABLE forgotten DROP COLUMN address;"
        "ALTER TABLE alias DROP COLUMN post; DROP TABLE device_news; PRAGMA user_version = 2"},
};

Test(users, a_file_of_an_older_version_is_brought_up_with_what_is_in_it)
{
    struct span target = SPAN("a@example.org");
    uint64_t org = add_domain("example.org", ""), box = add_user("a@example.org", org);
    cr_assert_eq(users_add_targets(users, SPAN("all@example.org"), org, &target, 1), 0);
    for (size_t i = 0; i < sizeof older / sizeof older[0]; i++) {
        struct users_secrets secrets;
        users_close(users);
        users = NULL;
        run_sql(older[i].undo);
        reopen();
        const struct user *user = directory_user(d, SPAN("a@example.org"));
        cr_assert(user != NULL && user->box == box && user->quota == 7 && !user->is_pam, "from %u",
                  older[i].version);
        const struct alias *alias = directory_alias(d, SPAN("all@example.org"));
        cr_assert(alias != NULL && alias->post == POST_ANYONE && alias->n_targets == 1);
        cr_assert_eq(users_secrets(users, box, &secrets), 1);
        cr_expect_str_eq(secrets.hash, "$hash");
        cr_expect(!secrets.is_pam && secrets.pam[0] == '\0');
        cr_expect_eq(users_set_pam(users, box, SPAN("bob")), 0, "the new column is there");
        cr_assert_eq(users_set_secrets(users, box, &(struct users_secrets){.hash = "$hash"}), 0);
        cr_expect_eq(users_set_post(users, SPAN("all@example.org"), POST_USERS), 0);
        cr_expect_eq(users_set_post(users, SPAN("all@example.org"), POST_ANYONE), 0);
    }
}

Test(users, pam_takes_the_place_of_a_password_and_back)
{
    struct users_secrets secrets;
    uint64_t box = add_user("a@example.org", add_domain("example.org", ""));
    cr_assert_eq(users_set_pam(users, box, SPAN("bob")), 0);
    reopen();
    cr_expect(directory_user(d, SPAN("a@example.org"))->is_pam);
    cr_assert_eq(users_secrets(users, box, &secrets), 1);
    cr_expect(secrets.is_pam && secrets.hash[0] == '\0' && !secrets.has_keys);
    cr_expect_str_eq(secrets.pam, "bob");
    cr_expect_eq(secrets.salt.iterations, 4096, "app passwords hang on it");
    run_sql("UPDATE user SET pam = 'a b'"); /* a damaged row is nobody's login, nor no login */
    cr_assert_eq(users_secrets(users, box, &secrets), 1);
    cr_expect(secrets.is_pam && secrets.pam[0] == '\0');
    cr_assert_eq(users_set_secrets(users, box, &(struct users_secrets){.hash = "$new"}), 0);
    reopen();
    cr_expect(!directory_user(d, SPAN("a@example.org"))->is_pam);
    cr_assert_eq(users_secrets(users, box, &secrets), 1);
    cr_expect(!secrets.is_pam && secrets.pam[0] == '\0');
    cr_expect_str_eq(secrets.hash, "$new");
}
