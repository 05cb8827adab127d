/* The check of `barid fsck`: authd tells which users there are and looks at users.db; a mailbox
 * process of our own reads mail.db and the spool files, beside the daemons or without them. */
#include "cli/fsck.h"

#include "common/admin.h"

#include <inttypes.h>

#define PATIENCE_MS (24 * 3600 * 1000LL) /* a database of many GB; who asks can end it */

struct span fsck_text(const struct row *r, const char *name)
{
    struct column c;
    return row_find(r, name, &c) && c.type == COLUMN_TEXT ? c.text : SPAN("");
}

static int64_t box_at(const struct rows *rows, size_t i)
{
    return row_find_number(&rows->list[i], "box");
}

struct span fsck_user(const struct fsck *f, int64_t box)
{
    size_t from = 0, to = f->users.n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (box_at(&f->users, middle) < box)
            from = middle + 1;
        else
            to = middle;
    }
    bool is_there = from < f->users.n && box_at(&f->users, from) == box;
    return is_there ? fsck_text(&f->users.list[from], "address") : SPAN("");
}

/* --- findings --- */

static int add(struct fsck *f, struct span fields)
{
    f->n_found++;
    return f->found.n < FSCK_FINDINGS_MAX ? rows_add(&f->found, 0, SPAN(""), fields) : 0;
}

static int add_own(struct fsck *f, const char *what, uint64_t box, const char *text)
{
    static struct admin_row row;
    row_begin(&row);
    row_text(&row, "what", span_of(what));
    row_number(&row, "box", (int64_t)box);
    row_text(&row, "text", span_of(text));
    return add(f, packer_span(&row.w));
}

/* --- users --- */

static int compare_boxes(const void *a, const void *b)
{
    int64_t x = row_find_number(a, "box"), y = row_find_number(b, "box");
    return x < y ? -1 : x > y;
}

/* Users, and the mailboxes of those who were removed and of which queue does not know yet. */
static int ask_users(struct fsck *f, struct asker *authd)
{
    const struct span all = SPAN("long=yes");
    struct question users = {.admin = "user list", .args = &all, .n_args = 1};
    struct question forgotten = {.admin = "fsck forgotten"};
    rows_free(&f->users);
    if (asker_ask(authd, &users, &f->users, &f->error) < 0 ||
        asker_ask(authd, &forgotten, &f->users, &f->error) < 0)
        return -1;
    if (f->users.n > 1)
        qsort(f->users.list, f->users.n, sizeof *f->users.list, compare_boxes);
    return 0;
}

static int look_at_users(struct fsck *f, bool is_check)
{
    struct question check = {.admin = "fsck users", .answer_ms = PATIENCE_MS};
    struct rows wrong = {.n = 0};
    struct asker *authd = asker_open(f->cli, ROLE_AUTHD, ASK_DAEMON_OR_START_IT, &f->error);
    int rc = authd == NULL ? -1 : ask_users(f, authd);
    if (rc == 0 && is_check)
        rc = asker_ask(authd, &check, &wrong, &f->error);
    asker_close(authd);
    for (size_t i = 0; i < wrong.n && rc == 0; i++)
        rc = add(f, row_fields(&wrong.list[i]));
    rows_free(&wrong);
    return rc;
}

/* --- mail --- */

static bool field(struct span fields, const char *name, struct column *c)
{
    struct unpacker u = unpacker_on(fields);
    while (column_next(&u, c))
        if (span_eq(c->name, span_of(name)))
            return true;
    return false;
}

static uint64_t number(struct span fields, const char *name)
{
    struct column c;
    return field(fields, name, &c) && c.number > 0 ? (uint64_t)c.number : 0;
}

static int take_box(struct fsck *f, uint64_t box)
{
    f->counts.mailboxes++;
    if (fsck_user(f, (int64_t)box).n > 0)
        return 0;
    for (size_t i = 0; i < f->users.n; i++)
        if (box_at(&f->users, i) == (int64_t)box)
            return 0; /* of a user who was removed */
    void *list = f->suspects;
    if (array_reserve(&list, &f->cap_suspects, f->n_suspects + 1, sizeof *f->suspects) < 0)
        return -1;
    f->suspects = list;
    f->suspects[f->n_suspects++] = box;
    return 0;
}

static int take_row(void *arg, struct span fields)
{
    struct fsck *f = arg;
    struct column what;
    if (!field(fields, "what", &what) || what.type != COLUMN_TEXT)
        return -1;
    if (span_eq(what.text, SPAN("box")))
        return take_box(f, number(fields, "box"));
    if (!span_eq(what.text, SPAN("at")))
        return add(f, fields);
    f->counts.messages += number(fields, "messages");
    f->counts.octets += number(fields, "octets");
    f->counts.recipients += number(fields, "recipients");
    f->counts.files += number(fields, "files");
    progress_at(&f->progress, f->counts.messages, f->counts.octets);
    return 0;
}

/* About how much there is, for the bar; also the first look at whether it can be read at all. */
static int begin(struct fsck *f, struct asker *reader)
{
    struct rows size = {.n = 0};
    struct question q = {.admin = "fsck size"};
    int rc = asker_ask(reader, &q, &size, &f->error);
    uint64_t total = rc == 0 && size.n > 0 ? number(row_fields(&size.list[0]), "messages") : 0;
    progress_begin(&f->progress, f->cli, "messages", total);
    rows_free(&size);
    return rc;
}

/* A reader cannot open what a crash, or somebody who worked on the file, left without its -shm
 * file: its owner makes that when it starts, and recovers. */
static int let_owner_open_it(struct fsck *f)
{
    struct asker *queue = asker_open(f->cli, ROLE_QUEUE, ASK_DAEMON_OR_START_IT, &f->error);
    asker_close(queue);
    return queue != NULL ? 0 : -1;
}

static struct asker *open_reader(struct fsck *f)
{
    struct asker *reader = asker_open(f->cli, ROLE_MAILBOX, ASK_PROCESS_OF_OUR_OWN, &f->error);
    if (reader == NULL || begin(f, reader) == 0)
        return reader;
    asker_close(reader);
    if (f->is_running || let_owner_open_it(f) < 0)
        return NULL;
    reader = asker_open(f->cli, ROLE_MAILBOX, ASK_PROCESS_OF_OUR_OWN, &f->error);
    if (reader == NULL || begin(f, reader) == 0)
        return reader;
    asker_close(reader);
    return NULL;
}

static int look_at_mail(struct fsck *f)
{
    static const char *const steps[] = {"fsck structure",  "fsck messages", "fsck boxes",
                                        "fsck recipients", "fsck orphans",  "fsck files"};
    const struct span alone = SPAN("alone=yes");
    struct asker *reader = open_reader(f);
    int rc = reader != NULL ? 0 : -1;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && rc == 0; i++) {
        struct question q = {.admin = steps[i],
                             .args = &alone,
                             .n_args = f->is_running ? 0 : 1,
                             .answer_ms = PATIENCE_MS,
                             .on_row = take_row,
                             .on_row_arg = f};
        rc = asker_ask(reader, &q, NULL, &f->error);
    }
    asker_close(reader);
    progress_end(&f->progress);
    return rc;
}

/* --- what may only have looked wrong, because it was changing --- */

/* Whose user was not there: users are made before their mail comes. */
static int settle_boxes(struct fsck *f)
{
    size_t n = f->n_suspects;
    f->n_suspects = 0;
    if (n == 0)
        return 0;
    f->counts.mailboxes -= n;
    if (look_at_users(f, false) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (take_box(f, f->suspects[i]) < 0)
            return error_set(&f->error, "no memory");
    for (size_t i = 0; i < f->n_suspects; i++)
        if (add_own(f, "mailbox", f->suspects[i], "there is mail in it, but no user") < 0)
            return error_set(&f->error, "no memory");
    return 0;
}

/* A file without a row may be of a message that is just arriving: queue knows. */
static int is_stray(struct fsck *f, struct asker *queue, const struct row *r, bool *answer)
{
    const struct span name = fsck_text(r, "file");
    struct question q = {.admin = "fsck stray", .args = &name, .n_args = 1};
    struct rows rows = {.n = 0};
    int rc = asker_ask(queue, &q, &rows, &f->error);
    *answer = rc == 0 && rows.n > 0 && row_find_number(&rows.list[0], "is_stray") != 0;
    rows_free(&rows);
    return rc;
}

static int settle_files(struct fsck *f)
{
    struct asker *queue = NULL;
    size_t kept = 0;
    int rc = 0;
    for (size_t i = 0; i < f->found.n && f->is_running; i++) {
        struct row *r = &f->found.list[i];
        bool is_wrong = true;
        if (rc == 0 && span_eq(fsck_text(r, "what"), SPAN("file"))) {
            if (queue == NULL)
                queue = asker_open(f->cli, ROLE_QUEUE, ASK_DAEMON_OR_START_IT, &f->error);
            rc = queue != NULL ? is_stray(f, queue, r, &is_wrong) : -1;
        }
        if (is_wrong || rc < 0) {
            struct row kept_row = *r;
            *r = f->found.list[kept];
            f->found.list[kept++] = kept_row;
        } else {
            f->n_found--;
        }
    }
    if (f->is_running)
        rows_cut(&f->found, kept);
    asker_close(queue);
    return rc;
}

int fsck_look(struct fsck *f)
{
    f->is_running = !asker_is_absent(f->cli, ROLE_QUEUE);
    if (look_at_users(f, true) < 0 || look_at_mail(f) < 0)
        return -1;
    return settle_boxes(f) < 0 ? -1 : settle_files(f);
}

void fsck_forget(struct fsck *f)
{
    rows_free(&f->users);
    rows_free(&f->found);
    free(f->suspects);
    *f = (struct fsck){.cli = f->cli};
}
