#include "tests/fault/ledger.h"

#include "common/id.h"
#include "common/maildb.h"
#include "common/pack.h"
#include "common/verdict.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdarg.h>

const unsigned char ledger_key[SEAL_KEY_OCTETS] = "0123456789abcdef0123456789abcde";

/* --- what there should be --- */

void ledger_content(const struct letter *l, char *out)
{
    static const char head[] = "Subject: a test\r\n\r\n";
    uint64_t state = l->id | 1;
    for (size_t i = 0; i < l->size; i++) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        out[i] = (char)('a' + (state >> 33) % 26);
        if (i % 70 == 69)
            memcpy(out + i - 1, "\r\n", 2);
    }
    memcpy(out, head, sizeof head - 1);
    memcpy(out + l->size - 3, "z\r\n", 3);
    if (l->kind == LETTER_DAMAGED)
        memcpy(out + l->size / 2, "x\n", 2);
}

struct letter *ledger_letter(struct ledger *l, uint64_t id)
{
    for (size_t i = 0; i < l->n_letters; i++)
        if (l->letters[i].id == id)
            return &l->letters[i];
    return NULL;
}

struct letter *ledger_by_tag(struct ledger *l, uint64_t tag)
{
    for (size_t i = 0; i < l->n_letters; i++)
        if (l->letters[i].tag == tag)
            return &l->letters[i];
    return NULL;
}

static struct removal *find_removal(struct ledger *l, uint64_t tag)
{
    for (size_t i = 0; i < l->n_removals; i++)
        if (l->removals[i].tag == tag)
            return &l->removals[i];
    return NULL;
}

static void locate_relayed(struct ledger *l, size_t at, uint64_t tag)
{
    for (size_t i = 0; i < l->n_jobs; i++)
        if (l->jobs[i].tag == tag && l->letters[l->jobs[i].letter].relayed == 0)
            l->letters[l->jobs[i].letter].relayed = at;
}

static void set_once(size_t *where, size_t at)
{
    if (*where == 0)
        *where = at;
}

void ledger_locate(struct ledger *l, size_t at, const struct trace_record *r, const char *octets)
{
    if (r->kind != TRACE_SEND && r->kind != TRACE_RECEIVE)
        return;
    struct unpacker in = unpacker_on((struct span){octets, r->n});
    unsigned type = (unsigned)unpack_uint(&in, 2);
    uint64_t tag = unpack_uint(&in, 8);
    struct letter *letter = ledger_by_tag(l, tag);
    struct removal *removal = find_removal(l, tag);
    if (type == MSG_RELAY_JOB_RE && r->kind == TRACE_RECEIVE)
        locate_relayed(l, at, tag);
    else if (type == MSG_QUEUE_OPEN && letter != NULL)
        set_once(&letter->asked, at);
    else if (type == MSG_QUEUE_OPEN_RE && letter != NULL)
        set_once(&letter->answered, at);
    else if (type == MSG_BOX_DELETE && removal != NULL)
        set_once(&removal->asked, at);
    else if (type == MSG_BOX_DELETE_RE && removal != NULL)
        set_once(&removal->answered, at);
}

/* --- what there is --- */

struct check {
    struct ledger *ledger;
    sqlite3 *db;
    const char *dir;
    size_t now;
    unsigned wrong;
    bool is_there[LEDGER_MESSAGES];
    unsigned in_boxes[LEDGER_MESSAGES];
};

__attribute__((format(printf, 2, 3))) static void wrong(struct check *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    printf("# ");
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
    c->wrong++;
}

static bool is_past(const struct check *c, size_t when)
{
    return when != NEVER && when <= c->now;
}

static char *read_spooled(struct check *c, uint64_t id, size_t size)
{
    char path[PATH_MAX], name[MAILDB_SPOOL_NAME];
    maildb_spool_name(name, id);
    snprintf(path, sizeof path, "%s/%s", c->dir, name);
    char *octets = calloc(1, size + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = octets != NULL && fd >= 0 ? read(fd, octets, size + 1) : -1;
    if (n != (ssize_t)size)
        wrong(c, "file %s: %zd octets, not %zu (%s)", name, n, size, strerror(errno));
    if (fd >= 0)
        close(fd);
    return octets;
}

static void check_content(struct check *c, sqlite3_stmt *s, const struct letter *l)
{
    bool is_spooled = sqlite3_column_int(s, 1) != 0;
    char *want = malloc(l->size), *file = NULL;
    const char *have = sqlite3_column_blob(s, 2);
    size_t n = (size_t)sqlite3_column_bytes(s, 2);
    if (is_spooled) {
        have = file = read_spooled(c, l->id, l->size);
        n = l->size;
    }
    ledger_content(l, want);
    if (n != l->size || have == NULL || memcmp(have, want, n) != 0)
        wrong(c, "message %llx has other octets than were sent", (unsigned long long)l->id);
    free(want);
    free(file);
}

static void check_messages(struct check *c)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(c->db, "SELECT id, spooled, content FROM message", -1, &s, NULL) !=
        SQLITE_OK) {
        wrong(c, "the messages cannot be read: %s", sqlite3_errmsg(c->db));
        return;
    }
    while (sqlite3_step(s) == SQLITE_ROW) {
        struct letter *l = ledger_letter(c->ledger, (uint64_t)sqlite3_column_int64(s, 0));
        if (l == NULL || !is_past(c, l->asked)) {
            wrong(c, "a message is there that nobody sent");
            continue;
        }
        c->is_there[l - c->ledger->letters] = true;
        check_content(c, s, l);
    }
    sqlite3_finalize(s);
}

static void check_entries(struct check *c)
{
    sqlite3_stmt *s = NULL;
    sqlite3_prepare_v2(c->db, "SELECT message, box, seq FROM entry", -1, &s, NULL);
    while (sqlite3_step(s) == SQLITE_ROW) {
        struct letter *l = ledger_letter(c->ledger, (uint64_t)sqlite3_column_int64(s, 0));
        unsigned box = (unsigned)sqlite3_column_int(s, 1) % LEDGER_BOXES;
        if (l == NULL || (l->boxes & 1U << box) == 0) {
            wrong(c, "mailbox %u has a message that was not for it", box);
            continue;
        }
        c->in_boxes[l - c->ledger->letters] |= 1U << box;
    }
    sqlite3_finalize(s);
}

static void check_local(struct check *c, const struct letter *l, unsigned present)
{
    for (unsigned b = 0; b < LEDGER_BOXES; b++) {
        unsigned bit = 1U << b;
        if ((l->boxes & bit) == 0)
            continue;
        const struct removal *r =
            l->removal[b] != NEVER ? &c->ledger->removals[l->removal[b]] : NULL;
        bool may_be_gone = r != NULL && is_past(c, r->asked);
        bool is_gone = r != NULL && r->verdict == VERDICT_OK && is_past(c, r->answered);
        if ((present & bit) == 0 && !may_be_gone)
            wrong(c, "LOST: message %llx of %llu octets from mailbox %u", (unsigned long long)l->id,
                  (unsigned long long)l->size, b);
        if ((present & bit) != 0 && is_gone)
            wrong(c, "message %llx is back in mailbox %u", (unsigned long long)l->id, b);
    }
}

static void check_letter(struct check *c, size_t i)
{
    const struct letter *l = &c->ledger->letters[i];
    bool is_answered = is_past(c, l->answered), is_yes = is_answered && l->verdict == VERDICT_OK;
    bool never = l->kind >= LETTER_ABORTED || (is_answered && !is_yes);
    if (never && c->is_there[i])
        wrong(c, "message %llx was refused and is there", (unsigned long long)l->id);
    if (l->kind == LETTER_REMOTE && is_yes && !c->is_there[i] && !is_past(c, l->relayed))
        wrong(c, "LOST: message %llx on its way out", (unsigned long long)l->id);
    if (l->kind != LETTER_LOCAL)
        return;
    if (is_yes)
        check_local(c, l, c->in_boxes[i]);
    else if (c->is_there[i] && c->in_boxes[i] != l->boxes)
        wrong(c, "message %llx is in only some of its mailboxes", (unsigned long long)l->id);
}

/* All of a deletion or nothing of it. */
static void check_removal(struct check *c, size_t index)
{
    size_t gone = 0, left = 0;
    if (!is_past(c, c->ledger->removals[index].asked))
        return;
    for (size_t i = 0; i < c->ledger->n_letters; i++)
        for (unsigned b = 0; b < LEDGER_BOXES; b++)
            if (c->ledger->letters[i].removal[b] == index) {
                bool is_left = (c->in_boxes[i] & 1U << b) != 0;
                gone += !is_left;
                left += is_left;
            }
    if (gone > 0 && left > 0)
        wrong(c, "of one deletion %zu are gone and %zu are left", gone, left);
}

static void check_files(struct check *c)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", c->dir, MAILDB_SPOOL_DIR);
    DIR *d = opendir(path);
    if (d == NULL) {
        wrong(c, "there is no spool directory");
        return;
    }
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        uint64_t id = 0;
        if (e->d_name[0] == '.')
            continue;
        struct letter *l =
            id_parse(span_of(e->d_name), &id) == 0 ? ledger_letter(c->ledger, id) : NULL;
        if (l == NULL || !c->is_there[l - c->ledger->letters])
            wrong(c, "stray file %s", e->d_name);
    }
    closedir(d);
}

/* Constants of the schema that must hold whatever happened; each counts what is wrong. */
static const char *const laws[] = {
    "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
    "SELECT count(*) FROM pragma_foreign_key_check",
    "SELECT count(*) FROM box WHERE messages <> (SELECT count(*) FROM entry WHERE box = box.id)",
    "SELECT count(*) FROM box WHERE octets <>"
    " (SELECT coalesce(sum(octets), 0) FROM entry WHERE box = box.id)",
    "SELECT count(*) FROM message WHERE NOT EXISTS (SELECT 1 FROM entry WHERE message = message.id)"
    " AND NOT EXISTS (SELECT 1 FROM trash WHERE message = message.id)"
    " AND NOT EXISTS (SELECT 1 FROM recipient WHERE message = message.id)",
    "SELECT count(*) FROM box WHERE deleted <> (SELECT count(*) FROM trash WHERE box = box.id)",
    "SELECT count(*) FROM box WHERE deleted_octets <>"
    " (SELECT coalesce(sum(octets), 0) FROM trash WHERE box = box.id)",
};

static void check_laws(struct check *c)
{
    for (size_t i = 0; i < sizeof laws / sizeof laws[0]; i++) {
        sqlite3_stmt *s = NULL;
        if (sqlite3_prepare_v2(c->db, laws[i], -1, &s, NULL) != SQLITE_OK ||
            sqlite3_step(s) != SQLITE_ROW || sqlite3_column_int(s, 0) != 0)
            wrong(c, "%d: %s", s != NULL ? sqlite3_column_int(s, 0) : -1, laws[i]);
        sqlite3_finalize(s);
    }
}

unsigned ledger_check(struct ledger *l, const char *dir, size_t now)
{
    static struct check c;
    char path[PATH_MAX];
    c = (struct check){.ledger = l, .dir = dir, .now = now};
    snprintf(path, sizeof path, "%s/%s", dir, MAILDB_PATH);
    if (sqlite3_open_v2(path, &c.db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        wrong(&c, "%s cannot be opened", path);
    } else {
        check_laws(&c);
        check_messages(&c);
        check_entries(&c);
        for (size_t i = 0; i < l->n_letters; i++)
            check_letter(&c, i);
        for (size_t i = 0; i < l->n_removals; i++)
            check_removal(&c, i);
        check_files(&c);
    }
    sqlite3_close(c.db);
    return c.wrong;
}
