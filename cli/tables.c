#include "cli/tables.h"

const struct command *tables_command(size_t i)
{
    for (size_t t = 0; cli_tables[t] != NULL; t++) {
        if (i < cli_tables[t]->n)
            return &cli_tables[t]->list[i];
        i -= cli_tables[t]->n;
    }
    return NULL;
}

const struct command *tables_find(const char *words)
{
    const struct command *c;
    for (size_t i = 0; (c = tables_command(i)) != NULL; i++)
        if (strcmp(c->words, words) == 0)
            return c;
    return NULL;
}

bool tables_go_on(const char *words)
{
    const struct command *c;
    size_t n = strlen(words);
    for (size_t i = 0; (c = tables_command(i)) != NULL; i++)
        if (strncmp(c->words, words, n) == 0 && c->words[n] == ' ')
            return true;
    return false;
}
