/* Reading the command line: the words of a command, its arguments, and options, which may stand
 * anywhere. A small fixed set of options; an unknown one is an error; "--" ends them. */
#ifndef BARID_ARGS_H
#define BARID_ARGS_H

#include "cli/help.h"

struct typed {
    char words[WORDS_MAX]; /* of the command, as far as they came */
    bool wants_help, wants_version;
};

/* Fills in cli's command, arguments and options. EXIT_DONE, or EXIT_USAGE (said). */
int args_read(struct cli *cli, int argc, char **argv, struct typed *typed);
/* Which of c's own options has this name (without --), or -1. c may be NULL. */
int args_own_option(const struct command *c, struct span name);

#endif
