/* `barid sql`: questions to mail.db, beside the daemons or without them. It is opened read-only, by
 * an account that can do no more than read it, and only its views can be seen: sql_views.h. */
#include "common/sql.h"
#include "cli/output.h"
#include "cli/sql_views.h"
#include "cli/tables.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/maildb.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define ROWS_MAX        100000
#define ROWS_USUAL      1000
#define SECONDS_MAX     300
#define SECONDS_USUAL   10
#define CELL_MAX        400         /* octets of a cell of a table */
#define JSON_MAX        (64U << 20) /* octets of a document */
#define MEMORY_MAX      (1U << 30)
#define NOBODY          65534
#define OPS_IN_A_STRIDE 1000 /* of SQLite's machine, between looks at the clock */

struct asking {
    struct cli *cli;
    sqlite3 *db;
    uint64_t n_max, n_rows;
    uint64_t seconds;
    int64_t deadline_ms;
    bool is_cut;      /* there are more rows */
    struct rows rows; /* of a table */
    struct buf json;
};

/* --- opening --- */

/* The names of mailboxes, asked of authd before anything else, as that needs the rights of who
 * calls.
 */
static int ask_accounts(struct cli *cli, struct rows *users, struct error *e)
{
    const struct span all = SPAN("long=yes");
    struct question who = {.process = ROLE_AUTHD, .admin = "user list", .args = &all, .n_args = 1};
    return cli_ask(cli, &who, users, NULL, e);
}

static int fill_accounts(sqlite3 *db, const struct rows *users, struct error *e)
{
    struct column c;
    sqlite3_stmt *st =
        sql_prepare(db, "INSERT OR IGNORE INTO temp.account (box, address) VALUES (?1, ?2)", e);
    int rc = st != NULL ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < users->n; i++) {
        int64_t box = row_find_number(&users->list[i], "box");
        if (box <= 0 || !row_find(&users->list[i], "address", &c))
            continue;
        sql_bind_i64(st, 1, box);
        sql_bind_text(st, 2, c.text);
        rc = sql_run(st);
        sql_reset(st);
    }
    sqlite3_finalize(st);
    return st == NULL || rc == 0 ? rc : error_set(e, "no memory for the names of mailboxes");
}

/* For a query that wants too much. The sanitizers need more than any limit allows. */
static int limit_memory(void)
{
#ifndef BARID_SANITIZERS
    return setrlimit(RLIMIT_AS, &(struct rlimit){MEMORY_MAX, MEMORY_MAX});
#else
    return 0;
#endif
}

/* Root reads nothing that another account can write: what remains is the right to read it. */
static int become_reader(int dirfd, struct error *e)
{
    struct stat st;
    if (fstat(dirfd, &st) < 0 || fchdir(dirfd) < 0 || limit_memory() < 0)
        return error_set(e, "the store's directory: %s", strerror(errno));
    if (geteuid() != 0)
        return 0;
    if (setgroups(0, NULL) < 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) < 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) < 0)
        return error_set(e, "cannot give up the rights of root: %s", strerror(errno));
    return setuid(0) < 0 ? 0 : error_set(e, "the rights of root are still there");
}

static int open_dir(const struct config *c, struct error *e)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/queue", c->state_dir);
    if (n <= 0 || (size_t)n >= sizeof path)
        return error_set(e, "state_dir is too long");
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        error_set(e, "%s: %s%s", path, strerror(errno),
                  errno == EACCES ? ": run this as root or as the user who started barid" : "");
    return fd;
}

static int open_store(struct asking *a, const struct rows *users, struct error *e)
{
    const struct sql_spec spec = {.path = MAILDB_PATH,
                                  .application_id = MAILDB_APPLICATION_ID,
                                  .migrations = maildb_migrations,
                                  .version = MAILDB_VERSION,
                                  .is_readonly = true};
    int dirfd = open_dir(a->cli->config, e);
    int rc = dirfd >= 0 ? become_reader(dirfd, e) : -1;
    if (dirfd >= 0)
        close(dirfd);
    if (rc < 0 || (a->db = sql_open(&spec, e)) == NULL || sql_views_make(a->db, e) < 0)
        return -1;
    if (fill_accounts(a->db, users, e) < 0)
        return -1;
    sql_views_guard(a->db);
    return 0;
}

/* --- asking --- */

static int is_overdue(void *asking)
{
    const struct asking *a = asking;
    return clock_mono_ms() > a->deadline_ms;
}

static int refused(const struct asking *a, int code, struct error *e)
{
    if (code == SQLITE_INTERRUPT)
        return error_set(e, "stopped after %llu seconds: ask for less, or give --timeout SECONDS",
                         (unsigned long long)a->seconds);
    if (code == SQLITE_NOMEM)
        return error_set(e, "no memory for this query");
    return error_set(e, "%s ('barid sql' without a query lists what there is)",
                     sqlite3_errmsg(a->db));
}

/* One statement that reads. NULL and e. */
static sqlite3_stmt *prepare(const struct asking *a, struct span query, struct error *e)
{
    sqlite3_stmt *st = NULL;
    const char *rest = NULL;
    int n = query.n <= INT_MAX / 2 ? (int)query.n : INT_MAX / 2;
    int code = sqlite3_prepare_v2(a->db, query.p, n, &st, &rest);
    if (code != SQLITE_OK) {
        refused(a, code, e);
        return NULL;
    }
    struct span more = span_from(query, (size_t)(rest - query.p));
    while (more.n > 0 && (more.p[0] == ';' || more.p[0] == ' ' || more.p[0] == '\n'))
        more = span_from(more, 1);
    if (st != NULL && more.n == 0 && sqlite3_stmt_readonly(st) != 0)
        return st;
    sqlite3_finalize(st);
    error_set(e, "one query that reads, please: SELECT ...");
    return NULL;
}

/* As JSON shows it, so that a whole number is one there and a real one too. */
static int add_json_value(struct buf *out, sqlite3_stmt *st, int i)
{
    switch (sqlite3_column_type(st, i)) {
    case SQLITE_NULL:
        return buf_addf(out, "null");
    case SQLITE_INTEGER:
        return buf_addf(out, "%lld", (long long)sqlite3_column_int64(st, i));
    case SQLITE_FLOAT: {
        double v = sqlite3_column_double(st, i);
        return v - v == 0 ? buf_addf(out, "%.15g", v) : buf_addf(out, "null");
    }
    default:
        return json_string(out, sql_column(st, i));
    }
}

static int add_json(struct asking *a, sqlite3_stmt *st)
{
    int rc = buf_addf(&a->json, "%s{", a->n_rows == 0 ? "[" : ",\n ");
    for (int i = 0; i < sqlite3_column_count(st); i++) {
        rc |= buf_addf(&a->json, "%s", i > 0 ? ", " : "");
        rc |= json_string(&a->json, span_of(sqlite3_column_name(st, i)));
        rc |= buf_addf(&a->json, ": ") | add_json_value(&a->json, st, i);
    }
    return rc | buf_addf(&a->json, "}");
}

static int add_row(struct asking *a, sqlite3_stmt *st)
{
    static struct admin_row row;
    row_begin(&row);
    for (int i = 0; i < sqlite3_column_count(st); i++) {
        const char *name = sqlite3_column_name(st, i);
        struct span text = sql_column(st, i);
        if (text.n > CELL_MAX)
            text.n = CELL_MAX;
        if (sqlite3_column_type(st, i) == SQLITE_NULL)
            row_null(&row, name);
        else if (sqlite3_column_type(st, i) == SQLITE_INTEGER)
            row_number(&row, name, sqlite3_column_int64(st, i));
        else
            row_text(&row, name, text);
    }
    return row.w.failed ? -1 : rows_add(&a->rows, 0, SPAN(""), packer_span(&row.w));
}

static int fetch(struct asking *a, sqlite3_stmt *st, struct error *e)
{
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        if (a->n_rows == a->n_max) {
            a->is_cut = true;
            return 0;
        }
        if ((a->cli->is_json ? add_json(a, st) : add_row(a, st)) != 0)
            return error_set(e, "the answer is too long: ask for fewer rows or columns");
        a->n_rows++;
    }
    return code == SQLITE_DONE ? 0 : refused(a, code, e);
}

static int ask(struct asking *a, struct span query, struct error *e)
{
    a->deadline_ms = clock_mono_ms() + (int64_t)a->seconds * 1000;
    sqlite3_progress_handler(a->db, OPS_IN_A_STRIDE, is_overdue, a);
    sqlite3_stmt *st = prepare(a, query, e);
    int rc = st != NULL ? fetch(a, st, e) : -1;
    sqlite3_finalize(st);
    return rc;
}

/* --- what there is --- */

/* The views with their columns, as SQLite has them. */
static int list_views(struct asking *a, struct error *e)
{
    static struct admin_row row;
    for (const struct sql_view *v = sql_views; v->name != NULL; v++) {
        sqlite3_stmt *st = prepare(a, span_of(v->probe), e);
        if (st == NULL)
            return -1;
        struct buf columns;
        buf_init(&columns, LIST_MAX / 2);
        int rc = 0;
        for (int i = 0; i < sqlite3_column_count(st); i++)
            rc |= buf_addf(&columns, "%s%s", i > 0 ? ", " : "", sqlite3_column_name(st, i));
        row_begin(&row);
        row_text(&row, "view", span_of(v->name));
        row_text(&row, "columns", buf_span(&columns));
        row_text(&row, "meaning", span_of(v->meaning));
        rc |= row.w.failed ? -1 : rows_add(&a->rows, 0, SPAN(""), packer_span(&row.w));
        buf_free(&columns);
        sqlite3_finalize(st);
        if (rc != 0)
            return error_set(e, "no memory");
    }
    return 0;
}

/* --- the command --- */

static int print(struct asking *a, bool is_list)
{
    struct buf out;
    if (a->cli->is_json && !is_list) {
        int rc = buf_addf(&a->json, a->n_rows == 0 ? "[]\n" : "]\n");
        return output_print(a->cli, &a->json, rc);
    }
    buf_init(&out, SIZE_MAX / 4);
    return output_print(a->cli, &out,
                        a->cli->is_json ? output_json(&out, &a->rows, SHAPE_LIST, NULL)
                                        : output_table(&out, &a->rows, SHAPE_LIST));
}

static int read_option(const struct cli *cli, const char *name, uint64_t max, uint64_t *out)
{
    struct span text = cli_option(cli, name);
    if (text.p == NULL)
        return 0;
    return span_u64(text, out) == 0 && *out > 0 && *out <= max ? 0 : -1;
}

static bool names(struct span query, struct span what)
{
    for (; query.n >= what.n; query = span_from(query, 1))
        if (span_istarts(query, what))
            return true;
    return false;
}

static int answer(struct asking *a, struct span query)
{
    struct error e;
    struct rows users = {.n = 0};
    int rc = cli_load(a->cli, &e);
    if (rc == 0 && names(query, SPAN("mailboxes")))
        rc = ask_accounts(a->cli, &users, &e);
    if (rc == 0)
        rc = open_store(a, &users, &e);
    if (rc == 0)
        rc = query.n > 0 ? ask(a, query, &e) : list_views(a, &e);
    int status = rc == 0 ? print(a, query.n == 0) : cli_fail(a->cli, "%s", e.text);
    if (rc == 0 && a->is_cut)
        fprintf(stderr, "barid: only the first %llu rows are shown: more with --limit N\n",
                (unsigned long long)a->n_max);
    sql_close(a->db);
    rows_free(&users);
    return status;
}

int sql_main(struct cli *cli)
{
    struct asking a = {.cli = cli, .n_max = ROWS_USUAL, .seconds = SECONDS_USUAL};
    struct span query = cli->n_args > 0 ? cli->args[0] : SPAN("");
    if (read_option(cli, "limit", ROWS_MAX, &a.n_max) < 0)
        return cli_wrong_usage(cli, "--limit is a number from 1 to %d", ROWS_MAX);
    if (read_option(cli, "timeout", SECONDS_MAX, &a.seconds) < 0)
        return cli_wrong_usage(cli, "--timeout is a number of seconds from 1 to %d", SECONDS_MAX);
    buf_init(&a.json, JSON_MAX);
    int status = answer(&a, query);
    buf_free(&a.json);
    rows_free(&a.rows);
    return status;
}
