/* `barid queue …`: the queue process answers all of it. */
#include "cli/args.h"
#include "cli/mailbox.h"
#include "cli/tables.h"

#define IDS_MAX 50
#define CHOICE                                                                                     \
    "[ID...] [--from A] [--to A] [--domain D] [--login USER] [--state S] [--older TIME] "          \
    "[--larger SIZE] [--contained]"
#define CHOICE_OPTIONS                                                                             \
    "from=", "to=", "domain=", "login=", "state=", "older=", "larger=", "contained"
#define CHANGE CHOICE " [--dry-run]"
#define CHANGE_OPTIONS                                                                             \
    {                                                                                              \
        CHOICE_OPTIONS, "dry-run", NULL                                                            \
    }

/* A person looks at a list; a program wants all of it. */
static int queue_list(struct cli *cli)
{
    int i = args_own_option(cli->command, SPAN("recipients"));
    if (!cli->is_json && i >= 0 && cli->options[i].p == NULL)
        cli->options[i] = SPAN("10");
    return cli_ask_and_print(cli);
}

static bool has_filter(const struct cli *cli)
{
    static const char *const filters[] = {CHOICE_OPTIONS};
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        struct span name = {filters[i], strcspn(filters[i], "=")};
        int at = args_own_option(cli->command, name);
        if (at >= 0 && cli->options[at].p != NULL)
            return true;
    }
    return false;
}

/* The whole queue is never meant by leaving out what is. */
static int name_some(const struct cli *cli)
{
    if (cli->n_args > 0 || has_filter(cli))
        return EXIT_DONE;
    return cli_wrong_usage(cli, "which messages? Name an id, or a filter like --from, --to, "
                                "--domain, --login, --state, --contained, --older, --larger");
}

static int queue_change(struct cli *cli)
{
    int wrong = name_some(cli);
    return wrong != EXIT_DONE ? wrong : cli_ask_and_print(cli);
}

/* The one message that is named by its id, or a list of all that are meant. */
static int queue_show(struct cli *cli)
{
    struct command several = *cli->command;
    const struct command *typed = cli->command;
    int status = name_some(cli);
    if (status != EXIT_DONE)
        return status;
    several.shape = SHAPE_LIST;
    if (cli->n_args != 1 || has_filter(cli))
        cli->command = &several;
    status = cli_ask_and_print(cli);
    cli->command = typed;
    return status;
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
     .options = {CHOICE_OPTIONS, "limit=", "recipients=", NULL},
     .process = ROLE_QUEUE,
     .shape = SHAPE_LIST,
     .groups = {"recipients", NULL}},
    {.words = "queue show",
     .run = queue_show,
     .usage = CHOICE,
     .summary = "one message with all its recipients; several, or what a filter finds, as a list",
     .options = {CHOICE_OPTIONS, NULL},
     .args_max = IDS_MAX,
     .process = ROLE_QUEUE,
     .shape = SHAPE_OBJECT,
     .groups = {"recipients", NULL}},
    {.words = "queue retry",
     .run = queue_change,
     .usage = CHANGE,
     .summary = "try it now instead of later",
     .options = CHANGE_OPTIONS,
     .args_max = IDS_MAX,
     .process = ROLE_QUEUE,
     .shape = SHAPE_LIST},
    {.words = "queue hold",
     .run = queue_change,
     .usage = CHANGE,
     .summary = "do not try it until it is released or expires",
     .options = CHANGE_OPTIONS,
     .args_max = IDS_MAX,
     .process = ROLE_QUEUE,
     .shape = SHAPE_LIST},
    {.words = "queue release",
     .run = queue_change,
     .usage = CHANGE,
     .summary = "try again what was held",
     .options = CHANGE_OPTIONS,
     .args_max = IDS_MAX,
     .process = ROLE_QUEUE,
     .shape = SHAPE_LIST},
    {.words = "queue bounce",
     .run = queue_change,
     .usage = CHANGE,
     .summary = "give it up and tell the sender",
     .options = CHANGE_OPTIONS,
     .args_max = IDS_MAX,
     .process = ROLE_QUEUE,
     .shape = SHAPE_LIST},
    {.words = "queue remove",
     .run = queue_change,
     .usage = CHANGE,
     .summary = "remove it; nobody is told",
     .options = CHANGE_OPTIONS,
     .args_max = IDS_MAX,
     .process = ROLE_QUEUE,
     .shape = SHAPE_LIST},
};

const struct command_table queue_table = {list, sizeof list / sizeof *list};
