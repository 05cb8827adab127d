/* All commands. A noun has its own file with a table; it is listed here once. */
#include "cli/backup.h"
#include "cli/explain.h"
#include "cli/sendmail.h"
#include "cli/stats.h"
#include "cli/tables.h"

static const struct command general[] = {
    {.words = "run",
     .usage = "",
     .summary = "start everything and stay in the foreground",
     .run = run_main},
    {.words = "check",
     .usage = "",
     .summary = "check configuration, directories and databases",
     .run = check_main},
    {.words = "fsck",
     .usage = "[--repair]",
     .summary = "compare all that is stored with what it should be; --repair: set right what can "
                "be, put what is damaged into quarantine",
     .options = {"repair"},
     .run = fsck_main},
    {.words = "sql",
     .usage = "[--limit N] [--timeout SECONDS] [QUERY]",
     .summary = "a question to the queue in SQL, read-only; without one, what can be asked: see "
                "barid-sql(1)",
     .options = {"limit=", "timeout=", NULL},
     .args_max = 1,
     .run = sql_main},
    {.words = "backup",
     .usage = "DIR",
     .summary = "users, mail, queue and configuration into a new directory, while all goes on",
     .args_min = 1,
     .args_max = 1,
     .run = backup_main},
    {.words = "restore",
     .usage = "DIR [--force]",
     .summary =
         "put a backup in the place of an empty store; --force: what is there is moved aside",
     .options = {"force"},
     .args_min = 1,
     .args_max = 1,
     .run = restore_main},
    {.words = "config show",
     .usage = "[KEY]",
     .summary = "the settings in effect, and where each was set",
     .args_max = 1,
     .run = config_show_main},
    {.words = "doc settings",
     .usage = "",
     .summary = "settings for the manual page",
     .is_hidden = true,
     .run = doc_settings_main},
    {.words = "doc commands",
     .usage = "",
     .summary = "commands for the manual page",
     .is_hidden = true,
     .run = doc_commands_main},
    {.words = "status",
     .usage = "",
     .summary = "processes, ports and the depth of the queue",
     .run = status_main},
    {.words = "stats",
     .usage = "[--prometheus]",
     .summary = "status, and what was counted: rates, latencies, commits, logins, deliveries",
     .options = {"prometheus", NULL},
     .run = stats_main},
    {.words = "explain",
     .usage = "--from A --to B [--client IP] [--helo H] [--login USER] [--size OCTETS]",
     .summary = "would it be accepted, by which rule, and where would it go",
     .options = {"from=", "to=", "client=", "helo=", "login=", "size=", NULL},
     .run = explain_main},
    {.words = "send",
     .usage = "[-t] [-i] [-f SENDER] [-F NAME] [RECIPIENT...] <MESSAGE",
     .summary = "hand over a message, as sendmail(8) does"},
    {.words = "mailq", .usage = "", .summary = "the queue in the form of mailq"},
    {.words = "newaliases", .usage = "", .summary = "nothing: aliases need no building"},
    {.words = "probe",
     .usage = "PROCESS",
     .summary = "try from inside a process's jail what it forbids",
     .args_min = 1,
     .args_max = 1,
     .run = probe_main},
    {.words = "help",
     .usage = "[COMMAND]",
     .summary = "what a command takes",
     .args_max = 3,
     .run = help_main},
};
static const struct command_table general_table = {general, sizeof general / sizeof *general};

const struct command_table *const cli_tables[] = {
    &general_table, &user_table,    &domain_table, &alias_table, &mailbox_table,
    &queue_table,   &callout_table, &fetch_table,  &tls_table,   NULL};

int main(int argc, char **argv)
{
    int status;
    return sendmail_is_called(argc, argv, &status) ? status : cli_main(argc, argv);
}
