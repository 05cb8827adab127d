#include "authd/users.h"

#include "authd/resolve.h"
#include "common/addr.h"
#include "common/clock.h"
#include "common/log.h"
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
};
_Static_assert(sizeof migrations / sizeof migrations[0] == USERDB_VERSION,
               "each version has its migration");

/* S(name, sql): one statement, prepared at the start and kept. */
#define STATEMENTS(S)                                                                              \
    S(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    S(COMMIT, "COMMIT")                                                                            \
    S(ROLLBACK, "ROLLBACK")                                                                        \
    S(ALL_DOMAINS, "SELECT number, name, postmaster FROM domain ORDER BY number")                  \
    S(ALL_USERS, "SELECT box, address, quota, disabled, last_login FROM user ORDER BY box")        \
    S(ALL_TARGETS, "SELECT a.address, t.target FROM alias a JOIN alias_target t "                  \
                   "ON t.alias = a.number ORDER BY a.number, t.target")                            \
    S(ADD_DOMAIN, "INSERT INTO domain (name, postmaster) VALUES (?1, ?2)")                         \
    S(SET_POSTMASTER, "UPDATE domain SET postmaster = ?2 WHERE number = ?1")                       \
    S(REMOVE_DOMAIN, "DELETE FROM domain WHERE number = ?1")                                       \
    S(COUNT, "SELECT (SELECT count(*) FROM user WHERE domain = ?1),"                               \
             " (SELECT count(*) FROM alias WHERE domain = ?1)")                                    \
    S(ADD_USER, "INSERT INTO user (address, domain, hash, quota, created)"                         \
                " VALUES (?1, ?2, ?3, ?4, ?5)")                                                    \
    S(SET_HASH, "UPDATE user SET hash = ?2 WHERE box = ?1")                                        \
    S(SET_DISABLED, "UPDATE user SET disabled = ?2 WHERE box = ?1")                                \
    S(SET_QUOTA, "UPDATE user SET quota = ?2 WHERE box = ?1")                                      \
    S(SET_LOGIN, "UPDATE user SET last_login = ?2 WHERE box = ?1")                                 \
    S(REMOVE_USER, "DELETE FROM user WHERE box = ?1")                                              \
    S(FORGET, "INSERT INTO forgotten (box, since) VALUES (?1, ?2)")                                \
    S(HASH, "SELECT hash FROM user WHERE box = ?1")                                                \
    S(ADD_ALIAS, "INSERT INTO alias (address, domain) VALUES (?1, ?2) ON CONFLICT DO NOTHING")     \
    S(ADD_TARGET, "INSERT INTO alias_target (alias, target)"                                       \
                  " SELECT number, ?2 FROM alias WHERE address = ?1 ON CONFLICT DO NOTHING")       \
    S(REMOVE_TARGET, "DELETE FROM alias_target WHERE target = ?2"                                  \
                     " AND alias = (SELECT number FROM alias WHERE address = ?1)")                 \
    S(REMOVE_ALIAS, "DELETE FROM alias WHERE address = ?1")                                        \
    S(REMOVE_EMPTY_ALIAS, "DELETE FROM alias WHERE address = ?1 AND NOT EXISTS"                    \
                          " (SELECT 1 FROM alias_target t WHERE t.alias = alias.number)")          \
    S(NEXT_FORGOTTEN, "SELECT box FROM forgotten WHERE box > ?1 ORDER BY box LIMIT 1")             \
    S(FORGOTTEN_DONE, "DELETE FROM forgotten WHERE box = ?1")                                      \
    S(LIST_DOMAINS, "SELECT number, name, postmaster, 0, 0, 0 FROM domain WHERE number > ?1"       \
                    " ORDER BY number LIMIT ?2")                                                   \
    S(LIST_USERS, "SELECT box, address, '', quota, disabled, created FROM user WHERE box > ?1"     \
                  " ORDER BY box LIMIT ?2")                                                        \
    S(LIST_ALIASES, "SELECT number, address, '', 0, 0, 0 FROM alias WHERE number > ?1"             \
                    " ORDER BY number LIMIT ?2")

enum statement {
#define STATEMENT_ENUM(name, sql) Q_##name,
    STATEMENTS(STATEMENT_ENUM)
#undef STATEMENT_ENUM
        N_STATEMENTS
};

static const char *const texts[] = {
#define STATEMENT_TEXT(name, sql) [Q_##name] = sql,
    STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

struct users {
    sqlite3 *db;
    sqlite3_stmt *q[N_STATEMENTS];
    enum sql_fault fault;
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

/* --- running statements --- */

/* What went wrong is kept, since a rollback after it would hide it. */
static int failed(struct users *u)
{
    u->fault = sql_fault(u->db);
    return -1;
}

static int run(struct users *u, enum statement which)
{
    return sql_run(u->q[which]) == 0 ? 0 : failed(u);
}

static int run_number(struct users *u, enum statement which, uint64_t key, uint64_t value)
{
    sql_bind_u64(u->q[which], 1, key);
    if (sqlite3_bind_parameter_count(u->q[which]) > 1)
        sql_bind_u64(u->q[which], 2, value);
    return run(u, which);
}

static int run_text(struct users *u, enum statement which, uint64_t key, struct span value)
{
    sql_bind_u64(u->q[which], 1, key);
    sql_bind_text(u->q[which], 2, value);
    return run(u, which);
}

/* Ends what begin began: COMMIT, or ROLLBACK if rc is not 0. */
static int end(struct users *u, int rc)
{
    if (rc == 0 && run(u, Q_COMMIT) == 0)
        return 0;
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
    return 0;
}

static int take_target(struct directory *d, sqlite3_stmt *s)
{
    struct span address = sql_column(s, 0), target = sql_column(s, 1);
    if (is_address(address, true) && is_address(target, false))
        return directory_add_target(d, address, target);
    leave_out("alias", address);
    return 0;
}

int users_load(struct users *u, struct directory *d, struct error *e)
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
            return error_set(e, "users.db: %s", sqlite3_errmsg(u->db));
    }
    return 0;
}

/* --- domains --- */

int users_add_domain(struct users *u, struct span name, struct span postmaster, uint64_t *number)
{
    sql_bind_text(u->q[Q_ADD_DOMAIN], 1, name);
    sql_bind_text(u->q[Q_ADD_DOMAIN], 2, postmaster);
    if (run(u, Q_ADD_DOMAIN) < 0)
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
        return failed(u);
    *n_users = sql_column_u64(s, 0);
    *n_aliases = sql_column_u64(s, 1);
    sql_reset(s);
    return 0;
}

/* --- users --- */

int users_add(struct users *u, const struct users_new *new, uint64_t *box)
{
    sqlite3_stmt *s = u->q[Q_ADD_USER];
    sql_bind_text(s, 1, new->address);
    sql_bind_u64(s, 2, new->domain);
    sql_bind_text(s, 3, new->hash);
    sql_bind_u64(s, 4, new->quota);
    sql_bind_i64(s, 5, clock_wall_s());
    if (run(u, Q_ADD_USER) < 0)
        return -1;
    *box = (uint64_t)sqlite3_last_insert_rowid(u->db);
    return 0;
}

int users_set_hash(struct users *u, uint64_t box, struct span hash)
{
    return run_text(u, Q_SET_HASH, box, hash);
}

int users_set_disabled(struct users *u, uint64_t box, bool is_disabled)
{
    return run_number(u, Q_SET_DISABLED, box, is_disabled);
}

int users_set_quota(struct users *u, uint64_t box, uint64_t quota)
{
    return run_number(u, Q_SET_QUOTA, box, quota);
}

int users_remove(struct users *u, uint64_t box)
{
    if (run(u, Q_BEGIN) < 0)
        return -1;
    int rc = run_number(u, Q_REMOVE_USER, box, 0);
    if (rc == 0)
        rc = run_number(u, Q_FORGET, box, (uint64_t)clock_wall_s());
    return end(u, rc);
}

int users_hash(struct users *u, uint64_t box, char out[USERS_HASH_MAX])
{
    sqlite3_stmt *s = u->q[Q_HASH];
    sql_bind_u64(s, 1, box);
    int rc = sql_step(s);
    if (rc < 0)
        return failed(u);
    if (rc == 1) {
        if (span_copy(out, USERS_HASH_MAX, sql_column(s, 0)) < 0)
            out[0] = '\0'; /* no password fits to it */
        sql_reset(s);
    }
    return rc;
}

int users_save_logins(struct users *u, struct directory *d)
{
    int rc = run(u, Q_BEGIN);
    if (rc < 0)
        return -1;
    const struct table *t = &d->users;
    for (struct node *n = table_next(t, NULL); n != NULL && rc == 0; n = table_next(t, n)) {
        const struct user *user = (struct user *)n;
        if (user->is_login_unsaved)
            rc = run_number(u, Q_SET_LOGIN, user->box, (uint64_t)user->last_login);
    }
    if (end(u, rc) < 0)
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
    return run(u, which);
}

static int run_name(struct users *u, enum statement which, struct span name)
{
    sql_bind_text(u->q[which], 1, name);
    return run(u, which);
}

int users_add_targets(struct users *u, struct span address, uint64_t domain,
                      const struct span *targets, size_t n)
{
    if (run(u, Q_BEGIN) < 0)
        return -1;
    sql_bind_text(u->q[Q_ADD_ALIAS], 1, address);
    sql_bind_u64(u->q[Q_ADD_ALIAS], 2, domain);
    int rc = run(u, Q_ADD_ALIAS);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = run_pair(u, Q_ADD_TARGET, address, targets[i]);
    return end(u, rc);
}

int users_remove_targets(struct users *u, struct span address, const struct span *targets, size_t n)
{
    if (n == 0)
        return run_name(u, Q_REMOVE_ALIAS, address);
    int rc = run(u, Q_BEGIN);
    if (rc < 0)
        return -1;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = run_pair(u, Q_REMOVE_TARGET, address, targets[i]);
    if (rc == 0)
        rc = run_name(u, Q_REMOVE_EMPTY_ALIAS, address);
    return end(u, rc);
}

/* --- forgotten boxes --- */

int users_next_forgotten(struct users *u, uint64_t after, uint64_t *box)
{
    sqlite3_stmt *s = u->q[Q_NEXT_FORGOTTEN];
    sql_bind_u64(s, 1, after);
    int rc = sql_step(s);
    if (rc < 0)
        return failed(u);
    if (rc == 1) {
        *box = sql_column_u64(s, 0);
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
                                .created = (int64_t)sql_column_u64(s, 5)};
        fn(arg, &row);
        n++;
    }
    return rc == 0 ? n : failed(u);
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
