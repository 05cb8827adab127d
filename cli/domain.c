/* `barid domain …`: the domains whose mail is delivered here. */
#include "cli/tables.h"

static const struct command commands[] = {
    {.words = "domain add",
     .usage = "NAME [--postmaster ADDRESS]",
     .summary = "make a domain local; with --postmaster also for one that is, to change that",
     .options = {"postmaster="},
     .args_min = 1,
     .args_max = 1,
     .process = ROLE_AUTHD},
    {.words = "domain remove",
     .usage = "NAME",
     .summary = "make it foreign again; its users and aliases must be gone",
     .args_min = 1,
     .args_max = 1,
     .process = ROLE_AUTHD},
    {.words = "domain show",
     .usage = "NAME",
     .summary = "one domain, and how long mail stays in its mailboxes; the daemons must be running",
     .args_min = 1,
     .args_max = 1,
     .run = domain_show_main},
    {.words = "domain retention",
     .usage = "NAME TIME|none|default",
     .summary = "how long mail stays in the mailboxes of this domain whose users have no retention "
                "of their own; the daemons must be running",
     .args_min = 2,
     .args_max = 2,
     .run = domain_retention_main},
    {.words = "domain list",
     .usage = "",
     .summary = "local domains and their postmasters",
     .process = ROLE_AUTHD,
     .shape = SHAPE_LIST},
};

const struct command_table domain_table = {commands, sizeof commands / sizeof *commands};
