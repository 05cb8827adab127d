#include "mailbox/check_store.h"

#include "common/maildb.h"
#include "common/sql.h"

#define MESSAGE_COLUMNS                                                                            \
    "SELECT id, arrived, expires, size, header, flags, spooled, ret, sender, client, helo, login," \
    " envid, hash, content,"                                                                       \
    " (SELECT count(*) FROM entry WHERE message = m.id)"                                           \
    " + (SELECT count(*) FROM trash INDEXED BY trash_message WHERE message = m.id),"               \
    " (SELECT count(*) FROM recipient WHERE message = m.id) FROM message AS m"
#define ENTRY_COLUMNS                                                                              \
    "SELECT e.seq, e.message, e.octets, e.uidl, m.id IS NOT NULL, m.size, m.flags, m.sender"
#define ENTRY_MESSAGE " LEFT JOIN message AS m ON m.id = e.message WHERE e.box = ?1 ORDER BY e.seq"

enum statement {
    SIZE,
    MESSAGE_NEXT,
    MESSAGE_AT,
    HOLDERS,
    BOX_NUMBER,
    BOX_AT,
    ENTRIES,
    TRASH,
    DROPPED,
    UIDLS,
    RCPTS,
    REMOVALS,
    ORPHANS,
    SPOOLED,
    STATEMENTS
};

static const char *const statements[STATEMENTS] = {
    [SIZE] = "SELECT (SELECT page_count FROM pragma_page_count)"
             " * (SELECT page_size FROM pragma_page_size),"
             " (SELECT coalesce(sum(messages + deleted), 0) FROM box)",
    [MESSAGE_NEXT] = MESSAGE_COLUMNS " WHERE id > ?1 ORDER BY id LIMIT 1",
    [MESSAGE_AT] = MESSAGE_COLUMNS " WHERE id = ?1",
    [HOLDERS] = "SELECT box, seq, 0 FROM entry WHERE message = ?1 UNION ALL"
                " SELECT box, seq, 1 FROM trash INDEXED BY trash_message WHERE message = ?1"
                " LIMIT 1000",
    [BOX_NUMBER] = "SELECT min(n) FROM ("
                   "SELECT min(id) AS n FROM box WHERE id > ?1 UNION ALL"
                   " SELECT min(box) FROM entry WHERE box > ?1 UNION ALL"
                   " SELECT min(box) FROM trash WHERE box > ?1)",
    [BOX_AT] = "SELECT messages, octets, deleted, deleted_octets, next_seq, forgotten,"
               " epoch >= 0 AND retention >= 0 AND review IN (0, 1) AND forgotten IN (0, 1)"
               " AND first_id >= 0 AND taken_id >= 0 AND domain >= 0, first_id"
               " FROM box WHERE id = ?1",
    [ENTRIES] = ENTRY_COLUMNS " FROM entry AS e" ENTRY_MESSAGE,
    [TRASH] = ENTRY_COLUMNS " FROM trash AS e" ENTRY_MESSAGE,
    [DROPPED] = "SELECT count(*) FROM dropped AS d WHERE d.box = ?1 AND NOT EXISTS"
                " (SELECT 1 FROM entry AS e WHERE e.box = ?1 AND e.seq = d.seq)",
    [UIDLS] = "SELECT (SELECT count(*) FROM entry AS e WHERE e.box = ?1 AND e.uidl IS NOT NULL"
              " AND NOT EXISTS (SELECT 1 FROM uidl AS u WHERE u.box = ?1 AND u.uidl = e.uidl))"
              " + (SELECT count(*) FROM trash AS t WHERE t.box = ?1 AND t.uidl IS NOT NULL"
              " AND NOT EXISTS (SELECT 1 FROM uidl AS u WHERE u.box = ?1 AND u.uidl = t.uidl))",
    [RCPTS] = "SELECT r.message, r.number, r.state, r.notify, r.attempts, r.address, r.domain,"
              " r.status, r.remote, r.last_reply, r.orcpt, m.id IS NOT NULL,"
              " r.contained FROM recipient AS r"
              " LEFT JOIN message AS m ON m.id = r.message WHERE r.message > ?1"
              " ORDER BY r.message, r.number",
    [REMOVALS] = "SELECT count(*) FROM removal WHERE length(sequences) % 8 <> 0"
                 " OR length(sequences) NOT BETWEEN 8 AND ?1 OR box NOT IN (SELECT id FROM box)",
    [ORPHANS] = "SELECT 1, message, '' FROM hold AS h"
                " WHERE NOT EXISTS (SELECT 1 FROM message AS m WHERE m.id = h.message) UNION ALL"
                " SELECT 0, 0, domain FROM tlsrpt_tlsa AS t WHERE NOT EXISTS"
                " (SELECT 1 FROM tlsrpt AS r WHERE r.day = t.day AND r.domain = t.domain)",
    [SPOOLED] = "SELECT 1 FROM message WHERE id = ?1 AND spooled = 1",
};

/* SQLite keeps no CHECK constraints of a database that it only reads: rows are judged in check.c.
 */
static const char *const structure[CHECK_PARTS] = {
    "PRAGMA integrity_check(box)",         "PRAGMA integrity_check(entry)",
    "PRAGMA integrity_check(trash)",       "PRAGMA integrity_check(device)",
    "PRAGMA integrity_check(dropped)",     "PRAGMA integrity_check(removal)",
    "PRAGMA integrity_check(imported)",    "PRAGMA integrity_check(recipient)",
    "PRAGMA integrity_check(event)",       "PRAGMA integrity_check(past)",
    "PRAGMA integrity_check(secured)",     "PRAGMA integrity_check(contained)",
    "PRAGMA integrity_check(counted)",     "PRAGMA integrity_check(addressee)",
    "PRAGMA integrity_check(sts)",         "PRAGMA integrity_check(uidl)",
    "PRAGMA integrity_check(keep)",        "PRAGMA integrity_check(dialogue)",
    "PRAGMA integrity_check(tlsrpt)",      "PRAGMA integrity_check(tlsrpt_post)",
    "PRAGMA integrity_check(hold)",        "PRAGMA integrity_check(callout)",
    "PRAGMA integrity_check(tlsrpt_tlsa)", "PRAGMA integrity_check(message)",
};

struct check_store {
    sqlite3 *db;
    sqlite3_stmt *s[STATEMENTS];
};

struct check_store *check_store_open(const char *path, struct error *e)
{
    const struct sql_spec spec = {.path = path,
                                  .application_id = MAILDB_APPLICATION_ID,
                                  .version = MAILDB_VERSION,
                                  .is_readonly = true};
    struct check_store *cs = calloc(1, sizeof *cs);
    if (cs == NULL) {
        error_set(e, "out of memory");
        return NULL;
    }
    bool is_ready = (cs->db = sql_open(&spec, e)) != NULL;
    for (size_t i = 0; i < STATEMENTS && is_ready; i++)
        is_ready = (cs->s[i] = sql_prepare(cs->db, statements[i], e)) != NULL;
    if (is_ready)
        return cs;
    check_store_close(cs);
    return NULL;
}

void check_store_close(struct check_store *cs)
{
    if (cs == NULL)
        return;
    for (size_t i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(cs->s[i]);
    sql_close(cs->db);
    free(cs);
}

const char *check_store_why(struct check_store *cs)
{
    return sqlite3_errmsg(cs->db);
}

int check_store_begin(struct check_store *cs)
{
    return sql_exec(cs->db, "BEGIN");
}

void check_store_end(struct check_store *cs)
{
    for (size_t i = 0; i < STATEMENTS; i++)
        sql_reset(cs->s[i]);
    if (sqlite3_get_autocommit(cs->db) == 0)
        sql_exec(cs->db, "ROLLBACK");
}

static int64_t number(sqlite3_stmt *s, int at)
{
    return sqlite3_column_int64(s, at);
}

static sqlite3_stmt *with(struct check_store *cs, enum statement which, int64_t value)
{
    sql_reset(cs->s[which]);
    sql_bind_i64(cs->s[which], 1, value);
    return cs->s[which];
}

/* --- structure --- */

int check_store_structure(struct check_store *cs, unsigned part, span_fn *fn, void *arg)
{
    const char *sql = part < CHECK_PARTS ? structure[part] : "PRAGMA integrity_check";
    return sql_each_text(cs->db, sql, fn, arg);
}

int check_store_size(struct check_store *cs, uint64_t *octets, uint64_t *messages)
{
    sqlite3_stmt *s = cs->s[SIZE];
    int rc = sql_step(s);
    *octets = rc == 1 ? sql_column_u64(s, 0) : 0;
    *messages = rc == 1 ? sql_column_u64(s, 1) : 0;
    sql_reset(s);
    return rc == 1 ? 0 : -1;
}

/* --- messages --- */

static int take_message(sqlite3_stmt *s, struct check_message *m)
{
    int rc = sql_step(s);
    if (rc != 1)
        return rc;
    *m = (struct check_message){
        .id = number(s, 0),
        .arrived = number(s, 1),
        .expires = number(s, 2),
        .size = number(s, 3),
        .header = number(s, 4),
        .flags = number(s, 5),
        .spooled = number(s, 6),
        .ret = number(s, 7),
        .sender = sql_column(s, 8),
        .client = sql_column(s, 9),
        .helo = sql_column(s, 10),
        .login = sql_column(s, 11),
        .envid = sql_column(s, 12),
        .hash = sql_column(s, 13),
        .content = sql_column(s, 14),
        .has_content = sqlite3_column_type(s, 14) != SQLITE_NULL,
        .n_holders = number(s, 15),
        .n_rcpts = number(s, 16),
    };
    return 1;
}

int check_store_message_next(struct check_store *cs, int64_t after, struct check_message *m)
{
    return take_message(with(cs, MESSAGE_NEXT, after), m);
}

int check_store_message(struct check_store *cs, int64_t id, struct check_message *m)
{
    return take_message(with(cs, MESSAGE_AT, id), m);
}

void check_store_message_end(struct check_store *cs)
{
    sql_reset(cs->s[MESSAGE_NEXT]);
    sql_reset(cs->s[MESSAGE_AT]);
}

int check_store_holders(struct check_store *cs, int64_t message, check_holder_fn *fn, void *arg)
{
    sqlite3_stmt *s = with(cs, HOLDERS, message);
    int rc;
    while ((rc = sql_step(s)) == 1)
        fn(arg, number(s, 0), number(s, 1), number(s, 2) != 0);
    return rc;
}

/* --- mailboxes --- */

int check_store_box_next(struct check_store *cs, int64_t after, struct check_box *b)
{
    sqlite3_stmt *s = with(cs, BOX_NUMBER, after);
    *b = (struct check_box){.id = 0};
    int rc = sql_step(s);
    if (rc == 1 && sqlite3_column_type(s, 0) != SQLITE_NULL)
        b->id = number(s, 0);
    sql_reset(s);
    if (rc < 0 || b->id == 0)
        return rc < 0 ? -1 : 0;
    s = with(cs, BOX_AT, b->id);
    rc = sql_step(s);
    b->has_row = rc == 1;
    if (rc == 1) {
        b->messages = number(s, 0);
        b->octets = number(s, 1);
        b->deleted = number(s, 2);
        b->deleted_octets = number(s, 3);
        b->next_seq = number(s, 4);
        b->is_forgotten = number(s, 5) == 1;
        b->is_sane = number(s, 6) != 0;
        b->first_id = number(s, 7);
    }
    sql_reset(s);
    return rc < 0 ? -1 : 1;
}

static int each_entry(sqlite3_stmt *s, bool is_deleted, check_entry_fn *fn, void *arg)
{
    int rc;
    while ((rc = sql_step(s)) == 1) {
        struct check_entry e = {.seq = number(s, 0),
                                .message = number(s, 1),
                                .octets = number(s, 2),
                                .has_message = number(s, 4) != 0,
                                .is_deleted = is_deleted,
                                .size = number(s, 5),
                                .flags = number(s, 6),
                                .sender = sql_column(s, 7)};
        if (sqlite3_column_type(s, 3) != SQLITE_NULL) {
            e.uidl = sql_column(s, 3);
            e.uidl.p = e.uidl.p != NULL ? e.uidl.p : "";
        }
        fn(arg, &e);
    }
    return rc;
}

int check_store_entries(struct check_store *cs, int64_t box, check_entry_fn *fn, void *arg)
{
    if (each_entry(with(cs, ENTRIES, box), false, fn, arg) < 0)
        return -1;
    return each_entry(with(cs, TRASH, box), true, fn, arg);
}

static int count(sqlite3_stmt *s, int64_t *n)
{
    int rc = sql_step(s);
    *n = rc == 1 ? number(s, 0) : 0;
    sql_reset(s);
    return rc < 0 ? -1 : 0;
}

int check_store_dropped(struct check_store *cs, int64_t box, int64_t *n)
{
    return count(with(cs, DROPPED, box), n);
}

int check_store_uidls(struct check_store *cs, int64_t box, int64_t *n)
{
    return count(with(cs, UIDLS, box), n);
}

int check_store_removals(struct check_store *cs, int64_t *n)
{
    return count(with(cs, REMOVALS, MAILDB_REMOVAL_OCTETS), n);
}

/* --- the queue and files --- */

int check_store_rcpts(struct check_store *cs, int64_t after, check_rcpt_fn *fn, void *arg)
{
    sqlite3_stmt *s = with(cs, RCPTS, after);
    int rc;
    while ((rc = sql_step(s)) == 1) {
        struct check_rcpt r = {.message = number(s, 0),
                               .number = number(s, 1),
                               .state = number(s, 2),
                               .notify = number(s, 3),
                               .attempts = number(s, 4),
                               .address = sql_column(s, 5),
                               .domain = sql_column(s, 6),
                               .status = sql_column(s, 7),
                               .remote = sql_column(s, 8),
                               .last_reply = sql_column(s, 9),
                               .orcpt = sql_column(s, 10),
                               .has_message = number(s, 11) != 0,
                               .contained = number(s, 12)};
        if (!fn(arg, &r)) {
            sql_reset(s);
            return 0;
        }
    }
    return rc;
}

int check_store_orphans(struct check_store *cs, check_orphan_fn *fn, void *arg)
{
    sqlite3_stmt *s = cs->s[ORPHANS];
    int rc;
    sql_reset(s);
    while ((rc = sql_step(s)) == 1) {
        struct check_orphan o = {
            .is_hold = number(s, 0) != 0, .message = number(s, 1), .domain = sql_column(s, 2)};
        fn(arg, &o);
    }
    return rc;
}

int check_store_is_spooled(struct check_store *cs, int64_t id)
{
    sqlite3_stmt *s = with(cs, SPOOLED, id);
    int rc = sql_step(s);
    sql_reset(s);
    return rc;
}
