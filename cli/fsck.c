/* `barid fsck`: is everything that is stored what it should be? What is wrong is said for people,
 * with --repair it is set right or put into quarantine by the process that owns it, and looked at
 * once more. */
#include "cli/fsck.h"

#include "cli/output.h"
#include "cli/text.h"

#include <inttypes.h>

#define REPAIR_MS (3600 * 1000LL) /* an index of a large store */

/* --- repair --- */

static const struct remedy {
    const char *what;
    enum role role;
    const char *admin;
    const char *key; /* the field that names what is to be repaired; NULL: nothing */
} remedies[] = {
    {"index", ROLE_QUEUE, "fsck indexes", NULL},
    {"users-index", ROLE_AUTHD, "fsck indexes", NULL},
    {"message-row", ROLE_QUEUE, "fsck message", "message"},
    {"content-missing", ROLE_QUEUE, "fsck message", "message"},
    {"content", ROLE_QUEUE, "fsck message", "message"},
    {"content-facts", ROLE_QUEUE, "fsck message", "message"},
    {"nobody", ROLE_QUEUE, "fsck message", "message"},
    {"recipient", ROLE_QUEUE, "fsck recipients", "message"},
    {"count", ROLE_QUEUE, "fsck box", "box"},
    {"entry", ROLE_QUEUE, "fsck box", "box"},
    {"entry-size", ROLE_QUEUE, "fsck box", "box"},
    {"entry-uidl", ROLE_QUEUE, "fsck box", "box"},
    {"entry-more", ROLE_QUEUE, "fsck box", "box"},
    {"dropped", ROLE_QUEUE, "fsck box", "box"},
    {"uidls", ROLE_QUEUE, "fsck box", "box"},
    {"removal", ROLE_QUEUE, "fsck removals", NULL},
    {"orphan", ROLE_QUEUE, "fsck orphans", NULL},
    {"mailbox", ROLE_QUEUE, "fsck nobodys", "box"},
    {"file", ROLE_QUEUE, "fsck file", "file"},
};

static const struct remedy *remedy_of(const struct row *r)
{
    for (size_t i = 0; i < sizeof remedies / sizeof remedies[0]; i++)
        if (span_eq(fsck_text(r, "what"), span_of(remedies[i].what)))
            return &remedies[i];
    return NULL;
}

/* What a remedy is to be used on, as an argument. */
static struct span key_of(const struct row *r, const struct remedy *with, char room[32])
{
    if (with->key == NULL || strcmp(with->key, "box") != 0)
        return with->key != NULL ? fsck_text(r, with->key) : SPAN("");
    snprintf(room, 32, "%" PRId64, row_find_number(r, "box"));
    return span_of(room);
}

struct outcomes {
    char **list; /* what was done about each finding; NULL: nothing could be */
    size_t n;
};

static void outcomes_free(struct outcomes *o)
{
    for (size_t i = 0; i < o->n; i++)
        free(o->list[i]);
    free(o->list);
    *o = (struct outcomes){.n = 0};
}

/* The same remedy on the same thing helps all findings about it. */
static char *done_before(const struct fsck *f, const struct outcomes *o, size_t at,
                         const struct remedy *with)
{
    char one[32], two[32];
    struct span key = key_of(&f->found.list[at], with, one);
    for (size_t i = 0; i < at; i++) {
        const struct remedy *other = remedy_of(&f->found.list[i]);
        if (o->list[i] != NULL && other != NULL && other->role == with->role &&
            strcmp(other->admin, with->admin) == 0 &&
            span_eq(key_of(&f->found.list[i], other, two), key))
            return span_dup(span_of(o->list[i]));
    }
    return NULL;
}

static char *apply(struct asker *owner, const struct row *finding, const struct remedy *with)
{
    char room[32];
    const struct span key = key_of(finding, with, room);
    struct question q = {.admin = with->admin,
                         .args = &key,
                         .n_args = with->key != NULL ? 1 : 0,
                         .answer_ms = REPAIR_MS};
    struct rows rows = {.n = 0};
    struct error e;
    char text[600] = "";
    if (asker_ask(owner, &q, &rows, &e) < 0)
        snprintf(text, sizeof text, "not repaired: %s", e.text);
    else
        span_copy(text, sizeof text, rows.n > 0 ? fsck_text(&rows.list[0], "done") : SPAN("done"));
    rows_free(&rows);
    return span_dup(span_of(text));
}

/* All that one owner can repair. */
static int repair_by(struct fsck *f, enum role role, struct outcomes *o)
{
    struct asker *owner = NULL;
    for (size_t i = 0; i < f->found.n; i++) {
        const struct remedy *with = remedy_of(&f->found.list[i]);
        if (with == NULL || with->role != role)
            continue;
        if (owner == NULL)
            owner = asker_open(f->cli, role, ASK_DAEMON_OR_START_IT, &f->error);
        if (owner == NULL)
            return -1;
        o->list[i] = done_before(f, o, i, with);
        if (o->list[i] == NULL)
            o->list[i] = apply(owner, &f->found.list[i], with);
    }
    asker_close(owner);
    return 0;
}

static int repair(struct fsck *f, struct outcomes *o)
{
    o->list = alloc_array(f->found.n + 1, sizeof *o->list);
    o->n = o->list != NULL ? f->found.n : 0;
    if (o->list == NULL)
        return error_set(&f->error, "no memory");
    for (size_t i = 0; i <= f->found.n; i++)
        o->list[i] = NULL;
    return repair_by(f, ROLE_AUTHD, o) < 0 ? -1 : repair_by(f, ROLE_QUEUE, o);
}

/* --- telling --- */

/* Where it is, in words. */
static void add_place(struct buf *out, const struct fsck *f, const struct row *r)
{
    struct span what = fsck_text(r, "what"), file = fsck_text(r, "file");
    struct span message = fsck_text(r, "message");
    int64_t box = row_find_number(r, "box"), seq = row_find_number(r, "seq");
    struct span user = fsck_user(f, box);
    if (file.n > 0) {
        buf_addf(out, "spool/");
        text_terminal(out, file);
    } else if (box > 0 && user.n > 0) {
        text_terminal(out, user);
    } else if (box > 0) {
        buf_addf(out, "mailbox %" PRId64, box);
    } else if (row_find_number(r, "is_queued") != 0) {
        buf_addf(out, "queue");
    } else if (message.n == 0) {
        buf_addf(out, span_starts(what, SPAN("users")) ? "users.db" : "mail.db");
    }
    if (message.n > 0)
        buf_addf(out, "%smessage %.*s", buf_span(out).n > 0 ? ", " : "", (int)message.n, message.p);
    if (seq > 0)
        buf_addf(out, " (number %" PRId64 "%s)", seq,
                 row_find_number(r, "is_deleted") != 0 ? ", deleted" : "");
}

static void tell_line(const struct fsck *f, const struct row *r, const char *outcome)
{
    struct buf place, line;
    buf_init(&place, SIZE_MAX / 4);
    buf_init(&line, SIZE_MAX / 4);
    add_place(&place, f, r);
    buf_addf(&line, "%.*s: ", (int)buf_span(&place).n, buf_span(&place).p);
    text_terminal(&line, fsck_text(r, "text"));
    if (outcome != NULL) {
        buf_addf(&line, "\n    ");
        text_terminal(&line, span_of(outcome));
    }
    printf("%.*s\n", (int)buf_span(&line).n, buf_span(&line).p);
    buf_free(&place);
    buf_free(&line);
}

static void tell_list(const struct fsck *f, const struct outcomes *o)
{
    for (size_t i = 0; i < f->found.n; i++)
        tell_line(f, &f->found.list[i], o != NULL ? o->list[i] : NULL);
    if (f->n_found > f->found.n)
        printf("and %" PRIu64 " more\n", f->n_found - f->found.n);
}

static void text_or_null(struct admin_row *to, const char *name, struct span v)
{
    if (v.n > 0)
        row_text(to, name, v);
    else
        row_null(to, name);
}

static int add_damage(struct rows *doc, const struct fsck *f, const struct row *r,
                      const char *outcome)
{
    static struct admin_row row;
    int64_t seq = row_find_number(r, "seq");
    row_begin(&row);
    row_text(&row, "what", fsck_text(r, "what"));
    text_or_null(&row, "user", fsck_user(f, row_find_number(r, "box")));
    if (row_find_number(r, "box") > 0)
        row_number(&row, "mailbox", row_find_number(r, "box"));
    else
        row_null(&row, "mailbox");
    text_or_null(&row, "message", fsck_text(r, "message"));
    if (seq > 0)
        row_number(&row, "number", seq);
    else
        row_null(&row, "number");
    row_bool(&row, "queued", row_find_number(r, "is_queued") != 0);
    text_or_null(&row, "file", fsck_text(r, "file"));
    row_text(&row, "text", fsck_text(r, "text"));
    text_or_null(&row, "done", span_of(outcome != NULL ? outcome : ""));
    return rows_add(doc, 1, SPAN("damage"), packer_span(&row.w));
}

static int document(struct rows *doc, const struct fsck *f, const struct outcomes *o, uint64_t left)
{
    static struct admin_row row;
    row_begin(&row);
    row_bool(&row, "ok", left == 0);
    row_number(&row, "wrong", (int64_t)f->n_found);
    row_number(&row, "left", (int64_t)left);
    row_number(&row, "messages", (int64_t)f->counts.messages);
    row_size(&row, "octets", f->counts.octets);
    row_number(&row, "mailboxes", (int64_t)f->counts.mailboxes);
    row_number(&row, "recipients", (int64_t)f->counts.recipients);
    row_number(&row, "files", (int64_t)f->counts.files);
    int rc = rows_add(doc, 0, SPAN(""), packer_span(&row.w));
    for (size_t i = 0; i < f->found.n && rc == 0; i++)
        rc = add_damage(doc, f, &f->found.list[i], o->list != NULL ? o->list[i] : NULL);
    return rc;
}

static int tell_json(const struct fsck *f, const struct outcomes *o, uint64_t left)
{
    struct rows doc = {.n = 0};
    struct buf out;
    buf_init(&out, SIZE_MAX / 4);
    int rc = document(&doc, f, o, left);
    if (rc == 0)
        rc = output_json(&out, &doc, SHAPE_OBJECT, (const char *const[]){"damage", NULL});
    int status = output_print(f->cli, &out, rc);
    rows_free(&doc);
    return status;
}

static void tell_sum(const struct fsck *f)
{
    char size[32];
    text_size(size, f->counts.octets);
    printf("%" PRIu64 " messages (%s), %" PRIu64 " mailboxes, %" PRIu64
           " recipients in the queue, %" PRIu64 " files: ",
           f->counts.messages, size, f->counts.mailboxes, f->counts.recipients, f->counts.files);
    if (f->n_found == 0)
        printf("nothing is wrong\n");
    else
        printf("%" PRIu64 " wrong\n", f->n_found);
}

/* --- the command --- */

static int tell(struct fsck *f, const struct outcomes *o, struct fsck *after)
{
    bool is_repair = after != NULL;
    uint64_t left = is_repair ? after->n_found : f->n_found;
    int status = EXIT_DONE;
    if (f->cli->is_json) {
        status = tell_json(f, o, left);
    } else {
        tell_list(f, o->list != NULL ? o : NULL);
        tell_sum(f);
        if (is_repair && left > 0) {
            printf("\nstill wrong:\n");
            tell_list(after, NULL);
        }
    }
    if (left == 0 || status != EXIT_DONE)
        return status;
    if (is_repair)
        return cli_fail(f->cli,
                        "%" PRIu64 " wrong that cannot be repaired: see the list, restore a backup "
                        "with 'barid restore', or save what can be read with 'barid mailbox "
                        "export'",
                        left);
    return cli_fail(f->cli,
                    "%" PRIu64 " wrong: 'barid fsck --repair' sets right what can be, and "
                    "puts what is damaged into quarantine",
                    left);
}

/* Repairs, and looks once more. */
static int mend(struct fsck *f, struct outcomes *o)
{
    struct fsck after = {.cli = f->cli};
    int status = EXIT_REFUSED;
    if (repair(f, o) < 0)
        cli_fail(f->cli, "not everything was repaired: %s", f->error.text);
    else if (fsck_look(&after) < 0)
        cli_fail(f->cli, "what was repaired could not be looked at again: %s", after.error.text);
    else
        status = tell(f, o, &after);
    fsck_forget(&after);
    return status;
}

int fsck_main(struct cli *cli)
{
    struct fsck f = {.cli = cli};
    struct outcomes o = {.n = 0};
    int status;
    if (cli_load(cli, &f.error) < 0)
        return cli_fail(cli, "%s", f.error.text);
    if (fsck_look(&f) < 0)
        status = cli_fail(cli, "the check could not be finished: %s", f.error.text);
    else if (f.n_found > 0 && cli_option(cli, "repair").p != NULL)
        status = mend(&f, &o);
    else
        status = tell(&f, &o, NULL);
    outcomes_free(&o);
    fsck_forget(&f);
    return status;
}
