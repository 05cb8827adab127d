/* `barid mailbox`: who has a mailbox is known to authd, what is in it to queue. */
#include "cli/output.h"
#include "cli/tables.h"

#include "common/admin.h"

#include <inttypes.h>

static bool find(const struct row *row, const char *name, struct column *out)
{
    struct unpacker u = unpacker_on(row_fields(row));
    while (column_next(&u, out))
        if (span_eq(out->name, span_of(name)))
            return true;
    return false;
}

static int64_t number(const struct row *row, const char *name)
{
    struct column c;
    return row != NULL && find(row, name, &c) ? c.number : 0;
}

/* Takes over a field; one that is not there becomes null. */
static void copy(struct admin_row *to, const struct row *from, const char *name)
{
    struct column c;
    if (from == NULL || !find(from, name, &c))
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

static int print(struct cli *cli, const struct rows *rows, enum shape shape)
{
    struct buf out;
    buf_init(&out, SIZE_MAX / 4);
    return output_print(cli, &out,
                        cli->is_json ? output_json(&out, rows, shape, NULL)
                                     : output_table(&out, rows, shape));
}

/* --- list --- */

/* queue tells of the mailboxes that ever got mail, in the order of their numbers. */
static const struct row *box_of(const struct rows *boxes, int64_t id)
{
    size_t from = 0, to = boxes->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int64_t here = number(&boxes->list[middle], "id");
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
        const struct row *box = box_of(boxes, number(user, "box"));
        row_begin(&r);
        copy(&r, user, "address");
        row_number(&r, "messages", number(box, "messages"));
        row_size(&r, "octets", (uint64_t)number(box, "octets"));
        copy(&r, user, "quota");
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
        status = print(cli, &both, SHAPE_LIST);
    rows_free(&users);
    rows_free(&boxes);
    rows_free(&both);
    return status;
}

/* --- show --- */

static int merge_show(const struct row *user, const struct row *box, struct rows *out)
{
    static struct admin_row r;
    row_begin(&r);
    copy(&r, user, "address");
    copy(&r, box, "messages");
    copy(&r, box, "octets");
    copy(&r, user, "quota");
    copy(&r, box, "deleted");
    copy(&r, box, "oldest");
    copy(&r, user, "last_login");
    return finish(&r, out);
}

static int ask_box(struct cli *cli, int64_t id, struct rows *box, struct error *e)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, id);
    const struct span arg = span_of(text);
    struct question q = {.process = ROLE_QUEUE, .admin = "box show", .args = &arg, .n_args = 1};
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
    else if (ask_box(cli, number(&user.list[0], "box"), &box, &e) < 0)
        status = cli_fail(cli, "%s", e.text);
    else if (box.n == 0 || merge_show(&user.list[0], &box.list[0], &both) < 0)
        status = cli_fail(cli, "queue's answer is not complete: install all of barid together");
    else
        status = print(cli, &both, SHAPE_OBJECT);
    rows_free(&user);
    rows_free(&box);
    rows_free(&both);
    return status;
}

static const struct command commands[] = {
    {.words = "mailbox list",
     .usage = "",
     .summary = "all mailboxes with messages, size and quota",
     .run = list_main},
    {.words = "mailbox show",
     .usage = "USER",
     .summary = "one mailbox, its oldest message and last login",
     .args_min = 1,
     .args_max = 1,
     .run = show_main},
};
const struct command_table mailbox_table = {commands, sizeof commands / sizeof *commands};
