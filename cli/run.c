/* `barid run`: the configuration must be right before anything starts, then the parent takes the
 * place of this process, so that signals and the exit status are its own. */
#include "cli/cli.h"

#include "cli/check_tls.h"
#include "common/spawn.h"

#include <errno.h>
#include <limits.h>

static int refuse(const struct cli *cli, const struct config_problems *p)
{
    for (size_t i = 0; i < p->n && !cli->is_json; i++)
        fprintf(stderr, "%s:%zu: %s%s\n", cli->config_file, p->list[i].line,
                p->list[i].is_warning ? "warning: " : "", p->list[i].text);
    return cli_fail(cli, "%s has errors, nothing was started: 'barid check' lists them",
                    cli->config_file);
}

static int become_parent(const struct cli *cli)
{
    char dir[PATH_MAX], program[PATH_MAX + 16], file[PATH_MAX];
    struct error e;
    if (spawn_libexec(dir, sizeof dir, &e) < 0)
        return cli_fail(cli, "%s", e.text);
    /* A reload must find the file again, wherever the parent's directory is then. */
    if (realpath(cli->config_file, file) == NULL)
        return cli_fail(cli, "cannot find %s: %s", cli->config_file, strerror(errno));
    snprintf(program, sizeof program, "%s/parent", dir);
    execl(program, "barid", "--config", file, cli->is_json ? "--json" : (char *)NULL, (char *)NULL);
    return cli_fail(cli, "cannot start %s: %s: install all of barid", program, strerror(errno));
}

int run_main(struct cli *cli)
{
    struct error e;
    struct config_problems problems;
    cli->config_file = config_path(cli->config_given);
    cli->text = config_read(cli->config_file, &cli->text_n, &e);
    if (cli->text == NULL)
        return cli_fail(cli, "%s", e.text);
    cli->config = config_parse((struct span){cli->text, cli->text_n}, cli->config_file, &problems);
    if (cli->config != NULL)
        check_tls_usable(cli->config, &problems);
    /* Warnings are the parent's to say, or they would come twice. */
    int status = cli->config == NULL || problems.n_errors > 0 ? refuse(cli, &problems) : EXIT_DONE;
    config_problems_free(&problems);
    return status == EXIT_DONE ? become_parent(cli) : status;
}
