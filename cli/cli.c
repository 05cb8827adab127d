#include "cli/cli.h"

#include "cli/output.h"
#include "cli/tables.h"
#include "cli/text.h"
#include "common/near.h"

#include <sodium.h>
#include <stdarg.h>

#define WORDS_MAX 64

const struct command *cli_command(size_t i)
{
    for (size_t t = 0; cli_tables[t] != NULL; t++) {
        if (i < cli_tables[t]->n)
            return &cli_tables[t]->list[i];
        i -= cli_tables[t]->n;
    }
    return NULL;
}

/* --- saying what is wrong --- */

static void complain(bool is_json, const char *text)
{
    struct buf out;
    buf_init(&out, SIZE_MAX / 4);
    int rc = is_json ? buf_addf(&out, "{\"error\": ") : buf_addf(&out, "barid: ");
    if (rc == 0)
        rc = is_json ? text_json(&out, span_of(text)) : text_terminal(&out, span_of(text));
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

static void print_usage(FILE *to, const struct command *c)
{
    fprintf(to, "usage: barid %s%s%s [--config FILE] [--json]\n", c->words, *c->usage ? " " : "",
            c->usage);
}

static int wrong_usage(const struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int wrong_usage(const struct cli *cli, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    complain(cli->is_json, text);
    if (!cli->is_json && cli->command != NULL)
        print_usage(stderr, cli->command);
    return EXIT_USAGE;
}

/* --- the words of a command --- */

static const struct command *find_command(const char *words)
{
    const struct command *c;
    for (size_t i = 0; (c = cli_command(i)) != NULL; i++)
        if (strcmp(c->words, words) == 0)
            return c;
    return NULL;
}

/* Do commands begin with these words and have more? */
static bool is_beginning(const char *words)
{
    const struct command *c;
    size_t n = strlen(words);
    for (size_t i = 0; (c = cli_command(i)) != NULL; i++)
        if (strncmp(c->words, words, n) == 0 && c->words[n] == ' ')
            return true;
    return false;
}

static int unknown_command(const struct cli *cli, const char *typed)
{
    struct near near;
    const struct command *c;
    near_begin(&near, span_of(typed));
    for (size_t i = 0; (c = cli_command(i)) != NULL; i++)
        if (!c->is_hidden) {
            near_offer(&near, c->words);
            char first[WORDS_MAX];
            struct span rest = span_of(c->words);
            struct span word = span_cut(&rest, ' ');
            if (near.best == NULL && rest.p != NULL && span_copy(first, sizeof first, word) == 0) {
                struct near one;
                near_begin(&one, span_of(typed));
                near_offer(&one, first);
                if (one.best != NULL) {
                    near.best = c->words;
                    near.distance = one.distance + 1;
                }
            }
        }
    if (near.best != NULL)
        return wrong_usage(cli, "unknown command '%.100s': did you mean 'barid %s'?", typed,
                           near.best);
    return wrong_usage(cli, "unknown command '%.100s': see barid help", typed);
}

/* --- reading the command line --- */

struct reading {
    struct cli *cli;
    int argc, at;
    char **argv;
    char words[WORDS_MAX]; /* of the command, as far as they came */
    bool has_args;         /* the words are complete: what comes are arguments */
    bool after_dashes;     /* behind "--" there are only arguments */
    bool wants_help, wants_version;
};

/* The value of an option: behind '=', or the next argument. NULL: missing. */
static const char *option_value(struct reading *r, const char *inline_value)
{
    if (inline_value != NULL)
        return inline_value;
    return r->at + 1 < r->argc ? r->argv[++r->at] : NULL;
}

/* An option of the command itself: -1 if it has none of this name. */
static int own_option(const struct command *c, struct span name)
{
    for (int i = 0; c != NULL && i < 8 && c->options[i] != NULL; i++) {
        struct span known = span_of(c->options[i]);
        if (known.p[known.n - 1] == '=')
            known.n--;
        if (span_eq(known, name))
            return i;
    }
    return -1;
}

static int unknown_option(const struct reading *r, struct span name)
{
    static char words[8][32]; /* the names without '=', for the nearest */
    struct near near;
    const struct command *c = r->cli->command;
    near_begin(&near, name);
    near_offer(&near, "config");
    near_offer(&near, "json");
    near_offer(&near, "help");
    for (size_t i = 0; c != NULL && i < 8 && c->options[i] != NULL; i++) {
        snprintf(words[i], sizeof words[i], "%.*s", (int)strcspn(c->options[i], "="),
                 c->options[i]);
        near_offer(&near, words[i]);
    }
    if (c != NULL && c->secret != SECRET_NONE)
        near_offer(&near, "password-stdin");
    int n = (int)(name.n < 60 ? name.n : 60);
    if (near.best != NULL)
        return wrong_usage(r->cli, "unknown option --%.*s: did you mean --%s?", n, name.p,
                           near.best);
    return wrong_usage(r->cli, "unknown option --%.*s", n, name.p);
}

static int take_own_option(struct reading *r, struct span name, const char *inline_value)
{
    struct cli *cli = r->cli;
    cli->command = find_command(r->words);
    int i = own_option(cli->command, name);
    if (i < 0)
        return unknown_option(r, name);
    const char *known = cli->command->options[i];
    bool has_value = known[strlen(known) - 1] == '=';
    if (!has_value && inline_value != NULL)
        return wrong_usage(cli, "--%s takes no value", known);
    const char *value = has_value ? option_value(r, inline_value) : "yes";
    if (value == NULL)
        return wrong_usage(cli, "--%.*s needs a value", (int)name.n, name.p);
    if (cli->options[i].p != NULL)
        return wrong_usage(cli, "--%.*s is given twice", (int)name.n, name.p);
    cli->options[i] = span_of(value);
    return EXIT_DONE;
}

static int take_option(struct reading *r, const char *text)
{
    struct cli *cli = r->cli;
    const char *equals = strchr(text, '=');
    struct span name = {text, equals != NULL ? (size_t)(equals - text) : strlen(text)};
    const char *inline_value = equals != NULL ? equals + 1 : NULL;
    if (span_eq(name, SPAN("config"))) {
        cli->config_given = option_value(r, inline_value);
        return cli->config_given != NULL ? EXIT_DONE
                                         : wrong_usage(cli, "--config needs the name of a file");
    }
    const struct command *c = find_command(r->words);
    if (inline_value == NULL && span_eq(name, SPAN("json")))
        cli->is_json = true;
    else if (inline_value == NULL && span_eq(name, SPAN("help")))
        r->wants_help = true;
    else if (inline_value == NULL && span_eq(name, SPAN("version")))
        r->wants_version = true;
    else if (inline_value == NULL && c != NULL && c->secret != SECRET_NONE &&
             span_eq(name, SPAN("password-stdin")))
        cli->password_stdin = true;
    else
        return take_own_option(r, name, inline_value);
    return EXIT_DONE;
}

static int take_word(struct reading *r, const char *word)
{
    char longer[WORDS_MAX];
    struct cli *cli = r->cli;
    if (!r->has_args) {
        int n = snprintf(longer, sizeof longer, "%s%s%s", r->words, *r->words ? " " : "", word);
        bool fits = n > 0 && (size_t)n < sizeof longer && strchr(word, ' ') == NULL;
        if (fits && (find_command(longer) != NULL || is_beginning(longer))) {
            snprintf(r->words, sizeof r->words, "%s", longer);
            return EXIT_DONE;
        }
        if (find_command(r->words) == NULL)
            return unknown_command(cli, fits ? longer : word);
        r->has_args = true;
    }
    if (cli->n_args == CLI_ARGS_MAX)
        return wrong_usage(cli, "more than %d arguments: use several commands", CLI_ARGS_MAX);
    cli->args[cli->n_args++] = span_of(word);
    return EXIT_DONE;
}

static int read_arguments(struct reading *r)
{
    for (r->at = 1; r->at < r->argc; r->at++) {
        const char *text = r->argv[r->at];
        int status;
        if (!r->after_dashes && strcmp(text, "--") == 0) {
            r->after_dashes = true;
            continue;
        }
        if (!r->after_dashes && strcmp(text, "-h") == 0)
            r->wants_help = true, status = EXIT_DONE;
        else if (!r->after_dashes && strncmp(text, "--", 2) == 0)
            status = take_option(r, text + 2);
        else if (!r->after_dashes && text[0] == '-' && text[1] != '\0')
            status = wrong_usage(r->cli, "unknown option %.60s", text);
        else
            status = take_word(r, text);
        if (status != EXIT_DONE)
            return status;
    }
    return EXIT_DONE;
}

/* --json counts for errors that come before it in the line too. */
static bool has_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

/* --- help --- */

static void print_commands(FILE *to, const char *beginning)
{
    const struct command *c;
    size_t n = strlen(beginning);
    for (size_t i = 0; (c = cli_command(i)) != NULL; i++) {
        if (c->is_hidden || strncmp(c->words, beginning, n) != 0 ||
            (n > 0 && c->words[n] != ' ' && c->words[n] != '\0'))
            continue;
        fprintf(to, "  barid %s%s%s\n        %s\n", c->words, *c->usage ? " " : "", c->usage,
                c->summary);
    }
}

static int print_help(const char *words)
{
    const struct command *c = find_command(words);
    if (c != NULL && !is_beginning(words)) {
        print_usage(stdout, c);
        printf("%s\n", c->summary);
        return EXIT_DONE;
    }
    printf("usage: barid COMMAND [--config FILE] [--json]\n\n");
    print_commands(stdout, words);
    printf("\nThe configuration is %s/barid/barid.conf, else $BARID_CONFIG; see barid(8).\n",
           SYSCONFDIR);
    return EXIT_DONE;
}

int help_main(struct cli *cli)
{
    char words[WORDS_MAX] = "";
    size_t n = 0;
    for (size_t i = 0; i < cli->n_args && n < sizeof words; i++)
        n += (size_t)snprintf(words + n, sizeof words - n, "%s%.*s", i > 0 ? " " : "",
                              (int)cli->args[i].n, cli->args[i].p);
    if (*words != '\0' && find_command(words) == NULL && !is_beginning(words)) {
        cli->command = NULL;
        return unknown_command(cli, words);
    }
    return print_help(words);
}

/* --- running --- */

struct span cli_option(const struct cli *cli, const char *name)
{
    int i = own_option(cli->command, span_of(name));
    return i < 0 ? (struct span){NULL, 0} : cli->options[i];
}

int cli_load(struct cli *cli, struct error *e)
{
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
    size_t n = 0, ends[8];
    for (; n < cli->n_args; n++)
        args[n] = cli->args[n];
    size_t n_options = 0;
    for (size_t i = 0; i < 8 && cli->command->options[i] != NULL; i++) {
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

static int ask_with_secret(struct cli *cli, struct question *q, struct rows *rows, struct error *e)
{
    struct secret_text secret = {.n = 0};
    if (cli->command->secret != SECRET_NONE && secret_read(cli, &secret, e) < 0) {
        sodium_memzero(&secret, sizeof secret);
        return -1;
    }
    q->secret = (struct span){secret.octets, secret.n};
    int rc = cli_ask(cli, q, rows, NULL, e);
    sodium_memzero(&secret, sizeof secret);
    return rc;
}

/* A command that is a question to a daemon. */
static int ask_and_print(struct cli *cli)
{
    const struct command *c = cli->command;
    struct span args[CLI_ARGS_MAX + 8];
    struct buf octets, out;
    struct rows rows = {.n = 0};
    struct error e;
    buf_init(&octets, SIZE_MAX / 4);
    buf_init(&out, SIZE_MAX / 4);
    struct question q = {.process = c->process,
                         .admin = c->admin != NULL ? c->admin : c->words,
                         .args = args,
                         .n_args = all_arguments(cli, args, &octets)};
    int status = EXIT_REFUSED;
    if (q.n_args == SIZE_MAX)
        cli_fail(cli, "no memory");
    else if (cli_load(cli, &e) < 0 || ask_with_secret(cli, &q, &rows, &e) < 0)
        cli_fail(cli, "%s", e.text);
    else
        status = output_print(cli, &out,
                              cli->is_json ? output_json(&out, &rows, c->shape, c->groups)
                                           : output_table(&out, &rows, c->shape));
    buf_free(&octets);
    rows_free(&rows);
    return status;
}

static int run_command(struct reading *r)
{
    struct cli *cli = r->cli;
    cli->command = find_command(r->words);
    if (r->wants_version) {
        printf("barid %s\n", PACKAGE_VERSION);
        return EXIT_DONE;
    }
    if (r->wants_help)
        return print_help(r->words);
    if (cli->command == NULL) {
        complain(cli->is_json, *r->words ? "this command is not complete" : "a command is missing");
        if (!cli->is_json)
            print_commands(stderr, r->words);
        return EXIT_USAGE;
    }
    if (cli->n_args < cli->command->args_min)
        return wrong_usage(cli, "an argument is missing");
    if (cli->n_args > cli->command->args_max)
        return wrong_usage(cli, "unexpected argument '%.100s'",
                           cli->args[cli->command->args_max].p);
    return cli->command->run != NULL ? cli->command->run(cli) : ask_and_print(cli);
}

int cli_main(int argc, char **argv)
{
    struct cli cli = {.is_json = has_json(argc, argv)};
    struct reading r = {.cli = &cli, .argc = argc, .argv = argv};
    int status = read_arguments(&r);
    if (status == EXIT_DONE)
        status = run_command(&r);
    config_free(cli.config);
    free(cli.text);
    return status;
}
