/* The tables of commands, one for each noun. */
#ifndef BARID_TABLES_H
#define BARID_TABLES_H

#include "cli/cli.h"

struct command_table {
    const struct command *list;
    size_t n;
};
extern const struct command_table *const cli_tables[]; /* NULL ends them */

/* The i-th command of all tables, or NULL. */
const struct command *cli_command(size_t i);

#endif
