/* `barid callout …`: the queue process answers all of it. */
#include "cli/tables.h"

static const struct command commands[] = {
    {.words = "callout list",
     .usage = "[--domain D]",
     .summary = "what other hosts said about recipients of domains that this one is a backup for "
                "([route] callout): whether the address exists, when that was said, and when it "
                "is forgotten",
     .options = {"domain=", NULL},
     .process = ROLE_QUEUE,
     .shape = SHAPE_LIST},
    {.words = "callout forget",
     .usage = "ADDRESS|@DOMAIN",
     .summary = "forget what was said about an address, or about all of a domain: it is asked "
                "again when mail comes",
     .args_min = 1,
     .args_max = 1,
     .process = ROLE_QUEUE,
     .shape = SHAPE_OBJECT},
};

const struct command_table callout_table = {commands, sizeof commands / sizeof *commands};
