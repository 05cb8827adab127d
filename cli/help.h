/* What is said about commands: usage and help come from the tables. */
#ifndef BARID_HELP_H
#define BARID_HELP_H

#include "cli/cli.h"

#define WORDS_MAX 64 /* of a command, with spaces between them */

void help_usage(FILE *to, const struct command *c);
/* The commands that begin with these words ("": all), one line of usage and one of meaning each. */
void help_commands(FILE *to, const char *beginning);
/* --help and `barid help`. An exit status. */
int help_print(const char *words);
/* Says so, with the nearest one. An exit status. */
int help_unknown_command(struct cli *cli, const char *typed);

#endif
