#include "authd/users.h"

#include "authd/resolve.h"
#include "authd/statements.h"
#include "common/addr.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/sql_copy.h"
#include "common/userdb.h"

#include <stdlib.h>

static const char *const migrations[] = {
    "CREATE TABLE domain ("
    " number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " name TEXT NOT NULL UNIQUE CHECK (name <> ''),"
    " postmaster TEXT NOT NULL DEFAULT '') STRICT;"
    "CREATE TABLE user ("
    " box INTEGER PRIMARY KEY AUTOINCREMENT," /* never given twice, also after a removal */
    " address TEXT NOT NULL UNIQUE CHECK (address <> ''),"
    " domain INTEGER NOT NULL REFERENCES domain(number),"
    " hash TEXT NOT NULL,"
    " quota INTEGER NOT NULL DEFAULT 0 CHECK (quota >= 0),"
    " disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),"
    " created INTEGER NOT NULL,"
    " last_login INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX user_domain ON user(domain);"
    "CREATE TABLE alias ("
    " number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " address TEXT NOT NULL UNIQUE CHECK (address <> ''),"
    " domain INTEGER NOT NULL REFERENCES domain(number)) STRICT;"
    "CREATE INDEX alias_domain ON alias(domain);"
    "CREATE TABLE alias_target ("
    " alias INTEGER NOT NULL REFERENCES alias(number) ON DELETE CASCADE,"
    " target TEXT NOT NULL CHECK (target <> ''),"
    " PRIMARY KEY (alias, target)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE forgotten ("
    " box INTEGER PRIMARY KEY,"
    " since INTEGER NOT NULL) STRICT;",
    /* Keys of SCRAM (empty: the password was set before there were any), why a user is disabled,
     * and passwords of single programs. The secret makes the salts of users that do not exist. */
    "ALTER TABLE user ADD COLUMN salt BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE user ADD COLUMN iterations INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE user ADD COLUMN stored_key BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE user ADD COLUMN server_key BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE user ADD COLUMN reason TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE user ADD COLUMN receive_only INTEGER NOT NULL DEFAULT 0"
    " CHECK (receive_only IN (0, 1));"
    "CREATE TABLE app_password ("
    " credential INTEGER PRIMARY KEY AUTOINCREMENT," /* never given twice */
    " box INTEGER NOT NULL REFERENCES user(box) ON DELETE CASCADE,"
    " name TEXT NOT NULL CHECK (name <> ''),"
    " device INTEGER NOT NULL CHECK (device IN (0, 1)),"
    " stored_key BLOB NOT NULL,"
    " server_key BLOB NOT NULL,"
    " created INTEGER NOT NULL,"
    " last_used INTEGER NOT NULL DEFAULT 0,"
    " UNIQUE (box, name)) STRICT;"
    "CREATE TABLE secret (octets BLOB NOT NULL) STRICT;"
    "INSERT INTO secret (octets) VALUES (randomblob(32));",
    /* Boxes whose devices changed since queue was told; version counts the changes. */
    "CREATE TABLE device_news ("
    " box INTEGER PRIMARY KEY REFERENCES user(box) ON DELETE CASCADE,"
    " version INTEGER NOT NULL) STRICT;"
    "INSERT INTO device_news (box, version) SELECT DISTINCT box, 1 FROM app_password"
    " WHERE device = 1;",
    /* Whose box it was; empty: that was not kept yet. */
    ("ALTER TABLE forgotten ADD COLUMN address TEXT NOT NULL DEFAULT '';"
     /* Who may send to it: enum post_rule. */
     "ALTER TABLE alias ADD COLUMN post INTEGER NOT NULL DEFAULT 0 CHECK (post BETWEEN 0 AND 2);"),
    /* The login of the system whose password is the user's, asked of PAM; empty: he has his own. */
    "ALTER TABLE user ADD COLUMN pam TEXT NOT NULL DEFAULT '';",
};
_Static_assert(sizeof migrations / sizeof migrations[0] == USERDB_VERSION,
               "each version has its migration");

static const char *const texts[] = {
#define STATEMENT_TEXT(name, sql) [Q_##name] = sql,
    STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

struct users *users_open(const char *path, struct error *e)
{
    struct sql_spec spec = {.path = path,
                            .application_id = USERDB_APPLICATION_ID,
                            .migrations = migrations,
                            .version = USERDB_VERSION};
    struct users *u = calloc(1, sizeof *u);
    if (u == NULL) {
        error_set(e, "out of memory");
        return NULL;
    }
    bool is_good = (u->db = sql_open(&spec, e)) != NULL;
    for (size_t i = 0; i < N_STATEMENTS && is_good; i++)
        is_good = (u->q[i] = sql_prepare(u->db, texts[i], e)) != NULL;
    if (is_good)
        return u;
    users_close(u);
    return NULL;
}

void users_close(struct users *u)
{
    if (u == NULL)
        return;
    for (size_t i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(u->q[i]);
    sql_close(u->db);
    free(u);
}

enum sql_fault users_fault(struct users *u)
{
    return u->fault;
}

struct sql_copy *users_copy(struct users *u, const char *path, struct error *e)
{
    return sql_copy_begin(u->db, path, e);
}

/* --- running statements --- */

int users_failed(struct users *u)
{
    u->fault = sql_fault(u->db);
    return -1;
}

int users_run(struct users *u, enum statement which)
{
    return sql_run(u->q[which]) == 0 ? 0 : users_failed(u);
}

static int run_number(struct users *u, enum statement which, uint64_t key, uint64_t value)
{
    sql_bind_u64(u->q[which], 1, key);
    if (sqlite3_bind_parameter_count(u->q[which]) > 1)
        sql_bind_u64(u->q[which], 2, value);
    return users_run(u, which);
}

static int run_text(struct users *u, enum statement which, uint64_t key, struct span value)
{
    sql_bind_u64(u->q[which], 1, key);
    sql_bind_text(u->q[which], 2, value);
    return users_run(u, which);
}

int users_end(struct users *u, int rc)
{
    if (rc == 0 && users_run(u, Q_COMMIT) == 0) {
        sql_saved(u->db);
        return 0;
    }
    if (sqlite3_get_autocommit(u->db) == 0)
        sql_run(u->q[Q_ROLLBACK]);
    return -1;
}

/* --- reading it all --- */

static void leave_out(const char *what, struct span name)
{
    LOG(0, "row-left-out", LZ("table", what), LS("name", name), LZ("because", "not valid"));
}

static bool is_address(struct span text, bool is_catch_all)
{
    char canonical[ADDRESS_MAX];
    return resolve_canonical(text, is_catch_all, canonical) == 0 &&
           span_eq(text, span_of(canonical));
}

static int take_domain(struct directory *d, sqlite3_stmt *s)
{
    struct span name = sql_column(s, 1), postmaster = sql_column(s, 2);
    if (!addr_is_domain(name) || (postmaster.n > 0 && !is_address(postmaster, false)) ||
        directory_domain(d, name) != NULL) {
        leave_out("domain", name);
        return 0;
    }
    struct domain *domain = directory_add_domain(d, name, sql_column_u64(s, 0));
    return domain != NULL ? directory_set_postmaster(domain, postmaster) : -1;
}

static int take_user(struct directory *d, sqlite3_stmt *s)
{
    struct span address = sql_column(s, 1);
    uint64_t box = sql_column_u64(s, 0);
    if (box == 0 || !is_address(address, false) ||
        directory_domain(d, resolve_domain_of(address)) == NULL) {
        leave_out("user", address);
        return 0;
    }
    struct user *user = directory_add_user(d, address, box);
    if (user == NULL)
        return -1;
    user->quota = sql_column_u64(s, 2);
    user->is_disabled = sql_column_u64(s, 3) != 0;
    user->last_login = (int64_t)sql_column_u64(s, 4);
    user->is_receive_only = sql_column_u64(s, 5) != 0;
    user->is_pam = sql_column_u64(s, 6) != 0;
    return 0;
}

/* A rule that there is not is the narrowest. */
static int add_target(struct directory *d, struct span address, struct span target, uint64_t post)
{
    if (directory_add_target(d, address, target) < 0)
        return -1;
    directory_alias(d, address)->post = post < POST_RULES ? (enum post_rule)post : POST_USERS;
    return 0;
}

static int take_target(struct directory *d, sqlite3_stmt *s)
{
    struct span address = sql_column(s, 0), target = sql_column(s, 1);
    if (is_address(address, true) && is_address(target, false))
        return add_target(d, address, target, sql_column_u64(s, 2));
    leave_out("alias", address);
    return 0;
}

static int load_all(struct users *u, struct directory *d, struct error *e)
{
    static const struct {
        enum statement which;
        int (*take)(struct directory *d, sqlite3_stmt *s);
    } steps[] = {
        {Q_ALL_DOMAINS, take_domain}, {Q_ALL_USERS, take_user}, {Q_ALL_TARGETS, take_target}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        sqlite3_stmt *s = u->q[steps[i].which];
        int rc;
        while ((rc = sql_step(s)) == 1)
            if (steps[i].take(d, s) < 0) {
                sql_reset(s);
                return error_set(e, "users.db: out of memory");
            }
        if (rc < 0)
            return error_set(e, "users.db: %s%s", sqlite3_errmsg(u->db),
                             sql_fault(u->db) == SQL_FAULT_DAMAGED ? ": restore a backup" : "");
    }
    return 0;
}

int users_load(struct users *u, struct directory *d, struct error *e)
{
    bool was_quiet = sql_quiet(true);
    int rc = load_all(u, d, e);
    sql_quiet(was_quiet);
    return rc;
}

/* --- domains --- */

int users_add_domain(struct users *u, struct span name, struct span postmaster, uint64_t *number)
{
    sql_bind_text(u->q[Q_ADD_DOMAIN], 1, name);
    sql_bind_text(u->q[Q_ADD_DOMAIN], 2, postmaster);
    if (users_run(u, Q_ADD_DOMAIN) < 0)
        return -1;
    *number = (uint64_t)sqlite3_last_insert_rowid(u->db);
    return 0;
}

int users_set_postmaster(struct users *u, uint64_t domain, struct span postmaster)
{
    return run_text(u, Q_SET_POSTMASTER, domain, postmaster);
}

int users_remove_domain(struct users *u, uint64_t domain)
{
    return run_number(u, Q_REMOVE_DOMAIN, domain, 0);
}

int users_count(struct users *u, uint64_t domain, uint64_t *n_users, uint64_t *n_aliases)
{
    sqlite3_stmt *s = u->q[Q_COUNT];
    sql_bind_u64(s, 1, domain);
    if (sql_step(s) != 1)
        return users_failed(u);
    *n_users = sql_column_u64(s, 0);
    *n_aliases = sql_column_u64(s, 1);
    sql_reset(s);
    return 0;
}

/* --- users --- */

int users_domain_of(struct users *u, uint64_t box, uint64_t *domain)
{
    sqlite3_stmt *s = u->q[Q_DOMAIN_OF_BOX];
    sql_bind_u64(s, 1, box);
    int rc = sql_step(s);
    if (rc == 1)
        *domain = sql_column_u64(s, 0);
    sql_reset(s);
    return rc < 0 ? users_failed(u) : rc;
}

int users_set_disabled(struct users *u, uint64_t box, bool is_disabled, struct span reason)
{
    sql_bind_u64(u->q[Q_SET_DISABLED], 1, box);
    sql_bind_u64(u->q[Q_SET_DISABLED], 2, is_disabled);
    sql_bind_text(u->q[Q_SET_DISABLED], 3, reason);
    return users_run(u, Q_SET_DISABLED);
}

int users_set_receive_only(struct users *u, uint64_t box, bool is_receive_only)
{
    return run_number(u, Q_SET_RECEIVE_ONLY, box, is_receive_only);
}

int users_set_quota(struct users *u, uint64_t box, uint64_t quota)
{
    return run_number(u, Q_SET_QUOTA, box, quota);
}

int users_remove(struct users *u, uint64_t box)
{
    if (users_run(u, Q_BEGIN) < 0)
        return -1;
    int rc = run_number(u, Q_FORGET, box, (uint64_t)clock_wall_s());
    if (rc == 0)
        rc = run_number(u, Q_REMOVE_FORWARD, box, 0);
    if (rc == 0)
        rc = run_number(u, Q_REMOVE_USER, box, 0);
    return users_end(u, rc);
}

int users_save_logins(struct users *u, struct directory *d, const struct app_use *uses,
                      size_t n_uses)
{
    int rc = users_run(u, Q_BEGIN);
    if (rc < 0)
        return -1;
    const struct table *t = &d->users;
    for (struct node *n = table_next(t, NULL); n != NULL && rc == 0; n = table_next(t, n)) {
        const struct user *user = (struct user *)n;
        if (user->is_login_unsaved)
            rc = run_number(u, Q_SET_LOGIN, user->box, (uint64_t)user->last_login);
    }
    for (size_t i = 0; i < n_uses && rc == 0; i++)
        rc = run_number(u, Q_SET_USED, uses[i].credential, (uint64_t)uses[i].at);
    if (users_end(u, rc) < 0)
        return -1;
    for (struct node *n = table_next(t, NULL); n != NULL; n = table_next(t, n))
        ((struct user *)n)->is_login_unsaved = false;
    return 0;
}

/* --- aliases --- */

static int run_pair(struct users *u, enum statement which, struct span a, struct span b)
{
    sql_bind_text(u->q[which], 1, a);
    sql_bind_text(u->q[which], 2, b);
    return users_run(u, which);
}

static int run_name(struct users *u, enum statement which, struct span name)
{
    sql_bind_text(u->q[which], 1, name);
    return users_run(u, which);
}

static int add_targets(struct users *u, struct span address, uint64_t domain,
                       const struct span *targets, size_t n)
{
    sql_bind_text(u->q[Q_ADD_ALIAS], 1, address);
    sql_bind_u64(u->q[Q_ADD_ALIAS], 2, domain);
    int rc = users_run(u, Q_ADD_ALIAS);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = run_pair(u, Q_ADD_TARGET, address, targets[i]);
    return rc;
}

int users_add_targets(struct users *u, struct span address, uint64_t domain,
                      const struct span *targets, size_t n)
{
    if (users_run(u, Q_BEGIN) < 0)
        return -1;
    return users_end(u, add_targets(u, address, domain, targets, n));
}

int users_set_targets(struct users *u, struct span address, uint64_t domain,
                      const struct span *targets, size_t n)
{
    if (users_run(u, Q_BEGIN) < 0)
        return -1;
    int rc = run_name(u, Q_REMOVE_ALIAS, address);
    if (rc == 0 && n > 0)
        rc = add_targets(u, address, domain, targets, n);
    return users_end(u, rc);
}

int users_set_post(struct users *u, struct span address, enum post_rule rule)
{
    sql_bind_text(u->q[Q_SET_POST], 1, address);
    sql_bind_u64(u->q[Q_SET_POST], 2, rule);
    return users_run(u, Q_SET_POST);
}

int users_remove_targets(struct users *u, struct span address, const struct span *targets, size_t n)
{
    if (n == 0)
        return run_name(u, Q_REMOVE_ALIAS, address);
    int rc = users_run(u, Q_BEGIN);
    if (rc < 0)
        return -1;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = run_pair(u, Q_REMOVE_TARGET, address, targets[i]);
    if (rc == 0)
        rc = run_name(u, Q_REMOVE_EMPTY_ALIAS, address);
    return users_end(u, rc);
}

/* --- forgotten boxes --- */

int users_next_forgotten(struct users *u, uint64_t after, uint64_t *box,
                         char address[ADDRESS_MAX + 1])
{
    sqlite3_stmt *s = u->q[Q_NEXT_FORGOTTEN];
    sql_bind_u64(s, 1, after);
    int rc = sql_step(s);
    if (rc < 0)
        return users_failed(u);
    if (rc == 1) {
        *box = sql_column_u64(s, 0);
        if (span_copy(address, ADDRESS_MAX + 1, sql_column(s, 1)) < 0)
            address[0] = '\0';
        sql_reset(s);
    }
    return rc;
}

int users_forgotten_done(struct users *u, uint64_t box)
{
    return run_number(u, Q_FORGOTTEN_DONE, box, 0);
}

/* --- lists --- */

static int list(struct users *u, enum statement which, const uint64_t page[2], users_row_fn *fn,
                void *arg)
{
    sqlite3_stmt *s = u->q[which];
    sql_bind_u64(s, 1, page[0]);
    sql_bind_u64(s, 2, page[1]);
    int n = 0, rc;
    while ((rc = sql_step(s)) == 1) {
        struct users_row row = {.number = sql_column_u64(s, 0),
                                .name = sql_column(s, 1),
                                .postmaster = sql_column(s, 2),
                                .quota = sql_column_u64(s, 3),
                                .is_disabled = sql_column_u64(s, 4) != 0,
                                .created = (int64_t)sql_column_u64(s, 5),
                                .reason = sql_column(s, 6),
                                .is_receive_only = sql_column_u64(s, 7) != 0,
                                .pam = sql_column(s, 9),
                                .n_apps = sql_column_u64(s, 8)};
        fn(arg, &row);
        n++;
    }
    return rc == 0 ? n : users_failed(u);
}

int users_list_domains(struct users *u, uint64_t after, unsigned max, users_row_fn *fn, void *arg)
{
    return list(u, Q_LIST_DOMAINS, (uint64_t[]){after, max}, fn, arg);
}

int users_list(struct users *u, uint64_t after, unsigned max, users_row_fn *fn, void *arg)
{
    return list(u, Q_LIST_USERS, (uint64_t[]){after, max}, fn, arg);
}

int users_list_aliases(struct users *u, uint64_t after, unsigned max, users_row_fn *fn, void *arg)
{
    return list(u, Q_LIST_ALIASES, (uint64_t[]){after, max}, fn, arg);
}

int users_show(struct users *u, uint64_t box, users_row_fn *fn, void *arg)
{
    return list(u, Q_LIST_USERS, (uint64_t[]){box - 1, 1}, fn, arg);
}
