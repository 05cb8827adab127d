#include "cli/sql_views.h"

#include "common/id.h"
#include "common/sql.h"

#define TIME(column) "strftime('%Y-%m-%dT%H:%M:%SZ', nullif(" column ", 0), 'unixepoch')"
#define STATE(r)                                                                                   \
    "CASE " r ".state WHEN 0 THEN CASE WHEN " r                                                    \
    ".next_attempt <= CAST(strftime('%s', 'now') AS INTEGER) THEN 'due'"                           \
    " ELSE 'deferred' END WHEN 1 THEN 'held' WHEN 3 THEN 'done' WHEN 5 THEN 'done'"                \
    " ELSE 'bounced' END"

/* clang-format off */
const struct sql_view sql_views[] = {
    {"queue", "messages with recipients that are not done",
     "CREATE TEMP VIEW queue AS SELECT id_text(m.id) AS id, m.sender AS sender, m.size AS size,"
     " " TIME("m.arrived") " AS arrived, " TIME("m.expires") " AS expires,"
     " m.login AS login, m.client AS client, m.helo AS helo, count(*) AS recipients,"
     " sum(r.state IN (0, 1)) AS waiting, max(r.attempts) AS attempts,"
     " " TIME("min(CASE WHEN r.state = 0 THEN r.next_attempt END)") " AS next_attempt"
     " FROM main.message m JOIN main.recipient r ON r.message = m.id GROUP BY m.id",
     "SELECT * FROM queue LIMIT 0"},
    {"recipients", "recipients of these messages",
     "CREATE TEMP VIEW recipients AS SELECT id_text(r.message) AS message, r.number AS number,"
     " r.address AS address, r.domain AS domain, " STATE("r") " AS state, r.attempts AS attempts,"
     " " TIME("CASE WHEN r.state IN (0, 1) THEN r.next_attempt END") " AS next_attempt,"
     " " TIME("r.last_attempt") " AS last_attempt, r.status AS status, r.remote AS remote,"
     " r.last_reply AS last_reply, nullif(r.dialogue, 0) AS attempt,"
     " r.contained AS contained"
     " FROM main.recipient r",
     "SELECT * FROM recipients LIMIT 0"},
    {"attempts",
     "what became of a recipient at an attempt, or without one, and of a message in a mailbox: "
     "[queue] trace",
     "CREATE TEMP VIEW attempts AS SELECT id_text(e.message) AS message,"
     " " TIME("e.at") " AS time, e.what AS event, e.address AS address, e.remote AS remote,"
     " e.tls AS tls, e.reply AS reply, nullif(e.dialogue, 0) AS attempt"
     " FROM main.event e",
     "SELECT * FROM attempts LIMIT 0"},
    {"dialogues", "what was said at an attempt: [queue] dialogues",
     "CREATE TEMP VIEW dialogues AS SELECT id_text(d.message) AS message, d.id AS attempt,"
     " " TIME("d.began / 1000") " AS began, " TIME("d.at") " AS over, d.remote AS remote,"
     " d.tls AS tls, d.text AS text"
     " FROM main.dialogue d",
     "SELECT * FROM dialogues LIMIT 0"},
    {"finished", "messages that nobody needs any more: [queue] trace",
     "CREATE TEMP VIEW finished AS SELECT id_text(p.id) AS id, p.sender AS sender, p.size AS size,"
     " " TIME("p.arrived") " AS arrived, " TIME("p.gone") " AS gone, p.login AS login,"
     " p.client AS client, p.message_id AS message_id"
     " FROM main.past p",
     "SELECT * FROM finished LIMIT 0"},
    {"mailboxes", "mailboxes that ever got mail; address: while authd knows one for it",
     "CREATE TEMP VIEW mailboxes AS SELECT a.address AS address, b.id AS box,"
     " b.messages AS messages, b.octets AS octets, b.deleted AS deleted,"
     " b.deleted_octets AS deleted_octets"
     " FROM main.box b LEFT JOIN temp.account a ON a.box = b.id WHERE b.forgotten = 0",
     "SELECT * FROM mailboxes LIMIT 0"},
    {"callouts", "what other hosts said about recipients that this one is a backup for",
     "CREATE TEMP VIEW callouts AS SELECT c.address AS address,"
     " CASE c.verdict WHEN 1 THEN 'exists' ELSE 'nobody' END AS verdict,"
     " " TIME("c.learned") " AS learned, " TIME("c.expires") " AS expires"
     " FROM main.callout c",
     "SELECT * FROM callouts LIMIT 0"},
    {0},
};
/* clang-format on */

static void id_text(sqlite3_context *context, int n, sqlite3_value **values)
{
    char text[ID_TEXT];
    (void)n;
    int64_t id = sqlite3_value_int64(values[0]);
    id_format(text, id > 0 ? (uint64_t)id : 0);
    sqlite3_result_text(context, text, -1, SQLITE_TRANSIENT);
}

int sql_views_make(sqlite3 *db, struct error *e)
{
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    bool is_made =
        sqlite3_create_function(db, "id_text", 1, flags, NULL, id_text, NULL, NULL) == SQLITE_OK &&
        sql_exec(db, "PRAGMA query_only=OFF;"
                     "CREATE TEMP TABLE account (box INTEGER PRIMARY KEY,"
                     " address TEXT NOT NULL) STRICT;") == 0;
    for (const struct sql_view *v = sql_views; is_made && v->name != NULL; v++)
        is_made = sql_exec(db, v->create) == 0;
    return is_made ? 0 : error_set(e, "the views cannot be made: %s", sqlite3_errmsg(db));
}

/* --- what may be done --- */

static bool is_view(const char *name)
{
    for (const struct sql_view *v = sql_views; name != NULL && v->name != NULL; v++)
        if (sqlite3_stricmp(v->name, name) == 0)
            return true;
    return false;
}

/* A name that a query gives to a part of itself looks to SQLite like that of a view; so what a view
 * could be made to read must be harmless by itself. */
static bool is_harmless(const char *table, const char *column)
{
    static const char *const tables[] = {"message", "recipient", "event",   "dialogue",
                                         "past",    "box",       "account", "callout"};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if (sqlite3_stricmp(tables[i], table) == 0)
            return sqlite3_stricmp(column, "content") != 0 && sqlite3_stricmp(column, "hash") != 0;
    return false;
}

static int authorize(void *nothing, int action, const char *first, const char *second,
                     const char *database, const char *within)
{
    (void)nothing;
    (void)database;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        return sqlite3_stricmp(second, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_READ:
        if (is_view(first) || (is_view(within) && is_harmless(first, second)))
            return SQLITE_OK;
        return second[0] == '\0' ? SQLITE_OK : SQLITE_DENY; /* how many rows, of whatever it is */
    default:
        return SQLITE_DENY;
    }
}

void sql_views_guard(sqlite3 *db)
{
    sql_exec(db, "PRAGMA query_only=ON;");
    sqlite3_set_authorizer(db, authorize, NULL);
}
