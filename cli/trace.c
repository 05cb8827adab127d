/* `barid trace`: one message, or with an address those from it and to it. What has an @ and no <>
 * may be either: it is an address if there is anything of it. */
#include "cli/mailbox.h"
#include "cli/output.h"
#include "cli/tables.h"

#include <inttypes.h>

#define NUMBER_ROOM 64

static bool may_be_address(struct span s)
{
    return s.n > 0 && s.p[0] != '<' && memchr(s.p, '@', s.n) != NULL;
}

/* The rows of an address; none, if nothing is known of it. */
static int ask(struct cli *cli, struct rows *rows, struct error *e)
{
    static const char *const names[] = {"limit", "before"};
    char texts[3][NUMBER_ROOM];
    struct span args[4] = {cli->args[0]};
    size_t n = 1;
    struct mailbox box;
    if (mailbox_find(cli, &box, e) == 0) {
        snprintf(texts[0], NUMBER_ROOM, "box=%" PRIu64, box.box);
        args[n++] = span_of(texts[0]);
    } else if (!cli->was_refused) { /* a no: an address elsewhere */
        return -1;
    }
    for (size_t i = 0; i < 2; i++) {
        struct span value = cli_option(cli, names[i]);
        if (value.p == NULL)
            continue;
        snprintf(texts[i + 1], NUMBER_ROOM, "%s=%.*s", names[i], (int)(value.n < 32 ? value.n : 32),
                 value.p);
        args[n++] = span_of(texts[i + 1]);
    }
    struct question q = {
        .process = ROLE_QUEUE, .admin = "trace address", .args = args, .n_args = n};
    return cli_ask(cli, &q, rows, NULL, e);
}

static void say_more(const struct cli *cli, const struct rows *rows)
{
    struct span limit = cli_option(cli, "limit");
    uint64_t most = 20;
    struct column id;
    if (limit.p != NULL && span_u64(limit, &most) < 0)
        return;
    if (!cli->is_json && rows->n >= most && row_find(&rows->list[rows->n - 1], "id", &id))
        fprintf(stderr, "There may be more: --limit N for so many, --before %.*s for older ones.\n",
                (int)id.text.n, id.text.p);
}

int trace_main(struct cli *cli)
{
    struct rows rows = {.n = 0};
    struct error e;
    int status = EXIT_REFUSED;
    if (!may_be_address(cli->args[0]))
        return cli_ask_and_print(cli);
    if (cli_load(cli, &e) < 0 || ask(cli, &rows, &e) < 0) {
        status = cli_fail(cli, "%s", e.text);
    } else if (rows.n == 0 && cli_option(cli, "before").p == NULL) {
        status = cli_ask_and_print(cli); /* a Message-ID without its <> */
    } else {
        status = mailbox_print(cli, &rows, SHAPE_LIST);
        say_more(cli, &rows);
    }
    rows_free(&rows);
    return status;
}
