/* The options of sendmail: those that Sendmail and Postfix know. */
#include "cli/sendmail.h"

#include <string.h>

enum effect {
    IGNORED,
    REFUSED,
    FROM,
    NAME,
    READ_RCPTS,
    IGNORE_DOTS,
    VERBOSE,
    MODE,
    ALIASES,
    NOTIFY,
    RETURN,
    ENVELOPE_ID,
    RETRY,
    SHORT_OPTION, /* -oi */
    LONG_OPTION,  /* -O IgnoreDots=yes */
};

enum argument {
    NO_ARGUMENT,
    ARGUMENT, /* behind it, or the next word */
    ATTACHED, /* behind it, or none */
};

static const struct option {
    char letter;
    enum argument argument;
    enum effect effect;
} options[] = {
    {'A', ATTACHED, IGNORED}, /* -Ac: which of Sendmail's configurations */
    {'B', ARGUMENT, IGNORED}, /* the server finds out itself whether there are 8-bit octets */
    {'b', ARGUMENT, MODE},           {'C', ARGUMENT, REFUSED},     {'d', ATTACHED, IGNORED},
    {'e', ATTACHED, IGNORED}, /* how errors are reported: on stderr and by the exit status */
    {'E', NO_ARGUMENT, IGNORED},     {'F', ARGUMENT, NAME},        {'f', ARGUMENT, FROM},
    {'G', NO_ARGUMENT, IGNORED},     {'h', ARGUMENT, IGNORED},     {'I', NO_ARGUMENT, ALIASES},
    {'i', NO_ARGUMENT, IGNORE_DOTS}, {'L', ARGUMENT, IGNORED},     {'m', NO_ARGUMENT, IGNORED},
    {'N', ARGUMENT, NOTIFY},         {'n', NO_ARGUMENT, IGNORED},  {'O', ARGUMENT, LONG_OPTION},
    {'o', ARGUMENT, SHORT_OPTION},   {'p', ARGUMENT, IGNORED},     {'q', ATTACHED, RETRY},
    {'R', ARGUMENT, RETURN},         {'r', ARGUMENT, FROM},        {'t', NO_ARGUMENT, READ_RCPTS},
    {'U', NO_ARGUMENT, IGNORED},     {'V', ARGUMENT, ENVELOPE_ID}, {'v', NO_ARGUMENT, VERBOSE},
    {'X', ARGUMENT, REFUSED},
};

static const struct option *find(char letter)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (options[i].letter == letter)
            return &options[i];
    return NULL;
}

static int take_mode(struct sendmail *s, const char *mode, struct error *e)
{
    static const struct {
        char letter;
        enum sendmail_mode mode;
    } modes[] = {{'m', SENDMAIL_MESSAGE},
                 {'s', SENDMAIL_SMTP},
                 {'p', SENDMAIL_LIST},
                 {'i', SENDMAIL_ALIASES},
                 {'a', SENDMAIL_MESSAGE}};
    for (size_t i = 0; mode[0] != '\0' && mode[1] == '\0' && i < sizeof modes / sizeof modes[0];
         i++)
        if (modes[i].letter == mode[0]) {
            s->mode = modes[i].mode;
            return 0;
        }
    if (strcmp(mode, "v") == 0 || strcmp(mode, "t") == 0)
        return error_set(e,
                         "-b%s: addresses are not tried here, they are checked when a message "
                         "is sent",
                         mode);
    if (strcmp(mode, "d") == 0 || strcmp(mode, "D") == 0)
        return error_set(e, "-b%s: the daemons are started by 'barid run'", mode);
    return error_set(e, "-b%.20s: there is no such mode", mode);
}

/* -q, -q30m, -Rdomain behind -q, -qIid. */
static int take_retry(struct sendmail *s, const char *what, struct error *e)
{
    s->mode = SENDMAIL_RETRY;
    if (what[0] == 'R' && what[1] != '\0')
        s->retry_domain = what + 1 + (what[1] == '@');
    else if (what[0] == 'I' && what[1] != '\0')
        s->retry_id = what + 1;
    else if (what[0] != '\0' && (what[0] < '0' || what[0] > '9') && strcmp(what, "f") != 0)
        return error_set(e, "-q%.40s: only -q, -qRDOMAIN and -qIID", what);
    return 0;
}

static bool is_yes(const char *value)
{
    return strchr("tTyY1", value[0]) != NULL; /* also no value at all */
}

static void take_long_option(struct sendmail *s, const char *text)
{
    const char *equals = strchr(text, '=');
    size_t n = equals != NULL ? (size_t)(equals - text) : strlen(text);
    if (n == 10 && strncasecmp(text, "IgnoreDots", n) == 0)
        s->ignores_dots = is_yes(equals != NULL ? equals + 1 : "");
}

static int apply(struct sendmail *s, const struct option *o, const char *value, struct error *e)
{
    switch (o->effect) {
    case IGNORED:
        return 0;
    case REFUSED:
        return error_set(e, "-%c names a file, and that is not allowed", o->letter);
    case FROM:
        s->from = value;
        return 0;
    case NAME:
        s->full_name = value;
        return 0;
    case READ_RCPTS:
        s->reads_rcpts = true;
        return 0;
    case IGNORE_DOTS:
        s->ignores_dots = true;
        return 0;
    case VERBOSE:
        s->is_verbose = true;
        return 0;
    case MODE:
        return take_mode(s, value, e);
    case ALIASES:
        s->mode = SENDMAIL_ALIASES;
        return 0;
    case NOTIFY:
        s->notify = value;
        return 0;
    case RETURN:
        s->ret = value;
        return 0;
    case ENVELOPE_ID:
        s->envid = value;
        return 0;
    case RETRY:
        return take_retry(s, value, e);
    case SHORT_OPTION:
        if (value[0] == 'i' || value[0] == 'v')
            *(value[0] == 'i' ? &s->ignores_dots : &s->is_verbose) = is_yes(value + 1);
        return 0;
    case LONG_OPTION:
        take_long_option(s, value);
        return 0;
    }
    return 0;
}

/* The letters of one word, "-ti" or "-fsender". */
static int take_word(struct sendmail *s, int argc, char **argv, int *at, struct error *e)
{
    for (const char *p = argv[*at] + 1; *p != '\0'; p++) {
        const struct option *o = find(*p);
        const char *value = "";
        if (o == NULL)
            return error_set(e, "unknown option -%.40s", p);
        bool has_rest = p[1] != '\0';
        if (o->argument == ARGUMENT && !has_rest && *at + 1 >= argc)
            return error_set(e, "-%c needs a value", o->letter);
        if (o->argument == ARGUMENT && !has_rest)
            value = argv[++*at];
        else if (o->argument != NO_ARGUMENT)
            value = p + 1;
        if (apply(s, o, value, e) < 0)
            return -1;
        if (o->argument != NO_ARGUMENT)
            return 0;
    }
    return 0;
}

/* --NAME VALUE and --NAME=VALUE: 1 if it was one of these, 0, or -1. */
static int take_long(struct sendmail *s, int argc, char **argv, int *at, struct error *e)
{
    const struct {
        const char *name;
        const char **to;
        bool is_known;
    } known[] = {{"--config", &s->config_given, s->takes_config},
                 {"--hold-for", &s->hold_for, true},
                 {"--hold-until", &s->hold_until, true}};
    const char *text = argv[*at];
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t n = strlen(known[i].name);
        if (!known[i].is_known || strncmp(text, known[i].name, n) != 0 ||
            (text[n] && text[n] != '='))
            continue;
        if (text[n] != '=' && *at + 1 >= argc)
            return error_set(e, "%s needs a value", known[i].name);
        *known[i].to = text[n] == '=' ? text + n + 1 : argv[++*at];
        return 1;
    }
    return 0;
}

/* Options may stand behind recipients too, as the C library lets them for other programs. The
 * recipients are moved to the front of argv. */
int sendmail_args(struct sendmail *s, int argc, char **argv, struct error *e)
{
    bool after_dashes = false;
    s->rcpts = argv;
    s->n_rcpts = 0;
    for (int i = 1; i < argc; i++) {
        int taken = after_dashes ? 0 : take_long(s, argc, argv, &i, e);
        if (taken < 0)
            return -1;
        if (taken > 0)
            continue;
        if (!after_dashes && strcmp(argv[i], "--") == 0)
            after_dashes = true;
        else if (!after_dashes && argv[i][0] == '-' && argv[i][1] != '\0') {
            if (take_word(s, argc, argv, &i, e) < 0)
                return -1;
        } else
            argv[s->n_rcpts++] = argv[i];
    }
    return 0;
}
