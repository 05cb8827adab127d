/* `barid alias …`: addresses that lead to others. "@example.org" is the catch-all of a domain. */
#include "cli/tables.h"

static const struct command commands[] = {
    {.words = "alias add",
     .usage = "ADDRESS TARGET…",
     .summary = "send its mail to the targets, local or remote; adds to those it has",
     .args_min = 2,
     .args_max = CLI_ARGS_MAX,
     .process = ROLE_AUTHD},
    {.words = "alias post",
     .usage = "ADDRESS anyone|members|users",
     .summary =
         "who may send to it: anyone, those it leads to, or users of this host. Unless it is "
         "anyone, no report reaches it, so it is no address to send from",
     .args_min = 2,
     .args_max = 2,
     .process = ROLE_AUTHD},
    {.words = "alias remove",
     .usage = "ADDRESS [TARGET…]",
     .summary = "remove these targets, or the whole alias",
     .args_min = 1,
     .args_max = CLI_ARGS_MAX,
     .process = ROLE_AUTHD},
    {.words = "alias list",
     .usage = "",
     .summary = "all aliases and their targets",
     .process = ROLE_AUTHD,
     .shape = SHAPE_LIST,
     .groups = {"targets"}},
};

const struct command_table alias_table = {commands, sizeof commands / sizeof *commands};
