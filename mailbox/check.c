#include "mailbox/check.h"

#include "common/admin.h"
#include "common/id.h"
#include "common/listing.h"
#include "common/maildb.h"
#include "common/notify.h"
#include "common/sql.h"
#include "mailbox/check_message.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#define PAGE_MESSAGES 500
#define PAGE_OCTETS   (4U << 20)
#define PAGE_ENTRIES  2000
#define PAGE_RCPTS    2000
#define TOLD_MAX      100 /* rows of one mailbox, or of one part of the file */
#define SMALL_STORE                                                                                \
    (1U << 30) /* whose messages are looked through as a table beside the daemons                  \
                */
#define RCPT_STATE_MAX 5

struct check {
    struct check_store *store; /* NULL: not open yet */
    struct admin_call *call;
};

struct check *check_new(void)
{
    return calloc(1, sizeof(struct check));
}

void check_free(struct check *c)
{
    if (c == NULL)
        return;
    check_store_close(c->store);
    free(c);
}

static struct check *asked(void *owner, struct admin_call *call)
{
    struct check *c = owner;
    c->call = call;
    return c;
}

/* --- rows --- */

struct finding {
    const char *what;
    int64_t box, seq, message;
    bool is_queued, is_deleted;
    struct span file;
};

static void tell(struct check *c, const struct finding *f, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(struct check *c, const struct finding *f, const char *fmt, ...)
{
    static struct admin_row row;
    char text[400], id[ID_TEXT] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (f->message > 0)
        id_format(id, (uint64_t)f->message);
    row_begin(&row);
    row_text(&row, "what", span_of(f->what));
    row_number(&row, "box", f->box);
    row_number(&row, "seq", f->seq);
    row_bool(&row, "is_deleted", f->is_deleted);
    row_bool(&row, "is_queued", f->is_queued);
    row_text(&row, "message", span_of(id));
    row_text(&row, "file", f->file);
    row_text(&row, "text", span_of(text));
    row_send(&row, c->call, 0, "");
}

/* How far it is: `done` things of this kind, and their octets. */
static void tell_progress(struct check *c, const char *kind, uint64_t done, uint64_t octets)
{
    static struct admin_row row;
    row_begin(&row);
    row_text(&row, "what", SPAN("at"));
    row_number(&row, kind, (int64_t)done);
    row_number(&row, "octets", (int64_t)octets);
    row_send(&row, c->call, 0, "");
}

/* What cannot be read is a finding like any other; the rest of this part is left out. */
static void tell_unreadable(struct check *c, const char *part)
{
    tell(c, &(struct finding){.what = "structure"}, "%s cannot be read to their end: %.300s", part,
         check_store_why(c->store));
}

/* --- the database as such --- */

struct structure {
    struct check *check;
    int n;
};

/* SQLite's own words. An index can be made again from what it points to. */
static void structure_text(void *arg, struct span text)
{
    struct structure *st = arg;
    bool is_index = sql_is_about_index(text);
    if (st->n++ < TOLD_MAX)
        tell(st->check, &(struct finding){.what = is_index ? "index" : "structure"}, "%.*s",
             (int)(text.n < 300 ? text.n : 300), text.p);
}

/* Beside running daemons part by part, and without the messages of a large store: one transaction
 * that long would stop the writer's checkpoints. Its messages are read one by one anyway. */
static void check_structure(void *owner, struct admin_call *call)
{
    struct check *c = asked(owner, call);
    struct structure st = {.check = c};
    uint64_t octets, messages;
    bool is_alone = admin_option(call, "alone").p != NULL;
    unsigned part = is_alone ? CHECK_WHOLE : (unsigned)(call->cursor % CHECK_PARTS);
    if (check_store_size(c->store, &octets, &messages) < 0 ||
        check_store_structure(c->store, part, structure_text, &st) < 0)
        tell(c, &(struct finding){.what = "structure"}, "%.300s", check_store_why(c->store));
    bool is_over =
        is_alone || part + 1 == CHECK_PARTS || (part + 2 == CHECK_PARTS && octets > SMALL_STORE);
    admin_done(call, is_over ? 0 : part + 1);
}

static void check_size(void *owner, struct admin_call *call)
{
    static struct admin_row row;
    struct check *c = asked(owner, call);
    uint64_t octets = 0, messages = 0;
    if (check_store_size(c->store, &octets, &messages) < 0)
        tell_unreadable(c, "mailboxes");
    row_begin(&row);
    row_text(&row, "what", SPAN("size"));
    row_number(&row, "octets", (int64_t)octets);
    row_number(&row, "messages", (int64_t)messages);
    row_send(&row, call, 0, "");
    admin_done(call, 0);
}

/* --- messages --- */

struct told {
    struct check *check;
    struct finding finding;
    const char *text;
    bool is_held;
};

static void tell_holder(void *arg, int64_t box, int64_t seq, bool is_deleted)
{
    struct told *t = arg;
    t->finding.box = box;
    t->finding.seq = seq;
    t->finding.is_deleted = is_deleted;
    t->is_held = true;
    tell(t->check, &t->finding, "%s", t->text);
}

/* A row for each mailbox that has it, and one if it is in the queue. */
static int tell_message(struct check *c, const struct check_message *m, enum flaw flaw)
{
    struct told t = {c, {.what = flaw_word(flaw), .message = m->id}, flaw_text(flaw), false};
    bool is_queued = m->n_rcpts > 0;
    if (check_store_holders(c->store, m->id, tell_holder, &t) < 0)
        return -1;
    t.finding = (struct finding){.what = t.finding.what, .message = m->id, .is_queued = is_queued};
    if (is_queued || !t.is_held)
        tell(c, &t.finding, "%s", t.text);
    return 0;
}

/* In a state of the database that is later than what was seen: a message that went meanwhile took
 * its file with it. */
static int look_again(struct check *c, int64_t id)
{
    struct check_message m;
    check_store_end(c->store);
    int rc = check_store_begin(c->store) < 0 ? -1 : check_store_message(c->store, id, &m);
    if (rc <= 0)
        return rc;
    enum flaw flaw = check_message(&m);
    return flaw != FLAW_NONE ? tell_message(c, &m, flaw) : 0;
}

/* 1: there may be more after *at; 0: no; -1: cannot be read. */
static int messages_page(struct check *c, int64_t *at, uint64_t *n, uint64_t *octets)
{
    struct check_message m;
    int rc = 1;
    while (*n < PAGE_MESSAGES && *octets < PAGE_OCTETS) {
        rc = check_store_message_next(c->store, *at, &m);
        if (rc <= 0)
            return rc;
        *at = m.id;
        *n += 1;
        *octets += m.size > 0 ? (uint64_t)m.size : 0;
        if (check_message(&m) != FLAW_NONE)
            return look_again(c, m.id) < 0 ? -1 : 1;
    }
    return rc;
}

static void check_messages(void *owner, struct admin_call *call)
{
    struct check *c = asked(owner, call);
    int64_t at = (int64_t)(call->cursor & INT64_MAX);
    uint64_t n = 0, octets = 0;
    int rc = check_store_begin(c->store) < 0 ? -1 : messages_page(c, &at, &n, &octets);
    if (rc < 0)
        tell_unreadable(c, "messages");
    check_store_end(c->store);
    tell_progress(c, "messages", n, octets);
    admin_done(call, rc == 1 ? (uint64_t)at : 0);
}

/* --- mailboxes --- */

struct sum {
    struct check *check;
    int64_t box, messages, octets, deleted, deleted_octets, last_seq;
    int64_t first_id; /* the lowest that is a UIDL */
    int n_told;
};

static void tell_entry(struct sum *s, const struct check_entry *e, const char *what,
                       const char *text)
{
    struct finding f = {.what = what,
                        .box = s->box,
                        .seq = e->seq,
                        .message = e->message,
                        .is_deleted = e->is_deleted};
    if (s->n_told++ < TOLD_MAX)
        tell(s->check, &f, "%s", text);
}

static void add_entry(void *arg, const struct check_entry *e)
{
    struct sum *s = arg;
    int64_t *n = e->is_deleted ? &s->deleted : &s->messages;
    int64_t *octets = e->is_deleted ? &s->deleted_octets : &s->octets;
    uint64_t size = (uint64_t)e->size + maildb_prefix_octets(e->sender, (uint8_t)e->flags);
    *n += 1;
    *octets = (int64_t)((uint64_t)*octets + (uint64_t)e->octets);
    s->last_seq = e->seq > s->last_seq ? e->seq : s->last_seq;
    if (e->uidl.p == NULL && e->message < s->first_id)
        s->first_id = e->message;
    if (!e->has_message)
        tell_entry(s, e, "entry", "the message that stands here is gone");
    else if (e->octets < 0 || (uint64_t)e->octets != size)
        tell_entry(s, e, "entry-size", "its size in the mailbox is not that of the message");
    if (e->uidl.p != NULL && !listing_is_uidl(e->uidl))
        tell_entry(s, e, "entry-uidl", "its UIDL is none");
}

static void compare_counts(struct check *c, const struct check_box *b, const struct sum *s)
{
    struct finding f = {.what = "count", .box = b->id};
    if (!b->has_row)
        tell(c, &f, "nothing is noted of this mailbox, but there are %" PRId64 " messages in it",
             s->messages + s->deleted);
    else if (b->messages != s->messages || b->octets != s->octets)
        tell(c, &f,
             "it counts %" PRId64 " messages of %" PRId64 " octets, and holds %" PRId64
             " of %" PRId64,
             b->messages, b->octets, s->messages, s->octets);
    else if (b->deleted != s->deleted || b->deleted_octets != s->deleted_octets)
        tell(c, &f,
             "it counts %" PRId64 " deleted messages of %" PRId64 " octets, and holds %" PRId64
             " of %" PRId64,
             b->deleted, b->deleted_octets, s->deleted, s->deleted_octets);
    else if (b->next_seq <= s->last_seq)
        tell(c, &f, "the next message would get a number that is in use");
    else if (!b->is_sane || b->first_id > s->first_id)
        tell(c, &f, "what is noted of this mailbox cannot be right");
}

/* What is being swept out has no counts. */
static int check_box(struct check *c, const struct check_box *b, uint64_t *n)
{
    struct sum s = {.check = c, .box = b->id, .first_id = INT64_MAX};
    int64_t dropped, unnoted;
    *n += 1;
    if (b->has_row && b->is_forgotten)
        return 0;
    if (check_store_entries(c->store, b->id, add_entry, &s) < 0 ||
        check_store_dropped(c->store, b->id, &dropped) < 0 ||
        check_store_uidls(c->store, b->id, &unnoted) < 0)
        return -1;
    *n += (uint64_t)(s.messages + s.deleted);
    compare_counts(c, b, &s);
    if (s.n_told > TOLD_MAX)
        tell(c, &(struct finding){.what = "entry-more", .box = b->id}, "and %d more like these",
             s.n_told - TOLD_MAX);
    if (dropped > 0)
        tell(c, &(struct finding){.what = "dropped", .box = b->id},
             "its devices deleted %" PRId64 " messages that are not there", dropped);
    if (unnoted > 0)
        tell(c, &(struct finding){.what = "uidls", .box = b->id},
             "%" PRId64 " UIDLs are not noted as used", unnoted);
    return 0;
}

static int boxes_page(struct check *c, int64_t *at, uint64_t *n_boxes)
{
    struct check_box b;
    uint64_t n = 0;
    int rc = 1;
    while (n < PAGE_ENTRIES && (rc = check_store_box_next(c->store, *at, &b)) == 1) {
        static struct admin_row row;
        *at = b.id;
        *n_boxes += 1;
        if (check_box(c, &b, &n) < 0)
            return -1;
        if (b.has_row && b.is_forgotten)
            continue;
        row_begin(&row); /* whose it is the asker knows */
        row_text(&row, "what", SPAN("box"));
        row_number(&row, "box", b.id);
        row_send(&row, c->call, 0, "");
    }
    return rc;
}

static void check_boxes(void *owner, struct admin_call *call)
{
    struct check *c = asked(owner, call);
    int64_t at = (int64_t)(call->cursor & INT64_MAX), removals = 0;
    uint64_t n = 0;
    int rc = check_store_begin(c->store) < 0 ? -1 : boxes_page(c, &at, &n);
    if (rc == 0)
        rc = check_store_removals(c->store, &removals);
    if (rc < 0)
        tell_unreadable(c, "mailboxes");
    check_store_end(c->store);
    if (removals > 0)
        tell(c, &(struct finding){.what = "removal"},
             "%" PRId64 " parts of deletions cannot be carried out", removals);
    tell_progress(c, "mailboxes", n, 0);
    admin_done(call, rc == 1 ? (uint64_t)at : 0);
}

/* --- recipients --- */

struct rcpts {
    struct check *check;
    uint64_t n;
    int64_t last;
    bool has_more;
};

static bool rcpt_is_sane(const struct check_rcpt *r)
{
    return r->number >= 0 && r->number <= UINT32_MAX && r->state >= 0 &&
           r->state <= RCPT_STATE_MAX && r->attempts >= 0 && r->notify >= 0 && r->contained >= 0 &&
           r->contained <= 1 && notify_is_sane((uint64_t)r->notify) &&
           (r->orcpt.n == 0 || orcpt_is_valid(r->orcpt)) && r->address.n > 0 &&
           check_is_line(r->address, RCPT_ADDRESS_MAX) && r->domain.n > 0 &&
           check_is_line(r->domain, DOMAIN_MAX) && check_is_line(r->status, 16) &&
           check_is_line(r->remote, 400) && check_is_line(r->last_reply, REPLY_MAX);
}

static bool check_rcpt(void *arg, const struct check_rcpt *r)
{
    struct rcpts *all = arg;
    struct finding f = {.what = "recipient", .message = r->message, .is_queued = true};
    if (r->message != all->last && all->n >= PAGE_RCPTS) {
        all->has_more = true;
        return false;
    }
    all->last = r->message;
    all->n++;
    if (!r->has_message)
        tell(all->check, &f, "it is gone, but still has the recipient %.*s",
             (int)(r->address.n < 250 ? r->address.n : 250), r->address.p);
    else if (!rcpt_is_sane(r))
        tell(all->check, &f, "what is noted of recipient %" PRId64 " cannot be right", r->number);
    return true;
}

static void check_rcpts(void *owner, struct admin_call *call)
{
    struct check *c = asked(owner, call);
    int64_t at = (int64_t)(call->cursor & INT64_MAX);
    struct rcpts all = {.check = c, .last = at};
    if (check_store_rcpts(c->store, at, check_rcpt, &all) < 0)
        tell_unreadable(c, "recipients");
    check_store_end(c->store);
    tell_progress(c, "recipients", all.n, 0);
    admin_done(call, all.has_more ? (uint64_t)all.last : 0);
}

/* --- what is noted of things that are not there --- */

struct orphans {
    struct check *check;
    int n;
};

static void tell_orphan(void *arg, const struct check_orphan *o)
{
    struct orphans *all = arg;
    struct finding f = {.what = "orphan", .message = o->message, .is_queued = o->is_hold};
    if (all->n++ >= TOLD_MAX)
        return;
    if (o->is_hold)
        tell(all->check, &f, "it is gone, but still noted as mail that is to wait");
    else
        tell(all->check, &f, "TLSA records of %.*s are kept for a report that nothing is noted for",
             (int)(o->domain.n < 250 ? o->domain.n : 250), o->domain.p);
}

static void check_orphans(void *owner, struct admin_call *call)
{
    struct check *c = asked(owner, call);
    struct orphans all = {.check = c};
    if (check_store_orphans(c->store, tell_orphan, &all) < 0)
        tell_unreadable(c, "holds and results of TLS");
    check_store_end(c->store);
    if (all.n > TOLD_MAX)
        tell(c, &(struct finding){.what = "orphan"}, "and %d more like these", all.n - TOLD_MAX);
    admin_done(call, 0);
}

/* --- files --- */

static void check_file(struct check *c, const char *name)
{
    uint64_t id;
    struct finding f = {.what = "file", .file = span_of(name)};
    if (id_parse(f.file, &id) < 0)
        tell(c, &f, "barid has no file of this name");
    else if (check_store_is_spooled(c->store, (int64_t)id) == 0)
        tell(c, &f, "it belongs to no message");
}

static void check_files(void *owner, struct admin_call *call)
{
    struct check *c = asked(owner, call);
    uint64_t n = 0;
    DIR *d = opendir(MAILDB_SPOOL_DIR);
    if (d == NULL && errno != ENOENT)
        tell(c, &(struct finding){.what = "structure"}, "the directory spool cannot be read: %s",
             strerror(errno));
    for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d))
        if (e->d_name[0] != '.') {
            check_file(c, e->d_name);
            n++;
        }
    if (d != NULL)
        closedir(d);
    tell_progress(c, "files", n, 0);
    admin_done(call, 0);
}

static const struct admin_command commands[] = {
    {"fsck size", check_size},         {"fsck structure", check_structure},
    {"fsck messages", check_messages}, {"fsck boxes", check_boxes},
    {"fsck recipients", check_rcpts},  {"fsck orphans", check_orphans},
    {"fsck files", check_files},
};

void check_run(struct check *c, struct ipc *from, const struct msg_admin *m)
{
    struct error e;
    struct admin_call call = {.ch = from, .tag = m->tag};
    if (c->store == NULL && (c->store = check_store_open(MAILDB_PATH, &e)) == NULL) {
        admin_fail(&call, VERDICT_TRY_LATER, "%s", e.text);
        return;
    }
    admin_dispatch(commands, sizeof commands / sizeof commands[0], c, from, m);
}
