/* How long mail stays: `barid user retention`, `barid domain retention`, `barid domain show`. Who
 * that is authd knows, by a number; queue keeps the time. */
#include "cli/mailbox.h"
#include "cli/tables.h"
#include "cli/when.h"
#include "common/admin.h"
#include "common/maildb.h"

#include <inttypes.h>

void retention_column(struct admin_row *to, const struct row *from)
{
    char text[WHEN_TEXT];
    int64_t seconds = row_find_number(from, "retention");
    when_write(text, seconds);
    row_text(to, "retention", seconds > 0 ? span_of(text) : SPAN("none"));
}

/* The second argument as queue reads it. 0, or an exit status (said). */
static int read_time(struct cli *cli, char text[32])
{
    int64_t seconds = 0;
    if (span_eq(cli->args[1], SPAN("none")))
        seconds = MAILDB_RETENTION_NONE;
    else if (!span_eq(cli->args[1], SPAN("default")) &&
             (when_span(cli->args[1], &seconds) < 0 || seconds <= 0 ||
              seconds >= MAILDB_RETENTION_NONE))
        return cli_wrong_usage(cli, "how long? A time like 30d, none, or default");
    snprintf(text, 32, "%" PRId64, seconds);
    return EXIT_DONE;
}

/* Asks queue about number `n`, with a time unless it is NULL. 0, or -1 and e. */
static int ask(struct cli *cli, const char *admin, uint64_t n, const char *time, struct rows *out,
               struct error *e)
{
    char number[32];
    snprintf(number, sizeof number, "%" PRIu64, n);
    const struct span args[] = {span_of(number), span_of(time != NULL ? time : "")};
    struct question q = {
        .process = ROLE_QUEUE, .admin = admin, .args = args, .n_args = time != NULL ? 2 : 1};
    return cli_ask(cli, &q, out, NULL, e);
}

int retention_main(struct cli *cli)
{
    char time[32];
    struct mailbox to;
    struct rows none = {.n = 0};
    struct error e;
    int status = read_time(cli, time);
    if (status != EXIT_DONE)
        return status;
    if (cli_load(cli, &e) < 0 || mailbox_find(cli, &to, &e) < 0 ||
        ask(cli, "box retention", to.box, time, &none, &e) < 0)
        status = cli_fail(cli, "%s", e.text);
    rows_free(&none);
    return status;
}

/* --- domains --- */

/* What authd says of the domain that args[0] names. 0 and its number, or -1 and e. */
static int find_domain(struct cli *cli, struct rows *domain, uint64_t *number, struct error *e)
{
    struct question q = {
        .process = ROLE_AUTHD, .admin = "domain show", .args = cli->args, .n_args = 1};
    if (cli_load(cli, e) < 0 || cli_ask(cli, &q, domain, NULL, e) < 0)
        return -1;
    int64_t n = domain->n > 0 ? row_find_number(&domain->list[0], "number") : 0;
    *number = n > 0 ? (uint64_t)n : 0;
    return n > 0 ? 0
                 : error_set(e, "authd's answer is not complete: install all of barid together");
}

int domain_retention_main(struct cli *cli)
{
    char time[32];
    uint64_t number;
    struct rows domain = {.n = 0}, none = {.n = 0};
    struct error e;
    int status = read_time(cli, time);
    if (status != EXIT_DONE)
        return status;
    if (find_domain(cli, &domain, &number, &e) < 0 ||
        ask(cli, "domain retention", number, time, &none, &e) < 0)
        status = cli_fail(cli, "%s", e.text);
    rows_free(&domain);
    rows_free(&none);
    return status;
}

static int merge(const struct row *domain, const struct row *kept, struct rows *out)
{
    static struct admin_row r;
    struct column c;
    row_begin(&r);
    row_text(&r, "name", row_find(domain, "name", &c) ? c.text : SPAN(""));
    if (row_find(domain, "postmaster", &c) && c.type == COLUMN_TEXT)
        row_text(&r, "postmaster", c.text);
    else
        row_null(&r, "postmaster");
    retention_column(&r, kept);
    row_text(&r, "retention_of", row_find(kept, "retention_of", &c) ? c.text : SPAN(""));
    return r.w.failed ? -1 : rows_add(out, 0, SPAN(""), packer_span(&r.w));
}

int domain_show_main(struct cli *cli)
{
    uint64_t number;
    struct rows domain = {.n = 0}, kept = {.n = 0}, both = {.n = 0};
    struct error e;
    int status;
    if (find_domain(cli, &domain, &number, &e) < 0 ||
        ask(cli, "domain retention", number, NULL, &kept, &e) < 0)
        status = cli_fail(cli, "%s", e.text);
    else if (kept.n == 0 || merge(&domain.list[0], &kept.list[0], &both) < 0)
        status = cli_fail(cli, "queue's answer is not complete: install all of barid together");
    else
        status = mailbox_print(cli, &both, SHAPE_OBJECT);
    rows_free(&domain);
    rows_free(&kept);
    rows_free(&both);
    return status;
}
