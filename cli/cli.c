#include "cli/cli.h"

#include "cli/args.h"
#include "cli/help.h"
#include "cli/output.h"
#include "cli/tables.h"
#include "cli/text.h"
#include "common/json.h"
#include "common/spawn.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>

/* --- saying what is wrong --- */

static void complain(bool is_json, const char *text)
{
    struct buf out;
    buf_init(&out, SIZE_MAX / 4);
    int rc = is_json ? buf_addf(&out, "{\"error\": ") : buf_addf(&out, "barid: ");
    if (rc == 0)
        rc = is_json ? json_string(&out, span_of(text)) : text_terminal(&out, span_of(text));
    if (rc == 0 && buf_addf(&out, is_json ? "}\n" : "\n") == 0)
        fwrite(buf_span(&out).p, 1, buf_span(&out).n, stderr);
    else
        fputs("barid: no memory\n", stderr);
    buf_free(&out);
}

int cli_fail(const struct cli *cli, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    complain(cli->is_json, text);
    return EXIT_REFUSED;
}

int cli_wrong_usage(const struct cli *cli, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    complain(cli->is_json, text);
    if (!cli->is_json && cli->command != NULL)
        help_usage(stderr, cli->command);
    return EXIT_USAGE;
}

/* --- what commands use --- */

struct span cli_option(const struct cli *cli, const char *name)
{
    int i = args_own_option(cli->command, span_of(name));
    return i < 0 ? (struct span){NULL, 0} : cli->options[i];
}

int cli_load(struct cli *cli, struct error *e)
{
    if (cli->config != NULL)
        return 0;
    cli->config_file = config_path(cli->config_given);
    cli->text = config_read(cli->config_file, &cli->text_n, e);
    if (cli->text == NULL)
        return -1;
    struct config_problems problems;
    cli->config = config_parse((struct span){cli->text, cli->text_n}, cli->config_file, &problems);
    if (cli->config == NULL)
        error_set(e, "%s has errors: 'barid check' lists them", cli->config_file);
    config_problems_free(&problems);
    return cli->config != NULL ? 0 : -1;
}

/* The arguments of the question: what was typed, then the options. */
static size_t all_arguments(const struct cli *cli, struct span *args, struct buf *octets)
{
    size_t n = 0, ends[CLI_OPTIONS_MAX];
    for (; n < cli->n_args; n++)
        args[n] = cli->args[n];
    size_t n_options = 0;
    for (size_t i = 0; i < CLI_OPTIONS_MAX && cli->command->options[i] != NULL; i++) {
        if (cli->options[i].p == NULL)
            continue;
        const char *name = cli->command->options[i];
        if (buf_addf(octets, "%.*s=%s", (int)strcspn(name, "="), name, cli->options[i].p) < 0)
            return SIZE_MAX;
        ends[n_options++] = octets->end;
    }
    for (size_t i = 0, from = octets->at; i < n_options; from = ends[i++])
        args[n++] = (struct span){octets->p + from, ends[i] - from};
    return n;
}

static bool wants_secret(const struct cli *cli)
{
    const struct command *c = cli->command;
    return c->secret != SECRET_NONE &&
           (c->secret_unless == NULL || cli_option(cli, c->secret_unless).p == NULL);
}

static int ask_with_secret(struct cli *cli, struct question *q, struct rows *rows, struct error *e)
{
    struct secret_text secret = {.n = 0};
    if (wants_secret(cli) && secret_read(cli, &secret, e) < 0) {
        sodium_memzero(&secret, sizeof secret);
        return -1;
    }
    q->secret = (struct span){secret.octets, secret.n};
    int rc = cli_ask(cli, q, rows, NULL, e);
    sodium_memzero(&secret, sizeof secret);
    return rc;
}

/* --limit N; 0: not given. */
static uint64_t limit_of(const struct cli *cli)
{
    uint64_t limit = 0;
    struct span wanted = cli_option(cli, "limit");
    return wanted.p != NULL && span_u64(wanted, &limit) == 0 ? limit : 0;
}

int cli_ask_and_print(struct cli *cli)
{
    const struct command *c = cli->command;
    if (!wants_secret(cli) && cli->password_stdin)
        return cli_wrong_usage(cli, "--password-stdin and --%s exclude each other",
                               c->secret_unless != NULL ? c->secret_unless : "json");
    if (c->secret == SECRET_REQUIRED && wants_secret(cli) && !cli->password_stdin &&
        !isatty(STDIN_FILENO))
        return cli_wrong_usage(cli, "there is no terminal to ask for the password on: give it with "
                                    "--password-stdin");
    struct span args[CLI_ARGS_MAX + CLI_OPTIONS_MAX];
    struct buf octets, out;
    struct rows rows = {.n = 0};
    struct error e;
    buf_init(&octets, SIZE_MAX / 4);
    buf_init(&out, SIZE_MAX / 4);
    struct question q = {.process = c->process,
                         .admin = c->admin != NULL ? c->admin : c->words,
                         .args = args,
                         .n_args = all_arguments(cli, args, &octets),
                         .limit = limit_of(cli)};
    int status = EXIT_REFUSED;
    if (q.n_args == SIZE_MAX) {
        cli_fail(cli, "no memory");
    } else if (cli_load(cli, &e) < 0 || ask_with_secret(cli, &q, &rows, &e) < 0) {
        cli_fail(cli, "%s", e.text);
    } else {
        if (q.limit > 0) /* the last page may hold more than was wanted */
            rows_cut(&rows, q.limit);
        status = output_print(cli, &out,
                              cli->is_json ? output_json(&out, &rows, c->shape, c->groups)
                                           : output_table(&out, &rows, c->shape));
    }
    buf_free(&octets);
    rows_free(&rows);
    return status;
}

static int run_command(struct cli *cli, const struct typed *typed)
{
    cli->command = tables_find(typed->words);
    if (typed->wants_version) {
        printf("barid %s\n", PACKAGE_VERSION);
        return EXIT_DONE;
    }
    if (typed->wants_help)
        return help_print(typed->words);
    if (cli->command == NULL) {
        cli_wrong_usage(cli,
                        *typed->words ? "'barid %s' is not complete" : "a command is missing%s",
                        typed->words);
        if (!cli->is_json)
            help_commands(stderr, typed->words);
        return EXIT_USAGE;
    }
    if (cli->n_args < cli->command->args_min)
        return cli_wrong_usage(cli, "an argument is missing");
    if (cli->n_args > cli->command->args_max)
        return cli_wrong_usage(cli, "unexpected argument '%.100s'",
                               cli->args[cli->command->args_max].p);
    return cli->command->run != NULL ? cli->command->run(cli) : cli_ask_and_print(cli);
}

int cli_main(int argc, char **argv)
{
    struct cli cli = {.command = NULL};
    struct typed typed;
    spawn_fill_standard();
    int status = args_read(&cli, argc, argv, &typed);
    if (status == EXIT_DONE)
        status = run_command(&cli, &typed);
    if (fflush(stdout) != 0 && status == EXIT_DONE)
        status = cli_fail(&cli, "cannot write the answer: %s", strerror(errno));
    config_free(cli.config);
    free(cli.text);
    return status;
}
