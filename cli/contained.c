/* `barid user show` and `barid user release`: authd knows the user, queue knows whether his mail is
 * held (queue/contain.h). A user of the submit socket has a number only: uid:1000. */
#include "cli/output.h"
#include "cli/tables.h"

#include "common/admin.h"

#define INCOMPLETE "the answer is not complete: install all of barid together"

/* Fields as a daemon packed them. */
static void append(struct admin_row *row, struct span fields)
{
    if (row->w.failed || fields.n > sizeof row->octets - row->w.n) {
        row->w.failed = true;
        return;
    }
    memcpy(row->octets + row->w.n, fields.p, fields.n);
    row->w.n += fields.n;
}

/* What authd says of the user in args[0]: into *row, and what belongs to it stays in *user; of a
 * number nothing but that. 0, or -1 and e. */
static int ask_user(struct cli *cli, struct admin_row *row, struct rows *user,
                    char address[ADDRESS_MAX + 1], struct error *e)
{
    struct question q = {
        .process = ROLE_AUTHD, .admin = "user show", .args = cli->args, .n_args = 1};
    struct column c;
    int rc = 0;
    row_begin(row);
    if (span_starts(cli->args[0], SPAN("uid:"))) {
        row_text(row, "address", cli->args[0]);
        return span_copy(address, ADDRESS_MAX + 1, cli->args[0]) == 0
                   ? 0
                   : error_set(e, "that is no number of a user");
    }
    if (cli_ask(cli, &q, user, NULL, e) < 0)
        rc = -1;
    else if (user->n == 0 || !row_find(&user->list[0], "address", &c) ||
             span_copy(address, ADDRESS_MAX + 1, c.text) < 0)
        rc = error_set(e, "authd: " INCOMPLETE);
    else
        append(row, row_fields(&user->list[0]));
    return rc;
}

/* Appends what queue says. If it does not run that is not known. */
static int add_containment(struct cli *cli, struct admin_row *row, const char *address,
                           struct error *e)
{
    const struct span who = span_of(address);
    struct question q = {
        .process = ROLE_QUEUE, .admin = "contained show", .args = &who, .n_args = 1};
    struct rows known = {.n = 0};
    bool is_absent = false;
    int rc = cli_ask(cli, &q, &known, &is_absent, e);
    if (rc == 0 && known.n > 0) {
        append(row, row_fields(&known.list[0]));
    } else if (is_absent) {
        rc = 0;
        row_null(row, "contained_since");
        row_null(row, "contained_because");
        row_null(row, "held");
    }
    rows_free(&known);
    return rc;
}

static int print(struct cli *cli, const struct admin_row *row, const struct rows *user,
                 const char *const *groups)
{
    struct rows out = {.n = 0};
    struct buf text;
    bool failed = row->w.failed || rows_add(&out, 0, SPAN(""), packer_span(&row->w)) < 0;
    for (size_t i = 1; i < user->n && !failed; i++) {
        const struct row *r = &user->list[i];
        failed = rows_add(&out, r->depth, span_of(r->group), row_fields(r)) < 0;
    }
    buf_init(&text, SIZE_MAX / 4);
    if (!failed)
        failed = (cli->is_json ? output_json(&text, &out, SHAPE_OBJECT, groups)
                               : output_table(&text, &out, SHAPE_OBJECT)) < 0;
    rows_free(&out);
    return output_print(cli, &text, failed ? -1 : 0);
}

int user_show_main(struct cli *cli)
{
    static const char *const groups[] = {"forward", NULL};
    static struct admin_row row;
    struct rows user = {.n = 0};
    char address[ADDRESS_MAX + 1];
    struct error e;
    int status = cli_load(cli, &e) < 0 || ask_user(cli, &row, &user, address, &e) < 0 ||
                         add_containment(cli, &row, address, &e) < 0
                     ? cli_fail(cli, "%s", e.text)
                     : print(cli, &row, &user, groups);
    rows_free(&user);
    return status;
}

/* Releases or removes what is held for that, and not what an administrator holds; the number of
 * messages, or -1 and e. */
static int64_t ask_queue(struct cli *cli, const char *admin, const char *address, struct error *e)
{
    char login[ADDRESS_MAX + 8];
    snprintf(login, sizeof login, "login=%s", address);
    const struct span args[] = {span_of(login), SPAN("contained=yes"), SPAN("if-any=yes")};
    struct question q = {.process = ROLE_QUEUE, .admin = admin, .args = args, .n_args = 3};
    struct rows rows = {.n = 0};
    int64_t n = cli_ask(cli, &q, &rows, NULL, e) < 0 ? -1 : (int64_t)rows.n;
    rows_free(&rows);
    return n;
}

/* The number in a row of one question about the user; or -1 and e. */
static int64_t ask_number(struct cli *cli, const char *admin, const char *address,
                          const char *field, struct error *e)
{
    const struct span who = span_of(address);
    struct question q = {.process = ROLE_QUEUE, .admin = admin, .args = &who, .n_args = 1};
    struct rows rows = {.n = 0};
    int64_t n = -1;
    if (cli_ask(cli, &q, &rows, NULL, e) == 0)
        n = rows.n > 0 ? row_find_number(&rows.list[0], field) : error_set(e, "queue: " INCOMPLETE);
    rows_free(&rows);
    return n;
}

/* The address as authd knows it; of a user who was removed as it was typed, if his mail is still
 * held. 0, or -1 and e. */
static int find_address(struct cli *cli, char address[ADDRESS_MAX + 1], struct error *e)
{
    static struct admin_row row;
    struct rows user = {.n = 0};
    struct error other;
    int rc = ask_user(cli, &row, &user, address, e);
    rows_free(&user);
    if (rc == 0)
        return 0;
    bool is_held = span_copy(address, ADDRESS_MAX + 1, cli->args[0]) == 0 &&
                   ask_number(cli, "contained show", address, "held", &other) > 0;
    return is_held ? 0 : -1;
}

/* Ends it first, so that what comes meanwhile is not held. */
int user_release_main(struct cli *cli)
{
    static struct admin_row row;
    char address[ADDRESS_MAX + 1];
    struct error e;
    bool is_purge = cli_option(cli, "purge").p != NULL;
    if (cli_load(cli, &e) < 0 || find_address(cli, address, &e) < 0)
        return cli_fail(cli, "%s", e.text);
    int64_t was = ask_number(cli, "contained end", address, "was_contained", &e);
    const char *what = is_purge ? "queue remove" : "queue release";
    int64_t n = was < 0 ? -1 : ask_queue(cli, what, address, &e);
    if (was < 0)
        return cli_fail(cli, "%s", e.text);
    if (n < 0)
        return cli_fail(cli,
                        "%s is not contained any more, but of what is held not all was %s, "
                        "say it again: %s",
                        address, is_purge ? "removed" : "released", e.text);
    if (was == 0 && n == 0)
        return cli_fail(cli, "%s is not contained, and no mail is held for that", address);
    row_begin(&row);
    row_text(&row, "address", span_of(address));
    row_bool(&row, "was_contained", was > 0);
    row_number(&row, is_purge ? "removed" : "released", n);
    return print(cli, &row, &(struct rows){.n = 0}, NULL);
}
