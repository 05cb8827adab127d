/* The command `barid`. A command is a row: words, usage, and either a function or the process that
 * answers it (then asking and printing are done here, see cli_ask). Who adds a command adds a row
 * to the table of its noun (user.c, queue.c, …) and nothing else.
 *
 * Trusts the administrator who types; what daemons send back (addresses, replies of remote servers)
 * is printed only through text.h. */
#ifndef BARID_CLI_H
#define BARID_CLI_H

#include "cli/rows.h"
#include "common/config.h"
#include "common/error.h"
#include "common/proto.h"

#define CLI_ARGS_MAX    60
#define CLI_OPTIONS_MAX 32

enum exit_status { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

/* How rows become a document: an array of the rows of depth 0, or the one row as an object (without
 * any row: nothing, or {}). Rows of depth 1 go into the array of their group in both. */
enum shape { SHAPE_LIST, SHAPE_OBJECT };

enum secret {
    SECRET_NONE,
    SECRET_OPTIONAL, /* a password by --password-stdin, or asked for on a terminal; may be left out
                      */
    SECRET_REQUIRED,
};

struct cli;

struct command {
    const char *words;   /* "user add" */
    const char *usage;   /* what follows: "ADDRESS [--quota SIZE]", or "" */
    const char *summary; /* for help, one line */
    /* Its own options, without --; one that ends in '=' takes a value. At most CLI_OPTIONS_MAX,
     * NULL ends them. They travel to the daemon as "name=value" (a flag as "name=yes") behind the
     * other arguments.
     */
    const char *options[CLI_OPTIONS_MAX + 1];
    size_t args_min, args_max;
    bool is_hidden; /* not in the list of help */

    /* NULL: ask `process` for `admin` (NULL: the words) and print what comes. Else returns an exit
     * status. */
    int (*run)(struct cli *cli);
    enum role process;
    const char *admin;
    enum shape shape;
    const char *groups[6]; /* arrays that are there even if they are empty; NULL ends them */
    enum secret secret;
    const char *secret_unless; /* an option that makes it needless; or NULL */
};

/* What was typed, and what it needs. */
struct cli {
    const struct command *command;
    const char *config_given; /* --config, or NULL */
    bool is_json;
    struct span args[CLI_ARGS_MAX]; /* without options */
    size_t n_args;
    struct span options[CLI_OPTIONS_MAX]; /* values in the order of command->options; NULL pointer:
                                             not given */
    bool password_stdin;
    const char *config_file; /* after cli_load */
    char *text;
    size_t text_n;
    struct config *config;
    bool was_refused; /* the last question was answered, with a no */
};

/* Runs what argv says; the result is the exit status. */
int cli_main(int argc, char **argv);

/* What a command without `run` does: the question to its process, and the answer printed. */
int cli_ask_and_print(struct cli *cli);

/* One line on stderr, "barid: …" or {"error": "…"}; what, why, what to do. Returns EXIT_REFUSED. */
int cli_fail(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for what was typed wrongly, with the command's usage. Returns EXIT_USAGE. */
int cli_wrong_usage(const struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The value of an own option, or a NULL pointer. */
struct span cli_option(const struct cli *cli, const char *name);
/* Reads the configuration into cli. A file with errors is refused (with a word on `barid check`).
 * 0, or -1 and e. */
int cli_load(struct cli *cli, struct error *e);

/* A question to a running daemon, or, for authd, to one that is started for it when none runs.
 * Collects the rows of all pages. 0, or -1 and e. Needs cli_load. *is_absent (may be NULL) tells
 * "nobody is listening" from other failures. */
struct question {
    enum role process;
    const char *admin;
    const struct span *args;
    size_t n_args;
    struct span secret;
    bool only_if_running; /* does not start authd */
    uint64_t limit;       /* asks for no further page once so many rows of depth 0 came; 0: all */
    int64_t answer_ms;    /* without a row or an end the daemon counts as stuck; 0: a minute */
    /* Gets the fields of each row instead of `out`; may be NULL. 0, or -1: damaged. */
    int (*on_row)(void *arg, struct span fields);
    void *on_row_arg;
};
int cli_ask(struct cli *cli, const struct question *q, struct rows *out, bool *is_absent,
            struct error *e);

/* The same for several questions to one process, whose `process` then means nothing. A process of
 * our own works beside the daemons or without them, and only reads. NULL and e. */
enum asker_way { ASK_DAEMON_OR_START_IT, ASK_PROCESS_OF_OUR_OWN };
struct asker;
struct asker *asker_open(struct cli *cli, enum role role, enum asker_way way, struct error *e);
int asker_ask(struct asker *a, struct question *q, struct rows *out, struct error *e);
void asker_close(struct asker *a); /* NULL is allowed */
/* Does nobody listen on this control socket? */
bool asker_is_absent(struct cli *cli, enum role role);

/* The password for a command: from stdin's first line or the terminal; at most 1024 octets. 0 and
 * *out (empty: none; wipe it after use), or -1 and e. */
struct secret_text {
    char octets[1026];
    size_t n;
};
int secret_read(const struct cli *cli, struct secret_text *out, struct error *e);

/* offline.c: starts one process alone; with is_beside it reads only, and may run beside the
 * daemons. The channel to it, or NULL and e; *is_busy: somebody else runs or starts the daemons at
 * this moment, try again. */
struct loop;
struct ipc;
struct ipc_ops;
struct offline;
struct offline_wish {
    enum role role;
    bool is_beside;
};
struct offline *offline_start(struct cli *cli, struct loop *loop, struct offline_wish wish,
                              bool *is_busy, struct error *e);
/* The lock of the parent (barid/barid.c): while somebody has it nobody else starts. The fd, or -1:
 * *is_busy, or e. */
int offline_lock(const struct config *c, bool *is_busy, struct error *e);
/* Its end for questions, to be opened by the caller. */
int offline_fd(struct offline *o);
void offline_stop(struct offline *o); /* NULL is allowed */

/* Commands that are more than a question. */
int run_main(struct cli *cli);
int check_main(struct cli *cli);
int config_show_main(struct cli *cli);
int doc_settings_main(struct cli *cli);
int doc_commands_main(struct cli *cli);
int status_main(struct cli *cli);
int help_main(struct cli *cli);
int probe_main(struct cli *cli);
int retention_main(struct cli *cli); /* retention.c */
int domain_retention_main(struct cli *cli);
int domain_show_main(struct cli *cli);
int fsck_main(struct cli *cli);
int sql_main(struct cli *cli);
int user_show_main(struct cli *cli); /* contained.c */
int user_release_main(struct cli *cli);

#endif
