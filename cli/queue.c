/* `barid queue …`: the queue process answers all of it. */
#include "cli/args.h"
#include "cli/mailbox.h"
#include "cli/tables.h"

#define IDS_MAX 50
#define FILTER                                                                                     \
    "[ID...] [--from A] [--to A] [--domain D] [--login USER] [--state S] [--older TIME] "          \
    "[--larger SIZE] [--contained] [--dry-run]"
#define FILTER_OPTIONS                                                                             \
    {                                                                                              \
        "from=", "to=", "domain=", "login=", "state=", "older=", "larger=", "contained",           \
            "dry-run", NULL                                                                        \
    }

/* A person looks at a list; a program wants all of it. */
static int queue_list(struct cli *cli)
{
    int i = args_own_option(cli->command, SPAN("recipients"));
    if (!cli->is_json && i >= 0 && cli->options[i].p == NULL)
        cli->options[i] = SPAN("10");
    return cli_ask_and_print(cli);
}

static const struct command list[] = {
    {.words = "trace",
     .run = trace_main,
     .usage = "ID|MESSAGE-ID|ADDRESS [--limit N] [--before ID]",
     .summary =
         "the life of one message: arrival, recipients, attempts and what was said, mailboxes and "
         "who retrieved or deleted it there, end; of an address: the messages from it and to it, "
         "the newest first, 20 or as many as --limit says (200 at most), --before ID for older "
         "ones",
     .options = {"limit=", "before=", NULL},
     .args_min = 1,
     .args_max = 1,
     .process = ROLE_QUEUE,
     .shape = SHAPE_OBJECT,
     .groups = {"recipients", "events", "attempts", "dialogue", "mailboxes", NULL}},
    {.words = "queue list",
     .run = queue_list,
     .usage = "[--from A] [--to A] [--domain D] [--login USER] [--state S] [--older TIME] "
              "[--larger SIZE] [--contained] [--limit N] [--recipients N]",
     .summary =
         "messages on their way to other servers; \"<>\" is the null sender, @D a domain, uid:N a "
         "user of the submit socket; --contained: what is held as its sender sent too much. "
         "Of the recipients of each 10 are shown, with --json all, or as many as are asked "
         "for; queue show has all",
     .options = {"from=", "to=", "domain=", "login=", "state=", "older=", "larger=", "contained",
                 "limit=", "recipients=", NULL},
     .process = ROLE_QUEUE,
     .shape = SHAPE_LIST,
     .groups = {"recipients", NULL}},
    {.words = "queue show",
     .usage = "ID",
     .summary = "one message with its recipients",
     .args_min = 1,
     .args_max = 1,
     .process = ROLE_QUEUE,
     .shape = SHAPE_OBJECT,
     .groups = {"recipients", NULL}},
    {.words = "queue retry",
     .usage = FILTER,
     .summary = "try it now instead of later",
     .options = FILTER_OPTIONS,
     .args_max = IDS_MAX,
     .process = ROLE_QUEUE,
     .shape = SHAPE_LIST},
    {.words = "queue hold",
     .usage = FILTER,
     .summary = "do not try it until it is released or expires",
     .options = FILTER_OPTIONS,
     .args_max = IDS_MAX,
     .process = ROLE_QUEUE,
     .shape = SHAPE_LIST},
    {.words = "queue release",
     .usage = FILTER,
     .summary = "try again what was held",
     .options = FILTER_OPTIONS,
     .args_max = IDS_MAX,
     .process = ROLE_QUEUE,
     .shape = SHAPE_LIST},
    {.words = "queue bounce",
     .usage = FILTER,
     .summary = "give it up and tell the sender",
     .options = FILTER_OPTIONS,
     .args_max = IDS_MAX,
     .process = ROLE_QUEUE,
     .shape = SHAPE_LIST},
    {.words = "queue remove",
     .usage = FILTER,
     .summary = "remove it; nobody is told",
     .options = FILTER_OPTIONS,
     .args_max = IDS_MAX,
     .process = ROLE_QUEUE,
     .shape = SHAPE_LIST},
};

const struct command_table queue_table = {list, sizeof list / sizeof *list};
