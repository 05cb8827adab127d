#include "cli/help.h"

#include "cli/tables.h"
#include "common/near.h"

void help_usage(FILE *to, const struct command *c)
{
    fprintf(to, "usage: barid %s%s%s [--config FILE] [--json]\n", c->words, *c->usage ? " " : "",
            c->usage);
}

/* Offers a command by all its words, and (one farther) by its first one: "usr" for "user add". */
static void offer_command(struct near *all, struct near *first, const struct command *c)
{
    char word[WORDS_MAX];
    struct span rest = span_of(c->words);
    const char *before = first->best;
    near_offer(all, c->words);
    if (span_copy(word, sizeof word, span_cut(&rest, ' ')) < 0)
        return;
    near_offer(first, word);
    if (first->best != before)
        first->best = c->words;
}

int help_unknown_command(struct cli *cli, const char *typed)
{
    struct near all, first;
    const struct command *c;
    near_begin(&all, span_of(typed));
    near_begin(&first, span_of(typed));
    for (size_t i = 0; (c = tables_command(i)) != NULL; i++)
        if (!c->is_hidden)
            offer_command(&all, &first, c);
    const char *best = all.best != NULL ? all.best : first.best;
    cli->command = NULL;
    if (best == NULL)
        return cli_wrong_usage(cli, "unknown command '%.100s': see barid help", typed);
    return cli_wrong_usage(cli, "unknown command '%.100s': did you mean 'barid %s'?", typed, best);
}

void help_commands(FILE *to, const char *beginning)
{
    const struct command *c;
    size_t n = strlen(beginning);
    for (size_t i = 0; (c = tables_command(i)) != NULL; i++) {
        if (c->is_hidden || strncmp(c->words, beginning, n) != 0 ||
            (n > 0 && c->words[n] != ' ' && c->words[n] != '\0'))
            continue;
        fprintf(to, "  barid %s%s%s\n        %s\n", c->words, *c->usage ? " " : "", c->usage,
                c->summary);
    }
}

int help_print(const char *words)
{
    const struct command *c = tables_find(words);
    if (c != NULL && !tables_go_on(words)) {
        help_usage(stdout, c);
        printf("%s\n", c->summary);
        return EXIT_DONE;
    }
    printf("usage: barid COMMAND [--config FILE] [--json]\n\n");
    help_commands(stdout, words);
    printf("\nThe configuration is %s/barid/barid.conf, else $BARID_CONFIG; see barid(8).\n",
           SYSCONFDIR);
    return EXIT_DONE;
}

int help_main(struct cli *cli)
{
    char words[WORDS_MAX] = "";
    for (size_t i = 0; i < cli->n_args; i++) {
        size_t n = strlen(words);
        snprintf(words + n, sizeof words - n, "%s%.*s", i > 0 ? " " : "", (int)cli->args[i].n,
                 cli->args[i].p);
    }
    if (*words != '\0' && tables_find(words) == NULL && !tables_go_on(words)) {
        return help_unknown_command(cli, words);
    }
    return help_print(words);
}
