#include "cli/args.h"

#include "cli/tables.h"
#include "common/near.h"

struct reading {
    struct cli *cli;
    struct typed *typed;
    int argc, at;
    char **argv;
    bool has_args;     /* the words are complete: what comes are arguments */
    bool after_dashes; /* behind "--" there are only arguments */
};

/* The value of an option: behind '=', or the next argument. NULL: missing. */
static const char *option_value(struct reading *r, const char *inline_value)
{
    if (inline_value != NULL)
        return inline_value;
    return r->at + 1 < r->argc ? r->argv[++r->at] : NULL;
}

int args_own_option(const struct command *c, struct span name)
{
    for (int i = 0; c != NULL && i < CLI_OPTIONS_MAX && c->options[i] != NULL; i++) {
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
    static char words[CLI_OPTIONS_MAX][32]; /* the names without '=', for the nearest */
    struct near near;
    const struct command *c = r->cli->command;
    near_begin(&near, name);
    near_offer(&near, "config");
    near_offer(&near, "json");
    near_offer(&near, "help");
    for (size_t i = 0; c != NULL && i < CLI_OPTIONS_MAX && c->options[i] != NULL; i++) {
        snprintf(words[i], sizeof words[i], "%.*s", (int)strcspn(c->options[i], "="),
                 c->options[i]);
        near_offer(&near, words[i]);
    }
    if (c != NULL && c->secret != SECRET_NONE)
        near_offer(&near, "password-stdin");
    int n = (int)(name.n < 60 ? name.n : 60);
    if (near.best != NULL)
        return cli_wrong_usage(r->cli, "unknown option --%.*s: did you mean --%s?", n, name.p,
                               near.best);
    return cli_wrong_usage(r->cli, "unknown option --%.*s", n, name.p);
}

static int take_own_option(struct reading *r, struct span name, const char *inline_value)
{
    struct cli *cli = r->cli;
    cli->command = tables_find(r->typed->words);
    int i = args_own_option(cli->command, name);
    if (i < 0)
        return unknown_option(r, name);
    const char *known = cli->command->options[i];
    bool has_value = known[strlen(known) - 1] == '=';
    if (!has_value && inline_value != NULL)
        return cli_wrong_usage(cli, "--%s takes no value", known);
    const char *value = has_value ? option_value(r, inline_value) : "yes";
    if (value == NULL)
        return cli_wrong_usage(cli, "--%.*s needs a value", (int)name.n, name.p);
    if (cli->options[i].p != NULL)
        return cli_wrong_usage(cli, "--%.*s is given twice", (int)name.n, name.p);
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
        return cli->config_given != NULL
                   ? EXIT_DONE
                   : cli_wrong_usage(cli, "--config needs the name of a file");
    }
    const struct command *c = tables_find(r->typed->words);
    if (inline_value == NULL && span_eq(name, SPAN("json")))
        cli->is_json = true;
    else if (inline_value == NULL && span_eq(name, SPAN("help")))
        r->typed->wants_help = true;
    else if (inline_value == NULL && span_eq(name, SPAN("version")))
        r->typed->wants_version = true;
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
        int n = snprintf(longer, sizeof longer, "%s%s%s", r->typed->words,
                         *r->typed->words ? " " : "", word);
        bool fits = n > 0 && (size_t)n < sizeof longer && strchr(word, ' ') == NULL;
        if (fits && (tables_find(longer) != NULL || tables_go_on(longer))) {
            snprintf(r->typed->words, sizeof r->typed->words, "%s", longer);
            return EXIT_DONE;
        }
        if (tables_find(r->typed->words) == NULL)
            return help_unknown_command(cli, fits ? longer : word);
        r->has_args = true;
    }
    if (cli->n_args == CLI_ARGS_MAX)
        return cli_wrong_usage(cli, "more than %d arguments: use several commands", CLI_ARGS_MAX);
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
            r->typed->wants_help = true, status = EXIT_DONE;
        else if (!r->after_dashes && strncmp(text, "--", 2) == 0)
            status = take_option(r, text + 2);
        else if (!r->after_dashes && text[0] == '-' && text[1] != '\0')
            status = cli_wrong_usage(r->cli, "unknown option %.60s", text);
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

int args_read(struct cli *cli, int argc, char **argv, struct typed *typed)
{
    struct reading r = {.cli = cli, .typed = typed, .argc = argc, .argv = argv};
    *typed = (struct typed){.words = ""};
    cli->is_json = has_json(argc, argv);
    int status = read_arguments(&r);
    cli->command = tables_find(typed->words);
    return status;
}
