/* The tables of commands, one for each noun. */
#ifndef BARID_TABLES_H
#define BARID_TABLES_H

#include "cli/cli.h"

struct command_table {
    const struct command *list;
    size_t n;
};
extern const struct command_table *const cli_tables[]; /* main.c; NULL ends them */
extern const struct command_table alias_table, callout_table, domain_table, fetch_table,
    mailbox_table, queue_table, tls_table, user_table;

/* The i-th command of all tables, or NULL. */
const struct command *tables_command(size_t i);
/* The command of exactly these words, or NULL. */
const struct command *tables_find(const char *words);
/* Do commands begin with these words and have more? */
bool tables_go_on(const char *words);

#endif
