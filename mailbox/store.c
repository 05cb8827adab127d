#include "mailbox/store.h"

#include "common/listing.h"
#include "common/log.h"
#include "common/maildb.h"
#include "common/pack.h"
#include "common/proto.h"
#include "common/sql.h"
#include "common/trouble.h"

enum statement { LOOK, KEEP, LIST, LIST_DEVICE, READ, NEXT, HIDDEN, STATEMENTS };

static const char *const statements[STATEMENTS] = {
    [LOOK] = "SELECT next_seq, forgotten, epoch, retention,"
             " (SELECT d.epoch FROM device AS d WHERE d.id = ?2 AND d.box = ?1)"
             " FROM box WHERE id = ?1",
    [KEEP] = "SELECT seconds FROM keep WHERE domain = ?1",
    [HIDDEN] = "SELECT sequences FROM removal WHERE box = ?1 AND device IN (0, ?2)",
    [LIST] = "SELECT seq, message, octets, uidl FROM entry WHERE box = ?1 AND seq > ?2 AND seq < ?3"
             " ORDER BY seq LIMIT ?4",
    [LIST_DEVICE] = "SELECT seq, message, octets, uidl FROM entry WHERE box = ?1 AND seq > ?2"
                    " AND seq < ?3 AND NOT EXISTS (SELECT 1 FROM dropped AS d"
                    " WHERE d.box = ?1 AND d.seq = entry.seq AND d.device = ?5)"
                    " ORDER BY seq LIMIT ?4",
    [READ] = "SELECT m.id, m.sender, m.size, m.header, m.flags, m.spooled, m.content, e.octets,"
             " m.hash FROM entry AS e JOIN message AS m ON m.id = e.message"
             " WHERE e.box = ?1 AND e.seq = ?2",
    [NEXT] = "SELECT m.id, m.sender, m.size, m.header, m.flags, m.spooled, m.content, e.octets,"
             " m.hash, e.seq, m.arrived, e.uidl"
             " FROM entry AS e JOIN message AS m ON m.id = e.message"
             " WHERE e.box = ?1 AND e.seq > ?2 ORDER BY e.seq LIMIT 1",
};

struct store {
    const char *path;
    sqlite3 *db; /* NULL: not open */
    sqlite3_stmt *prepared[STATEMENTS];
    struct trouble closed; /* it cannot be opened */
};

struct store *store_new(const char *path)
{
    struct store *st = calloc(1, sizeof *st);
    if (st != NULL)
        st->path = path;
    return st;
}

static void shut(struct store *st)
{
    for (size_t i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(st->prepared[i]);
        st->prepared[i] = NULL;
    }
    sql_close(st->db);
    st->db = NULL;
}

void store_free(struct store *st)
{
    if (st == NULL)
        return;
    shut(st);
    free(st);
}

static void log_closed(struct store *st, const struct error *e)
{
    if (trouble_is_news(&st->closed))
        LOG(0, "store-closed", LZ("why", e->text));
}

/* The statement, ready to be bound; or NULL. */
static sqlite3_stmt *get(struct store *st, enum statement which)
{
    struct error e;
    const struct sql_spec spec = {.path = st->path,
                                  .application_id = MAILDB_APPLICATION_ID,
                                  .version = MAILDB_VERSION,
                                  .is_readonly = true};
    if (st->db == NULL && (st->db = sql_open(&spec, &e)) == NULL) {
        log_closed(st, &e);
        return NULL;
    }
    if (st->prepared[which] == NULL)
        st->prepared[which] = sql_prepare(st->db, statements[which], &e);
    if (st->prepared[which] == NULL) {
        log_closed(st, &e);
        shut(st);
        return NULL;
    }
    trouble_worked(&st->closed, "store-reopened");
    return st->prepared[which];
}

/* Of the domain. 0, or -1. */
static int look_at_domain(struct store *st, uint64_t domain, uint64_t *seconds)
{
    sqlite3_stmt *s = get(st, KEEP);
    if (s == NULL)
        return -1;
    sql_bind_u64(s, 1, domain);
    int rc = sql_step(s);
    if (rc == 1)
        *seconds = sql_column_u64(s, 0);
    if (rc < 0)
        shut(st);
    else
        sql_reset(s);
    return rc < 0 ? -1 : 0;
}

int store_look(struct store *st, const struct store_view *view, struct store_box *out)
{
    sqlite3_stmt *s = get(st, LOOK);
    if (s == NULL)
        return -1;
    sql_bind_u64(s, 1, view->box);
    sql_bind_u64(s, 2, view->device);
    *out = (struct store_box){.device = view->device, .limit = 1};
    int rc = sql_step(s);
    if (rc == 1) {
        bool is_forgotten = sql_column_u64(s, 1) != 0;
        out->limit = is_forgotten ? 1 : sql_column_u64(s, 0);
        out->epoch = sql_column_u64(s, 2);
        out->retention_s = sql_column_u64(s, 3);
        out->device_epoch = sql_column_u64(s, 4);
    }
    if (rc < 0 || out->limit == 0) {
        shut(st);
        return -1;
    }
    sql_reset(s);
    return look_at_domain(st, view->domain, &out->keep_s);
}

static int add_hidden(struct store_hidden *h, struct span packed)
{
    struct unpacker r = unpacker_on(packed);
    size_t more = packed.n / 8;
    if (packed.n % 8 != 0 || more > STORE_HIDDEN_MAX - h->n ||
        array_reserve((void **)&h->list, &h->cap, h->n + more, sizeof *h->list) < 0)
        return -1;
    while (r.left.n > 0)
        h->list[h->n++] = unpack_uint(&r, 8);
    return 0;
}

static int compare_sequences(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

int store_hidden(struct store *st, const struct store_view *view, struct store_hidden *out)
{
    sqlite3_stmt *s = get(st, HIDDEN);
    int rc;
    *out = (struct store_hidden){0};
    if (s == NULL)
        return -1;
    sql_bind_u64(s, 1, view->box);
    sql_bind_u64(s, 2, view->device);
    while ((rc = sql_step(s)) == 1)
        if (add_hidden(out, sql_column(s, 0)) < 0) {
            rc = -1;
            break;
        }
    if (rc < 0) {
        store_hidden_free(out);
        shut(st);
        return -1;
    }
    if (out->n > 1)
        qsort(out->list, out->n, sizeof *out->list, compare_sequences);
    return 0;
}

bool store_is_hidden(const struct store_hidden *h, uint64_t sequence)
{
    return h->n > 0 &&
           bsearch(&sequence, h->list, h->n, sizeof *h->list, compare_sequences) != NULL;
}

void store_hidden_free(struct store_hidden *h)
{
    free(h->list);
    *h = (struct store_hidden){0};
}

/* The row, or false: it is damaged. */
static bool take_entry(sqlite3_stmt *s, const struct store_range *r, struct store_entry *e)
{
    *e = (struct store_entry){
        .sequence = sql_column_u64(s, 0),
        .id = sql_column_u64(s, 1),
        .octets = sql_column_u64(s, 2),
    };
    if (sqlite3_column_type(s, 3) != SQLITE_NULL)
        e->uidl = sql_column(s, 3);
    return e->sequence > r->after && e->sequence < r->limit && e->id != 0 && e->octets != 0 &&
           (e->uidl.n == 0 || listing_is_uidl(e->uidl));
}

long store_list(struct store *st, uint64_t box, const struct store_range *range, store_list_fn *fn,
                void *arg)
{
    struct store_range r = *range;
    sqlite3_stmt *s = get(st, r.device != 0 ? LIST_DEVICE : LIST);
    if (s == NULL)
        return -1;
    sql_bind_u64(s, 1, box);
    sql_bind_u64(s, 2, r.after);
    sql_bind_u64(s, 3, r.limit);
    sql_bind_u64(s, 4, r.most);
    if (r.device != 0)
        sql_bind_u64(s, 5, r.device);
    long n = 0;
    int rc;
    while ((rc = sql_step(s)) == 1) {
        struct store_entry e;
        bool is_right = take_entry(s, &r, &e);
        if (!is_right)
            LOG(e.id, "damaged", LZ("row", "entry"), LN("box", (int64_t)box));
        if (!is_right || fn(arg, &e) < 0) {
            rc = -1;
            break;
        }
        r.after = e.sequence;
        n++;
    }
    if (rc < 0) {
        shut(st);
        return -1;
    }
    return n;
}

/* What stands in the row must agree with itself before any of it is believed. */
static bool is_sound(const struct store_message *m, uint64_t octets_listed)
{
    if (m->id == 0 || m->octets == 0 || m->header > m->octets)
        return false;
    if (m->sender.n > ADDRESS_MAX ||
        octets_listed != maildb_prefix_octets(m->sender, m->flags) + m->octets)
        return false;
    for (size_t i = 0; i < m->sender.n; i++)
        if ((unsigned char)m->sender.p[i] < ' ')
            return false;
    if (m->is_spooled)
        return m->content.n == 0;
    return m->content.n == m->octets && m->content.n <= CHUNK_MAX &&
           content_is(m->content, m->hash);
}

/* The columns that READ and NEXT share. False: damaged. */
static bool take_message(sqlite3_stmt *s, struct store_message *out)
{
    uint64_t flags = sql_column_u64(s, 4);
    *out = (struct store_message){
        .id = sql_column_u64(s, 0),
        .sender = sql_column(s, 1),
        .octets = sql_column_u64(s, 2),
        .header = sql_column_u64(s, 3),
        .flags = (uint8_t)flags,
        .is_spooled = sql_column_u64(s, 5) != 0,
        .content = sql_column(s, 6),
    };
    struct span hash = sql_column(s, 8);
    if (flags > UINT8_MAX || hash.n != sizeof out->hash)
        return false;
    memcpy(out->hash, hash.p, hash.n);
    return is_sound(out, sql_column_u64(s, 7));
}

/* The one row of a statement about a mailbox and a sequence number; *out stands on it. */
static enum store_found row_of(struct store *st, enum statement which, uint64_t box,
                               uint64_t sequence, sqlite3_stmt **out)
{
    sqlite3_stmt *s = *out = get(st, which);
    if (s == NULL)
        return STORE_FAILED;
    sql_bind_u64(s, 1, box);
    sql_bind_u64(s, 2, sequence);
    int rc = sql_step(s);
    if (rc < 0)
        shut(st);
    return rc < 0 ? STORE_FAILED : rc == 0 ? STORE_ABSENT : STORE_FOUND;
}

enum store_found store_read(struct store *st, uint64_t box, uint64_t sequence,
                            struct store_message *out)
{
    sqlite3_stmt *s;
    enum store_found found = row_of(st, READ, box, sequence, &s);
    if (found != STORE_FOUND)
        return found;
    if (take_message(s, out))
        return STORE_FOUND;
    LOG(out->id, "damaged", LZ("row", "message"), LN("box", (int64_t)box),
        LN("sequence", (int64_t)sequence));
    sql_reset(s);
    return STORE_FAILED;
}

enum store_found store_next(struct store *st, uint64_t box, uint64_t after,
                            struct store_message *out)
{
    sqlite3_stmt *s;
    *out = (struct store_message){.sequence = 0};
    enum store_found found = row_of(st, NEXT, box, after, &s);
    if (found != STORE_FOUND)
        return found;
    bool is_right = take_message(s, out);
    out->sequence = sql_column_u64(s, 9);
    out->arrived = sql_column_u64(s, 10);
    out->uidl = sql_column(s, 11);
    if (is_right && (out->uidl.n == 0 || listing_is_uidl(out->uidl)))
        return STORE_FOUND;
    LOG(out->id, "damaged", LZ("row", "message"), LN("box", (int64_t)box),
        LN("sequence", (int64_t)out->sequence));
    sql_reset(s);
    return STORE_FAILED;
}

void store_done(struct store *st)
{
    if (st->db != NULL && st->prepared[READ] != NULL)
        sql_reset(st->prepared[READ]);
    if (st->db != NULL && st->prepared[NEXT] != NULL)
        sql_reset(st->prepared[NEXT]);
}
