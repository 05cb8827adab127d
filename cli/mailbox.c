/* `barid mailbox`: who has a mailbox is known to authd, what is in it to queue. */
#include "cli/mailbox.h"
#include "cli/output.h"
#include "cli/tables.h"

#include "cli/when.h"
#include "common/admin.h"
#include "common/clock.h"
#include "common/maildb.h"

#include <inttypes.h>

static int print(struct cli *cli, const struct rows *rows, enum shape shape,
                 const char *const *groups)
{
    struct buf out;
    buf_init(&out, SIZE_MAX / 4);
    return output_print(cli, &out,
                        cli->is_json ? output_json(&out, rows, shape, groups)
                                     : output_table(&out, rows, shape));
}

int mailbox_print(struct cli *cli, const struct rows *rows, enum shape shape)
{
    return print(cli, rows, shape, NULL);
}

int mailbox_find(struct cli *cli, struct mailbox *out, struct error *e)
{
    struct question who = {
        .process = ROLE_AUTHD, .admin = "user show", .args = cli->args, .n_args = 1};
    struct rows user = {.n = 0};
    struct column c;
    int rc = cli_ask(cli, &who, &user, NULL, e);
    *out = (struct mailbox){0};
    if (rc == 0) {
        int64_t box = user.n > 0 ? row_find_number(&user.list[0], "box") : 0;
        int64_t quota = user.n > 0 ? row_find_number(&user.list[0], "quota") : 0;
        out->box = box > 0 ? (uint64_t)box : 0;
        out->quota = quota > 0 ? (uint64_t)quota : 0;
        if (box <= 0 || !row_find(&user.list[0], "address", &c) ||
            span_copy(out->address, sizeof out->address, c.text) < 0)
            rc = error_set(e, "authd's answer is not complete: install all of barid together");
    }
    rows_free(&user);
    return rc;
}

/* Takes over a field; one that is not there becomes null. */
static void copy(struct admin_row *to, const struct row *from, const char *name)
{
    struct column c;
    if (!row_find(from, name, &c))
        row_null(to, name);
    else if (c.type == COLUMN_TEXT)
        row_text(to, name, c.text);
    else if (c.type == COLUMN_SIZE)
        row_size(to, name, (uint64_t)c.number);
    else if (c.type == COLUMN_TIME)
        row_time(to, name, c.number);
    else if (c.type == COLUMN_NULL)
        row_null(to, name);
    else
        row_number(to, name, c.number);
}

static int finish(struct admin_row *r, struct rows *out)
{
    return r->w.failed ? -1 : rows_add(out, 0, SPAN(""), packer_span(&r->w));
}

/* --- list --- */

/* queue tells of the mailboxes that ever got mail, in the order of their numbers. */
static const struct row *box_of(const struct rows *boxes, int64_t id)
{
    size_t from = 0, to = boxes->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int64_t here = row_find_number(&boxes->list[middle], "id");
        if (here == id)
            return &boxes->list[middle];
        if (here < id)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}

static int merge_list(const struct rows *users, const struct rows *boxes, struct rows *out)
{
    static struct admin_row r;
    for (size_t i = 0; i < users->n; i++) {
        const struct row *user = &users->list[i];
        const struct row *box = box_of(boxes, row_find_number(user, "box"));
        row_begin(&r);
        copy(&r, user, "address");
        row_number(&r, "messages", row_find_number(box, "messages"));
        row_size(&r, "octets", (uint64_t)row_find_number(box, "octets"));
        copy(&r, user, "quota");
        row_time(&r, "oldest", row_find_number(box, "oldest"));
        copy(&r, user, "last_login");
        if (finish(&r, out) < 0)
            return -1;
    }
    return 0;
}

static int list_main(struct cli *cli)
{
    const struct span all = SPAN("long=yes");
    struct question who = {.process = ROLE_AUTHD, .admin = "user list", .args = &all, .n_args = 1};
    struct question what = {.process = ROLE_QUEUE, .admin = "box list"};
    struct rows users = {.n = 0}, boxes = {.n = 0}, both = {.n = 0};
    struct error e;
    int status;
    if (cli_load(cli, &e) < 0 || cli_ask(cli, &what, &boxes, NULL, &e) < 0 ||
        cli_ask(cli, &who, &users, NULL, &e) < 0)
        status = cli_fail(cli, "%s", e.text);
    else if (merge_list(&users, &boxes, &both) < 0)
        status = cli_fail(cli, "no memory");
    else
        status = mailbox_print(cli, &both, SHAPE_LIST);
    rows_free(&users);
    rows_free(&boxes);
    rows_free(&both);
    return status;
}

/* --- show --- */

static int merge_show(const struct row *user, const struct rows *boxes, struct rows *out)
{
    static struct admin_row r;
    const struct row *box = &boxes->list[0];
    row_begin(&r);
    copy(&r, user, "address");
    copy(&r, box, "messages");
    copy(&r, box, "octets");
    copy(&r, user, "quota");
    copy(&r, box, "deleted");
    copy(&r, box, "oldest");
    copy(&r, user, "last_login");
    retention_column(&r, box);
    copy(&r, box, "retention_of");
    int rc = finish(&r, out);
    for (size_t i = 1; i < boxes->n && rc == 0; i++)
        rc = rows_add(out, 1, span_of(boxes->list[i].group), row_fields(&boxes->list[i]));
    return rc;
}

static int ask_box(struct cli *cli, const struct row *user, struct rows *box, struct error *e)
{
    char number[32], domain[40];
    snprintf(number, sizeof number, "%" PRId64, row_find_number(user, "box"));
    snprintf(domain, sizeof domain, "domain=%" PRId64, row_find_number(user, "domain"));
    const struct span args[] = {span_of(number), span_of(domain)};
    struct question q = {.process = ROLE_QUEUE, .admin = "box show", .args = args, .n_args = 2};
    return cli_ask(cli, &q, box, NULL, e);
}

static int show_main(struct cli *cli)
{
    struct question who = {
        .process = ROLE_AUTHD, .admin = "user show", .args = cli->args, .n_args = 1};
    struct rows user = {.n = 0}, box = {.n = 0}, both = {.n = 0};
    struct error e;
    int status;
    if (cli_load(cli, &e) < 0 || cli_ask(cli, &who, &user, NULL, &e) < 0)
        status = cli_fail(cli, "%s", e.text);
    else if (user.n == 0)
        status = cli_fail(cli, "authd's answer is not complete: install all of barid together");
    else if (ask_box(cli, &user.list[0], &box, &e) < 0)
        status = cli_fail(cli, "%s", e.text);
    else if (box.n == 0 || merge_show(&user.list[0], &box, &both) < 0)
        status = cli_fail(cli, "queue's answer is not complete: install all of barid together");
    else
        status = print(cli, &both, SHAPE_OBJECT, (const char *const[]){"devices", NULL});
    rows_free(&user);
    rows_free(&box);
    rows_free(&both);
    return status;
}

/* --- undelete: authd knows the mailbox of a user, queue does the work --- */

/* 0 and the number of the mailbox, or -1 and e. */
static int find_box(struct cli *cli, int64_t *box, struct error *e)
{
    struct question who = {
        .process = ROLE_AUTHD, .admin = "user show", .args = cli->args, .n_args = 1};
    struct rows user = {.n = 0};
    int rc = cli_load(cli, e) < 0 ? -1 : cli_ask(cli, &who, &user, NULL, e);
    if (rc == 0 && (user.n == 0 || (*box = row_find_number(&user.list[0], "box")) <= 0))
        rc = error_set(e, "authd's answer is not complete: install all of barid together");
    rows_free(&user);
    return rc;
}

/* Asks queue about this mailbox, with one more argument unless it is empty. */
static int ask_about(struct cli *cli, const char *admin, const char *argument, struct rows *out,
                     struct error *e)
{
    char text[32];
    int64_t box = 0;
    if (find_box(cli, &box, e) < 0)
        return -1;
    snprintf(text, sizeof text, "%" PRId64, box);
    const struct span args[] = {span_of(text), span_of(argument)};
    struct question q = {
        .process = ROLE_QUEUE, .admin = admin, .args = args, .n_args = argument[0] ? 2 : 1};
    return cli_ask(cli, &q, out, NULL, e);
}

/* Each page told how many it brought back. */
static int print_undeleted(struct cli *cli, const struct rows *pages)
{
    static struct admin_row r;
    struct rows sum = {.n = 0};
    int64_t n = 0;
    for (size_t i = 0; i < pages->n; i++)
        n += row_find_number(&pages->list[i], "messages");
    row_begin(&r);
    row_text(&r, "address", cli->args[0]);
    row_number(&r, "undeleted", n);
    int status =
        finish(&r, &sum) < 0 ? cli_fail(cli, "no memory") : mailbox_print(cli, &sum, SHAPE_OBJECT);
    rows_free(&sum);
    return status;
}

static int undelete_main(struct cli *cli)
{
    char since[40] = "";
    struct span given = cli_option(cli, "since");
    struct rows pages = {.n = 0};
    struct error e;
    int64_t at;
    if (given.p != NULL && when_time(given, clock_wall_s(), &at) < 0)
        return cli_wrong_usage(cli, "since is a time like 2h, 3d, 2026-11-22 or "
                                    "2026-11-22T04:05:06Z");
    if (given.p != NULL)
        snprintf(since, sizeof since, "since=%" PRId64, at);
    int status = ask_about(cli, "box undelete", since, &pages, &e) < 0
                     ? cli_fail(cli, "%s", e.text)
                     : print_undeleted(cli, &pages);
    rows_free(&pages);
    return status;
}

static const struct command commands[] = {
    {.words = "mailbox list",
     .usage = "",
     .summary = "all mailboxes with size, quota, oldest message, last login",
     .run = list_main},
    {.words = "mailbox show",
     .usage = "USER",
     .summary = "one mailbox, its oldest message and last login",
     .args_min = 1,
     .args_max = 1,
     .run = show_main},
    {.words = "mailbox undelete",
     .usage = "USER [--since TIME]",
     .summary = "bring back what was deleted, all of it or since a time (2h ago, 2026-11-22)",
     .options = {"since=", NULL},
     .args_min = 1,
     .args_max = 1,
     .run = undelete_main},
    {.words = "mailbox import",
     .usage = "USER (--maildir DIR | --mbox FILE) [--uidl HOW] [--uidl-format FORMAT] "
              "[--since TIME] [--until TIME]",
     .summary = "takes mail into a mailbox; run again, it goes on where it was. HOW: auto, "
                "dovecot, courier, file-name, x-uidl, new",
     .options = {"maildir=", "mbox=", "uidl=", "uidl-format=", "since=", "until="},
     .args_min = 1,
     .args_max = 1,
     .run = mailbox_import_main},
    {.words = "mailbox export",
     .usage = "USER (--maildir DIR | --mbox FILE) [--since TIME] [--until TIME]",
     .summary = "writes the mail of a mailbox to a Maildir (with the UIDLs) or an mbox",
     .options = {"maildir=", "mbox=", "since=", "until="},
     .args_min = 1,
     .args_max = 1,
     .run = mailbox_export_main},
};
const struct command_table mailbox_table = {commands, sizeof commands / sizeof *commands};
