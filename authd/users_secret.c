/* Passwords and what is stored of them: hashes, keys of SCRAM, passwords of single programs. */
#include "authd/statements.h"
#include "authd/users.h"
#include "common/clock.h"

static struct span octets_of(const void *p, size_t n)
{
    return (struct span){p, n};
}

/* 0, or -1: a value of another size. */
static int take_octets(sqlite3_stmt *s, int at, void *out, size_t n)
{
    struct span v = sql_column(s, at);
    if (v.n != n)
        return -1;
    memcpy(out, v.p, n);
    return 0;
}

static void bind_secrets(sqlite3_stmt *s, int at, const struct users_secrets *new)
{
    sql_bind_blob(s, at, octets_of(new->salt.octets, sizeof new->salt.octets));
    sql_bind_u64(s, at + 1, new->salt.iterations);
    size_t n = new->has_keys ? SCRAM_KEY_OCTETS : 0;
    sql_bind_blob(s, at + 2, octets_of(new->keys.stored, n));
    sql_bind_blob(s, at + 3, octets_of(new->keys.server, n));
}

int users_forget_keys(struct users *u)
{
    return users_run(u, Q_FORGET_KEYS);
}

int users_add(struct users *u, const struct users_new *new, uint64_t *box)
{
    sqlite3_stmt *s = u->q[Q_ADD_USER];
    sql_bind_text(s, 1, new->address);
    sql_bind_u64(s, 2, new->domain);
    sql_bind_text(s, 3, span_of(new->secrets->hash));
    sql_bind_u64(s, 4, new->quota);
    sql_bind_i64(s, 5, clock_wall_s());
    sql_bind_u64(s, 6, new->is_receive_only);
    bind_secrets(s, 7, new->secrets);
    sql_bind_text(s, 11, new->pam);
    if (users_run(u, Q_ADD_USER) < 0)
        return -1;
    *box = (uint64_t)sqlite3_last_insert_rowid(u->db);
    return 0;
}

int users_set_secrets(struct users *u, uint64_t box, const struct users_secrets *new)
{
    sqlite3_stmt *s = u->q[Q_SET_SECRETS];
    sql_bind_u64(s, 1, box);
    sql_bind_text(s, 2, span_of(new->hash));
    bind_secrets(s, 3, new);
    return users_run(u, Q_SET_SECRETS);
}

int users_set_pam(struct users *u, uint64_t box, struct span login)
{
    sql_bind_u64(u->q[Q_SET_PAM], 1, box);
    sql_bind_text(u->q[Q_SET_PAM], 2, login);
    return users_run(u, Q_SET_PAM);
}

int users_set_salt(struct users *u, uint64_t box, const struct scram_salt *salt)
{
    sqlite3_stmt *s = u->q[Q_SET_SALT];
    sql_bind_u64(s, 1, box);
    sql_bind_blob(s, 2, octets_of(salt->octets, sizeof salt->octets));
    sql_bind_u64(s, 3, salt->iterations);
    return users_run(u, Q_SET_SALT);
}

int users_secrets(struct users *u, uint64_t box, struct users_secrets *out)
{
    sqlite3_stmt *s = u->q[Q_SECRETS];
    *out = (struct users_secrets){.hash = ""};
    sql_bind_u64(s, 1, box);
    int rc = sql_step(s);
    if (rc < 0)
        return users_failed(u);
    if (rc == 0)
        return 0;
    uint64_t iterations = sql_column_u64(s, 2);
    struct span pam = sql_column(s, 5);
    out->is_pam = pam.n > 0;
    if (pam_is_login(pam))
        span_copy(out->pam, sizeof out->pam, pam);
    if (span_copy(out->hash, sizeof out->hash, sql_column(s, 0)) < 0)
        out->hash[0] = '\0'; /* no password fits to it */
    if (iterations > 0 && iterations <= SCRAM_ITERATIONS_MAX &&
        take_octets(s, 1, out->salt.octets, sizeof out->salt.octets) == 0)
        out->salt.iterations = (uint32_t)iterations;
    out->has_keys = out->salt.iterations > 0 &&
                    take_octets(s, 3, out->keys.stored, sizeof out->keys.stored) == 0 &&
                    take_octets(s, 4, out->keys.server, sizeof out->keys.server) == 0;
    sql_reset(s);
    return 1;
}

int users_secret(struct users *u, unsigned char out[USERS_SECRET_OCTETS])
{
    sqlite3_stmt *s = u->q[Q_SECRET];
    if (sql_step(s) != 1)
        return users_failed(u);
    int rc = take_octets(s, 0, out, USERS_SECRET_OCTETS);
    sql_reset(s);
    return rc;
}

/* --- passwords of programs --- */

static int note_news(struct users *u, uint64_t box)
{
    sql_bind_u64(u->q[Q_DEVICE_NEWS], 1, box);
    return users_run(u, Q_DEVICE_NEWS);
}

int users_add_app(struct users *u, uint64_t box, const struct app_password *new)
{
    sqlite3_stmt *s = u->q[Q_ADD_APP];
    sql_bind_u64(s, 1, box);
    sql_bind_text(s, 2, new->name);
    sql_bind_u64(s, 3, new->is_device);
    sql_bind_blob(s, 4, octets_of(new->keys.stored, sizeof new->keys.stored));
    sql_bind_blob(s, 5, octets_of(new->keys.server, sizeof new->keys.server));
    sql_bind_i64(s, 6, clock_wall_s());
    if (!new->is_device)
        return users_run(u, Q_ADD_APP);
    if (users_run(u, Q_BEGIN) < 0)
        return -1;
    int rc = users_run(u, Q_ADD_APP);
    return users_end(u, rc == 0 ? note_news(u, box) : rc);
}

int users_remove_app(struct users *u, uint64_t box, struct span name)
{
    sqlite3_stmt *s = u->q[Q_REMOVE_APP];
    if (users_run(u, Q_BEGIN) < 0)
        return -1;
    sql_bind_u64(s, 1, box);
    sql_bind_text(s, 2, name);
    int rc = users_run(u, Q_REMOVE_APP), n = sqlite3_changes(u->db);
    if (rc == 0 && n > 0)
        rc = note_news(u, box);
    return users_end(u, rc) < 0 ? -1 : n;
}

int users_next_news(struct users *u, uint64_t after, struct device_news *out)
{
    sqlite3_stmt *s = u->q[Q_NEXT_NEWS];
    sql_bind_u64(s, 1, after);
    int rc = sql_step(s);
    if (rc < 0)
        return users_failed(u);
    if (rc == 1) {
        *out = (struct device_news){sql_column_u64(s, 0), sql_column_u64(s, 1)};
        sql_reset(s);
    }
    return rc;
}

int users_news_told(struct users *u, const struct device_news *n)
{
    sql_bind_u64(u->q[Q_NEWS_TOLD], 1, n->box);
    sql_bind_u64(u->q[Q_NEWS_TOLD], 2, n->version);
    return users_run(u, Q_NEWS_TOLD);
}

int users_apps(struct users *u, uint64_t box, users_app_fn *fn, void *arg)
{
    sqlite3_stmt *s = u->q[Q_ALL_APPS];
    int n = 0, rc;
    sql_bind_u64(s, 1, box);
    while ((rc = sql_step(s)) == 1) {
        struct app_password app = {.credential = sql_column_u64(s, 0),
                                   .name = sql_column(s, 1),
                                   .is_device = sql_column_u64(s, 2) != 0,
                                   .created = (int64_t)sql_column_u64(s, 5),
                                   .last_used = (int64_t)sql_column_u64(s, 6)};
        if (take_octets(s, 3, app.keys.stored, sizeof app.keys.stored) < 0 ||
            take_octets(s, 4, app.keys.server, sizeof app.keys.server) < 0)
            continue; /* damaged: matches nothing */
        fn(arg, &app);
        n++;
    }
    return rc == 0 ? n : users_failed(u);
}
